"""Runs that leave in an archive and come back, and archives that are refused."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import files, make_checkpoint, make_run, start_from
from mutations import mutated_bytes, read_or_refuse, scratch_folder

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.archive import export_runs
from iglue_plugins.runs.archive_reading import import_runs
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.status import run_folders
from iglue_plugins.utils.errors import UserError

Member = tuple[str, bytes]


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    first = make_run(tmp_path / "a", "first", "1" * 12)
    return [first, make_run(tmp_path / "a", "second", "2" * 12, start_from=start_from(first))]


@pytest.fixture
def archive(runs: list[Run], tmp_path: Path) -> Path:
    export_runs(runs, tmp_path / "runs.tar")
    return tmp_path / "runs.tar"


def test_runs_come_back_without_checkpoints(runs: list[Run], tmp_path: Path) -> None:
    expected = files(tmp_path / "a")
    make_checkpoint(runs[0], 2, 6)
    (runs[0].folder / "predictions" / "test" / ".en.jsonl.0.tmp").touch()
    made = export_runs(runs, tmp_path / "runs.tar")
    assert made.keys() == expected.keys()
    new, there = import_runs(tmp_path / "runs.tar", tmp_path / "b" / "runs")
    assert ([path.name for path in new], there) == ([run.folder.name for run in runs], [])
    assert files(tmp_path / "b" / "runs") == expected
    again, there = import_runs(tmp_path / "runs.tar", tmp_path / "b" / "runs")
    assert (again, there) == ([], new)
    assert sorted(path.name for path in (tmp_path / "b" / "runs").iterdir()) == [run.folder.name for run in runs]


def test_the_bytes_depend_on_the_runs_alone(archive: Path, tmp_path: Path) -> None:
    import_runs(archive, tmp_path / "b")
    export_runs([Run(path) for path in run_folders(tmp_path / "b")], tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == archive.read_bytes()


def test_a_run_without_its_model_is_compared_and_started_from_only_with_it(
    recipe: Callable[..., Recipe], tmp_path: Path, fits: list[str]
) -> None:
    before = runner.run(recipe())
    export_runs([before], tmp_path / "runs.tar", with_models=False)
    shutil.rmtree(before.folder)
    (imported,), _ = import_runs(tmp_path / "runs.tar", before.folder.parent)
    assert not Run(imported).model_dir.exists()
    assert runner.run(recipe()).folder == imported
    assert fits == ["Finetune"]
    for start in ("finetune", str(imported)):
        with pytest.raises(UserError, match=f"{imported}:? has no model, as where it was imported without it"):
            runner.run(recipe({"trainer": "auxiliary_finetune", "start_from": start}, "evaluation.languages=[tr]"))
    with pytest.raises(UserError, match="has no model"):
        runner.evaluate(imported)


def test_what_is_not_exported(runs: list[Run], archive: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"runs.tar: exists already"):
        export_runs(runs, archive)
    new = tmp_path / "new.tar"
    with pytest.raises(UserError, match="has the same name"):
        export_runs([runs[0], make_run(tmp_path / "c", "first", "1" * 12)], new)
    lock = runs[0].lock_file()
    assert lock.acquire()
    with pytest.raises(UserError, match="is running"):
        export_runs(runs, new)
    lock.close()
    (runs[0].model_dir / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="model/link: is a link"):
        export_runs(runs, new)
    runs[0].record_path.unlink()
    with pytest.raises(UserError, match=r"has no record.json"):
        export_runs(runs, new)
    assert not new.exists()


def test_another_run_of_the_same_name_is_refused_and_nothing_is_imported(archive: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "b", "second", "2" * 12, seed=1)
    expected = files(tmp_path / "b")
    with pytest.raises(UserError, match=f"{other.folder}: is there already, and is not the run of the archive"):
        import_runs(archive, tmp_path / "b")
    assert files(tmp_path / "b") == expected
    assert [path.name for path in (tmp_path / "b").iterdir()] == [other.folder.name]


def members(archive: Path) -> list[Member]:
    with tarfile.open(archive) as opened:
        return [(member.name, opened.extractfile(member).read()) for member in opened]


def write(path: Path, content: list[Member | tarfile.TarInfo]) -> None:
    with tarfile.open(path, "w") as archive:
        for member in content:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))


def with_manifest(content: list[Member], change: Callable[[dict[str, Any]], None]) -> list[Member]:
    manifest = json.loads(content[0][1])
    change(manifest["files"])
    return [("manifest.json", json.dumps(manifest).encode()), *content[1:]]


def listed(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


FIRST = "first-111111111111"
ODD_NAMES = [
    "../out", "/proc/out", f"{FIRST}/../out", f"{FIRST}/model/../../out", f"{FIRST}/model", f"{FIRST}/model//x",
    FIRST, f"{FIRST}/checkpoints/x", f"{FIRST}/record.json/x", "project/record.json", f".{FIRST}/record.json", "",
    "x\\..\\y", f"{FIRST}/model/a\nb",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_is_no_file_of_a_run(name: str, archive: Path, tmp_path: Path) -> None:
    content = with_manifest(members(archive), lambda files: files.update({name: listed(b"x")}))
    write(tmp_path / "odd.tar", [*content, (name, b"x")])
    refused(tmp_path / "odd.tar", "which is no file of a run", tmp_path)


def test_members_that_are_not_as_the_manifest_says(archive: Path, tmp_path: Path) -> None:
    whole, odd = members(archive), tmp_path / "odd.tar"
    name, content = next(member for member in whole if member[0].endswith(f"{FIRST}/model/model.safetensors"))
    place = whole.index((name, content))
    for changed, sentence in (
        ([*whole, (f"{FIRST}/model/more.bin", b"x")], "is not in its manifest, or is there twice"),
        ([*whole, (name, content)], "is not in its manifest, or is there twice"),
        ([*whole[:place], (name, content + b"x"), *whole[place + 1 :]], "is not what its manifest says"),
        ([*whole[:place], (name, b"W" + content[1:]), *whole[place + 1 :]], "is not what its manifest says"),
        ([*whole[:place], *whole[place + 1 :]], "it lacks"),
        (whole[1:], "does not begin with manifest.json"),
        ([*whole[:place], link(name, tarfile.SYMTYPE, "/etc/passwd"), *whole[place + 1 :]], "is no plain file"),
        (
            [*whole[:place], link(name, tarfile.LNKTYPE, f"{FIRST}/record.json"), *whole[place + 1 :]],
            "is no plain file",
        ),
        ([*whole, link(f"{FIRST}/model/folder", tarfile.DIRTYPE, "")], "is no plain file"),
        ([*whole, link(f"{FIRST}/model/pipe", tarfile.FIFOTYPE, "")], "is no plain file"),
        (with_manifest(whole, lambda files: files.pop(f"{FIRST}/record.json")), "has no record.json"),
        (with_manifest(whole, lambda files: files[name].update(bytes=-1)), "no hash and size"),
        (with_manifest(whole, lambda files: files[name].update(sha256="x" * 64)), "no hash and size"),
    ):
        write(odd, changed)
        refused(odd, sentence, tmp_path)


def test_a_record_of_another_run(archive: Path, tmp_path: Path) -> None:
    whole = members(archive)
    name, content = next(member for member in whole if member[0] == f"{FIRST}/record.json")
    for changed, sentence in (
        (content.replace(b"111111111111", b"333333333333"), "with the fingerprint '333333333333'"),
        (b"{}", "cannot be read"),
    ):
        replaced = [(member, changed if member == name else data) for member, data in whole]
        write(
            tmp_path / "odd.tar", with_manifest(replaced, lambda files, new=changed: files.update({name: listed(new)}))
        )
        refused(tmp_path / "odd.tar", sentence, tmp_path)


def test_files_that_are_no_archive(archive: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.tar"
    for content in (b"", b"x" * 5000, archive.read_bytes()[:-8000]):
        odd.write_bytes(content)
        refused(odd, "is no whole archive", tmp_path)
    with tarfile.open(odd, "w:gz") as compressed:
        compressed.addfile(tarfile.TarInfo("manifest.json"))
    refused(odd, "is no whole archive", tmp_path)
    refused(tmp_path / "nowhere.tar", "cannot be read", tmp_path)


def refused(archive: Path, sentence: str, folder: Path) -> None:
    into = folder / "refused" / "runs"
    with pytest.raises(UserError) as error:
        import_runs(archive, into)
    assert sentence in str(error.value) and str(archive) in str(error.value)
    assert not into.exists() or not list(into.iterdir())
    assert not (folder / "refused" / "out").exists()


@given(data=st.data())
def test_a_mutated_archive_is_refused_or_gives_the_very_files(data: st.DataObject, tmp_path: Path) -> None:
    if not (tmp_path / "runs.tar").exists():
        export_runs([make_run(tmp_path / "a", "first", "1" * 12)], tmp_path / "runs.tar")
    content = data.draw(mutated_bytes((tmp_path / "runs.tar").read_bytes()))
    with scratch_folder(tmp_path) as folder:
        (folder / "odd.tar").write_bytes(content)
        found = read_or_refuse(lambda: import_runs(folder / "odd.tar", folder / "runs"))
        if found is None:
            assert not (folder / "runs").exists() or not list((folder / "runs").iterdir())
        else:
            digests = {member.split("/", 1)[1]: data for member, data in files(folder / "runs").items()}
            assert digests.keys() == {name.split("/", 1)[1] for name in files(tmp_path / "a")}


KILLED = """
import os, signal, sys
from pathlib import Path
from iglue_plugins.runs import archive, archive_reading
from iglue_plugins.runs.folder import Run
def at_call(owner, name, call):
    original, calls = getattr(owner, name), iter(range(1, 1000))
    def counted(*args, **kwargs):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)
    setattr(owner, name, counted)
"""


def killed(code: str) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED + code]).returncode == -signal.SIGKILL


@pytest.mark.parametrize("member", [1, 2, 9])
def test_an_export_that_is_killed_leaves_no_archive(member: int, runs: list[Run], tmp_path: Path) -> None:
    new = tmp_path / "new.tar"
    folders = [str(run.folder) for run in runs]
    killed(
        f"at_call(archive, '_add', {member})\narchive.export_runs([Run(f) for f in {folders!r}], Path({str(new)!r}))"
    )
    assert not new.exists()
    export_runs(runs, new)
    assert len(members(new)) == len(files(tmp_path / "a")) + 1


@pytest.mark.parametrize(
    ("moment", "imported"),
    [
        *((f"archive_reading, '_write_file', {number}", 0) for number in (1, 2, 8, 14)),
        ("archive_reading, 'sync_folder', 1", 0),
        ("archive_reading, '_give_name', 1", 0),
        ("archive_reading, '_give_name', 2", 1),
    ],
)
def test_an_import_that_is_killed_leaves_no_half_run(
    moment: str, imported: int, runs: list[Run], archive: Path, tmp_path: Path
) -> None:
    into, expected = tmp_path / "b", files(tmp_path / "a")
    killed(f"at_call({moment})\narchive_reading.import_runs(Path({str(archive)!r}), Path({str(into)!r}))")
    assert [path.name for path in run_folders(into)] == [run.folder.name for run in runs][:imported]
    assert all(not Run.open(into, run.folder.name[:-13], run.fingerprint).is_finished for run in runs[imported:])
    new, there = import_runs(archive, into)
    assert (len(new), len(there)) == (2 - imported, imported)
    assert {name: data for name, data in files(into).items() if not name.startswith(".")} == expected


def test_a_file_that_cannot_be_written_leaves_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        import_runs(archive, tmp_path / "b")
    assert not list((tmp_path / "b").iterdir())
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(UserError, match="has 10 bytes free"):
        import_runs(archive, tmp_path / "b")

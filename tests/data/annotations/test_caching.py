"""The cache of annotation files: the examples in it, and when a file is read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest

from iglue_plugins.data.annotations import caching
from iglue_plugins.data.annotations.caching import Annotations, content_digest, read_annotations
from iglue_plugins.utils.errors import UserError

Make, Write = Callable[..., dict[str, Any]], Callable[..., Path]


@pytest.fixture
def read(labels: tuple[str, ...]) -> Callable[..., Annotations]:
    return partial(read_annotations, kind="xvnli", language="es", store="flickr30k", labels=labels)


def replace(path: Path, old: str, new: str, seconds_later: int = 0) -> None:
    """Change a file's content; its time of change stays as it was, or is some seconds later."""
    before = path.stat()
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + seconds_later * 10**9))


def test_examples_have_the_documented_columns(
    annotation: Make, json_lines: Write, read: Callable[..., Annotations]
) -> None:
    examples = read(json_lines(annotation("xvnli"))).examples
    assert examples[0] == {
        "id": "42.jpg#2r1c",
        "image_ids": ["flickr30k/42"],
        "text": "Está contenta.",
        "language": "es",
        "label": "neutral",
        "caption": "Una mujer ríe.",
    }
    assert examples.features == caching.FEATURES


def test_a_column_without_values_keeps_its_type(annotation: Make, json_lines: Write) -> None:
    examples = read_annotations(
        json_lines(annotation("nlvr2")), "nlvr2", language="en", store="nlvr2", labels=("False", "True")
    ).examples
    assert examples[0]["caption"] is None
    assert examples[0]["image_ids"] == ["nlvr2/dev-850-0-img0", "nlvr2/dev-850-0-img1"]
    assert examples.features == caching.FEATURES


def test_rows_without_a_label_are_left_out_and_counted(
    annotation: Make, json_lines: Write, read: Callable[..., Annotations]
) -> None:
    path = json_lines(*(annotation("xvnli", pairID=str(i), gold_label="-" if i % 3 else "neutral") for i in range(9)))
    for _ in ("read", "found again"):
        found = read(path)
        assert (found.examples["id"][:], found.counts.unlabelled) == (["0", "3", "6"], 6)
    kept = read(path, keep_unknown=True)
    assert (kept.examples["id"][:], kept.counts.unlabelled) == ([str(i) for i in range(9)], 0)


def test_repeated_ids_are_kept_and_counted(
    annotation: Make, json_lines: Write, read: Callable[..., Annotations]
) -> None:
    found = read(json_lines(*(annotation("xvnli", pairID=id_) for id_ in "abcbbc")))
    assert found.examples["id"][:] == ["a", "b", "c", "b", "b", "c"]
    assert (found.counts.repeated, found.counts.first_repeated) == (3, "b")


def test_many_rows_keep_their_order(
    annotation: Make, json_lines: Write, read: Callable[..., Annotations], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "ROWS_PER_TABLE", 7)
    path = json_lines(*(annotation("xvnli", pairID=str(i), sentence2=f"text {i}") for i in range(50)))
    examples = read(path).examples
    assert examples["id"][:] == [str(i) for i in range(50)]
    assert examples["text"][:] == [f"text {i}" for i in range(50)]


@pytest.mark.parametrize(
    ("gold_labels", "message"),
    [("", "found no examples, expected at least one"), ("--", "found no examples with a label, expected at least one")],
)
def test_a_file_without_examples_is_refused(
    gold_labels: str, message: str, annotation: Make, json_lines: Write, read: Callable[..., Annotations], cache: Path
) -> None:
    path = json_lines(*(annotation("xvnli", gold_label=label) for label in gold_labels))
    with pytest.raises(UserError, match=f"^{path}: {message}"):
        read(path)
    assert not [*cache.iterdir()]


def test_a_file_is_read_once(
    annotation: Make, json_lines: Write, read: Callable[..., Annotations], cache: Path
) -> None:
    path = json_lines(annotation("xvnli"))
    read(path)
    kept = sorted(cache.iterdir())
    replace(path, "contenta", "sentada.")  # as long, and as old
    assert read(path).examples["text"][:] == ["Está contenta."]
    assert sorted(cache.iterdir()) == kept and {file.suffix for file in kept} == {".arrow", ".json"}


@pytest.mark.parametrize(("new", "seconds_later"), [("dormida.", 1), ("sentadísima", 0)])
def test_a_file_that_changed_is_read_again(
    new: str, seconds_later: int, annotation: Make, json_lines: Write, read: Callable[..., Annotations]
) -> None:
    path = json_lines(annotation("xvnli"))
    before = read(path).examples
    replace(path, "contenta", new, seconds_later)
    assert read(path).examples["text"][:] == [f"Está {new}."]
    assert before["text"][:] == ["Está contenta."]


def test_all_arguments_and_the_readers_version_are_part_of_the_key(
    annotation: Make,
    json_lines: Write,
    read: Callable[..., Annotations],
    labels: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = json_lines(annotation("xvnli"), annotation("xvnli", gold_label="-", pairID="unlabelled"))
    read(path)
    assert read(path, language="fr").examples["language"][:] == ["fr"]
    assert read(path, store="other").examples["image_ids"][:] == [["other/42"]]
    assert len(read(path, keep_unknown=True).examples) == 2
    with pytest.raises(UserError, match="found gold_label 'neutral', expected one of entailment, -"):
        read(path, labels=("entailment",))
    with pytest.raises(UserError, match="has no key 'left_img'"):
        read(path, kind="marvl")
    elsewhere = path.rename(path.with_name("elsewhere.jsonl"))
    replace(elsewhere, "contenta", "sentada.")
    assert read(elsewhere).examples["text"][:] == ["Está sentada.."]
    replace(elsewhere, "sentada.", "contenta")
    monkeypatch.setattr(caching, "VERSION", caching.VERSION + 1)
    assert read(elsewhere).examples["text"][:] == ["Está contenta."]


def point_outside(table: bytes) -> bytes:
    """Makes an offset of the column of ids point far outside of the table."""
    at = table.rfind(b"\0\0\0\0\2\0\0\0\4\0\0\0", 0, table.find(b"p1p2p3"))
    return table[: at + 4] + b"XXXX" + table[at + 8 :]


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes | None]]] = {
    "a table of no bytes": ("*.arrow", lambda content: b""),
    "a table cut in half": ("*.arrow", lambda content: content[: len(content) // 2]),
    "a table of zeros": ("*.arrow", lambda content: bytes(len(content))),
    "an offset that points outside": ("*.arrow", point_outside),
    "a changed letter": ("*.arrow", lambda content: content.replace(b"contenta", b"contento")),
    "no table": ("*.arrow", lambda content: None),
    "no notes": ("*.json", lambda content: None),
    "notes of no bytes": ("*.json", lambda content: b""),
    "notes of another kind": ("*.json", lambda content: b'["counts"]'),
    "notes without a seal": ("*.json", lambda content: content.replace(b"seal", b"sail")),
    "notes nested deeply": ("*.json", lambda content: b"[" * 100_000),
    "another count": ("*.json", lambda content: content.replace(b'"unlabelled": 1', b'"unlabelled": 2')),
}


@pytest.mark.parametrize(("pattern", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_cache_is_made_anew(
    pattern: str,
    damage: Callable[[bytes], bytes | None],
    annotation: Make,
    json_lines: Write,
    read: Callable[..., Annotations],
    cache: Path,
) -> None:
    path = json_lines(
        *(annotation("xvnli", pairID=f"p{i}") for i in (1, 2, 3)), annotation("xvnli", gold_label="-", pairID="p4")
    )
    before = read(path)
    rows, counts = before.examples[:], before.counts
    (file,) = cache.glob(pattern)
    content = file.read_bytes()
    damaged = damage(content)
    assert damaged != content
    file.unlink()  # the table is still mapped
    if damaged is not None:
        file.write_bytes(damaged)
        os.utime(file, ns=(0, 10**9))
    for _ in ("made anew", "found again"):
        after = read(path)
        assert (after.examples[:], after.counts) == (rows, counts)
    assert file.read_bytes() == content


def test_a_failed_reading_leaves_nothing_in_the_cache(
    annotation: Make, json_lines: Write, read: Callable[..., Annotations], cache: Path
) -> None:
    path = json_lines(annotation("xvnli"), annotation("xvnli", gold_label="x"))
    with pytest.raises(UserError, match="line 2"):
        read(path)
    assert not [*cache.iterdir()]
    replace(path, '"x"', '"-"')
    assert len(read(path).examples) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, read: Callable[..., Annotations]) -> None:
    for reading in (read, content_digest):
        with pytest.raises(UserError, match="/none: cannot be read .No such file or directory."):
            reading(tmp_path / "none")
    with pytest.raises(UserError, match=f"^{tmp_path}: cannot be read .Is a directory."):
        content_digest(tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("taken", "/taken/iglue_plugins: .* cannot be written .*; set HF_DATASETS_CACHE"),
        (os.fsdecode(b"caf\xe9"), "name is not UTF-8; set HF_DATASETS_CACHE"),
    ],
    ids=["taken", "not UTF-8"],
)
def test_a_cache_that_cannot_be_used_is_named(
    name: str,
    sentence: str,
    annotation: Make,
    json_lines: Write,
    read: Callable[..., Annotations],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / name)
    with pytest.raises(UserError, match=sentence):
        read(json_lines(annotation("xvnli")))


@pytest.mark.parametrize("size", [10, caching.MIN_CACHED_SIZE + 10])
def test_the_digest_is_that_of_the_current_content(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a" * size)
    for later, letter in enumerate("aab"):
        replace(path, "a", letter, later)
        assert content_digest(path) == hashlib.sha256(letter.encode() * size).hexdigest()


def test_a_large_file_is_digested_once(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a" * caching.MIN_CACHED_SIZE)
    before = content_digest(path)
    replace(path, "a", "b")
    assert content_digest(path) == before and len([*cache.iterdir()]) == 1


@pytest.mark.parametrize("damage", [b"", b"0" * 64, None])
def test_a_damaged_digest_is_made_anew(damage: bytes | None, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "file"
    path.write_text("a" * caching.MIN_CACHED_SIZE)
    digest = content_digest(path)
    (cached,) = cache.iterdir()
    content = cached.read_bytes()
    cached.write_bytes(content.replace(content[-4:], b"0000") if damage is None else damage)
    assert content_digest(path) == digest
    assert cached.read_bytes() == content

"""A run's folder: addressed by fingerprint, written atomically, used by one process at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import AcquireReturnProxy, FileLock, Timeout

from iglue_plugins.errors import UserError, writing
from iglue_plugins.recipes import Recipe

RECORD_FORMAT = 1
TRAINING_NOTE = ".training.json"  # in a model's folder; hidden, so that it does not count as the model's content
WEIGHTS_FORMAT = "0.1"  # the version (major.minor) since which equal recipes train equal weights


def fingerprint(recipe: Recipe, previous_fingerprint: str | None, data_fingerprint: str) -> str:
    """12 hexadecimal digits of all that determines the trained weights.

    previous_fingerprint: of the run, or the content of the checkpoint, that training starts from; None for the model's
    own weights. data_fingerprint: of the task's data. A Settings class may name settings that leave the weights as they
    are (paths, logging) in a class attribute `incidental`.
    """
    determining = {
        "format": WEIGHTS_FORMAT,
        "seed": recipe.seed,
        "source_language": recipe.source_language,
        "auxiliary_languages": recipe.auxiliary_languages if recipe.trains_on == "auxiliary" else None,
        "start_from": previous_fingerprint,
        "data": data_fingerprint,
    }
    for section in ("task", "model", "trainer"):
        choice = getattr(recipe, section)
        cls, _ = recipe.plugin(section)
        incidental = getattr(cls.Settings, "incidental", ())
        settings = {key: value for key, value in choice.settings.items() if key not in incidental}
        determining[section] = {"name": choice.name, "settings": settings}
    canonical = json.dumps(determining, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class Run:
    """The folder of one run, finished when it has a record."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, runs_dir: str | Path, name: str, fingerprint: str) -> Run:
        """The run with this fingerprint: a finished one under whatever name, or else <name>-<fingerprint>."""
        own = cls(Path(runs_dir) / f"{name}-{fingerprint}")
        others = (cls(folder) for folder in sorted(Path(runs_dir).glob(f"*-{fingerprint}")))
        for run in (own, *others):
            if run.is_finished:
                return run
        return own

    @property
    def fingerprint(self) -> str:
        return self.folder.name.rpartition("-")[2]

    @property
    def is_finished(self) -> bool:
        return self.record_path.is_file()

    @property
    def model_dir(self) -> Path:
        return self.folder / "model"

    @property
    def checkpoints_dir(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def record_path(self) -> Path:
        return self.folder / "record.json"

    @property
    def draft_path(self) -> Path:
        return self.folder / "draft.json"

    @property
    def adapted_dir(self) -> Path:
        return self.folder / "adapted"

    @property
    def recipe_path(self) -> Path:
        return self.folder / "recipe.yaml"

    def predictions_dir(self, split: str) -> Path:
        return self.folder / "predictions" / split

    def predictions_path(self, split: str, language: str) -> Path:
        return self.predictions_dir(split) / f"{language}.jsonl"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the runs of this fingerprint against other processes; the system lets go when the process dies.

        Where nothing can be written, a finished run is not locked, since it can only be read.

        Raises:
            UserError: the folder for runs cannot be written to, and the run is not finished.
        """
        path = self.folder.with_name(f".{self.fingerprint}.lock")
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._locked(path))
                held.callback(path.unlink, missing_ok=True)  # while it is held: who waits then takes a new one
            except UserError:
                if not self.is_finished:
                    raise
            yield

    def _locked(self, path: Path) -> AcquireReturnProxy:
        with writing(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return FileLock(path).acquire(timeout=0)
            except Timeout:
                print(f"{self.folder}: waiting for another process on this run", file=sys.stderr, flush=True)
                return FileLock(path).acquire()

    def sweep(self) -> None:
        """Remove what nobody reads any more, also what a process that was killed has left; for who holds the lock."""
        with contextlib.suppress(OSError):  # there is nothing of it, or the disk can only be read
            for unfinished in self.folder.rglob(".*.tmp"):
                unfinished.unlink()
            if self.model_dir.is_dir():
                shutil.rmtree(self.checkpoints_dir, ignore_errors=True)
            if self.draft_path.read_bytes() == self.record_path.read_bytes():
                self.draft_path.unlink()

    def record(self) -> dict[str, Any] | None:
        """The record; None when the run has none.

        Raises:
            UserError: the record is damaged, or of another format.
        """
        return _read_record(self.record_path)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write what makes the run finished, so last; the format is added, and the draft goes."""
        write_json_atomic(self.record_path, {**record, "format": RECORD_FORMAT})
        self.draft_path.unlink(missing_ok=True)
        shutil.rmtree(self.adapted_dir, ignore_errors=True)

    def known(self) -> dict[str, Any] | None:
        """The newest of the run's notes: a record in the making, the record, what its model's training left; or None.

        Raises as `record` does.
        """
        paths = self.draft_path, self.record_path, self.model_dir / TRAINING_NOTE
        return next((found for path in paths if (found := _read_record(path))), None)

    def write_draft(self, record: Mapping[str, Any]) -> None:
        """Note a record in the making, so that an interruption loses nothing of it; the format is added."""
        write_json_atomic(self.draft_path, {**record, "format": RECORD_FORMAT})

    def write_predictions(self, split: str, language: str, rows: Iterable[Mapping[str, Any]]) -> None:
        write_jsonl_atomic(self.predictions_path(split, language), rows)

    def read_predictions(self, split: str, language: str) -> list[dict[str, Any]]:
        """The rows in the order written. Raises UserError when the file is missing or damaged."""
        path = self.predictions_path(split, language)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: found {error}, expected predictions; run the evaluation again") from error
        if lines.pop() != "":  # a file that was cut off does not end in a line break
            raise UserError(f"{path}: line {len(lines) + 1} is cut off, expected JSON; delete the file and run again")
        return [_parsed_line(line, path, number) for number, line in enumerate(lines, start=1)]


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}), expected a record") from error
    except ValueError as error:
        raise UserError(f"{path}: found {error}, expected a record; delete it and run again") from error
    found = record.get("format") if isinstance(record, dict) else type(record).__name__
    if found != RECORD_FORMAT:
        raise UserError(f"{path}: found format {found!r}, expected {RECORD_FORMAT}; delete it and run again")
    return record


def _parsed_line(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError as error:
        message = f"{path}: line {number} is damaged ({error}), expected JSON; delete the file and run again"
        raise UserError(message) from error


def write_json_atomic(path: Path, data: Any) -> None:
    write_atomic(path, f"{json.dumps(data, ensure_ascii=False, indent=2)}\n".encode())


def write_jsonl_atomic(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_atomic(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())


def write_atomic(path: Path, content: bytes) -> Path:
    """Write `content` so that a reader sees the old file or the whole new one, even after a power cut; returns `path`.

    Raises:
        UserError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            return temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Return when all of a folder is on the disk, so that a power cut takes nothing of it."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def content_hash(path: str | Path) -> str:
    """64 hexadecimal digits of a file's bytes, or of the names and bytes of all files of a folder but hidden ones.

    Raises:
        UserError: there is nothing at the path.
    """
    path = Path(path)
    if path.is_file():
        return _file_hash(path)
    if not path.is_dir():
        raise UserError(f"{path}: found nothing, expected a checkpoint file or folder")
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    visible = {name: _file_hash(file) for name, file in files.items() if not f"/{name}".count("/.")}
    return hashlib.sha256(json.dumps(visible, sort_keys=True).encode()).hexdigest()


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

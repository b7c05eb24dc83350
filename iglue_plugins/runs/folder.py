"""The folder of a run: its files, written atomically, and the lock that lets one process at a time work on it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from iglue_plugins.runs.prediction_rows import read_rows
from iglue_plugins.runs.record_file import RECORD_FORMAT, read_record_file
from iglue_plugins.utils import distributed
from iglue_plugins.utils.errors import UserError, explain_write_errors, first_line
from iglue_plugins.utils.files import MODEL_CARD, TRAINING_RECORD, write_json_atomic, write_jsonl_atomic
from iglue_plugins.utils.locks import LockFile
from iglue_plugins.utils.strict_json import parse_json

LOCK_SECONDS = 1.0  # how long the main process waits for a lock before it tells the other processes so
RECORD = "record.json"


class Run:
    """The folder of one run, which is finished when it has a record.

    Args:
        folder: The folder, `<name>-<fingerprint>` in the folder for runs.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.name = os.path.basename(os.path.abspath(folder))  # which "." and ".." have too

    @classmethod
    def open(cls, runs_dir: str | Path, name: str, fingerprint: str) -> Run:
        """Find the run with a fingerprint, under whatever name it was finished, or the folder for a new one.

        Args:
            runs_dir: The folder for runs.
            name: The recipe's name.
            fingerprint: The run's fingerprint, 12 hexadecimal digits.

        Returns:
            A finished run with the fingerprint, preferably one of that name; otherwise the run of that name.
        """
        by_name = cls(Path(runs_dir) / f"{name}-{fingerprint}")
        others = (cls(folder) for folder in sorted(Path(runs_dir).glob(f"*-{fingerprint}")))
        return next((run for run in (by_name, *others) if run.is_finished), by_name)

    @property
    def fingerprint(self) -> str:
        """The fingerprint, from the folder's name."""
        return self.name.rpartition("-")[2]

    @property
    def is_finished(self) -> bool:
        """Whether the run has a record."""
        return self.record_path.is_file()

    @property
    def model_dir(self) -> Path:
        """The trained model and its tokenizer; the folder exists when training is finished."""
        return self.folder / "model"

    @property
    def checkpoints_dir(self) -> Path:
        """The checkpoints from which an interrupted training resumes."""
        return self.folder / "checkpoints"

    @property
    def record_path(self) -> Path:
        """The record, which is written last."""
        return self.folder / RECORD

    @property
    def partial_record_path(self) -> Path:
        """The record of an evaluation that is not finished."""
        return self.folder / "draft.json"

    @property
    def processes_path(self) -> Path:
        """What is known of the processes that have worked on the run, until it has a record."""
        return self.folder / "processes.json"

    @property
    def plan_path(self) -> Path:
        """The record as it was when the training began, until the run has a record."""
        return self.folder / "plan.json"

    @property
    def failure_path(self) -> Path:
        """Why the run failed, until it is begun again."""
        return self.folder / "failure.json"

    @property
    def adapted_dir(self) -> Path:
        """The models of single languages while a `LanguageAdapter` works."""
        return self.folder / "adapted"

    @property
    def card_path(self) -> Path:
        """The model card, in the model's folder."""
        return self.model_dir / MODEL_CARD

    @property
    def recipe_path(self) -> Path:
        """The resolved recipe."""
        return self.folder / "recipe.yaml"

    def predictions_path(self, split: str, language: str) -> Path:
        """Return the file with the predictions on a split in a language.

        Args:
            split: The name of the split.
            language: The code of the language.

        Returns:
            `predictions/<split>/<language>.jsonl` in the run's folder; it need not exist.
        """
        return self.folder / "predictions" / split / f"{language}.jsonl"

    def lock_file(self) -> LockFile:
        """Return the lock of the run's fingerprint, which is not taken yet."""
        return LockFile(Path(os.path.abspath(self.folder)).with_name(f".{self.fingerprint}.lock"), self.folder)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other commands from working on runs of this fingerprint; the lock ends with the process.

        All processes of a launcher call it. The main one takes the lock, and the others wait with it. Where nothing can
        be written, a finished run is not locked, since it can only be read.

        Yields:
            Nothing; the lock is held while the block runs.

        Raises:
            UserError: The folder for runs cannot be written or locked, and the run is not finished.
        """
        with contextlib.closing(self.lock_file()) as lock:
            try:
                distributed.repeat_in_main_process(lambda: self._wait_for(lock))
            except UserError:
                if not self.is_finished:
                    raise
            yield

    def _wait_for(self, lock: LockFile) -> bool:
        with explain_write_errors(self.folder):
            lock.path.parent.mkdir(parents=True, exist_ok=True)
            return lock.wait(LOCK_SECONDS)

    def set_aside(self) -> Path | None:
        """Give the folder of a finished run another name, under which it is not found for its fingerprint.

        Returns:
            The new name, `<folder>.before-<number>`; None if there is no finished run.
        """
        if not self.is_finished:
            return None
        numbers = itertools.count(1)
        new = next(
            path for n in numbers if not (path := self.folder.with_name(f"{self.folder.name}.before-{n}")).exists()
        )
        with explain_write_errors(self.folder):
            self.folder.rename(new)
        return new

    def add_process(self, process: Mapping[str, Any], record: dict[str, Any]) -> None:
        """Note in the run's folder and in its record that a process works on it.

        Args:
            process: The process, as `runs.environment` describes it.
            record: The record, which gets all processes so far, those that were killed included.
        """
        try:
            noted = parse_json(self.processes_path.read_bytes())
            earlier = noted if isinstance(noted, list) else []
        except (OSError, ValueError):  # a note that is lost or damaged must not stop a run
            earlier = record.get("processes", [])
        record["processes"] = [*earlier, process]
        write_json_atomic(self.processes_path, record["processes"])

    def begin(self, record: Mapping[str, Any]) -> None:
        """Note what a run is to be, for those who list runs before it has a record, and forget an earlier failure.

        Args:
            record: The record so far.
        """
        if not self.is_finished:
            write_json_atomic(self.plan_path, {**record, "format": RECORD_FORMAT})
            self.failure_path.unlink(missing_ok=True)

    def note_failure(self, error: Exception) -> None:
        """Keep what an error says for those who list runs, unless the run is finished or the disk is full.

        Args:
            error: The error that has ended the run.
        """
        sentence = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
        if self.plan_path.is_file():
            with contextlib.suppress(UserError):
                write_json_atomic(self.failure_path, {"sentence": sentence})

    def remove_stale_files(self) -> None:
        """Remove files that nothing reads any more, and what a killed process left; call it under the lock."""
        with contextlib.suppress(OSError):  # the folder does not exist, or the disk is read-only
            for temporary in self.folder.rglob(".*.tmp"):
                temporary.unlink()
            if self.model_dir.is_dir():
                shutil.rmtree(self.checkpoints_dir, ignore_errors=True)
            if self.partial_record_path.read_bytes() == self.record_path.read_bytes():
                self.partial_record_path.unlink()

    def record(self) -> dict[str, Any] | None:
        """Read the record.

        Returns:
            The record, or None if the run is not finished.

        Raises:
            UserError: The record is damaged, or has another format.
        """
        return read_record_file(self.record_path)

    def require_record(self) -> dict[str, Any]:
        """Read the record of a run that has to be finished.

        Returns:
            The record.

        Raises:
            UserError: There is no record, or it is damaged.
        """
        record = self.record()
        if record is None:
            raise UserError(f"{self.folder}: has no record.json; name the folder of a finished run")
        return record

    def latest_record(self) -> dict[str, Any] | None:
        """Read the newest record of the run: the partial one, the record, or the one saved with the model.

        Returns:
            The record, or None if training has not finished.

        Raises:
            UserError: A record is damaged, or has another format.
        """
        paths = self.partial_record_path, self.record_path, self.model_dir / TRAINING_RECORD
        return next((record for path in paths if (record := read_record_file(path))), None)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write the record, which makes the run finished, and remove what it replaces.

        Args:
            record: The record without its format, which is added.
        """
        write_json_atomic(self.record_path, {**record, "format": RECORD_FORMAT})
        self.partial_record_path.unlink(missing_ok=True)
        for path in (self.processes_path, self.plan_path, self.failure_path):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.adapted_dir, ignore_errors=True)

    def write_partial_record(self, record: Mapping[str, Any]) -> None:
        """Write a record to which scores are still added, so that an interruption loses none of them.

        Args:
            record: The record without its format, which is added.
        """
        write_json_atomic(self.partial_record_path, {**record, "format": RECORD_FORMAT})

    def write_predictions(self, split: str, language: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the predictions on a split in a language, a JSON object on each line.

        Args:
            split: The name of the split.
            language: The code of the language.
            rows: Objects as `evaluation.prediction_rows` makes them, one for each example.
        """
        write_jsonl_atomic(self.predictions_path(split, language), rows)

    def read_predictions(self, split: str, language: str) -> list[dict[str, Any]]:
        """Read the predictions on a split in a language.

        Args:
            split: The name of the split.
            language: The code of the language.

        Returns:
            Objects with id, prediction, label, score and what else `evaluation.prediction_rows` knew of when they were
            written, in the order in which they were written. Files of the first versions have no image_ids, later
            ones no text, probabilities or similarities, and those after them no objects and regions.

        Raises:
            UserError: The file is missing or damaged.
        """
        return read_rows(self.predictions_path(split, language))

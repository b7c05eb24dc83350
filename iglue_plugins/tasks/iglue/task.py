"""What IGLUE's tasks share at full scale: examples from annotation files, regions from stores on disk."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path

from datasets import Dataset
from PIL import Image

from iglue_plugins.data.annotations.caching import VERSION, Annotations, content_digest, read_annotations
from iglue_plugins.data.annotations.hub import HubCopy
from iglue_plugins.data.stores.format import METADATA_FILE, read_metadata
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.config import Shots, Source
from iglue_plugins.tasks.settings import IGLUE_HOME, IGLUESettings
from iglue_plugins.tasks.spec import IGLUESpec
from iglue_plugins.tasks.volta import read_volta_task
from iglue_plugins.utils.errors import UserError, did_you_mean


class IGLUETask(IGLUESpec, Task):
    """A task whose examples and regions are read from files, which its `config` lists."""

    training_splits = {"source": "train", "auxiliary": "auxiliary", "few_shot": "few_shot"}

    def __init__(self, settings: IGLUESettings | None = None) -> None:
        super().__init__(settings)
        self._read = cache(self._read_source)
        if self.settings.volta_tasks is not None:
            facts = read_volta_task(self.settings.volta_tasks, self.config.volta_task)
            self.max_text_length, self.max_boxes = facts.max_text_length, facts.max_boxes
        self.max_boxes = self.settings.max_boxes or self.max_boxes

    # Where things are

    @property
    def data_root(self) -> Path:
        """Raises UserError when neither the settings nor the environment name it."""
        root = self.settings.data_root or os.environ.get(IGLUE_HOME)
        if not root:
            raise UserError(
                f"task {self.name}: found no data_root, expected task.data_root in the recipe, or the "
                f"environment variable {IGLUE_HOME}, to name the folder with IGLUE's data"
            )
        return Path(root)

    @property
    def datasets_folder(self) -> Path:
        """The folder that IGLUE's repository calls datasets/."""
        below = self.data_root / "datasets"
        return below if below.is_dir() else self.data_root

    @cached_property
    def regions(self) -> RegionStores:
        return RegionStores(self.settings.regions or self.data_root / "regions")

    @cached_property
    def hub(self) -> HubCopy | None:
        """The copy that the settings ask for."""
        facts, chosen = self.config.hub, self.settings.hub
        if chosen is False:
            return None
        if isinstance(chosen, str) and Path(chosen).is_dir():
            return HubCopy(self.name, chosen, None, self.labels)
        return HubCopy(self.name, facts.repository, facts.revision if chosen is True else chosen, self.labels)

    def picture(self, image_id: str) -> Image.Image:
        """An image of the test set from the hub's copy, decoded."""
        if self.hub is None:
            raise UserError(f"task {self.name} has region features only, expected task.hub to be set for pictures")
        store, _, name = image_id.rpartition("/")
        for source in self.config.splits["test"]:
            for language in source.languages:
                if language in self.config.hub.languages and source.store.format(language=language) == store:
                    return self.hub.picture(language, name)
        raise UserError(f"image '{image_id}' is none of the test set, whose pictures {self.hub} has")

    # Examples

    def load(self, split: str, language: str, shots: Shots | None = None) -> Dataset:
        """The examples of a split in a language, in the file's order.

        shots: for few_shot only, and needed there. What a file's reading leaves out is counted on stderr, once.

        Raises:
            UserError: the task has no such split, language or shots, or their file is not there or damaged.
        """
        self.check(split, language)
        if split != "auxiliary":
            source, count = split, shots
        elif shots is not None:
            raise UserError(
                f"task {self.name}: found {shots} shots for split 'auxiliary', expected them in task.auxiliary_shots"
            )
        elif self.settings.auxiliary == "few_shot":
            source, count = "few_shot", self.settings.auxiliary_shots
        else:
            source, count = "dev_translated", None
        self._check_source(split, source, language, count)
        return self._read(source, language, None if count is None else str(count))

    def few_shot_validation(self, language: str, source_language: str) -> tuple[str, str]:
        own = self.config.few_shot_validation
        return (own, language) if own else super().few_shot_validation(language, source_language)

    def keeps_unknown(self, split: str) -> bool:
        """Whether a split keeps examples with a label that the task does not have."""
        return False

    def _check_source(self, split: str, source: str, language: str, shots: Shots | None) -> None:
        """split: the one asked for. source: the one of the configuration that it stands for."""
        place, languages = f"task {self.name}: split '{split}'", self.config.split_languages(source)
        if language not in languages:
            raise UserError(f"{place}: found language '{language}'{did_you_mean(language, languages)}")
        choices = [str(choice) for choice in self.config.shots(source, language)]
        if (choices or shots is not None) and str(shots) not in choices:
            expected = f"one of {', '.join(choices)}" if choices else "none"
            raise UserError(f"{place} in '{language}': found {shots or 'no'} shots, expected {expected}")

    def _read_source(self, split: str, language: str, shots: str | None) -> Dataset:
        if split == "test" and self.hub is not None and language in self.config.hub.languages:
            source, place = self._sources(split, language, shots)[0], str(self.hub)
            store = source.store.format(language=language)
            found = self.hub.read(language, store, keep_unknown=self.keeps_unknown(split))
        else:
            source, path = self._source(split, language, shots)
            place = str(path)
            found = read_annotations(
                path,
                source.kind,
                language=language,
                store=source.store.format(language=language),
                labels=self.labels,
                keep_unknown=self.keeps_unknown(split),
            )
        examples = self._without(found.examples, source)
        if not any(caption is not None for caption in examples[:1]["caption"]):
            examples = examples.remove_columns("caption")
        self._report(place, found, len(examples), source.count("examples", language, shots), split)
        return examples

    def _sources(self, split: str, language: str, shots: str | None) -> list[Source]:
        return [
            source
            for source in self.config.splits[split]
            if language in source.languages and (shots is None or shots in map(str, source.shots))
        ]

    def _paths(self, source: Source, language: str, shots: str | None) -> list[Path]:
        return [self.datasets_folder / name.format(language=language, shots=shots) for name in source.file]

    def present(self, split: str, language: str, shots: str | None) -> tuple[Source, Path] | None:
        """The first source whose file is there, and the file."""
        return next(
            (
                (source, path)
                for source in self._sources(split, language, shots)
                for path in self._paths(source, language, shots)
                if path.is_file()
            ),
            None,
        )

    def _source(self, split: str, language: str, shots: str | None) -> tuple[Source, Path]:
        if found := self.present(split, language, shots):
            return found
        first = self._sources(split, language, shots)[0]
        raise UserError(
            f"{self._paths(first, language, shots)[0]}: found no such file, expected the examples of task "
            f"{self.name}, split '{split}', in '{language}', from {self.config.origins[first.origin]}"
        )

    def _without(self, examples: Dataset, source: Source) -> Dataset:
        """The examples but those of the source's `without`."""
        if not source.without:
            return examples
        left_out: set[str] = set()
        for name in source.without:
            path = self.datasets_folder / name
            if not path.is_file():
                raise UserError(
                    f"{path}: found no such file, expected the questions that are not in the test set of "
                    f"task {self.name}, from {self.config.origins[source.origin]}"
                )
            left_out.update(
                read_annotations(
                    path,
                    source.kind,
                    language=self.source_language,
                    store=source.store,
                    labels=self.labels,
                    keep_unknown=True,
                ).examples["id"][:]
            )
        return examples.select([i for i, id_ in enumerate(examples["id"][:]) if id_ not in left_out])

    def _report(self, place: str, found: Annotations, count: int, published: int | None, split: str) -> None:
        """Say what is not as one would expect of a file; ids that are there twice are an error but in training data."""
        counts = found.counts
        if counts.repeated and split != "train":
            raise UserError(f"{place}: found the id '{counts.first_repeated}' more than once, expected each id once")
        notes = []
        if counts.unlabelled:
            notes.append(
                f"left out {counts.unlabelled} of {counts.unlabelled + len(found.examples)} rows, which have "
                "none of the task's labels"
            )
        if counts.repeated:
            notes.append(f"found ids of earlier rows in {counts.repeated}, '{counts.first_repeated}' first")
        if published not in (None, count):
            notes.append(f"found {count} examples, {published} are published")
        if notes:
            print(f"{place}: {'; '.join(notes)}", file=sys.stderr)

    # What changes when the data do

    def fingerprint(self) -> str:
        """Of the content of every annotation file that is there but those of test sets, and of their region stores.

        Files are found by their names in `config`, so the folder that they lie in does not count.
        """
        content = {
            "reader": VERSION,
            "labels": self.config.labels,
            "reading": [self.max_text_length, self.max_boxes, self.global_region_takes_a_box],
            "splits": {
                split: [
                    source.model_dump(exclude={"origin", "examples", "unlabelled"})
                    for source in self.config.splits[split]
                ]
                for split in self._training_splits
            },
            "files": self.digests(),
            "regions": self._store_fingerprints(
                source.store.format(language=language)
                for split in self._training_splits
                for source in self.config.splits[split]
                for language in source.languages
            ),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def evaluation_fingerprint(self, split: str, language: str) -> str:
        if split not in self.config.splits:
            return self.fingerprint()
        found = self.present(split, language, None)
        files = (found[1], *(self.datasets_folder / name for name in found[0].without)) if found else ()
        content = {
            "reader": VERSION,
            "labels": self.config.labels,
            "files": [content_digest(file) for file in files if file.is_file()],
            "regions": self._store_fingerprints(
                source.store.format(language=language) for source in self._sources(split, language, None)
            ),
            "hub": self.hub and self.hub.fingerprint(),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def digests(self) -> dict[str, str]:
        """Of the content of every file that training may read and that is there, by name."""
        return {
            path.relative_to(self.datasets_folder).as_posix(): content_digest(path)
            for path in sorted(set(self._files()))
        }

    def _files(self) -> Iterator[Path]:
        for split in self._training_splits:
            for language in self.config.split_languages(split):
                for shots in self.config.shots(split, language) or (None,):
                    if found := self.present(split, language, None if shots is None else str(shots)):
                        yield found[1]

    @property
    def _training_splits(self) -> list[str]:
        return [split for split in self.config.splits if not split.startswith("test")]

    def _store_fingerprints(self, names: Iterable[str]) -> dict[str, str]:
        """Of those that are there."""
        return {
            name: read_metadata(self.regions.folder / name).fingerprint
            for name in sorted(set(names))
            if (self.regions.folder / name / METADATA_FILE).is_file()
        }

"""XVNLI, xGQA, MaRVL and xFlickr&Co at full scale, registered under their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import Field
from torch import Tensor

from iglue_plugins.data.annotations import content_digest, read_answers
from iglue_plugins.registry import tasks
from iglue_plugins.tasks.config import IGLUEConfig, configured
from iglue_plugins.tasks.iglue import IGLUETask, settings_of
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError

C = TypeVar("C", bound=type[IGLUETask])


def at_full_scale(name: str) -> Callable[[C], C]:
    """A class decorator that registers an IGLUE task with the facts and the settings of its file."""

    def decorate(cls: C) -> C:
        cls = configured(name, IGLUEConfig)(cls)
        cls.Settings = settings_of(cls.config, cls.Settings)
        return tasks.register(name)(cls)

    return decorate


@at_full_scale("xvnli")
class FullXVNLI(IGLUETask, XVNLI):
    """The caption is the premise, a sentence about the image."""

    default_pairs = "caption"


@at_full_scale("xgqa")
class FullXGQA(IGLUETask, XGQA):
    """The labels are GQA's answers. What goes with an image as its caption is the question with its answer."""

    default_pairs = "caption"
    captions_hold_labels = True

    @cached_property
    def labels(self) -> tuple[str, ...]:
        paths = [self.datasets_folder / name for name in self.config.answers.file]
        path = next(filter(Path.is_file, paths), None)
        if path is None:
            raise UserError(f"{paths[0]}: found no such file, expected the answers of task {self.name}, from "
                            f"{self.config.origins[self.config.answers.origin]}")
        answers = read_answers(path)
        if len(answers) != self.num_labels:
            raise UserError(f"{path}: found {len(answers)} answers, expected {self.num_labels}")
        return answers

    @property
    def num_labels(self) -> int:
        return self.config.answers.count

    def targets(self, labels: Sequence[str]) -> Tensor:
        """Answers as class indices, int64 (examples,); -1 for one outside of the vocabulary, which no model gives."""
        index = {label: i for i, label in enumerate(self.labels)}
        return torch.tensor([index.get(label, -1) for label in labels])

    def keeps_unknown(self, split: str) -> bool:
        """Test sets keep questions with an answer outside of the vocabulary: they count as misses."""
        return split.startswith("test")

    def _files(self) -> Iterator[Path]:
        yield from super()._files()
        yield from filter(Path.is_file, (self.datasets_folder / name for name in self.config.answers.file))


@at_full_scale("marvl")
class FullMaRVL(IGLUETask, MaRVL):
    """English is NLVR2."""


@at_full_scale("xflickrco")
class FullXFlickrCO(IGLUETask, XFlickrCO):
    """An example for each caption; Flickr30k has five of an image, the test set one."""

    class Settings(XFlickrCO.Settings):
        hard_negatives: int = Field(99, ge=1, description="as VOLTA; a hard wrong caption is of one of so many images")

    def digests(self) -> dict[str, str]:
        file = self.settings.hard_negatives_file
        return super().digests() | ({"hard_negatives_file": content_digest(Path(file))} if file else {})

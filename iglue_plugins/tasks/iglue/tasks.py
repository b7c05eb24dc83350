"""XVNLI, xGQA, MaRVL and xFlickr&Co at full scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from iglue_plugins.data.annotations.caching import content_digest
from iglue_plugins.data.annotations.readers import read_answers
from iglue_plugins.tasks.builtin import IGLUEMaRVLSpec, IGLUEXFlickrCOSpec, IGLUEXGQASpec, IGLUEXVNLISpec
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError


class IGLUEXVNLI(IGLUEXVNLISpec, IGLUETask, XVNLI):
    """The caption is the premise, a sentence about the image."""

    default_pairs = "caption"


class IGLUEXGQA(IGLUEXGQASpec, IGLUETask, XGQA):
    """The labels are GQA's answers. What goes with an image as its caption is the question with its answer."""

    default_pairs = "caption"
    captions_reveal_labels = True

    @cached_property
    def labels(self) -> tuple[str, ...]:
        paths = [self.datasets_folder / name for name in self.config.answers.file]
        path = next(filter(Path.is_file, paths), None)
        if path is None:
            raise UserError(
                f"{paths[0]}: found no such file, expected the answers of task {self.name}, from "
                f"{self.config.origins[self.config.answers.origin]}"
            )
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


class IGLUEMaRVL(IGLUEMaRVLSpec, IGLUETask, MaRVL):
    """English is NLVR2."""


class IGLUEXFlickrCO(IGLUEXFlickrCOSpec, IGLUETask, XFlickrCO):
    """An example for each caption; Flickr30k has five of an image, the test set one."""

    def digests(self) -> dict[str, str]:
        file = self.settings.hard_negatives_file
        return super().digests() | ({"hard_negatives_file": content_digest(Path(file))} if file else {})

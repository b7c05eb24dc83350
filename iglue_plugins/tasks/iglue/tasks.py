"""XVNLI, xGQA, MaRVL and xFlickr&Co at full scale."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from iglue_plugins.data.annotations.readers import read_answers
from iglue_plugins.tasks.builtin import IGLUEMaRVLSpec, IGLUEXFlickrCOSpec, IGLUEXGQASpec, IGLUEXVNLISpec
from iglue_plugins.tasks.config import AnswerVocabulary
from iglue_plugins.tasks.iglue.task import IGLUETask
from iglue_plugins.tasks.marvl import MaRVL
from iglue_plugins.tasks.settings import IGLUERetrievalSettings, IGLUESettings, PairChoice
from iglue_plugins.tasks.xflickrco import XFlickrCO
from iglue_plugins.tasks.xgqa import XGQA, vocabulary_targets
from iglue_plugins.tasks.xvnli import XVNLI
from iglue_plugins.utils.errors import UserError


class IGLUEXVNLI(IGLUEXVNLISpec, IGLUETask, XVNLI):
    """XVNLI, in which an example's caption is the premise, a sentence about the image."""

    default_pairs: ClassVar[PairChoice] = "caption"


class IGLUEXGQA(IGLUEXGQASpec, IGLUETask, XGQA):
    """xGQA, in which the labels are GQA's answers, and an example's caption is the question with its answer."""

    default_pairs: ClassVar[PairChoice] = "caption"
    captions_reveal_labels: ClassVar[bool] = True

    @cached_property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]  # mypy takes a cached_property for read-only
        """The answers of the vocabulary, read from the file that `config` names.

        Raises:
            UserError: The file is missing or damaged, or has another number of answers.
        """
        path = self._vocabulary_file
        if not path.is_file():
            origin = self.config.origins[self._vocabulary.origin]
            raise UserError(f"{path}: no such file; it holds the answers of task {self.name}, from {origin}")
        answers = read_answers(path)
        if len(answers) != self.num_labels:
            raise UserError(f"{path}: found {len(answers)} answers, expected {self.num_labels}")
        return answers

    @property
    def num_labels(self) -> int:
        """The number of answers in the vocabulary."""
        return self._vocabulary.count

    @property
    def _vocabulary_file(self) -> Path:
        """The first file of the vocabulary that exists, or the first."""
        paths = [self.datasets_folder / name for name in self._vocabulary.file]
        return next((path for path in paths if path.is_file()), paths[0])

    @property
    def _vocabulary(self) -> AnswerVocabulary:
        assert self.config.answers is not None  # task_configs/xgqa.yaml has it
        return self.config.answers

    @override
    def targets(self, labels: Sequence[str]) -> Tensor:
        return vocabulary_targets(labels, self.labels)

    def keeps_unknown_labels(self, split: str) -> bool:
        """Return True for test sets, in which questions with an answer outside the vocabulary count as misses."""
        return split.startswith("test")

    @override
    def files_of(self, split: str, language: str) -> list[Path]:
        return [self._vocabulary_file]


class IGLUEMaRVL(IGLUEMaRVLSpec, IGLUETask, MaRVL):
    """MaRVL, in which the English data are those of NLVR2."""


class IGLUEXFlickrCOSettings(IGLUESettings, IGLUERetrievalSettings):
    """The static type of the settings of xFlickr&Co, to which `iglue_settings` adds the choices of auxiliary data."""


class IGLUEXFlickrCO(IGLUEXFlickrCOSpec, IGLUETask, XFlickrCO):
    """xFlickr&Co, with an example for each caption; an image has five of them in Flickr30k, and one in the test set."""

    settings: IGLUEXFlickrCOSettings

    @override
    def files_of(self, split: str, language: str) -> list[Path]:
        file = self.settings.hard_negatives_file
        reads_it = language == self.source_language and not split.startswith("test")
        return [Path(file)] if file is not None and reads_it else []

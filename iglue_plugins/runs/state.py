"""The state of a run while its stages work on it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.base import LanguageAdapter, Trainer

SplitLanguage = tuple[str, str]


@dataclass(frozen=True)
class RunState:
    """What the stages of a run share.

    Attributes:
        recipe: The resolved recipe.
        run: The run's folder.
        task: The recipe's task.
        record: The record so far, which the stages add to.
        trainer: The recipe's trainer.
    """

    recipe: Recipe
    run: Run
    task: Task
    record: dict[str, Any]
    trainer: Trainer | LanguageAdapter

    def asked_scores(self) -> list[SplitLanguage]:
        """List the (split, language) pairs that the recipe evaluates, in its order."""
        evaluation = self.recipe.evaluation
        return [(split, language) for split in evaluation.splits for language in evaluation.languages]

    def missing_scores(self) -> list[SplitLanguage]:
        """List the (split, language) pairs of the recipe to evaluate.

        These are the pairs without scores of the recipe's evaluation settings in the record, those whose predictions
        are gone, and those whose data have changed.

        Returns:
            The pairs, in the order of the recipe.
        """
        return [pair for pair in self.asked_scores() if not self._is_scored(*pair)]

    def data_fingerprint(self, split: str, language: str) -> str:
        """Return a hash that changes whenever the data behind scores change.

        Args:
            split: The split.
            language: The language.

        Returns:
            The fingerprint of the examples; where the model was adapted to the language, together with those that the
            adaptation reads.
        """
        found = self.task.fingerprint(split, language)
        sources = self.recipe.source_languages
        if not isinstance(self.trainer, LanguageAdapter) or language in sources:
            return found
        read = self.trainer.reads(self.task, sources, (language,))
        adapted_on = {str(examples): self.task.fingerprint(*examples) for examples in read}
        return hashlib.sha256(json.dumps([found, adapted_on], sort_keys=True).encode()).hexdigest()

    def _is_scored(self, split: str, language: str) -> bool:
        scored = self.recipe.evaluation.scored_split(split)
        return (
            language in self.record["scores"].get(scored, {})
            and self.run.predictions_path(scored, language).is_file()
            and self.record.get("data", {}).get(scored, {}).get(language) == self.data_fingerprint(split, language)
        )

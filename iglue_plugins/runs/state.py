"""The state of a run while its stages work on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.folder import Run
from iglue_plugins.tasks.base import Task

SplitLanguage = tuple[str, str]


@dataclass(frozen=True)
class RunState:
    """What the stages of a run share.

    Attributes:
        recipe: The resolved recipe.
        run: The run's folder.
        task: The recipe's task.
        record: The record so far, which the stages add to.
    """

    recipe: Recipe
    run: Run
    task: Task
    record: dict[str, Any]

    def missing_scores(self) -> list[SplitLanguage]:
        """List the (split, language) pairs of the recipe to evaluate.

        These are the pairs without scores in the record, those whose predictions are gone, and those whose data have
        changed.

        Returns:
            The pairs, in the order of the recipe.
        """
        evaluation = self.recipe.evaluation
        pairs = [(split, language) for split in evaluation.splits for language in evaluation.languages]
        return [pair for pair in pairs if not self._is_scored(*pair)]

    def _is_scored(self, split: str, language: str) -> bool:
        data = self.record.get("data", {}).get(split, {}).get(language)
        return (
            language in self.record["scores"].get(split, {})
            and self.run.predictions_path(split, language).is_file()
            and data == self.task.evaluation_fingerprint(split, language)
        )

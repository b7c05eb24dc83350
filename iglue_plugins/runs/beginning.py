"""The first line of a run, which says whether it is new or where it resumes."""

from __future__ import annotations

from collections.abc import Sequence

from iglue_plugins.runs.state import RunState, SplitLanguage
from iglue_plugins.trainers.base import LanguageAdapter
from iglue_plugins.trainers.checkpoint_names import reached_step
from iglue_plugins.trainers.checkpoints import last_checkpoint
from iglue_plugins.utils.lines import say


def say_start(state: RunState, missing: Sequence[SplitLanguage]) -> None:
    """Say on standard error from where a run starts, and then which checkpoints are damaged and were removed.

    Args:
        state: The run, which is locked.
        missing: The (split, language) pairs that have no scores yet.
    """
    recipe, run = state.recipe, state.run
    damaged: list[str] = []
    wanted = len(recipe.evaluation.splits) * len(recipe.evaluation.languages)
    left = f"{len(missing)} of {wanted} languages left to evaluate"
    if isinstance(state.trainer, LanguageAdapter):
        doing, where = "adapting", "new" if len(missing) == wanted else f"resumed, {left}"
    elif run.model_dir.is_dir():
        doing, where = "evaluating", f"trained before, {left}"
    else:
        doing, where = "training", "new"
        if last_checkpoint(run.checkpoints_dir, damaged.append) and (found := reached_step(run.checkpoints_dir)):
            where = f"resumed at {found}"
    say(f"{doing} {recipe.name} (seed {recipe.seed}): {where}: {recipe.trainer.name}, {run.folder}")
    for line in damaged:
        say(line)

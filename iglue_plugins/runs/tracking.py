"""The scores of a finished run in the experiment trackers that its recipe names."""

from __future__ import annotations

import numpy as np

from iglue_plugins.runs.state import RunState
from iglue_plugins.trainers.tracking import log_scores


def track_scores(state: RunState) -> None:
    """Log the scores of a run's recipe by split, language and metric, and the mean over its target languages.

    Target languages are those that the run was not trained on. What goes wrong is said in a line.

    Args:
        state: The run, whose record has the scores.
    """
    record, evaluation = state.record, state.recipe.evaluation
    trained_on = {*state.recipe.source_languages, *record["training_languages"]}
    scores: dict[str, float] = {}
    for split in dict.fromkeys(map(evaluation.scored_split, evaluation.splits)):
        by_language = record["scores"].get(split, {})
        for language, metrics in by_language.items():
            scores |= {
                f"{split}/{language}/{name}": float(value) for name, value in metrics.items() if name != "examples"
            }
        metric = record["main_metric"]
        if targets := [metrics[metric] for language, metrics in by_language.items() if language not in trained_on]:
            scores[f"{split}/target_mean/{metric}"] = float(np.mean(targets))
    trackers = state.recipe.trainer.settings.get("report_to", ())
    if scores and trackers:
        shown = {"seed": state.recipe.seed, **state.recipe.trainer.settings}
        log_scores(trackers, state.run.folder, record["steps"], scores, shown)

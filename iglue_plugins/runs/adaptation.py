"""The stage of a run that adapts a model to each evaluated language."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import cast

import torch
from transformers import PreTrainedModel

from iglue_plugins.data.processors.base import Processor
from iglue_plugins.models.protocols import HasTaskHeads
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.evaluation import evaluate_model
from iglue_plugins.runs.plugins import load_model
from iglue_plugins.runs.record import Start, add_time
from iglue_plugins.runs.state import RunState
from iglue_plugins.trainers.base import LanguageAdapter
from iglue_plugins.utils import distributed
from iglue_plugins.utils.progress import labelled, print_line


def target_languages(recipe: Recipe) -> list[str]:
    """List the evaluated languages that a `LanguageAdapter` adapts to: all except source languages.

    Args:
        recipe: The resolved recipe.

    Returns:
        The language codes, in the order of the recipe.
    """
    return [language for language in recipe.evaluation.languages if language not in recipe.source_languages]


def adapt_and_evaluate(state: RunState, adapter: LanguageAdapter, start: Start) -> None:
    """Adapt the model to one language at a time, evaluate it, and drop it.

    Source languages are evaluated with the weights that each adaptation starts from.

    Args:
        state: The run, whose record gets the scores and what each adaptation found.
        adapter: The recipe's trainer.
        start: The weights that each adaptation starts from.

    Raises:
        UserError: The checkpoint is damaged, or the task has no examples to adapt to.
    """
    recipe, record = state.recipe, state.record
    missing = state.missing_scores()
    languages = list(dict.fromkeys(language for _, language in missing))
    for number, language in enumerate(languages, start=1):
        start_time, folder = time.monotonic(), state.run.adapted_dir / language
        load = partial(_load_with_head, state, start)
        if language not in recipe.source_languages and distributed.is_main_process():
            print_line(f"adapting to {language}, language {number} of {len(languages)}: {folder}")
        torch.manual_seed(recipe.seed)
        if language in recipe.source_languages:
            model, processor = load()
        else:
            with labelled(language):
                adapted = adapter.adapt(
                    load,
                    state.task,
                    language,
                    source_languages=recipe.source_languages,
                    seed=recipe.seed,
                    folder=folder,
                    evaluation_batch_size=recipe.evaluation.batch_size,
                )
            model, processor = adapted.model, adapted.processor
            record.setdefault("adaptation", {"summary": adapter.summary, "languages": {}})
            record["adaptation"]["languages"][language] = adapted.notes
            record["steps"] = max(record["steps"], adapted.notes["steps"])
        add_time(record, "training_seconds", start_time)
        evaluate_model(state, model, processor, [pair for pair in missing if pair[1] == language])
        if distributed.is_main_process():
            shutil.rmtree(folder, ignore_errors=True)


def _load_with_head(state: RunState, start: Start) -> tuple[PreTrainedModel, Processor]:
    """Load the model that each adaptation starts from, with the task's head, which the run's seed draws if need be."""
    model, processor = load_model(state.recipe, start.checkpoint)
    torch.manual_seed(state.recipe.seed)
    cast("HasTaskHeads", model).set_head(state.task.head, state.task.num_labels)
    return model, processor

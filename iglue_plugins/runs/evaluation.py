"""The evaluation of a run's model: predictions and scores, written language by language."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from iglue_plugins.data.processors.base import Processor
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.runs.record import add_time, peak_memory_gib
from iglue_plugins.runs.state import RunState, SplitLanguage
from iglue_plugins.utils import distributed
from iglue_plugins.utils.memory import keep_memory
from iglue_plugins.utils.progress import LineClock, labelled, print_line, prints_lines
from iglue_plugins.utils.threads import threads_for


def evaluate_model(
    state: RunState, model: PreTrainedModel, processor: Processor, pairs: Sequence[SplitLanguage]
) -> None:
    """Evaluate a model and add its scores to the record; each language's files are written when it is done.

    Args:
        state: The run, whose record gets the scores.
        model: The model, which is moved to the device and to the precision of the recipe.
        processor: The model's processor.
        pairs: The (split, language) pairs to evaluate.
    """
    record, evaluation = state.record, state.recipe.evaluation
    record["main_metric"] = state.task.main_metric
    record["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    device, dtype = distributed.device(), getattr(torch, evaluation.precision)
    model.to(device, dtype)  # type: ignore[arg-type]  # transformers' decorator of `to` loses its signature
    if evaluation.compile:
        model.compile(dynamic=True)
    clock, names = LineClock(), [f"{split}/{language}" for split, language in pairs]
    keep_memory()
    with threads_for(model):
        for number, (split, language) in enumerate(pairs, start=1):
            start = time.monotonic()
            how = evaluation.batch_size, evaluation.workers, state.recipe.limit
            with labelled(f"evaluation of {split}/{language}, language {number} of {len(pairs)}"):
                rows, scores = evaluate(state.task, model, processor, split, language, *how)
            scored = evaluation.scored_split(split)
            record["scores"].setdefault(scored, {})[language] = {**scores, "examples": len(rows)}
            data = state.data_fingerprint(split, language)
            record.setdefault("data", {}).setdefault(scored, {})[language] = data
            add_time(record, "evaluation_seconds", start)
            record["timings"]["peak_memory_gib"] = peak_memory_gib()
            if distributed.is_main_process():
                state.run.write_predictions(scored, language, rows)
                state.run.write_partial_record(record)
            if prints_lines() and (clock.is_due() or number == len(pairs)):
                done, left = ", ".join(names[:number]), ", ".join(names[number:]) or "none"
                print_line(f"evaluated {number} of {len(pairs)} languages: {done}; left: {left}")

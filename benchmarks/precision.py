"""How far evaluation in bfloat16 is from float32 on trained weights: logits, predictions and scores of a finished run.

    iglue run recipes/mini/xvnli/finetune.yaml
    python benchmarks/precision.py runs/finetune-0123456789ab --languages en,de,ta

Each language is evaluated twice by the task's own evaluation, as `evaluation.precision` does it. 'equal' counts the
examples with the same prediction, in retrieval the same best image. A processor without bfloat16 instructions emulates
them: slow, but the figures are the same up to the order of sums.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from iglue_plugins.data.processors.base import Processor
from iglue_plugins.evaluation.evaluator import evaluate
from iglue_plugins.runs import plugins
from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.trained_model import run_recipe
from iglue_plugins.tasks.base import Task
from iglue_plugins.utils import distributed, notices


def logits_and_predictions(
    model: PreTrainedModel, processor: Processor, task: Task, split: str, language: str
) -> tuple[Tensor, list[str], float]:
    """Every logit in the order of scoring, float32; each example's (best) prediction; the main metric in percent."""
    logits: list[Tensor] = []
    hook = model.register_forward_hook(lambda _, args, output: logits.append(output.float().flatten().cpu()))
    rows, scores = evaluate(task, model, processor, split, language)
    hook.remove()
    return torch.cat(logits), [best(row["prediction"]) for row in rows], scores[task.main_metric]


def best(prediction: Any) -> str:
    return prediction[0] if isinstance(prediction, list) else prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--split", default="test")
    parser.add_argument("--languages", default="en", help="comma-separated")
    options = parser.parse_args()
    notices.quiet_libraries()
    device, run = distributed.init_distributed().device, Run(options.run)
    recipe = run_recipe(run)
    task = plugins.make_task(recipe)
    model, processor = plugins.load_model(recipe, run.model_dir)
    models = [copy.deepcopy(model).to(device, dtype) for dtype in (torch.float32, torch.bfloat16)]
    print(f"{recipe.task.name}, {options.split} split, {device.type}")
    print("language examples  logits' deviation  difference largest  mean    equal    float32 bfloat16  points")
    for language in options.languages.split(","):
        (exact, expected, score), (rounded, found, low) = (
            logits_and_predictions(own, processor, task, options.split, language) for own in models
        )
        difference = (exact - rounded).abs()
        equal = sum(one == other for one, other in zip(expected, found, strict=True)) / len(expected)
        print(
            f"{language:8} {len(expected):8}  {exact.std():17.2f}  {difference.max():18.3f}  "
            f"{difference.mean():.4f}  {equal:6.2%}  {score:8.2f} {low:8.2f}  {low - score:+6.2f}"
        )


if __name__ == "__main__":
    main()

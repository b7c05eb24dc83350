"""Pictures of examples, to look at a task's data."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError

COLUMNS = 3
CELL = (3.4, 2.4)  # inches


def draw_examples(task: Task, split: str, language: str, count: int, path: Path) -> list[str]:
    """Draw the first examples of a split, their pictures included, to a PNG.

    Returns a line for each example, and a last one if no installed font has the language's letters.

    Raises:
        UserError: the task has no such split or language, or no pictures; or the file cannot be written.
    """
    dataset = task.load(split, language)
    examples = list(dataset.select(range(min(count, len(dataset)))))
    columns = min(COLUMNS, len(examples))
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(CELL[0] * columns, CELL[1] * rows), layout="constrained")
    figure.suptitle(f"{task.name}, {split}, {language}")
    for cell, (number, example) in zip(figure.subfigures(rows, columns, squeeze=False).flat, enumerate(examples, 1)):
        _draw(cell, number, example, task)
    lines = [f"{i}. {example['text']} -> {example['label']}" for i, example in enumerate(examples, 1)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FigureCanvasAgg(figure)
        try:
            figure.savefig(path, dpi=110, format="png")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror}), expected a path for a PNG") from error
    if any("missing from font" in str(warning.message) for warning in caught):
        lines.append(f"No installed font has all letters of '{language}': read its texts here, not in the picture.")
    return lines


def _draw(cell: Any, number: int, example: dict[str, Any], task: Task) -> None:
    title = textwrap.fill(f"{number}. {example['text']}", 36) + f"\n{example['label']}"
    cell.suptitle(title, fontsize=9, family=_families())
    for axes, image_id in zip(cell.subplots(1, len(example["image_ids"]), squeeze=False).flat, example["image_ids"]):
        axes.imshow(task.picture(image_id))
        axes.set_axis_off()


def _families() -> list[str]:
    """The default font, then every installed family whose name says that it covers other scripts."""
    wide = ("Noto Sans", "Noto Naskh", "Droid Sans Fallback", "Lohit", "WenQuanYi", "Arial Unicode")
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *sorted(name for name in installed if name.startswith(wide))]

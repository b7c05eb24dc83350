"""Drawings of a task's examples with their images."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from iglue_plugins.tasks.base import Task
from iglue_plugins.utils.errors import UserError

COLUMNS = 3
CELL = (3.4, 2.4)  # width and height of an example, in inches


def draw_examples(task: Task, split: str, language: str, count: int, path: Path) -> list[str]:
    """Draw the first examples of a split, with their images, to a PNG file.

    Args:
        task: The task.
        split: The name of the split.
        language: The code of the language.
        count: The number of examples to draw.
        path: The file to write.

    Returns:
        A line for each example, and a last one if no installed font has all letters of the language.

    Raises:
        UserError: The task has no such split or language, or no images; or the file cannot be written.
    """
    dataset = task.load(split, language)
    examples = list(dataset.select(range(min(count, len(dataset)))))
    columns = min(COLUMNS, len(examples))
    rows = -(-len(examples) // columns)
    figure = Figure(figsize=(CELL[0] * columns, CELL[1] * rows), layout="constrained")
    figure.suptitle(f"{task.name}, {split}, {language}")
    cells = figure.subfigures(rows, columns, squeeze=False)
    for cell, (number, example) in zip(cells.flat, enumerate(examples, 1), strict=False):  # the last row may be short
        _draw_example(cell, number, example, task)
    lines = [f"{i}. {example['text']} -> {example['label']}" for i, example in enumerate(examples, 1)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FigureCanvasAgg(figure)
        try:
            figure.savefig(path, dpi=110, format="png")
        except OSError as error:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); name a PNG file in a folder that can be written to"
            ) from error
    if any("missing from font" in str(warning.message) for warning in caught):
        lines.append(f"No installed font has all letters of '{language}': read its texts here, not in the picture.")
    return lines


def _draw_example(cell: SubFigure, number: int, example: dict[str, Any], task: Task) -> None:
    """Draw an example's number, text, label and images."""
    title = textwrap.fill(f"{number}. {example['text']}", 36) + f"\n{example['label']}"
    cell.suptitle(title, fontsize=9, family=_font_families())
    image_ids = example["image_ids"]
    for axes, image_id in zip(cell.subplots(1, len(image_ids), squeeze=False).flat, image_ids, strict=True):
        axes.imshow(task.pictures.picture(image_id))
        axes.set_axis_off()


def _font_families() -> list[str]:
    """List the default font, then every installed family that covers other scripts, judging by its name."""
    wide = ("Noto Sans", "Noto Naskh", "Droid Sans Fallback", "Lohit", "WenQuanYi", "Arial Unicode")
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["DejaVu Sans", *sorted(name for name in installed if name.startswith(wide))]

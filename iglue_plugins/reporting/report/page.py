"""The page of a report, and what stands in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from iglue_plugins.reporting.averages import TaskAverage
from iglue_plugins.reporting.comparison import Comparison
from iglue_plugins.reporting.details import average_details, details, matrix_details
from iglue_plugins.reporting.markdown import difference_cells, difference_headers
from iglue_plugins.reporting.matrix import Matrix
from iglue_plugins.reporting.matrix_exports import matrix_cells
from iglue_plugins.reporting.notes import average_notes, matrix_notes, notes
from iglue_plugins.reporting.report.confusions import Confusion
from iglue_plugins.reporting.report.examples import TaskExamples
from iglue_plugins.reporting.report.languages import direction, language_tag
from iglue_plugins.reporting.slice_tables import slice_cells
from iglue_plugins.reporting.slice_wording import NOUNS, describe_slopes, slice_notes
from iglue_plugins.reporting.slices import SliceTable
from iglue_plugins.reporting.table_rows import table_rows
from iglue_plugins.reporting.wording import describe, describe_matrix, figure_text, mean_text, std_text, title
from iglue_plugins.utils.files import write_atomic
from iglue_plugins.utils.version import package_version

PAGE = "index.html"
OPEN_TAG_OR_ENTITY = re.compile("[<>&\u2028\u2029]")  # what HTML or older JavaScript would read in JSON


@dataclass(frozen=True)
class TaskSection:
    """What the page says of one task.

    Attributes:
        task: The task's name.
        seeds: The seeds of every row.
        comparison: The comparison of its rows; None where they leave no target language.
        bars: The chart of the comparison.
        matrix: The matrix of a sweep over auxiliary languages among the rows, or None.
        heat_map: The heat map of the matrix.
        curves: The learning curves; None if no run has logged any.
        slices: The rows' differences in slices of the examples; None where there is no comparison, or nothing to cut.
        confusions: What each row answers in the target languages; none in retrieval.
        confused_languages: The languages of the confusions.
        examples: The examples on which rows disagree, or None.
        lacks: Sentences on pictures that are not there.
    """

    task: str
    seeds: tuple[int, ...]
    comparison: Comparison | None
    bars: Markup | None
    matrix: Matrix | None
    heat_map: Markup | None
    curves: Markup | None
    slices: SliceTable | None
    confusions: Sequence[Confusion]
    confused_languages: Sequence[str]
    examples: TaskExamples | None
    lacks: Sequence[str]

    @property
    def anchor(self) -> str:
        """The start of the ids of the section's headings."""
        return anchor(self.task)


def anchor(name: str) -> str:
    """Return the id of a task in the page: letters, digits and hyphens, after "task-", as no other id there begins.

    Args:
        name: The task's name; two names have different ids.
    """
    words = re.findall("[A-Za-z0-9]+", name)
    digest = [] if "/".join(words) == name else [hashlib.sha256(name.encode()).hexdigest()[:8]]
    return "-".join(["task", *words, *digest])


def write_page(sections: Sequence[TaskSection], average: TaskAverage | None, split: str, folder: Path) -> Path:
    """Write the page; one that is there is replaced when the new one is whole.

    Args:
        sections: A section for each task.
        average: The average over tasks, where there are several.
        split: The split of all scores.
        folder: The folder of the page, which is made if need be.

    Returns:
        The path of the page.

    Raises:
        UserError: The file cannot be written.
    """
    page = render(sections, average, split)
    return write_atomic(folder / PAGE, page.encode(errors="backslashreplace"))  # names of folders need not be UTF-8


def render(sections: Sequence[TaskSection], average: TaskAverage | None, split: str) -> str:
    """Make the text of the page.

    Args:
        sections: A section for each task.
        average: The average over tasks, where there are several.
        split: The split of all scores.
    """
    environment = _environment()
    script = environment.get_template("script.js").render()
    return environment.get_template("index.html").render(
        sections=sections,
        average=average,
        split=split,
        version=package_version(),
        style=Markup(environment.get_template("style.css").render()),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=script_json(_data(sections)),
        examples=[section.examples for section in sections if section.examples],
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    functions = (
        anchor, average_details, average_notes, describe, describe_matrix, describe_slopes, details, difference_cells,
        difference_headers, figure_text, matrix_cells, matrix_details, matrix_notes, mean_text, notes, slice_cells,
        slice_notes, std_text, table_rows, title,
    )  # fmt: skip
    environment.globals |= {function.__name__: function for function in functions} | {"NOUNS": NOUNS}
    return environment


def _data(sections: Sequence[TaskSection]) -> dict[str, Any]:
    """Collect what the page's script reads: the examples, and how their languages are written."""
    tasks = [section.examples.data for section in sections if section.examples]
    languages = dict.fromkeys(example[0] for task in tasks for example in task["examples"])
    return {
        "languages": {code: [language_tag(code), direction(code)] for code in languages},
        "tasks": tasks,
    }


def script_json(value: Mapping[str, Any]) -> Markup:
    """Format JSON for a script element, in which no text of the data can end the element or begin a comment.

    Args:
        value: JSON values.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(OPEN_TAG_OR_ENTITY.sub(lambda found: f"\\u{ord(found[0]):04x}", text))

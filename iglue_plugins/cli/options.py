"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iglue_plugins.utils.errors import UserError

if TYPE_CHECKING:
    from iglue_plugins.tasks.base import Task

DataRoot = Annotated[
    Path | None,
    typer.Option(help="the folder with the data; default: IGLUE_HOME; custom/ tasks: or a YAML file"),
]
Seeds = Annotated[str, typer.Option(help="comma-separated; each recipe is run with each seed")]
Split = Annotated[str, typer.Option(help="the split to score")]
Margin = Annotated[
    float | None,
    typer.Option(help="the largest difference to the first row that does not matter, in points, such as 1.0"),
]
Notes = Annotated[
    bool, typer.Option("--notes", help="say all that is known of the numbers below a table, not only the main notes")
]
Jobs = Annotated[int, typer.Option(min=1, help="runs at a time on this machine, a process each")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="KEY.PATH=VALUE for every recipe")]
Published = Annotated[bool, typer.Option("--published", help="add the figures of the IGLUE paper")]
PublishedModels = Annotated[str | None, typer.Option(help="only the figures of these models, such as ctrl_xuniter,uc2")]
PublishedSettings = Annotated[
    str | None, typer.Option(help="such as zero_shot (the default), translate_test, few_shot")
]
LMMSEvalFiles = Annotated[
    list[Path] | None,
    typer.Option(help="add a result file of lmms-eval (<date>_results.json); several times for several"),
]
Launcher = Annotated[str, typer.Option(help="processes; or slurm or local: jobs, by submitit")]
JobParameters = Annotated[
    list[str] | None,
    typer.Option(
        "--launch",
        metavar="KEY=VALUE",
        help="a parameter of jobs, by submitit's names, such as slurm_partition=gpu; may be repeated",
    ),
]


def load_task(name: str, data_root: Path | None, overrides: Sequence[str] = ()) -> Task:
    """Make the task that a command names.

    Args:
        name: The task's registered name.
        data_root: The folder with the task's data; None leaves it to the task's settings.
        overrides: Settings of the task, such as pictures=FOLDER.

    Raises:
        UserError: There is no such task, it brings its own data, or a setting is wrong.
    """
    from iglue_plugins import registry
    from iglue_plugins.recipes.problems import Problems, validate
    from iglue_plugins.recipes.reading import merge, read_overrides
    from iglue_plugins.tasks.settings import data_setting

    cls = registry.tasks.load(name)
    if data_root is None and not overrides:
        return cls()
    problems = Problems()
    given: dict[str, Any] = {"task": {}}
    for layer in read_overrides([f"task.{override}" for override in overrides], problems):
        given = merge(given, layer.data)
    if data_root is not None:
        setting = data_setting(cls.Settings)
        if setting is None:
            raise UserError(f"--data-root: the task {name} brings its own data; leave the option out")
        given["task"][setting] = str(data_root)
    owner = f"task {name}"
    settings = validate(cls.Settings, given["task"], owner, lambda key, text: problems.add(owner, key, text))
    problems.raise_if_any()
    return cls(settings)

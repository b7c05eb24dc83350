"""`iglue data`: a task's data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iglue_plugins.cli.detect import detect
from iglue_plugins.cli.options import DataRoot, load_task
from iglue_plugins.cli.pictures import pictures
from iglue_plugins.cli.show import show
from iglue_plugins.cli.stores import convert, export, extract
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.imports import heavy_imports
from iglue_plugins.utils.notices import quiet_libraries

if TYPE_CHECKING:
    from iglue_plugins.data.checking import ImageCheck
    from iglue_plugins.tasks.base import Task

app = typer.Typer(help="Look at, make, convert and check a task's data.", no_args_is_help=True)
app.command()(show)
app.command()(convert)
app.command()(extract)
app.command()(detect)
app.command()(export)
app.command()(pictures)


@app.command("check")
def check(
    task: Annotated[
        str, typer.Argument(metavar="TASK_OR_RECIPE", help="a task's name, such as xvnli, or a recipe (.yaml)")
    ],
    data_root: DataRoot = None,
) -> None:
    """Say what a recipe lacks, or which images of a task lack regions and what is damaged; exit code 1 if anything.

    Of a recipe, all that it and the stages before it need is looked for: checkpoints, annotation files, region
    features, room on the disk. Of a task, all splits and stores are read, and of a user's own data all pictures.
    """
    if Path(task).suffix in (".yaml", ".yml"):
        check_recipe(Path(task), data_root)
        return

    from iglue_plugins.data.checking import check_store, damaged_pictures

    checked = load_task(task, data_root)
    for line in checked.count_table():
        print(line)
    faults = 0
    seen: dict[str, None] = {}  # all images, in order
    missing_stores: dict[str, str | None] = {}  # why a store cannot be read; None for one that can
    lines: dict[tuple[str, str], list[str]] = {}  # the languages of each split and what there is to say of it
    for split, language, choices in checked.available_splits():
        image_ids: list[str] = []
        for shots in choices:
            try:
                examples = checked.load(split, language, *(() if shots is None else (shots,)))
            except UserError as error:
                lines.setdefault((split, f"not there: {error}"), []).append(language)
            else:
                image_ids += [image_id for ids in examples["image_ids"] for image_id in ids]
        seen |= dict.fromkeys(image_ids)
        for found in _check_images(checked, image_ids):
            lines.setdefault((split, str(found)), []).append(language)
            faults += len(found.missing)
            missing_stores[found.store] = found.missing_store
    for (split, line), languages in lines.items():
        print(f"{split} {' '.join(languages)}: {line}")
    if "pixels" in checked.image_kinds:
        damaged = damaged_pictures(seen, checked.pictures)
        print(*damaged or ["pictures: nothing is damaged"], sep="\n")
        faults += len(damaged)
    for store, folder in _store_folders(checked, [store for store, missing in missing_stores.items() if not missing]):
        findings = check_store(folder)
        print(*findings or [f"{store}: nothing is damaged"], sep="\n")
        faults += len(findings)
    if faults or not missing_stores:
        raise typer.Exit(1)


def _check_images(task: Task, image_ids: list[str]) -> list[ImageCheck]:
    """Find out which images lack what the task has of images: region features, pictures, or both."""
    from iglue_plugins.data.checking import check_images, check_pictures

    checks = check_images(image_ids, task.regions) if "regions" in task.image_kinds else []
    return [*checks, *(check_pictures(image_ids, task.pictures) if "pixels" in task.image_kinds else [])]


def _store_folders(task: Task, stores: list[str]) -> list[tuple[str, Path]]:
    """Return the folders of region stores, with the names under which they are checked."""
    from iglue_plugins.data.stores.mapped_regions import MappedRegions
    from iglue_plugins.data.stores.region_stores import RegionStores

    regions = task.regions if "regions" in task.image_kinds else None
    if isinstance(regions, RegionStores):
        return [(store, regions.folder / store) for store in stores]
    return [(str(regions.folder), regions.folder)] if isinstance(regions, MappedRegions) else []


def check_recipe(path: Path, data_root: Path | None) -> None:
    """Print what a recipe and the stages before it lack.

    Args:
        path: The recipe.
        data_root: The folder with the data; None leaves it to the recipe.

    Raises:
        UserError: The recipe has problems.
        typer.Exit: Something is lacking; the exit code is 1.
    """
    from iglue_plugins.recipes.recipe import load_recipe

    recipe = load_recipe(
        path, [] if data_root is None else [f"task.{_data_setting(path)}={json.dumps(str(data_root))}"]
    )

    with heavy_imports():
        from iglue_plugins.runs import preflight, runner

    quiet_libraries()
    stages = runner.unfinished_stages(recipe)
    for stage in stages:
        print(f"to do: {stage.name} ({stage.trainer.name} on {stage.task.name})")
    if not stages:
        print(f"{recipe.name}: finished before")
    sentences = preflight.lacking(stages)
    print(*(sentences or ["nothing is lacking"]), sep="\n")
    if sentences:
        raise typer.Exit(1)


def _data_setting(path: Path) -> str:
    """Return the setting of a recipe's task that says where its data are."""
    from iglue_plugins import registry
    from iglue_plugins.recipes.recipe import task_name
    from iglue_plugins.tasks.settings import data_setting

    name = task_name(path)
    return (data_setting(registry.tasks.get(name).Settings) if name in registry.tasks.names() else None) or "data_root"

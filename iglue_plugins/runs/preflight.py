"""What a run needs, looked for before its first step: models, examples, region features, and room on the disk."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from iglue_plugins.data.checking import check_images, check_pictures
from iglue_plugins.data.image_kind import ImageKind
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.data.stores.region_stores import RegionStores
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs.adaptation import target_languages
from iglue_plugins.runs.planning import PlanningProcessor
from iglue_plugins.runs.plugins import check_model, check_regions, image_kind, make_task, make_trainer
from iglue_plugins.tasks.base import Task
from iglue_plugins.tasks.spec import ExampleSet
from iglue_plugins.trainers.base import LanguageAdapter, Trainer
from iglue_plugins.trainers.tracking import check_trackers
from iglue_plugins.trainers.training_data import TrainingData
from iglue_plugins.utils.errors import UserError

# A checkpoint holds the weights and two moments of AdamW; two are kept while a third is written.
WEIGHTS_IN_CHECKPOINTS = 9


def lacking(stages: Sequence[Recipe]) -> list[str]:
    """Find all that runs lack, without training anything.

    Args:
        stages: The stages that are not finished, of one run or of several.

    Returns:
        A sentence for each thing that is missing, damaged or does not fit; empty if the run can begin.
    """
    distinct = list({json.dumps(_without_seed(stage), sort_keys=True): stage for stage in stages}.values())
    sentences = dict.fromkeys(sentence for stage in distinct for sentence in _lacking_in_stage(stage))
    return [*sentences, *_lacking_room(stages)]


def _without_seed(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in recipe.to_dict().items() if key not in ("name", "seed")}


def require(stages: Sequence[Recipe]) -> None:
    """Refuse runs that lack something, naming all of it at once.

    Args:
        stages: The stages that are not finished.

    Raises:
        UserError: Something is lacking.
    """
    sentences = lacking(stages)
    if len(sentences) == 1:
        raise UserError(sentences[0])
    if sentences:
        listed = "".join(f"\n  - {sentence}" for sentence in sentences)
        raise UserError(f"{len(sentences)} things are lacking, so nothing was run:{listed}")


def check_examples(recipe: Recipe) -> None:
    """Check that a task has the examples that the recipe's trainer reads, apart from the source languages'.

    Args:
        recipe: The resolved recipe.

    Raises:
        UserError: Examples are missing.
    """
    task, trainer = make_task(recipe), make_trainer(recipe)
    for examples in trainer.reads(task, recipe.source_languages, _trained_languages(recipe, trainer)):
        if examples.language not in recipe.source_languages:
            task.load(*examples)


def _trained_languages(recipe: Recipe, trainer: Trainer | LanguageAdapter) -> tuple[str, ...]:
    """Return the languages, besides the source languages, that a trainer takes examples of."""
    if not isinstance(trainer, LanguageAdapter):
        return tuple(recipe.auxiliary_languages)
    return tuple(target_languages(recipe))


def _lacking_in_stage(recipe: Recipe) -> Iterator[str]:
    if recipe.previous() is None:
        yield from _problem(check_model, recipe)
    try:
        task, trainer = make_task(recipe), make_trainer(recipe)
        languages = _trained_languages(recipe, trainer)
        needed = trainer.reads(task, recipe.source_languages, languages)
    except UserError as error:
        yield str(error)
        return
    yield from _problem(check_trackers, recipe.trainer.settings.get("report_to", ()))
    if isinstance(trainer, LanguageAdapter):
        for language in languages:
            yield from _problem(trainer.check, task, language)
    evaluation, read = recipe.evaluation, list(needed)
    needed += [ExampleSet(split, language) for split in evaluation.splits for language in evaluation.languages]
    reads = image_kind(recipe)
    sizes: dict[int, str] = {}
    found = {examples: list(_lacking_examples(task, examples, reads, sizes)) for examples in dict.fromkeys(needed)}
    yield from itertools.chain.from_iterable(found.values())
    for size, where in sizes.items():
        yield from _problem(check_regions, recipe, where, size)
    if isinstance(trainer, Trainer) and not any(found[examples] for examples in read):
        yield from _problem(count_steps, recipe, task, trainer)


def count_steps(recipe: Recipe, task: Task, trainer: Trainer) -> int:
    """Count the optimizer steps of a training; texts are not tokenized for it.

    Args:
        recipe: The resolved recipe.
        task: Its task.
        trainer: Its trainer.

    Returns:
        The number of steps.

    Raises:
        UserError: There are too few examples, or none.
    """
    languages = tuple(recipe.auxiliary_languages)
    processor = PlanningProcessor(image_kind(recipe))
    data = TrainingData(task, processor, recipe.source_languages, languages, recipe.seed, trainer.settings.examples)
    steps = -(-len(trainer.steps(data)) // trainer.settings.accumulation)
    return steps if recipe.limit is None else min(recipe.limit, steps)


def _problem(check: Callable[..., object], *arguments: Any) -> Iterator[str]:
    try:
        check(*arguments)
    except UserError as error:
        yield str(error)


def _lacking_examples(task: Task, examples: ExampleSet, reads: ImageKind, sizes: dict[int, str]) -> Iterator[str]:
    """Say what examples and their images lack; the sizes of region features go to `sizes`, with a store of each."""
    try:
        ids = image_ids(task.load(*examples))
    except UserError as error:
        yield str(error)
        if reads == "regions":
            yield from _problem(_require_stores, task, examples)
        return
    try:
        checks = check_images(ids, task.regions) if reads == "regions" else check_pictures(ids, task.pictures)
    except UserError as error:
        yield str(error)
        return
    for found in checks:
        where = task.where_to_get(found.store) if reads == "regions" else ""
        if found.missing_store is not None:
            yield f"{found.missing_store}{where}"
            continue
        if found.missing:
            yield f"task {task.name}, {examples}: {found}{where}"
        if reads == "regions":
            sizes.setdefault(*_feature_size(task, found.store))


def _feature_size(task: Task, name: str) -> tuple[int, str]:
    """Return the size of the region features of a store that can be opened, and what to call it."""
    regions = task.regions.store(name) if isinstance(task.regions, RegionStores) else task.regions
    where = str(regions.folder) if isinstance(regions, MappedRegions) else f"task {task.name}"
    return regions.feature_size, where


def _require_stores(task: Task, examples: ExampleSet) -> None:
    """Open the stores of the images of examples that cannot be read."""
    for store in task.stores_of(*examples):
        for found in check_images([f"{store}/"], task.regions):
            if found.missing_store is not None:
                raise UserError(f"{found.missing_store}{task.where_to_get(store)}")


def image_ids(examples: Dataset) -> list[str]:
    """List the images of examples, each once.

    Args:
        examples: Rows with `image_ids`.

    Returns:
        The ids, in the order of their first example.
    """
    column = examples.select_columns("image_ids").with_format("arrow")[:]["image_ids"]
    return pc.unique(pc.list_flatten(column)).to_pylist()


def _lacking_room(stages: Sequence[Recipe]) -> Iterator[str]:
    """Say if the disk has less room than the models and checkpoints take, as far as their sizes are known."""
    sizes = [weights_size(stage) for stage in {json.dumps(stage.to_dict()): stage for stage in stages}.values()]
    needed = room(sizes)
    if not needed:
        return
    folder = next(path for path in (stages[-1].runs.absolute(), *stages[-1].runs.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        yield (
            f"runs: {stages[-1].runs} is on a disk with {free / 2**30:.1f} GiB free, but models and checkpoints of "
            f"{len(sizes)} stages take about {needed / 2**30:.1f} GiB; make room, or set runs to a folder elsewhere"
        )


def room(sizes: Sequence[int]) -> int:
    """Return the bytes that stages take while the largest trains: their models, and its checkpoints.

    Args:
        sizes: The bytes of the weights of each stage.
    """
    return sum(sizes) + WEIGHTS_IN_CHECKPOINTS * max(sizes, default=0)


def weights_size(recipe: Recipe) -> int:
    """Return the size in bytes of the weights that a recipe's run stores; 0 if it is not known, or an adapter's.

    Args:
        recipe: The resolved recipe.
    """
    if recipe.model.adapter:
        return 0
    settings = recipe.model.settings
    source = Path(settings.get("checkpoint") or settings.get("text_weights") or "")
    files = [source] if source.is_file() else [*source.glob("*.safetensors"), *source.glob("*.bin")]
    return sum(file.stat().st_size for file in files) if str(source) != "." else 0

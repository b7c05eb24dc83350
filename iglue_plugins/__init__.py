"""XVL-MAML meta-learning and the IGLUE tasks as plug-ins for a recipe-driven benchmark harness."""

from __future__ import annotations

import contextlib
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iglue_plugins import registry
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.version import package_version

if TYPE_CHECKING:
    from iglue_plugins.runs.predictor import Predictor

__version__ = package_version()


def load_run(
    source: str | Path,
    *,
    revision: str | None = None,
    settings: Sequence[str] = (),
    detector: str | None = None,
    preset: str | None = None,
    weights: str | None = None,
    weights_revision: str | None = None,
    boxes: int | None = None,
    device: str = "auto",
) -> Predictor:
    """Load the model of a finished run, to ask it about images and texts of one's own.

    `load_run("runs/finetune-0123456789ab")("photo.jpg", text="Two dogs play.")` is a prediction, which can be printed.

    Args:
        source: The folder of the run or of its model; or the hub id of one that was pushed, OWNER/NAME. Of such a
            repository nothing is read that could run code.
        revision: The hub revision of the run: a commit, tag or branch.
        settings: Changes of the run's recipe, of the form `key.path=value`, such as `task.data_root=FOLDER`.
        detector: What makes regions of pictures, for a model that reads regions; default: what made the region store of
            the run's task.
        preset: How the detector's boxes are chosen; default: the detector's.
        weights: The file, folder or hub id of the detector's weights; default: those that the store or the detector
            names.
        weights_revision: The hub revision of the detector's weights.
        boxes: The number of boxes of a detector of transformers; default: its usual number.
        device: The device of the model; 'auto' is a GPU if there is one.

    Returns:
        The predictor, which is called with images and a text.

    Raises:
        UserError: There is no finished run, it cannot be fetched, it keeps no model or a damaged one, its task's data
            are missing, or there is no such device.
    """
    from iglue_plugins.runs.predictor import Predictor
    from iglue_plugins.runs.region_extractors import ExtractorChoice

    choice = ExtractorChoice(detector, preset, weights, weights_revision, boxes)
    return Predictor.from_run(source, choice, device, revision, settings)


def register(host: Any) -> dict[str, list[str]]:
    """Put every trainer and task into another harness's registry, as the classes that they are.

    The host makes and calls them by their own interface: `Task(settings)`, and `Trainer(settings).fit(model, ...)` or,
    for a trainer of each target language, `.adapt(model, ...)`, with settings made by `Trainer.Settings(...)`. They
    have no methods of a host's base classes and read no configuration of a host: one that hands it to them gets a
    TypeError, and one that demands its own base class refuses them.

    Args:
        host: One of
            - an object with `register_trainer(name)` or `register_task(name)` or both, which return class decorators;
            - a mapping with a mutable mapping under "trainers" or "tasks" or both;
            - any other mutable mapping, which gets trainers and tasks alike under their names.

    Returns:
        The registered names, {"trainers": [...], "tasks": [...]}, with only the kinds that the host takes.

    Raises:
        UserError: The host is none of these, has one of the names for another class, or refuses a class, with what the
            host said.
    """
    plugins = {
        known.kind: {name: known.load(name) for name in known.names()} for known in (registry.trainers, registry.tasks)
    }
    if isinstance(host, MutableMapping):
        mappings = {kind: host[f"{kind}s"] for kind in plugins if isinstance(host.get(f"{kind}s"), MutableMapping)}
        mappings = mappings or dict.fromkeys(plugins, host)
        _fill_mappings(mappings, plugins)
        kinds = list(mappings)
    else:
        decorators = {kind: getattr(host, f"register_{kind}", None) for kind in plugins}
        kinds = [kind for kind, decorator in decorators.items() if callable(decorator)]
        for kind in kinds:
            lookup = getattr(host, f"get_{kind}_class", None)
            for name, cls in plugins[kind].items():
                _decorate(kind, decorators[kind], lookup, name, cls)
    if not kinds:
        raise UserError(
            f"a host of type {type(host).__name__} cannot take plugins; give a mutable mapping, or an object with "
            "register_trainer(name) or register_task(name)"
        )
    return {f"{kind}s": list(plugins[kind]) for kind in kinds}


def _fill_mappings(mappings: dict[str, MutableMapping[str, Any]], plugins: dict[str, dict[str, type]]) -> None:
    for kind, mapping in mappings.items():
        for name, cls in plugins[kind].items():
            _check_free(kind, name, cls, mapping.get(name))
    for kind, mapping in mappings.items():
        mapping.update(plugins[kind])


def _decorate(kind: str, decorator: Any, lookup: Any, name: str, cls: type) -> None:
    """Register a class by the host's decorator; `lookup` is its get_<kind>_class, for hosts that overwrite silently."""
    if lookup is not None:
        with contextlib.suppress(LookupError):
            _check_free(kind, name, cls, lookup(name))
    try:
        decorator(name)(cls)
    except Exception as error:
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise UserError(f"the host refused the {kind} '{name}' ({registry.class_path(cls)}): {said}") from error


def _check_free(kind: str, name: str, cls: type, present: Any) -> None:
    if present is None or present is cls:
        return
    theirs = registry.class_path(present) if isinstance(present, type) else repr(present)
    raise UserError(
        f"the host already has '{name}': {theirs}, which the {kind} {registry.class_path(cls)} would replace"
    )

"""The files of a run that leave this machine, and what stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iglue_plugins.models.adapter_files import ORIGIN, holds_adapter
from iglue_plugins.runs.folder import RECORD, Run
from iglue_plugins.runs.plugins import why_without_model
from iglue_plugins.runs.record_checks import check_record
from iglue_plugins.runs.sharing.card import edited_card, make_card
from iglue_plugins.runs.sharing.private_values import public_configuration, public_record
from iglue_plugins.runs.status import file_sizes
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import MODEL_CARD
from iglue_plugins.utils.model_sources import is_local_path
from iglue_plugins.utils.strict_json import parse_json

RECIPE = "recipe.yaml"
CONFIGURATIONS = (  # whose values may be paths
    "config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "adapter_config.json",
    ORIGIN,
)
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")  # formats that can run code when they are read
STAYING = ("checkpoints", "tensorboard", "adapted")


@dataclass(frozen=True)
class PublicFile:
    """A file that is sent.

    Attributes:
        name: Its path in the repository.
        content: Its bytes, or the file that has them.
    """

    name: str
    content: bytes | Path

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size


@dataclass(frozen=True)
class PublicFiles:
    """What leaves this machine of a run.

    Attributes:
        files: The files that are sent.
        staying: What stays, in words.
    """

    files: list[PublicFile]
    staying: list[str]


def public_files(run: Run, hub_id: str, with_predictions: bool = False, licence: str | None = None) -> PublicFiles:
    """Collect what is sent of a run: its model, card, record and recipe, without local paths, hosts and commands.

    Args:
        run: The run.
        hub_id: The repository, which the card names.
        with_predictions: Whether predictions are sent, which have the texts of the data.
        licence: The licence of the weights, as the hub names licences; None where it is not known.

    Returns:
        The files, and what stays.

    Raises:
        UserError: The run is not finished, a smoke test, keeps no model or is damaged, or its adapter belongs to
            weights in a local folder.
    """
    record = run.require_record()
    check_record(run, record)
    _check_shareable(run, record)
    public, staying = public_record(record), []
    files = [PublicFile(MODEL_CARD, _card(run, record, hub_id, licence).encode())]
    files.append(PublicFile(RECORD, _json_bytes(public)))
    files.append(PublicFile(RECIPE, yaml.safe_dump(public["recipe"], sort_keys=False, allow_unicode=True).encode()))
    for name, _ in file_sizes(run.model_dir):
        path = run.model_dir / name
        if any(part.startswith(".") for part in Path(name).parts) or name == MODEL_CARD:
            continue
        if path.is_symlink():
            raise UserError(f"{path}: is a link, which is not sent; put the file in its place")
        if path.suffix in PICKLES:
            staying.append(f"model/{name}, which could run code when it is read")
            continue
        files.append(PublicFile(Path(name).as_posix(), _configuration(path) if name in CONFIGURATIONS else path))
    predictions = list(_predictions(run))
    if with_predictions:
        files += predictions
    elif predictions:
        staying.append("the predictions, which have the texts of the data (--with-predictions)")
    staying += [f"{name}/" for name in STAYING if (run.folder / name).is_dir()]
    staying.append("paths, hosts and commands in the record and the recipe")
    return PublicFiles(files, staying)


def _check_shareable(run: Run, record: Mapping[str, Any]) -> None:
    if (limit := record.get("limit")) is not None:
        raise UserError(
            f"{run.folder}: is a smoke test, limited to {limit} steps and examples, which nobody can use; name a run "
            "without a limit"
        )
    if not record.get("recipe"):
        raise UserError(f"{run.record_path}: has no recipe, as in records of early versions; run its recipe again")
    if not run.model_dir.is_dir():
        raise UserError(f"{run.folder}: {why_without_model(run)}, so that there is nothing to send; name another run")
    if holds_adapter(run.model_dir):
        _check_base(run)


def _check_base(run: Run) -> None:
    """Check that others can load the weights that an adapter belongs to."""
    base = _parsed(run.model_dir / ORIGIN).get("base")
    sources = base.get("source") if isinstance(base, dict) else None
    if not isinstance(base, dict) or not isinstance(sources, dict):
        raise UserError(f"{run.model_dir / ORIGIN}: does not say which weights the adapter belongs to; train again")
    relative, found = base.get("relative_path"), [value for value in sources.values() if isinstance(value, str)]
    local = next((value for value in found if is_local_path(value)), relative)
    if local is not None:
        raise UserError(
            f"{run.folder}: its adapter belongs to the weights in {local}, which others do not have; push the run that "
            "they are of, and train the adapter from its hub id, or push a run of a whole model"
        )


def _card(run: Run, record: Mapping[str, Any], hub_id: str, licence: str | None) -> str:
    """Make the card with the hub id, or return that which somebody has written, with the licence."""
    edited = edited_card(run)
    if edited is None:
        return make_card(run, record, hub_id, is_on_hub=True, licence=licence)
    if licence is None:
        return edited
    from huggingface_hub import ModelCard

    try:
        card = ModelCard(edited)
    except Exception as error:  # YAML's errors, and those of the hub's client for metadata that it does not know
        raise UserError(f"{run.card_path}: its metadata cannot be read; correct them, or delete it") from error
    card.data["license"] = licence
    return str(card)


def _predictions(run: Run) -> Iterator[PublicFile]:
    folder = run.folder / "predictions"
    for name, _ in file_sizes(folder):
        if name.endswith(".jsonl") and not Path(name).name.startswith("."):
            yield PublicFile(f"predictions/{Path(name).as_posix()}", folder / name)


def _configuration(path: Path) -> bytes:
    """Return a configuration without local paths; one that has none is sent as it is."""
    value = _parsed(path)
    cleaned = public_configuration(value)
    return path.read_bytes() if cleaned == value else _json_bytes(cleaned)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        value = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read; copy the run again, or train again") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: is no JSON object; copy the run again, or train again")
    return value


def _json_bytes(value: Any) -> bytes:
    return f"{json.dumps(value, ensure_ascii=False, indent=2)}\n".encode()

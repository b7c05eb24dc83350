"""Where the models come from that make regions of pictures: folders and repositories of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import CONFIG_NAME
from transformers.utils.hub import cached_file, extract_commit_hash

from iglue_plugins.data.processors.image_processor import explain_torchvision_errors
from iglue_plugins.models.checkpoints import LOADING_ERRORS
from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.files import content_hash
from iglue_plugins.utils.text import printable


def source_name(source: str) -> str:
    """Return what a store calls a model: its hub id, or the name of its folder.

    Args:
        source: A local folder or hub id.
    """
    return printable(Path(source).resolve().name) if Path(source).is_dir() else source


def pinned_revision(source: str, revision: str | None, option: str) -> str:
    """Return what tells this model from others of its name.

    Args:
        source: A local folder or hub id.
        revision: The hub revision, such as a branch.
        option: The option that names the source, for errors.

    Returns:
        The hub's commit, or the hash of the folder's content.

    Raises:
        UserError: The hub has no such model, or a revision is given of a folder.
    """
    if Path(source).is_dir():
        if revision is not None:
            raise UserError(f"the revision '{revision}' is of a hub id, but {source} is a folder; leave it out")
        return content_hash(source)
    revision = revision or "main"
    try:
        file = cached_file(source, CONFIG_NAME, revision=revision)
    except LOADING_ERRORS as error:
        raise _no_model(source, option, error) from error
    return extract_commit_hash(file, None) or revision  # files of the hub lie in a folder of their commit


def load_config(source: str, revision: str | None, option: str) -> Any:
    """Load the configuration of a model, a `transformers.PretrainedConfig`.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.
        option: The option that names the source, for errors.

    Raises:
        UserError: There is no such model.
    """
    try:
        return AutoConfig.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
    except LOADING_ERRORS as error:
        raise _no_model(source, option, error) from error


def load_weights(
    auto_class: Any, source: str, revision: str | None, dtype: torch.dtype, option: str
) -> tuple[PreTrainedModel, list[str]]:
    """Load a model from safetensors; no code of the checkpoint is run.

    Args:
        auto_class: What makes the model, such as `transformers.AutoModel`.
        source: A local folder or hub id.
        revision: The hub revision.
        dtype: The type of the weights.
        option: The option that names the source, for errors.

    Returns:
        The model, in evaluation mode, and the names of the weights that the checkpoint lacks.

    Raises:
        UserError: There is no such model, its weights do not fit, or it needs a package that is not installed.
    """
    with explain_torchvision_errors():
        try:
            loaded = auto_class.from_pretrained(
                source,
                revision=revision or "main",
                trust_remote_code=False,
                use_safetensors=True,
                dtype=dtype,
                output_loading_info=True,
            )
        except LOADING_ERRORS as error:
            raise _no_model(source, option, error) from error
    model, loading_info = cast("tuple[PreTrainedModel, dict[str, Any]]", loaded)
    return model.eval(), sorted(loading_info["missing_keys"])


def check_complete(source: str, missing: list[str], of: str, option: str) -> None:
    """Refuse a checkpoint that lacks weights.

    Args:
        source: A local folder or hub id.
        missing: The names of the weights that are needed and missing.
        of: What they are weights of.
        option: The option that names the source.

    Raises:
        UserError: Weights are missing.
    """
    if missing:
        raise UserError(
            f"{option}: {source!r} lacks {len(missing)} weights of its {of}, such as {missing[0]}; copy or download it "
            "again"
        )


def _no_model(source: str, option: str, error: Exception) -> UserError:
    return UserError(
        f"{option}: no model can be loaded from {source!r} ({first_line(error)}); give a folder that holds "
        "config.json and model.safetensors, or a hub id"
    )

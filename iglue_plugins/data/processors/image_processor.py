"""Image processors of transformers, from a folder or the hub."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iglue_plugins.utils.errors import UserError, first_line
from iglue_plugins.utils.model_sources import is_missing_folder


def load_image_processor(source: str, revision: str | None = None) -> Any:
    """Load the image processor of a model, which turns pictures into pixel values.

    Without torchvision transformers takes its processors on Pillow, which give nearly the same numbers.

    Args:
        source: A local folder or hub id.
        revision: The hub revision.

    Returns:
        The image processor, a `transformers.BaseImageProcessor`.

    Raises:
        UserError: `source` holds no image processor, or the installed torchvision does not fit PyTorch.
    """
    if is_missing_folder(source):
        raise UserError(f"there is no folder '{source}'; give the folder of a saved model, or a hub id")
    with explain_torchvision_errors(), _without_warnings():
        from transformers import AutoImageProcessor

        try:
            return AutoImageProcessor.from_pretrained(source, revision=revision or "main", trust_remote_code=False)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            if _is_of_torchvision(error):
                raise
            raise UserError(
                f"no image processor can be loaded from {source!r} ({first_line(error)}); give a folder that holds "
                "preprocessor_config.json, or a hub id"
            ) from error


@contextmanager
def explain_torchvision_errors() -> Iterator[None]:
    """Turn the errors of a torchvision that is made for another PyTorch into a sentence.

    Such a torchvision fails when it is imported, which transformers does for image processors and for models with one.

    Raises:
        UserError: The block raised an error that comes from torchvision.
    """
    try:
        yield
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        if not _is_of_torchvision(error):
            raise
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"torchvision {_version('torchvision')} does not work with torch {_version('torch')} ({reason}); install "
            "the torchvision that belongs to this torch (pip install torch torchvision), or uninstall torchvision, "
            "which is not needed"
        ) from error


def _is_of_torchvision(error: BaseException | None) -> bool:
    """Tell whether an error, or one that caused it, names torchvision or was raised in one of its modules."""
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "torchvision":
                return True
            traceback = traceback.tb_next
        error = error.__cause__ or error.__context__
    return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence transformers, which says of each processor that it does without torchvision."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)

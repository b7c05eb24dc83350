"""The task heads in a file of VOLTA's weights."""

from __future__ import annotations

from pathlib import Path

from iglue_plugins.models.configuration import HeadKind
from iglue_plugins.models.volta.names import HEAD_PREFIX
from iglue_plugins.models.volta.weights import Weights
from iglue_plugins.utils.errors import UserError, did_you_mean

NO_HEAD = "none"


def choose_head(weights: Weights, task: str | None, path: Path) -> str | None:
    """Choose the head to keep.

    Args:
        weights: VOLTA's weights by VOLTA's names.
        task: The task that the user named, such as TASK19 or 19; 'none': no head; None: the only head, if there is one.
        path: The file of weights, for the error.

    Returns:
        The name of the head's task, such as TASK19; None for no head.

    Raises:
        UserError: There are several heads and none is named, or the file does not have the head that is.
    """
    heads = sorted({name.split(".")[1] for name in weights if name.startswith(HEAD_PREFIX)})
    if task == NO_HEAD or (task is None and not heads):
        return None
    if task is None and len(heads) > 1:
        raise UserError(
            f"{path}: has the heads {', '.join(heads)}; choose one by --task of `iglue checkpoint import`, or "
            f"'{NO_HEAD}'"
        )
    chosen = heads[0] if task is None else f"TASK{task.removeprefix('TASK')}"
    if chosen not in heads:
        names = did_you_mean(chosen, heads) or f"; its weights have names such as '{next(iter(weights), '')}'"
        raise UserError(f"{path}: has no head {chosen}{names}")
    return chosen


def describe_head(weights: Weights, task: str, pooler_size: int, path: Path) -> tuple[HeadKind, int, int | None]:
    """Recognize a head by the shapes of its weights.

    Args:
        weights: VOLTA's weights by VOLTA's names.
        task: The name of the head's task, such as TASK19.
        pooler_size: Width of the pooled vectors.
        path: The file of weights, for the error.

    Returns:
        The kind of head, the number of its outputs, and the width between its layers if it has two.

    Raises:
        UserError: The head has neither one linear layer nor two.
    """
    layers = [f"{HEAD_PREFIX}{task}.{layer}weight" for layer in ("", "logit_fc.0.", "logit_fc.3.")]
    match [tuple(weights[name].shape) for name in layers if name in weights]:
        case [[outputs, _]]:
            return ("image_text_matching" if outputs == 1 else "classifier"), outputs, None
        case [[width, inputs], [outputs, _]]:
            return ("image_pair" if inputs == 2 * pooler_size else "vqa"), outputs, width
    raise UserError(
        f"{path}: the head {task} is of an unknown kind; those that can be read are one linear layer, or the two of "
        "logit_fc"
    )

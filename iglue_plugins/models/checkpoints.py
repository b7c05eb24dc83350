"""Checkpoints that are missing, damaged, or do not fit their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError

from iglue_plugins.utils.errors import UserError

# transformers and tokenizers raise these for files that are missing or hold something else than they should.
LOADING_ERRORS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError)

MAX_NAMED_WEIGHTS = 5  # in an error


def check_weights(
    source: str | None,
    loading_info: Mapping[str, Any],
    may_be_missing: tuple[str, ...] = (),
    *,
    is_complete: bool = True,
) -> None:
    """Check that a checkpoint has all weights of a model, and no others.

    Args:
        source: The checkpoint, for the error.
        loading_info: What transformers says of the loading (`output_loading_info`).
        may_be_missing: Prefixes of weights that may be missing, which a run then draws by its seed.
        is_complete: Whether the model has a place for each weight; False where it is a part of what was saved.

    Raises:
        UserError: The checkpoint lacks weights, has some of another shape, or others.
    """
    missing, mismatched = loading_info["missing_keys"], loading_info["mismatched_keys"]
    problems = [f"lacks {name}" for name in sorted(missing) if not name.startswith(may_be_missing)]
    problems += [
        f"has {name} of shape {tuple(shape)} where {tuple(expected)} is expected"
        for name, shape, expected in sorted(mismatched)
    ]
    if is_complete:
        problems += [
            f"has {name}, which no part of the model takes" for name in sorted(loading_info["unexpected_keys"])
        ]
    if problems:
        more = len(problems) - MAX_NAMED_WEIGHTS
        listed = "; ".join(problems[:MAX_NAMED_WEIGHTS]) + (f"; and {more} more such" if more > 0 else "")
        raise UserError(f"{source}: its weights do not fit its configuration: it {listed}")

"""What second order asks of a model: operations whose gradients can be differentiated again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.utils.errors import UserError

# What PyTorch says of an operation that has no double backward.
NO_DOUBLE_BACKWARD = ("is not implemented", "differentiate twice", "double backward")


def attention_for(second_order: bool) -> AbstractContextManager:
    """Choose PyTorch's math kernel for second order, since fused attention has no double backward."""
    return sdpa_kernel(SDPBackend.MATH) if second_order else nullcontext()


@contextmanager
def explain_missing_double_backward(twice: bool) -> Iterator[None]:
    """Turn PyTorch's error about an operation without a double backward into a sentence.

    Args:
        twice: Whether gradients are differentiated again in the block.

    Raises:
        UserError: The model has such an operation.
    """
    try:
        yield
    except RuntimeError as error:
        said, _, _ = str(error).partition("\n")
        if not twice or not any(phrase in said for phrase in NO_DOUBLE_BACKWARD):
            raise
        raise UserError(
            f"the model has an operation that cannot be differentiated twice, as second order asks for ({said}); use "
            "attention without a fused kernel (attn_implementation 'eager', or 'sdpa' that is free to choose its "
            "kernel), or the algorithm 'fomaml' or 'reptile'"
        ) from error

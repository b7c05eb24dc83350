"""The matrix products of a computation, recorded and run again alone: the time below which it cannot come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# Each product's operands among the arguments of an operation.
PLAIN = {aten.mm.default: (0, 1), aten.bmm.default: (0, 1), aten.addmm.default: (1, 2), aten.baddbmm.default: (1, 2)}
LINEAR, MATMUL, ATTENTION = aten.linear.default, aten.matmul.default, aten.scaled_dot_product_attention.default
FUSED = aten._scaled_dot_product_flash_attention_for_cpu.default
FUSED_BACKWARD = aten._scaled_dot_product_flash_attention_for_cpu_backward.default
Shape = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]  # sizes, strides


class Products(TorchDispatchMode):
    """Records the products that are computed inside the block, those of fused attention included."""

    def __init__(self) -> None:
        super().__init__()
        self.operands: list[tuple[Shape, Shape]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PLAIN:
            self._add(*(args[place] for place in PLAIN[func]))
        elif func is LINEAR:  # under inference mode operations are not taken apart
            self._add(args[0].flatten(0, -2), args[1].t())
        elif func is MATMUL and all(factor.dim() > 1 for factor in args[:2]):
            self._add(*args[:2])
        elif func in (FUSED, ATTENTION):
            query, key, value = args[:3]
            self._attention(query, key)
            self._add_sizes(query, (*query.shape[:-1], key.shape[-2]), value.shape)
        elif func is FUSED_BACKWARD:
            _, query, key, value = args[:4]
            weights, turned = (*query.shape[:-1], key.shape[-2]), (*query.shape[:-2], key.shape[-2], query.shape[-2])
            self._attention(query, key)  # once more, and for the gradient of the weights
            self._attention(query, value)
            for left, right in ((turned, query.shape), (weights, key.shape), (turned, query.shape)):
                self._add_sizes(query, left, right)
        return func(*args, **(kwargs or {}))

    def replay(self) -> Callable[[], None]:
        """Make a function that computes the recorded products of numbers that are in memory already."""
        made: dict[Shape, Tensor] = {}

        def operand(shape: Shape) -> Tensor:
            if shape not in made:
                sizes, strides, dtype = shape
                made[shape] = torch.empty_strided(sizes, strides, dtype=dtype).uniform_(-1, 1)
            return made[shape]

        pairs = [(operand(left), operand(right)) for left, right in self.operands]
        results: dict[tuple[Any, ...], Tensor] = {}
        places = []
        for left, right in pairs:
            size = (*left.shape[:-1], right.shape[-1])
            places.append(results.setdefault((size, left.dtype), torch.empty(size, dtype=left.dtype)))

        def run() -> None:
            for (left, right), out in zip(pairs, places, strict=True):
                torch.matmul(left, right, out=out)

        return run

    def _attention(self, query: Tensor, key: Tensor) -> None:
        self._add(query.detach(), key.detach().transpose(-1, -2))

    def _add(self, left: Tensor, right: Tensor) -> None:
        self.operands.append((_shape(left), _shape(right)))

    def _add_sizes(self, like: Tensor, left: tuple[int, ...], right: tuple[int, ...]) -> None:
        self._add(torch.empty(left, dtype=like.dtype), torch.empty(right, dtype=like.dtype))


def _shape(tensor: Tensor) -> Shape:
    return tuple(tensor.shape), tensor.stride(), tensor.dtype


def products_of(step: Callable[[], Any]) -> Callable[[], None]:
    """Record the products of a step, forward and backward, and return a function that computes them alone."""
    with Products() as recorded:
        step()
    return recorded.replay()

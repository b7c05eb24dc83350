"""What one training step sees, as a pure function of the seed and the step's number.

That makes resuming exact: step 100 is the same whether steps 0 to 99 ran in this process or in one that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.errors import UserError


class ShuffledExamples:
    """A batcher's examples, `per_step` of them a step, shuffled anew each epoch; a short remainder is dropped."""

    def __init__(self, batcher: Batcher, per_step: int, seed: tuple[int, ...]) -> None:
        if len(batcher) < per_step:
            raise UserError(f"task {batcher.task.name}: found {len(batcher)} training examples in a language, "
                            f"expected at least the {per_step} that one step takes; raise trainer.examples or lower "
                            "the batch, support or query size")
        self._batcher = batcher
        self._per_step = per_step
        self._seed = seed
        self._permutation = lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng((*seed, epoch)).permutation(len(batcher)))

    def parts(self, step: int, *sizes: int) -> list[Batch]:
        """The step's examples as batches of these sizes, which add up to per_step and share no example."""
        epoch, place = divmod(step, len(self._batcher) // self._per_step)
        chosen = self._permutation(epoch)[place * self._per_step :][: self._per_step]
        rng = np.random.default_rng((*self._seed, step, 1))
        return [self._batcher.batch(part, rng) for part in np.split(chosen, np.cumsum(sizes)[:-1])]


class Steps(Dataset):
    """A map-style dataset with one item a training step: item i is make_step(i)."""

    def __init__(self, make_step: Callable[[int], dict[str, Any]], count: int) -> None:
        self._make_step = make_step
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, step: int) -> dict[str, Any]:
        if not 0 <= step < self._count:
            raise IndexError(f"step {step} of {self._count}")  # without it, iterating would never end
        return self._make_step(step)


def batch_steps(batchers: Sequence[Batcher], batch_size: int, count: int, seed: int) -> Steps:
    """Steps of one batch, {'batch': batch}, from each batcher (a language each) in turn."""
    examples = [ShuffledExamples(batcher, batch_size, (seed, i)) for i, batcher in enumerate(batchers)]

    def make_step(step: int) -> dict[str, Any]:
        turn, i = divmod(step, len(examples))
        return {"batch": examples[i].parts(turn, batch_size)[0]}

    return Steps(make_step, count)


def episode_steps(
    batchers: Mapping[str, Batcher], support_size: int, query_size: int, count: int, seed: int
) -> Steps:
    """Steps of one episode for each language, whose support and query share no example.

    An item is {'episodes': [{'language': str, 'support': batch, 'query': batch}, ...]}.
    """
    examples = {language: ShuffledExamples(batcher, support_size + query_size, (seed, i))
                for i, (language, batcher) in enumerate(batchers.items())}

    def make_step(step: int) -> dict[str, Any]:
        parts = {language: own.parts(step, support_size, query_size) for language, own in examples.items()}
        return {"episodes": [{"language": language, "support": support, "query": query}
                             for language, (support, query) in parts.items()]}

    return Steps(make_step, count)

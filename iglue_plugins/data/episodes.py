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
    """A batcher's examples, `per_step` of them a step, shuffled anew each epoch.

    What remains of an epoch is dropped, or, with keep_last, makes a smaller last step.
    """

    def __init__(self, batcher: Batcher, per_step: int, seed: tuple[int, ...], keep_last: bool = False) -> None:
        if len(batcher) < per_step and not keep_last:
            raise UserError(f"task {batcher.task.name}: found {len(batcher)} training examples in a language, "
                            f"expected at least the {per_step} that one step takes; raise trainer.examples or lower "
                            "the batch, support or query size")
        self._batcher = batcher
        self._per_step = per_step
        self._seed = seed
        self.steps_per_epoch = -(-len(batcher) // per_step) if keep_last else len(batcher) // per_step
        self._permutation = lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng((*seed, epoch)).permutation(len(batcher)))

    def parts(self, step: int, *sizes: int) -> list[Batch]:
        """The step's examples as batches of these sizes, which add up to per_step and share no example.

        Without sizes: as one batch.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        chosen = self._permutation(epoch)[place * self._per_step :][: self._per_step]
        rng = np.random.default_rng((*self._seed, step, 1))
        return [self._batcher.batch(part, rng) for part in np.split(chosen, np.cumsum(sizes)[:-1])]


class Steps(Dataset):
    """A map-style dataset with one item a training step (or part of one, with accumulation): item i is make_step(i).

    epoch: how many items make one pass over the examples, where that is known.
    schedule: after how many items the learning rate would reach 0; default: all of them.
    """

    def __init__(
        self, make_step: Callable[[int], dict[str, Any]], count: int, epoch: int | None = None,
        schedule: int | None = None,
    ) -> None:
        self._make_step = make_step
        self._count = count
        self.epoch = epoch
        self.schedule = schedule or count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, step: int) -> dict[str, Any]:
        if not 0 <= step < self._count:
            raise IndexError(f"step {step} of {self._count}")  # without it, iterating would never end
        return self._make_step(step)


def batch_steps(batchers: Sequence[Batcher], batch_size: int, count: int, seed: int) -> Steps:
    """Steps of one batch, {'batch': batch}, from each batcher (a language each) in turn."""
    examples = [ShuffledExamples(batcher, batch_size, (seed, i)) for i, batcher in enumerate(batchers)]
    return Steps(_in_turn(examples), count, epoch=sum(own.steps_per_epoch for own in examples))


def batch_epochs(
    batchers: Sequence[Batcher], batch_size: int, epochs: int, schedule_epochs: int, seed: int
) -> Steps:
    """Steps as `batch_steps`, for so many passes over all examples; the last batch of a pass may be smaller."""
    examples = [ShuffledExamples(batcher, batch_size, (seed, i), keep_last=True) for i, batcher in enumerate(batchers)]
    epoch = sum(own.steps_per_epoch for own in examples)
    return Steps(_in_turn(examples), epochs * epoch, epoch, schedule_epochs * epoch)


def _in_turn(examples: Sequence[ShuffledExamples]) -> Callable[[int], dict[str, Any]]:
    def make_step(step: int) -> dict[str, Any]:
        turn, i = divmod(step, len(examples))
        return {"batch": examples[i].parts(turn)[0]}

    return make_step


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

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
from iglue_plugins.utils.errors import UserError


class ShuffledExamples:
    """A batcher's examples, `per_step` of them a step, shuffled anew each epoch.

    What remains of an epoch is dropped, or, with keep_last, makes a smaller last step.
    """

    def __init__(self, batcher: Batcher, per_step: int, seed: tuple[int, ...], keep_last: bool = False) -> None:
        if len(batcher) < per_step and not keep_last:
            raise UserError(
                f"task {batcher.task.name}: found {len(batcher)} training examples in a language, "
                f"expected at least the {per_step} that one step takes; raise trainer.examples or lower "
                "the batch, support or query size"
            )
        self._batcher = batcher
        self._per_step = per_step
        self._seed = seed
        self.steps_per_epoch = -(-len(batcher) // per_step) if keep_last else len(batcher) // per_step
        self._permutation = lru_cache(maxsize=2)(
            lambda epoch: np.random.default_rng((*seed, epoch)).permutation(len(batcher))
        )

    def split_batches(self, step: int, *sizes: int) -> list[Batch]:
        """The step's examples as batches of these sizes, which add up to per_step and share no example.

        Without sizes: as one batch.
        """
        epoch, place = self._epoch_and_place(step)
        return self._batches(step, np.split(epoch[place:][: self._per_step], np.cumsum(sizes)[:-1]))

    def episode(self, step: int, support_size: int, disjoint_images: bool) -> list[Batch]:
        """The step's examples as a support batch and a query batch of the rest.

        disjoint_images: what shares an image with the support is replaced by what the epoch has next.
        """
        epoch, place = self._epoch_and_place(step)
        support, rest = np.split(np.roll(epoch, -place), [support_size])
        size = self._per_step - support_size
        if disjoint_images:
            images = self._batcher.images
            rest = rest[~np.isin(images[rest], images[support]).any(1)]
            if len(rest) < size:
                raise UserError(
                    f"task {self._batcher.task.name}: found {len(rest)} training examples in a language "
                    f"without an image of a support batch, expected at least trainer.query_size, {size}, "
                    "with disjoint_images"
                )
        return self._batches(step, [support, rest[:size]])

    def _epoch_and_place(self, step: int) -> tuple[np.ndarray, int]:
        """The examples of the step's epoch in its order, and where in it the step begins."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._permutation(epoch), place * self._per_step

    def _batches(self, step: int, parts: Sequence[np.ndarray]) -> list[Batch]:
        rng = np.random.default_rng((*self._seed, step, 1))
        return [self._batcher.batch(part, rng) for part in parts]


class Steps(Dataset):
    """A map-style dataset with one item a training step (or part of one, with accumulation): item i is make_step(i).

    epoch: how many items make one pass over the examples, where that is known.
    schedule: after how many items the learning rate would reach 0; default: all of them.
    """

    def __init__(
        self,
        make_step: Callable[[int], dict[str, Any]],
        count: int,
        epoch: int | None = None,
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


def batch_epochs(batchers: Sequence[Batcher], batch_size: int, epochs: int, schedule_epochs: int, seed: int) -> Steps:
    """Steps as `batch_steps`, for so many passes over all examples; the last batch of a pass may be smaller."""
    examples = [ShuffledExamples(batcher, batch_size, (seed, i), keep_last=True) for i, batcher in enumerate(batchers)]
    epoch = sum(own.steps_per_epoch for own in examples)
    return Steps(_in_turn(examples), epochs * epoch, epoch, schedule_epochs * epoch)


def _in_turn(examples: Sequence[ShuffledExamples]) -> Callable[[int], dict[str, Any]]:
    def make_step(step: int) -> dict[str, Any]:
        turn, i = divmod(step, len(examples))
        return {"batch": examples[i].split_batches(turn)[0]}

    return make_step


def episode_steps(
    batchers: Mapping[str, Batcher],
    support_size: int,
    query_size: int,
    count: int,
    seed: int,
    *,
    languages_per_step: int | None = None,
    repeat_languages: bool = False,
    disjoint_images: bool = False,
) -> Steps:
    """Steps of episodes, whose support and query share no example, and with disjoint_images no image.

    An item is {'episodes': [{'language': str, 'support': batch, 'query': batch}, ...]}: one for each language, or for
    languages_per_step of them, drawn anew for each step, with repeat_languages each on its own.

    Raises:
        UserError: there are fewer languages than a step takes, or too few examples for an episode.
    """
    examples = {
        language: ShuffledExamples(batcher, support_size + query_size, (seed, i))
        for i, (language, batcher) in enumerate(batchers.items())
    }
    languages = list(examples)
    per_step = languages_per_step or len(languages)
    if per_step > len(languages) and not repeat_languages:
        raise UserError(
            f"trainer.languages_per_step: found {per_step}, expected at most the {len(languages)} "
            f"auxiliary languages ({', '.join(languages)}), or trainer.repeat_languages: true"
        )

    def sample_languages(step: int) -> list[tuple[str, int]]:
        """The languages of a step, and for each the number of the batch of its examples."""
        if per_step == len(languages) and not repeat_languages:
            return [(language, step) for language in languages]
        drawn = np.random.default_rng((seed, step, 2)).choice(len(languages), per_step, replace=repeat_languages)
        return [(languages[i], step * per_step + turn) for turn, i in enumerate(drawn)]

    def make_step(step: int) -> dict[str, Any]:
        parts = [
            (language, examples[language].episode(number, support_size, disjoint_images))
            for language, number in sample_languages(step)
        ]
        return {
            "episodes": [
                {"language": language, "support": support, "query": query} for language, (support, query) in parts
            ]
        }

    return Steps(make_step, count)

"""The choice of an episode's examples in an order of all examples, with or without common images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from iglue_plugins.data.batching import Batcher

READ_AT_ONCE = 256  # examples of an order


class Shortage(NamedTuple):
    """A batch for which the examples do not suffice.

    Attributes:
        part: "support" or "query".
        found: The number of examples that were found for it.
    """

    part: str
    found: int


@dataclass(frozen=True)
class EpisodeExamples:
    """Chooses the examples of support and query batches.

    Attributes:
        batcher: The batcher of the examples.
        language: Their language, for errors.
        support_size: The number of examples of a support batch.
        query_size: The number of examples of a query batch.
        disjoint_images: Whether a support batch and its query batch share no image.
        distinct_images: Whether no two examples of a batch share an image or a text.
        captions: Whether the texts that `distinct_images` compares are the captions, where the examples have any.
    """

    batcher: Batcher
    language: str
    support_size: int
    query_size: int
    disjoint_images: bool = False
    distinct_images: bool = False
    captions: bool = False

    def choose(self, order: np.ndarray, start: int = 0) -> tuple[np.ndarray, np.ndarray] | Shortage:
        """Choose the examples of an episode, the first ones in an order that fit.

        Examples that are passed over for the support batch stand last in the order for the query batch, so that they
        are no likelier to get into it than others. No more of the order is read than that takes.

        Args:
            order: (examples,) int64, each example once.
            start: The place in the order where it begins; after its end it goes on with its beginning.

        Returns:
            The examples of the support batch and of the query batch, which share no example, or what they lack.
        """
        following = _in_turn(order, start)
        support, passed_over = self._take(following, self.support_size)
        if len(support) < self.support_size:
            return Shortage("support", len(support))
        others: Iterator[int] = chain(following, passed_over)
        if self.disjoint_images:
            images = self.batcher.images
            taken = frozenset(images[support].ravel().tolist())
            others = (example for example in others if taken.isdisjoint(images[example].tolist()))
        query, _ = self._take(others, self.query_size)
        if len(query) < self.query_size:
            return Shortage("query", len(query))
        return np.asarray(support, dtype=np.int64), np.asarray(query, dtype=np.int64)

    def describe(self, shortage: Shortage) -> str:
        """Say which batch has too few examples, why, and which settings to change.

        Args:
            shortage: What `choose` has found.

        Returns:
            A sentence, to which the task's name belongs.
        """
        disjoint = self.disjoint_images and shortage.part == "query"
        reasons = ["share no image or text with each other"] * self.distinct_images
        reasons += ["have no image of the support batch"] * disjoint
        settings = ["trainer.distinct_images: false"] * self.distinct_images
        settings += ["trainer.disjoint_images: false"] * disjoint
        size = self.query_size if shortage.part == "query" else self.support_size
        images = len(np.unique(self.batcher.images))
        return (
            f"trainer.{shortage.part}_size is {size}, but the {len(self.batcher)} training examples in "
            f"'{self.language}', with {images} image{'s' if images > 1 else ''}, have only {shortage.found} that "
            f"{' and '.join(reasons)} for one of the {shortage.part} batches; lower the support or query size, or set "
            f"{' and '.join(settings)}"
        )

    @cached_property
    def always_suffices(self) -> bool:
        """Whether the examples suffice in every order, by a bound on how many others a chosen example keeps out.

        If it is False, they may still suffice.
        """
        if not (self.disjoint_images or self.distinct_images):
            return len(self.batcher) >= self.support_size + self.query_size
        images = self.batcher.images
        by_images = images.shape[1] * (_largest_group(images) - 1)  # others that share an image with an example
        by_query = self.support_size * (1 + (by_images if self.disjoint_images else 0))
        by_batch = 1 + (by_images + _largest_group(self._texts) - 1 if self.distinct_images else 0)
        free = len(self.batcher) - by_query
        return min(len(self.batcher) - (self.support_size - 1) * by_batch, free - (self.query_size - 1) * by_batch) > 0

    def _take(self, examples: Iterator[int], size: int) -> tuple[list[int], list[int]]:
        """Take the first examples that fit into a batch together, at most `size`, and those that are passed over."""
        if not self.distinct_images:
            return list(islice(examples, size)), []
        images, texts = self.batcher.images, self._texts
        chosen: list[int] = []
        passed_over: list[int] = []
        taken: set[int] = set()  # images count from 0 upwards, texts from -1 downwards
        while len(chosen) < size and (example := next(examples, None)) is not None:
            common = *images[example].tolist(), -1 - int(texts[example])
            if taken.isdisjoint(common):
                chosen.append(example)
                taken.update(common)
            else:
                passed_over.append(example)
        return chosen, passed_over

    @property
    def _texts(self) -> np.ndarray:
        captions = self.batcher.captions if self.captions else None
        return (self.batcher.texts if captions is None else captions).identity


def _in_turn(order: np.ndarray, start: int) -> Iterator[int]:
    """Yield the examples of an order from a place on, and then those before it."""
    for part in (order[start:], order[:start]):
        for first in range(0, len(part), READ_AT_ONCE):
            yield from part[first : first + READ_AT_ONCE].tolist()


def _largest_group(values: np.ndarray) -> int:
    """Return how often the most frequent value occurs, and so a bound on the number of rows that have it."""
    return int(np.unique(values, return_counts=True)[1].max())

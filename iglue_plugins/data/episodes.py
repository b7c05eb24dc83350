"""The examples of each training step, as a pure function of the seed and the step's number.

That makes resuming exact: step 100 is the same whether steps 0 to 99 ran in this process or in one that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.episode_examples import EpisodeExamples, Shortage
from iglue_plugins.data.language_choice import check_languages, sample_languages
from iglue_plugins.data.length_windows import sort_in_windows
from iglue_plugins.utils.errors import UserError


class ShuffledExamples:
    """Shuffles the examples of a batcher anew each epoch and deals them out to the training steps.

    Args:
        batcher: The batcher of the examples.
        per_step: The number of examples of a step.
        seed: The numbers that seed the shuffles and what the batcher draws.
        keep_last: Whether the examples that remain at the end of an epoch make a smaller last step. By default they are
            dropped.
        length_window: The number of batches that are made of texts of similar length together; 0 makes batches
            whatever the length. See `sort_in_windows`.

    Attributes:
        steps_per_epoch: The number of steps that one pass over the examples takes.

    Raises:
        UserError: There are fewer examples than a step takes, and `keep_last` is false.
    """

    def __init__(
        self,
        batcher: Batcher,
        per_step: int,
        seed: tuple[int, ...],
        keep_last: bool = False,
        length_window: int = 0,
    ) -> None:
        if len(batcher) < per_step and not keep_last:
            raise UserError(
                f"task {batcher.task.name}: found {len(batcher)} training examples in a language, expected at least "
                f"the {per_step} that one step takes; raise trainer.examples or lower the batch, support or query size"
            )
        self._batcher = batcher
        self._per_step = per_step
        self._seed = seed
        self.steps_per_epoch = -(-len(batcher) // per_step) if keep_last else len(batcher) // per_step
        self._permutation = lru_cache(maxsize=2)(partial(_shuffle, batcher, per_step, seed, length_window))

    def split_batches(self, step: int, *sizes: int) -> list[Batch]:
        """Splits a step's examples into batches that share no example.

        Args:
            step: The step's number, from 0.
            *sizes: The sizes of the batches, whose sum is `per_step`; without sizes, one batch has all examples.
        """
        permutation, start = self._locate(step)
        return self._make_batches(step, np.split(permutation[start:][: self._per_step], np.cumsum(sizes)[:-1]))

    def episode(self, step: int, examples: EpisodeExamples) -> list[Batch]:
        """Makes an episode of a step's examples.

        Args:
            step: The step's number, from 0.
            examples: The choice of examples, whose batcher is that of this object. Examples that do not fit are
                replaced by the next ones of the epoch.

        Returns:
            The support batch and the query batch, which share no example.

        Raises:
            UserError: Too few examples fit.
        """
        return self._make_batches(step, self.episode_examples(step, examples))

    def episode_examples(self, step: int, examples: EpisodeExamples) -> tuple[np.ndarray, np.ndarray]:
        """Chooses the examples of an episode; see `episode`."""
        permutation, start = self._locate(step)
        chosen = examples.choose(permutation, start)
        if isinstance(chosen, Shortage):
            raise UserError(f"task {self._batcher.task.name}: {examples.describe(chosen)}")
        return chosen

    def _locate(self, step: int) -> tuple[np.ndarray, int]:
        """Returns the order of the examples in the step's epoch, and where in it the step starts."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        return self._permutation(epoch), step_in_epoch * self._per_step

    def _make_batches(self, step: int, splits: Sequence[np.ndarray]) -> list[Batch]:
        rng = np.random.default_rng((*self._seed, step, 1))
        return [self._batcher.batch(examples, rng) for examples in splits]


def _shuffle(batcher: Batcher, per_step: int, seed: tuple[int, ...], length_window: int, epoch: int) -> np.ndarray:
    """Returns the order of the examples in an epoch, (examples,) int64."""
    rng = np.random.default_rng((*seed, epoch))
    order = rng.permutation(len(batcher))
    return sort_in_windows(order, batcher.texts.lengths, per_step, length_window, rng) if length_window else order


class Steps(Dataset):
    """Makes one item for each training step (or part of a step, with gradient accumulation), as a map-style dataset.

    Args:
        make_step: Makes item i from the number i.
        count: The number of items.
        epoch: The number of items of one pass over the examples, where that is known.
        schedule: The number of items that the learning-rate schedule is stretched over; all items by default.

    Attributes:
        epoch: As the argument.
        schedule: As the argument, or the number of items.
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
            raise IndexError(f"step {step} of {self._count}")  # a loop over the dataset ends at the first IndexError
        return self._make_step(step)

    def first(self, count: int) -> Steps:
        """Return the first items, whose number the learning-rate schedule is stretched over.

        Args:
            count: The number of items; where there are fewer, all.
        """
        return Steps(self.__getitem__, min(count, len(self)), self.epoch)


def batch_steps(
    batchers: Sequence[Batcher], batch_size: int, count: int, seed: int, *, length_window: int = 0
) -> Steps:
    """Makes steps of one batch, from each language in turn.

    Args:
        batchers: The batcher of each language.
        batch_size: The number of examples of a batch.
        count: The number of steps.
        seed: The run's seed.
        length_window: The number of batches of a language that are made together of texts of similar length; 0 for
            none. See `sort_in_windows`.

    Returns:
        Steps whose items are `{"batch": batch}`.

    Raises:
        UserError: A language has fewer examples than a batch.
    """
    languages = [
        ShuffledExamples(batcher, batch_size, (seed, i), length_window=length_window)
        for i, batcher in enumerate(batchers)
    ]
    return Steps(_round_robin(languages), count, epoch=sum(examples.steps_per_epoch for examples in languages))


def batch_epochs(
    batchers: Sequence[Batcher],
    batch_size: int,
    epochs: int,
    schedule_epochs: int,
    seed: int,
    *,
    length_window: int = 0,
) -> Steps:
    """Makes steps of one batch for a number of epochs; the last batch of a language in an epoch may be smaller.

    Args:
        batchers: The batcher of each language.
        batch_size: The number of examples of a batch.
        epochs: The number of passes over all examples.
        schedule_epochs: The number of epochs that the learning-rate schedule is stretched over.
        seed: The run's seed.
        length_window: As that of `batch_steps`.

    Returns:
        Steps as those of `batch_steps`.
    """
    languages = [
        ShuffledExamples(batcher, batch_size, (seed, i), keep_last=True, length_window=length_window)
        for i, batcher in enumerate(batchers)
    ]
    epoch = sum(examples.steps_per_epoch for examples in languages)
    return Steps(_round_robin(languages), epochs * epoch, epoch, schedule_epochs * epoch)


def _round_robin(languages: Sequence[ShuffledExamples]) -> Callable[[int], dict[str, Any]]:
    """Returns the function that makes a step of one batch, from each language in turn."""

    def make_step(step: int) -> dict[str, Any]:
        turn, i = divmod(step, len(languages))
        return {"batch": languages[i].split_batches(turn)[0]}

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
    distinct_images: bool = False,
    compare_captions: bool = False,
) -> Steps:
    """Makes steps of episodes: for each language of a step a support batch and a query batch that share no example.

    Args:
        batchers: The batcher of each auxiliary language.
        support_size: The number of examples of a support batch.
        query_size: The number of examples of a query batch.
        count: The number of steps.
        seed: The run's seed.
        languages_per_step: The number of languages of a step, sampled anew for each step; None takes all languages.
        repeat_languages: Whether languages are sampled with replacement, so that a step may take one several times.
        disjoint_images: Whether a support batch and its query batch share no image either.
        distinct_images: Whether no two examples of a batch share an image or a text.
        compare_captions: Whether `distinct_images` compares captions, where there are any, rather than texts.

    Returns:
        Steps whose items are `{"episodes": [{"language": str, "support": batch, "query": batch}, ...]}`.

    Raises:
        UserError: There are fewer languages than a step takes, or too few examples for an episode of some step. Where
            the number of images leaves that open, all steps are gone through.
    """
    examples = {
        language: ShuffledExamples(batcher, support_size + query_size, (seed, i))
        for i, (language, batcher) in enumerate(batchers.items())
    }
    languages = list(examples)
    per_step = languages_per_step or len(languages)
    check_languages(languages, per_step, repeat_languages)
    sample = partial(sample_languages, languages, per_step, seed=seed, repeat=repeat_languages)
    choices = {
        language: EpisodeExamples(
            batcher, language, support_size, query_size, disjoint_images, distinct_images, compare_captions
        )
        for language, batcher in batchers.items()
    }
    _check_episodes(examples, choices, sample, count)

    def make_step(step: int) -> dict[str, Any]:
        drawn = [
            (language, examples[language].episode(number, choices[language])) for language, number in sample(step=step)
        ]
        return {
            "episodes": [{"language": name, "support": support, "query": query} for name, (support, query) in drawn]
        }

    return Steps(make_step, count)


def _check_episodes(
    examples: Mapping[str, ShuffledExamples],
    choices: Mapping[str, EpisodeExamples],
    sample: Callable[..., list[tuple[str, int]]],
    count: int,
) -> None:
    """Choose the examples of all episodes of languages whose number of images leaves open if they suffice.

    Raises:
        UserError: An episode has too few examples.
    """
    doubtful = {language for language, choice in choices.items() if not choice.always_suffices}
    for step in range(count if doubtful else 0):
        for language, number in sample(step=step):
            if language in doubtful:
                examples[language].episode_examples(number, choices[language])

"""Episodes without common images: what is chosen, and pools that are found not to suffice before the first step."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from iglue_plugins.data.episode_examples import EpisodeExamples, Shortage
from iglue_plugins.data.episodes import Steps, episode_steps
from iglue_plugins.utils.errors import UserError


class Pool:
    """Replaces a batcher: examples with these images and texts; a batch is the list of its examples."""

    def __init__(self, images: list | np.ndarray, texts: list | np.ndarray, captions: list | None = None) -> None:
        self.task = SimpleNamespace(name="toy")
        self.images = np.asarray(images).reshape(len(texts), -1)
        self.texts = SimpleNamespace(identity=np.asarray(texts))
        self.captions = None if captions is None else SimpleNamespace(identity=np.asarray(captions))

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, examples: np.ndarray, rng: np.random.Generator) -> list[int]:
        return examples.tolist()

    def common(self, examples: list[int], captions: bool = False) -> bool:
        """Whether two of the examples share an image or a text."""
        texts = self.captions if captions else self.texts
        whats = [{*self.images[i].tolist(), f"text {texts.identity[i]}"} for i in examples]
        return sum(map(len, whats)) > len(set().union(*whats))


def steps(pool: Pool, support: int, query: int, count: int = 20, seed: int = 0, **settings: bool) -> Steps:
    return episode_steps({"tr": pool}, support, query, count, seed, **settings)


def batches(made: Steps) -> list[tuple[list[int], list[int]]]:
    return [(item["episodes"][0]["support"], item["episodes"][0]["query"]) for item in made]


def random_pool(rng: np.random.Generator, count: int, images: int, texts: int, per_example: int = 1) -> Pool:
    return Pool(rng.integers(images, size=(count, per_example)), rng.integers(texts, size=count))


@pytest.mark.parametrize("per_example", [1, 2])
@pytest.mark.parametrize("disjoint", [False, True])
def test_no_two_examples_of_a_batch_share_an_image_or_a_text(per_example: int, disjoint: bool) -> None:
    images = np.repeat(np.arange(40 * per_example).reshape(40, -1), 5, axis=0)
    pool = Pool(images, np.arange(200) % 50)
    plain = batches(steps(pool, 8, 8, disjoint_images=disjoint))
    distinct = batches(steps(pool, 8, 8, disjoint_images=disjoint, distinct_images=True))
    assert sum(pool.common(batch) for episode in plain for batch in episode) > 10
    for support, query in distinct:
        assert (len(support), len(query)) == (8, 8)
        assert not pool.common(support) and not pool.common(query)
        assert not set(support) & set(query)
        if disjoint:
            assert not set(images[support].ravel()) & set(images[query].ravel())


def test_examples_that_fit_are_those_of_an_episode_without_the_setting() -> None:
    pool = Pool(np.arange(60), np.arange(60))
    assert batches(steps(pool, 8, 8)) == batches(steps(pool, 8, 8, distinct_images=True))


def test_what_does_not_fit_is_replaced_by_the_next_of_the_order_and_comes_last_for_the_query() -> None:
    pool = Pool([0, 0, 1, 1, 2, 3, 3, 4], np.arange(8))
    examples = EpisodeExamples(pool, "tr", 3, 3, distinct_images=True)
    support, query = examples.choose(np.arange(8))
    assert (support.tolist(), query.tolist()) == ([0, 2, 4], [5, 7, 1])


def test_the_texts_are_those_that_the_contrastive_loss_pairs() -> None:
    pool = Pool(np.arange(40), np.arange(40) % 10, captions=list(np.arange(40) // 4))
    for captions in (False, True):
        made = batches(steps(pool, 6, 6, distinct_images=True, compare_captions=captions))
        assert not any(pool.common(batch, captions) for episode in made for batch in episode)
        assert any(pool.common(batch, not captions) for episode in made for batch in episode)


def test_distinct_batches_are_a_function_of_seed_and_step() -> None:
    rng = np.random.default_rng(0)
    pool = random_pool(rng, 90, 40, 60)
    first, again = (steps(pool, 6, 6, distinct_images=True) for _ in range(2))
    backwards = [again[step] for step in reversed(range(20))]
    assert [first[step] for step in range(20)] == backwards[::-1]
    assert batches(first) != batches(steps(pool, 6, 6, seed=1, distinct_images=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"distinct_images": True},
            "task toy: trainer.support_size is 4, but the 30 training examples in 'tr', with 3 images, have only 3 "
            "that share no image or text with each other for one of the support batches; lower the support or query "
            "size, or set trainer.distinct_images: false",
        ),
        (
            {"distinct_images": True, "disjoint_images": True},
            "task toy: trainer.query_size is 2, but the 30 training examples in 'tr', with 3 images, have only 1 that "
            "share no image or text with each other and have no image of the support batch for one of the query "
            "batches; lower the support or query size, or set trainer.distinct_images: false and "
            "trainer.disjoint_images: false",
        ),
    ],
    ids=["distinct", "both"],
)
def test_too_few_images_are_an_error_before_the_first_step(settings: dict[str, bool], message: str) -> None:
    pool = Pool(np.arange(30) % 3, np.arange(30))
    with pytest.raises(UserError) as error:
        steps(pool, 4 if len(settings) == 1 else 2, 2, **settings)
    assert str(error.value) == message


def test_steps_are_made_if_and_only_if_each_of_them_can_be() -> None:
    """On random pools, of which some suffice by the bound, some only as it turns out, and some not."""
    rng = np.random.default_rng(3)
    seen = {"bound": 0, "tried": 0, "refused": 0}
    for trial in range(300):
        count = int(rng.integers(12, 60))
        pool = random_pool(rng, count, int(rng.integers(4, 2 * count)), int(rng.integers(4, 4 * count)), 1 + trial % 2)
        settings = {"distinct_images": trial % 3 > 0, "disjoint_images": trial % 3 < 2}
        examples = EpisodeExamples(pool, "tr", 4, 4, settings["disjoint_images"], settings["distinct_images"])
        tried = [examples.choose(rng.permutation(count)) for _ in range(20)]
        if examples.always_suffices:
            seen["bound"] += 1
            assert not any(isinstance(found, Shortage) for found in tried)
        try:
            made = steps(pool, 4, 4, count=5, seed=trial, **settings)
        except UserError:
            seen["refused"] += 1
            assert not examples.always_suffices
            continue
        seen["tried"] += not examples.always_suffices
        assert len(batches(made)) == 5
    assert min(seen.values()) > 20, seen


def test_only_the_steps_of_the_run_are_tried() -> None:
    """One of two languages has a single image; it is refused if and only if a step of the run draws that language."""
    pools = {"a": Pool(np.arange(30), np.arange(30)), "b": Pool(np.zeros(30, dtype=int), np.arange(30))}
    refused = set()
    for seed in range(8):
        (drawn,) = episode_steps(pools, 4, 4, 1, seed, languages_per_step=1)
        language = drawn["episodes"][0]["language"]
        try:
            episode_steps(pools, 4, 4, 1, seed, languages_per_step=1, distinct_images=True)
        except UserError as error:
            assert language == "b" and "in 'b', with 1 image," in str(error)
            refused.add(language)
        else:
            assert language == "a"
    assert refused == {"b"}


def by_rolling(examples: EpisodeExamples, order: np.ndarray, start: int) -> tuple[list[int], list[int]] | Shortage:
    """The choice as it is defined: on a copy of the whole order that begins at `start`."""
    rolled, images = np.roll(order, -start).tolist(), examples.batcher.images

    def first_ones(candidates: list[int], size: int) -> list[int]:
        chosen: list[int] = []
        for example in candidates:
            if len(chosen) < size and not (examples.distinct_images and examples.batcher.common([*chosen, example])):
                chosen.append(example)
        return chosen

    support = first_ones(rolled, examples.support_size)
    if len(support) < examples.support_size:
        return Shortage("support", len(support))
    end = rolled.index(support[-1]) + 1
    rest = rolled[end:] + [example for example in rolled[:end] if example not in support]
    if examples.disjoint_images:
        rest = [example for example in rest if not set(images[example]) & set(images[support].ravel())]
    query = first_ones(rest, examples.query_size)
    return (support, query) if len(query) == examples.query_size else Shortage("query", len(query))


def test_an_episode_is_that_of_the_whole_order_rolled_to_its_start() -> None:
    """Also where the order ends within the episode, and in orders that are longer than what is read at once."""
    rng = np.random.default_rng(5)
    seen = {"episode": 0, "support": 0, "query": 0}
    for trial in range(400):
        count = int(rng.integers(600, 700) if trial % 20 == 0 else rng.integers(8, 60))
        pool = random_pool(rng, count, int(rng.integers(2, 40)), int(rng.integers(2, 40)), 1 + trial % 2)
        examples = EpisodeExamples(pool, "tr", 4, 3, bool(rng.integers(2)), bool(rng.integers(2)))
        order, start = rng.permutation(count), int(rng.integers(count))
        chosen, expected = examples.choose(order, start), by_rolling(examples, order, start)
        if isinstance(chosen, Shortage):
            assert chosen == expected
            seen[chosen.part] += 1
        else:
            assert [part.tolist() for part in chosen] == list(expected)
            assert {part.dtype for part in chosen} == {np.dtype(np.int64)}
            seen["episode"] += 1
    assert min(seen.values()) > 20, seen


def test_an_episode_reads_no_more_of_the_order_than_it_takes() -> None:
    class Reading(np.ndarray):
        read = 0

        def tolist(self) -> list[int]:
            Reading.read += self.size
            return super().tolist()

    count = 100_000
    examples = EpisodeExamples(Pool(np.arange(count), np.arange(count)), "tr", 8, 8, True, True)
    order = np.random.default_rng(0).permutation(count).view(Reading)
    for start in (0, 50_000, count - 3):
        Reading.read = 0
        examples.choose(order, start)
        assert 0 < Reading.read < 2000

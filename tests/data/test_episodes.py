"""Training steps: each example once an epoch, disjoint batches, and items that depend on seed and step only."""

from __future__ import annotations

import itertools
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from iglue_plugins.data.episodes import ShuffledExamples, Steps, batch_epochs, batch_steps, episode_steps
from iglue_plugins.utils.errors import UserError


class RecordingBatcher:
    """Replaces a batcher: a batch records its examples and a number drawn from its generator."""

    def __init__(self, count: int, name: str = "toy", images: np.ndarray | None = None) -> None:
        self.task = SimpleNamespace(name=name)
        self.count = count
        self.images = images

    def __len__(self) -> int:
        return self.count

    def batch(self, examples: np.ndarray, rng: np.random.Generator) -> dict:
        return {"name": self.task.name, "examples": examples.tolist(), "draw": int(rng.integers(2**40))}


def examples_of(shuffled: ShuffledExamples, step: int, *sizes: int) -> list[list[int]]:
    return [batch["examples"] for batch in shuffled.split_batches(step, *sizes)]


def test_each_epoch_has_each_example_once_in_a_new_order() -> None:
    shuffled = ShuffledExamples(RecordingBatcher(12), 4, (0,))
    epochs = [sum((examples_of(shuffled, 3 * epoch + i, 4)[0] for i in range(3)), []) for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(12))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_short_remainder_is_dropped_and_differs_between_epochs() -> None:
    shuffled = ShuffledExamples(RecordingBatcher(11), 4, (0,))
    epochs = [sum((examples_of(shuffled, 2 * epoch + i, 4)[0] for i in range(2)), []) for epoch in range(8)]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert set().union(*epochs) == set(range(11))


def test_the_batches_of_a_step_share_no_example_and_have_the_given_sizes() -> None:
    shuffled = ShuffledExamples(RecordingBatcher(20), 7, (3,))
    for step in range(10):
        batches = examples_of(shuffled, step, 4, 2, 1)
        assert [len(batch) for batch in batches] == [4, 2, 1]
        assert len(set(sum(batches, []))) == 7


def test_the_examples_of_a_step_do_not_depend_on_the_split() -> None:
    shuffled = ShuffledExamples(RecordingBatcher(20), 6, (3,))
    assert sum(examples_of(shuffled, 5, 2, 4), []) == examples_of(shuffled, 5, 6)[0]


def test_a_step_depends_on_the_seed_and_its_number_only() -> None:
    in_turn = ShuffledExamples(RecordingBatcher(10), 3, (5, 1))
    expected = [in_turn.split_batches(step, 2, 1) for step in range(12)]
    resumed = ShuffledExamples(RecordingBatcher(10), 3, (5, 1))
    for step in (11, 4, 0, 11, 7):
        assert resumed.split_batches(step, 2, 1) == expected[step]


def test_other_seeds_and_steps_have_other_examples_and_draws() -> None:
    steps = [
        ShuffledExamples(RecordingBatcher(50), 10, seed).split_batches(step, 10)[0]
        for seed in ((0, 0), (0, 1), (1, 0))
        for step in (0, 1, 5)
    ]
    assert len({tuple(step["examples"]) for step in steps}) == len({step["draw"] for step in steps}) == 9


def test_too_few_examples_for_one_step_are_refused() -> None:
    with pytest.raises(UserError, match="task toy: found 7 training examples in a language, expected at least the 8 "):
        ShuffledExamples(RecordingBatcher(7), 8, (0,))
    assert len(examples_of(ShuffledExamples(RecordingBatcher(8), 8, (0,)), 0, 8)[0]) == 8


def test_batches_come_from_each_language_in_turn() -> None:
    steps = batch_steps(
        [RecordingBatcher(6, "ar"), RecordingBatcher(6, "fr"), RecordingBatcher(6, "ru")], 3, 12, seed=0
    )
    items = [steps[i]["batch"] for i in range(12)]
    assert [item["name"] for item in items] == ["ar", "fr", "ru"] * 4
    for language in range(3):
        first, second, third, fourth = (items[language + 3 * turn]["examples"] for turn in range(4))
        assert sorted(first + second) == sorted(third + fourth) == list(range(6))
    assert items[0]["examples"] != items[1]["examples"], "languages are shuffled apart from each other"


def test_an_episode_for_each_language_with_disjoint_support_and_query() -> None:
    steps = episode_steps({"tr": RecordingBatcher(40), "sw": RecordingBatcher(30)}, 5, 3, 20, seed=2)
    assert len(steps) == 20
    for item in steps:
        (key,) = item
        assert key == "episodes"
        assert [episode["language"] for episode in item["episodes"]] == ["tr", "sw"]
        for episode in item["episodes"]:
            support, query = episode["support"]["examples"], episode["query"]["examples"]
            assert (len(support), len(query)) == (5, 3)
            assert not set(support) & set(query)


def test_episodes_are_a_pure_function_of_seed_and_step() -> None:
    def made(seed: int, count: int) -> Steps:
        return episode_steps({"tr": RecordingBatcher(40), "sw": RecordingBatcher(40)}, 4, 4, count, seed)

    assert made(1, 10)[7] == made(1, 100)[7]
    assert made(1, 10)[7] != made(2, 10)[7]
    tr, sw = made(1, 10)[7]["episodes"]
    assert tr["support"]["examples"] != sw["support"]["examples"]


def languages_of(item: dict) -> list[str]:
    return [episode["language"] for episode in item["episodes"]]


def test_a_step_may_take_some_of_the_languages() -> None:
    batchers = {language: RecordingBatcher(40, language) for language in ("ar", "fr", "ru", "tr")}
    drawn = [languages_of(item) for item in episode_steps(batchers, 5, 3, 200, 2, languages_per_step=2)]
    assert all(len(set(languages)) == 2 for languages in drawn)
    counts = Counter(language for languages in drawn for language in languages)
    assert all(80 < counts[language] < 120 for language in batchers)
    again = episode_steps(batchers, 5, 3, 10, 2, languages_per_step=2)
    assert [languages_of(item) for item in again] == drawn[:10]


def test_a_language_may_come_twice_in_a_step_with_other_examples() -> None:
    batchers = {"ar": RecordingBatcher(40, "ar"), "fr": RecordingBatcher(40, "fr")}
    items = list(episode_steps(batchers, 5, 3, 50, 2, languages_per_step=3, repeat_languages=True))
    assert {tuple(languages_of(item)) for item in items} == set(itertools.product(("ar", "fr"), repeat=3))
    for item in items:
        assert len({(episode["language"], *episode["support"]["examples"]) for episode in item["episodes"]}) == 3


def test_more_languages_per_step_than_auxiliary_languages_are_refused() -> None:
    with pytest.raises(
        UserError,
        match=r"trainer.languages_per_step is 3, but there are 2 .* \(tr, sw\); .* trainer.repeat_languages: true",
    ):
        episode_steps({"tr": RecordingBatcher(40), "sw": RecordingBatcher(40)}, 4, 4, 9, 0, languages_per_step=3)


def test_support_and_query_share_no_image_with_disjoint_images() -> None:
    """40 examples on 10 images, each example with two of them: without the setting most episodes share one."""
    images = np.stack([np.arange(40) % 10, (np.arange(40) + 1) % 10], axis=1)

    def shared(episode: dict) -> set[int]:
        support, query = (set(images[episode[part]["examples"]].ravel().tolist()) for part in ("support", "query"))
        return support & query

    apart, plain = (
        [
            item["episodes"][0]
            for item in episode_steps({"tr": RecordingBatcher(40, images=images)}, 3, 3, 30, 0, disjoint_images=setting)
        ]
        for setting in (True, False)
    )
    assert not any(shared(episode) for episode in apart)
    assert sum(bool(shared(episode)) for episode in plain) > 20
    for one, other in zip(apart, plain, strict=True):
        assert one["support"]["examples"] == other["support"]["examples"]
        assert (len(one["support"]["examples"]), len(set(one["query"]["examples"]))) == (3, 3)
        assert not set(one["support"]["examples"]) & set(one["query"]["examples"])


def test_too_few_images_for_support_and_query_are_refused() -> None:
    images = np.asarray([[0]] * 30 + [[1]] * 2)
    with pytest.raises(UserError) as error:
        episode_steps({"tr": RecordingBatcher(32, images=images)}, 4, 4, 4, 0, disjoint_images=True)
    assert str(error.value) == (
        "task toy: trainer.query_size is 4, but the 32 training examples in 'tr', with 2 images, have only 2 that have "
        "no image of the support batch for one of the query batches; lower the support or query size, or set "
        "trainer.disjoint_images: false"
    )


def test_iterating_over_steps_ends() -> None:
    steps = Steps(lambda step: {"step": step}, 3)
    assert [item["step"] for item in steps] == [0, 1, 2]
    for outside in (3, -1):
        with pytest.raises(IndexError, match=f"step {outside} of 3"):
            steps[outside]


def test_the_last_batch_of_an_epoch_may_be_kept_and_smaller() -> None:
    steps = batch_epochs([RecordingBatcher(11)], 4, epochs=3, schedule_epochs=5, seed=0)
    assert (len(steps), steps.epoch, steps.schedule) == (9, 3, 15)
    for epoch in range(3):
        batches = [steps[3 * epoch + i]["batch"]["examples"] for i in range(3)]
        assert [len(batch) for batch in batches] == [4, 4, 3]
        assert sorted(sum(batches, [])) == list(range(11))


def test_fewer_examples_than_a_batch_are_one_batch() -> None:
    steps = batch_epochs([RecordingBatcher(3)], 16, epochs=2, schedule_epochs=2, seed=0)
    assert [sorted(step["batch"]["examples"]) for step in steps] == [[0, 1, 2]] * 2


def test_epochs_of_several_languages_count_all_their_batches() -> None:
    steps = batch_epochs([RecordingBatcher(4, "ar"), RecordingBatcher(6, "fr")], 2, epochs=2, schedule_epochs=2, seed=0)
    assert (len(steps), steps.epoch) == (10, 5)
    assert [step["batch"]["name"] for step in steps] == ["ar", "fr"] * 5

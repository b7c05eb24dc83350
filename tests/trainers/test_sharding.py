"""The items of a step, shared between processes: each once, and weighted to the mean over the step."""

from __future__ import annotations

import pytest

from iglue_plugins.data.episodes import Steps
from iglue_plugins.trainers.sharding import WEIGHT, AccumulationShard
from iglue_plugins.utils.errors import UserError


@pytest.mark.parametrize(("items", "accumulation"), [(8, 4), (7, 4), (9, 4), (3, 4), (10, 5), (11, 3), (4, 1)])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_every_step_is_the_mean_of_its_items(items: int, accumulation: int, processes: int) -> None:
    if processes > accumulation:
        pytest.skip("AccumulationShard refuses more processes than items")
    steps = Steps(lambda i: {"item": i}, items)
    shards = [AccumulationShard(steps, accumulation, process, processes) for process in range(processes)]
    assert {len(shard) for shard in shards} == {-(-items // accumulation) * -(-accumulation // processes)}
    for step in range(shards[0].step_count):
        weights: dict[int, float] = {}
        for shard in shards:
            for turn in range(shard.per_step):
                seen = shard[step * shard.per_step + turn]
                mean_over_all = seen[WEIGHT] / shard.per_step / processes
                weights[seen["item"]] = weights.get(seen["item"], 0) + mean_over_all
        expected = range(step * accumulation, min((step + 1) * accumulation, items))
        assert weights == pytest.approx(dict.fromkeys(expected, 1 / len(expected)))


def test_items_of_whole_steps_have_weight_one_in_a_single_process() -> None:
    shard = AccumulationShard(Steps(lambda i: {"item": i}, 12), 3)
    assert [shard[i] for i in range(12)] == [{WEIGHT: 1.0, "item": i} for i in range(12)]


def test_more_processes_than_items_are_refused() -> None:
    with pytest.raises(UserError, match="^trainer.accumulation: it is 1, but 2 processes .* raise it to 2"):
        AccumulationShard(Steps(lambda i: {}, 4), 1, 0, 2)

"""Evaluation by two and by three processes, as a launcher starts them, gives the results of one process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("evaluate_in_processes.py")
HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture(scope="module")
def outcomes(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict]]:
    """The results of each process, when one, two and three of them evaluate."""
    folder = tmp_path_factory.mktemp("processes")
    ended = subprocess.run(
        [sys.executable, SCRIPT, tiny_checkpoint, folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(HELPERS)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return {
        count: [torch.load(folder / f"{count}-{rank}.pt", weights_only=False) for rank in range(count)]
        for count in (1, 2, 3)
    }


@pytest.mark.parametrize("count", [2, 3])
def test_every_process_has_the_results_of_a_single_one(outcomes: dict[int, list[dict]], count: int) -> None:
    (alone,) = outcomes[1]
    assert alone["processes"] == 1
    for found in outcomes[count]:
        assert found["processes"] == count
        for key in ("classify 3", "classify 100", "match 3", "match 10", "match 100", "towers 3", "towers 100"):
            assert torch.equal(found[key], alone[key]), key
        assert found["evaluate"] == alone["evaluate"]
    for key in ("match 3", "classify 3", "towers 3"):
        assert alone[key].std() > 0.01, f"{key}: pairs and examples differ"


@pytest.mark.parametrize("count", [2, 3])
def test_each_example_and_each_pair_is_scored_by_one_process_only(outcomes: dict[int, list[dict]], count: int) -> None:
    (alone,) = outcomes[1]
    images_a_text, classified, matched = 2, 2, 4
    assert sum(alone["rows"]) == classified * 11 * images_a_text + matched * 7 * 7
    assert sorted(sum((found["rows"] for found in outcomes[count]), [])) == sorted(alone["rows"])
    assert 0 < max(sum(found["rows"]) for found in outcomes[count]) < sum(alone["rows"])


@pytest.mark.parametrize("count", [2, 3])
def test_a_dual_encoders_blocks_are_shared_even_where_a_process_has_none(
    outcomes: dict[int, list[dict]], count: int
) -> None:
    """7 captions and 7 images in blocks of 3 are three blocks each; in blocks of 100 only the first process has one."""
    (alone,) = outcomes[1]
    assert alone["embedded 3"] == ([3, 3, 1], [3, 3, 1]) and alone["embedded 100"] == ([7], [7])
    for place in (0, 1):  # texts, images
        shared = [found["embedded 3"][place] for found in outcomes[count]]
        assert sorted(sum(shared, [])) == [1, 3, 3] and all(shared)
        assert [found["embedded 100"][place] for found in outcomes[count]] == [[7]] + [[1]] * (count - 1)

"""What the algorithms anneal."""

from __future__ import annotations

import pytest

from iglue_plugins.meta.algorithms import MetaAlgorithm


def test_the_outer_loss_moves_to_the_last_step() -> None:
    annealed = MetaAlgorithm(multi_step=10)
    assert annealed.outer_weights(4, 0) == [0.25] * 4
    assert annealed.outer_weights(4, 5) == [0.125, 0.125, 0.125, 0.625]
    assert annealed.outer_weights(4, 10) == annealed.outer_weights(4, 99) == [0, 0, 0, 1]
    assert MetaAlgorithm().outer_weights(3) == [0, 0, 1]
    assert annealed.outer_weights(0, 3) == [1]
    for step in range(12):
        assert sum(annealed.outer_weights(5, step)) == pytest.approx(1)

"""What the algorithms anneal."""

from __future__ import annotations

import pytest

from iglue_plugins.meta.algorithms import MetaAlgorithm
from iglue_plugins.utils.errors import UserError


def test_the_outer_loss_moves_to_the_last_step() -> None:
    annealed = MetaAlgorithm(multi_step=10)
    assert annealed.outer_weights(4, 0) == [0.25] * 4
    assert annealed.outer_weights(4, 5) == [0.125, 0.125, 0.125, 0.625]
    assert annealed.outer_weights(4, 10) == annealed.outer_weights(4, 99) == [0, 0, 0, 1]
    assert MetaAlgorithm().outer_weights(3) == [0, 0, 1]
    assert annealed.outer_weights(0, 3) == [1]
    for step in range(12):
        assert sum(annealed.outer_weights(5, step)) == pytest.approx(1)


def test_a_setting_that_the_algorithm_does_not_use_is_refused() -> None:
    with pytest.raises(UserError, match="multi_step is 5, but algorithm 'imaml' does not use it; .* maml or fomaml"):
        MetaAlgorithm("imaml", multi_step=5)
    with pytest.raises(UserError, match="proximal is 2.0, but algorithm 'maml' does not use it; .* take imaml"):
        MetaAlgorithm(proximal=2.0)

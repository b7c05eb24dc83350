"""Meta-learning for any module and any loss, without tasks or recipes; `step.MetaStep` is where to begin."""

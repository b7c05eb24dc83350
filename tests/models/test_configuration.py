from __future__ import annotations

import pytest

from iglue_plugins.models import XUniterConfig


def test_defaults_are_those_of_the_base_model() -> None:
    config = XUniterConfig()
    assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (250002, 768, 12)
    assert (config.pooler_size, config.classifier_hidden_size, config.region_feature_size) == (1024, 1536, 2048)
    assert config.head is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 10, "num_attention_heads": 4}, "hidden_size is 10; expected a multiple of .*heads, 4"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; expected a whole number of at least 1"),
        ({"vocab_size": "many"}, "vocab_size is 'many'; expected a whole number"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob is 1.0; expected a probability"),
        ({"pad_token_id": 7, "vocab_size": 7}, "pad_token_id is 7; expected a row of the vocabulary of 7"),
        ({"head": "pared"}, "head is 'pared'.*did you mean 'paired'"),
        ({"head": "matching", "num_labels": 4}, "num_labels is 4; expected 1 for the head 'matching'"),
    ],
)
def test_invalid_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        XUniterConfig(**settings)

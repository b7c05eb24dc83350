from __future__ import annotations

import pytest

from iglue_plugins.models.configuration import FORMER_HEADS, MUniterConfig, UC2Config, UniterConfig, XUniterConfig


def test_all_model_types_have_the_same_sizes() -> None:
    for config in (XUniterConfig(), UC2Config(), MUniterConfig()):
        assert (config.hidden_size, config.num_hidden_layers, config.region_feature_size) == (768, 12, 2048)
        assert config.head is None


def test_each_model_type_sets_every_field_that_differs() -> None:
    shared = {name for name in UniterConfig.__annotations__ if hasattr(UniterConfig, name)}
    for member in (XUniterConfig, UC2Config, MUniterConfig):
        assert set(member.__annotations__) == set(UniterConfig.__annotations__) - shared


def test_text_capacity() -> None:
    assert XUniterConfig().text_capacity == UC2Config().text_capacity == MUniterConfig().text_capacity == 512
    assert XUniterConfig(max_position_embeddings=82).text_capacity == 80


def test_the_former_epsilon_of_embeddings_must_agree() -> None:
    config = XUniterConfig(embedding_layer_norm_eps=1e-12)
    assert "embedding_layer_norm_eps" not in config.to_dict()
    with pytest.raises(ValueError, match="embedding_layer_norm_eps is 1e-05, but layer_norm_eps is 1e-12"):
        XUniterConfig(embedding_layer_norm_eps=1e-5)


@pytest.mark.parametrize(("former", "current"), FORMER_HEADS.items())
def test_head_names_of_earlier_versions_are_mapped(former: str, current: str) -> None:
    config = XUniterConfig(head=former, num_labels=1)
    assert config.head == current
    assert config.to_dict()["head"] == current


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 10, "num_attention_heads": 4}, "hidden_size is 10; expected a multiple of .*heads, 4"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0; expected a whole number of at least 1"),
        ({"vocab_size": "many"}, "vocab_size is 'many'; expected a whole number"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob is 1.0; expected a probability"),
        ({"num_attention_heads": True}, "num_attention_heads is True; expected a whole number of at least 1"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small'; expected a number above 0 and below 1"),
        ({"layer_norm_eps": -1}, "layer_norm_eps is -1; expected a number above 0"),
        ({"initializer_range": None}, "initializer_range is None; expected a number above 0"),
        ({"pad_token_id": 7, "vocab_size": 7}, "pad_token_id is 7; expected a row of the vocabulary of 7"),
        ({"region_location_size": 4}, "region_location_size is 4; expected one of 5, 7"),
        ({"fusion": "sum"}, "fusion is 'sum'; expected one of mul, text"),
        ({"position_ids": "t5"}, "position_ids is 't5'; expected one of xlm-r, bert"),
        ({"global_region": 1}, "global_region is 1; expected true or false"),
        ({"shared_type_embeddings": True}, "type_vocab_size is 1; expected at least 2 where text and regions share"),
        ({"max_position_embeddings": 2}, r"max_position_embeddings is 2; expected more than pad_token_id \+ 1, 2"),
        ({"head": "image_pare"}, "head is 'image_pare'.*did you mean 'image_pair'"),
        (
            {"head": "image_text_matching", "num_labels": 4},
            "num_labels is 4; expected 1 for the head 'image_text_matching'",
        ),
        ({"head": "matching", "num_labels": 4}, "num_labels is 4; expected 1 .* 'matching'"),
    ],
)
def test_invalid_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        XUniterConfig(**settings)

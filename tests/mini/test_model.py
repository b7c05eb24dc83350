"""The encoder that ships with the mini benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from iglue_plugins import registry
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.model import MiniXUniter
from iglue_plugins.mini.world import FEATURE_SIZE


def test_the_checkpoint_is_the_one_that_ships_unless_another_is_named(tiny_checkpoint: Path) -> None:
    assert registry.models.load("mini/xuniter") is MiniXUniter
    assert MiniXUniter(MiniXUniter.Settings()).settings.checkpoint == str(ASSETS / "xuniter")
    other = MiniXUniter(MiniXUniter.Settings(checkpoint=str(tiny_checkpoint)))
    assert other.settings.checkpoint == str(tiny_checkpoint)
    assert other.load()[0].config.hidden_size == 16


def test_the_shipped_encoder_fits_the_shipped_tokenizer() -> None:
    if not (ASSETS / "xuniter").is_dir():
        pytest.skip("the encoder has not been made yet (recipes/mini/pretrain.yaml)")
    model, processor = MiniXUniter(MiniXUniter.Settings()).load()
    tokenizer = processor.tokenizer
    expected = AutoTokenizer.from_pretrained(ASSETS / "tokenizer")
    assert tokenizer.get_vocab() == expected.get_vocab()
    assert model.config.vocab_size == len(expected)
    assert model.config.region_feature_size == FEATURE_SIZE
    assert tokenizer("x").input_ids == expected("x").input_ids

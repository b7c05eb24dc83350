from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from iglue_plugins.errors import UserError
from iglue_plugins.models import XUniter, XUniterForVisionAndLanguage
from iglue_plugins.registry import models


def save_tokenizer(folder: Path, words: int) -> None:
    vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>"])}
    vocabulary |= {f"word{number}": number for number in range(4, words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)


@pytest.fixture
def checkpoint(model: XUniterForVisionAndLanguage, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "checkpoint")
    save_tokenizer(tmp_path / "checkpoint", 20)
    return tmp_path / "checkpoint"


def load(**settings: object) -> tuple[XUniterForVisionAndLanguage, PreTrainedTokenizerFast]:
    return XUniter(XUniter.Settings(**settings)).load()


def test_registered() -> None:
    assert models.get("xuniter") is XUniter


def test_checkpoint(model: XUniterForVisionAndLanguage, checkpoint: Path, batch: dict[str, Tensor]) -> None:
    loaded, tokenizer = load(checkpoint=str(checkpoint), config={"hidden_dropout_prob": 0.25})
    assert not loaded.training and loaded.config.hidden_dropout_prob == 0.25
    torch.testing.assert_close(loaded(**batch), model(**batch), rtol=0, atol=0)
    assert (len(tokenizer), tokenizer.pad_token_id) == (20, 1)


def test_from_scratch(checkpoint: Path, sizes: dict[str, int | float]) -> None:
    loaded, tokenizer = load(tokenizer=str(checkpoint), config=sizes)
    assert loaded.config.hidden_size == 16 and loaded.config.head is None
    assert len(tokenizer) == 20


def test_a_subclass_gives_another_default_checkpoint(checkpoint: Path) -> None:
    folder = str(checkpoint)

    class Shipped(XUniter):
        class Settings(XUniter.Settings):
            checkpoint: str | None = folder

    assert Shipped(Shipped.Settings()).load()[0].config.vocab_size == 61


def test_what_cannot_be_loaded(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither tokenizer nor checkpoint; expected a folder or hub id in either"):
        load()
    with pytest.raises(UserError, match=r"model.checkpoint: found no folder '.*nothing', expected one with a saved"):
        load(checkpoint=str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"model.tokenizer: found no folder '.*nothing', expected one with a saved"):
        load(checkpoint=str(checkpoint), tokenizer=str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no tokeniser can be loaded from '.*empty'; expected a folder that holds"):
        load(checkpoint=str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"'.*empty' holds a model of type None; expected 'xuniter'"):
        load(checkpoint=str(tmp_path / "empty"), tokenizer=str(checkpoint))
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no xuniter weights .* expected model.safetensors"):
        load(checkpoint=str(checkpoint))
    (checkpoint / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="holds a model of type 'bert'; expected 'xuniter'"):
        load(checkpoint=str(checkpoint))


def test_config_that_does_not_fit(checkpoint: Path, sizes: dict[str, int | float]) -> None:
    with pytest.raises(UserError, match="unknown key 'hiden_size'; did you mean 'hidden_size'"):
        load(tokenizer=str(checkpoint), config={"hiden_size": 8})
    with pytest.raises(UserError, match="the model's config does not fit: hidden_size is 15; expected a multiple"):
        load(tokenizer=str(checkpoint), config=sizes | {"hidden_size": 15})
    with pytest.raises(UserError, match="no xuniter weights that fit its configuration"):
        load(checkpoint=str(checkpoint), config={"hidden_size": 32})
    with pytest.raises(UserError, match="the tokeniser has 20 words; expected at most the model's vocab_size, 10"):
        load(tokenizer=str(checkpoint), config=sizes | {"vocab_size": 10})


def test_unknown_setting() -> None:
    with pytest.raises(ValidationError, match="chekpoint"):
        XUniter.Settings(chekpoint="x")

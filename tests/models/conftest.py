"""A tiny model of each kind, and a batch with padded texts and padded regions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from iglue_plugins.models.uniter import MODELS, UniterForVisionAndLanguage

SIZES = {
    "vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "max_position_embeddings": 32, "region_feature_size": 10, "pooler_size": 18, "classifier_hidden_size": 12,
    "contrastive_size": 8, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "initializer_range": 0.2,
}  # fmt: skip
MakeModel = Callable[..., UniterForVisionAndLanguage]


@pytest.fixture
def sizes() -> dict[str, int | float]:
    return dict(SIZES)


@pytest.fixture
def make_model() -> MakeModel:
    """Returns a function that makes a tiny model with a 3-way head, large random weights and no dropout.

    Keywords change its configuration.
    """

    def make(kind: str = "xuniter", **changes: object) -> UniterForVisionAndLanguage:
        torch.manual_seed(0)
        cls = MODELS[kind]
        model = cls(cls.config_class(**{"head": "classifier", "num_labels": 3, **SIZES, **changes})).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name.endswith("bias"):  # fresh biases are 0, and would have no effect
                    value.normal_(std=0.2)
        return model

    return make


@pytest.fixture
def model(make_model: MakeModel) -> UniterForVisionAndLanguage:
    return make_model()


@pytest.fixture(params=MODELS)
def member(request: pytest.FixtureRequest, make_model: MakeModel) -> UniterForVisionAndLanguage:
    """A tiny model of each type in turn."""
    return make_model(request.param)


@pytest.fixture
def make_batch() -> Callable[[UniterForVisionAndLanguage], dict[str, Tensor]]:
    """Returns a function that makes the inputs of a model: 6 rows of at most 7 tokens and 5 regions."""

    def make(model: UniterForVisionAndLanguage) -> dict[str, Tensor]:
        draw = torch.Generator().manual_seed(1)
        attention_mask = (torch.arange(7) < torch.tensor([7, 4, 3, 6, 2, 7])[:, None]).long()
        region_mask = (torch.arange(5) < torch.tensor([5, 2, 3, 5, 1, 4])[:, None]).long()
        input_ids = torch.randint(4, 61, (6, 7), generator=draw)
        return {
            "input_ids": torch.where(attention_mask == 1, input_ids, model.config.pad_token_id),
            "attention_mask": attention_mask,
            "region_features": torch.randn(6, 5, 10, generator=draw),
            "region_locations": torch.rand(6, 5, model.config.region_location_size, generator=draw),
            "region_mask": region_mask,
        }

    return make


@pytest.fixture
def batch(model: UniterForVisionAndLanguage, make_batch: Callable) -> dict[str, Tensor]:
    return make_batch(model)


@pytest.fixture
def labels() -> Tensor:
    """A label for each row of a batch."""
    return torch.tensor([0, 1, 2, 1, 0, 2])


@pytest.fixture
def save_tokenizer() -> Callable[..., None]:
    """Returns a function that saves a tokenizer with a number of words to a folder."""

    def save(folder: Path, words: int = 61, padding: str = "<pad>") -> None:
        vocabulary = {word: number for number, word in enumerate(["<s>", "<pad>", "</s>", "<unk>"])}
        vocabulary |= {f"word{number}": number for number in range(4, words)}
        tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
        made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=padding, unk_token="<unk>")
        made.save_pretrained(folder)

    return save

"""Which models support an embedding subset, and how it treats token ids and padding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PretrainedConfig, PreTrainedModel

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.models.uniter import MODELS
from iglue_plugins.trainers.embedding_subset import EmbeddingSubset

PADDING = 7


class Words(PreTrainedModel):
    """A plugin's model that calls its embedding, padding and all, and perhaps predicts words by the same matrix."""

    config_class = PretrainedConfig
    token_id_keys = ("input_ids",)

    def __init__(self, padding: int | None = PADDING, tied: bool = False, **kwargs: object) -> None:
        super().__init__(PretrainedConfig())
        self.words = nn.Embedding(10, 4, padding, **kwargs)
        if tied:
            self.output = nn.Linear(4, 10, bias=False)
            self.output.weight = self.words.weight

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.words(input_ids).sin().sum()


def make_batch(
    ids: list[list[int]], labels: list[int], captions: list[list[int]] | None = None, key: str = "input_ids"
) -> Batch:
    rows, identity = len(ids), torch.arange(len(ids))
    text = Inputs({key: torch.tensor(ids)}, rows)
    image = Inputs({"sizes": torch.full((rows, 1), 9)}, rows)
    caption = None if captions is None else Inputs({key: torch.tensor(captions)}, rows)
    inputs = text.merge(image)
    return Batch(inputs, text, image, torch.tensor(labels), identity[:, None], identity, caption, caption and identity)


@pytest.fixture
def batches() -> list[Batch]:
    return [make_batch([[3, 9, PADDING], [3, 5, 0]], [9, 3]), make_batch([[5, 2]], [1], [[8, 9]])]


def test_the_subset_has_the_rows_of_all_texts_and_captions(batches: list[Batch]) -> None:
    model = Words()
    rows = EmbeddingSubset.from_batches(nn.Sequential(model), model, batches)
    assert (rows.name, rows.rows.tolist()) == ("0.words.weight", [0, 2, 3, 5, 7, 8, 9])
    assert torch.equal(rows.gather(), model.words.weight[[0, 2, 3, 5, 7, 8, 9]])
    for batch in batches:
        remapped = rows.remap_ids(batch)
        assert remapped.inputs.keys() == batch.inputs.keys()
        for side in ("inputs", "text", *(["caption"] if batch.caption else [])):
            ids = getattr(remapped, side)["input_ids"]
            assert torch.equal(rows.rows[ids], getattr(batch, side)["input_ids"]), side
        assert remapped.inputs["input_ids"] is remapped.text["input_ids"], "ids that two sides share are mapped once"
        assert remapped.inputs["sizes"] is remapped.image["sizes"] is batch.image["sizes"]
        assert remapped.labels is batch.labels
    assert batches[0].text["input_ids"][0].tolist() == [3, 9, PADDING], "the batch itself stays"


def test_the_model_says_which_of_its_inputs_are_token_ids() -> None:
    model = type("Other", (Words,), {"token_id_keys": ("words", "absent")})()
    batch = make_batch([[3, 9], [3, 5]], [0, 1], [[8, 9], [8, 8]], key="words")
    rows = EmbeddingSubset.from_batches(model, model, [batch])
    assert rows.rows.tolist() == [3, 5, 8, 9]
    assert rows.remap_ids(batch).inputs["words"].tolist() == [[0, 3], [0, 1]]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_package_supports_a_subset(name: str, batches: list[Batch]) -> None:
    config = MODELS[name].config_class(
        vocab_size=10,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=8,
        region_feature_size=4,
    )
    model = MODELS[name](config)
    rows = EmbeddingSubset.from_batches(nn.Sequential(model), model, batches)
    assert (rows.name, len(rows.gather())) == ("0.encoder.text_embeddings.word_embeddings.weight", 7)


@pytest.mark.parametrize("padding", [PADDING, 4, None], ids=["in-a-text", "in-no-text", "none"])
def test_a_called_embedding_layer_has_the_same_gradient_as_with_the_whole_matrix(
    batches: list[Batch], padding: int | None
) -> None:
    model = Words(padding)
    model.words.weight.data.normal_()
    batch = batches[0]
    (expected,) = torch.autograd.grad(model(**batch.text), model.words.weight)
    rows = EmbeddingSubset.from_batches(model, model, [batch])
    with rows.padding():
        loss = functional_call(model, {rows.name: rows.gather()}, kwargs=dict(rows.remap_ids(batch).text))
        (found,) = torch.autograd.grad(loss, model.words.weight)
    assert torch.equal(found, expected)
    assert expected[PADDING].any() == (padding != PADDING)
    assert model.words.padding_idx == padding


@pytest.mark.parametrize(
    "make",
    [
        lambda: Words(tied=True),
        lambda: Words(max_norm=1.0),
        lambda: Words().requires_grad_(False),
        lambda: type("Reader", (Words,), {"token_id_keys": ()})(),
        lambda: type("Silent", (PreTrainedModel,), {"config_class": PretrainedConfig})(PretrainedConfig()),
    ],
    ids=["tied", "max-norm", "frozen", "without-support", "without-the-attribute"],
)
def test_there_is_no_subset_where_the_whole_matrix_is_needed(
    make: Callable[[], PreTrainedModel], batches: list[Batch]
) -> None:
    model = make()
    assert EmbeddingSubset.from_batches(model, model, batches) is None
    assert EmbeddingSubset.from_batches(Words(), Words(), batches) is None, "the module does not have that matrix"

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
)

from iglue_plugins.models.plugin import UC2, MUniter, XUniter
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.utils.errors import UserError

SIZES = {
    "vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "initializer_range": 0.2,
}  # fmt: skip
OTHERS = {"region_feature_size": 10, "pooler_size": 18, "initializer_range": 0.2}
E5 = Path(__file__).parents[2].parent / "shared" / "flickr8k" / "text_encoder"


@pytest.fixture
def save(tmp_path: Path, save_tokenizer: Callable) -> Callable[..., Path]:
    """Returns a function that saves a text model with a tokenizer."""

    def save(name: str, model: PreTrainedModel, words: int = 61, padding: str = "<pad>") -> Path:
        model.save_pretrained(tmp_path / name)
        save_tokenizer(tmp_path / name, words, padding=padding)
        return tmp_path / name

    return save


@pytest.fixture
def xlm_r(save: Callable) -> Path:
    torch.manual_seed(1)
    config = XLMRobertaConfig(**SIZES, max_position_embeddings=34, type_vocab_size=1, pad_token_id=1)
    return save("xlm-r", XLMRobertaForMaskedLM(config))


@pytest.fixture
def roberta(save: Callable) -> Path:
    torch.manual_seed(1)
    config = RobertaConfig(**SIZES, max_position_embeddings=34, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-3)
    return save("roberta", RobertaModel(config))


@pytest.fixture
def bert(save: Callable) -> Path:
    torch.manual_seed(1)
    config = BertConfig(**SIZES, max_position_embeddings=34, type_vocab_size=2, pad_token_id=0, layer_norm_eps=1e-3)
    return save("bert", BertModel(config), padding="<s>")


def load(plugin: type[XUniter], source: Path, **config: object) -> UniterForVisionAndLanguage:
    torch.manual_seed(0)
    return plugin(plugin.Settings(text_weights=str(source), config=OTHERS | config)).load()[0]


def text_hidden(model: UniterForVisionAndLanguage, text_model: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the hidden states of a padded batch in both models."""
    padding = model.config.pad_token_id
    ids = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, padding, padding]])
    mask = ids.ne(padding).long()
    real = mask.bool()
    expected = text_model.eval()(ids, attention_mask=mask).last_hidden_state
    return model.encoder(ids, mask).text_hidden[real], expected[real]


@pytest.mark.parametrize("text_model", ["xlm_r", "roberta", "bert"])
@pytest.mark.parametrize("plugin", [XUniter, MUniter, UC2])
def test_the_hidden_states_are_those_of_the_text_model(
    plugin: type[XUniter], text_model: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(text_model)
    model, expected_from = load(plugin, folder), AutoModel.from_pretrained(folder)
    if model.config.shared_type_embeddings and text_model != "bert":  # as in VOLTA, the shared table is a new one
        with torch.no_grad():
            types = model.encoder.text_embeddings.token_type_embeddings.weight
            types[0] = expected_from.embeddings.token_type_embeddings.weight[0]
    found, expected = text_hidden(model, expected_from)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (model.config.max_position_embeddings, model.config.pooler_size) == (34, 18)


def test_padding_and_vocabulary_are_the_tokenizers(save: Callable) -> None:
    """As in multilingual E5: XLM-R's tokenizer on a BERT whose configuration has another padding, and spare rows."""
    torch.manual_seed(1)
    config = BertConfig(**SIZES | {"vocab_size": 70}, max_position_embeddings=34, pad_token_id=0)
    folder = save("e5", BertModel(config), words=61)
    model, processor = XUniter(XUniter.Settings(text_weights=str(folder), config=OTHERS)).load()
    assert (model.config.vocab_size, model.config.pad_token_id) == (61, 1)
    assert model.encoder.text_embeddings.word_embeddings.weight.shape == (61, 16)
    found, expected = text_hidden(model, BertModel.from_pretrained(folder))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    other = save("other", BertModel(config), words=60)
    with pytest.raises(UserError, match="vocab_size is 60 in '.*other', but 70 in the model"):
        XUniter(XUniter.Settings(text_weights=str(folder), tokenizer=str(other), config=OTHERS)).load()
    larger = save("larger", BertModel(config), words=71)
    with pytest.raises(UserError, match="vocab_size is 71 in '.*larger', but 70 in the model"):
        load(XUniter, larger)


@pytest.mark.skipif(not E5.is_dir(), reason=f"no text encoder in {E5}")
def test_multilingual_e5() -> None:
    model, processor = XUniter(XUniter.Settings(text_weights=str(E5), config={"region_feature_size": 320})).load()
    text_model = AutoModel.from_pretrained(E5, dtype=torch.float32).eval()
    texts = ["query: a dog runs on the beach", "query: 一个孩子", "query: iki köpek karda oynuyor"]
    batch = processor.tokenizer(texts, return_tensors="pt", padding=True)
    mask = batch.attention_mask
    assert not mask.all()
    with torch.no_grad():
        found = model.encoder(batch.input_ids, mask).text_hidden
        expected = text_model(input_ids=batch.input_ids, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], rtol=1e-5, atol=1e-5)


def test_uc2_keeps_its_type_embeddings(xlm_r: Path) -> None:
    types = load(UC2, xlm_r).encoder.text_embeddings.token_type_embeddings.weight
    assert types.shape == (2, 16) and types.any()


def test_other_weights_are_drawn_by_the_seed(xlm_r: Path) -> None:
    model, other = load(XUniter, xlm_r), load(XUniter, xlm_r)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    assert model.encoder.region_embeddings.image_embeddings.weight.std().item() == pytest.approx(0.2, rel=0.2)


def test_the_tokenizer_is_that_of_the_text_model(xlm_r: Path) -> None:
    _, processor = XUniter(XUniter.Settings(text_weights=str(xlm_r), config=OTHERS)).load()
    assert len(processor.tokenizer) == 61


def test_sizes_that_config_sets_must_be_the_text_models(xlm_r: Path) -> None:
    assert load(XUniter, xlm_r, hidden_dropout_prob=0.3).config.hidden_dropout_prob == 0.3
    assert load(XUniter, xlm_r, layer_norm_eps=1e-12).config.layer_norm_eps == 1e-12
    with pytest.raises(UserError, match="num_hidden_layers is 2 in '.*xlm-r', but 3 in the model"):
        load(XUniter, xlm_r, num_hidden_layers=3)
    with pytest.raises(UserError, match="position_ids is xlm-r in '.*xlm-r', but bert in the model"):
        load(XUniter, xlm_r, position_ids="bert")


def test_the_pooler_of_a_text_model_may_be_missing(bert: Path) -> None:
    weights = load_file(bert / "model.safetensors")
    save_file({name: value for name, value in weights.items() if "pooler" not in name}, bert / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    first, second = load(XUniter, bert), load(XUniter, bert)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name
    for name in ("encoder.layer.0.output.dense.bias", "encoder.layer.1.output.dense.bias"):
        del weights[name]
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks encoder.layer.0.output.dense.bias, encoder.layer.1.output.dense.bias;"):
        load(XUniter, bert)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "albert"}, "is of the architecture 'albert'"),
        ({"model_type": "distilbert"}, "is of the architecture 'distilbert'"),
        ({"model_type": "t5"}, "is of the architecture 't5'"),
        ({"model_type": "deberta-v2"}, "is of the architecture 'deberta-v2'"),
        ({"position_embedding_type": "relative_key"}, "has positions of type 'relative_key', not 'absolute'"),
        ({"hidden_act": "relu"}, "has the activation 'relu', not 'gelu'"),
        ({"is_decoder": True}, "is a decoder"),
    ],
)
def test_architectures_that_do_not_fit(changes: dict[str, object], reason: str, bert: Path) -> None:
    config = changes if "model_type" in changes else json.loads((bert / "config.json").read_text()) | changes
    (bert / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"model.text_weights: the text model in '.*bert' {reason}.*; give an encoder"):
        load(XUniter, bert)


def test_a_missing_text_model(xlm_r: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    for source in (str(tmp_path / "empty"), "no/such-model"):
        with pytest.raises(UserError, match=f"model.text_weights: no text model can be loaded from '{source}'"):
            XUniter(XUniter.Settings(text_weights=source, tokenizer=str(xlm_r), config=OTHERS)).load()
    weights = xlm_r / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="model.text_weights: no text model can be loaded from '.*xlm-r'"):
        load(XUniter, xlm_r)


@torch.no_grad()
def test_the_lower_layers_of_a_text_model(bert: Path) -> None:
    model = load(XUniter, bert, num_hidden_layers=1)
    text_model = AutoModel.from_pretrained(bert, num_hidden_layers=1)
    torch.testing.assert_close(*text_hidden(model, text_model))
    with pytest.raises(UserError, match="num_hidden_layers is 2 in .*, but 3 in the model"):
        load(XUniter, bert, num_hidden_layers=3)

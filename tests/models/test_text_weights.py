from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedModel, XLMRobertaConfig, XLMRobertaForMaskedLM

from iglue_plugins.models.plugin import UC2, MUniter, XUniter
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.utils.errors import UserError

SIZES = {
    "vocab_size": 61, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24,
    "initializer_range": 0.2,
}  # fmt: skip
OTHERS = {"region_feature_size": 10, "pooler_size": 18, "initializer_range": 0.2}


@pytest.fixture
def xlm_r(tmp_path: Path, save_tokenizer: Callable) -> Path:
    torch.manual_seed(1)
    folder = tmp_path / "xlm-r"
    config = XLMRobertaConfig(**SIZES, max_position_embeddings=34, type_vocab_size=1, pad_token_id=1)
    XLMRobertaForMaskedLM(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture
def bert(tmp_path: Path, save_tokenizer: Callable) -> Path:
    torch.manual_seed(1)
    folder = tmp_path / "bert"
    config = BertConfig(**SIZES, max_position_embeddings=34, type_vocab_size=2, pad_token_id=0)
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder, padding="<s>")
    return folder


def load(plugin: type[XUniter], source: Path, **config: object) -> UniterForVisionAndLanguage:
    torch.manual_seed(0)
    return plugin(plugin.Settings(text_weights=str(source), config=OTHERS | config)).load()[0]


def text_hidden(model: UniterForVisionAndLanguage, text_model: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the hidden states of a padded batch in both models.

    Ours gets the epsilon of the text model, which neither VOLTA nor we take over.
    """
    padding = model.config.pad_token_id
    ids = torch.tensor([[5, 6, 7, 8, 9], [10, 11, 12, padding, padding]])
    mask = ids.ne(padding).long()
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = text_model.config.layer_norm_eps
    real = mask.bool()
    expected = text_model.eval()(ids, attention_mask=mask).last_hidden_state
    return model.encoder(ids, mask).text_hidden[real], expected[real]


def test_xuniter_has_the_hidden_states_of_xlm_r(xlm_r: Path) -> None:
    model = load(XUniter, xlm_r)
    found, expected = text_hidden(model, XLMRobertaForMaskedLM.from_pretrained(xlm_r).roberta)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (model.config.max_position_embeddings, model.config.pooler_size) == (34, 18)


def test_muniter_has_the_hidden_states_of_bert(bert: Path) -> None:
    found, expected = text_hidden(load(MUniter, bert), BertModel.from_pretrained(bert))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_uc2_keeps_its_type_embeddings(xlm_r: Path) -> None:
    model, text_model = load(UC2, xlm_r), XLMRobertaForMaskedLM.from_pretrained(xlm_r).roberta
    types = model.encoder.text_embeddings.token_type_embeddings.weight
    assert types.shape == (2, 16) and types.any()
    with torch.no_grad():
        types[0] = text_model.embeddings.token_type_embeddings.weight[0]
    found, expected = text_hidden(model, text_model)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


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
    with pytest.raises(UserError, match="num_hidden_layers is 2 in '.*xlm-r', but 3 in the model"):
        load(XUniter, xlm_r, num_hidden_layers=3)


def test_the_wrong_text_model(xlm_r: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="'.*bert' holds a 'bert', but uc2 builds on 'xlm-roberta'"):
        UC2(UC2.Settings(text_weights=str(bert), tokenizer=str(xlm_r), config=OTHERS)).load()
    with pytest.raises(UserError, match="'.*xlm-r' holds a 'xlm-roberta', but muniter builds on 'bert'"):
        MUniter(MUniter.Settings(text_weights=str(xlm_r), tokenizer=str(bert), config=OTHERS)).load()
    (tmp_path / "empty").mkdir()
    for source in (str(tmp_path / "empty"), "no/such-model"):
        with pytest.raises(UserError, match=f"model.text_weights: no text model can be loaded from '{source}'"):
            XUniter(XUniter.Settings(text_weights=source, tokenizer=str(xlm_r), config=OTHERS)).load()
    weights = xlm_r / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="model.text_weights: no text model can be loaded from '.*xlm-r'"):
        load(XUniter, xlm_r)

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_dual_encoders as tiny
import torch
from loaded_dual_encoders import Loaded, Tiny, load
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertModel,
    Dinov2Model,
    DistilBertConfig,
    DistilBertModel,
    ResNetConfig,
    XLMRobertaForMaskedLM,
)

from iglue_plugins.models.dual_encoder.plugin import DualEncoderPlugin
from iglue_plugins.registry import models
from iglue_plugins.utils.errors import UserError

Settings = DualEncoderPlugin.Settings


@pytest.fixture
def copy(make: Callable[[str], Tiny], tmp_path: Path) -> Callable[[str], Path]:
    """Gives a function that copies a checkpoint, to be changed."""
    return lambda name: Path(shutil.copytree(make(name).folder, tmp_path / name))


@pytest.fixture
def towers(tmp_path: Path) -> dict[str, str]:
    """An XLM-R without pooler, as the hub has it, and a DINOv2, in folders of their own."""
    tokenizer = tiny.byte_tokenizer()
    folders = {"text": tmp_path / "xlm-roberta", "vision": tmp_path / "dinov2"}
    XLMRobertaForMaskedLM(tiny.xlm_roberta_config(len(tokenizer), tokenizer.eos_token_id)).save_pretrained(
        folders["text"]
    )
    tokenizer.save_pretrained(folders["text"])
    Dinov2Model(tiny.dinov2_config()).save_pretrained(folders["vision"])
    tiny.save_image_processor("xlm-roberta+dinov2", folders["vision"])
    return {key: str(folder) for key, folder in folders.items()}


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_registered() -> None:
    assert models.load("dual_encoder") is DualEncoderPlugin
    assert models.get("dual_encoder").reads == "pixels"


@torch.no_grad()
@pytest.mark.parametrize("fusion", ["concat", "cross_attention"])
def test_a_saved_model_needs_nothing_but_its_folder(
    copy: Callable[[str], Path], encoder: Tiny, fusion: str, tmp_path: Path
) -> None:
    base, saved = copy(encoder.name), tmp_path / "saved"
    before = load(base, fusion=fusion, dropout=0.25)
    before.model.set_head("image_pair", 2)
    before.model.save_pretrained(saved)
    before.processor.save_pretrained(saved)
    shutil.rmtree(base)
    DualEncoderPlugin(Settings(checkpoint=str(saved))).check()
    after = load(saved)
    config = after.model.config
    assert (config.fusion, config.dropout, config.head, config.num_labels) == (fusion, 0.25, "image_pair", 2)
    old, new = before.model.state_dict(), after.model.state_dict()
    assert old.keys() == new.keys() and all(old[name].equal(new[name]) for name in old)
    texts = ["Two dogs", "Two dogs", "é", "é"]
    inputs, again = before.inputs(texts), after.inputs(texts)
    assert inputs.keys() == again.keys() and all(inputs[key].equal(again[key]) for key in inputs)
    assert before.model(**inputs).equal(after.model(**again))
    with pytest.raises(UserError, match=r"fusion_layers: is 3, but the head in '.*saved' has 1; leave it out"):
        load(saved, fusion_layers=3)


def test_the_weights_of_a_half_precision_checkpoint_are_trained_in_float32(copy: Callable[[str], Path]) -> None:
    folder = copy("siglip")
    weights = load_file(folder / "model.safetensors")
    save_file({name: value.half() for name, value in weights.items()}, folder / "model.safetensors", {"format": "pt"})
    edit(folder / "config.json", dtype="float16")
    assert {parameter.dtype for parameter in load(folder).model.parameters()} == {torch.float32}


@torch.no_grad()
def test_two_towers_make_a_dual_encoder(towers: dict[str, str], tmp_path: Path) -> None:
    settings = Settings(**towers, projection_size=24)
    DualEncoderPlugin(settings).check()
    torch.manual_seed(1)
    loaded = Loaded(*DualEncoderPlugin(settings).load())
    vision = Dinov2Model.from_pretrained(towers["vision"]).state_dict()
    assert all(value.equal(loaded.model.encoder.vision_model.state_dict()[name]) for name, value in vision.items())
    words = load_file(Path(towers["text"]) / "model.safetensors")["roberta.embeddings.word_embeddings.weight"]
    assert loaded.model.get_input_embeddings().weight.equal(words)
    inputs = loaded.inputs()
    assert loaded.model.embed_image(**loaded.image(["0", "1"])).shape == (2, 24)
    loaded.model.set_head("classifier", 3)
    loaded.model.save_pretrained(tmp_path / "saved")
    loaded.processor.save_pretrained(tmp_path / "saved")
    assert load(tmp_path / "saved").model(**inputs).equal(loaded.model(**inputs))


@torch.no_grad()
@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_vision_tower_of_a_dual_encoder_is_taken(
    towers: dict[str, str], make: Callable[[str], Tiny], name: str
) -> None:
    settings = Settings(text=towers["text"], vision=str(make(name).folder), fusion="cross_attention")
    loaded = Loaded(*DualEncoderPlugin(settings).load())
    expected = make(name).reference.vision_model.state_dict()
    found = loaded.model.encoder.vision_model.state_dict()
    assert all(value.equal(found[key]) for key, value in expected.items())
    loaded.model.set_head("vqa", 3)
    assert loaded.model(**loaded.inputs()).shape == (4, 3)


def test_settings_name_one_source(make: Callable[[str], Tiny]) -> None:
    with pytest.raises(ValidationError, match="text is 'a', but checkpoint is 'b' too"):
        Settings(text="a", vision="c", checkpoint="b")
    with pytest.raises(ValidationError, match="vision is 'a' without text; give both"):
        Settings(vision="a")
    with pytest.raises(ValidationError, match="config is given, but checkpoint is 'b' too"):
        Settings(config={"model_type": "siglip"}, checkpoint="b")
    with pytest.raises(ValidationError, match="config is given without processor"):
        Settings(config={"model_type": "siglip"})
    with pytest.raises(UserError, match="neither a checkpoint, nor text and vision, nor config"):
        DualEncoderPlugin(Settings()).check()


def without_scale(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["logit_scale"], weights["text_model.final_layer_norm.bias"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


ERRORS: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no folder": ("clip", shutil.rmtree, r"model.checkpoint: there is no folder '.*clip'"),
    "no configuration": ("clip", lambda folder: (folder / "config.json").unlink(), "no model can be loaded from"),
    "no weights": ("clip", lambda folder: (folder / "model.safetensors").unlink(), "no clip weights can be loaded"),
    "missing weights": (
        "clip", without_scale, "do not fit its configuration: it lacks logit_scale; lacks text_model.final_layer_norm",
    ),
    "no tokenizer": (
        "siglip",
        lambda folder: [(folder / name).unlink() for name in ("tokenizer.json", "tokenizer_config.json")],
        "no tokenizer can be loaded",
    ),
    "no image processor": (
        "clip",
        lambda folder: (folder / "preprocessor_config.json").unlink(),
        "model.checkpoint: no image processor can be loaded from",
    ),
    "another vocabulary": (
        "clip",
        lambda folder: tiny.gemma_tokenizer().save_pretrained(folder),
        r"the tokenizer in '.*' has 288 ids, but the model 260",
    ),
    "another end": (
        "clip",
        lambda folder: edit(folder / "tokenizer_config.json", eos_token="<unk>"),
        "ends texts with the id 2, but the model looks for 3",
    ),
    "another padding": (
        "altclip",
        lambda folder: edit(folder / "tokenizer_config.json", pad_token="<unk>"),
        "pads with the id 2, but the model with 1",
    ),
    "another size": (
        "clip",
        lambda folder: edit(folder / "preprocessor_config.json", crop_size={"height": 24, "width": 24}),
        r"the vision tower in '.*' cannot embed what its image processor makes, pixel_values \(1, 3, 24, 24\)",
    ),
    "another patch": (
        "siglip2",
        lambda folder: edit(folder / "preprocessor_config.json", patch_size=4),
        r"cannot embed what its image processor makes, pixel_values \(1, 12, 48\)",
    ),
    "squares for NaFlex": (
        "siglip2",
        lambda folder: tiny.save_image_processor("siglip", folder),
        "cannot embed what its image processor makes",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_what_does_not_fit_is_said_in_a_sentence(case: str, copy: Callable[[str], Path]) -> None:
    name, damage, sentence = ERRORS[case]
    folder = copy(name)
    damage(folder)
    with pytest.raises(UserError, match=sentence) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_model_without_towers_is_refused(tmp_path: Path, towers: dict[str, str]) -> None:
    BertModel(BertConfig(**tiny.TEXT, vocab_size=20)).save_pretrained(tmp_path / "bert")
    with pytest.raises(UserError, match="of type 'bert', which has no towers that embed texts and images"):
        DualEncoderPlugin(Settings(checkpoint=str(tmp_path / "bert"))).check()
    ResNetConfig(hidden_sizes=[8], depths=[1]).save_pretrained(towers["vision"])
    with pytest.raises(UserError, match=r"model.vision: a model of type 'resnet' cannot be a tower"):
        DualEncoderPlugin(Settings(**towers)).check()


def test_a_text_model_without_a_pooler_is_refused(towers: dict[str, str]) -> None:
    config = DistilBertConfig(vocab_size=260, dim=16, hidden_dim=24, n_layers=1, n_heads=2, pad_token_id=1)
    DistilBertModel(config).save_pretrained(towers["text"])
    with pytest.raises(UserError, match=r"the DistilBertModel in '.*' makes vectors of tokens, but none of a text"):
        DualEncoderPlugin(Settings(**towers)).load()


def test_code_of_a_checkpoint_is_not_executed(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("clip")
    marker = tmp_path / "executed"
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    edit(folder / "config.json", model_type="evil", auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})
    with pytest.raises(UserError, match="no model can be loaded"):
        load(folder)
    assert not marker.exists()

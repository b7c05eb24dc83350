from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.plugin import UC2, MUniter, XUniter
from iglue_plugins.models.uniter import UniterForVisionAndLanguage
from iglue_plugins.models.volta.writing import export_checkpoint
from iglue_plugins.registry import models
from iglue_plugins.utils.errors import UserError

PLUGINS = {"xuniter": XUniter, "uc2": UC2, "muniter": MUniter}
PADDING = {"xuniter": "<pad>", "uc2": "<pad>", "muniter": "<s>"}


@pytest.fixture
def checkpoint(model: UniterForVisionAndLanguage, tmp_path: Path, save_tokenizer: Callable) -> Path:
    model.save_pretrained(tmp_path / "checkpoint")
    save_tokenizer(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def load(plugin: type[XUniter] = XUniter, **settings: object) -> tuple[UniterForVisionAndLanguage, RegionProcessor]:
    return plugin(plugin.Settings(**settings)).load()


def test_registered() -> None:
    assert {name: models.load(name) for name in PLUGINS} == PLUGINS


def test_each_plugin_loads_its_type_of_model(
    member: UniterForVisionAndLanguage, make_batch: Callable, tmp_path: Path, save_tokenizer: Callable
) -> None:
    kind = member.config.model_type
    member.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, padding=PADDING[kind])
    loaded, processor = load(PLUGINS[kind], checkpoint=str(tmp_path), config={"hidden_dropout_prob": 0.25})
    assert type(loaded) is type(member)
    assert not loaded.training and loaded.config.hidden_dropout_prob == 0.25
    batch = make_batch(member)
    torch.testing.assert_close(loaded(**batch), member(**batch), rtol=0, atol=0)
    assert (len(processor.tokenizer), processor.tokenizer.pad_token_id) == (61, member.config.pad_token_id)
    other = UC2 if kind != "uc2" else XUniter
    expected = other.model_class.config_class.model_type
    with pytest.raises(UserError, match=f"of type '{kind}', not '{expected}'; name the model '{kind}'"):
        load(other, checkpoint=str(tmp_path), tokenizer=str(tmp_path))


def test_a_saved_processor_is_loaded_again(checkpoint: Path, tmp_path: Path) -> None:
    model, processor = load(checkpoint=str(checkpoint))
    model.save_pretrained(tmp_path / "again")
    processor.save_pretrained(tmp_path / "again")
    again = load(checkpoint=str(tmp_path / "again"))[1].tokenizer
    assert again.get_vocab() == processor.tokenizer.get_vocab()
    assert again("word7 word9").input_ids == processor.tokenizer("word7 word9").input_ids


def test_from_scratch(checkpoint: Path, sizes: dict[str, int | float]) -> None:
    loaded, processor = load(tokenizer=str(checkpoint), config=sizes)
    assert loaded.config.hidden_size == 16 and loaded.config.head is None
    assert len(processor.tokenizer) == 61


def test_a_subclass_gives_another_default_checkpoint(checkpoint: Path) -> None:
    folder = str(checkpoint)

    class Shipped(XUniter):
        class Settings(XUniter.Settings):
            checkpoint: str | None = folder

    assert Shipped(Shipped.Settings()).load()[0].config.vocab_size == 61


def test_gradient_checkpointing(checkpoint: Path, batch: dict[str, Tensor]) -> None:
    settings = XUniter.Settings(checkpoint=str(checkpoint), gradient_checkpointing=True)
    model, _ = XUniter(settings).load()
    calls = []
    model.encoder.layers[0].intermediate.register_forward_hook(lambda *_: calls.append(1))
    model.train()(**batch).sum().backward()
    assert len(calls) == 2, "each layer is computed again"
    assert "gradient_checkpointing" in settings.fingerprint_exclude


@pytest.mark.parametrize("kind", PLUGINS)
def test_a_model_of_volta(
    kind: str, make_model: Callable, make_batch: Callable, tmp_path: Path, save_tokenizer: Callable
) -> None:
    """The tokenizer is read from the folder beside the weights, or from where the settings say."""
    model = make_model(kind)
    model.save_pretrained(tmp_path / "ours")
    save_tokenizer(tmp_path / "ours", padding=PADDING[kind])
    export_checkpoint(tmp_path / "ours", tmp_path / "volta")
    weights, batch = str(tmp_path / "volta" / "pytorch_model.bin"), make_batch(model)
    loaded, _ = load(PLUGINS[kind], checkpoint=weights)
    torch.testing.assert_close(loaded(**batch), model(**batch), rtol=0, atol=0)
    (tmp_path / "volta" / "tokenizer").rename(tmp_path / "words")
    with pytest.raises(UserError, match=f"model.tokenizer: is not set; .* {kind} reads the vocabulary of .*-base"):
        load(PLUGINS[kind], checkpoint=weights)
    assert load(PLUGINS[kind], checkpoint=weights, tokenizer=str(tmp_path / "words"))[1].tokenizer.vocab_size == 61
    with pytest.raises(UserError, match="model.config: hidden_size cannot be set, .*pytorch_model.bin"):
        load(PLUGINS[kind], checkpoint=weights, tokenizer=str(tmp_path / "words"), config={"hidden_size": 8})
    other = UC2 if kind != "uc2" else XUniter
    with pytest.raises(UserError, match=f"holds a model of type '{kind}'"):
        load(other, checkpoint=weights, tokenizer=str(tmp_path / "words"))


def test_checkpoints_that_cannot_be_loaded(checkpoint: Path, tmp_path: Path) -> None:
    for key in ("checkpoint", "tokenizer", "text_weights"):
        with pytest.raises(UserError, match=rf"model.{key}: there is no folder '.*nothing'"):
            load(**{"tokenizer": str(checkpoint), key: str(tmp_path / "nothing")})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"'.*empty' holds a model of type None, not 'xuniter'$"):
        load(checkpoint=str(tmp_path / "empty"), tokenizer=str(checkpoint))
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no xuniter weights can be loaded .* model.safetensors"):
        load(checkpoint=str(checkpoint))
    (checkpoint / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="holds a model of type 'bert', not 'xuniter'$"):
        load(checkpoint=str(checkpoint))
    with pytest.raises(UserError, match="model.checkpoint: there is no file '.*absent.bin'"):
        load(checkpoint=str(tmp_path / "absent.bin"))
    (tmp_path / "alone.bin").touch()
    with pytest.raises(UserError, match="model.checkpoint: there is no .*config.json; .* configuration of alone.bin"):
        load(checkpoint=str(tmp_path / "alone.bin"), tokenizer=str(checkpoint))
    (checkpoint / "config.json").write_text("[]")
    with pytest.raises(UserError, match="holds a model of type None, not 'xuniter'"):
        load(checkpoint=str(checkpoint))


@pytest.mark.parametrize(("plugin", "vocabulary"), [
    (XUniter, "FacebookAI/xlm-roberta-base"), (UC2, "FacebookAI/xlm-roberta-base"),
    (MUniter, "google-bert/bert-base-multilingual-cased"),
])  # fmt: skip
def test_a_missing_tokenizer_is_named_with_the_command_to_get_it(
    plugin: type[XUniter], vocabulary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    remedy = f"reads the vocabulary of {vocabulary} .get it by: hf download {vocabulary} "
    with pytest.raises(UserError, match=f"model.tokenizer: is not set; .*{remedy}"):
        load(plugin)
    for source in ("no/such-tokenizer", str(tmp_path)):
        with pytest.raises(UserError, match=f"no tokenizer can be loaded from '{source}' .*{remedy}"):
            load(plugin, tokenizer=source)


def test_a_tokenizer_of_another_vocabulary(checkpoint: Path, tmp_path: Path, save_tokenizer: Callable) -> None:
    for words in (60, 62):
        save_tokenizer(tmp_path / str(words), words)
        with pytest.raises(UserError, match=f"vocab_size is {words} in '.*{words}', but 61 in the model"):
            load(checkpoint=str(checkpoint), tokenizer=str(tmp_path / str(words)))
    save_tokenizer(tmp_path / "padding", padding="<s>")
    with pytest.raises(UserError, match="pad_token_id is 0 in '.*padding', but 1 in the model"):
        load(checkpoint=str(checkpoint), tokenizer=str(tmp_path / "padding"))


def test_config_that_does_not_fit(checkpoint: Path, sizes: dict[str, int | float]) -> None:
    with pytest.raises(UserError, match="unknown key 'hiden_size'; did you mean 'hidden_size'"):
        load(tokenizer=str(checkpoint), config={"hiden_size": 8})
    with pytest.raises(UserError, match="model.config: does not fit: hidden_size is 15; expected a multiple"):
        load(tokenizer=str(checkpoint), config=sizes | {"hidden_size": 15})
    with pytest.raises(UserError, match=r"has head.bias of shape \(3,\) where \(4,\) is expected; has head.weight of"):
        load(checkpoint=str(checkpoint), config={"num_labels": 4})


def test_all_weights_of_a_checkpoint_that_do_not_fit_are_listed(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    weights = load_file(path)
    for name in ("encoder.layers.1.output.bias", "contrastive.text.bias"):
        del weights[name]
    weights |= {"encoder.odd": torch.zeros(1), "head.bias": torch.zeros(2)}
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        load(checkpoint=str(checkpoint))
    where, problems = str(caught.value).split(": it ")
    assert where.startswith(f"{checkpoint}: ")
    assert problems.split("; ") == [
        "lacks encoder.layers.1.output.bias",
        "has head.bias of shape (2,) where (3,) is expected",
        "has encoder.odd, which no part of the model takes",
    ]


def test_one_source_of_weights(checkpoint: Path) -> None:
    with pytest.raises(ValidationError, match="text_weights is 'x/y', but checkpoint is 'z' too"):
        XUniter.Settings(checkpoint="z", text_weights="x/y")
    settings = XUniter.Settings(text_weights="x/y").model_copy(update={"checkpoint": str(checkpoint)})
    assert XUniter(settings).load()[0].config.vocab_size == 61, "a run goes on from its checkpoint"


def test_unknown_setting() -> None:
    with pytest.raises(ValidationError, match="chekpoint"):
        XUniter.Settings(chekpoint="x")

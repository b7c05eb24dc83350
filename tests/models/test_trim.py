"""A trimmed checkpoint computes the same, bit for bit, on the texts that it was trimmed to."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerBase, XLMRobertaTokenizer
from transformers.utils import logging

from iglue_plugins import registry
from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.mini import ASSETS
from iglue_plugins.mini.tasks import MiniTask
from iglue_plugins.models.trim import load_model, trim_checkpoint
from iglue_plugins.models.uniter import MUniterForVisionAndLanguage, UniterForVisionAndLanguage
from iglue_plugins.tasks.texts import task_texts
from iglue_plugins.utils.errors import UserError

TEXTS = ["the red bird sings", "a bird and a boat", "zwei rote Vögel", "δύο πουλιά", "二つの船", "ﬁne birds，　two!"]


@pytest.fixture(autouse=True)
def no_bars() -> Iterator[None]:
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()


@pytest.fixture(scope="module")
def xlm_roberta() -> XLMRobertaTokenizer:
    """A tokenizer of the mini benchmark's pieces in XLM-R's order: <s> <pad> </s> <unk>, the pieces, <mask>."""
    stored = json.loads((ASSETS / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    scores = dict(map(tuple, stored))
    mask = scores.pop("<mask>")
    return XLMRobertaTokenizer(vocab=[*scores.items(), ("<mask>", mask)])


@pytest.fixture(scope="module")
def bert() -> BertTokenizer:
    """A tokenizer in multilingual BERT's order: [PAD], unused tokens, the other special tokens, the pieces."""
    letters = sorted({letter for text in TEXTS for letter in text.replace(" ", "")} - {"π"})
    pieces = [*letters, *(f"##{letter}" for letter in letters), "bird", "##s", "never", "δ", "##ύο"]
    words = dict.fromkeys(["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces])
    return BertTokenizer(vocab={piece: i for i, piece in enumerate(words)}, do_lower_case=False)


@pytest.fixture
def save(
    tmp_path: Path, make_model: Callable[..., UniterForVisionAndLanguage]
) -> Callable[[str, PreTrainedTokenizerBase], Path]:
    """Returns a function that writes a checkpoint with random weights and a tokenizer."""

    def write(model_type: str, tokenizer: PreTrainedTokenizerBase) -> Path:
        make_model(model_type, vocab_size=len(tokenizer)).save_pretrained(tmp_path / "checkpoint")
        tokenizer.save_pretrained(tmp_path / "checkpoint")
        return tmp_path / "checkpoint"

    return write


def outputs(folder: Path, texts: list[str]) -> list[Tensor]:
    """Return the logits, text embeddings and image embeddings of texts that all have the same regions."""
    model, tokenizer = load_model(str(folder))
    draw, config = torch.Generator().manual_seed(2), model.config
    batch = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    regions = {
        "region_features": torch.randn(len(texts), 4, config.region_feature_size, generator=draw),
        "region_locations": torch.rand(len(texts), 4, config.region_location_size, generator=draw),
        "region_mask": torch.ones(len(texts), 4, dtype=torch.long),
    }
    with torch.no_grad():
        return [model(**batch, **regions), model.embed_text(**batch), model.embed_image(**regions)]


def assert_identical(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs)
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("model_type", ["xuniter", "uc2"])
def test_on_xlm_r(model_type: str, xlm_roberta: XLMRobertaTokenizer, save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = save(model_type, xlm_roberta)
    trimmed = trim_checkpoint(str(checkpoint), tmp_path / "out", {"texts": [TEXTS[:3]]})
    assert_identical(outputs(tmp_path / "out", TEXTS[:3]), outputs(checkpoint, TEXTS[:3]))

    model, tokenizer = load_model(str(tmp_path / "out"))
    rows = trimmed.after.rows
    assert isinstance(tokenizer, XLMRobertaTokenizer)
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, rows - 1]) == ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    assert (model.config.pad_token_id, model.config.vocab_size, len(tokenizer)) == (1, rows, rows)
    assert (trimmed.texts, trimmed.changed, trimmed.before.rows) == ({"texts": 3}, 0, len(xlm_roberta))
    dropped = trimmed.before.rows - rows
    assert dropped > 3000
    assert trimmed.before.parameters - trimmed.after.parameters == dropped * model.config.hidden_size
    assert trimmed.before.bytes - trimmed.after.bytes == 4 * dropped * model.config.hidden_size

    old, _ = load_model(str(checkpoint))
    kept = xlm_roberta.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(list(range(rows))))
    assert kept == sorted(kept)
    weight = "encoder.text_embeddings.word_embeddings.weight"
    for name, value in model.state_dict().items():
        before = old.state_dict()[name]
        assert torch.equal(value, before[kept] if name == weight else before), name
    unseen = tokenizer.convert_ids_to_tokens(tokenizer("boats never 船").input_ids)
    assert unseen.count("<unk>") == 2, unseen  # none of the three texts has a v or the Japanese word


def test_on_multilingual_bert(bert: BertTokenizer, save: Callable[..., Path], tmp_path: Path) -> None:
    checkpoint = save("muniter", bert)
    trimmed = trim_checkpoint(str(checkpoint), tmp_path / "out", {"texts": [TEXTS]})
    assert_identical(outputs(tmp_path / "out", TEXTS), outputs(checkpoint, TEXTS))
    model, tokenizer = load_model(str(tmp_path / "out"))
    assert isinstance(model, MUniterForVisionAndLanguage)
    assert tokenizer.convert_ids_to_tokens([0, 1, 2, 3, 4]) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert "[UNK]" in tokenizer.tokenize(TEXTS[3]) and "never" not in tokenizer.get_vocab()
    assert trimmed.after.rows == model.config.vocab_size < trimmed.before.rows


@pytest.mark.parametrize("name", ["mini/xvnli", "mini/xgqa", "mini/marvl", "mini/xflickrco"])
def test_on_the_mini_tasks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        registry.tasks.load(name), "sizes", {"train": 12, "auxiliary": 12, "dev": 24, "test": 12, "unseen": 12}
    )
    task: MiniTask = registry.tasks.load(name)()
    source = ASSETS / "xuniter"
    trim_checkpoint(str(source), tmp_path / "out", task_texts(task, ["ta", "zh"]).languages)
    found: list[dict[str, list[Tensor]]] = []
    for folder in (source, tmp_path / "out"):
        model, tokenizer = load_model(str(folder))
        torch.manual_seed(0)
        model.set_head(task.head, task.num_labels)
        found.append({language: task_outputs(model, tokenizer, task, language) for language in ("ta", "zh")})
    for language, theirs in found[0].items():
        assert_identical(found[1][language], theirs)
        assert len(theirs) == 3 and theirs[0].isfinite().all()


def task_outputs(
    model: UniterForVisionAndLanguage, tokenizer: PreTrainedTokenizerBase, task: MiniTask, language: str
) -> list[Tensor]:
    processor = RegionProcessor(tokenizer, location_size=model.config.region_location_size)
    batcher = Batcher(task.load("dev", language), task, processor)
    batch = batcher.batch(range(len(batcher)))
    pairs = task.aligned_pairs(batch)
    with torch.no_grad():
        image = model.embed_image(**pairs.image, images_per_text=pairs.images_per_text)
        return [model(**batch.inputs), model.embed_text(**pairs.text), image]


def test_the_model_of_a_run(tiny_checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "run" / "model")
    trim_checkpoint(str(tmp_path / "run"), tmp_path / "out", {"texts": [["panda"]]})
    assert_identical(embeddings(tmp_path / "out"), embeddings(tiny_checkpoint))


def embeddings(folder: Path) -> list[Tensor]:
    model, tokenizer = load_model(str(folder))
    batch = tokenizer(["panda"], return_tensors="pt")
    return [model.encoder(batch["input_ids"], batch["attention_mask"]).text_hidden]


def test_the_most_frequent_pieces_alone(tmp_path: Path, tiny_checkpoint: Path) -> None:
    texts = {"texts": [["panda"] * 3, ["pretzel"]]}
    full = trim_checkpoint(str(tiny_checkpoint), tmp_path / "full", texts)
    some = trim_checkpoint(str(tiny_checkpoint), tmp_path / "some", texts, keep_tokens=1)
    assert (full.changed, some.changed) == (0, 1)
    assert (full.texts, some.texts) == ({"texts": 4}, {"texts": 4})
    assert some.after.rows == full.after.rows - 1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "some")
    assert len(tokenizer.tokenize("panda")) == 1
    spelled = tokenizer.tokenize("pretzel")
    assert len(spelled) > 1 and "<unk>" not in spelled and "".join(spelled) == "▁pretzel"


def test_a_trimmed_checkpoint_can_be_trimmed_again(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = trim_checkpoint(str(tiny_checkpoint), tmp_path / "first", {"texts": [["panda", "pretzel"]]})
    second = trim_checkpoint(str(tmp_path / "first"), tmp_path / "second", {"texts": [["panda"]]})
    assert second.before == first.after and second.after.rows < first.after.rows


class ChangingTexts:
    """A source with other texts at each reading, like a file that is being written."""

    def __init__(self, *readings: list[str]) -> None:
        self.readings = list(readings)

    def __iter__(self) -> Iterator[str]:
        return iter(self.readings.pop(0))


@pytest.mark.parametrize(("readings", "message"), [
    ((["panda"], ["pretzel"]), "notes.txt: .* 'pretzel' is tokenized differently; nothing was written"),
    ((["panda", "panda"], ["panda"]), "notes.txt: .* 2 texts at the first .* 1 at the second; nothing was written"),
])  # fmt: skip
def test_texts_that_change_between_readings_are_an_error(
    readings: tuple[list[str], ...], message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        trim_checkpoint(str(tiny_checkpoint), tmp_path / "out", {"notes.txt": [ChangingTexts(*readings)]})
    assert list(tmp_path.iterdir()) == []


def test_no_texts(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a.txt, b.txt: there are no texts"):
        trim_checkpoint(str(tiny_checkpoint), tmp_path / "out", {"a.txt": [[]], "b.txt": [[], []]})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UserError, match=f"{tmp_path}: is not empty; name a new or empty folder"):
        trim_checkpoint(str(tiny_checkpoint), tmp_path, {"texts": [["panda"]]})
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_checkpoints_that_cannot_be_trimmed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def error_for(source: Path | str) -> str:
        with pytest.raises(UserError) as raised:
            trim_checkpoint(str(source), tmp_path / "out", {"texts": [["panda"]]})
        return str(raised.value)

    assert f"{tmp_path}/none: holds neither a run nor a checkpoint" in error_for(tmp_path / "none")
    broken = shutil.copytree(tiny_checkpoint, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"cut short")
    assert "no xuniter weights can be loaded" in error_for(broken)
    (broken / "tokenizer.json").unlink()
    assert "model.tokenizer: no tokenizer can be loaded" in error_for(broken)
    (broken / "config.json").write_text('{"model_type": "bert"}')
    assert f"{broken}: holds a model of type 'bert', not one of xuniter, uc2, muniter" in error_for(broken)
    assert not (tmp_path / "out").exists()


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Make the system refuse larger files, as it does if the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [10, 20_000, 100_000], ids=["configuration", "weights", "tokenizer"])
def test_a_checkpoint_that_cannot_be_written_leaves_nothing(size: int, tiny_checkpoint: Path, tmp_path: Path) -> None:
    with file_size_limit(size), pytest.raises(UserError, match=f"{tmp_path}/out: cannot be written"):
        trim_checkpoint(str(tiny_checkpoint), tmp_path / "out", {"texts": [["panda"]]})
    assert list(tmp_path.iterdir()) == []

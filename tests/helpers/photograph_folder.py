"""A folder laid out as that of the experiments on real photographs, with random features and made-up captions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

SPLITS = {"train": 80, "dev": 8, "test": 33, "few_shot": 99}
CAPTIONED = {
    "en": ("train", "dev", "test"),
    **dict.fromkeys(("ar", "fr"), ("train", "dev", "test")),
    **dict.fromkeys(("de", "zh"), ("train", "dev", "test", "few_shot")),
    **dict.fromkeys(("es", "id", "ja", "ru", "tr"), ("test", "few_shot")),
}
PAIRS = {"en": ("train", "dev", "test"), **dict.fromkeys(("ar", "es", "fr", "ru"), ("test", "few_shot"))}
SHOTS = ((5, 5), (25, 25), (100, 99))  # up to which row a number of shots goes
LABELS = ("contradiction", "neutral", "entailment")


def write(folder: Path) -> None:
    """Write captions, entailment pairs, regions.h5 and text_encoder.

    Args:
        folder: A folder that is made.
    """
    for kind, languages in (("captions", CAPTIONED), ("nli", PAIRS)):
        (folder / kind).mkdir(parents=True)
        for language, splits in languages.items():
            rows = [row for split in splits for row in (_captions if kind == "captions" else _pairs)(language, split)]
            lines = "".join(f"{json.dumps(row)}\n" for row in rows)
            (folder / kind / f"{language}.jsonl").write_text(lines, encoding="utf-8")
    rng = np.random.default_rng(0)
    boxes = np.asarray([[x, y, x + 96, y + 96] for y in (0, 64, 128) for x in (0, 64, 128)], dtype=np.float32)
    with h5py.File(folder / "regions.h5", "w") as file:
        for image in (image for split in SPLITS for image in _images(split)):
            group = file.create_group(image)
            group["features"] = rng.normal(size=(9, 320)).astype(np.float16)
            group["boxes"], group["img_w"], group["img_h"] = boxes, 224, 224
    _write_text_encoder(folder / "text_encoder")


def _images(split: str) -> list[str]:
    return [f"{split}{number}" for number in range(SPLITS[split])]


def _captions(language: str, split: str) -> Iterator[dict[str, object]]:
    for number, image in enumerate(_images(split), 1):
        for copy in range(2 if split == "train" else 1):
            row = {"id": f"{language}-{image}-{copy}", "image": image, "split": split}
            row["caption"] = f"{language} {copy} {image[::-1]}"
            shots = {"shots": next(count for count, rows in SHOTS if number <= rows)} if split == "few_shot" else {}
            yield row | shots


def _pairs(language: str, split: str) -> Iterator[dict[str, object]]:
    images = _images(split)[: 9 if split == "few_shot" else None]
    for image in images:
        for label in LABELS:
            row = {"id": f"{image}-{label}", "image": image, "split": split, "label": label}
            row |= {"premise": f"{language} {image}", "hypothesis": f"{language} {label[:3]} {image}"}
            yield row | ({"shots": 48} if split == "few_shot" else {})


def _write_text_encoder(folder: Path) -> None:
    pieces = ["<s>", "<pad>", "<unk>", "</s>", "<mask>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 3)]
    )
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="<mask>", **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 24, "intermediate_size": 24, "num_attention_heads": 2, "num_hidden_layers": 6}
    config = BertConfig(vocab_size=len(pieces), max_position_embeddings=64, pad_token_id=1, **sizes)
    BertModel(config).save_pretrained(folder)

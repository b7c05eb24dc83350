"""Pairs a second of match_all against a plain loop over captions, on random features and captions of 10 to 30 tokens.

    python benchmarks/retrieval.py                            # xUNITER, half its width and depth; minutes on a CPU
    python benchmarks/retrieval.py --hidden 768 --layers 12   # its full size

The loop takes a caption at a time, gathers its images batch by batch, pads its text to 80 tokens as VOLTA does, and
computes every state of the last layer. Rounds of the two alternate; the figures are medians. On a CPU, seconds are
those that the process computes, so that other programs hardly count; OMP_NUM_THREADS=1 makes them those of one core.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import numpy as np
import torch
from datasets import Dataset
from torch import nn

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.regions import InMemoryRegions
from iglue_plugins.evaluation.inference import match_all
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.tasks.xflickrco import XFlickrCO

BOXES, FEATURES, WORDS, PADDED_TO = 36, 2048, 1000, 80


class RandomPairs(XFlickrCO):
    name = "random"
    regions = InMemoryRegions(FEATURES, BOXES)

    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        return Dataset.from_list([])

    def fingerprint(self) -> str:
        return ""


class WordNumbers:
    """'7 8' is <s> 7 8 </s>: ids 0 7 8 2."""

    pad_token_id = 1

    def __call__(self, texts: Sequence[str], **_: object) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[[0, *map(int, text.split()), 2] for text in texts])


def make_batcher(captions: int, images: int) -> Batcher:
    rng = np.random.default_rng(0)
    texts = [" ".join(map(str, rng.integers(3, WORDS, size=rng.integers(8, 29)))) for _ in range(captions)]
    boxes = np.tile(np.asarray([[10, 10, 50, 50]], dtype=np.float32), (BOXES, 1))
    RandomPairs.regions.add(
        {str(i): (rng.random((BOXES, FEATURES), dtype=np.float32), boxes) for i in range(images)}, 100, 100
    )
    rows = {"text": texts, "image_ids": [[str(i % images)] for i in range(captions)], "label": ["match"] * captions}
    return Batcher(Dataset.from_dict(rows), RandomPairs(), RegionProcessor(WordNumbers()))


def make_model(hidden: int, layers: int) -> XUniterForVisionAndLanguage:
    torch.manual_seed(0)
    config = XUniterConfig(
        vocab_size=WORDS,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        head="image_text_matching",
        num_labels=1,
    )
    return XUniterForVisionAndLanguage(config).to("cuda" if torch.cuda.is_available() else "cpu").eval()


@torch.inference_mode()
def by_a_loop(
    model: XUniterForVisionAndLanguage,
    batcher: Batcher,
    images: np.ndarray,
    batch_size: int,
    padded_to: int = PADDED_TO,
) -> np.ndarray:
    scores = np.zeros((len(batcher), len(images)), dtype=np.float32)
    for caption in range(len(batcher)):
        for start in range(0, len(images), batch_size):
            block = images[start : start + batch_size]
            inputs = batcher.rows(np.asarray([caption]), np.full(len(block), caption), block).inputs
            padding = (0, max(0, padded_to - inputs["input_ids"].shape[1]))
            ids = nn.functional.pad(inputs["input_ids"], padding, value=WordNumbers.pad_token_id)
            text = {"input_ids": ids, "attention_mask": nn.functional.pad(inputs["attention_mask"], padding)}
            encoded = model.encoder(**inputs.replace(text, text).to(model.device))
            logits = model.head(encoded.text_pooled * encoded.region_pooled)
            scores[caption, start : start + len(block)] = logits.squeeze(-1).cpu()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("hidden", 384),
        ("layers", 6),
        ("captions", 8),
        ("images", 64),
        ("batch_size", 64),
        ("rounds", 3),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    batcher, model = make_batcher(options.captions, options.images), make_model(options.hidden, options.layers)
    images = np.arange(options.images)
    ways: dict[str, Callable[..., np.ndarray]] = {"loop": by_a_loop, "match_all": match_all}
    clock = time.perf_counter if model.device.type == "cuda" else time.process_time
    seconds, found = {name: [] for name in ways}, {}
    for _ in range(options.rounds + 1):  # the first one warms up
        for name, score in ways.items():
            began = clock()
            found[name] = score(model, batcher, images, options.batch_size)
            seconds[name].append(clock() - began)
    pairs, difference = options.captions * options.images, np.abs(found["loop"] - found["match_all"]).max()
    median = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    ratios = [slow / fast for slow, fast in zip(seconds["loop"][1:], seconds["match_all"][1:], strict=True)]
    print(
        f"{pairs} pairs, hidden {options.hidden}, {options.layers} layers, {model.device.type}, "
        f"{torch.get_num_threads()} thread(s); largest difference of a score {difference:.1e}"
    )
    for name, taken in median.items():
        print(f"{name:10} {pairs / taken:8.1f} pairs/s")
    print(f"ratio      {statistics.median(ratios):8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()

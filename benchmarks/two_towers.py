"""Seconds of ranking 2,000 images for each of 2,000 captions with a dual encoder: by its towers, and pair by pair.

    python benchmarks/two_towers.py                              # minutes on a quiet core
    python benchmarks/two_towers.py --hidden 128 --layers 2      # a trial
    python benchmarks/two_towers.py --full                       # the towers' 2,000 + 2,000 embeddings, not a sample

The model is a SigLIP of base size with random weights: 12 layers of 768, patches of 16 of 224 pixels, texts padded to
64 tokens, and 4,000 words. Three ways lead to the same ranking:

- two towers: `match_all` embeds each caption and each image once, and multiplies the two matrices.
- pair by pair: `match_all` with `is_dual_encoder` switched off scores batches of pairs by `model(**inputs)`, as it does
  with a model that reads both together. A batch is a caption with as many images, and embeds its caption once.
- stored vectors: pair by pair too, but `precompute_embeddings` embeds each caption and each image once, so that a pair
  takes the scaled cosine of two vectors; the best that pair scoring can do.

Measured are, in rounds of the ways in turn, so many captions and images by the towers, and a batch of pairs; and, in
full, the product of matrices, and the pairs of stored vectors. The seconds for all are computed from the medians: the
towers' grow with captions plus images, those of pair by pair with captions times images. Pictures are generated in
memory, so that reading them takes nothing. On a CPU seconds are those that the process computes, on all threads, so
that other programs count less; OMP_NUM_THREADS=1 makes them those of one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from PIL import Image
from siglip import captions, make_model, make_processor, photograph
from torch import Tensor, nn

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.inputs import Inputs
from iglue_plugins.evaluation.inference import match_all
from iglue_plugins.models.dual_encoder.model import DualEncoder
from iglue_plugins.tasks.xflickrco import XFlickrCO

VECTOR_PAIRS = 4000  # pairs of stored vectors in a batch


class GeneratedPictures:
    """A `PictureSource` of small generated pictures, which are kept."""

    def has(self, image_id: str) -> bool:
        return True

    @cache  # noqa: B019  # the process ends with the source
    def picture(self, image_id: str, least_side: int | None = None) -> Image.Image:
        return photograph(int(image_id), 224, 224)


class RandomPairs(XFlickrCO):
    name = "random"
    pictures = GeneratedPictures()

    def load(self, split: str, language: str, shots: int | str | None = None) -> Dataset:
        return Dataset.from_list([])

    def fingerprint(self) -> str:
        return ""


class PairByPair(nn.Module):
    """A dual encoder as a model that reads text and image together."""

    is_dual_encoder = False

    def __init__(self, model: DualEncoder) -> None:
        super().__init__()
        self.model = model

    @property
    def device(self) -> torch.device:
        return self.model.device

    def forward(self, **inputs: Tensor) -> Tensor:
        return self.model(**inputs)


class StoredVectors(PairByPair):
    """A dual encoder that embeds both sides ahead, and scores pairs of vectors."""

    def precompute_embeddings(self, inputs: Inputs) -> Inputs:
        if "vectors" in inputs:  # random ones that are embedded already
            return Inputs({inputs["side"]: inputs["vectors"]}, inputs.rows)
        is_text = "input_ids" in inputs
        vectors = (self.model.embed_text if is_text else self.model.embed_image)(**inputs)
        return Inputs({"text" if is_text else "image": vectors}, inputs.rows)

    def forward(self, text: Tensor, image: Tensor) -> Tensor:
        scale, bias = self.model.similarity_scale()
        scores = (text * image).sum(-1, keepdim=True) * scale
        return scores if bias is None else scores + bias


def make_batcher(count: int, images: int) -> Batcher:
    rows = {
        "text": captions(count),
        "image_ids": [[str(number % images)] for number in range(count)],
        "label": ["match"] * count,
    }
    batcher = Batcher(Dataset.from_dict(rows), RandomPairs(), make_processor())
    batcher.image_source.index(map(str, range(images)))
    for number in range(images):
        RandomPairs.pictures.picture(str(number))
    return batcher


def vector_batcher(text: Tensor, image: Tensor) -> Any:
    """What `match_all` asks of a batcher, for captions and images that are vectors already."""

    def side(name: str, vectors: Tensor) -> SimpleNamespace:
        def inputs(rows: np.ndarray) -> Inputs:
            return Inputs({"vectors": vectors[rows], "side": name}, len(rows), frozenset({"side"}))

        return SimpleNamespace(inputs=inputs, lengths=np.zeros(len(vectors), dtype=np.int64))

    texts = {"text": [f"{number:06}" for number in range(len(text))]}
    merge = SimpleNamespace(collate=Inputs.merge)
    return SimpleNamespace(dataset=texts, texts=side("text", text), image_source=side("image", image), processor=merge)


def clock_of(model: DualEncoder) -> Callable[[], float]:
    if model.device.type == "cpu":
        return time.process_time

    def seconds() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return seconds


def measure(options: argparse.Namespace, model: DualEncoder) -> tuple[dict[str, list[float]], float]:
    """Seconds of each round for an embedding of each side, and for a pair; and the largest difference of a cosine."""
    count = options.embeddings
    batcher = make_batcher(max(count, 1), max(count, options.batch_size))
    images, clock = np.arange(options.batch_size), clock_of(model)
    one_caption = make_batcher(1, options.batch_size)
    seconds: dict[str, list[float]] = {"caption and image": [], "pair": []}
    for _ in range(options.rounds + 1):  # the first one warms up
        began = clock()
        match_all(model, batcher, np.arange(count), options.batch_size)
        seconds["caption and image"].append((clock() - began) / count)
        began = clock()
        by_pair = match_all(PairByPair(model), one_caption, images, options.batch_size)
        seconds["pair"].append((clock() - began) / options.batch_size)
    scale, bias = (0.0 if value is None else value.item() for value in model.similarity_scale())
    cosines = match_all(model, one_caption, images, options.batch_size)
    stored = match_all(StoredVectors(model), one_caption, images, options.batch_size)
    difference = max(np.abs((found - bias) / scale - cosines).max() for found in (by_pair, stored))
    return {name: taken[1:] for name, taken in seconds.items()}, float(difference)


def seconds_of_vectors(options: argparse.Namespace, model: DualEncoder) -> tuple[float, float]:
    """Seconds of the product of all embeddings, and of scoring all pairs of them in batches; random ones of norm 1."""
    draw = torch.Generator().manual_seed(0)
    text, image = (
        nn.functional.normalize(torch.randn(count, model.config.embedding_size, generator=draw), dim=-1).to(
            model.device
        )
        for count in (options.captions, options.images)
    )
    clock, batcher = clock_of(model), vector_batcher(text, image)
    images, product, pairs = np.arange(options.images), [], []
    for _ in range(options.rounds + 1):
        began = clock()
        (text @ image.T).cpu()
        product.append(clock() - began)
        began = clock()
        match_all(StoredVectors(model), batcher, images, VECTOR_PAIRS)
        pairs.append(clock() - began)
    return statistics.median(product[1:]), statistics.median(pairs[1:])


def report(options: argparse.Namespace, model: DualEncoder) -> None:
    load = os.getloadavg()[0]
    taken, difference = measure(options, model)
    product, of_stored = seconds_of_vectors(options, model)
    embedding, pair = (statistics.median(taken[name]) for name in taken)
    captions_, images = options.captions, options.images
    print(
        f"SigLIP, {options.layers} layers of {options.hidden}, {model.device.type}, {torch.get_num_threads()} "
        f"thread(s), load {load:.1f}; largest difference of a cosine between the ways {difference:.1e}"
    )
    spans = {name: f"{min(found):.4f} to {max(found):.4f}" for name, found in taken.items()}
    print(f"measured: {embedding:.4f} s for a caption and an image by the towers ({spans['caption and image']})")
    print(f"measured: {pair:.4f} s for a pair, in batches of {options.batch_size} ({spans['pair']})")
    embeddings, how = (captions_ + images) / 2 * embedding, "computed"
    if options.full:
        batcher, clock = make_batcher(captions_, images), clock_of(model)
        began = clock()
        match_all(model, batcher, np.arange(images), options.batch_size)
        embeddings, how = clock() - began - product, "measured"
    print(f"{captions_:,} captions x {images:,} images, seconds:")
    rows = {
        "two towers": (embeddings + product, f"{how}; the product of {product:.2f} measured"),
        "stored vectors": (embeddings + of_stored, f"{how}; the pairs' {of_stored:.2f} measured"),
        "pair by pair": (captions_ * images * pair, "computed"),
    }
    for name, (seconds, origin) in rows.items():
        print(f"{name:15} {seconds:12,.1f} {seconds / rows['two towers'][0]:10,.2f} times ({origin})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, meaning in (
        ("hidden", 768, "width of the towers"),
        ("layers", 12, "layers of each tower"),
        ("captions", 2000, "captions that the seconds are for"),
        ("images", 2000, "images that the seconds are for"),
        ("embeddings", 16, "captions, and images, that the towers embed in a round"),
        ("batch-size", 16, "pairs, captions or images in a batch"),
        ("rounds", 3, "rounds of the ways"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    parser.add_argument("--full", action="store_true", help="run the towers over all captions and images")
    options = parser.parse_args()
    report(options, make_model(options.hidden, options.layers))


if __name__ == "__main__":
    main()

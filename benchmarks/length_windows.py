"""How much of a training batch is padding with and without `trainer.length_window`, and the time of a training step.

    python benchmarks/length_windows.py                                      # mini's texts; 6 minutes on one core
    python benchmarks/length_windows.py --iglue DATASETS --tokenizer FOLDER # and IGLUE's English texts
    python benchmarks/length_windows.py --texts FILE --windows 2 8 32 --rounds 0    # a text a line; no steps

'places' are a batch's rows times its longest text, divided by the tokens in it: 1 is a batch without padding. 'fewer'
divides the places of random batches (window 0) by these, and 'with regions' does so with 37 regions more in each row,
as the encoder of an xUNITER sees them. Batches are those that training makes, of --epochs epochs whose last examples
are dropped. Beside captions stands what a retrieval sees: four rows for each caption, two with its own text and two
with that of another, which is drawn here from all captions, as a wrong one is.

A step is a forward and a backward pass of an xUNITER with --layers layers of 768 in float32 on one thread, its images
of 36 regions and the global one, on batches of the first texts that are measured. Random and windowed batches take
turns. Seconds are those that the process computes, so that other programs count less; the load is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from random_batches import make_batch, random_task
from transformers import PreTrainedTokenizerBase

from iglue_plugins.data.batching import Batch
from iglue_plugins.data.episodes import batch_steps
from iglue_plugins.data.processors.texts import TokenizedTexts
from iglue_plugins.mini.tasks import MiniXFlickrCO, MiniXVNLI
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.tokenizer import load_tokenizer
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.base import ContrastiveSettings
from iglue_plugins.utils.memory import keep_memory

MINI_TOKENIZER = Path(__file__).parents[1] / "iglue_plugins" / "mini" / "assets" / "tokenizer"
LONGEST, REGIONS = 80, 37


class Texts:
    """Tokenized texts, of which a batch is the rows that it takes of them.

    Args:
        texts: The texts.
        tokenizer: The tokenizer.
        wrong: The number of rows of each example that have the text of another, as many as have its own; 0 for one row
            an example, its own.
    """

    task = SimpleNamespace(name="texts")

    def __init__(self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, wrong: int = 0) -> None:
        self.texts = TokenizedTexts(texts, tokenizer, LONGEST)
        self._wrong = wrong

    def __len__(self) -> int:
        return len(self.texts.lengths)

    def batch(self, examples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not self._wrong:
            return examples
        others = (examples + rng.integers(1, len(self), size=(self._wrong, len(examples)))) % len(self)
        return np.concatenate([examples] * self._wrong + [*others])


def json_lines(path: Path) -> Iterator[dict]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def sources(options: argparse.Namespace) -> Iterator[tuple[str, list[str], bool]]:
    """What is measured: a name, its texts, and whether they are captions."""
    if options.texts:
        yield options.texts.name, options.texts.read_text(encoding="utf-8").splitlines(), False
        return
    if options.iglue:
        nli = options.iglue / "XVNLI" / "annotations" / "en"
        texts = [row["sentence2"] for name in ("train_48", "test") for row in json_lines(nli / f"{name}.jsonl")]
        yield "XVNLI, en", texts, False
        flickr = options.iglue / "flickr30k" / "annotations"
        rows = (row for name in ("valid", "test") for row in json_lines(flickr / f"{name}_ann.jsonl"))
        yield "Flickr30K", [text for row in rows for text in row["sentences"]], True
    yield "mini/xvnli, en", MiniXVNLI().load("train", "en")["text"][:], False
    yield "mini/xflickrco, en", MiniXFlickrCO().load("train", "en")["text"][:], True


def rows_of_batches(texts: Texts, size: int, window: int, epochs: int) -> Iterator[np.ndarray]:
    steps = batch_steps([texts], size, epochs * (len(texts) // size), 0, length_window=window)
    return (steps[step]["batch"] for step in range(len(steps)))


def places(texts: Texts, size: int, window: int, epochs: int) -> tuple[int, int, int]:
    """Places of texts, those of texts and regions, and tokens, of all batches."""
    lengths = [texts.texts.lengths[rows] for rows in rows_of_batches(texts, size, window, epochs)]
    of_texts = sum(len(batch) * int(batch.max()) for batch in lengths)
    return of_texts, of_texts + sum(map(len, lengths)) * REGIONS, sum(int(batch.sum()) for batch in lengths)


def print_padding(name: str, texts: Texts, options: argparse.Namespace) -> None:
    for size in options.batch_sizes:
        if size > len(texts):
            continue
        plain, plain_with_regions, _ = places(texts, size, 0, options.epochs)
        for window in (0, *options.windows):
            found, with_regions, tokens = places(texts, size, window, options.epochs)
            print(
                f"{name:42} {len(texts):6} {size:5} {window:6} {found / tokens:7.3f} {plain / found:7.2f} "
                f"{plain_with_regions / with_regions:12.2f}"
            )


def step_batches(texts: Texts, size: int, window: int, count: int) -> Iterator[Batch]:
    """The first batches of an epoch, with random images and labels."""
    draw = torch.Generator().manual_seed(0)
    for _, rows in zip(range(count), rows_of_batches(texts, size, window, 1), strict=False):
        image = {
            "region_features": torch.randn(size, REGIONS, 2048, generator=draw),
            "region_locations": torch.rand(size, REGIONS, 5, generator=draw),
            "region_mask": torch.ones(size, REGIONS, dtype=torch.long),
        }
        yield make_batch(dict(texts.texts.inputs(rows)), image, torch.randint(3, (size,), generator=draw))


def print_step_time(name: str, texts: Texts, words: int, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    keep_memory()
    torch.manual_seed(0)
    config = XUniterConfig(head="classifier", num_labels=3, num_hidden_layers=options.layers, vocab_size=words)
    loss = BatchLoss(XUniterForVisionAndLanguage(config).train(), random_task(), ContrastiveSettings())
    windows = (0, options.windows[0])
    seconds: dict[int, list[float]] = {window: [] for window in windows}
    for _ in range(options.rounds):
        pairs = zip(*(step_batches(texts, options.step_size, window, options.steps) for window in windows), strict=True)
        for pair in pairs:
            for window, batch in zip(windows, pair, strict=True):
                began = time.process_time()
                loss(batch, "task")["loss"].backward()
                seconds[window].append(time.process_time() - began)
                loss.zero_grad()
    plain, windowed = (statistics.mean(seconds[window]) for window in windows)
    rounds = np.asarray([seconds[window] for window in windows]).reshape(2, options.rounds, -1).mean(2)
    ratios = rounds[0] / rounds[1]
    print(
        f"a step of {options.step_size} of {name}, {options.layers} layers: {plain:.2f} s at random, {windowed:.2f} s "
        f"with windows of {windows[1]}: {plain / windowed:.3f} times (rounds {ratios.min():.3f} to {ratios.max():.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help="a file with a text a line, in the place of all others")
    parser.add_argument("--iglue", type=Path, help="the folder of IGLUE's annotations, with XVNLI/ and flickr30k/")
    parser.add_argument("--tokenizer", default=str(MINI_TOKENIZER), help="a folder or hub id; mini's by default")
    parser.add_argument("--batch-sizes", type=int, nargs="*", default=[32, 128])
    parser.add_argument("--windows", type=int, nargs="+", default=[8, 4, 32], help="the first one's steps are timed")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--step-size", type=int, default=32, help="examples of a step that is timed")
    parser.add_argument("--steps", type=int, default=16, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}")
    tokenizer = load_tokenizer(options.tokenizer, model_type=None)
    print(f"{'':42} {'texts':>6} {'batch':>5} {'window':>6} {'places':>7} {'fewer':>7} {'with regions':>12}")
    measured = []
    for name, found, captions in sources(options):
        texts = Texts(found, tokenizer)
        measured.append((name, texts))
        print_padding(name, texts, options)
        if captions:
            print_padding(f"{name}, with wrong captions", Texts(found, tokenizer, wrong=2), options)
    if options.rounds:
        print_step_time(*measured[0], len(tokenizer), options)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()

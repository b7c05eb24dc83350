r"""Checks on a GPU, then examples a second in training, pairs a second in retrieval, and their share of its peak.

    python benchmarks/accelerator.py                       # xUNITER at base size in bfloat16 on a GPU; minutes
    python benchmarks/accelerator.py --peak-tflops 989     # and the share of the peak that the maker states
    python benchmarks/accelerator.py --device cpu --dtype float32 --layers 2 --hidden 128 --words 1000 \
        --batch 8 --steps 8 --captions 8 --images 32 --seconds 0.5

Training is of XVNLI's shape: texts of 8 to 20 tokens (14 on average) padded to the batch's longest, 36 regions and
the global one, batches of 128. 'step' is forward, backward, clipping and fused AdamW on a batch that is on the
device; 'finetune' is the trainer of that name as a recipe runs it, with batches from a region store (float16, in
the page cache) and what the loop adds; the device is idle for what the trainer takes longer than the step. Meta-steps
are of half a batch of support and of query, of all weights and of LoRA of rank 8. Retrieval is match_all, by which
xFlickr&Co is evaluated, over captions of 10 to 30 tokens and images from the store. A SigLIP of 224 pixels, whose
layers are those of SigLIP2, reads JPEGs of 500 x 375. Operations are counted by torch.utils.flop_counter; the measured
peak is that of one large matrix product.

The checks come first (`--no-checks` or `--no-rates` leaves one out): meta-gradients in bfloat16 beside float32, the
time and the peak memory of a meta-step by inner steps, storage and what autocast keeps, a training that is stopped
and resumed, and, where there are several GPUs, two jobs at a time.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from accelerator_bench import STORED, Bench, RandomXFlickrCO, RandomXVNLI, counted
from accelerator_checks import check_all
from accelerator_rates import Reader, fine_tuning, meta_steps, pictures
from region_store import write_lmdb
from retrieval import WordNumbers

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.conversion.converter import convert
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.data.stores.mapped_regions import MappedRegions
from iglue_plugins.evaluation.inference import match_all
from iglue_plugins.models.configuration import XUniterConfig
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.utils import notices

RETRIEVAL_PAIRS = 4_000_000  # 2,000 captions with 2,000 images: xFlickr&Co in a language


def make_model(options: argparse.Namespace, head: str, num_labels: int) -> XUniterForVisionAndLanguage:
    torch.manual_seed(0)
    config = XUniterConfig(
        vocab_size=options.words,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=max(1, options.hidden // 64),
        intermediate_size=4 * options.hidden,
        head=head,
        num_labels=num_labels,
    )
    return XUniterForVisionAndLanguage(config).to(options.device)


def retrieval(bench: Bench, store: MappedRegions, options: argparse.Namespace, peak: float) -> None:
    task = RandomXFlickrCO(store, options.captions, options.words)
    model = make_model(options, "image_text_matching", 1).eval().requires_grad_(False).to(options.dtype)
    batcher = Batcher(task.load("test", "en"), task, RegionProcessor(WordNumbers()))
    images = np.arange(options.images) % STORED
    pairs = options.captions * options.images

    def score() -> np.ndarray:
        return match_all(model, batcher, images, options.block)

    operations = counted(score) / pairs
    for name in ("match_all", "match_all, compiled") if options.compile else ("match_all",):
        if name != "match_all":
            model.compile(dynamic=True)  # as evaluation.compile does
        bench.report(name, pairs / bench.time(score), "pairs", RETRIEVAL_PAIRS, operations, peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument("--dtype", type=lambda name: getattr(torch, name), default="bfloat16", help="or float32")
    parser.add_argument("--peak-tflops", type=float, help="the device's nominal peak in this dtype")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--checks", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--rates", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seconds", type=float, default=5.0, help="at least so long for each figure")
    for name, default, meaning in (
        ("layers", 12, None),
        ("hidden", 768, None),
        ("words", 250_002, "of the vocabulary"),
        ("batch", 128, "examples of training"),
        ("steps", 80, "of the trainer"),
        ("captions", 200, None),
        ("images", 2000, None),
        ("block", 256, "pairs at once, evaluation.batch_size"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    options = parser.parse_args()
    if options.device.type == "cuda" and not torch.cuda.is_available():
        print("no GPU here, so nothing is measured; --device cpu with smaller sizes, as in --help, tries the script")
        return
    notices.quiet_libraries()
    bench = Bench(options.device, options.dtype, options.seconds, options.peak_tflops)
    device = f"CPU, {torch.get_num_threads()} thread(s)"
    if options.device.type == "cuda":
        device = torch.cuda.get_device_name(options.device)
    print(
        f"{device}, torch {torch.__version__}, {options.layers} layers of {options.hidden}, {options.dtype}", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        write_lmdb(Path(folder) / "lmdb", STORED)
        convert([Path(folder) / "lmdb"], Path(folder) / "store")
        store = MappedRegions(Path(folder) / "store")
        if options.checks:
            task, size = RandomXVNLI(store, 8 * options.batch, options.words), options.batch // 4
            precision = str(options.dtype).removeprefix("torch.")
            check_all(lambda: make_model(options, "classifier", 3), task, size, precision, Path(folder) / "checks")
        if not options.rates:
            return
        peak = bench.peak()
        print(f"a matrix product has {peak / 1e12:.3f} TFLOP/s", flush=True)
        reader = Reader("", lambda: make_model(options, "classifier", 3), RegionProcessor(WordNumbers()), store)
        fine_tuning(reader, bench, options, peak, Path(folder) / "run")
        meta_steps(bench, reader.make_model, store, options, peak)
        retrieval(bench, store, options, peak)
        pictures(bench, options, peak, Path(folder))


if __name__ == "__main__":
    main()

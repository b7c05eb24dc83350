"""Seconds a picture, by part, and peak memory of bottom-up attention's detector at full size, on one thread.

    python benchmarks/detector.py [--rounds 3] [--sizes 600x1000 800x1333] [--precisions float32 bfloat16]

Weights and pixels are random: what is computed is the same but for which boxes overlap. Each row is measured in a
process of its own. Seconds are those that the process computes, so that other programs hardly count; on a GPU they are
those of the clock. The peak is that of the whole process, its libraries included; 'before' is what it has had at most
when the weights are there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from child_process import measure_in_process
from PIL import Image
from torch import nn

from iglue_plugins.models.detector.configuration import POOLED, DetectorConfig
from iglue_plugins.models.detector.network import FasterRCNN
from iglue_plugins.models.detector.presets import PRESETS, ImageSize
from iglue_plugins.models.detector.proposals import propose
from iglue_plugins.models.detector.resizing import read_pixels
from iglue_plugins.models.detector.roi_pooling import roi_pool
from iglue_plugins.models.detector.selection import select
from iglue_plugins.models.extraction.base import UnusablePictureError

CONVOLUTIONS = ("backbone", "proposal head", "res5")


def make_network() -> FasterRCNN:
    """Random weights with which maps neither vanish nor grow through the blocks, and anchors hardly move."""
    torch.manual_seed(0)
    network = FasterRCNN(DetectorConfig())
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
            with torch.no_grad():
                module.weight.mul_(0.1 if "conv3" in name else 3e-4 if "anchor_deltas" in name else 1)
    return network.eval()


class Stopwatch:
    """Adds up seconds by the name of a part."""

    def __init__(self, device: torch.device) -> None:
        self.is_gpu, self.seconds = device.type == "cuda", dict[str, float]()

    def __call__(self, part: str, run: Callable[[], Any]) -> Any:
        began = self._now()
        result = run()
        self.seconds[part] = self.seconds.get(part, 0.0) + self._now() - began
        return result

    def _now(self) -> float:
        if self.is_gpu:
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


@torch.inference_mode()
def detect(network: FasterRCNN, picture: Image.Image, watch: Stopwatch, size: ImageSize) -> None:
    """The detector's way from a picture to its regions, part by part."""
    preset = replace(PRESETS["iglue-36"], size=size)
    pixels = watch("resizing", lambda: read_pixels(picture, size))
    resized = tuple(pixels.shape[1:])
    feature_map = watch("backbone", lambda: network.map_of(pixels))
    logits, deltas = watch("proposal head", lambda: [part.cpu() for part in network.rpn_head(feature_map)])
    anchors = network.cell_anchors.cpu()
    boxes = watch("proposals", lambda: propose(logits, deltas, anchors, resized, network.settings).boxes)
    assert len(boxes) == network.settings.count
    regions = watch("RoI pooling", lambda: roi_pool(feature_map[0], boxes, POOLED))
    features = watch("res5", lambda: network.region_features(regions))
    found = watch("predictor", lambda: [part.cpu() for part in network.roi_heads.box_predictor(features)])
    watch("selection", lambda: choose(preset, boxes, found, resized, (picture.height, picture.width)))


def choose(preset, boxes, found, resized, size) -> None:
    class_logits, box_deltas, attribute_logits = found
    with suppress(UnusablePictureError):  # raised last, when no threshold has left a region, as with random weights
        select(preset, boxes, class_logits, attribute_logits, box_deltas, resized, size)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(short: int, long: int, precision: str, rounds: int) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = make_network().to(device).to_precision(getattr(torch, precision))
    before = peak_mib()
    pixels = np.random.default_rng(0).integers(0, 256, (short // 2, long // 2, 3), dtype=np.uint8)
    rows = []
    for _ in range(rounds + 1):  # the first one warms up
        watch = Stopwatch(device)
        detect(network, Image.fromarray(pixels), watch, ImageSize(short, long, "pillow"))
        rows.append(watch.seconds)
    seconds = {part: statistics.median(row[part] for row in rows[1:]) for part in rows[0]}
    memory = {"before": before, "peak": peak_mib()}
    if device.type == "cuda":
        memory["GPU"] = torch.cuda.max_memory_allocated() / 2**20
    return {"seconds": seconds, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=["600x1000", "800x1333"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        short, long, precision, rounds = options.child
        print(json.dumps(measure(int(short), int(long), precision, int(rounds))))
        return
    for size in options.sizes:
        for precision in options.precisions:
            arguments = ["--child", *size.split("x"), precision, options.rounds]
            found = measure_in_process(__file__, arguments, exact_peak=True)
            report(size, precision, found)


def report(size: str, precision: str, found: dict[str, Any]) -> None:
    seconds, total = found["seconds"], sum(found["seconds"].values())
    convolutions = sum(seconds[part] for part in CONVOLUTIONS) / total
    print(f"{size}, {precision}: {total:.2f} s a picture, of which convolutions {convolutions:.1%}; load", end=" ")
    print(
        f"{os.getloadavg()[0]:.1f}; MiB " + ", ".join(f"{name} {value:.0f}" for name, value in found["memory"].items())
    )
    print("  " + ", ".join(f"{part} {value:.3f} s ({value / total:.1%})" for part, value in seconds.items()))
    sys.stdout.flush()


if __name__ == "__main__":
    main()

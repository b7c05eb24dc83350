"""Seconds and memory of the paired bootstrap over images, against a plain loop over resamples and languages.

    python benchmarks/bootstrap.py                                        # 5 seeds, 15 languages, 10,000 examples
    python benchmarks/bootstrap.py --images 10000 --rows 9 --rounds 3     # an image for each example, nine differences

Scores are random; each image has equally many examples in every language. The loop gathers, for each resample and
language, the scores of the examples of the drawn images and seeds, and takes their mean; it makes fewer resamples, and
its time is given for all of them. Rounds of the two alternate. Both draw the same distribution, as their standard
errors show. Seconds are those that the process computes, clustering included. Memory is the peak of the process beyond
what it held with everything imported and the scores made, in a run before the loop's.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from iglue_plugins.evaluation.clusters import group_clusters
from iglue_plugins.evaluation.significance import RESAMPLES, paired_bootstrap

LOOP_RESAMPLES = 400

Scores = dict[str, np.ndarray]


def peak_mib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def make_scores(rng: np.random.Generator, options: argparse.Namespace) -> Scores:
    shape = options.seeds, options.examples
    return {f"language-{i:02}": (rng.random(shape) < 0.6).astype(float) for i in range(options.languages)}


def by_a_loop(first: Scores, others: list[Scores], image: np.ndarray, resamples: int) -> list[float]:
    """The standard error of each difference, in points."""
    rng = np.random.default_rng(1)
    order = np.argsort(image, kind="stable")
    examples = np.split(order, np.flatnonzero(np.diff(image[order])) + 1)
    seeds = next(iter(first.values())).shape[0]
    resampled = np.zeros((resamples, len(others)))
    for draw in range(resamples):
        drawn = np.concatenate([examples[k] for k in rng.integers(len(examples), size=len(examples))])
        drawn_seeds = rng.integers(seeds, size=seeds)[:, None]
        for row, other in enumerate(others):
            means = [(other[name][drawn_seeds, drawn] - first[name][drawn_seeds, drawn]).mean() for name in first]
            resampled[draw, row] = np.mean(means)
    return (100 * resampled.std(axis=0, ddof=1)).tolist()


def clustered(first: Scores, others: list[Scores], ids: dict[str, list[str]], images: dict[str, list[list[str]]]):
    groups = group_clusters(ids, images)
    return [difference.standard_error for difference in paired_bootstrap(first, others, groups)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seeds", 5), ("languages", 15), ("examples", 10_000), ("images", 2000), ("rows", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    first, *others = (make_scores(rng, options) for _ in range(1 + options.rows))
    image = np.resize(np.arange(options.images), options.examples)
    ids = {name: [f"example-{i}" for i in range(options.examples)] for name in first}
    images = {name: [[f"image-{number}"] for number in image] for name in first}
    before = peak_mib()
    clustered(first, others, ids, images)
    memory = peak_mib() - before

    ways: dict[str, tuple[Callable[[], list[float]], float]] = {
        "loop": (lambda: by_a_loop(first, others, image, LOOP_RESAMPLES), RESAMPLES / LOOP_RESAMPLES),
        "clustered": (lambda: clustered(first, others, ids, images), 1.0),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, (way, scale) in ways.items():
            start = time.process_time()
            found[name] = way()
            seconds[name].append(scale * (time.process_time() - start))
    print(
        f"{options.rows} difference(s), {options.seeds} seeds, {options.languages} languages, "
        f"{options.examples} examples of {options.images} images, {RESAMPLES} resamples"
    )
    for name, taken in seconds.items():
        print(
            f"{name:10} {statistics.median(taken):8.2f} s ({min(taken):.2f} to {max(taken):.2f}), "
            f"standard error {found[name][0]:.3f} points"
        )
    ratios = [slow / fast for slow, fast in zip(seconds["loop"], seconds["clustered"], strict=True)]
    print(f"ratio      {statistics.median(ratios):8.1f} ({min(ratios):.1f} to {max(ratios):.1f})")
    print(f"memory     {memory:8.0f} MiB beyond {before:.0f} MiB")


if __name__ == "__main__":
    main()

"""A step at base size with the memory of large tensors in huge pages, as the package asks for, and without.

    python benchmarks/huge_pages.py                    # a quarter of an hour on one core
    python benchmarks/huge_pages.py --layers 2 --rounds 1

The steps are those of maml_step.py: fine-tuning on 16 examples, and meta-steps of first and second order on 8 and 8,
without the optimizer. Each is measured in processes of its own, in turn with and without huge pages
(THP_MEM_ALLOC_ENABLE), on one thread; seconds are those that the process computes. What Linux does where nobody asks
stands in /sys/kernel/mm/transparent_hugepage/enabled; the script prints it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import maml_step
from child_process import in_rounds

MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
STEPS = {"fine-tuning": ("fine-tuning", 1), "first order": ("xvl_maml", 1), "second order": ("xvl_maml", 2)}


def measure(row: tuple[str, str], options: argparse.Namespace) -> dict:
    step, setting = row
    os.environ["THP_MEM_ALLOC_ENABLE"] = setting
    contender, order = STEPS[step]
    return maml_step.in_process(contender, order, 1, "graphs", options, for_memory=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of a process")
    parser.add_argument("--layers", type=int, default=12)
    options = parser.parse_args()
    options.dtype = "float32"
    mode = MODE.read_text().strip() if MODE.exists() else "this system has none"
    print(f"huge pages: {mode}; {options.layers} layers, load {os.getloadavg()[0]:.1f}")
    rows = [(step, setting) for step in STEPS for setting in ("0", "1")]
    medians = in_rounds(rows, options.rounds, lambda row: measure(row, options))
    print(f"{'':14} {'without':>8} {'with':>8} {'times':>6}")
    for step in STEPS:
        without, with_them = medians[step, "0"], medians[step, "1"]
        print(f"{step:14} {without:8.2f} {with_them:8.2f} {without / with_them:6.2f}")


if __name__ == "__main__":
    main()

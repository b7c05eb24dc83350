"""XVL-MAML on concepts that training has not seen: writes docs/results/unseen_concepts.md.

    python benchmarks/unseen_concepts.py --jobs 2

mini/xvnli on the splits test and unseen, twice: where the concepts of unseen are new to the pre-trained encoder too,
and where it knows them and the task's training does not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mini_results import ROOT, against, rows, table

from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.reporting.results import read_rows
from iglue_plugins.reporting.slice_tables import slices_markdown
from iglue_plugins.reporting.slices import slice_table
from iglue_plugins.reporting.wording import title

FOLDER = "mini/xvnli"
ROWS = ("finetune", "auxiliary_finetune", "xvl_maml", "xvl_maml_inner_lr_0")
WORLDS = {
    "New to the encoder and to the task": [],
    "Known to the encoder, new to the task (`task.held_out=24`)": ["task.held_out=24"],
}


def section(heading: str, settings: list[str], arguments: argparse.Namespace) -> list[str]:
    paths = [ROOT / "recipes" / FOLDER / f"{name}.yaml" for name in ROWS]
    settings = [*settings, "evaluation.splits=[test,unseen]"]
    labelled = rows(paths, arguments.seeds, arguments.runs, Launch(jobs=arguments.jobs), settings)
    lines = [f"## {heading}", ""]
    for split in ("test", "unseen"):
        comparison, other = (against(labelled, first, split) for first in ("finetune", "xvl_maml"))
        lines += [f"### {title(comparison)}", "", *table(comparison, other), ""]
    sliced = slice_table(read_rows(labelled, "unseen"), "unseen", ["unseen"])
    return [*lines, "### Slices of the split unseen", "", slices_markdown(sliced)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    lines = ["# Concepts that training has not seen", ""]
    for heading, settings in WORLDS.items():
        lines += section(heading, settings, arguments)
    text = "\n".join(lines).rstrip("\n") + "\n"
    (ROOT / "docs/results/unseen_concepts.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""The rows that benchmarks/real_photographs.py runs, as recipes with overrides."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from iglue_plugins.recipes.recipe import Recipe, load_recipe
from iglue_plugins.recipes.stages import applied

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes" / "real_photographs"
FOLDERS = ("retrieval/dual_encoder", "retrieval/xuniter", "nli/dual_encoder", "nli/xuniter")
CONTROL = "xvl_maml_inner_lr_0"
MAIN = (
    "finetune", "xvl_maml", "xvl_maml_unsupervised", CONTROL, "auxiliary_finetune", "contrastive", "x_maml",
    "finetune_longer",
)  # fmt: skip
CONTRASTIVE = "adapted/contrastive"
ADAPTED = ("finetune", "xvl_maml", "xvl_maml_unsupervised", CONTROL, "contrastive")
LABELLED = ("finetune", "xvl_maml", CONTROL)
SHOTS = {"retrieval": {5: 5, 25: 25, 100: 99}, "nli": {48: 27}}  # rows of few_shot by the number of shots
TEST_ROWS = 32  # of the test split that an inner step at test time takes
ONE_STEP = "one step"  # on the test images themselves


@dataclass(frozen=True)
class Row:
    """A row of a table: a recipe with some settings, run with each seed."""

    label: str
    recipe: str
    overrides: tuple[str, ...] = ()

    def recipes(self, seeds: Sequence[int], everywhere: Sequence[str]) -> list[Recipe]:
        path = RECIPES / f"{self.recipe}.yaml"
        own = applied(everywhere, load_recipe(path, self.overrides).trainer.name)
        before = [f"start_from_settings={json.dumps(list(everywhere))}"] if everywhere else []
        return [load_recipe(path, [*own, *before, *self.overrides, f"seed={seed}"]) for seed in seeds]


@dataclass(frozen=True)
class Table:
    """Rows that are compared with the first one and with another one."""

    name: str
    heading: str
    rows: tuple[Row, ...]
    second: str


def main_tables() -> Iterator[Table]:
    for folder in FOLDERS:
        rows = tuple(Row(name, f"{folder}/{name}") for name in MAIN)
        yield Table(folder.replace("/", "_"), f"{folder}: the comparison", rows, CONTROL)


def language_tables() -> Iterator[Table]:
    """Other auxiliary languages than Chinese."""
    folder = "retrieval/dual_encoder"
    for language in ("ar", "de"):
        rows = [Row("finetune", f"{folder}/finetune")]
        rows += [
            Row(name, f"{folder}/{name}", (f"auxiliary_languages=[{language}]",))
            for name in ("xvl_maml", CONTROL, "auxiliary_finetune")
        ]
        yield Table(f"auxiliary_{language}", f"{folder}: auxiliary language {language}", tuple(rows), CONTROL)


def loss_tables() -> Iterator[Table]:
    """Settings of L_CL, each against XVL-MAML without it; with 250 captions of 50 photographs many share one."""
    path = "retrieval/dual_encoder/xvl_maml"
    few = ("trainer.examples=250",)
    rows = [Row("masked", path, few)]
    rows += [Row(value, path, (*few, f"trainer.same_image_pairs={value}")) for value in ("positives", "negatives")]
    rows.append(Row("distinct_images", path, (*few, "trainer.distinct_images=true")))
    rows.append(Row("no inner step", f"retrieval/dual_encoder/{CONTROL}", few))
    yield Table("false_negatives", "False negatives: 250 Chinese captions of 50 photographs", tuple(rows), "negatives")
    rows = [Row("the model's temperature, batches of 16", path)]
    rows += [Row(f"temperature {value}", path, (f"trainer.temperature={value}",)) for value in (0.03, 0.2)]
    rows += [Row(f"support of {size}", path, (f"trainer.support_size={size}",)) for size in (8, 48)]
    yield Table("contrastive_settings", "Temperature and batch size of L_CL", tuple(rows), "support of 48")


@dataclass(frozen=True)
class Curve:
    """Rows from several starts at several amounts of data; a point is compared with the control's at the same amount.

    Attributes:
        name: The name of its files.
        heading: Its heading.
        starts: The rows that it starts from.
        points: For each amount the rows, one for each start; at 0 the starts themselves.
    """

    name: str
    heading: str
    starts: tuple[str, ...]
    points: dict[int | str, tuple[Row, ...]]


def _adapted(folder: str, kind: str, start: str, label: str, settings: Sequence[str]) -> Row:
    path = RECIPES / folder / f"{start}.yaml"
    return Row(label, f"{folder}/adapted/{kind}", (f"start_from={path}", *settings))


def unlabelled_curves() -> Iterator[Curve]:
    """Captions of the target language, without labels, by the inner loop."""
    for folder in FOLDERS:
        task = folder.partition("/")[0]
        starts = ADAPTED if folder != "retrieval/xuniter" else LABELLED
        shots = SHOTS[task] if folder != "retrieval/xuniter" else {100: 99}
        amounts: dict[int | str, tuple[str, ...]] = {
            rows: (f"trainer.shots={count}", f"trainer.support_size={rows}") for count, rows in shots.items()
        }
        one = ("trainer.split=test", "trainer.shots=null", f"trainer.support_size={TEST_ROWS}", "trainer.inner_steps=1")
        if folder != "retrieval/xuniter":
            amounts[ONE_STEP] = one
        points = {
            amount: tuple(_adapted(folder, "contrastive", start, start, settings) for start in starts)
            for amount, settings in amounts.items()
        }
        yield Curve(f"{folder.replace('/', '_')}_captions", f"{folder}: unlabelled captions", starts, points)


def labelled_curves() -> Iterator[Curve]:
    """Labelled examples of the target language."""
    for folder in FOLDERS:
        if folder == "retrieval/xuniter":  # 40 minutes; see docs/real_photographs.md
            continue
        shots = SHOTS[folder.partition("/")[0]]
        points: dict[int | str, tuple[Row, ...]] = {
            rows: tuple(_adapted(folder, "few_shot", start, start, (f"trainer.shots={count}",)) for start in LABELLED)
            for count, rows in shots.items()
        }
        yield Curve(f"{folder.replace('/', '_')}_shots", f"{folder}: labelled examples", LABELLED, points)


@dataclass(frozen=True)
class Choice:
    """A setting that dev chooses, and the recipes of a folder that get the value."""

    folder: str
    recipe: str
    keys: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    written_to: tuple[str, ...]
    overrides: tuple[str, ...] = ()

    @property
    def languages(self) -> str:
        """The languages of dev that decide: of retrieval none that is trained on, of XVNLI the only one there is."""
        if self.recipe == CONTRASTIVE:
            return "[de]"  # the only one with few-shot captions
        return "[de, fr]" if self.folder.startswith("retrieval") else "[en]"


def choices() -> Iterator[Choice]:
    """In the order in which they are made, since the later ones start from the earlier."""
    rates = (("1.0e-5",), ("3.0e-5",), ("1.0e-4",), ("3.0e-4",))
    auxiliary = tuple(name for name in MAIN if name != "finetune")
    stepping: tuple[str, ...] = ("xvl_maml", "xvl_maml_unsupervised", "x_maml")
    for folder in FOLDERS:
        has_dev = folder.startswith("retrieval")  # in a language that few-shot captions adapt to
        yield Choice(folder, "finetune", ("learning_rate",), rates, ("finetune",))
        yield Choice(folder, CONTROL, ("learning_rate",), rates, auxiliary)
        inner = (("1.0e-3",), ("1.0e-2",), ("1.0e-1",))
        written_to = stepping if has_dev else (*stepping, CONTRASTIVE)
        yield Choice(folder, "xvl_maml", ("inner_lr",), inner, written_to)
        if has_dev:  # from the control, which takes no inner steps in training
            start = f"start_from={RECIPES / folder / CONTROL}.yaml"
            steps = (("1.0e-2", "1"), ("1.0e-2", "10"), ("1.0e-1", "1"), ("1.0e-1", "10"))
            yield Choice(folder, CONTRASTIVE, ("inner_lr", "inner_steps"), steps, (CONTRASTIVE,), (start,))

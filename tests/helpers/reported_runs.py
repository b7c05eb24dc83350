"""Finished runs with answers and logs for a report, which nothing has computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from made_runs import record
from torch.utils.tensorboard import SummaryWriter

from iglue_plugins.runs.folder import Run

LABELS = ("contradiction", "entailment", "neutral")
TEXTS = {
    "en": "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028 \u2029 <!--",
    "tr": "köpek ve kedi",
    "ar": "كلب وقطة",
    "zh": "狗和猫",
}
EXAMPLES = 8
RIGHT: dict[str, tuple[int, ...]] = {  # places of examples that a row answers rightly, by row and seed
    "finetune-0": (0, 1, 2),
    "finetune-1": (0, 1),
    "xvl_maml-0": (0, 2, 3, 4, 5),
    "xvl_maml-1": (0, 2, 3, 4),
}


def label_line(language: str, place: int, is_right: bool, text: str | None = None) -> dict[str, Any]:
    label, wrong = LABELS[place % 3], LABELS[(place + 1) % 3]
    said, other = (label, wrong) if is_right else (wrong, label)
    return {
        "id": f"test/{place}",
        "image_ids": [f"mini/xvnli/test/{place}/0"],
        "text": f"{TEXTS[language] if text is None else text} {place}" + " x" * (place % 3),
        "prediction": said,
        "label": label,
        "score": float(is_right),
        "probabilities": {said: 0.7, other: 0.25, LABELS[(place + 2) % 3]: 0.05},
    }


def ranking_line(language: str, place: int, rank: int | None) -> dict[str, Any]:
    own = f"mini/xflickrco/test/{place}/0"
    images = [f"mini/xflickrco/test/{place + step}/0" for step in range(1, 11)]
    ranked = images if rank is None else [*images[: rank - 1], own, *images[rank - 1 : -1]]
    return {
        "id": f"test/{place}",
        "image_ids": [own],
        "text": f"{TEXTS[language]} {place}",
        "prediction": ranked,
        "label": own,
        "score": float(rank == 1),
        "similarities": [1 - 0.1 * step for step in range(10)],
        "label_similarity": 0.05,
    }


def make_reported_run(
    folder: Path,
    name: str,
    seed: int,
    lines: Mapping[str, Sequence[Mapping[str, Any]]],
    task: str = "mini/xvnli",
    auxiliary: Sequence[str] = (),
    **changes: Any,
) -> Path:
    """Makes a run with these lines of predictions by language, and a recipe by which its task can be made."""
    fingerprint = f"{sum(map(ord, name)):06x}{seed:06x}"
    run = Run(folder / f"{name}-{fingerprint}")
    trainer = "finetune" if name == "finetune" else "xvl_maml"
    metric = "recall@1" if task.endswith("xflickrco") else "accuracy"
    recipe = {"task": {"name": task}, "model": {"name": "mini/xuniter"}, "trainer": {"name": trainer}}
    if auxiliary:
        recipe["auxiliary_languages"] = list(auxiliary)  # type: ignore[assignment]
    run.folder.mkdir(parents=True)
    run.recipe_path.write_text(yaml.safe_dump(recipe))
    scores = {}
    for language, of_language in lines.items():
        run.write_predictions("test", language, of_language)
        mean = 100 * sum(line["score"] for line in of_language) / len(of_language)
        scores[language] = {metric: mean, "examples": len(of_language)}
    recorded = {
        "name": name, "fingerprint": fingerprint, "seed": seed, "task": task, "trainer": trainer,
        "training_languages": list(auxiliary), "main_metric": metric, "scores": {"test": scores}, "recipe": recipe,
    } | changes  # fmt: skip
    run.write_record(record(**recorded))
    return run.folder


def make_rows(folder: Path, texts: Mapping[str, str] = TEXTS) -> dict[str, list[Path]]:
    """Makes fine-tuning and XVL-MAML on Turkish, two seeds each."""
    rows: dict[str, list[Path]] = {"finetune": [], "xvl_maml": []}
    for name, runs in rows.items():
        for seed in (0, 1):
            right = RIGHT[f"{name}-{seed}"]
            lines = {
                language: [label_line(language, place, place in right, text) for place in range(EXAMPLES)]
                for language, text in texts.items()
            }
            auxiliary = ["tr"] if name == "xvl_maml" else []
            runs.append(make_reported_run(folder, name, seed, lines, auxiliary=auxiliary))
            log_scalars(runs[-1], {"train/loss": {5: 1.0 - 0.1 * seed, 10: 0.5}, "eval/validation": {10: 60.0}})
    return rows


def make_ranked_rows(folder: Path) -> dict[str, list[Path]]:
    """Makes two rows of retrieval, two seeds each, whose right image has another rank in every example."""
    rows: dict[str, list[Path]] = {"finetune": [], "xvl_maml": []}
    for number, (name, runs) in enumerate(rows.items()):
        for seed in (0, 1):
            lines = {
                language: [ranking_line(language, place, 1 + (place + number) % 3) for place in range(EXAMPLES - 1)]
                + [ranking_line(language, EXAMPLES - 1, None if number else 1)]
                for language in TEXTS
            }
            auxiliary = ["tr"] if number else []
            runs.append(make_reported_run(folder, f"{name}", seed, lines, "mini/xflickrco", auxiliary))
    return rows


def log_scalars(folder: Path, scalars: Mapping[str, Mapping[int, float]]) -> None:
    with SummaryWriter(str(folder / "tensorboard")) as writer:
        for name, values in scalars.items():
            for step, value in values.items():
                writer.add_scalar(name, value, step)

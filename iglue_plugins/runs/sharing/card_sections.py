"""The sections of a model card, as paragraphs of Markdown; what comes from data is escaped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iglue_plugins.runs.changed_settings import changed_settings
from iglue_plugins.runs.sharing.card_metadata import base_models, hub_copy, task_facts
from iglue_plugins.runs.sharing.card_scores import SplitScores
from iglue_plugins.runs.sharing.private_values import public_value
from iglue_plugins.runs.status import as_mapping
from iglue_plugins.utils.languages import language_tuple
from iglue_plugins.utils.text import escape_markdown, printable

METHOD = "Meta-Learning for Vision-and-Language Cross-lingual Transfer, arXiv 2305.14843 (XVL-MAML)"
BENCHMARK = (
    "Bugliarello et al. 2022, IGLUE: A Benchmark for Transfer Learning across Modalities, Tasks, and Languages, ICML"
)


def escaped(value: Any) -> str:
    """Return a value of a record as Markdown shows it."""
    return escape_markdown(printable(str(value)))


def summary(record: Mapping[str, Any]) -> Iterator[str]:
    """Say what the model is, and of a smoke test that it is one."""
    model = as_mapping(as_mapping(record.get("recipe")).get("model")).get("name") or "A model"
    task, trainer = record["task"], record["trainer"]
    yield f"{escaped(model)} for the task {escaped(task)}, trained by the trainer {escaped(trainer)} of iglue_plugins."
    if (limit := record.get("limit")) is not None:
        yield f"**This is a smoke test, limited to {limit} steps and examples: its scores say nothing of the model.**"


def languages_and_data(record: Mapping[str, Any]) -> Iterator[str]:
    """Say what an example is, which languages the model was trained on, and where the data are."""
    task, copy = task_facts(record), hub_copy(record)
    if sentence := getattr(task, "summary", ""):
        yield escaped(sentence)
    trained, sources = record["training_languages"], language_tuple(record["source_language"])
    evaluated = dict.fromkeys(name for scores in record["scores"].values() for name in scores)
    targets = [language for language in evaluated if language not in {*sources, *trained}]
    rows = {
        "source language, that of the large training set": sources,
        "auxiliary languages, trained on too": trained,
        "target languages, never trained on": targets,
    }
    yield "\n".join(f"- {role}: {escaped(', '.join(map(str, names)))}" for role, names in rows.items() if names)
    if copy:
        yield f"A copy of the test sets is on the hub: [{copy.repository}](https://hf.co/datasets/{copy.repository})."


def scores_by_language(record: Mapping[str, Any], scores: Sequence[SplitScores]) -> Iterator[str]:
    """Make a table for each split, and say what the intervals are of."""
    if not scores:
        yield "It has not been scored."
        return
    roles = dict.fromkeys(language_tuple(record["source_language"]), "source") | dict.fromkeys(
        record["training_languages"], "auxiliary"
    )
    for split in scores:
        yield f"{escaped(split.metric)} in per cent on {escaped(split.split)}:"
        lines = ["| language | role | examples | score | 95 % interval |", "| --- | --- | ---: | ---: | ---: |"]
        for language, score in split.scores.items():
            cells = escaped(language), roles.get(language, "target"), str(split.examples[language])
            lines.append(f"| {' | '.join(cells)} | {score.mean:.1f} | [{score.low:.1f}, {score.high:.1f}] |")
        if mean := split.target_mean:
            label = f"**mean of {len(split.targets)} targets**"
            lines.append(f"| {label} | | | **{mean.mean:.1f}** | [{mean.low:.1f}, {mean.high:.1f}] |")
        yield "\n".join(lines)
    drawn = "images with all their examples" if all(split.drawn == "images" for split in scores) else "examples"
    yield f"Intervals are of bootstrap resamples of {drawn}; how scores differ between seeds is not in them."


def training(record: Mapping[str, Any]) -> Iterator[str]:
    """Say what training started from, and the settings that differ from the defaults, without local paths."""
    base = " and ".join(map(escaped, base_models(record)))
    before = "an earlier run" if record.get("start_from") else ""
    start = ", which started from ".join(filter(None, [before, base])) or "the model's own weights"
    steps, labels = record["steps"], record["labels_per_step"]
    yield f"{steps} steps of {labels} labelled examples, seed {record['seed']}, from {start}."
    changed = {
        key: (value, default)
        for key, (value, default) in changed_settings(record).items()
        if value == public_value(value, key) and key != "start_from"
    }
    if not changed:
        yield "All settings are the defaults."
        return
    yield "Settings that differ from the defaults:"
    lines = [f"{key}: {_json(value)}  # default: {_json(default)}" for key, (value, default) in changed.items()]
    yield "\n".join(["```yaml", *map(printable, lines), "```"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def usage(source: str, is_on_hub: bool) -> Iterator[str]:
    """Show how the model is loaded and asked, and how training goes on from it."""
    lines = [
        "```python",
        "from iglue_plugins import load_run",
        "",
        f"predictor = load_run({_json(source)})",
        'print(predictor("photo.jpg", text="Two dogs play."))',
        "```",
        "",
        "or in a shell",
        "",
        "```",
        f'iglue predict {shlex.quote(source)} --image photo.jpg --text "Two dogs play."',
        "```",
    ]
    yield "\n".join(lines)
    start = f"hf://{source}" if is_on_hub else source
    yield f"A recipe trains on from it by `start_from: {start}`."


def versions(record: Mapping[str, Any]) -> Iterator[str]:
    """List the versions that the run was begun with."""
    known = [f"{escaped(name)} {escaped(version)}" for name, version in as_mapping(record.get("versions")).items()]
    fingerprint = escaped(record.get("fingerprint", "unknown"))
    yield f"{', '.join(known) or 'Versions are unknown'}. Run {fingerprint}."


def licences(record: Mapping[str, Any], licence: str | None) -> Iterator[str]:
    """Say what is known of the licences of the weights and of the data."""
    unknown = "no licence has been chosen; those of the weights and data that they come from may bind them"
    yield f"Weights: {escaped(licence) if licence else unknown}."
    if of_data := getattr(task_facts(record), "licence", ""):
        yield f"Data: {escaped(of_data)}."


def citations(record: Mapping[str, Any]) -> Iterator[str]:
    """Name the publications of method, task and benchmark."""
    of_task = getattr(task_facts(record), "citation", "")
    named = [
        METHOD if "maml" in record["trainer"] else "",
        f"Task: {of_task}" if of_task else "",
        f"IGLUE: {BENCHMARK}",
    ]
    yield "\n".join(f"- {escaped(name)}" for name in named if name)

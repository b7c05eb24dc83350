"""docs/tasks.md agrees with the facts in task_configs/."""

from __future__ import annotations

from pathlib import Path

import pytest

from iglue_plugins import registry
from iglue_plugins.tasks.config import IGLUEConfig, load_task_config

DOCS = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
TITLES = {"xvnli": "XVNLI", "xgqa": "xGQA", "marvl": "MaRVL", "xflickrco": "xFlickr&Co"}


@pytest.fixture(params=TITLES)
def config(request: pytest.FixtureRequest) -> IGLUEConfig:
    return load_task_config(request.param, IGLUEConfig)


def section(config: IGLUEConfig) -> str:
    return DOCS.split(f"\n## {TITLES[config.name]}\n")[1].split("\n## ")[0]


def counts_by_split(config: IGLUEConfig) -> list[str]:
    languages = (config.source_language, *config.target_languages)
    lines = [f"| split | {' | '.join(languages)} |", "|---" * (len(languages) + 1) + "|"]
    for split in config.splits:
        if not config.shots(split):
            cells = []
            for language in languages:
                counts = [
                    source.count("examples", language, None)
                    for source in config.splits[split]
                    if language in source.languages
                ]
                assert len(set(counts)) <= 1, "whichever file is there, a split has as many examples"
                cells.append("?" if counts[:1] == [None] else "".join(map(str, counts[:1])))
            lines.append(f"| `{split}` | {' | '.join(cells)} |")
    return lines


def counts_by_shots(config: IGLUEConfig) -> list[str]:
    return ["| shots | languages | examples |", "|---|---|---|"] + [
        f"| {', '.join(map(str, source.shots))} | {' '.join(source.languages)} | "
        f"{', '.join(str(source.count('examples', '', shots)) for shots in source.shots)} |"
        for source in config.splits["few_shot"]
    ]


def test_the_tables_of_counts(config: IGLUEConfig) -> None:
    for lines in (counts_by_split(config), counts_by_shots(config)):
        assert "\n\n" + "\n".join(lines) + "\n\n" in section(config)


def test_stores_copies_and_licences_are_named(config: IGLUEConfig) -> None:
    text = " ".join(section(config).split())
    assert f"https://huggingface.co/datasets/{config.hub.repository}" in text
    for source in (source for sources in config.splits.values() for source in sources):
        assert f"`{source.store.replace('{', '<').replace('}', '>')}`" in text
    for licence in ("MIT", "CC BY 4.0", "CC BY-SA 4.0", "BSD-3-Clause"):
        assert (licence in config.licence) == (licence in text), licence


def test_the_settings_of_a_task_are_named(config: IGLUEConfig) -> None:
    fields = type(registry.tasks.load(config.name).Settings()).model_fields
    retrieval = (Path(__file__).parents[3] / "docs" / "retrieval.md").read_text(encoding="utf-8")
    for name in fields:
        assert f"| `{name}` |" in DOCS + (retrieval if config.name == "xflickrco" else ""), name

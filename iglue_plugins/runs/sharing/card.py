"""The model card of a run: README.md in its model's folder, and at the top of a repository on a hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iglue_plugins.runs.folder import Run
from iglue_plugins.runs.record_checks import check_record
from iglue_plugins.runs.sharing import card_sections as sections
from iglue_plugins.runs.sharing.card_metadata import card_metadata
from iglue_plugins.runs.sharing.card_scores import read_scores
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.files import write_atomic
from iglue_plugins.utils.lines import say

MARKER = (
    "<!-- Made by iglue_plugins, which makes it anew when scores are added. Remove this line to keep your changes. -->"
)


def write_card(run: Run, record: Mapping[str, Any]) -> None:
    """Write the card of a run that keeps a model, unless somebody has made it their own.

    The run is finished without it: if predictions are gone or damaged, or nothing can be written, a line says so.

    Args:
        run: The run.
        record: Its record.
    """
    try:
        if run.model_dir.is_dir() and edited_card(run) is None:
            write_atomic(run.card_path, make_card(run, record, run.name).encode())
    except UserError as error:
        say(f"{run.name}: its model card is not written ({error})")


def edited_card(run: Run) -> str | None:
    """Read the card of a run if somebody has made it their own, by removing the line that says who has made it.

    Args:
        run: The run.

    Returns:
        The card; None if there is none, or none that is to be kept.

    Raises:
        UserError: The card cannot be read.
    """
    try:
        card = run.card_path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{run.card_path}: cannot be read as UTF-8 text; correct or delete it") from error
    return None if MARKER in card else card


def make_card(
    run: Run, record: Mapping[str, Any], name: str, is_on_hub: bool = False, licence: str | None = None
) -> str:
    """Make the card of a run.

    Args:
        run: The run.
        record: Its record.
        name: The name of the model, by which it is loaded: a hub id, or the name of the run's folder.
        is_on_hub: Whether the name is a hub id.
        licence: The licence of the weights, as the hub names licences; None where it is not known.

    Returns:
        The card, metadata in YAML and then Markdown.

    Raises:
        UserError: The record or the predictions are damaged.
    """
    check_record(run, dict(record))
    scores = read_scores(run, record)
    metadata = card_metadata(record, name, scores, licence).to_yaml()
    parts = [f"---\n{metadata}\n---", MARKER, f"# {sections.escaped(name)}", *sections.summary(record)]
    for title, paragraphs in {
        "Languages and data": sections.languages_and_data(record),
        "Scores": sections.scores_by_language(record, scores),
        "Training": sections.training(record),
        "Use": sections.usage(name, is_on_hub),
        "Versions": sections.versions(record),
        "Licence": sections.licences(record, licence),
        "Citation": sections.citations(record),
    }.items():
        parts += [f"## {title}", *paragraphs]
    return "\n\n".join(parts) + "\n"

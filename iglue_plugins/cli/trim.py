"""`iglue checkpoint trim`: a checkpoint with a smaller vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iglue_plugins.cli.options import load_task
from iglue_plugins.utils.errors import UserError
from iglue_plugins.utils.lines import say
from iglue_plugins.utils.notices import quiet_libraries

if TYPE_CHECKING:
    from iglue_plugins.models.trim import Texts, TrimReport


def trim(
    checkpoint: Annotated[
        str, typer.Argument(metavar="CHECKPOINT", help="a checkpoint's or a run's folder, or a hub id")
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="the trimmed checkpoint's folder, new or empty")],
    task: Annotated[str | None, typer.Option(help="keep the words of this task, all splits that there are")] = None,
    languages: Annotated[str | None, typer.Option(help="comma-separated, of the task's; default: all of them")] = None,
    data_root: Annotated[Path | None, typer.Option(help="the folder with the task's data; default: IGLUE_HOME")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option(
            help="keep the words of this file: .txt, a text a line, or .jsonl, every text in it; may be repeated"
        ),
    ] = None,
    keep_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="keep only the N most frequent tokens of the texts; texts with other tokens are tokenized differently",
        ),
    ] = None,
) -> None:
    """Cut CHECKPOINT's vocabulary to the tokens that the texts of a task or of files use.

    On these texts the model's outputs are the same; it takes less memory and disk.
    """
    from iglue_plugins.models.trim import trim_checkpoint

    quiet_libraries()
    texts = _texts(task, languages, data_root, file or [])
    for line in _report(trim_checkpoint(checkpoint, folder, texts, keep_tokens)):
        print(line)
    print(folder)


def _texts(name: str | None, languages: str | None, data_root: Path | None, files: list[Path]) -> Texts:
    from iglue_plugins.tasks.texts import FileTexts, task_texts

    if name is None and not files:
        raise UserError("there is no text whose words are to be kept; name a task by --task, or files by --file")
    texts = {str(path): [FileTexts(path)] for path in files}
    if name is None:
        for option, value in (("--languages", languages), ("--data-root", data_root)):
            if value is not None:
                raise UserError(f"{option} {value}: there is no task that it belongs to; name one by --task")
        return texts
    chosen = None if languages is None else list(dict.fromkeys(map(str.strip, languages.split(","))))
    found = task_texts(load_task(name, data_root), chosen)
    for reason, parts in found.left_out.items():
        say(f"iglue: not counted ({reason}): {', '.join(parts)}")
    return found.languages | texts


def _report(report: TrimReport) -> list[str]:
    before, after = report.before, report.after
    counted = sum(report.texts.values())
    outcome = f"{report.changed:,} of them tokenized differently" if report.changed else "all tokenized as before"
    return [
        f"texts: {', '.join(f'{name} {number:,}' for name, number in report.texts.items())}",
        f"{counted:,} texts, {outcome}",
        f"vocabulary: {after.rows:,} of {before.rows:,} rows",
        f"parameters: {after.parameters:,} of {before.parameters:,}",
        f"weights: {after.bytes / 1e6:,.1f} of {before.bytes / 1e6:,.1f} MB",
    ]

"""`iglue data`: a task's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at a task's data.", no_args_is_help=True)


@app.command("show")
def show(
    task: Annotated[str, typer.Argument(help="a task's name, such as mini/xvnli")],
    language: Annotated[str, typer.Option(help="a language code")] = "en",
    split: Annotated[str, typer.Option(help="a split")] = "test",
    examples: Annotated[int, typer.Option(min=1, help="how many")] = 6,
    output: Annotated[Path | None, typer.Option(help="the PNG; default: <task>-<language>.png")] = None,
) -> None:
    """Draw a few examples of TASK, pictures included, to a PNG."""
    from iglue_plugins import registry
    from iglue_plugins.data.show import draw_examples

    path = output or Path(f"{task.replace('/', '-')}-{language}.png")
    for line in draw_examples(registry.tasks.get(task)(), split, language, examples, path):
        print(line)
    print(path)

"""The command line, `iglue`. Nothing here imports torch until a command needs it."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from iglue_plugins.cli import advise, checkpoint, data, lmms_eval, predict, push, report, runs, score, slices, sweep
from iglue_plugins.cli.options import (
    JobParameters,
    Jobs,
    Launcher,
    LMMSEvalFiles,
    Margin,
    Notes,
    Published,
    PublishedModels,
    PublishedSettings,
    Seeds,
    Settings,
    Split,
)
from iglue_plugins.utils.errors import exit_on_user_error, explain_write_errors
from iglue_plugins.utils.imports import heavy_imports
from iglue_plugins.utils.lines import say

app = typer.Typer(
    help="XVL-MAML and the IGLUE tasks: run recipes, compare trainers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")

INTERRUPTED = 130  # typer's exit code for Ctrl-C

RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="a recipe (.yaml)")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.PATH=VALUE]...", help="settings to change")]


def _print_versions(is_asked: bool) -> None:
    """Print the versions without importing what has them, and end."""
    if is_asked:
        import platform

        from iglue_plugins.utils.version import package_version, version_of

        torch = version_of("torch") or "not installed"
        print(f"iglue_plugins {package_version()}, Python {platform.python_version()}, torch {torch}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Print versions and exit.")
    ] = False,
) -> None:
    """XVL-MAML and the IGLUE tasks: run recipes, compare trainers."""


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    again: Annotated[
        bool, typer.Option("--again", help="train and evaluate anew; a finished run of the same settings is set aside")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="a smoke test: N steps, and N examples of each language, of every stage"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say what would run, what is lacking (exit code 1), room and time")
    ] = False,
) -> None:
    """Train and evaluate as RECIPE says; resumes a run that was cut short, and does not repeat a finished one."""
    from iglue_plugins.recipes.recipe import load_recipe

    resolved = load_recipe(recipe, [*(overrides or []), *([] if limit is None else [f"limit={limit}"])])

    from rich.console import Console

    with heavy_imports():
        from iglue_plugins.reporting.tables import render_record
        from iglue_plugins.runs import plan, runner
    from iglue_plugins.utils import distributed

    if dry_run:
        planned = plan.make_plan(resolved)
        print(*planned.describe(), sep="\n")
        raise typer.Exit(1 if planned.lacking else 0)
    finished = runner.run(resolved, again)
    if distributed.is_main_process():
        for split in resolved.evaluation.splits:
            scored = resolved.evaluation.scored_split(split)
            Console().print(render_record(finished.require_record(), scored))
        print(finished.folder)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="the folder of a finished run")],
    splits: Annotated[str | None, typer.Option(help="comma-separated; default: the recipe's")] = None,
    languages: Annotated[str | None, typer.Option(help="comma-separated; default: the recipe's")] = None,
    precision: Annotated[str | None, typer.Option(help="float32 or bfloat16; default: the recipe's")] = None,
    again: Annotated[bool, typer.Option("--again", help="score anew what is scored, with the weights as they are")] = (
        False
    ),
) -> None:
    """Score RUN's model on more splits or languages, and print the scores; what is already scored is not done again."""
    from rich.console import Console

    with heavy_imports():
        from iglue_plugins.reporting.tables import render_record
        from iglue_plugins.runs import runner
    from iglue_plugins.utils import distributed

    overrides = [f"evaluation.precision={precision}"] if precision else []
    run, evaluation = runner.evaluate(
        folder, splits.split(",") if splits else (), languages.split(",") if languages else (), overrides, again
    )
    if distributed.is_main_process():
        for split in evaluation.splits:
            Console().print(render_record(run.require_record(), evaluation.scored_split(split)))


@app.command()
def compare(
    rows: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE_OR_FOLDER...",
            help="recipes, folders of recipes or of runs, finished runs; the first is the baseline",
        ),
    ],
    seeds: Seeds = "0",
    split: Split = "test",
    margin: Margin = None,
    notes: Notes = False,
    jobs: Jobs = 1,
    override: Settings = None,
    output: Annotated[Path, typer.Option(help="folder for CSV, JSON, Markdown, LaTeX and PNG files")] = Path(
        "comparison"
    ),
    published: Published = False,
    published_models: PublishedModels = None,
    published_settings: PublishedSettings = None,
    lmms_eval: LMMSEvalFiles = None,
    launcher: Launcher = "processes",
    launch: JobParameters = None,
) -> None:
    """Run what is missing of the recipes, print the table, and write it as CSV, JSON, Markdown, LaTeX and PNG.

    Rows of several tasks make a table each, and one of their averages over tasks.
    """
    from iglue_plugins.experiments import compare
    from iglue_plugins.experiments.launcher import Launch
    from iglue_plugins.published import PublishedFilter

    chosen = PublishedFilter.parse(published, published_models, published_settings)
    compare.compare(
        rows,
        compare.parse_seeds(seeds),
        split,
        Launch.parse(launcher, jobs, launch or []),
        override or [],
        output,
        chosen,
        lmms_eval or [],
        margin,
        notes,
    )


app.command()(predict.predict)
app.command()(push.push)
app.command()(sweep.sweep)
app.command()(advise.advise)
app.command()(report.report)
app.command()(slices.slices)
app.command()(score.score)
app.command("lmms-eval-tasks")(lmms_eval.lmms_eval_tasks)


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes, so that editors can complete them."""
    from iglue_plugins.recipes.schema import schema as recipe_schema

    print(json.dumps(recipe_schema(), indent=2))


@app.command("list")
def list_plugins() -> None:
    """List the trainers, tasks and models by name, those of other packages included."""
    from iglue_plugins import registry

    for kind in (registry.trainers, registry.tasks, registry.models):
        print(f"{kind.kind}s: {', '.join(kind.names())}")
        for name, reason in kind.broken.items():
            print(f"  {name} is broken: {reason}")


def _flush() -> None:
    """Write what is buffered; where that fails, keep the interpreter from trying it again at its end."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _with_home(option: re.Match[str]) -> str:
    return option[1] + os.path.expanduser(option[2])


def main() -> None:
    """Run the command line.

    An error that a user can act on ends with one sentence on standard error and exit code 2, Ctrl-C with exit code 130.
    What the terminal's encoding cannot show is replaced, so that a table is printed and its files are written.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    # A shell expands ~ at the start of a word only, and not in --output=~/folder.
    sys.argv = [re.sub(r"^(--[\w-]+=)(~(?:/.*)?)$", _with_home, argument) for argument in sys.argv]
    installs = any(argument.startswith("--install-completion") for argument in sys.argv)
    written = "the completion of the shell" if installs else "the output"
    try:
        with exit_on_user_error(), explain_write_errors(written, only_writes=installs):
            try:
                app(prog_name="iglue")  # also where it is started by `python -m`, for which no shell completes anything
            finally:
                _flush()
    except BrokenPipeError:  # who read the output has gone, as in `iglue list | head -1`
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            say("iglue: interrupted; the same command resumes")
        raise

"""What a run says on standard error where there is no terminal."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from iglue_plugins.experiments import launcher
from iglue_plugins.experiments.launcher import Launch
from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import evaluation, runner
from iglue_plugins.runs.folder import Run
from iglue_plugins.trainers.xvl_maml import MetaObjective
from iglue_plugins.utils import progress

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Gives a function that returns the lines since the last call."""
    return lambda: capfd.readouterr().err.splitlines()


def test_a_run_says_that_it_is_new_its_losses_its_scores_and_what_is_evaluated(
    recipe: MakeRecipe, said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = {"name": "xvl_maml", "steps": 4, "validate_every": 2, "log_every": 1}
    made = recipe({"trainer": trainer, "start_from": "model"})
    monkeypatch.setattr(evaluation, "LineClock", lambda: progress.LineClock(0.0))
    run = runner.run(made)
    first, validated, last, english, turkish = said()
    assert first == f"training recipe (seed 0): new: xvl_maml, {run.folder}"
    losses = r"loss -?\d+\.\d{3}, task_loss -?\d+\.\d{3}, contrastive_loss .*, \d+(\.\d)? examples/s"
    score = r"validation \d+\.\d \(best \d+\.\d at step [24]\)"
    assert re.fullmatch(rf"recipe \(seed 0\): step 2 of 4, {losses}, {score}, \d+ s left", validated), validated
    assert re.fullmatch(rf"recipe \(seed 0\): step 4 of 4, {losses}, {score}", last), last
    assert english == "recipe (seed 0): evaluated 1 of 2 languages: test/en; left: test/tr"
    assert turkish == "recipe (seed 0): evaluated 2 of 2 languages: test/en, test/tr; left: none"

    runner.run(made)
    assert said() == [f"recipe (seed 0): finished before, reused: {run.folder}"]
    runner.run(recipe({"trainer": trainer, "start_from": "model"}, "evaluation.languages=[en, de]"))
    assert (
        said()[0]
        == f"evaluating recipe (seed 0): trained before, 1 of 2 languages left to evaluate: xvl_maml, {run.folder}"
    )


def test_the_first_line_of_a_resumed_run_says_where_and_then_which_checkpoint_is_damaged(
    recipe: MakeRecipe, said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe({"trainer": "xvl_maml", "start_from": "model"})
    forward, calls = MetaObjective.forward, iter(range(1, 100))

    def failing(self: MetaObjective, *args: object, **kwargs: object) -> object:
        if next(calls) == 6:
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(MetaObjective, "forward", failing)
    with pytest.raises(KeyboardInterrupt):
        runner.run(made)
    (folder,) = made.runs.glob("recipe-*")
    (folder / "checkpoints" / "checkpoint-4" / "optimizer.pt").write_bytes(b"")
    said()
    run = runner.run(made)
    first, damaged, *others = said()
    assert first == f"training recipe (seed 0): resumed at step 2 of 6: xvl_maml, {run.folder}"
    assert damaged.startswith(f"{folder}/checkpoints/checkpoint-4: half-written or damaged")
    assert not any("resumed" in line for line in others)


def test_models_for_each_language_say_which_language_and_where_they_resume(
    few_shot_recipe: MakeRecipe, said: Callable[[], list[str]]
) -> None:
    runner.run(few_shot_recipe("evaluation.languages=[en, tr]"))
    said()
    run = runner.run(few_shot_recipe())
    lines = said()
    first, adapting, *lines = lines[next(i for i, line in enumerate(lines) if line.startswith("adapting ")) :]
    assert first == f"adapting few_shot (seed 0): resumed, 1 of 3 languages left to evaluate: few_shot, {run.folder}"
    assert adapting == f"few_shot (seed 0): adapting to de, language 1 of 1: {run.adapted_dir}/de"
    assert all(line.startswith(("few_shot (seed 0), de: step ", "few_shot (seed 0): evaluated 1")) for line in lines)


def test_runs_in_several_processes_say_whose_lines_they_are(
    recipe: MakeRecipe, said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    changes = {"task": "mini/xvnli", "trainer": {"name": "finetune", "steps": 1, "batch_size": 4}}
    rows = [recipe(changes, f"seed={seed}", "evaluation.languages=[en]") for seed in (0, 1)]
    folders = launcher.run_all(rows, Launch("processes", 2))
    lines = said()
    for seed in (0, 1):
        assert sum(line.startswith(f"recipe (seed {seed}): step 1 of 1, ") for line in lines) == 1
    assert all(Run(folder).is_finished for folder in folders)

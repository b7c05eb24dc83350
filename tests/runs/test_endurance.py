"""A run that is killed twenty times has the weights and scores of one that was not interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from iglue_plugins.recipes.recipe import Recipe
from iglue_plugins.runs import runner
from iglue_plugins.runs.folder import Run

SEEDS = range(200, 220)
LONGEST_LIFE = 50  # events; the whole run has some 400
# By the functions that are running; of several the first counts, since transformers has a save_model of its own.
PHASES = ("evaluate_model", "mark_finished", "_save_checkpoint", "save_model", "compute_loss")
# In which the first lives end, in the order in which the first stage comes to them; the other lives end anywhere.
FIRST_ENDS = ("compute_loss", "_save_checkpoint", "mark_finished", "save_model", "evaluate_model")
LIVES = """
import gc, itertools, json, random, torch, safetensors.torch, torch.utils.tensorboard
from iglue_plugins.evaluation import inference
from iglue_plugins.trainers.objectives import BatchObjective

def happens(half_written=None):
    if next(events) < last:
        return
    frame, names = sys._getframe(), []
    while frame := frame.f_back:
        names.append(frame.f_code.co_name)
    phase = next((phase for phase in phases if phase in names), "between")
    if wanted and phase != wanted:
        return
    print("killed in", phase)
    if half_written:
        with open(half_written, "r+b") as file:
            file.truncate(int(share * os.path.getsize(half_written)))
    os.kill(os.getpid(), signal.SIGKILL)

def before(owner, name):
    original = getattr(owner, name)
    def call(*args, **kwargs):
        happens()
        return original(*args, **kwargs)
    setattr(owner, name, call)

def within(owner, name):
    original = getattr(owner, name)
    def write(content, path, *args, **kwargs):
        original(content, path, *args, **kwargs)
        happens(half_written=path)
    setattr(owner, name, write)

def on_audit(event, args):
    path = str(args[0]) if args else ""
    if not path.startswith(runs) or "tensorboard" in path:  # which writes in a thread
        return
    if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir") or event == "open" and args[2] & os.O_WRONLY:
        happens()

def live():
    sys.addaudithook(on_audit)
    for owner, name in (
        (os, "fsync"), (MetaObjective, "forward"), (BatchObjective, "forward"), (inference, "all_reduce_sum")
    ):
        before(owner, name)
    within(torch, "save")
    within(safetensors.torch, "serialize_file")
    runner.run(load_recipe(recipe))

made = load_recipe(recipe)
plugins.load_model(made, None)
[plugins.make_task(made).load(split, language) for split in ("train", "dev", "test") for language in ("en", "tr")]
gc.freeze()
signals = []
for seed, wanted in itertools.zip_longest(seeds, first_ends):
    draw, events = random.Random(seed), itertools.count(1)
    last, share = draw.randint(1, longest), draw.random()
    if not (child := os.fork()):
        live()
        os._exit(0)
    signals.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(signals))
"""


def test_a_run_killed_twenty_times_ends_with_the_very_same_weights_and_scores(
    recipe: Callable[..., Recipe],
    start: Callable[..., BaseProcess],
    same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    """The run and the one that it starts from have dropout, validation and second order.

    A process is killed at its n-th event, n drawn from a seed, or, to have been in each phase, at the first event of a
    phase after that. An event is a step, a batch of predictions, or a file that is opened, renamed, removed, forced to
    the disk or half-written.
    """
    loop = {"save_every": 2, "validate_every": 3, "learning_rate": 1e-2}
    recipe({"trainer": {"name": "finetune", "steps": 10, "batch_size": 8, **loop}}, file="english")
    trainer = {"name": "xvl_maml", "steps": 12, "support_size": 4, "query_size": 4, "inner_lr": 0.05, **loop}
    made = recipe({"trainer": trainer, "start_from": "english.yaml"})
    names = {
        "seeds": list(SEEDS),
        "longest": LONGEST_LIFE,
        "phases": PHASES,
        "first_ends": FIRST_ENDS,
        "runs": str(made.runs),
    }
    start("".join(f"{name} = {value!r}\n" for name, value in names.items()) + LIVES).join(300)
    *said, signals = (tmp_path / "log").read_text().splitlines()
    assert json.loads(signals) == [-9] * len(SEEDS), said
    assert {f"killed in {phase}" for phase in PHASES} <= set(said)

    finished, uninterrupted = [made.runs, tmp_path / "uninterrupted"]
    same_run(runner.run(made), runner.run(made.model_copy(update={"runs": uninterrupted})))
    same_run(*(Run(next(runs.glob("english-*"))) for runs in (finished, uninterrupted)))

"""The optimizer, the schedule and the trackers that settings name, and how names that do not fit are refused."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from transformers.trainer_utils import SchedulerType
from transformers.training_args import OptimizerNames

from iglue_plugins.data.episodes import Steps
from iglue_plugins.recipes.recipe import load_recipe
from iglue_plugins.trainers import engine, precision
from iglue_plugins.trainers.settings.base import TrainerSettings
from iglue_plugins.trainers.settings.choices import UNSUITABLE, OptimizerName, ScheduleName, TrackerName
from iglue_plugins.utils.errors import UserError


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 2, bias=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.layer(x) - 1).pow(2).mean()}


STEPS = Steps(lambda step: {"x": torch.tensor([[1.0, step, -1.0]])}, 5)


def train(folder: Path, **settings: object) -> Tensor:
    toy = Toy()
    made = TrainerSettings(**{"steps": 5, "learning_rate": 0.05, "clip_norm": 0, "log_every": 1} | settings)
    engine.train(toy, STEPS, made, seed=0, folder=folder)
    return toy.layer.weight.detach()


def by_hand(optimizer: type[torch.optim.Optimizer], rates: list[float], **arguments: object) -> Tensor:
    toy = Toy()
    made = optimizer(toy.parameters(), **arguments)
    for step, rate in enumerate(rates):
        made.param_groups[0]["lr"] = rate
        made.zero_grad()
        toy(**STEPS[step])["loss"].backward()
        made.step()
    return toy.layer.weight.detach()


def rates(folder: Path) -> list[float]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [event.value for event in events.Scalars("train/learning_rate")]


# Names


def test_the_names_are_those_of_transformers() -> None:
    ours = {*get_args(OptimizerName), *get_args(ScheduleName), *get_args(TrackerName)}
    theirs = {name.value for kind in (OptimizerNames, SchedulerType) for name in kind} | set(INTEGRATION_TO_CALLBACK)
    assert ours | UNSUITABLE.keys() == theirs
    assert not ours & UNSUITABLE.keys()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim=adamw_torch_fuse", "trainer.optim: .*no such optimizer; did you mean 'adamw_torch_fused'?"),
        ("optim=schedule_free_adamw", "trainer.optim: .*because it evaluates other weights"),
        ("lr_scheduler=cosin", "trainer.lr_scheduler: .*no such schedule; did you mean 'cosine'?"),
        ("lr_scheduler=reduce_lr_on_plateau", "trainer.lr_scheduler: .*follows the scores of transformers'"),
        ("report_to=[wandbb]", "trainer.report_to.0: .*no such tracker; did you mean 'wandb'?"),
        ("adam_betas=[0.9, 1.0]", "trainer.adam_betas.1: .*less than 1"),
    ],
)
def test_a_recipe_with_a_wrong_name_says_so(override: str, message: str) -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "mini" / "xvnli" / "xvl_maml.yaml"
    with pytest.raises(UserError, match=message):
        load_recipe(recipe, [f"trainer.{override}"])
    load_recipe(recipe, ["trainer.optim=sgd", "trainer.optim_args={momentum: 0.9}", "trainer.report_to=[]"])


def test_a_recipe_of_xvl_maml_may_have_lists() -> None:
    recipe = Path(__file__).parents[2] / "recipes" / "mini" / "xvnli" / "xvl_maml.yaml"
    made = load_recipe(
        recipe, ["trainer.inner_steps=2", "trainer.inner_lr_factors=[1.0, 0.5]", "trainer.adapt=[head.*]"]
    )
    assert made.trainer.settings["inner_lr_factors"] == [1.0, 0.5]
    assert made.trainer.settings["adapt"] == ["head.*"]


def test_a_constant_schedule_takes_no_arguments() -> None:
    with pytest.raises(ValidationError, match="lr_scheduler_kwargs has power, but the schedule 'constant' takes no"):
        TrainerSettings(lr_scheduler="constant", lr_scheduler_kwargs={"power": 2})


# The optimizer


def test_the_defaults_are_adamw_with_a_linear_schedule(tmp_path: Path) -> None:
    falling = [0.05 * share for share in (1, 0.8, 0.6, 0.4, 0.2)]
    adamw = {"betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 1e-4, "fused": True}
    assert torch.equal(train(tmp_path / "one", warmup=0), by_hand(torch.optim.AdamW, falling, **adamw))
    changed = train(tmp_path / "two", warmup=0, adam_betas=(0.5, 0.9), adam_epsilon=1e-2)
    by = by_hand(torch.optim.AdamW, falling, **adamw | {"betas": (0.5, 0.9), "eps": 1e-2})
    assert torch.equal(changed, by)


def test_another_optimizer_with_its_arguments(tmp_path: Path) -> None:
    settings = {"optim": "sgd", "weight_decay": 0, "lr_scheduler": "constant"}
    found = train(tmp_path / "momentum", optim_args={"momentum": 0.9, "nesterov": True}, **settings)
    assert torch.equal(found, by_hand(torch.optim.SGD, [0.05] * 5, momentum=0.9, nesterov=True))
    assert torch.equal(train(tmp_path / "plain", **settings), by_hand(torch.optim.SGD, [0.05] * 5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optim": "grokadamw"}, r"trainer.optim: .*'grokadamw' cannot be used here \(Please install grokadamw"),
        ({"optim": "lion_8bit"}, r"trainer.optim: .*'lion_8bit' cannot be used here \(.*install `bitsandbytes`"),
        ({"optim": "sgd", "optim_args": {"momentm": 0.9}}, "momentm: 0.9 has no effect .* did you mean 'momentum'"),
        ({"optim": "sgd", "optim_args": {"weight_decay": 1}}, "weight_decay: 1 has no effect on the optimizer 'sgd'"),
        ({"lr_scheduler": "warmup_stable_decay"}, r"'warmup_stable_decay' cannot be made with {} \(.*num_decay_steps"),
        ({"lr_scheduler_kwargs": {"power": 2}}, r"'linear' cannot be made with {'power': 2} \("),
        ({"report_to": ("tensorboard", "neptune")}, "trainer.report_to: neptune cannot be used here"),
    ],
)
def test_what_cannot_be_used_here_is_said_before_the_first_step(
    settings: dict, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "forward", lambda self, x: pytest.fail("a step was taken"))
    with pytest.raises(UserError, match=message):
        train(tmp_path, **settings)


# The schedule


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lr_scheduler": "constant", "warmup": 0.4}, [1, 1, 1, 1, 1]),
        ({"lr_scheduler": "constant_with_warmup", "warmup": 0.4}, [0, 0.5, 1, 1, 1]),
        ({"lr_scheduler": "cosine", "warmup": 0}, [1, 0.9045, 0.6545, 0.3455, 0.0955]),
        (
            {"lr_scheduler": "polynomial", "lr_scheduler_kwargs": {"power": 2, "lr_end": 0}, "warmup": 0},
            [1, 0.64, 0.36, 0.16, 0.04],
        ),
        (
            {"lr_scheduler": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.5}, "warmup": 0},
            [1, 0.9523, 0.8273, 0.6727, 0.5477],
        ),
    ],
    ids=lambda value: value["lr_scheduler"] if isinstance(value, dict) else "",
)
def test_the_learning_rate_follows_the_schedule(settings: dict, expected: list[float], tmp_path: Path) -> None:
    train(tmp_path, **settings)
    assert [rate / 0.05 for rate in rates(tmp_path)] == pytest.approx(expected, abs=1e-4)


def test_a_run_with_another_optimizer_and_schedule_resumes_to_the_same_weights(tmp_path: Path) -> None:
    settings = {"optim": "sgd", "optim_args": {"momentum": 0.9}, "lr_scheduler": "cosine", "save_every": 2}
    expected = train(tmp_path / "whole", **settings)
    train(tmp_path / "stopped", **settings)
    (tmp_path / "stopped" / "checkpoints" / "checkpoint-5" / ".finished").unlink()
    assert torch.equal(train(tmp_path / "stopped", **settings), expected)


# Trackers and precision


def test_losses_go_to_no_tracker_where_none_is_named(tmp_path: Path) -> None:
    train(tmp_path, report_to=())
    assert not (tmp_path / "tensorboard").exists()


def test_auto_is_the_precision_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # of the suite's processor without bfloat16
    for has_gpu, emulates, multiplies, instructions, expected in (
        (False, True, False, {}, "float32"),
        (False, True, False, {"avx512_f": True, "avx512_bf16": False}, "float32"),
        (False, True, False, {"avx512_bf16": True}, "bfloat16"),
        (False, True, False, {"amx_bf16": True}, "bfloat16"),
        (False, True, False, {"bf16": True, "sve": False}, "bfloat16"),
        (True, True, False, {"amx_bf16": True}, "float32"),
        (True, True, True, {}, "bfloat16"),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has=has_gpu: has)
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True, one=emulates, other=multiplies: one if including_emulation else other,
        )
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=instructions: has)
        assert precision.resolved_precision("auto") == expected
        assert precision.resolved_precision("float32") == "float32"
        assert precision.resolved_precision("bfloat16") == "bfloat16"

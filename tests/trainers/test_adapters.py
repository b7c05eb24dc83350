"""Training with an adapter: meta-gradients against plain autograd, and what is trained, stored and left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from meta_gradients import assert_equal_gradients, meta_gradient, unrolled
from safetensors.torch import load_file
from torch import Tensor

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.adapters import add_adapter, is_of_adapter
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.recipes.adapter import AdapterSettings
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers import checkpoints
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.inner_parameters import adapted_parameters
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

HEADS = {"head", "contrastive"}


@pytest.fixture
def make_adapted(make_model: Callable[..., XUniterForVisionAndLanguage]) -> Callable[..., XUniterForVisionAndLanguage]:
    """Gives a function that makes a tiny model whose adapter has an effect, as neither of its matrices is 0."""

    def make(dropout: float = 0.0, scale: float = 0.3) -> XUniterForVisionAndLanguage:
        model = make_model(dropout=dropout)
        add_adapter(model, AdapterSettings(type="lora", r=2, dropout=dropout))
        with torch.no_grad():
            for name, value in model.named_parameters():
                if is_of_adapter(name):
                    value.normal_(std=scale)
        return model

    return make


@pytest.fixture
def batches(task: Task, tokenizer: object) -> list[dict]:
    """Two episodes, with 5 examples of support and 4 of query."""
    processor = RegionProcessor(tokenizer)
    batchers = {lang: Batcher(task.load("auxiliary", lang), task, processor) for lang in ("tr", "de")}
    rows = np.arange(9)
    return [
        {"language": lang, "support": batcher.batch(rows[:5]), "query": batcher.batch(rows[5:])}
        for lang, batcher in batchers.items()
    ]


def double(episodes: list[dict]) -> list[dict]:
    def doubled(batch: Batch) -> Batch:
        return batch.map_inputs(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    return [episode | {part: doubled(episode[part]) for part in ("support", "query")} for episode in episodes]


def both_gradients(objective: MetaObjective, episodes: list[dict]) -> list[tuple[Tensor, dict]]:
    found = []
    for gradient_of in (meta_gradient, unrolled):
        torch.manual_seed(3)  # the same noise
        found.append(gradient_of(objective, episodes))
    return found


@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("first_order", [True, False])
def test_the_meta_gradient_agrees_with_autograd(
    make_adapted: Callable, meta: Callable, batches: list[dict], inner_steps: int, dropout: float, first_order: bool
) -> None:
    model = make_adapted(dropout).double().train()
    objective = meta(model, inner_steps=inner_steps, first_order=first_order, inner_loss="both")
    (loss, found), (same_loss, expected) = both_gradients(objective, double(batches))
    torch.testing.assert_close(loss, same_loss, rtol=1e-12, atol=0)
    assert_equal_gradients(found, expected, tolerance=1e-8)
    reached = {name for name, value in found.items() if value is not None}
    assert reached == {f"batch_loss.model.{name}" for name, value in model.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("storage", ["parameters", "start"])
def test_every_storage_of_the_inner_steps_gives_the_gradient(
    make_adapted: Callable, meta: Callable, batches: list[dict], storage: str
) -> None:
    objective = meta(make_adapted(0.1).double().train(), inner_steps=2, inner_storage=storage)
    (_, found), (_, expected) = both_gradients(objective, double(batches))
    assert_equal_gradients(found, expected, tolerance=1e-8)


@pytest.mark.parametrize("adapt", ["encoder", "heads", ("*.lora_B.*",), ("encoder.layers.1.*", "contrastive.text.*")])
def test_the_inner_loop_moves_what_adapt_says(
    make_adapted: Callable, meta: Callable, batches: list[dict], adapt: str | tuple[str, ...]
) -> None:
    model = make_adapted().double()
    objective = meta(model, adapt=adapt, inner_loss="both", learned_rates="parameter")
    names = adapted_parameters(model, adapt)
    assert list(objective.inner_rates.by_step()[0]) == names
    trained = {name: value.requires_grad for name, value in model.named_parameters()}
    assert names and all(trained[name] for name in names)
    if isinstance(adapt, str):
        assert all((name.partition(".")[0] in HEADS) == (adapt == "heads") for name in names)
    (_, found), (_, expected) = both_gradients(objective, double(batches))
    del found["inner_rates.factors.logarithms"], expected["inner_rates.factors.logarithms"]
    assert_equal_gradients(found, expected, tolerance=1e-8)


def test_a_pattern_of_frozen_weights_is_refused(make_adapted: Callable) -> None:
    with pytest.raises(UserError, match=r"'\*.base_layer.\*' matches no parameter of the model that is trained; use .*"
                       r"such as 'encoder.region_embeddings.image_embeddings.lora_A.default.weight'"):  # fmt: skip
        adapted_parameters(make_adapted(), ("*.base_layer.*",))


@pytest.mark.parametrize("first_order", [True, False])
def test_gradient_checkpointing_changes_no_gradient(
    make_adapted: Callable, meta: Callable, batches: list[dict], first_order: bool
) -> None:
    gradients = []
    for is_on in (False, True):
        model = make_adapted(0.1).double().train()
        if is_on:
            model.activation_checkpointing_enable()
        torch.manual_seed(3)
        gradients.append(meta_gradient(meta(model, inner_steps=2, first_order=first_order), double(batches))[1])
    assert_equal_gradients(*gradients, tolerance=1e-12)


@pytest.mark.parametrize("first_order", [True, False])
def test_bfloat16_autocast(make_adapted: Callable, meta: Callable, batches: list[dict], first_order: bool) -> None:
    objective = meta(make_adapted(scale=0.1).train(), inner_steps=2, first_order=first_order)

    def flat() -> Tensor:
        values = [value for value in meta_gradient(objective, batches)[1].values() if value is not None]
        assert all(value.dtype == torch.float32 for value in values)
        return torch.cat([value.flatten() for value in values])

    expected = flat()
    with torch.autocast("cpu", torch.bfloat16):
        found = flat()
    assert 0 < (found - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("trainer", [
    Finetune(Finetune.Settings(steps=3, batch_size=8, learning_rate=1e-2, validate_every=1, save_every=1)),
    XVLMAML(XVLMAML.Settings(
        steps=3, support_size=4, query_size=4, learning_rate=1e-2, validate_every=1, save_every=1,
        learned_temperature=True,
    )),
])  # fmt: skip
def test_training_stores_and_changes_what_is_trained_alone(
    trainer: Finetune | XVLMAML, make_adapted: Callable, task: Task, tokenizer: object, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stored: list[set[str]] = []
    finished = checkpoints.mark_finished

    def recorded(checkpoint: Path) -> None:
        best = next((checkpoint.parent / "best").glob("*.safetensors"))
        stored.extend(set(load_file(file)) for file in (checkpoint / "model.safetensors", best))
        moments = torch.load(checkpoint / "optimizer.pt", weights_only=True)["state"]
        assert sum(state["exp_avg"].numel() for state in moments.values()) < 10_000
        finished(checkpoint)

    monkeypatch.setattr(checkpoints, "mark_finished", recorded)
    model = make_adapted(0.1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    languages = ("tr", "de")
    trainer.fit(model, RegionProcessor(tokenizer), task, auxiliary_languages=languages, seed=2, folder=tmp_path)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert any(map(is_of_adapter, trained))
    changed = {name for name, value in model.state_dict().items() if name in before and not value.equal(before[name])}
    assert changed <= trained and any(map(is_of_adapter, changed))
    prefixed = {f"batch_loss.model.{name}" for name in trained}
    assert stored and all(names - {"batch_loss.temperature_factor.logarithms"} == prefixed for names in stored)

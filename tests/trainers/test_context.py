"""CAVIA: meta-gradients against plain autograd on a model without a context, training, and adaptation at test time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from meta_gradients import Grads, assert_equal_gradients, meta_gradient
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.data.episodes import ShuffledExamples
from iglue_plugins.data.processors.regions import RegionProcessor
from iglue_plugins.models.context import Context, ContextModel, find_context
from iglue_plugins.models.uniter import XUniterForVisionAndLanguage
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.contrastive_adaptation import ContrastiveAdaptation
from iglue_plugins.trainers.contrastive_loss import contrastive_loss
from iglue_plugins.trainers.finetune import Finetune
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.trainers.xvl_maml import XVLMAML
from iglue_plugins.utils.errors import UserError

LOSSES = ("task", "contrastive", "both")
MATRIX = "model.encoder.text_embeddings.context.weight"
WORDS = "model.encoder.text_embeddings.word_embeddings.weight"
MakeMeta = Callable[..., MetaObjective]
MakeModel = Callable[..., XUniterForVisionAndLanguage]
RATE = 5.0
SETTINGS = {"context_size": 3, "inner_lr": RATE}


@pytest.fixture
def cavia(meta: MakeMeta, model: XUniterForVisionAndLanguage) -> MakeMeta:
    def make(**settings: object) -> MetaObjective:
        model.set_context(3)
        return meta(**SETTINGS | settings)

    return make


def context_of(model: XUniterForVisionAndLanguage) -> Context:
    found = find_context(model)
    assert found is not None
    return found[1]


def reference(
    objective: MetaObjective, plain: BatchLoss, episodes: list[dict], weights: tuple[float, ...]
) -> tuple[Tensor, Grads, list[Tensor]]:
    """The outer loss, its gradient and the contexts, on a model whose matrix of word embeddings is shifted by W c."""
    settings = objective._settings
    theta = {name: value for name, value in objective.batch_loss.named_parameters() if name != MATRIX}
    matrix = objective.batch_loss.get_parameter(MATRIX)
    total, contexts = torch.zeros(()), []

    def loss(context: Tensor, batch: object, choice: str) -> Tensor:
        return functional_call(plain, {**theta, WORDS: theta[WORDS] + matrix @ context}, (batch, choice))["loss"]

    with sdpa_kernel(SDPBackend.MATH):
        for episode in episodes:
            context = torch.zeros(3, dtype=torch.float64, requires_grad=True)
            for rates, weight in zip(objective.inner_rates.by_step(), weights, strict=True):
                inner = loss(context, episode["support"], settings.inner_loss)
                (slope,) = torch.autograd.grad(inner, context, create_graph=True)
                slope = slope.detach() if settings.algorithm == "fomaml" else slope
                context = context - next(iter(rates.values())) * slope
                if weight:
                    total = total + weight * loss(context, episode["query"], settings.outer_loss)
            contexts.append(context.detach())
    leaves = {**theta, MATRIX: matrix}
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return total.detach(), {f"batch_loss.{name}": value for name, value in zip(leaves, found, strict=True)}, contexts


@pytest.fixture
def expected(make_model: MakeModel, task: Task) -> Callable[..., tuple[Tensor, Grads, list[Tensor]]]:
    def compute(objective: MetaObjective, episodes: list[dict], weights: tuple[float, ...] = (1.0,)) -> tuple:
        plain = BatchLoss(make_model().double(), task, objective._settings)
        return reference(objective, plain, episodes, weights)

    return compute


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(LOSSES, LOSSES)))
@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
def test_every_pair_of_losses_agrees_with_autograd(
    cavia: MakeMeta, expected: Callable, episodes: list[dict], inner: str, outer: str, algorithm: str
) -> None:
    objective = cavia(inner_loss=inner, outer_loss=outer, algorithm=algorithm)
    found, (loss, gradient, contexts) = meta_gradient(objective, episodes), expected(objective, episodes)
    torch.testing.assert_close(found[0], loss, rtol=1e-12, atol=0)
    assert_equal_gradients(found[1], gradient)
    assert all(context.norm() > 0.01 for context in contexts) and found[1][f"batch_loss.{MATRIX}"].norm() > 1e-4
    assert not context_of(objective.batch_loss.model).values.any()  # each episode begins at zero, and so does testing


@pytest.mark.parametrize("storage", ["graphs", "parameters", "start"])
def test_several_steps_agree_with_autograd_in_every_storage(
    cavia: MakeMeta, expected: Callable, episodes: list[dict], storage: str
) -> None:
    objective = cavia(inner_steps=3, inner_storage=storage, inner_lr_factors=(1.0, 0.5, 2.0), inner_loss="both")
    found, (loss, gradient, _) = meta_gradient(objective, episodes), expected(objective, episodes, (0.0, 0.0, 1.0))
    torch.testing.assert_close(found[0], loss, rtol=1e-12, atol=0)
    assert_equal_gradients(found[1], gradient)


def test_the_multi_step_loss_agrees_with_autograd(cavia: MakeMeta, expected: Callable, episodes: list[dict]) -> None:
    objective = cavia(inner_steps=3, multi_step=10)
    gradient = expected(objective, episodes, (1 / 3, 1 / 3, 1 / 3))[1]
    assert_equal_gradients(meta_gradient(objective, episodes)[1], gradient)


def test_a_learned_rate_of_the_context(cavia: MakeMeta, episodes: list[dict]) -> None:
    """Its gradient is the slope of the outer loss in the logarithm of the rate."""
    found = meta_gradient(cavia(learned_rates="layer"), episodes)[1]["inner_rates.factors.logarithms"]
    step = 1e-4
    losses = [meta_gradient(cavia(inner_lr=RATE * (1 + sign * step)), episodes)[0] for sign in (1, -1)]
    torch.testing.assert_close(found.double(), ((losses[0] - losses[1]) / (2 * step))[None], rtol=1e-5, atol=0)


def test_without_a_gradient_the_loss_is_that_of_the_adapted_context(
    cavia: MakeMeta, expected: Callable, episodes: list[dict]
) -> None:
    objective = cavia()
    with torch.no_grad():
        loss = objective(episodes)["loss"]
    torch.testing.assert_close(loss, expected(objective, episodes)[0], rtol=1e-12, atol=0)


# Training


def test_training_learns_the_matrix_and_a_resumed_one_ends_in_the_same_weights(
    fit: Callable[..., dict[str, Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"support_size": 4, "query_size": 4, "save_every": 2, "learning_rate": 1e-2, "steps": 6}
    trainer = XVLMAML(XVLMAMLSettings(**SETTINGS | sizes))
    expected, name = fit(trainer, "uninterrupted"), MATRIX.removeprefix("model.")
    forward, calls = MetaObjective.forward, []

    def fails(self: MetaObjective, *args: object, **kwargs: object) -> dict[str, Tensor]:
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("the power fails")
        return forward(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MetaObjective, "forward", fails)
        with pytest.raises(RuntimeError, match="the power fails"):
            fit(trainer, "interrupted")
    assert (tmp_path / "interrupted" / "checkpoints" / "checkpoint-4").is_dir()
    found = fit(trainer, "interrupted")
    assert expected.keys() == found.keys() and all(found[key].equal(value) for key, value in expected.items())
    other = fit(XVLMAML(XVLMAMLSettings(**SETTINGS | sizes | {"steps": 1})), "other")
    assert found[name].shape == (16, 3) and (found[name] - other[name]).abs().max() > 1e-3


def test_other_trainers_leave_a_context_as_it_is(
    make_model: MakeModel, task: Task, processor: RegionProcessor, tmp_path: Path
) -> None:
    model = make_model(dropout=0.1)
    model.set_context(3)
    before = context_of(model).weight.detach().clone()
    settings = Finetune.Settings(steps=3, batch_size=4, learning_rate=1e-2, weight_decay=0.5, loss="both")
    Finetune(settings).fit(model, processor, task, folder=tmp_path)
    assert context_of(model).weight.equal(before) and not context_of(model).values.any()


def test_a_model_that_takes_no_context_is_refused(
    make_model: MakeModel, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, message = XVLMAML(XVLMAMLSettings(**SETTINGS)), "context_size is 3, but a XUniter.* takes no context; set"
    with pytest.raises(UserError, match=message):
        MetaObjective(BatchLoss(make_model(), task, trainer.settings), trainer.settings)
    monkeypatch.delattr(ContextModel, "set_context")
    with pytest.raises(UserError, match=message):
        trainer.objective(make_model(), task)


def test_a_frozen_context_of_another_size_is_refused(make_model: MakeModel, task: Task) -> None:
    model = make_model()
    model.set_context(4)
    context_of(model).weight.requires_grad_(False)
    with pytest.raises(UserError, match="context_size is 3, but the model has a frozen context of 4; set it to 4"):
        XVLMAML(XVLMAMLSettings(**SETTINGS)).objective(model, task)
    XVLMAML(XVLMAMLSettings(**SETTINGS | {"context_size": 4})).objective(model, task)
    assert not context_of(model).weight.requires_grad


def test_an_inner_loss_that_does_not_see_the_context_is_refused(
    cavia: MakeMeta, model: XUniterForVisionAndLanguage, episodes: list[dict]
) -> None:
    objective = cavia()
    embeddings = model.encoder.text_embeddings
    embeddings.context.forward = lambda embedded: embedded
    with pytest.raises(UserError, match="context_size is 3, but the inner loss 'contrastive' does not depend on the"):
        objective(episodes)


# At test time


def test_at_test_time_the_context_alone_adapts(
    make_model: MakeModel, task: Task, processor: RegionProcessor, tmp_path: Path
) -> None:
    def load() -> tuple[XUniterForVisionAndLanguage, RegionProcessor]:
        model = make_model(dropout=0.1)
        model.set_context(3)
        return model.eval(), processor

    settings = ContrastiveAdaptation.Settings(inner_lr=RATE, inner_steps=2, support_size=4, split="auxiliary")
    adapted = ContrastiveAdaptation(settings).adapt(load, task, "tr", source_languages=("en",), seed=3, folder=tmp_path)
    before, plain = load()[0], make_model().eval()
    assert all(value.equal(before.get_parameter(name)) for name, value in adapted.model.named_parameters())
    matrix, context = context_of(before).weight.detach(), torch.zeros(3, requires_grad=True)
    examples = ShuffledExamples(Batcher(task.load("auxiliary", "tr"), task, processor), 4, (3,))
    words = plain.get_input_embeddings()
    start = words.weight.detach().clone()
    for step in range(2):
        batch = examples.split_batches(step)[0]
        with torch.no_grad():
            words.weight.copy_(start + matrix @ context)
        words.weight.grad = None
        contrastive_loss(plain.embed_text(**batch.text), plain.embed_image(**batch.image), 0.07).backward()
        context = (context - RATE * matrix.T @ words.weight.grad.sum(0)).detach()
    found = context_of(adapted.model).values
    assert found.norm() > 0.05 and not found.requires_grad
    torch.testing.assert_close(found, context, rtol=1e-4, atol=1e-5)

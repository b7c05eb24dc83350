"""The meta-gradient of a model: against plain autograd over all parameters, finite differences and a loop by hand."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batch, Batcher
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.learned import LOG_LR_MULTIPLIER
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.trainers.objectives import BatchLoss
from iglue_plugins.trainers.settings.xvl_maml import XVLMAMLSettings
from iglue_plugins.utils.errors import UserError

LOSSES = ("task", "contrastive", "both")
ATTENTION = "batch_loss.model.encoder.layers.0.query_key_value.weight"
WORDS = "batch_loss.model.encoder.text_embeddings.word_embeddings.weight"
Grads = dict[str, Tensor | None]
MakeMeta = Callable[..., MetaObjective]


@pytest.fixture
def model(make_model: Callable[..., PreTrainedModel]) -> PreTrainedModel:
    return make_model().double()


@pytest.fixture
def episodes(batchers: dict[str, Batcher], doubled: Callable[[Batch], Batch]) -> list[dict]:
    """Turkish and German, with 5 examples of support and 4 of query."""
    rows = np.arange(9)
    return [
        {
            "language": language,
            "support": doubled(batcher.batch(rows[:5] + shift)),
            "query": doubled(batcher.batch(rows[5:] + shift)),
        }
        for shift, (language, batcher) in enumerate(batchers.items())
    ]


@pytest.fixture
def meta(task: Task, model: PreTrainedModel) -> MakeMeta:
    """The objective over `model` with these settings; the inner steps are long, so that curvature counts."""

    def make(of: PreTrainedModel | None = None, **settings: object) -> MetaObjective:
        made = XVLMAMLSettings(**{"inner_lr": 0.05, "temperature": 0.5} | settings)
        return MetaObjective(BatchLoss(of or model, task, made), made)

    return make


def gradients(objective: nn.Module, loss: Tensor) -> Grads:
    names, parameters = zip(*objective.named_parameters(), strict=True)
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    found = iter(torch.autograd.grad(loss, trained, allow_unused=True))
    return {name: next(found) if value.requires_grad else None for name, value in zip(names, parameters, strict=True)}


def meta_gradient(objective: MetaObjective, episodes: list[dict]) -> tuple[Tensor, Grads]:
    loss = objective(episodes)["loss"]
    return loss.detach(), gradients(objective, loss)


def assert_equal_gradients(found: Grads, expected: Grads, tolerance: float = 1e-10) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert (gradient is None) == (expected[name] is None), name
        if gradient is not None:
            torch.testing.assert_close(
                gradient, expected[name], rtol=tolerance, atol=tolerance, msg=lambda text, name=name: f"{name}: {text}"
            )


def unrolled(objective: MetaObjective, episodes: list[dict]) -> tuple[Tensor, Grads]:
    """The meta-gradient by one backward through everything: functional_call over all parameters, whole matrices."""
    settings, losses = objective._settings, objective.batch_loss
    trained = {name: value for name, value in losses.named_parameters() if value.requires_grad}
    total = torch.zeros(())
    with sdpa_kernel(SDPBackend.MATH):
        for episode in episodes:
            theta = dict(trained)
            for of_step in objective.inner_rates.by_step():
                rates = {f"model.{name}": rate for name, rate in of_step.items()}
                loss = functional_call(losses, theta, (episode["support"], settings.inner_loss))["loss"]
                names = [name for name in theta if name in rates]
                slopes = torch.autograd.grad(
                    loss, [theta[name] for name in names], allow_unused=True, create_graph=not settings.first_order
                )
                theta |= {
                    name: theta[name] - rates[name] * slope
                    for name, slope in zip(names, slopes, strict=True)
                    if slope is not None
                }
            total = total + functional_call(losses, theta, (episode["query"], settings.outer_loss))["loss"]
    return total.detach(), gradients(objective, total)


# Against plain autograd over all parameters


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(LOSSES, LOSSES)))
@pytest.mark.parametrize("first_order", [True, False])
def test_every_pair_of_losses(meta: MakeMeta, episodes: list[dict], inner: str, outer: str, first_order: bool) -> None:
    objective = meta(inner_loss=inner, outer_loss=outer, first_order=first_order)
    found, expected = meta_gradient(objective, episodes), unrolled(objective, episodes)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=0)
    assert_equal_gradients(found[1], expected[1])


@pytest.mark.parametrize("inner_steps", [2, 3])
@pytest.mark.parametrize("storage", ["graphs", "parameters", "start"])
def test_several_steps_however_they_are_stored(
    meta: MakeMeta, episodes: list[dict], inner_steps: int, storage: str
) -> None:
    factors = (1.0, 0.5, 2.0)[:inner_steps]
    objective = meta(inner_steps=inner_steps, inner_storage=storage, inner_lr_factors=factors, inner_loss="both")
    assert_equal_gradients(meta_gradient(objective, episodes)[1], unrolled(objective, episodes)[1])


@pytest.mark.parametrize("storage", ["parameters", "start"])
def test_the_storage_does_not_change_a_bit_of_a_noisy_models_gradient(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, batchers: dict[str, Batcher], storage: str
) -> None:
    batch = batchers["tr"].batch
    episodes = [{"language": "tr", "support": batch(range(4)), "query": batch(range(4, 8))}]

    def run(storage: str) -> tuple[Tensor, Grads]:
        torch.manual_seed(3)
        return meta_gradient(meta(noisy, inner_steps=3, inner_storage=storage), episodes)

    noisy = make_model(dropout=0.1).train()
    (loss, expected), (same_loss, found) = run("graphs"), run(storage)
    assert torch.equal(loss, same_loss)
    assert_equal_gradients(found, expected, 0)
    assert all(value.isfinite().all() for value in found.values())


@pytest.mark.parametrize("first_order", [True, False])
def test_dropout_is_drawn_in_the_order_of_a_plain_loop(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, episodes: list[dict], first_order: bool
) -> None:
    objective = meta(make_model(dropout=0.1).double().train(), inner_steps=2, first_order=first_order)
    results = []
    for gradient_of in (meta_gradient, unrolled):
        torch.manual_seed(3)
        results.append(gradient_of(objective, episodes))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-12, atol=0)
    assert_equal_gradients(results[0][1], results[1][1])


def test_a_shared_weight_counts_once(meta: MakeMeta, model: PreTrainedModel, episodes: list[dict]) -> None:
    first, second = model.encoder.layers
    second.intermediate.weight = first.intermediate.weight
    model.contrastive.text.bias = model.contrastive.image.bias
    objective = meta(inner_steps=2)
    found = meta_gradient(objective, episodes)[1]
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert "batch_loss.model.encoder.layers.1.intermediate.weight" not in found
    assert_slope(objective, episodes, found)


@pytest.mark.parametrize("first_order", [True, False])
def test_frozen_parameters_are_neither_adapted_nor_trained(
    meta: MakeMeta, episodes: list[dict], first_order: bool
) -> None:
    objective = meta(first_order=first_order)
    all_trained = meta_gradient(objective, episodes)[0]
    for name, parameter in objective.named_parameters():
        parameter.requires_grad_("embeddings" not in name)
    loss, found = meta_gradient(objective, episodes)
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert {name for name, value in found.items() if value is None} == {name for name in found if "embeddings" in name}
    assert abs(loss - all_trained) > 1e-4  # the embeddings would have made a difference


# Against finite differences


def assert_slope(objective: MetaObjective, episodes: list[dict], found: Grads) -> None:
    """The gradient's slope along itself and a random direction is that of the loss, to 1e-8."""
    parameters = {name: value for name, value in objective.named_parameters() if found[name] is not None}
    draw = torch.Generator().manual_seed(1)
    random = {name: torch.randn(value.shape, generator=draw, dtype=torch.float64) for name, value in parameters.items()}
    towards = {name: found[name] / norm(found.values()) + random[name] / norm(random.values()) for name in parameters}
    slope = sum((found[name] * towards[name]).sum() for name in parameters)

    @torch.no_grad()
    def loss_at(distance: float) -> float:
        for name, value in parameters.items():
            value.add_(towards[name], alpha=distance)
        loss = objective(episodes)["loss"].item()
        for name, value in parameters.items():
            value.sub_(towards[name], alpha=distance)
        return loss

    step = 5e-6  # short enough to meet no kink of a ReLU
    near, far = (loss_at(factor * step) - loss_at(-factor * step) for factor in (1, 2))
    assert slope.item() == pytest.approx((8 * near - far) / (12 * step), rel=1e-8)


def norm(values: object) -> float:
    return sum(value.square().sum().item() for value in values if value is not None) ** 0.5


@pytest.mark.parametrize(("inner", "outer"), list(itertools.product(LOSSES, LOSSES)))
def test_meta_gradient_equals_finite_differences(meta: MakeMeta, episodes: list[dict], inner: str, outer: str) -> None:
    objective = meta(inner_loss=inner, outer_loss=outer)
    assert_slope(objective, episodes, meta_gradient(objective, episodes)[1])


@pytest.mark.parametrize("inner_steps", [2, 3])
def test_finite_differences_of_several_steps(meta: MakeMeta, episodes: list[dict], inner_steps: int) -> None:
    objective = meta(inner_steps=inner_steps)
    assert_slope(objective, episodes, meta_gradient(objective, episodes)[1])


# First order


def written_out(objective: MetaObjective, episode: dict) -> tuple[Tensor, Grads]:
    """Inner steps of plain SGD on a copy of the model; the outer loss there, and its gradient by theta'."""
    settings, copied = objective._settings, copy.deepcopy(objective.batch_loss)
    for _ in range(settings.inner_steps):
        loss = copied(episode["support"], settings.inner_loss)["loss"]
        slopes = torch.autograd.grad(loss, list(copied.parameters()), allow_unused=True)
        with torch.no_grad():
            for parameter, slope in zip(copied.parameters(), slopes, strict=True):
                if slope is not None:
                    parameter -= settings.inner_lr * slope
    loss = copied(episode["query"], settings.outer_loss)["loss"]
    loss.backward()
    return loss.detach(), {f"batch_loss.{name}": parameter.grad for name, parameter in copied.named_parameters()}


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_first_order_is_the_gradient_at_the_adapted_parameters(
    meta: MakeMeta, episodes: list[dict], inner_steps: int
) -> None:
    settings = {"inner_steps": inner_steps, "inner_loss": "both"}
    loss, found = meta_gradient(meta(**settings, first_order=True), episodes[:1])
    expected_loss, expected = written_out(meta(**settings), episodes[0])
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
    assert_equal_gradients(found, expected)
    exact = meta_gradient(meta(**settings), episodes[:1])[1]
    assert (exact[ATTENTION] - found[ATTENTION]).norm() > 0.01 * found[ATTENTION].norm()  # there is curvature to drop


def test_a_contrastive_inner_loop_leaves_the_head_to_the_outer_one(meta: MakeMeta, episodes: list[dict]) -> None:
    """The head's meta-gradient has no second-order part: it is the plain gradient at theta'."""
    objective = meta(outer_loss="task", inner_steps=2)
    found, expected = meta_gradient(objective, episodes[:1])[1], written_out(objective, episodes[0])[1]
    heads = [name for name in found if ".head." in name]
    assert len(heads) == 6
    assert_equal_gradients({name: found[name] for name in heads}, {name: expected[name] for name in heads})


# Own rows


@pytest.mark.parametrize("first_order", [True, False])
def test_own_rows_are_exact_and_the_other_rows_gradients_zero(
    meta: MakeMeta, model: PreTrainedModel, episodes: list[dict], first_order: bool
) -> None:
    objective = meta(inner_steps=2, first_order=first_order)
    sizes = []
    model.encoder.text_embeddings.register_forward_hook(
        lambda module, *_: sizes.append(len(module.word_embeddings.weight))
    )
    results = []
    for model.supports_token_id_remapping in (False, True):
        results.append(meta_gradient(objective, episodes))
    own = {
        row
        for episode in episodes
        for part in ("support", "query")
        for key in ("input_ids", "caption_input_ids")
        for row in episode[part][key].flatten().tolist()
    }
    assert set(sizes) == {model.config.vocab_size, len(own)}
    assert torch.equal(results[0][0], results[1][0])
    assert_equal_gradients(results[0][1], results[1][1], 1e-12)
    words = results[1][1][WORDS]
    assert words.shape == (model.config.vocab_size, 16)
    touched = set(words.any(1).nonzero().flatten().tolist())
    assert len(touched) > 10
    assert touched < own  # a padding's row has no gradient, nor has a text that no loss reads


# Settings of the inner loop


@pytest.mark.parametrize(
    ("settings", "adapted"),
    [
        ({"adapt": "encoder"}, "encoder."),
        ({"adapt": "heads"}, ("head.", "contrastive.")),
        ({"adapt": "heads", "first_order": True}, ("head.", "contrastive.")),
        (
            {"adapt": ("encoder.layers.1.*", "contrastive.*.bias")},
            ("encoder.layers.1.", "contrastive.text.bias", "contrastive.image.bias"),
        ),
    ],
    ids=["encoder", "heads", "heads-first-order", "patterns"],
)
def test_a_choice_of_parameters_adapts(
    meta: MakeMeta, episodes: list[dict], settings: dict, adapted: str | tuple[str, ...]
) -> None:
    objective = meta(inner_loss="both", inner_steps=2, **settings)
    (rates, _) = objective.inner_rates.by_step()
    assert set(rates) == {name for name, _ in objective.batch_loss.model.named_parameters() if name.startswith(adapted)}
    found = meta_gradient(objective, episodes)[1]
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert all(gradient is not None for gradient in found.values()), "the outer loop trains all of them"


def test_parameters_to_adapt_that_are_not_there(meta: MakeMeta, model: PreTrainedModel, episodes: list[dict]) -> None:
    with pytest.raises(UserError, match=r"trainer.adapt: found 'encoder.layer.\*', which matches no parameter"):
        meta(adapt=("head.*", "encoder.layer.*"))
    with pytest.raises(
        UserError,
        match=r"trainer.adapt: found 6 parameters \(head.0.weight, .*\) that the inner loss "
        "'contrastive' does not depend on, expected at least one that it does",
    ):
        meta(adapt=("head.*",))(episodes)
    objective = meta(adapt=("encoder.*_pooler.*",))
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="trainer.adapt: found no trained parameter"):
        objective(episodes)
    model.base_model_prefix = "bert"
    with pytest.raises(UserError, match="found 'encoder' for a XUniter.*, expected 'all' or name patterns"):
        meta(adapt="encoder")


def test_inner_dropout_is_a_setting(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, episodes: list[dict]
) -> None:
    noisy = make_model(dropout=0.5).double().train()
    draws = []
    noisy.encoder.layers[0].register_forward_hook(lambda module, *_: draws.append(module.training))
    objective = meta(noisy, inner_dropout=False, inner_steps=2)
    objective(episodes[:1])
    assert draws == [False] * 6 + [True] * 3  # text and image: two steps, and the logged loss; then the outer losses
    assert all(module.training for module in noisy.modules())
    inner = {objective(episodes[:1])["inner_loss_before"].item() for _ in range(3)}
    assert len(inner) == 1
    noisy.eval()
    assert objective(episodes[:1])["inner_loss_before"].item() in inner


@pytest.mark.parametrize("granularity", ["layer", "parameter"])
@pytest.mark.parametrize("first_order", [True, False])
def test_learned_rates(meta: MakeMeta, episodes: list[dict], granularity: str, first_order: bool) -> None:
    """Their gradients are those of the loss by the logarithms; the parameters' ones are as without."""
    settings = (
        {"inner_steps": 1, "first_order": True} if first_order else {"inner_steps": 2, "inner_lr_factors": (1.0, 0.5)}
    )
    objective = meta(learned_rates=granularity, **settings).double()
    loss, found = meta_gradient(objective, episodes)
    plain_loss, plain = meta_gradient(meta(**settings), episodes)
    by_factor = found.pop("inner_rates.factors.logarithms")
    torch.testing.assert_close(loss, plain_loss, rtol=1e-12, atol=0)
    assert_equal_gradients(found, plain, 1e-12)
    scalars = objective.inner_rates.scalars()
    assert len(scalars) == len(by_factor) == (11 if granularity == "layer" else 54)
    assert set(torch.stack(list(scalars.values())).tolist()) == {0.05}

    name = "inner_lr/encoder.layers.1" + (".output.weight" if granularity == "parameter" else "")
    place, step = list(scalars).index(name), 1e-4
    with torch.no_grad():
        losses = []
        for distance in (step, -step):
            objective.inner_rates.factors.logarithms[place] = distance / LOG_LR_MULTIPLIER
            losses.append(objective(episodes)["loss"].item())
    assert by_factor[place].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6)
    last = objective.inner_rates.by_step()[-1]["encoder.layers.1.output.weight"]
    assert last == pytest.approx(0.05 * (1 if first_order else 0.5) * np.exp(-step), rel=1e-12)


@pytest.mark.parametrize(
    "settings",
    [{}, {"outer_loss": "task"}, {"outer_loss": "contrastive", "first_order": True}],
    ids=["both-losses", "inner-loss-alone", "outer-loss-alone"],
)
def test_a_learned_temperature_has_its_meta_gradient(meta: MakeMeta, episodes: list[dict], settings: dict) -> None:
    objective = meta(learned_temperature=True, inner_loss="contrastive", **settings).double()
    outcome = objective(episodes)
    assert outcome.get("temperature", torch.tensor(0.5)).item() == pytest.approx(0.5)
    found = gradients(objective, outcome["loss"])
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    if not objective._settings.first_order:
        logarithm = objective.batch_loss.temperature_factor.logarithms
        step, losses = 1e-4, []
        with torch.no_grad():
            for distance in (step, -step):
                logarithm.fill_(distance / LOG_LR_MULTIPLIER)
                losses.append(objective(episodes)["loss"].item())
        assert found["batch_loss.temperature_factor.logarithms"].item() == pytest.approx(
            (losses[0] - losses[1]) / (2 * step), rel=1e-6
        )


# The objective as a module


def test_languages_add_up(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta()
    together = objective(episodes)
    apart = [objective([episode]) for episode in episodes]
    torch.testing.assert_close(together["loss"], apart[0]["loss"] + apart[1]["loss"], rtol=1e-12, atol=0)
    found = gradients(objective, together["loss"])
    tr, de = (gradients(objective, outcome["loss"]) for outcome in apart)
    assert_equal_gradients(found, {name: tr[name] + de[name] for name in found})
    for name in ("task_loss", "contrastive_loss", "inner_loss_before", "inner_loss_after"):
        torch.testing.assert_close(together[name], (apart[0][name] + apart[1][name]) / 2, rtol=1e-12, atol=0)


def test_inner_rate_0_is_the_plain_loss_on_the_query(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(inner_lr=0)
    outcome = objective(episodes[:1])
    plain = objective.batch_loss(episodes[0]["query"], "both")
    assert torch.equal(outcome["loss"], plain["loss"])
    assert outcome.keys() == {"loss", "task_loss", "contrastive_loss", "contrastive_pairs"}
    assert_equal_gradients(gradients(objective, outcome["loss"]), gradients(objective, plain["loss"]), 0)


def test_without_gradients_it_gives_the_loss_alone(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(inner_steps=2)
    expected = objective(episodes)["loss"]
    with torch.no_grad():
        found = objective(episodes)["loss"]
    torch.testing.assert_close(found, expected.detach(), rtol=1e-12, atol=0)
    assert (found.requires_grad, expected.requires_grad) == (False, True)


def test_the_inner_loss_falls_and_is_logged_where_it_is_read(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(inner_lr=1e-3)
    outcome = objective(episodes[:1])
    at_start = objective.batch_loss(episodes[0]["support"], "contrastive")["loss"]
    torch.testing.assert_close(outcome["inner_loss_before"], at_start.detach(), rtol=1e-10, atol=0)
    assert outcome["inner_loss_after"] < at_start
    assert not outcome["inner_loss_after"].requires_grad
    objective.is_logging = False
    assert objective(episodes[:1]).keys() == outcome.keys() - {"inner_loss_after"}


def test_a_forward_leaves_the_model_alone(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(inner_steps=2)
    before = copy.deepcopy(objective.state_dict())
    outcome = objective(episodes)
    assert all(parameter.grad is None for parameter in objective.parameters())
    outcome["loss"].backward()
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_a_batch_without_pairs_takes_no_inner_step(meta: MakeMeta, task: Task, episodes: list[dict]) -> None:
    """Of the five examples of the support one is entailed, so that no pair has a negative."""
    labels = torch.full((5,), task.labels.index("neutral"))
    labels[2] = task.labels.index("entailment")
    episode = episodes[0] | {"support": episodes[0]["support"] | {"labels": labels}}
    loss, found = meta_gradient(meta(pairs="aligned", outer_loss="task"), [episode])
    plain_loss, plain = meta_gradient(meta(inner_lr=0, outer_loss="task"), [episode])
    assert torch.equal(loss, plain_loss)
    assert_equal_gradients(found, plain, 0)


def test_parameters_without_a_gradient_are_named_once(
    meta: MakeMeta, model: PreTrainedModel, episodes: list[dict], caplog: pytest.LogCaptureFixture
) -> None:
    model.spare = nn.Linear(2, 2)
    objective = meta(supervised=False)
    with caplog.at_level(logging.WARNING):
        objective(episodes)
        objective(episodes)
    heads = ", ".join(f"head.{place}.{kind}" for place in (0, 2, 3) for kind in ("weight", "bias"))
    assert caplog.messages == [
        f"8 of the 56 trained parameters get no gradient and stay as they are: {heads}, spare.weight, spare.bias"
    ]
    meta(inner_loss="both")(episodes[:1])
    assert len(caplog.messages) == 2
    assert caplog.messages[1].endswith("stay as they are: spare.weight, spare.bias")


@pytest.mark.parametrize("first_order", [True, False])
def test_bfloat16_autocast(
    make_model: Callable[..., PreTrainedModel], meta: MakeMeta, batchers: dict[str, Batcher], first_order: bool
) -> None:
    """Whatever autocast caches, no parameter loses its gradient; rounding apart, they are those of plain autograd."""
    batch, objective = batchers["tr"].batch, meta(make_model(), first_order=first_order)
    episodes = [{"language": "tr", "support": batch(range(4)), "query": batch(range(4, 8))}]
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = (gradient_of(objective, episodes)[1] for gradient_of in (meta_gradient, unrolled))
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32
        assert torch.cosine_similarity(gradient.flatten(), expected[name].flatten(), dim=0) > 0.98, name

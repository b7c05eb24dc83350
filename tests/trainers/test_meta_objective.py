"""The meta-step as an objective: settings of the inner loop, what is logged, and how it behaves as a module."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from meta_gradients import assert_equal_gradients, gradients, meta_gradient, unrolled
from torch import nn
from transformers import PreTrainedModel

from iglue_plugins.data.batching import Batcher
from iglue_plugins.tasks.base import Task
from iglue_plugins.trainers.learned import LOG_LR_MULTIPLIER
from iglue_plugins.trainers.meta_objective import MetaObjective
from iglue_plugins.utils.errors import UserError

LOSSES = ("task", "contrastive", "both")
ATTENTION = "batch_loss.model.encoder.layers.0.query_key_value.weight"
WORDS = "batch_loss.model.encoder.text_embeddings.word_embeddings.weight"
MakeMeta = Callable[..., MetaObjective]


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
def test_the_inner_loop_adapts_the_chosen_parameters(
    meta: MakeMeta, episodes: list[dict], settings: dict, adapted: str | tuple[str, ...]
) -> None:
    objective = meta(inner_loss="both", inner_steps=2, **settings)
    (rates, _) = objective.inner_rates.by_step()
    assert set(rates) == {name for name, _ in objective.batch_loss.model.named_parameters() if name.startswith(adapted)}
    found = meta_gradient(objective, episodes)[1]
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert all(gradient is not None for gradient in found.values()), "the outer loop trains all of them"


def test_a_choice_of_parameters_that_cannot_adapt_is_refused(
    meta: MakeMeta, model: PreTrainedModel, episodes: list[dict]
) -> None:
    with pytest.raises(UserError, match=r"trainer.adapt: 'encoder.layer.\*' matches no parameter"):
        meta(adapt=("head.*", "encoder.layer.*"))
    with pytest.raises(
        UserError,
        match=r"trainer.adapt: the inner loss 'contrastive' depends on none of the 6 parameters \(head.0.weight, ",
    ):
        meta(adapt=("head.*",))(episodes)
    objective = meta(adapt=("encoder.*_pooler.*",))
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(UserError, match="trainer.adapt: no parameter of"):
        objective(episodes)
    model.base_model_prefix, model.head_modules = "bert", ()
    with pytest.raises(UserError, match="trainer.adapt 'encoder': .* XUniter.* 'all' or name patterns"):
        meta(adapt="encoder")


def test_inner_dropout_can_be_turned_off(
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
def test_learned_rates_have_their_meta_gradient(
    meta: MakeMeta, episodes: list[dict], granularity: str, first_order: bool
) -> None:
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
    if not (objective._settings.algorithm == "fomaml"):
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


def test_the_losses_of_languages_add_up(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta()
    together = objective(episodes)
    apart = [objective([episode]) for episode in episodes]
    torch.testing.assert_close(together["loss"], apart[0]["loss"] + apart[1]["loss"], rtol=1e-12, atol=0)
    found = gradients(objective, together["loss"])
    tr, de = (gradients(objective, outcome["loss"]) for outcome in apart)
    assert_equal_gradients(found, {name: tr[name] + de[name] for name in found})
    for name in ("task_loss", "contrastive_loss", "inner_loss_before", "inner_loss_after"):
        torch.testing.assert_close(together[name], (apart[0][name] + apart[1][name]) / 2, rtol=1e-12, atol=0)


def test_inner_lr_0_gives_the_plain_loss_of_the_query_batch(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(inner_lr=0)
    outcome = objective(episodes[:1])
    plain = objective.batch_loss(episodes[0]["query"], "both")
    assert torch.equal(outcome["loss"], plain["loss"])
    assert outcome.keys() == {"loss", "task_loss", "contrastive_loss", "contrastive_pairs"}
    assert_equal_gradients(gradients(objective, outcome["loss"]), gradients(objective, plain["loss"]), 0)


def test_the_loss_is_the_same_without_gradients(meta: MakeMeta, episodes: list[dict]) -> None:
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


def test_forward_does_not_change_the_model(meta: MakeMeta, episodes: list[dict]) -> None:
    objective = meta(inner_steps=2)
    before = copy.deepcopy(objective.state_dict())
    outcome = objective(episodes)
    assert all(parameter.grad is None for parameter in objective.parameters())
    outcome["loss"].backward()
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())
    assert all(parameter.grad is not None for parameter in objective.parameters())


def test_a_support_batch_without_pairs_takes_no_inner_step(meta: MakeMeta, task: Task, episodes: list[dict]) -> None:
    """Of the five examples of the support one is entailed, so that no pair has a negative."""
    labels = torch.full((5,), task.labels.index("neutral"))
    labels[2] = task.labels.index("entailment")
    episode = episodes[0] | {"support": replace(episodes[0]["support"], labels=labels)}
    loss, found = meta_gradient(meta(pairs="aligned", outer_loss="task"), [episode])
    plain_loss, plain = meta_gradient(meta(inner_lr=0, outer_loss="task"), [episode])
    assert torch.equal(loss, plain_loss)
    assert_equal_gradients(found, plain, 0)


def test_without_common_images_masks_change_no_bit_of_the_meta_gradient(meta: MakeMeta, episodes: list[dict]) -> None:
    loss, found = meta_gradient(meta(inner_steps=2), episodes)
    former_loss, former = meta_gradient(meta(inner_steps=2, same_image_pairs="negatives"), episodes)
    assert torch.equal(loss, former_loss)
    assert_equal_gradients(found, former, 0)


@pytest.mark.parametrize("choice", ["masked", "positives"])
def test_the_meta_gradient_with_common_images(meta: MakeMeta, episodes: list[dict], choice: str) -> None:
    """In the support batch two examples of five have one image, in the query batch two pairs of them."""
    for episode in episodes:
        episode["support"] = replace(episode["support"], image_identity=torch.tensor([[0], [1], [0], [3], [4]]))
        episode["query"] = replace(episode["query"], image_identity=torch.tensor([[0], [1], [0], [1]]))
    objective = meta(inner_steps=2, same_image_pairs=choice)
    loss, found = meta_gradient(objective, episodes)
    assert_equal_gradients(found, unrolled(objective, episodes)[1])
    assert loss != meta_gradient(meta(inner_steps=2, same_image_pairs="negatives"), episodes)[0]


def test_a_support_batch_of_one_image_takes_no_inner_step(meta: MakeMeta, episodes: list[dict]) -> None:
    episode = episodes[0] | {"support": replace(episodes[0]["support"], image_identity=torch.zeros(5, 1).long())}
    loss, found = meta_gradient(meta(outer_loss="task"), [episode])
    plain_loss, plain = meta_gradient(meta(inner_lr=0, outer_loss="task"), [episode])
    assert torch.equal(loss, plain_loss)
    for name, gradient in found.items():
        expected = torch.zeros_like(gradient) if plain[name] is None else plain[name]
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=0)


def test_a_warning_names_parameters_without_a_gradient_once(
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
def test_the_meta_gradient_under_bfloat16_autocast(
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

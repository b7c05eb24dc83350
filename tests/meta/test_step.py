"""A meta-step of a module and a loss that nobody here knows: gradients, and two classics that it has to learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

from iglue_plugins.meta.algorithms import MetaAlgorithm
from iglue_plugins.meta.gradients import Parameters
from iglue_plugins.meta.step import InnerSteps, MetaStep
from iglue_plugins.utils.errors import UserError

Batch = tuple[Tensor, Tensor]
STEPS = InnerSteps(rate=0.1, count=2)


@pytest.fixture
def module() -> nn.Module:
    """A network with a layer that no loss reaches and one that is frozen, as real models have."""
    torch.manual_seed(0)
    made = nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(3, 8), nn.Tanh()), "head": nn.Linear(8, 1), "unused": nn.Linear(2, 2)}
    ).double()
    made["body"][0].bias.requires_grad_(False)
    return made


@pytest.fixture
def loss(module: nn.Module) -> Callable[[Parameters, Batch], Tensor]:
    def forward(inputs: Tensor) -> Tensor:
        return module["head"](module["body"](inputs))

    module.forward = forward
    return lambda parameters, batch: mse_loss(functional_call(module, parameters, (batch[0],)), batch[1])


@pytest.fixture
def episodes(draw: Callable[..., Tensor]) -> list[tuple[Batch, Batch]]:
    return [((draw(5, 3), draw(5, 1)), (draw(4, 3), draw(4, 1))) for _ in range(3)]


def unrolled(
    module: nn.Module, loss: Callable[[Parameters, Batch], Tensor], episodes: list, adapt: tuple[str, ...] = ()
) -> Tensor:
    trained = {name: value for name, value in module.named_parameters() if value.requires_grad}
    total = torch.zeros((), dtype=torch.float64)
    for support, query in episodes:
        theta = dict(trained)
        for _ in range(STEPS.count):
            slopes = torch.autograd.grad(
                loss(theta, support), list(theta.values()), create_graph=True, allow_unused=True
            )
            theta = {
                name: value if slope is None or (adapt and name not in adapt) else value - STEPS.rate * slope
                for (name, value), slope in zip(theta.items(), slopes, strict=True)
            }
        total = total + loss(theta, query)
    return total


@pytest.mark.parametrize("adapt", [(), ("head.weight", "head.bias")])
@pytest.mark.parametrize("storage", ["graphs", "parameters", "start"])
def test_the_gradient_is_that_of_autograd_through_all_steps(
    module: nn.Module, loss: Callable, episodes: list, adapt: tuple[str, ...], storage: str
) -> None:
    expected = unrolled(module, loss, episodes, adapt)
    expected.backward()
    slopes = {name: value.grad for name, value in module.named_parameters()}
    module.zero_grad()
    inner = InnerSteps(STEPS.rate, STEPS.count, adapt=adapt or None)
    value = MetaStep(loss, dict(module.named_parameters()), inner, MetaAlgorithm(storage=storage))(episodes)
    value.backward()
    torch.testing.assert_close(value.detach(), expected.detach())
    for name, parameter in module.named_parameters():
        assert (
            (parameter.grad is None) == (slopes[name] is None) == (name.startswith("unused") or name == "body.0.bias")
        )
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, slopes[name], rtol=1e-10, atol=1e-12)


def test_an_adapted_model_is_that_of_plain_sgd(module: nn.Module, loss: Callable, episodes: list) -> None:
    support = episodes[0][0]
    adapted = MetaStep(loss, dict(module.named_parameters()), STEPS).adapt(support)
    sgd = torch.optim.SGD([value for value in module.parameters() if value.requires_grad], STEPS.rate)
    for _ in range(STEPS.count):
        sgd.zero_grad()
        loss(dict(module.named_parameters()), support).backward()
        sgd.step()
    for name, value in adapted.items():
        torch.testing.assert_close(value, dict(module.named_parameters())[name].detach())


def test_context_parameters_start_at_zero_and_only_the_inner_loop_moves_them(draw: Callable[..., Tensor]) -> None:
    """CAVIA's algorithm 1, with autograd as reference."""
    weight, context = nn.Parameter(draw(5)), nn.Parameter(draw(2))
    episodes = [((draw(6, 3), draw(6)), (draw(6, 3), draw(6))) for _ in range(2)]

    def loss(parameters: Parameters, batch: Batch) -> Tensor:
        inputs, target = batch
        together = torch.cat([inputs, parameters["context"].expand(len(inputs), 2)], 1)
        return mse_loss(torch.tanh(together @ parameters["weight"]), target)

    total = torch.zeros((), dtype=torch.float64)
    for support, query in episodes:
        moved = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        for _ in range(2):
            (slope,) = torch.autograd.grad(
                loss({"weight": weight, "context": moved}, support), moved, create_graph=True
            )
            moved = moved - 0.5 * slope
        total = total + loss({"weight": weight, "context": moved}, query)
    (expected,) = torch.autograd.grad(total, weight)
    inner = InnerSteps(0.5, 2, adapt=["context"], from_zero=["context"])
    MetaStep(loss, {"weight": weight, "context": context}, inner)(episodes).backward()
    torch.testing.assert_close(weight.grad, expected)
    assert context.grad is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "mamal"}, "there is no algorithm 'mamal'; did you mean 'maml'?"),
        (
            {"inner": InnerSteps(adapt=["hed.bias"])},
            "'hed.bias' adapts, but is no parameter .*mean 'head.bias'",
        ),
        ({"inner": InnerSteps(adapt=["body.0.bias"])}, "'body.0.bias' adapts, but is no parameter that requires grad"),
        (
            {"inner": InnerSteps(adapt=["head.bias"], from_zero=["head.weight"])},
            "'head.weight' starts from zero, but does",
        ),
        ({"inner": InnerSteps(rate=0.0)}, "1 inner steps of rate 0.0 do not adapt"),
        ({"inner": InnerSteps(count=0)}, "0 inner steps of rate 0.01 do not adapt"),
    ],
)
def test_what_cannot_be_meant_is_refused(module: nn.Module, loss: Callable, arguments: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        MetaStep(loss, dict(module.named_parameters()), **arguments)


def test_a_step_without_episodes_is_refused(module: nn.Module, loss: Callable) -> None:
    with pytest.raises(UserError, match="a meta-step has no episode"):
        MetaStep(loss, dict(module.named_parameters()))([])


# Two classics, small


def sinusoids(generator: torch.Generator, count: int, shots: int = 10) -> list[tuple[Batch, Batch]]:
    """Tasks of MAML's section 5.1: amplitude 0.1 to 5, phase 0 to pi, inputs -5 to 5."""

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    made = []
    for _ in range(count):
        amplitude, phase = draw(0.1, 5, 1), draw(0, torch.pi, 1)
        inputs = [draw(-5, 5, shots, 1) for _ in range(2)]
        made.append(tuple((x, amplitude * (x - phase).sin()) for x in inputs))
    return made


class Network:
    """The network of MAML's section 5.1, trained on sinusoids."""

    def __init__(self, inner: InnerSteps, algorithm: Any, rate: float, steps: int) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1))
        self.parameters = dict(self.net.named_parameters())
        step, generator = MetaStep(self.loss, self.parameters, inner, algorithm), torch.Generator().manual_seed(1)
        optimizer = torch.optim.Adam(self.net.parameters(), rate)
        for number in range(steps):
            optimizer.zero_grad()
            step(sinusoids(generator, 5), number).backward()
            optimizer.step()

    def loss(self, parameters: Parameters, batch: Batch) -> Tensor:
        return mse_loss(functional_call(self.net, parameters, (batch[0],)), batch[1])

    def error(self, inner: InnerSteps) -> float:
        """Return the error in new tasks after inner steps on ten points of each."""
        step, tasks = MetaStep(self.loss, self.parameters, inner), sinusoids(torch.Generator().manual_seed(2), 60)
        return sum(self.loss(step.adapt(support), query).item() for support, query in tasks) / len(tasks)


@pytest.fixture(scope="module")
def error_of_one_network() -> float:
    """The least error that a network trained on all sinusoids together comes to, with or without steps on a task."""
    joint = Network(InnerSteps(1e-9), "fomaml", 5e-3, 400)
    return min(joint.error(InnerSteps(rate, count)) for rate in (1e-9, 0.002, 0.005, 0.02) for count in (1, 4))


CLASSICS = {
    "maml": (MetaAlgorithm(), InnerSteps(0.02, 3), 5e-3, 400),
    "annealed": (MetaAlgorithm(second_order_after=100, multi_step=200), InnerSteps(0.02, 3), 5e-3, 400),
    "fomaml": (MetaAlgorithm("fomaml"), InnerSteps(0.02, 3), 5e-3, 400),
    "reptile": (MetaAlgorithm("reptile"), InnerSteps(0.02, 3), 5e-3, 400),
    "imaml": (MetaAlgorithm("imaml", proximal=2.0, cg_iterations=3), InnerSteps(0.01, 6), 2e-3, 250),
}


@pytest.mark.parametrize("name", CLASSICS)
def test_sinusoids_are_learned_from_ten_points(name: str, error_of_one_network: float) -> None:
    """Figure 3 of MAML: a network for all sinusoids cannot adapt in a few steps, one that was meta-trained can."""
    algorithm, inner, rate, steps = CLASSICS[name]
    error = Network(inner, algorithm, rate, steps).error(inner)
    assert error < 0.8 * error_of_one_network


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
def test_characters_with_new_names_are_told_apart(algorithm: Any) -> None:
    """Five classes with one example each, whose labels are drawn anew in every episode, as those of Omniglot."""
    torch.manual_seed(0)
    prototypes = torch.randn(60, 16)
    net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 5))

    def episode(classes: Tensor) -> tuple[Batch, Batch]:
        chosen = classes[torch.randperm(len(classes))[:5]]
        return tuple((prototypes[chosen] + 0.2 * torch.randn(5, 16), torch.arange(5)) for _ in range(2))

    def loss(parameters: Parameters, batch: Batch) -> Tensor:
        return cross_entropy(functional_call(net, parameters, (batch[0],)), batch[1])

    step = MetaStep(loss, dict(net.named_parameters()), InnerSteps(0.5, 2), algorithm)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(200):
        optimizer.zero_grad()
        step([episode(torch.arange(40)) for _ in range(4)]).backward()
        optimizer.step()
    before, after = [], []
    for _ in range(60):
        support, (inputs, labels) = episode(torch.arange(40, 60))  # classes that no training episode has
        before.append((net(inputs).argmax(1) == labels).float().mean())
        after.append((functional_call(net, step.adapt(support), (inputs,)).argmax(1) == labels).float().mean())
    assert torch.stack(before).mean() < 0.3
    assert torch.stack(after).mean() > 0.85

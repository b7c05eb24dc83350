"""iMAML: inner steps that stay near their start, and the meta-gradient by the implicit function theorem.

The inner loop minimizes  L(phi) + strength / 2 |phi - theta|^2  over the parameters that adapt. At its minimum phi the
outer loss's gradient v becomes the meta-gradient  x = (I + H(phi) / strength)^-1 v,  however phi was found; conjugate
gradients solve for x by Hessian-vector products. A parameter that does not adapt gets  v - (H(phi) x) / strength.

Source: iMAML (Rajeswaran et al. 2019), equations 3 and 6, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from iglue_plugins.meta.gradients import Gradients, Parameters, add_gradients
from iglue_plugins.meta.inner_gradients import Loss, StepGraph, descend, inner_gradients
from iglue_plugins.meta.inner_loop import OuterGradient, Rates

# Of I + H / strength, which is 1 or more where the inner loss is convex. Along a direction with less, the pull is too
# weak for a minimum, and the solution would be as long as one likes.
LEAST_CURVATURE = 0.1


class ProximalLoop:
    """Gradient steps on a loss with a pull back to their start, and the implicit gradient where they end.

    The gradient is exact where the steps have reached the minimum and conjugate gradients the solution. Memory does not
    grow with the number of steps.

    Args:
        loss: Computes the inner loss, a scalar, from parameters by name.
        rates: For each step, the learning rates of the parameters that adapt.
        strength: The pull, lambda in the paper.
        iterations: The largest number of conjugate-gradient iterations.
        tolerance: The length of the residual, as a share of that of the outer gradient, at which they end earlier.

    Attributes:
        first_loss: The inner loss at the start, without the pull, detached; None before `adapt`, and without any step.
        updated_names: The names of the parameters that the first step changes.
        scalars: After `backpropagate`, the iterations taken and the residual's share.
    """

    def __init__(
        self, loss: Loss, rates: Sequence[Rates], *, strength: float, iterations: int, tolerance: float
    ) -> None:
        self.first_loss: Tensor | None = None
        self.updated_names: tuple[str, ...] = ()
        self.scalars: dict[str, float] = {}
        self._loss = loss
        self._rates = rates
        self._strength = strength
        self._iterations = iterations
        self._tolerance = tolerance
        self._adapted: Parameters = {}

    def adapt(self, start: Parameters) -> Parameters:
        """Take the inner steps.

        Args:
            start: theta, detached.

        Returns:
            phi. A parameter that does not adapt, or that the loss does not depend on, is that of theta.
        """
        phi = start
        for rates in self._rates:
            loss, step = inner_gradients(self._loss, phi, rates, keep_graph=False, second_order=True)
            if self.first_loss is None:
                self.first_loss, self.updated_names = loss, tuple(step.gradients)
            with torch.no_grad():
                for name, gradient in step.gradients.items():
                    gradient.add_(phi[name] - start[name], alpha=self._strength)
            phi = descend(phi, step.gradients, rates)
        self._adapted = phi
        return phi

    def backpropagate(
        self, gradient: Gradients, outer_gradient: OuterGradient | None = None
    ) -> tuple[Gradients, list[dict[str, Tensor]]]:
        """Compute the implicit gradient; consumes `gradient` and the loop.

        Args:
            gradient: v, the outer loss's gradient at phi, with respect to all parameters.
            outer_gradient: Not used, since the gradient does not depend on the way to phi.

        Returns:
            The meta-gradient, and an empty list.

        Raises:
            UserError: The inner loss has an operation that PyTorch cannot differentiate twice.
        """
        phi, self._adapted = self._adapted, {}
        if not self.updated_names:
            return gradient, []
        _, step = inner_gradients(self._loss, phi, self._rates[0], keep_graph=True, second_order=True)
        graph = StepGraph.of(step)
        del step
        outer = {
            name: value if (value := gradient[name]) is not None else torch.zeros_like(phi[name])
            for name in graph.edges
        }
        if not outer:
            return gradient, []
        solution = self._solve(graph, outer)
        products = graph.multiply(solution)
        for name in list(products):
            product = products.pop(name)
            if name in solution:
                gradient[name] = solution.pop(name)
            else:
                gradient[name] = add_gradients(gradient[name], product, -1 / self._strength)
        return gradient, []

    def _solve(self, graph: StepGraph, outer: Parameters) -> Parameters:
        def curvature(vector: Parameters) -> Parameters:
            products = graph.multiply(vector, retain_graph=True)
            return {
                name: value
                if (product := products[name]) is None
                else torch.add(value, product, alpha=1 / self._strength)
                for name, value in vector.items()
            }

        solution, iterations, residual = conjugate_gradients(curvature, outer, self._iterations, self._tolerance)
        self.scalars = {"cg_iterations": float(iterations), "cg_residual": residual}
        return solution


@torch.no_grad()
def conjugate_gradients(
    multiply: Callable[[Parameters], Parameters], right: Parameters, iterations: int, tolerance: float
) -> tuple[Parameters, int, float]:
    """Solve A x = right for a symmetric positive definite A that is near the identity, from x = right.

    Where A curves less than `LEAST_CURVATURE` in a direction, the iterations end at the last x before it.

    Args:
        multiply: Multiplies A by a vector, which is in tensors by name; it is called once more than `iterations`.
        right: The right-hand side.
        iterations: The largest number of iterations.
        tolerance: The residual's length, as a share of that of `right`, at which they end earlier.

    Returns:
        x, the number of iterations, and the residual's share: 0 for an exact solution.

    Source: Hestenes and Stiefel 1952; the stop at negative curvature is that of Steihaug 1983.
    """
    solution = {name: value.clone() for name, value in right.items()}
    residual = {name: right[name] - product for name, product in multiply(solution).items()}
    direction = {name: value.clone() for name, value in residual.items()}
    first, square = _dot(right, right), _dot(residual, residual)
    taken = 0
    while taken < iterations and square > tolerance**2 * first:
        product = multiply(direction)
        bend = _dot(direction, product)
        if bend <= LEAST_CURVATURE * _dot(direction, direction):
            break
        length = square / bend
        for name in solution:
            solution[name].add_(direction[name], alpha=length)
            residual[name].sub_(product[name], alpha=length)
        last, square = square, _dot(residual, residual)
        direction = {name: torch.add(residual[name], direction[name], alpha=square / last) for name in direction}
        taken += 1
    return solution, taken, (square / first) ** 0.5 if first else 0.0


def _dot(one: Parameters, other: Parameters) -> float:
    return sum(torch.dot(one[name].flatten(), other[name].flatten()).item() for name in one)

"""Newton's method and its saddle-free form, by all eigenvalues of an exact Hessian: for small nets."""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from lossscape.families import NonNegative, Rate
from lossscape.optimizers.full_batch import TOLERANCE, FullBatch, Function, Point, check_size
from lossscape.optimizers.line_search import backtracked

FLOOR = torch.finfo(torch.float64).eps ** 0.5
"""The least curvature of a model that is made positive, as a part of the largest |eigenvalue|."""
LineSearch = Literal["armijo", "none"]
Curvatures = Callable[[Tensor, float], Tensor]
"""Eigenvalues [D] of the Hessian, ascending, and λ -> what the gradient is divided by along the eigenvectors [D]."""


class Newton(FullBatch):
    """θ ← θ − η t V diag(1/c(Λ)) Vᵀ g, where H = VΛVᵀ: one step from all eigenvalues of the Hessian."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        curvatures: Curvatures,
        *,
        lr: float,
        damping: float,
        line_search: LineSearch,
        weight_decay: float,
        tolerance: float,
    ) -> None:
        """curvatures: c; lr: η; damping: λ; line_search: armijo for t of 1, ½, ¼, …, none for t = 1."""
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, tolerance=tolerance)
        check_size(self, "newton or saddle_free_newton")
        self._curvatures, self._damping, self._line_search = curvatures, damping, line_search

    def advance(self, function: Function, here: Point) -> Point | None:
        """One gradient evaluation, D products, and function evaluations of the line search."""
        values, vectors = torch.linalg.eigh(function.matrix(here.theta))
        shares = vectors.T @ here.gradient
        direction = -self.param_groups[0]["lr"] * (vectors @ (shares / self._curvatures(values, self._damping)))
        if self._line_search == "none":
            return Point.of(function, here.theta + direction)
        there = backtracked(function, here, direction)
        return None if there is None else Point.of(function, there)


def newton(
    parameters: Iterable[nn.Parameter],
    *,
    lr: Rate = 1.0,
    damping: NonNegative = 0.0,
    line_search: LineSearch = "armijo",
    weight_decay: NonNegative = 0.0,
    tolerance: NonNegative = TOLERANCE,
) -> FullBatch:
    """θ ← θ − η t (H + τI)⁻¹ g: Newton's method, damped (Nocedal and Wright, §3.4).

    With line_search armijo τ is λ = `damping`, or as much more as makes H + τI positive definite, and t backtracks;
    with none τ = λ and t = 1, so that saddles attract as minima do.
    """
    chosen = _shifted if line_search == "none" else _positive
    return Newton(
        parameters, chosen, lr=lr, damping=damping, line_search=line_search, weight_decay=weight_decay,
        tolerance=tolerance,
    )  # fmt: skip


def saddle_free_newton(
    parameters: Iterable[nn.Parameter],
    *,
    lr: Rate = 1.0,
    damping: NonNegative = 1e-3,
    line_search: LineSearch = "armijo",
    weight_decay: NonNegative = 0.0,
    tolerance: NonNegative = TOLERANCE,
) -> FullBatch:
    """θ ← θ − η t (|H| + λI)⁻¹ g with |H| = V|Λ|Vᵀ, so that saddles repel (Dauphin et al., arXiv:1406.2572)."""
    return Newton(
        parameters, _absolute, lr=lr, damping=damping, line_search=line_search, weight_decay=weight_decay,
        tolerance=tolerance,
    )  # fmt: skip


def _shifted(values: Tensor, damping: float) -> Tensor:
    """Λ + λ; infinite where that is 0 but for rounding, since the model says nothing of such directions."""
    found = values + damping
    return torch.where(found.abs() > _rounding(values), found, torch.inf)


def _positive(values: Tensor, damping: float) -> Tensor:
    """Λ + τ with the least curvature that of the lowest eigenvalue without its sign."""
    lowest, floor = float(values[0]), FLOOR * float(values.abs().max())
    shift = damping if lowest + damping >= floor else abs(lowest) - lowest + max(floor, damping)
    return values + shift


def _absolute(values: Tensor, damping: float) -> Tensor:
    """|Λ| + λ, and no less than a floor."""
    return (values.abs() + damping).clamp_min(FLOOR * float(values.abs().max()) or 1.0)


def _rounding(values: Tensor) -> float:
    return len(values) * torch.finfo(values.dtype).eps * float(values.abs().max())

"""Backtracking along a direction until the objective falls as much as its slope promises (Armijo's condition)."""

from torch import Tensor

from lossscape.optimizers.full_batch import Function, Point

DECREASE = 1e-4
"""c of L(θ + t d) ≤ L(θ) + c t ∇Lᵀd (Nocedal and Wright, Numerical Optimization, 2nd edition, equation 3.6a)."""
HALVINGS = 50


def backtracked(function: Function, here: Point, direction: Tensor) -> Tensor | None:
    """θ + t d for the first t of 1, ½, ¼, … with Armijo's condition; None where no such t is found.

    direction: d [D]. One function evaluation for each t that is tried.
    """
    slope = float(here.gradient @ direction)
    if not slope < 0:
        return None
    length = 1.0
    for _ in range(HALVINGS):
        there = here.theta + length * direction
        if function.value(there) <= here.value + DECREASE * length * slope:
            return there
        length /= 2
    return None

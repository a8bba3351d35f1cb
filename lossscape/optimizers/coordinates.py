"""Coordinate descent: one parameter at a time, in turn."""

from collections.abc import Iterable

import torch
from torch import nn

from lossscape.families import Count, NonNegative
from lossscape.optimizers.full_batch import TOLERANCE, FullBatch, Function, Point
from lossscape.optimizers.line_search import backtracked


class CoordinateDescent(FullBatch):
    """θᵢ ← θᵢ − t gᵢ/|hᵢᵢ| for i = 1, …, D in turn, with t of 1, ½, ¼, … by Armijo's condition."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, coordinates: int | None, weight_decay: float, tolerance: float
    ) -> None:
        """coordinates: moved in a step; None: all."""
        super().__init__(parameters, weight_decay=weight_decay, tolerance=tolerance)
        self._coordinates = coordinates

    def advance(self, function: Function, here: Point) -> Point | None:
        """For each coordinate a gradient evaluation, a product, and function evaluations of the line search."""
        there, count = here, len(here.theta)
        first, still = self.memory.get("coordinate", 0), self.memory.get("still", 0)
        after = first + (self._coordinates or count)
        for index in range(first, after):
            before, there = there, self._moved(function, there, index % count)
            still = still + 1 if there is before else 0
        self.memory.update(coordinate=after % count, still=still)
        return None if still >= count and there is here else there

    def _moved(self, function: Function, here: Point, index: int) -> Point:
        unit = torch.zeros_like(here.theta)
        unit[index] = 1.0
        slope = float(here.gradient[index])
        if slope == 0.0:
            return here
        curvature = abs(float(function.product(here.theta, unit)[index])) or 1.0
        there = backtracked(function, here, -slope / curvature * unit)
        return here if there is None else Point.of(function, there)


def coordinate_descent(
    parameters: Iterable[nn.Parameter],
    *,
    coordinates: Count | None = None,
    weight_decay: NonNegative = 0.0,
    tolerance: NonNegative = TOLERANCE,
) -> FullBatch:
    """θᵢ ← θᵢ − t gᵢ/|hᵢᵢ|: Newton's step along one coordinate after another (Wright, arXiv:1502.04759, algorithm 1).

    coordinates: how many are moved in one step; null: all, once.
    """
    return CoordinateDescent(parameters, coordinates=coordinates, weight_decay=weight_decay, tolerance=tolerance)

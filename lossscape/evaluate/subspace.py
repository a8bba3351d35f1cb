"""An affine subspace of the parameters: an origin and directions, one a line, two a plane."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from lossscape.errors import BadInput
from lossscape.vectors import Params, combine

Coordinates = tuple[float, ...]
FARTHEST = 1e9
"""Coordinates beyond this are mistakes at the keyboard, and figures cannot show them."""


@dataclass(frozen=True)
class Subspace:
    """θ(c) = θ₀ + Σ cᵢ dᵢ; buffers stay at the origin's unless they are given directions of their own.

    What origin and buffers leave out is the model's own.
    """

    origin: Params
    directions: Sequence[Params]
    buffers: Params = field(default_factory=dict)
    buffer_directions: Sequence[Params] = ()
    """BatchNorm statistics that move with the coordinates (one mapping per direction), or none."""
    frozen: bool = False
    """Said where statistics stay the origin's though a direction leads to another net."""

    def at(self, coordinates: Sequence[float]) -> tuple[Params, Params]:
        """Parameters and buffers at a point. A moved variance is kept at 0 or above."""
        buffers = self.buffers
        if self.buffer_directions:
            buffers = combine(self.buffers, self.buffer_directions, coordinates)
            for name, value in buffers.items():
                if name.endswith("running_var"):
                    buffers[name] = value.clamp(min=0)
        return combine(self.origin, self.directions, coordinates), buffers

    def without(self, names: Collection[str]) -> "Subspace":
        """The same of fewer parameters, where what reads the points has no use for some."""
        if not names:
            return self
        origin, *directions = (
            {name: value for name, value in vector.items() if name not in names}
            for vector in (self.origin, *self.directions)
        )
        return replace(self, origin=origin, directions=directions)


def completed(subspace: Subspace, parameters: Params, buffers: Params) -> Subspace:
    """A subspace with a model's parameters and buffers where it has none. Raises BadInput where it has other names."""
    for what, known, vectors in (
        ("parameter", parameters, (subspace.origin, *subspace.directions)),
        ("buffer", buffers, (subspace.buffers, *subspace.buffer_directions)),
    ):
        unknown = [name for vector in vectors for name in vector if name not in known]
        if unknown:
            raise BadInput(
                f"the model has no {what} {unknown[0]!r}, but {', '.join(list(known)[:4]) or 'none'}; take those of "
                "objective.parameters() and objective.buffers()"
            )
    return replace(subspace, origin=parameters | subspace.origin, buffers=buffers | subspace.buffers)


def line_points(points: int, low: float, high: float) -> list[Coordinates]:
    """`points` coordinates from low to high, both included; a 0 or 1 that lies on the grid is exact."""
    return [(value,) for value in axis(points, low, high)]


def grid_points(
    shape: tuple[int, int], x_range: tuple[float, float], y_range: tuple[float, float]
) -> list[Coordinates]:
    """The (x, y) of a grid with shape[0] values of x and shape[1] of y; y runs fastest."""
    return list(product(axis(shape[0], *x_range), axis(shape[1], *y_range)))


def axis(points: int, low: float, high: float) -> list[float]:
    """Evenly spaced values, ends exact. Raises BadInput for an empty, absurd or non-finite range or too few points."""
    if not np.isfinite([low, high]).all() or not low < high:
        raise BadInput(f"range {low:g} {high:g}: needs two finite numbers, the smaller one first")
    if max(abs(low), abs(high)) > FARTHEST:
        raise BadInput(f"range {low:g} {high:g}: goes farther than {FARTHEST:g}, where no net has a loss")
    if points < 2:
        raise BadInput(f"{points} points: a range needs at least 2")
    steps = np.arange(points)
    values = (low * (points - 1 - steps) + high * steps) / (points - 1)  # symmetric: the middle of ±r is exactly 0
    whole = np.round(values)
    values = np.where(np.abs(values - whole) < 1e-12 * (high - low), whole, values)  # 0 and 1 are checkpoints
    values[0], values[-1] = low, high
    if not (np.diff(values) > 0).all():
        raise BadInput(f"range {low!r} {high!r}: too narrow for {points} different points")
    return [float(value) for value in values]

"""Units of a layer that are equal: the weights that lead into them, and their biases."""

from dataclasses import dataclass

import torch
from torch import Tensor

SAME = 1e-4
"""Units are still equal where they are apart by no more than this part of how far they went from their start: rounding
differs from unit to unit, and grows."""


@dataclass(frozen=True)
class Twins:
    """How many units of a layer are equal to another one, and how many of these still are."""

    start: int
    end: int
    moved: int
    """Of those of the start, that are not where they began: others stay equal without any merit."""
    apart: float | None
    """The largest distance of a unit from the nearest of those that it started equal to, over how far it went; None
    where no units started equal."""


def twins(start: Tensor) -> list[Tensor]:
    """The numbers of the units in each group of exactly equal ones, from rows [units, weights]."""
    _, groups, sizes = torch.unique(start, dim=0, return_inverse=True, return_counts=True)
    return [(groups == group).nonzero().flatten() for group in (sizes > 1).nonzero().flatten()]


def still_equal(start: Tensor, end: Tensor) -> Twins:
    """Which units that are equal in `start` [units, weights] are so in `end`."""
    start, end = start.double(), end.double()
    many = equal = moved = 0
    apart = 0.0
    for group in twins(start):
        rows = end[group]
        nearest = torch.full((len(group),), torch.inf, dtype=torch.float64)
        for index in range(len(group)):  # as differences, since products would lose them
            distances = (rows - rows[index]).norm(dim=1)
            distances[index] = torch.inf
            nearest[index] = distances.min()
        went = (rows - start[group]).norm(dim=1)
        share = torch.where(nearest == 0, 0.0, nearest / went)
        many, equal, moved = many + len(group), equal + int((share <= SAME).sum()), moved + int((went > 0).sum())
        apart = max(apart, float(share.max()))
    return Twins(many, equal, moved, apart if many else None)

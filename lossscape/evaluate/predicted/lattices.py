"""Lattices of a grid, each within the next: which of their points are new, and what lies around each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

STEPS = {1: (16, 8), 2: (10, 8)}
"""Most and fewest intervals of the coarsest lattice along an axis, by dimensions."""


def lattices(length: int, most: int, fewest: int) -> list[np.ndarray]:
    """Places on an axis of `length` values, coarsest lattice first, each within the next; the last has all.

    The coarsest has the number of intervals, within the limits, that divides the axis most evenly.
    """
    last = length - 1
    if last <= most:
        return [np.arange(length)]
    steps = min(range(most, fewest - 1, -1), key=lambda count: (last % count > 0, -count))
    found = [np.unique(np.round(np.linspace(0, last, steps + 1)).astype(int))]
    while len(found[-1]) < length:
        here = found[-1]
        found.append(np.unique(np.concatenate([here, (here[:-1] + here[1:]) // 2])))
    return found


@dataclass
class Level:
    """A lattice: its places on each axis, and which of its points the one before it has not."""

    axes: Sequence[np.ndarray]
    """Of the grid."""
    places: list[np.ndarray]
    before: list[np.ndarray]
    """Where the places of the lattice before it are among these."""
    new: np.ndarray

    @classmethod
    def of(cls, axes: Sequence[np.ndarray], places: list[np.ndarray], coarser: Sequence[np.ndarray]) -> "Level":
        """The lattice of some places, with those of the lattice before it."""
        before = [np.searchsorted(here, there) for here, there in zip(places, coarser, strict=True)]
        new = np.ones([len(here) for here in places], dtype=bool)
        new[np.ix_(*before)] = False
        return cls(axes, places, before, new)

    @cached_property
    def mesh(self) -> tuple[np.ndarray, ...]:
        """What picks its points from an array over the grid."""
        return np.ix_(*self.places)

    @cached_property
    def old(self) -> tuple[np.ndarray, ...]:
        """What picks the points of the lattice before it from an array over this one."""
        return np.ix_(*self.before)

    @cached_property
    def values(self) -> list[np.ndarray]:
        """Of each coordinate."""
        return [axis[places] for axis, places in zip(self.axes, self.places, strict=True)]

    def in_grid(self, at: np.ndarray) -> np.ndarray:
        """Places in the grid of places in the lattice, [P, D]."""
        return np.stack([places[column] for places, column in zip(self.places, at.T, strict=True)], axis=1)

    def placed(self, values: np.ndarray, empty: float = 0) -> np.ndarray:
        """Values of the lattice before, [K, *lattice before], at their places in this one."""
        found = np.full((len(values), *self.new.shape), empty, dtype=values.dtype)
        found[of_all(self.old)] = values
        return found

    def half(self) -> "Level | None":
        """It as seen from every other of its values, of axes that have enough; None where none has."""
        if all(len(each) < 5 for each in self.places):
            return None
        coarser = [np.unique([*each[::2], each[-1]]) if len(each) >= 5 else each for each in self.places]
        return Level.of(self.axes, self.places, coarser)

    def around(self, at: np.ndarray) -> np.ndarray:
        """Places in the grid [P, 4 or 16, D] of its points around places of the grid [P, D].

        Two on either side along each axis; of a value on the lattice that one itself and its neighbours.
        """
        sides = []
        for places, column in zip(self.places, at.T, strict=True):
            low, high = np.searchsorted(places, column, "right") - 1, np.searchsorted(places, column, "left")
            on = (low == high).astype(int)
            sides.append([places[np.clip(p, 0, len(places) - 1)] for p in (low - on, low, high, high + on)])
        corners = product(range(4), repeat=len(sides))
        return np.stack([np.stack([own[k] for own, k in zip(sides, ks, strict=True)], 1) for ks in corners], axis=1)


def levels_of(axes: Sequence[np.ndarray]) -> list[Level]:
    """The lattices of a grid, coarsest first; the last has all of its points, and so may the first."""
    most, fewest = STEPS[len(axes)]
    of_axes = [lattices(len(axis), most, fewest) for axis in axes]
    found: list[Level] = []
    for number in range(max(map(len, of_axes))):
        places = [each[min(number, len(each) - 1)] for each in of_axes]
        found.append(Level.of(axes, places, found[-1].places if found else places))
    return found


def spread(values: np.ndarray) -> np.ndarray:
    """The largest value within two places of each, [K, *lattice]."""
    from scipy.ndimage import maximum_filter

    return np.array([maximum_filter(each, size=5, mode="nearest") for each in values])


def of_all(where: Iterable[np.ndarray]) -> tuple[Any, ...]:
    """What picks points of the grid from arrays of all columns."""
    return (slice(None), *where)


def of_each(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """A value a column, [columns], with the dimensions of an array [columns, …]."""
    return values.reshape(-1, *(1,) * (like.ndim - 1))

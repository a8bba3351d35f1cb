"""The order in which the points of a grid are evaluated: the whole picture coarsely first, then ever finer."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lossscape.evaluate.subspace import Coordinates

STRIDE = 4096
"""Points made at a time."""


class Points(Sequence[Coordinates]):
    """Points of a lattice as the places of their values on its axes, 4 bytes each; a tuple is made when asked for."""

    def __init__(self, axes: Sequence[Sequence[float]], places: np.ndarray) -> None:
        """axes: the values of each coordinate; places: of each point among these, [N, axes]."""
        self._axes, self._places = axes, places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Points(self._axes, self._places[index])
        return tuple(axis[place] for axis, place in zip(self._axes, self._places[index].tolist(), strict=True))

    def __iter__(self) -> Iterator[Coordinates]:
        for start in range(0, len(self), STRIDE):
            columns = zip(self._axes, self._places[start : start + STRIDE].T.tolist(), strict=True)
            yield from zip(*(map(axis.__getitem__, places) for axis, places in columns), strict=True)


def coarse_to_fine(points: Sequence[Coordinates]) -> Points:
    """The points of a full grid, lattice by lattice: every 2ᵏ-th value of each axis and the last, k falling to 0.

    After a quarter of the points of a plane, every second row and column is known. The order is a function of the
    points alone, so that a result that is resumed goes on where it was.
    """
    columns = list(zip(*points, strict=True))
    axes = [sorted(set(column)) for column in columns]
    top = max(len(axis) for axis in axes).bit_length()
    levels = [np.array([_level(index, len(axis), top) for index in range(len(axis))]) for axis in axes]
    places = np.empty((len(points), len(axes)), dtype=np.int32)
    for place, (axis, column) in zip(places.T, zip(axes, columns, strict=True), strict=True):
        place[:] = np.searchsorted(axis, column)
    level = np.min([level[place] for level, place in zip(levels, places.T, strict=True)], axis=0)
    return Points(axes, places[np.lexsort((*reversed(places.T), -level))])


def _level(index: int, length: int, top: int) -> int:
    """The largest k of which 2ᵏ divides an index; the first and the last belong to the coarsest lattice."""
    if index in (0, length - 1):
        return top
    return (index & -index).bit_length() - 1

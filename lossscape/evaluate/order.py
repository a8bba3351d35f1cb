"""The order in which the points of a grid are evaluated: the whole picture coarsely first, then ever finer."""

from collections.abc import Sequence

from lossscape.evaluate.subspace import Coordinates


def coarse_to_fine(points: Sequence[Coordinates]) -> list[Coordinates]:
    """The points of a full grid, lattice by lattice: every 2ᵏ-th value of each axis and the last, k falling to 0.

    After a quarter of the points of a plane, every second row and column is known. The order is a function of the
    points alone, so that a result that is resumed goes on where it was.
    """
    axes = [sorted(set(column)) for column in zip(*points, strict=True)]
    top = max(len(axis) for axis in axes).bit_length()
    levels = [{value: _level(index, len(axis), top) for index, value in enumerate(axis)} for axis in axes]

    def rank(point: Coordinates) -> tuple[int, Coordinates]:
        return -min(level[value] for level, value in zip(levels, point, strict=True)), point

    return sorted(points, key=rank)


def _level(index: int, length: int, top: int) -> int:
    """The largest k of which 2ᵏ divides an index; the first and the last belong to the coarsest lattice."""
    if index in (0, length - 1):
        return top
    return (index & -index).bit_length() - 1

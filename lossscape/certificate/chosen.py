"""Which points of a result are compared beside those that are drawn."""

from collections.abc import Mapping, Sequence

from lossscape.certificate.finite import lost
from lossscape.evaluate.engine import Values
from lossscape.evaluate.subspace import Coordinates

LOST = 2
"""Points that are not finite among those compared, at least, where there are as many."""


def few_of(drawn: Sequence[Coordinates], number: int, values: Mapping[Coordinates, Values]) -> list[Coordinates]:
    """The first of some points in drawn order, with LOST that are not finite and one off the axes among them.

    drawn: all points that may be compared; values: of all points.
    """
    few = list(drawn[:number])
    gone = set(lost(values))
    few += [point for point in drawn[number:] if point in gone][: max(LOST - len(gone.intersection(few)), 0)]
    if drawn and (best := off_axes(drawn, values)) not in few and _told_apart(best) > max(map(_told_apart, few)):
        few.append(best)
    return few


def off_axes(points: Sequence[Coordinates], values: Mapping[Coordinates, Values]) -> Coordinates:
    """The first of some points that shows best which way each axis goes, of those whose values are finite."""
    gone = set(lost(values))
    known = [point for point in points if point not in gone] or points
    best = (len(known[0]) + 1, len(known[0]) + 1, len(known[0]))
    return next((point for point in known if _told_apart(point) == best), None) or max(known, key=_told_apart)


def _told_apart(point: Coordinates) -> tuple[int, ...]:
    """How many of 0 and the coordinates differ, in size first: all where none is 0 and no two are alike."""
    return len({0.0, *map(abs, point)}), len({0.0, *point}), sum(map(bool, point))

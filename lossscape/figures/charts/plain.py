"""Numbers as charts carry them: rounded to what can be seen and read."""

from collections.abc import Iterable

import numpy as np

from lossscape.figures.text import finite

LOSS, SHARE, ERROR = 6, 4, 3
"""Significant digits of losses and other values, of shares in per cent, and of their errors. The CSV has all digits."""

ERRORS = "estimated_error"
"""The column of what predicted losses may be off by, as a part of themselves."""


def rounded(values: Iterable[float] | np.ndarray, digits: int = LOSS) -> list[float | None]:
    """Values [N] of any shape as a flat list with so many significant digits; None where one is not finite."""
    flat = finite(np.asarray(values, dtype=float).ravel())
    return [None if value != value else float(f"{value:.{digits}g}") for value in flat.tolist()]


def chosen(values: np.ndarray, most: int) -> np.ndarray:
    """Indices of at most so many of the ascending values [N], evenly spaced: both ends and a 0 are among them."""
    if len(values) <= most:
        return np.arange(len(values))
    even = np.round(np.linspace(0, len(values) - 1, most)).astype(int)
    (centre,) = np.nonzero(values == 0)
    if len(centre) and not np.isin(centre, even).all():  # the nearest of those inside makes room
        inside = even[1:-1]
        inside[np.abs(inside - centre[0]).argmin()] = centre[0]
    return even

"""Lines of which some points were predicted: which of the others do not lie on them."""

import numpy as np

from lossscape.figures.text import finite

SEEN = 0.002
"""Part of the height of an axis that can be seen: about a pixel."""
AROUND = 2
"""Points on either side that say where the line goes: predictions, and the ends of the line."""
FAR = 4
"""Steps to the first of them from which on the line goes through what was evaluated there, all of it."""


def off_the_line(values: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Which evaluated points lie visibly off the predictions around them [N]: a line through them would have spikes.

    The curve of predictions passes through the points that they were made from, and past those that were held out to
    check them: a share, which jumps, by as much as a few samples make. values: of a line's points, evenly spaced, as
    they are drawn [N]; predicted: which were [N]. A point is held against the polynomial through the nearest
    predictions, on a linear axis and, where all values are above 0, on a logarithmic one.
    """
    values = finite(values)
    off = np.zeros(len(values), dtype=bool)
    if not predicted.any():
        return off
    sure = predicted.copy()
    sure[[0, -1]] = True
    scaled = [values, *([np.log(values)] if np.nanmin(values, initial=np.inf) > 0 else [])]
    for drawn in scaled:
        known = np.isfinite(drawn)
        visible = SEEN * np.ptp(drawn[known]) if known.any() else np.inf
        firm = np.flatnonzero(sure & known)
        for at in np.flatnonzero(~sure & known):
            before, behind = firm[firm < at][-AROUND:], firm[firm > at][:AROUND]
            if not (len(before) and len(behind)) or max(at - before[-1], behind[0] - at) >= FAR:
                continue  # here all points were evaluated
            near = np.concatenate([before, behind])
            line = np.polynomial.Polynomial.fit(near - at, drawn[near], len(near) - 1)
            off[at] |= abs(float(line(0.0)) - drawn[at]) > visible
    return off

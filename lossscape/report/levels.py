"""The colour scale of a surface: linear or logarithmic, with levels that read well."""

from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from lossscape.report.style import finite
from lossscape.report.text import number

MOST_LEVELS = 18
WIDE = 100.0
"""Losses that span a larger factor than this are drawn on a logarithmic scale."""
DECADES = 8
"""A logarithmic scale reaches at most this far below the greatest loss."""
STEEP = 100.0
"""Where a linear scale cannot be avoided, it ends this many times as far above the least loss as the median is."""


@dataclass(frozen=True)
class Scale:
    """How losses become heights and colours."""

    log: bool
    low: float
    high: float
    levels: list[float]
    """Losses, ascending; the first is at or below `low`, the last at or above `high`."""
    constant: bool
    notes: list[str]
    """What a reader has to know: clipped and missing values, a change of scale."""

    def heights(self, losses: np.ndarray | list[float]) -> np.ndarray:
        """Losses on this scale, clipped to it: themselves, or their decimal logarithm. NaN where not finite."""
        values = np.clip(finite(np.asarray(losses)), self.low, self.high)
        return np.log10(values) if self.log else values

    @property
    def ticks(self) -> np.ndarray:
        """The levels as heights."""
        return np.log10(self.levels) if self.log else np.array(self.levels)


def choose_scale(losses: np.ndarray, log: bool) -> Scale:
    """A scale for the losses of a surface of any shape; they may be infinite, undefined, constant, zero or negative.

    log: ask for a logarithmic scale, which is also taken where no loss is negative and they span more than WIDE.
    """
    values = finite(losses)
    notes = _missing(values)
    values = values[np.isfinite(values)]
    if not values.size:
        return Scale(False, 0.0, 1.0, [0.0, 1.0], True, notes)
    low, high = float(values.min()), float(values.max())
    positive = values[values > 0]
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        middle, spread = (low + high) / 2, max(abs(low) * 0.05, 1e-9)
        note = f"The loss is {number(middle)} at every {'other ' if notes else ''}point."
        return Scale(False, low, high, [middle - spread, middle + spread], True, [*notes, note])
    possible = positive.size and positive.max() > positive.min()
    wide = low >= 0 and high > WIDE * positive.min()
    if log and not possible:
        notes.append("A logarithmic scale needs positive losses, so this one is linear.")
    if possible and (log or wide):
        return _logarithmic(values, high, notes, asked=log)
    ceiling = float(np.median(values) - low) * STEEP + low
    if ceiling > low and high > ceiling:
        clipped = int((values > ceiling).sum())
        notes.append(f"{_points(clipped)} with a loss above {number(ceiling)} drawn at that value.")
        high = ceiling
    return Scale(False, low, high, _linear(low, high), False, notes)


def _logarithmic(values: np.ndarray, high: float, notes: list[str], *, asked: bool) -> Scale:
    low = max(float(values[values > 0].min()), high * 10.0**-DECADES)
    below = int((values < low).sum())
    if not asked:
        notes.append("Logarithmic scale, since the losses span more than two decades.")
    if below:
        notes.append(f"{_points(below)} with a loss below {number(low)} drawn at that value.")
    return Scale(True, low, high, _decades(low, high), False, notes)


def _missing(values: np.ndarray) -> list[str]:
    lost = int(np.isnan(values).sum())
    return [f"Hatched: {_points(lost)} of {values.size:,} have an infinite or undefined loss, or one above 1e30."] if lost else []


def _points(count: int) -> str:
    return f"{count:,} point" + "s" * (count != 1)


def _linear(low: float, high: float) -> list[float]:
    locator = MaxNLocator(MOST_LEVELS - 1, steps=[1, 2, 2.5, 5, 10])
    return [float(level) for level in locator.tick_values(low, high)]


def _decades(low: float, high: float) -> list[float]:
    """Round levels, evenly spaced in the logarithm as nearly as round numbers are."""
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    stride = max(1, -(-(last - first) // MOST_LEVELS))
    best = [10.0**power for power in range(first, last + stride, stride)]
    for mantissas in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        levels = [float(f"{m}e{power}") for power in range(first, last + 1) for m in mantissas]
        levels = _around(levels, low, high)
        if stride == 1 and len(levels) <= MOST_LEVELS:
            best = levels
    fine = _around(_linear(low, high), low, high)
    return fine if len(_around(best, low, high)) < 6 and fine[0] > 0 else _around(best, low, high)


def _around(levels: list[float], low: float, high: float) -> list[float]:
    """The levels from the last one at or below `low` to the first one at or above `high`."""
    start = max((i for i, level in enumerate(levels) if level <= low), default=0)
    end = min((i for i, level in enumerate(levels) if level >= high), default=len(levels) - 1)
    return levels[start : end + 1]

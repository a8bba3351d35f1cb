"""The colour scale of a surface: linear or logarithmic, with levels that read well."""

from dataclasses import dataclass, field

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from lossscape.figures.text import finite
from lossscape.text import digits_of, number

MOST_LEVELS = 18
WIDE = 100.0
"""Losses that span a larger factor than this are drawn on a logarithmic scale."""
NOISE, DEEP, LONG = 1e-9, 1e-8, 1e12
"""A logarithmic scale begins at NOISE, or DEEP times the greatest loss if that is less, and spans a factor LONG."""
STEEP = 30.0
"""With negative losses, a linear scale ends this many times as far above the least loss as the median is."""


@dataclass(frozen=True)
class Scale:
    """How losses become heights and colours."""

    log: bool
    low: float
    high: float
    levels: list[float]
    """Losses, ascending; the first is at or below `low`, the last at or above `high`."""
    missing: int
    """Losses that are infinite, undefined or too great to draw."""
    points: int
    notes: list[str] = field(default_factory=list)
    """What a reader has to know: clipped values, a change of scale."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return self.missing == self.points

    @property
    def constant(self) -> bool:
        """Whether all losses are one value up to rounding."""
        return len(self.levels) == 2

    @property
    def ticks(self) -> np.ndarray:
        """The levels as heights."""
        return self.heights(self.levels, clip=False)

    @property
    def norm(self) -> Normalize:
        """From heights to the ends of a colour map."""
        return Normalize(self.ticks[0], self.ticks[-1])

    def marks(self, most: int) -> np.ndarray:
        """Heights to put a number at: the levels, thinned where there are more than `most`."""
        if self.constant:
            return np.array([self.ticks.mean()])
        return self.ticks[:: -(-len(self.ticks) // most)]

    def heights(self, losses: np.ndarray | list[float], *, clip: bool = True) -> np.ndarray:
        """Losses on this scale, clipped to it: themselves, or their decimal logarithm. NaN where not finite."""
        values = finite(np.asarray(losses))
        values = np.clip(values, self.low, self.high) if clip else values
        return np.log10(values) if self.log else values

    def text(self, height: float) -> str:
        """The loss that a height stands for, with digits enough to tell the levels apart."""
        return number(10**height if self.log else height, digits_of(self.levels))


def choose_scale(losses: np.ndarray, log: bool) -> Scale:
    """A scale for the losses of a surface of any shape; they may be infinite, undefined, constant, zero or negative.

    log: ask for a logarithmic scale, which is also taken where no loss is negative and they span more than WIDE.
    """
    drawn = finite(losses)
    values = drawn[np.isfinite(drawn)]
    counts = {"missing": drawn.size - values.size, "points": drawn.size}
    if not values.size:
        return Scale(False, 0.0, 1.0, [0.0, 1.0], **counts)
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        middle, spread = (low + high) / 2, max(abs(low) * 0.05, 1e-9)
        where = "wherever it is finite" if counts["missing"] else "at every point"
        notes = [f"The loss is {number(middle)} {where}."]
        return Scale(False, low, high, [middle - spread, middle + spread], **counts, notes=notes)
    positive = _without_lone(values[values > 0])
    possible = positive.size and positive.max() > positive.min()
    if possible and (log or (low >= 0 and high > WIDE * positive.min())):
        low, high = _window(positive)
        notes = [] if log else ["Logarithmic scale, since the losses span more than two decades."]
        return Scale(True, low, high, _decades(low, high), **counts, notes=notes + _clipped(values, low, high))
    notes = ["A logarithmic scale needs positive losses, so this one is linear."] if log else []
    if low < 0 < (ceiling := low + STEEP * (float(np.median(values)) - low)):
        high = min(high, ceiling)
    return Scale(False, low, high, _linear(low, high), **counts, notes=notes + _clipped(values, low, high))


def _without_lone(positive: np.ndarray) -> np.ndarray:
    """Positive losses without a single one far below all others: the centre of targets that are its own outputs.

    Its 1e-15 would take most of a logarithmic scale.
    """
    ordered = np.sort(positive)
    return ordered[1:] if len(ordered) > 2 and ordered[1] > WIDE * ordered[0] else ordered


def _window(positive: np.ndarray) -> tuple[float, float]:
    """The part of a range of positive losses that a logarithmic scale shows."""
    high = float(positive.max())
    low = max(float(positive.min()), min(NOISE, DEEP * high))
    return low, min(high, LONG * low)


def _clipped(values: np.ndarray, low: float, high: float) -> list[str]:
    notes = []
    for count, where, end in ((int((values < low).sum()), "below", low), (int((values > high).sum()), "above", high)):
        if count:
            notes.append(f"{count:,} point{'s' * (count != 1)} with a loss {where} {number(end)} drawn at that value.")
    return notes


def _linear(low: float, high: float) -> list[float]:
    locator = MaxNLocator(MOST_LEVELS - 1, steps=[1, 2, 2.5, 5, 10])
    return [float(level) for level in locator.tick_values(low, high)]


def _decades(low: float, high: float) -> list[float]:
    """Round levels, evenly spaced in the logarithm as nearly as round numbers are."""
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    best = [10.0**power for power in range(first, last + 1)]
    for mantissas in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        levels = [float(f"{mantissa}e{power}") for power in range(first, last + 1) for mantissa in mantissas]
        best = max(best, _around(levels, low, high), key=lambda found: len(found) if len(found) <= MOST_LEVELS else 0)
    fine = _around(_linear(low, high), low, high)
    return fine if len(_around(best, low, high)) < 6 and fine[0] > 0 else _around(best, low, high)


def _around(levels: list[float], low: float, high: float) -> list[float]:
    """The levels from the last one at or below `low` to the first one at or above `high`."""
    start = max((index for index, level in enumerate(levels) if level <= low), default=0)
    end = min((index for index, level in enumerate(levels) if level >= high), default=len(levels) - 1)
    return levels[start : end + 1]

"""Colour scales of losses and of differences: linear or logarithmic, with levels that read well."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from lossscape.errors import BadInput
from lossscape.figures.how import How, how
from lossscape.figures.text import finite
from lossscape.text import counted, digits_of, number

MOST_LEVELS = 18
WIDE = 100.0
"""Losses that span a larger factor than this are drawn on a logarithmic scale."""
NOISE, DEEP, LONG = 1e-9, 1e-8, 1e12
"""A logarithmic scale begins at the least loss that is more than rounding: NOISE, or DEEP times the greatest if that is
less. It spans a factor LONG at most, or as far as to the median."""
DECADES = 7
"""Most decades that a logarithmic scale of differences shows to either side."""
STEEP = 30.0
"""With negative losses, a linear scale ends this many times as far above the least loss as the median is."""


@dataclass(frozen=True)
class Scale:
    """How losses become heights and colours."""

    colours: ClassVar[str] = "viridis"
    """Perceptually uniform, and readable with any colour vision and in grey."""
    levels: list[float]
    """Losses, ascending; the first is at or below `low`, the last at or above `high`."""
    missing: int
    """Losses that are infinite, undefined or too great to draw."""
    points: int
    low: float
    high: float
    log: bool = False
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
        return np.log10(self.levels) if self.log else np.array(self.levels)

    @property
    def norm(self) -> Normalize:
        """From heights to the ends of a colour map."""
        return Normalize(self.ticks[0], self.ticks[-1])

    @property
    def suffix(self) -> str:
        """What a label says of it."""
        return ", log scale" if self.log else ""

    def marks(self, most: int) -> np.ndarray:
        """Heights to put a number at: the levels, thinned where there are more than `most`."""
        if self.constant:
            return np.array([self.ticks.mean()])
        return self.ticks[:: -(-len(self.ticks) // most)]

    def heights(self, losses: np.ndarray | list[float]) -> np.ndarray:
        """Losses on this scale, clipped to it: themselves, or their decimal logarithm. NaN where not finite."""
        values = np.clip(finite(losses), self.low, self.high)
        return np.log10(values) if self.log else values

    def text(self, height: float) -> str:
        """The loss that a height stands for, with digits enough to tell the levels apart."""
        return number(10**height if self.log else height, digits_of(self.levels))

    def lost_words(self, where: str) -> list[str]:
        """A sentence about the losses that are missing, where there are any."""
        of = f"{self.missing:,} of {counted(self.points, 'point')}"
        return [f"{where}: {of}, whose loss is infinite, undefined or above 1e30."] if self.missing else []


def choose_scale(losses: np.ndarray, log: bool, asked: How | None = None) -> Scale:
    """A scale for the losses of a surface of any shape; they may be infinite, undefined, constant, zero or negative.

    log: ask for a logarithmic scale, which is also taken where no loss is negative and they span more than WIDE;
    asked: ends and levels that are asked for, by default by the drawing options. Raises BadInput where no loss lies
    between the ends.
    """
    asked = how() if asked is None else asked
    drawn = finite(losses)
    values = drawn[np.isfinite(drawn)]
    counts = {"missing": drawn.size - values.size, "points": drawn.size}
    if not values.size:
        return Scale([0.0, 1.0], low=0.0, high=1.0, **counts)
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        middle, spread = (low + high) / 2, max(abs(low) * 0.05, 1e-9)
        where = "wherever it is finite" if counts["missing"] else "at every point"
        notes = [f"The loss is {number(middle)} {where}."]
        return Scale([middle - spread, middle + spread], low=low, high=high, notes=notes, **counts)
    rounding = min(NOISE, DEEP * high)
    positive = _without_lone(values[values > 0], rounding)
    possible = positive.size and positive.max() > positive.min() and all(end is None or end > 0 for end in _ends(asked))
    if possible and (log or (low >= 0 and high > WIDE * positive.min())):
        low = max(float(positive.min()), rounding)
        high = min(high, max(LONG * low, float(np.median(positive))))
        low, high = _between(low, high, asked)
        notes = [] if log else ["Logarithmic scale, since the losses span more than two decades."]
        notes += _clipped(values, low, high)
        return Scale(_levels(low, high, asked, _decades), low=low, high=high, log=True, notes=notes, **counts)
    notes = ["A logarithmic scale needs positive losses, so this one is linear."] if log else []
    if low < 0 < (ceiling := low + STEEP * (float(np.median(values)) - low)):
        high = min(high, ceiling)
    low, high = _between(low, high, asked)
    notes += _clipped(values, low, high)
    return Scale(_levels(low, high, asked, _linear), low=low, high=high, notes=notes, **counts)


def _without_lone(positive: np.ndarray, rounding: float) -> np.ndarray:
    """Positive losses without a single one that is rounding, and far below all others.

    That of the centre of targets that are its own outputs, 1e-15, would take most of a logarithmic scale. One that is
    more than rounding begins it, however far below the others it lies.
    """
    ordered = np.sort(positive)
    lone = len(ordered) > 2 and ordered[0] < rounding and ordered[1] > WIDE * ordered[0]
    return ordered[1:] if lone else ordered


def _clipped(values: np.ndarray, low: float, high: float) -> list[str]:
    notes = []
    for count, where, end in ((int((values < low).sum()), "below", low), (int((values > high).sum()), "above", high)):
        if count:
            notes.append(f"{counted(count, 'point')} with a loss {where} {number(end)} drawn at that value.")
    return notes


def _ends(asked: How) -> list[float | None]:
    """Losses that a scale has to reach where they are asked for."""
    return [asked.vmin, asked.vmax, *([asked.levels[0]] if isinstance(asked.levels, tuple) else [])]


def _between(low: float, high: float, asked: How) -> tuple[float, float]:
    """The ends of a scale with those that are asked for. Raises BadInput where none is left between them."""
    ends = (low if asked.vmin is None else asked.vmin, high if asked.vmax is None else asked.vmax)
    if not ends[0] < ends[1]:
        flag, end = ("--vmin", ends[0]) if asked.vmin is not None else ("--vmax", ends[1])
        raise BadInput(f"{flag} {number(end)}: the losses lie between {number(low)} and {number(high)}")
    return ends


def _levels(low: float, high: float, asked: How, round_ones: Callable[[float, float, int], list[float]]) -> list[float]:
    """Levels from `low` or below to `high` or above: round ones, or those that are asked for and the ends."""
    if not isinstance(asked.levels, tuple):
        found = round_ones(low, high, asked.levels or MOST_LEVELS)
        return found if len(found) > 2 else [found[0], (low * high) ** 0.5 if low > 0 else (low + high) / 2, found[-1]]
    inside = [level for level in asked.levels if low < level < high]
    if not inside:
        raise BadInput(f"--levels: none of them lies between {number(low)} and {number(high)}, the ends of the scale")
    return [low, *inside, high]


def _linear(low: float, high: float, most: int) -> list[float]:
    locator = MaxNLocator(max(most - 1, 1), steps=[1, 2, 2.5, 5, 10])
    return [float(level) for level in locator.tick_values(low, high)]


def _decades(low: float, high: float, most: int) -> list[float]:
    """Round levels, evenly spaced in the logarithm as nearly as round numbers are."""
    if most > MOST_LEVELS:
        return [float(level) for level in np.geomspace(low, high, most)]
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    step = (last - first) // most + 1
    best = [float(f"1e{power}") for power in range(first, last + step, step)]
    for mantissas in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        levels = [float(f"{mantissa}e{power}") for power in range(first, last + 1) for mantissa in mantissas]
        best = max(best, _around(levels, low, high), key=lambda found: len(found) if len(found) <= most else 0)
    fine = _around(_linear(low, high, most), low, high)
    return fine if len(_around(best, low, high)) < min(6, most) and fine[0] > 0 else _around(best, low, high)


def _around(levels: list[float], low: float, high: float) -> list[float]:
    """The levels from the last one at or below `low` to the first one at or above `high`."""
    start = max((index for index, level in enumerate(levels) if level <= low), default=0)
    end = min((index for index, level in enumerate(levels) if level >= high), default=len(levels) - 1)
    return levels[start : end + 1]


@dataclass(frozen=True)
class Diverging(Scale):
    """How differences become heights and colours; as many levels below 0 as above, two of no difference at all."""

    colours: ClassVar[str] = "PuOr_r"
    """White at 0, and readable with any colour vision."""
    unit: float = 1.0
    """Below it a logarithmic scale is all but linear."""

    @property
    def ticks(self) -> np.ndarray:
        """The levels as heights."""
        return self.heights(self.levels)

    def heights(self, losses: np.ndarray | list[float]) -> np.ndarray:
        """Differences on this scale: themselves, or sign(d)·log10(1 + |d|/unit). NaN where not finite."""
        values = finite(losses)
        return np.sign(values) * np.log10(1 + np.abs(values) / self.unit) if self.log else values

    def text(self, height: float) -> str:
        """The difference that a height stands for."""
        value = np.sign(height) * (10 ** abs(height) - 1) * self.unit if self.log else height
        return ("+" if value > 0 else "") + number(float(value), 3)

    def marks(self, most: int) -> np.ndarray:
        """Heights to put a number at: the levels, thinned where there are more than `most`, 0 among them."""
        middle, step = len(self.levels) // 2, -(-len(self.levels) // most)
        return self.ticks[middle % step :: step]


def choose_diverging(differences: Sequence[np.ndarray]) -> Diverging:
    """A scale for all of these differences, of any shapes; NaN where there is none."""
    values = finite(np.concatenate([np.ravel(each) for each in differences]))
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    most, middle = (float(sizes.max()), float(np.median(sizes))) if sizes.size else (0.0, 0.0)
    counts: dict[str, Any] = {"missing": int(np.isnan(values).sum()), "points": values.size}
    if most <= NOISE:
        notes = ["There is no difference at any point beyond rounding."]
        return Diverging([-1.0, 1.0], low=-1.0, high=1.0, notes=notes, **counts)
    log = most > WIDE * middle
    if log:
        top = int(np.ceil(np.log10(most)))
        low = max(int(np.floor(np.log10(middle))), top - DECADES)
        half = [float(f"1e{power}") for power in range(low, top + 1)]
    else:
        steps = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(0.0, most)
        half = [float(level) for level in steps if level > 0]
    levels = [*(-level for level in reversed(half)), 0.0, *half]
    notes = [f"Differences beyond {number(half[0])} are drawn by their logarithm."] if log else []
    return Diverging(levels, low=-most, high=most, log=log, notes=notes, unit=half[0], **counts)

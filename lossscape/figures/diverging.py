"""The colour scale of differences: centred on 0, the same to either side, linear or logarithmic away from 0."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from lossscape.figures.text import finite
from lossscape.text import number

COLOURS = "PuOr_r"
"""Diverging, white at 0, and readable with any colour vision."""
NOISE = 1e-9
"""Differences below it are rounding, and not blown up to a picture."""
WIDE = 100.0
"""Where the greatest difference is so many times the median one, the scale is logarithmic away from 0."""
DECADES = 7
"""Most decades that a logarithmic scale shows to either side."""


@dataclass(frozen=True)
class Diverging:
    """How differences become heights and colours."""

    unit: float
    """Below it a logarithmic scale is all but linear; 0 of a linear one."""
    levels: list[float]
    """Differences, ascending, as many below 0 as above; two where there is nothing to tell apart."""
    notes: list[str] = field(default_factory=list)

    @property
    def log(self) -> bool:
        """Whether large differences are drawn by their logarithm."""
        return self.unit > 0

    @property
    def ticks(self) -> np.ndarray:
        """The levels as heights."""
        return self.heights(self.levels)

    @property
    def norm(self) -> Normalize:
        """From heights to the ends of a colour map."""
        return Normalize(self.ticks[0], self.ticks[-1])

    def heights(self, differences: np.ndarray | Sequence[float]) -> np.ndarray:
        """Differences on this scale: themselves, or sign(d)·log10(1 + |d|/unit). NaN where not finite."""
        values = finite(np.asarray(differences))
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
    sizes = np.concatenate([np.abs(finite(each)).ravel() for each in differences])
    sizes = sizes[sizes > 0]
    most, middle = (float(sizes.max()), float(np.median(sizes))) if sizes.size else (0.0, 0.0)
    if most <= NOISE:
        return Diverging(0.0, [-1.0, 1.0], ["There is no difference at any point beyond rounding."])
    if most <= WIDE * middle:
        step = MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]).tick_values(0.0, most)
        half = [float(level) for level in step if level > 0]
        return Diverging(0.0, [*(-level for level in reversed(half)), 0.0, *half])
    top = int(np.ceil(np.log10(most)))
    low = max(int(np.floor(np.log10(middle))), top - DECADES)
    half = [float(f"1e{power}") for power in range(low, top + 1)]
    note = f"Differences beyond {number(half[0])} are drawn by their logarithm."
    return Diverging(half[0], [*(-level for level in reversed(half)), 0.0, *half], [note])

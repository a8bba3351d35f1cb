"""How columns are predicted, and what an error of them counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lossscape.evaluate.predicted.lattices import of_each

FLOOR, SMALL = 0.01, 1e-9
"""Losses below the smallest on the coarsest lattice, or below SMALL, count as that large; where this part of the median
there is less, as that."""
UNSEEN = "_stderr"
"""End of the names of columns that are predicted, but decide nothing and are not held to the tolerance."""
AIM = 0.6
"""Points are evaluated where estimates of a loss, or details beside them, are above this part of the tolerance; of
other columns above the whole of it."""


@dataclass(frozen=True)
class Scale:
    """How the values of a column are predicted, and what an error of them counts."""

    name: str
    """Of the transform, in words."""
    forward: Callable[[np.ndarray], np.ndarray]
    backward: Callable[[np.ndarray], np.ndarray]
    floor: float
    """Errors count in parts of the value, or of this where that is more."""
    relative: bool
    """Whether they do so; otherwise in parts of `floor`."""
    low: float
    high: float
    """No prediction goes beyond these values."""
    counts: bool
    """Whether the column is held to the tolerance."""

    def errors(self, values: np.ndarray, predicted: np.ndarray, tolerance: float) -> np.ndarray:
        """Errors of predictions in units of what is allowed; infinite where one alone is not finite."""
        unit = np.maximum(np.abs(values), self.floor) if self.relative else self.floor
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(values - predicted) / (tolerance * unit)
        same = (values == predicted) | (np.isnan(values) & np.isnan(predicted))
        return np.where(same, 0.0, np.where(np.isfinite(values) & np.isfinite(predicted), apart, np.inf))


def scales_for(name: str, values: np.ndarray, share: float | None = None) -> list[Scale]:
    """The scales under which a column may be predicted, by its values on the coarsest lattice.

    The first is as it is; the second, where there are others, the log. share: of a column between 0 and 1, whose errors
    count as they are, in parts of this where it is more than 1.
    """
    finite = values[np.isfinite(values)]
    size = float(np.median(np.abs(finite))) if len(finite) else 1.0
    largest = float(np.abs(finite).max(initial=0.0))
    bounded, positive = share is not None, bool((finite >= 0).all())
    relative = name.endswith("loss") and not bounded
    least = max(float(np.abs(finite[finite != 0]).min(initial=np.inf)), SMALL)
    floor = min(FLOOR * (size or largest), least) if relative else largest if share is None else max(1.0, share)
    low = 0.0 if bounded or name.endswith(UNSEEN) or (relative and positive) else -np.inf
    rest = (floor or 1.0, relative, low, 1.0 if bounded else np.inf, not name.endswith(UNSEEN))
    plain = Scale("as it is", _same, _same, *rest)
    if bounded or not positive or largest == 0:
        return [plain]
    smallest = 1e-3 * min(FLOOR * size, least) or largest * 1e-9
    shifted = [(f"log(value + {part * size:.3g})", part * size) for part in (FLOOR, 0.1, 1.0)]
    return [plain, *(_logarithmic(words, shift, smallest, rest) for words, shift in (("log", 0.0), *shifted))]


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _logarithmic(name: str, shift: float, smallest: float, rest: tuple[float, bool, float, float, bool]) -> Scale:
    return Scale(
        name,
        lambda values: np.log(np.maximum(values + shift, smallest)),
        lambda heights: np.exp(np.minimum(heights, 700.0)) - shift,
        *rest,
    )


@dataclass(frozen=True)
class Scales:
    """Those of all columns; errors in units of what is allowed."""

    names: Sequence[str]
    of: Sequence[Scale]
    tolerance: float

    @cached_property
    def counting(self) -> np.ndarray:
        """Which columns are held to the tolerance."""
        return np.array([scale.counts for scale in self.of])

    def errors(self, values: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Errors of predictions, [columns, …]; infinite where one alone is not finite."""
        pairs = zip(self.of, values, predicted, strict=True)
        return np.array([scale.errors(true, guess, self.tolerance) for scale, true, guess in pairs])

    def worst(self, errors: np.ndarray) -> np.ndarray:
        """The largest of the columns that are held to the tolerance."""
        worst: np.ndarray = errors[self.counting].max(0, initial=0.0)
        return worst

    def over(self, errors: np.ndarray) -> np.ndarray:
        """Where some column has too large an error for its neighbourhood to be predicted."""
        aims = np.array([(AIM if scale.relative else 1.0) if scale.counts else np.inf for scale in self.of])
        over: np.ndarray = np.any(errors > of_each(aims, errors), axis=0)
        return over

    def loss_errors(self, errors: np.ndarray) -> np.ndarray:
        """The largest of the losses, in parts of them; of all columns where none is a loss."""
        losses = np.array([name.endswith("loss") for name in self.names])
        worst: np.ndarray = self.tolerance * errors[losses if losses.any() else self.counting].max(0, initial=0.0)
        return worst

"""Measures of a surface of losses over a full grid: how wide, steep, lopsided and convex it is.

Distances are in the units of x and y, those of the scaled directions: with `filter` a fraction of the net's own
filters, with `unit` a distance between parameters. Losses that are not finite are counted, never replaced.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossscape.errors import BadInput
from lossscape.results.resolution import ROUNDING, unresolved

DEFAULT_LEVELS = ("+0.1", "+1", "x2")
LEAST = {"asymmetry": 0.1, "convex_fraction": 0.1}
"""Where these are less, a change of theirs is held against so much: near 0 every change is large beside themselves."""
FLOOR = 1e-9
"""A loss below it is 0 to rounding, and a multiple of it says nothing."""
_LEVEL = re.compile(r"(\+|x)?(\d+(?:\.\d*)?(?:e[+-]?\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Level:
    """A loss given by itself (0.5), by its height above the centre (+0.1) or as a multiple of the centre's (x2)."""

    text: str
    kind: str
    value: float

    def loss(self, centre: float) -> float:
        """The loss that it stands for, where the centre's is `centre`."""
        return {"+": centre + self.value, "x": centre * self.value}.get(self.kind, self.value)


def parse_level(text: str) -> Level:
    """A level as it is written: +0.1, x2 or 0.5. Raises BadInput."""
    match = _LEVEL.fullmatch(text.strip())
    if match is None or not np.isfinite(float(match[2])) or float(match[2]) <= 0:
        raise BadInput(f"level {text!r}: write +0.1 (above the centre), x2 (times the centre) or 0.5 (a loss)")
    return Level(text.strip().lower(), (match[1] or "").lower(), float(match[2]))


@dataclass(frozen=True)
class Width:
    """The region of a surface whose loss is at most a level."""

    level: Level
    loss: float
    """The loss that the level stands for; NaN where the centre's is not known."""
    share: float
    """Area of {L ≤ level} / area of the grid; NaN where the level is not above the centre's loss by more than FLOOR."""
    diameter: float
    """2·√(area/π), of the circle with the region's area, in units of the directions."""
    touches_edge: bool
    """Whether the region reaches the edge of the grid and may go on beyond: share and diameter are then bounds."""


@dataclass(frozen=True)
class SurfaceMeasures:
    """Measures of L over a grid; NaN where one is not defined."""

    centre_loss: float
    """L(0, 0); NaN where the centre is no point of the grid."""
    points: int
    missing: int
    """Points whose loss is infinite or undefined: they lie above every level and count in no other measure."""
    mean_slope: float
    """Mean over the cells of ‖∇L‖, loss per unit; of a cell, ∂L/∂x = (L₁₀ + L₁₁ − L₀₀ − L₀₁) / 2hₓ, ∂L/∂y likewise."""
    max_slope: float
    asymmetry: float
    """mean |L(p) − L(−p)| / mean |L(p) − L(0)| over p ≠ 0 with −p on the grid: 0 if even, 2 if L − L(0) is odd."""
    convex_fraction: float
    """Share of the inner points with a positive semidefinite Hessian of central differences at the grid's step."""
    widths: tuple[Width, ...]
    unresolved: tuple[str, ...] = ()
    """Names, as in `row`, of those that the grid does not resolve: every second point alone tells another value."""

    def row(self) -> dict[str, float]:
        """All numbers by name: of a level share, diameter and touches_edge (1 or 0)."""
        row = {name: float(getattr(self, name)) for name in ("centre_loss", "points", "missing", *_OF_STEPS)}
        for width in self.widths:
            row |= {
                f"share_{width.level.text}": width.share,
                f"diameter_{width.level.text}": width.diameter,
                f"touches_edge_{width.level.text}": float(width.touches_edge),
            }
        return row

    def of_steps(self) -> dict[str, float]:
        """Those that depend on how close the points lie."""
        return {name: value for name, value in self.row().items() if name.startswith((*_OF_STEPS, "share", "diameter"))}


_OF_STEPS = ("mean_slope", "max_slope", "asymmetry", "convex_fraction")


def measure_surface(
    x: np.ndarray, y: np.ndarray, loss: np.ndarray, levels: Sequence[str] = DEFAULT_LEVELS, *, precision: str = "fp64"
) -> SurfaceMeasures:
    """Measures of losses [len(y), len(x)] over a full grid of evenly spaced x and y, ascending.

    levels: of the widths, as parse_level reads them; precision: in which the losses were computed, which says how far
    rounding bends them. What the grid does not resolve is named. Raises BadInput where there is no full grid of 2 × 2
    points.
    """
    if min(len(x), len(y)) < 2 or loss.shape != (len(y), len(x)):
        raise BadInput(f"a surface of shape {list(loss.shape)} is no full grid of {len(x)} × {len(y)} points")
    loss = np.where(np.isfinite(loss), loss, np.nan)
    at_x, at_y = np.flatnonzero(x == 0), np.flatnonzero(y == 0)
    centre = float(loss[at_y[0], at_x[0]]) if at_x.size and at_y.size else np.nan

    def of_part(step: int) -> SurfaceMeasures:
        """Of every point, or of every second one, with one off the end of an axis that has an even number."""
        ends = [len(axis) - (len(axis) + 1) % 2 for axis in (x, y)]
        own = [slice(0, end, step) for end in ends]
        return _measures(x[own[0]], y[own[1]], loss[own[1], own[0]], levels, centre, ROUNDING[precision])

    found = _measures(x, y, loss, levels, centre, ROUNDING[precision])
    if min(len(x), len(y)) < 3:
        return replace(found, unresolved=unresolved(found.of_steps(), {}))
    whole = found if len(x) % 2 and len(y) % 2 else of_part(1)
    # a region without an area may be one between the points
    halved = {name: value for name, value in of_part(2).of_steps().items() if value or name in _OF_STEPS}
    return replace(found, unresolved=unresolved(whole.of_steps(), halved, LEAST))


def _measures(
    x: np.ndarray, y: np.ndarray, loss: np.ndarray, levels: Sequence[str], centre: float, rounding: float
) -> SurfaceMeasures:
    """Measures of losses that are finite or NaN; centre: the loss there, which need not be a point of them."""
    steps = float(np.ptp(x)) / (len(x) - 1), float(np.ptp(y)) / (len(y) - 1)
    slopes = cell_slopes(loss, *steps)
    slopes = slopes[np.isfinite(slopes)]
    convex = convex_points(loss, *steps, rounding)
    return SurfaceMeasures(
        centre_loss=centre,
        points=loss.size,
        missing=int(np.isnan(loss).sum()),
        mean_slope=float(slopes.mean()) if slopes.size else np.nan,
        max_slope=float(slopes.max()) if slopes.size else np.nan,
        asymmetry=asymmetry(x, y, loss, centre),
        convex_fraction=float(convex.mean()) if convex.size else np.nan,
        widths=tuple(width_under(loss, parse_level(level), centre, steps) for level in levels),
    )


def cell_slopes(loss: np.ndarray, x_step: float, y_step: float) -> np.ndarray:
    """‖∇L‖ in the middle of every cell [len(y) − 1, len(x) − 1]; NaN where a corner is."""
    across, up = np.diff(loss, axis=1), np.diff(loss, axis=0)
    return np.hypot((across[:-1] + across[1:]) / (2 * x_step), (up[:, :-1] + up[:, 1:]) / (2 * y_step))


def convex_points(loss: np.ndarray, x_step: float, y_step: float, rounding: float) -> np.ndarray:
    """Whether the Hessian is positive semidefinite, at the inner points whose nine neighbours are all finite.

    L_xx = (L(x+h) − 2L + L(x−h)) / h², L_xy = (L(+,+) − L(+,−) − L(−,+) + L(−,−)) / 4hₓh_y; its lesser eigenvalue is at
    least −4·rounding·max|L| / h², as far as rounding moves it, with the greatest of the nine losses and lesser step.
    """
    if min(loss.shape) < 3:
        return np.empty(0, dtype=bool)
    nine = np.lib.stride_tricks.sliding_window_view(loss, (3, 3)).reshape(-1, 3, 3)
    nine = nine[np.isfinite(nine).all(axis=(1, 2))]
    xx = (nine[:, 1, 0] - 2 * nine[:, 1, 1] + nine[:, 1, 2]) / x_step**2
    yy = (nine[:, 0, 1] - 2 * nine[:, 1, 1] + nine[:, 2, 1]) / y_step**2
    xy = (nine[:, 2, 2] - nine[:, 2, 0] - nine[:, 0, 2] + nine[:, 0, 0]) / (4 * x_step * y_step)
    lesser = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    noise = 4 * rounding * np.abs(nine).max(axis=(1, 2), initial=0.0) / min(x_step, y_step) ** 2
    convex: np.ndarray = lesser >= -noise
    return convex


def asymmetry(x: np.ndarray, y: np.ndarray, loss: np.ndarray, centre: float) -> float:
    """mean |L(p) − L(−p)| / mean |L(p) − L(0)| over the points p ≠ 0 with a finite loss at p and −p.

    NaN without a centre or an opposite point; 0 of a constant surface.
    """
    mirrored = [_opposite(values) for values in (x, y)]
    rows, columns = (np.flatnonzero(indices >= 0) for indices in (mirrored[1], mirrored[0]))
    here = loss[np.ix_(rows, columns)]
    there = loss[np.ix_(mirrored[1][rows], mirrored[0][columns])]
    both = np.isfinite(here) & np.isfinite(there)
    both &= (y[rows] != 0)[:, None] | (x[columns] != 0)[None, :]
    if not both.any() or not np.isfinite(centre):
        return np.nan
    apart, rise = np.abs(here - there)[both].mean(), np.abs(here[both] - centre).mean()
    return float(apart / rise) if rise > 0 else 0.0


def _opposite(values: np.ndarray) -> np.ndarray:
    """The index of −v for each v of an even axis [n]; −1 where it is not on the axis."""
    step = np.ptp(values) / (len(values) - 1)
    indices = np.round((-values - values[0]) / step).astype(int)
    inside = (indices >= 0) & (indices < len(values))
    found = np.abs(values[np.where(inside, indices, 0)] + values) < 1e-6 * step
    return np.where(inside & found, indices, -1)


def width_under(loss: np.ndarray, level: Level, centre: float, steps: tuple[float, float]) -> Width:
    """The region {L ≤ level}, L linear on the four triangles of every cell around the mean of its corners.

    A cell with a corner that is not finite lies outside. Without a centre only levels that need none are defined.
    """
    height = level.loss(centre)
    edge = np.concatenate([loss[[0, -1]].ravel(), loss[:, [0, -1]].ravel()])
    if not np.isfinite(height) or height <= centre + FLOOR:
        return Width(level, height, np.nan, np.nan, False)
    corners = np.stack([loss[:-1, :-1], loss[:-1, 1:], loss[1:, 1:], loss[1:, :-1]])
    corners = corners[:, np.isfinite(corners).all(axis=0)]
    middle = corners.mean(axis=0)
    below = sum(_part_below(np.stack([corners[i], corners[i - 1], middle]), height).sum() for i in range(4)) / 4
    cells = (loss.shape[0] - 1) * (loss.shape[1] - 1)
    area = float(below) * steps[0] * steps[1]
    return Width(level, height, float(below) / cells, 2 * (area / np.pi) ** 0.5, bool((edge <= height).any()))


def _part_below(corners: np.ndarray, height: float) -> np.ndarray:
    """The part [N] of triangles with these values at their corners [3, N] on which a linear function is ≤ height."""
    low, middle, high = np.sort(corners, axis=0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rising = (height - low) / (middle - low) * ((height - low) / (high - low))
        falling = 1 - (high - height) / (high - middle) * ((high - height) / (high - low))
    return np.where(height >= high, 1.0, np.where(height <= low, 0.0, np.where(height < middle, rising, falling)))

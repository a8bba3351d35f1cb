"""The values of a lattice as a tensor cubic spline through the one before it predicts them, finite or not."""

from collections.abc import Sequence

import numpy as np

from lossscape.evaluate.predicted.lattices import Level, spread
from lossscape.evaluate.predicted.scales import Scale

NOT_FINITE = np.array([0.0, np.nan, np.inf, -np.inf])
"""By their kinds; the first stands for what is."""


def finer(coarse: np.ndarray, level: Level, scale: Scale) -> np.ndarray:
    """A column on a lattice, from its values on the one before it."""
    kinds = _kinds(coarse)
    heights = scale.forward(_filled(coarse, kinds))
    low, high = heights.min(), heights.max()
    for dimension, (to, before) in enumerate(zip(level.values, level.before, strict=True)):
        heights = _spline(to[before], heights, to, dimension)
    reach = (high - low) / 2
    back = np.clip(scale.backward(np.clip(heights, low - reach, high + reach)), scale.low, scale.high)
    if kinds.any():
        most, least = _around(kinds, level)
        back = np.where((most > 0) & (most == least), NOT_FINITE[most], back)
    return back


def mixed(coarse: np.ndarray, level: Level) -> np.ndarray:
    """Where on a lattice some of what is around is finite and some is not, or not in the same way."""
    kinds = _kinds(coarse)
    if not kinds.any():
        return np.zeros(level.new.shape, dtype=bool)
    most, least = _around(kinds, level)
    unlike: np.ndarray = most != least
    return unlike


def best(scales: Sequence[Scale], values: np.ndarray, level: Level, tolerance: float) -> Scale:
    """The scale under which every other value of a column on a lattice predicts the rest best.

    scales: as it is, the log, others, each of which has to be better by a tenth than those before it, the log first.
    """
    half = level.half()
    if half is None:
        return scales[0]
    found, least = scales[0], np.inf
    for scale in (*scales[1:2], scales[0], *scales[2:]):
        errors = scale.errors(values, finer(values[half.old], half, scale), tolerance)[half.new]
        cost = float(np.mean(np.minimum(errors, 100.0) ** 0.5)) if len(errors) else 0.0
        if cost < least * 0.9:
            found, least = scale, cost
    return found


def _spline(x: np.ndarray, values: np.ndarray, to: np.ndarray, dimension: int) -> np.ndarray:
    """The cubic spline (not-a-knot) through values along a dimension, at other points of it."""
    from scipy.interpolate import make_interp_spline

    if len(x) == len(to):
        return values
    found: np.ndarray = make_interp_spline(x, values, k=min(3, len(x) - 1), axis=dimension)(to)
    return found


def _kinds(values: np.ndarray) -> np.ndarray:
    """0 of finite numbers, otherwise the place in NOT_FINITE."""
    return np.where(np.isfinite(values), 0, np.where(np.isnan(values), 1, np.where(values > 0, 2, 3)))


def _around(kinds: np.ndarray, level: Level) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the smallest kind of the points of the lattice before around each of a lattice's."""
    return spread(level.placed(kinds[None]))[0], -spread(level.placed(-kinds[None], -len(NOT_FINITE)))[0]


def _filled(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Values with those that are not finite replaced by the nearest that is; 0 where there is none."""
    from scipy.ndimage import distance_transform_edt

    if not kinds.any():
        return values
    if kinds.all():
        return np.zeros_like(values)
    nearest = distance_transform_edt(kinds > 0, return_distances=False, return_indices=True)
    return values[tuple(nearest)]

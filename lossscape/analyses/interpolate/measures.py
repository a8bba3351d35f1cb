"""Measures of a curve of losses between two points.

Monotonicity, Gauss length and distance moved follow Lucas et al. (ICML 2021, arXiv:2104.11044); the barrier is
given in both common forms, each by name.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from lossscape.evaluate.subspace import Subspace, axis
from lossscape.objective import Objective
from lossscape.results.resolution import ROUNDING, unresolved
from lossscape.vectors import Params, norm, subtract


@dataclass(frozen=True)
class CurveMeasures:
    """Measures of L(α) on α in [0, 1]."""

    monotone: bool
    """Whether L never rises from one point to the next."""
    bump_height: float
    """Largest rise max over α₁ < α₂ of L(α₂) − L(α₁); 0 for a monotone curve. The least Δ of Δ-monotonicity."""
    bump_start: float
    """α₁ of that rise."""
    bump_peak: float
    """α₂ of that rise."""
    bump_width: float
    """Length of the α after bump_start until L has come back to L(bump_start); to the end where it never does."""
    convex_fraction: float
    """Fraction of the inner points at which the second divided difference is not negative; 1 for a convex curve."""
    barrier_chord: float
    """max over α of L(α) − ((1 − α) L(0) + α L(1)) (Entezari et al., arXiv:2110.06296)."""
    barrier_mean: float
    """max over α of L(α) − (L(0) + L(1)) / 2 (Frankle et al., arXiv:1912.05671)."""
    unresolved: tuple[str, ...] = ()
    """Names of the measures that the points do not resolve: every second one alone tells another value."""


FLAT = 1e-3
"""Curvature, as a share of the greatest loss per unit of α², that second differences shall tell from rounding."""
SMALL = 1e-2
"""Share of the span of the losses: a rise or barrier that is less is held against so much."""
_OF_STEPS = ("bump_height", "bump_width", "convex_fraction", "barrier_chord", "barrier_mean")


def measure_curve(alpha: np.ndarray, loss: np.ndarray, precision: str = "fp64") -> CurveMeasures | None:
    """Measures of a sampled curve on [0, 1]; None where 0 or 1 is not among its points or a loss is not finite.

    alpha: [P], ascending; loss: [P]; precision: in which the losses were computed, which says how far rounding bends
    them. Every measure but the widths is in the units of the loss. What the points do not resolve is named.
    """
    inside = (alpha >= 0) & (alpha <= 1)
    alpha, loss = alpha[inside], loss[inside]
    if len(alpha) < 3 or alpha[0] != 0 or alpha[-1] != 1 or not np.isfinite(loss).all():
        return None
    rounding = ROUNDING[precision]
    found = _measures(alpha, loss, rounding)
    second = np.unique(np.append(np.arange(0, len(alpha), 2), len(alpha) - 1))
    halved = _measures(alpha[second], loss[second], rounding) if len(second) > 2 else None
    values, others = ({name: getattr(each, name) for name in _OF_STEPS} if each else {} for each in (found, halved))
    small = SMALL * float(np.ptp(loss))
    floors = {"bump_height": small, "barrier_chord": small, "barrier_mean": small, "convex_fraction": 0.1}
    unclear = set(unresolved(values, others, floors))
    if stride_of(alpha, rounding) is None:
        unclear.add("convex_fraction")
    return replace(found, unresolved=tuple(name for name in _OF_STEPS if name in unclear))


def proven(whole: CurveMeasures, known: CurveMeasures) -> CurveMeasures:
    """The measures of a curve of which some points are predicted, with the rises of those that are known alone.

    Second differences of predictions are not those of the losses, so what they say counts as unresolved.
    """
    rises = {
        name: getattr(known, name) for name in ("monotone", "bump_height", "bump_start", "bump_peak", "bump_width")
    }
    return replace(whole, **rises, unresolved=tuple(dict.fromkeys((*whole.unresolved, "convex_fraction"))))


def _measures(alpha: np.ndarray, loss: np.ndarray, rounding: float) -> CurveMeasures:
    """Of finite losses, at 0, 1 and points between them."""
    lowest = np.minimum.accumulate(loss)
    peak = int(np.argmax(loss - lowest))
    start = int(np.argmin(loss[: peak + 1]))
    height = float(loss[peak] - loss[start])
    back = np.nonzero(loss[peak:] <= loss[start])[0] if height > 0 else np.array([0])
    end = peak + int(back[0]) if len(back) else len(alpha) - 1
    return CurveMeasures(
        monotone=height <= 0,
        bump_height=height,
        bump_start=float(alpha[start]) if height > 0 else 0.0,
        bump_peak=float(alpha[peak]) if height > 0 else 0.0,
        bump_width=float(alpha[end] - alpha[start]) if height > 0 else 0.0,
        convex_fraction=convex_fraction(alpha, loss, rounding),
        barrier_chord=float(np.max(loss - ((1 - alpha) * loss[0] + alpha * loss[-1]))),
        barrier_mean=float(np.max(loss - (loss[0] + loss[-1]) / 2)),
    )


def convex_fraction(alpha: np.ndarray, loss: np.ndarray, rounding: float) -> float:
    """Fraction of the inner points at which L[α₋, α, α₊] ≥ −τ, twice which is the curvature there.

    L[α₋, α, α₊] = ((L₊ − L)/h₊ − (L − L₋)/h₋) / (h₋ + h₊), of neighbours far enough apart for rounding to hide no
    curvature of FLAT · max|L| (`stride_of`); τ = 2·rounding·max|L| / h₋h₊ is what rounding moves it by.
    """
    stride = stride_of(alpha, rounding) or (len(alpha) - 1) // 2
    before, after = (alpha[stride:-stride] - alpha[: -2 * stride], alpha[2 * stride :] - alpha[stride:-stride])
    falls, rises = (loss[stride:-stride] - loss[: -2 * stride], loss[2 * stride :] - loss[stride:-stride])
    bends = (rises / after - falls / before) / (before + after)
    noise = 2 * rounding * float(np.abs(loss).max()) / (before * after)
    return float(np.mean(bends >= -noise))


def stride_of(alpha: np.ndarray, rounding: float) -> int | None:
    """How many points away the neighbours of a second difference are, 1 where rounding lets them be the nearest.

    The least number at which they lie √(4·rounding / FLAT) apart from every point, so that a curvature of FLAT times
    the greatest loss is more than rounding. None where the line is too short for that.
    """
    apart, strides = math.sqrt(4 * rounding / FLAT), range(1, (len(alpha) - 1) // 2 + 1)
    index = bisect_left(strides, apart, key=lambda stride: float((alpha[stride:] - alpha[:-stride]).min()))
    return strides[index] if index < len(strides) else None


def gauss_length(
    objective: Objective, subspace: Subspace, points: int = 51, done: Callable[[int], None] | None = None
) -> float:
    """Mean Gauss length of the logits' paths, in radians: how much they turn on the way from α = 0 to 1.

    For each sample of the objective the logits z(α) at `points` values of α make a polygon in [C] dimensions; its
    Gauss length is the sum of the angles between neighbouring edges: 0 for a straight path, 2π for a circle
    (Lucas et al., §4). Compute it in float64, where close points do not drown in rounding.
    """
    paths = torch.stack([objective.outputs(*subspace.at((alpha,)), done) for alpha in axis(points, 0.0, 1.0)])
    paths = paths.reshape(points, len(objective), -1)  # of one number, and of several positions
    edges = paths.diff(dim=0)
    a, b = edges[:-1], edges[1:]
    lengths = a.norm(dim=2) * b.norm(dim=2)
    # 2·atan2(|â − b̂|, |â + b̂|) keeps its digits at small angles, where acos of a cosine loses half of them
    a_hat, b_hat = torch.nn.functional.normalize(a, dim=2), torch.nn.functional.normalize(b, dim=2)
    angles = 2 * torch.atan2((a_hat - b_hat).norm(dim=2), (a_hat + b_hat).norm(dim=2))
    return float(torch.where(lengths == 0, 0.0, angles).sum(0).mean())  # NaN of outputs that are not finite


def distance_moved(start: Params, end: Params) -> float:
    """‖θ_end − θ_start‖ / ‖θ_start‖, Lucas et al.'s normalised distance moved."""
    length = norm(start)
    return norm(subtract(end, start)) / length if length else float("inf")


def convexity_defect(positions: np.ndarray, loss: np.ndarray) -> float:
    """Greatest height of a curve above its lower convex hull: 0 for a convex one, in units of the loss.

    positions: ascending [N]; loss: [N]. NaN where a loss is not finite. The greatest lower bound of the distance to
    any convex function, times two, in the maximum norm.
    """
    if not np.isfinite(loss).all():
        return math.nan
    hull: list[int] = []
    for index in range(len(positions)):  # Andrew's monotone chain, of the lower side alone
        while len(hull) > 1:
            (a, b), c = hull[-2:], index
            below = (loss[b] - loss[a]) * (positions[c] - positions[a])
            if below < (loss[c] - loss[a]) * (positions[b] - positions[a]):
                break
            hull.pop()
        hull.append(index)
    return float(np.max(loss - np.interp(positions, positions[hull], loss[hull])))

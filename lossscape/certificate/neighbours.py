"""Which values of a grid, a line or scattered points are not what those around them lead to expect.

Along each axis five points in a row (fewer where a line is shorter) have a fourth divided difference, of which a cubic
through them leaves nothing: the residual of a local polynomial, to which a value that is wrong alone adds most. It
counts in units of what is usual nearby, the median of a cell of the grid, so that a rough surface has no outliers for
being rough, nor a steep one for being steep.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

WIDTH = 5
"""Points in a row."""
NEAREST = 8
"""Points around one that lies on no line of so many."""
CELLS = {1: 15, 2: 7}
"""Points of a cell along each axis, by dimensions."""
TOGETHER = 2**16
"""Points whose stencils are held at once."""
STANDS_OUT = 10.0
"""Sum of the residuals along all axes, in medians of their cell. Of normal numbers one in 2,600 has more."""


@dataclass(frozen=True)
class Standing:
    """How far each of P values stands out from its neighbours; NaN where it has too few."""

    spread: np.ndarray
    """In units of the residuals around it, on all axes together."""
    size: np.ndarray
    """In units of the values beside it, on the axis where it stands out least: of a ridge, hardly at all."""


@dataclass(frozen=True)
class Lines:
    """Points ordered by the lines along an axis."""

    order: np.ndarray
    """Their numbers."""
    place: np.ndarray
    """Of each in that order, on its line."""
    start: np.ndarray
    """Where its line begins."""
    length: np.ndarray
    """Of its line."""

    @classmethod
    def along(cls, points: np.ndarray, axis: int) -> "Lines":
        """points: [P, D]."""
        others = [column for k, column in enumerate(points.T) if k != axis]
        order = np.lexsort((points[:, axis], *others))
        new = np.arange(len(points)) == 0
        for column in others:
            new[1:] |= np.diff(column[order]) != 0
        line, starts = np.cumsum(new) - 1, np.flatnonzero(new)
        start = starts[line]
        return cls(order, np.arange(len(points)) - start, start, np.diff([*starts, len(points)])[line])


class Neighbours:
    """Points [P, D] with those that lie beside each."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = points
        self.lines = [Lines.along(points, axis) for axis in range(points.shape[1])]

    @property
    def known(self) -> bool:
        """Whether any point has enough neighbours."""
        return any((lines.length > 2).any() for lines in self.lines)

    def standing(self, values: np.ndarray, noise: np.ndarray) -> Standing:
        """values: [P]; noise: what rounding may make of each, [P].

        Values that are not finite are gaps; one that is alone in being so, or in not being so, stands out infinitely.
        """
        finite = np.isfinite(values)
        if finite.all():
            return self._of_finite(values, noise)
        here = np.flatnonzero(finite)
        found = Standing(np.full(len(values), np.nan), np.full(len(values), np.nan))
        among = Neighbours(self.points[here])._of_finite(values[here], noise[here]) if len(here) else None
        alone = self._alone(finite)
        for name, each in vars(found).items():
            if among is not None:
                each[here] = vars(among)[name]
            each[alone] = np.inf
        return found

    def _of_finite(self, values: np.ndarray, noise: np.ndarray) -> Standing:
        spread, size, known = np.zeros(len(values)), np.full(len(values), np.inf), np.zeros(len(values), dtype=bool)
        medians: list[np.ndarray] = []
        scattered = self._scattered
        for stencils in [*map(self._along, range(len(self.lines))), *([scattered] if scattered else [])]:
            residual, rounding, beside = (np.full(len(values), np.nan) for _ in range(3))
            for mine, stencil, weights in stencils:
                around = values[stencil]
                residual[mine] = np.abs((weights * around).sum(1))
                rounding[mine] = np.sqrt(np.square(weights * noise[stencil]).sum(1))
                beside[mine] = np.abs(around).mean(1)
            here = residual > 0  # which leaves NaN out
            known |= ~np.isnan(residual)
            if stencils is scattered:  # too few to have a median of their own
                usual = np.mean([np.where(np.isnan(each), np.nanmedian(each), each) for each in medians], axis=0)
            else:
                usual = _medians(residual, self._cells)
                medians += [] if np.isnan(usual).all() else [usual]
            with np.errstate(divide="ignore"):
                spread[here] += residual[here] / (usual[here] + rounding[here])
            part = np.where(here, residual / np.where(here, beside, 1.0), residual)
            size = np.fmin(size, part)
        return Standing(np.where(known, spread, np.nan), np.where(known, size, np.nan))

    def _along(self, axis: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Points, those in a row with each along an axis [n, w], and the weights of their divided difference [n, w].

        So many at a time that they take little memory; made again when they are asked for again.
        """
        lines = self.lines[axis]
        for width in range(3, WIDTH + 1):
            every = np.flatnonzero(np.minimum(lines.length, WIDTH) == width)
            for here in np.split(every, range(TOGETHER, len(every), TOGETHER)):
                first = np.clip(lines.place[here] - width // 2, 0, lines.length[here] - width) + lines.start[here]
                stencil = lines.order[first[:, None] + np.arange(width)]
                yield lines.order[here], stencil, _divided(self.points[stencil, axis])

    @cached_property
    def _scattered(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The same of points that have no such row along some axis where others have: a quadratic of those nearest."""
        rows = np.zeros(len(self.points), dtype=int)
        for lines in self.lines:
            widest = min(WIDTH, lines.length.max())
            rows[lines.order] += (np.minimum(lines.length, WIDTH) == widest) & (lines.length > 2)
        mine = np.flatnonzero(rows < rows.max())
        if self.points.shape[1] != 2 or len(self.points) <= NEAREST or not len(mine):
            return []
        from scipy.spatial import cKDTree

        scaled = self.points / np.ptp(self.points, axis=0)  # not 0, since some lie in a row along each axis
        far, near = cKDTree(scaled).query(scaled[mine], NEAREST + 1)  # the first is the point itself
        x, y = np.moveaxis((scaled[near[:, 1:]] - scaled[mine][:, None]) / far[:, -1:, None], 2, 0)
        terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=2)
        weights = np.concatenate([np.ones((len(mine), 1)), -np.linalg.pinv(terms, rcond=1e-6)[:, 0]], axis=1)
        return [(mine, near, weights / np.linalg.norm(weights, axis=1, keepdims=True))]

    @cached_property
    def _cells(self) -> np.ndarray:
        """The number of the cell that each point lies in."""
        found = np.zeros(len(self.points), dtype=np.int64)
        for column in self.points.T:
            values, places = np.unique(column, return_inverse=True)
            many = max(len(values) // CELLS.get(self.points.shape[1], CELLS[2]), 1)
            found = found * many + places * many // len(values)
        return found

    def _alone(self, finite: np.ndarray) -> np.ndarray:
        """Whether the two beside a point are finite and it is not, or otherwise, on every axis where there are two."""
        between, differs = (np.zeros(len(finite), dtype=int) for _ in range(2))
        for lines in self.lines:
            inner = np.flatnonzero((lines.place > 0) & (lines.place < lines.length - 1))
            mine, here = lines.order[inner], finite[lines.order]
            between[mine] += 1
            differs[mine] += (here[inner - 1] == here[inner + 1]) & (here[inner] != here[inner - 1])
        alone: np.ndarray = (between > 0) & (differs == between)
        return alone


def _divided(x: np.ndarray) -> np.ndarray:
    """Weights of the divided difference over all points of each row, of length 1; x: [n, w], ascending."""
    scaled = (x - x[:, :1]) / (x[:, -1:] - x[:, :1])
    weights = np.ones_like(scaled)
    for j in range(x.shape[1]):
        for k in range(x.shape[1]):
            if k != j:
                weights[:, j] /= scaled[:, j] - scaled[:, k]
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def _medians(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """The median of the values of each point's cell, leaving NaN out; NaN where it has none."""
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.lexsort((values[known], cells[known]))]
    names, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    found = np.full(int(cells.max(initial=0)) + 1, np.nan)
    found[names] = values[order][starts + counts // 2]
    return found[cells]

"""Which points of a grid are evaluated, round by round, what the others are, and what held-out points say of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lossscape.evaluate.predicted.lattices import levels_of, of_all
from lossscape.evaluate.predicted.refinement import Found, Refinement, draws, share
from lossscape.evaluate.predicted.scales import Scales, scales_for
from lossscape.evaluate.predicted.splines import best
from lossscape.evaluate.rows import Row
from lossscape.evaluate.subspace import Coordinates
from lossscape.options import NOTHING

ERROR = "estimated_error"
"""Column of the estimated error of the loss, in parts of max(|loss|, floor)."""
AUDIT = {1: 32, 2: 64}
"""Predicted points that are held out in the end, by dimensions; the square root of their number where that is more. Of
small grids fewer: a 25th where that is less, though as many as on a line, and never more than a tenth."""
AUDITS = 8
"""Times that held-out points are drawn anew, each time after what failed was evaluated."""
STREAM = 1000
"""Of the first draw of held-out points; those of lattices are below it."""
FAILING = 0.01
"""Part of the held-out points that may be off by more than the tolerance."""
ACCEPTED = FAILING / 4
"""Part of them with which no more are drawn: a draw in which just so many are off says nothing of the next."""
STRICT = 0.8
"""Held-out points count as off for that above this part of the tolerance: their worst is not the worst of all."""


@dataclass(frozen=True)
class HeldOut:
    """A prediction that was held against the value, which was evaluated after it."""

    point: Coordinates
    errors: dict[str, float]
    """By column, in units of what is allowed: above 1 it is over the tolerance."""


class Picture:
    """Decides which points of a full grid are evaluated, and predicts the others.

    axes: ascending values of each coordinate, one or two; columns: of the rows, those that end in `loss` in parts of
    themselves; tolerance: largest error; always: points to evaluate whatever they tell; resolution: by column that
    is a share, from 0 to 1, an error below which it says nothing, which is then allowed where that is more.
    """

    def __init__(
        self, axes: Sequence[np.ndarray], columns: Sequence[str], tolerance: float, seed: int = 0,
        always: Iterable[Coordinates] = (), resolution: Mapping[str, float] = NOTHING,
    ) -> None:  # fmt: skip
        self.axes = [np.asarray(axis, dtype=float) for axis in axes]
        self.columns, self.tolerance, self.seed = list(columns), tolerance, seed
        self.resolution = resolution
        self.shape = tuple(map(len, self.axes))
        places = [{value: place for place, value in enumerate(axis.tolist())} for axis in self.axes]
        found = [[place.get(float(value)) for place, value in zip(places, point, strict=True)] for point in always]
        self._always = [at for at in found if None not in at]
        self._levels = levels_of(self.axes)
        self._begin()

    @property
    def size(self) -> int:
        """Points of the grid."""
        return int(np.prod(self.shape))

    @cached_property
    def foreseen(self) -> int:
        """Points that a smooth picture takes, to say before it begins."""
        coarse = int(np.prod([len(places) for places in self._levels[0].places]))
        probes = share(int(self._levels[1].new.sum())) if len(self._levels) > 1 else 0
        return min(self.size, coarse + probes + self._audit_size(self.size - coarse))

    def more(self, known: Mapping[Coordinates, Row]) -> list[Coordinates]:
        """The points to evaluate next, none when all predictions are within the tolerance.

        known: the rows of all rounds before, on which alone the answer depends.
        """
        return self._points(self._next(known))

    def rows(self, known: Mapping[Coordinates, Row]) -> dict[Coordinates, Row]:
        """The predicted rows of all points that are not evaluated, by coordinates, with `estimated_error`."""
        points, values, errors = self.predicted(known)
        names, table = [*self.columns, ERROR], np.concatenate([values, errors[None]]).T.tolist()
        return {point: dict(zip(names, row, strict=True)) for point, row in zip(points, table, strict=True)}

    def predicted(self, known: Mapping[Coordinates, Row]) -> tuple[list[Coordinates], np.ndarray, np.ndarray]:
        """All P points that are not evaluated, their values [columns, P] and their estimated errors [P].

        Raises as `whole`.
        """
        values, errors = self.whole(known)
        at = np.argwhere(~self._known)
        return self._points(at), values[of_all(at.T)], errors[tuple(at.T)]

    def whole(self, known: Mapping[Coordinates, Row]) -> tuple[np.ndarray, np.ndarray]:
        """Values [columns, *grid] and estimated errors of the loss [*grid], 0 where evaluated.

        Raises ValueError where points that should have been evaluated are missing.
        """
        if len(self._next(known)):
            raise ValueError("points are missing that have to be evaluated")
        return (
            np.where(self._known, self._values, self._settled.values),
            np.where(self._known, 0.0, self._scales.loss_errors(self._settled.estimates)),
        )

    def held_out(self, known: Mapping[Coordinates, Row]) -> list[HeldOut]:
        """The held-out points that were drawn last, with what their predictions missed before they were evaluated.

        None where points are missing that have to be evaluated, or where none was left to predict.
        """
        if len(self._next(known)) or not self._audits or self._known.all():
            return []
        at, values = self._audits[-1]
        counting = self._scales.counting
        names = [name for name, counts in zip(self.columns, counting, strict=True) if counts]
        errors = self._scales.errors(self._values[of_all(at.T)], values)[counting].T.tolist()
        return [
            HeldOut(point, dict(zip(names, row, strict=True)))
            for point, row in zip(self._points(at), errors, strict=True)
        ]

    def facts(self) -> dict[str, object]:
        """How each column is predicted, and what its errors count in, once the coarsest lattice is known."""
        return {
            name: {"scale": scale.name, "floor": scale.floor, "relative": scale.relative}
            for name, scale in zip(self.columns, self._scales.of, strict=True)
            if scale.counts
        }

    def apart(self, values: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How far some values [columns, P] are from others, in units of what is allowed, once scales are known."""
        return self._scales.errors(values, others)

    # rounds, each from the rows of those before

    def _begin(self) -> None:
        self._values = np.full((len(self.columns), *self.shape), np.nan)
        self._settled = Found(self._values, self._values, self._values)
        self._known = np.zeros(self.shape, dtype=bool)
        self._rounds: list[np.ndarray] = []
        self._audits: list[tuple[np.ndarray, np.ndarray]] = []
        self._scales = Scales(self.columns, (), self.tolerance)
        self._done = False

    def _next(self, known: Mapping[Coordinates, Row]) -> np.ndarray:
        """Places [P, D] of the first round that is not known whole; none where all are."""
        if sum(map(len, self._rounds[:-1])) > len(known):
            self._begin()  # not a continuation of what was asked before
        while True:
            if self._done:
                return self._nowhere
            if self._rounds and not self._known[tuple(self._rounds[-1].T)].all():
                at = self._rounds[-1]
                points = self._points(at)
                if not all(point in known for point in points):
                    return at
                self._take(at, [known[point] for point in points])
            at = self._decide()
            if len(at):
                self._rounds.append(at)
            else:
                self._done = True

    def _take(self, at: np.ndarray, rows: Sequence[Row]) -> None:
        table = [[np.nan if (value := row[name]) is None else value for name in self.columns] for row in rows]
        self._values[of_all(at.T)] = np.array(table, dtype=float).T
        self._known[tuple(at.T)] = True

    def _decide(self) -> np.ndarray:
        if not self._rounds:
            wanted = np.zeros(self.shape, dtype=bool)
            wanted[self._levels[0].mesh] = True
            for at in self._always:
                wanted[tuple(at)] = True
            return np.argwhere(wanted)
        if not self._scales.of:
            self._scales = self._chosen()
        if self._audits and self._passed():
            return self._nowhere
        found, wanted = Refinement(self._levels, self._scales, self._values, self._known, self.seed).settle()
        if len(wanted):
            return wanted
        self._settled = found
        return self._audit()

    def _chosen(self) -> Scales:
        """How each column is predicted, from the coarsest lattice."""
        first, found = self._levels[0], []
        for name, values in zip(self.columns, self._values[of_all(first.mesh)], strict=True):
            share = self.resolution[name] / self.tolerance if name in self.resolution else None
            scales = scales_for(name, values, share)
            found.append(best(scales, values, first, self.tolerance))
        return Scales(self.columns, found, self.tolerance)

    def _audit(self) -> np.ndarray:
        """Held-out points from all that are predicted, as long as too many of those drawn before were off."""
        left = np.argwhere(~self._known)
        if not len(left) or len(self._audits) == AUDITS:
            return self._nowhere
        order = draws(self.seed, STREAM + len(self._audits)).permutation(len(left))
        at = left[np.sort(order[: self._audit_size(len(left))])]
        self._audits.append((at, self._settled.values[of_all(at.T)]))
        return at

    def _audit_size(self, left: int) -> int:
        few = max(AUDIT[1], left // 25)
        return min(-(-left // 10), few, max(AUDIT[len(self.shape)], round(left**0.5)))

    def _passed(self) -> bool:
        """Whether the held-out points that were drawn last had been predicted well."""
        at, values = self._audits[-1]
        errors = self._scales.worst(self._scales.errors(self._values[of_all(at.T)], values))
        return bool((errors > STRICT).mean() <= ACCEPTED)

    @property
    def _nowhere(self) -> np.ndarray:
        return np.empty((0, len(self.shape)), dtype=int)

    def _points(self, at: np.ndarray) -> list[Coordinates]:
        return list(zip(*(axis[column].tolist() for axis, column in zip(self.axes, at.T, strict=True)), strict=True))

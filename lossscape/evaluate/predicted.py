"""A whole grid to a stated error from a few of its points: the others are predicted, and where that fails, evaluated.

Multiresolution in the sense of Harten (J. Comput. Phys. 115, 1994): a lattice of about eleven values an axis is
evaluated; every finer one, down to the grid itself, is predicted from the one before it by a tensor cubic spline. What
a prediction misses at a point that is evaluated is its detail. Points are evaluated where the details around lead to
expect more than the tolerance, beside those whose detail is over it, and where some of what surrounds them is not
finite. A seeded draw of points that stay predicted, of which no decision has seen anything, says at the end how good it
is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from lossscape.evaluate.rows import Row
from lossscape.evaluate.subspace import Coordinates
from lossscape.options import NOTHING

ERROR = "estimated_error"
"""Column of the estimated error of the loss, in parts of max(|loss|, floor)."""
FLOOR = 0.01
"""Of the median of |loss| on the coarsest lattice: losses below it count as that large."""
BOUNDED = ("accuracy", "error", "top5")
"""Metrics between 0 and 1: their errors count as they are."""
UNSEEN = "_stderr"
"""End of the names of columns that are predicted, but decide nothing and are not held to the tolerance."""
STEPS = {1: (16, 8), 2: (10, 8)}
"""Most and fewest intervals of the coarsest lattice along an axis, by dimensions."""
PROBES = 32
"""Of the points that a lattice adds and that may be off, a tenth is looked at before its errors are estimated: so many
at most, or the square root of their number where that is more."""
AUDIT = {1: 32, 2: 64}
"""Predicted points that are held out in the end, by dimensions; the square root of their number where that is more. Of
small grids fewer: a 25th where that is less, though as many as on a line, and never more than a tenth."""
AUDITS = 8
"""Times that held-out points are drawn anew, each time after what failed was evaluated."""
FAILING = 0.01
"""Part of the held-out points that may be off by more than the tolerance."""
ACCEPTED = FAILING / 4
"""Part of them with which no more are drawn: a draw in which just so many are off says nothing of the next."""
STRICT = 0.8
"""Held-out points count as off for that above this part of the tolerance: their worst is not the worst of all."""
DECAY = 0.25
"""What is left of details on the next lattice before any of its own are known (of a smooth function 1/16)."""
LEAST_DECAY = 1 / 16
MOST_LEFT = 0.5
"""Where this part of the details around were left, a point might be over the tolerance."""
QUANTILE = 0.9
"""Of the parts that were seen to be left."""
NOTABLE = 0.1
"""Details above this part of the tolerance tell how details decay."""
AIM = 0.6
"""Points are evaluated where estimates of a loss, or details beside them, are above this part of the tolerance; of
other columns above the whole of it."""
MOSTLY = 0.7
"""Where a larger part of the points that a lattice adds is evaluated, all of them are."""
SAFER = 1.5
"""Estimates grow by this factor whenever held-out points fail."""
PURPOSE = 11
"""Second seed, so that the draws share no random stream with others of that seed."""

NOT_FINITE = np.array([0.0, np.nan, np.inf, -np.inf])
"""By their kinds; the first stands for what is."""

Index = tuple[int, ...]
"""Of a point in the grid: a place on each axis."""


@dataclass(frozen=True)
class HeldOut:
    """A prediction that was held against the value, which was evaluated after it."""

    point: Coordinates
    errors: dict[str, float]
    """By column, in units of what is allowed: above 1 it is over the tolerance."""


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

    def unit(self, values: np.ndarray) -> np.ndarray:
        """What errors of such values are divided by."""
        floor = np.full(values.shape, self.floor)
        return np.maximum(np.abs(values), floor) if self.relative else floor


def lattices(length: int, most: int, fewest: int) -> list[np.ndarray]:
    """Places on an axis of `length` values, coarsest lattice first, each within the next; the last has all.

    The coarsest has the number of intervals, within the limits, that divides the axis most evenly.
    """
    last = length - 1
    if last <= most:
        return [np.arange(length)]
    steps = min(range(most, fewest - 1, -1), key=lambda count: (last % count > 0, -count))
    found = [np.unique(np.round(np.linspace(0, last, steps + 1)).astype(int))]
    while len(found[-1]) < length:
        here = found[-1]
        found.append(np.unique(np.concatenate([here, (here[:-1] + here[1:]) // 2])))
    return found


@dataclass
class _Level:
    """A lattice: its places on each axis, and which of its points the one before it has not."""

    places: list[np.ndarray]
    before: list[np.ndarray]
    """Where the places of the lattice before it are among these."""
    new: np.ndarray

    @cached_property
    def mesh(self) -> tuple[np.ndarray, ...]:
        """What picks its points from an array over the grid."""
        return np.ix_(*self.places)


@dataclass
class _Found:
    """What is known of a lattice's points, [columns, *lattice]."""

    values: np.ndarray
    """Evaluated, or predicted."""
    estimates: np.ndarray
    """Of the errors of predicted ones, in units of what is allowed; 0 of evaluated ones."""
    details: np.ndarray
    """Of evaluated points that are new on it: what their predictions missed, in the same units; otherwise 0."""


class Picture:
    """Decides which points of a full grid are evaluated, and predicts the others.

    axes: ascending values of each coordinate, one or two; columns: of the rows, those that end in `loss` in parts of
    themselves; tolerance: largest error; always: points to evaluate whatever they tell; resolution: by column, an error
    below which it says nothing, which is then allowed where that is more.
    """

    def __init__(
        self, axes: Sequence[np.ndarray], columns: Sequence[str], tolerance: float, seed: int = 0,
        always: Iterable[Coordinates] = (), resolution: Mapping[str, float] = NOTHING,
    ) -> None:  # fmt: skip
        self.axes = [np.asarray(axis, dtype=float) for axis in axes]
        self.columns, self.tolerance, self.seed = list(columns), tolerance, seed
        self.resolution = resolution
        self.shape = tuple(map(len, self.axes))
        self._place = [{value: place for place, value in enumerate(axis.tolist())} for axis in self.axes]
        self._always = [self.place(point) for point in always if self._on_grid(point)]
        self._levels = self._make_levels()
        self._begin()

    @property
    def size(self) -> int:
        """Points of the grid."""
        return int(np.prod(self.shape))

    @cached_property
    def foreseen(self) -> int:
        """Points that a smooth picture takes, to say before it begins."""
        coarse = int(np.prod([len(places) for places in self._levels[0].places]))
        probes = self._share(int(self._levels[1].new.sum())) if len(self._levels) > 1 else 0
        return min(self.size, coarse + probes + self._audit_size(self.size - coarse))

    def more(self, known: Mapping[Coordinates, Row]) -> list[Coordinates]:
        """The points to evaluate next, none when all predictions are within the tolerance.

        known: the rows of all rounds before, on which alone the answer depends.
        """
        return self._points(self._next(known))

    def rows(self, known: Mapping[Coordinates, Row]) -> dict[Coordinates, Row]:
        """The predicted rows of all points that are not evaluated, by coordinates, with `estimated_error`."""
        values, estimates, at = self.predicted(known)
        names = [*self.columns, ERROR]
        table = np.concatenate([values, estimates[None]]).T.tolist()
        return {point: dict(zip(names, row, strict=True)) for point, row in zip(self._points(at), table, strict=True)}

    def predicted(self, known: Mapping[Coordinates, Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values [columns, P] and estimated errors [P] of all P points that are not evaluated, and their places [P, D].

        Raises as `whole`.
        """
        values, errors = self.whole(known)
        at = np.argwhere(~self._known)
        return values[_of_all(at.T)], errors[tuple(at.T)], at

    def whole(self, known: Mapping[Coordinates, Row]) -> tuple[np.ndarray, np.ndarray]:
        """Values [columns, *grid] and estimated errors of the loss [*grid], 0 where evaluated.

        Raises ValueError where points that should have been evaluated are missing.
        """
        if len(self._next(known)):
            raise ValueError("points are missing that have to be evaluated")
        return (
            np.where(self._known, self._values, self._settled.values),
            np.where(self._known, 0.0, self._loss_errors(self._settled.estimates)),
        )

    def held_out(self, known: Mapping[Coordinates, Row]) -> list[HeldOut]:
        """The held-out points that were drawn last, with what their predictions missed before they were evaluated.

        None where points are missing that have to be evaluated, or where none was left to predict.
        """
        if len(self._next(known)) or not self._audits or self._known.all():
            return []
        at, values = self._audits[-1]
        counts = [scale.counts for scale in self._scales]
        names = [name for name, one in zip(self.columns, counts, strict=True) if one]
        errors = self._errors(self._values[_of_all(at.T)], values, self._scales)[counts].T.tolist()
        return [
            HeldOut(point, dict(zip(names, row, strict=True)))
            for point, row in zip(self._points(at), errors, strict=True)
        ]

    def facts(self) -> dict[str, object]:
        """How each column is predicted, and what its errors count in, once the coarsest lattice is known."""
        return {
            name: {"scale": scale.name, "floor": scale.floor, "relative": scale.relative}
            for name, scale in zip(self.columns, self._scales, strict=True)
            if scale.counts
        }

    def place(self, point: Coordinates) -> Index:
        """Where a point of the grid lies on each axis."""
        return tuple(place[float(value)] for place, value in zip(self._place, point, strict=True))

    def apart(self, values: np.ndarray, others: np.ndarray) -> np.ndarray:
        """How far some values [columns, P] are from others, in units of what is allowed, once scales are known."""
        return self._errors(values, others, self._scales)

    # rounds, each from the rows of those before

    def _begin(self) -> None:
        self._settled = _Found(*(np.zeros((len(self.columns), *self.shape)) for _ in range(3)))
        self._values = np.full((len(self.columns), *self.shape), np.nan)
        self._known = np.zeros(self.shape, dtype=bool)
        self._rounds: list[np.ndarray] = []
        self._audits: list[tuple[np.ndarray, np.ndarray]] = []
        self._scales: list[Scale] = []
        self._done = False

    def _next(self, known: Mapping[Coordinates, Row]) -> np.ndarray:
        """Places [P, D] of the first round that is not known whole; none where all are."""
        if sum(map(len, self._rounds[:-1])) > len(known):
            self._begin()  # not a continuation of what was asked before
        while True:
            if self._done:
                return np.empty((0, len(self.shape)), dtype=int)
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
        self._values[_of_all(at.T)] = np.array(table, dtype=float).T
        self._known[tuple(at.T)] = True

    def _decide(self) -> np.ndarray:
        first = self._levels[0]
        if not self._rounds:
            wanted = np.zeros(self.shape, dtype=bool)
            wanted[first.mesh] = True
            for index in self._always:
                wanted[index] = True
            return np.argwhere(wanted)
        if not self._scales:
            self._scales = [self._scale(number) for number in range(len(self.columns))]
        if self._audits and self._passed(len(self._audits) - 1):
            return np.empty((0, len(self.shape)), dtype=int)
        found = self._settle()
        if isinstance(found, np.ndarray):
            return found
        self._settled = found
        return self._audit(found)

    def _audit(self, found: _Found) -> np.ndarray:
        """Held-out points from all that are predicted, as long as too many of those drawn before were off."""
        none = np.empty((0, len(self.shape)), dtype=int)
        left = np.argwhere(~self._known)
        if not len(left) or len(self._audits) == AUDITS:
            return none
        order = self._random(1000 + len(self._audits)).permutation(len(left))
        at = left[np.sort(order[: self._audit_size(len(left))])]
        self._audits.append((at, found.values[_of_all(at.T)]))
        return at

    def _audit_size(self, left: int) -> int:
        few = max(AUDIT[1], left // 25)
        return min(-(-left // 10), few, max(AUDIT[len(self.shape)], round(left**0.5)))

    def _passed(self, number: int) -> bool:
        at, values = self._audits[number]
        errors = self._worst(self._errors(self._values[_of_all(at.T)], values, self._scales))
        return bool((errors > STRICT).mean() <= ACCEPTED)

    # one pass from the coarsest lattice to the grid

    def _settle(self) -> "_Found | np.ndarray":
        """All values, where no point need be evaluated any more; otherwise the points to evaluate next."""
        found = self._coarsest()
        decay = np.full(len(self.columns), DECAY)
        safety = SAFER ** sum(not self._passed(number) for number in range(len(self._audits)))
        for number, level in enumerate(self._levels[1:], 1):
            known, values = self._known[level.mesh], self._values[_of_all(level.mesh)]
            predicted = self._finer(found.values, level, self._scales)
            around, inherited = (_spread(_placed(each, level)) for each in (found.details, found.estimates))
            mixed = self._mixed(found, level)
            errors = np.where(known & level.new, self._errors(values, predicted, self._scales), 0.0)
            probes = self._probes(number, level, known, around)
            if len(probes):
                return self._places(level, probes)
            decay = self._decayed(decay, around, errors, known & level.new)
            estimates = np.maximum(np.minimum(decay * safety, 1.0)[_wide(around)] * around, inherited)
            estimates[:, mixed] = np.inf
            wanted = level.new & ~known & self._over(estimates)
            if (known | wanted)[level.new].mean() > MOSTLY:  # what little is left is as rough
                wanted = level.new & ~known
            if wanted.any():
                return self._places(level, np.argwhere(wanted))
            rings = self._rings(self._places(level, np.argwhere(self._over(errors))), number)
            if len(rings):
                return rings
            found = _Found(np.where(known, values, predicted), np.where(known | ~level.new, 0.0, estimates), errors)
            old = np.ix_(np.arange(len(self.columns)), *level.before)
            found.estimates[old] = np.where(self._known[level.mesh][np.ix_(*level.before)], 0.0, inherited[old])
        return found

    def _coarsest(self) -> _Found:
        """The coarsest lattice, with the details of every other value as predicted from the rest."""
        level = self._levels[0]
        values = self._values[_of_all(level.mesh)]
        nothing = np.zeros_like(values)
        half = _half(level.places)
        if half is None:
            return _Found(values, nothing, nothing)
        coarse = values[np.ix_(np.arange(len(values)), *half.before)]
        errors = np.where(half.new, self._errors(values, self._finer(coarse, half, self._scales), self._scales), 0.0)
        return _Found(values, nothing, errors)

    def _finer(self, coarse: np.ndarray, level: _Level, scales: Sequence[Scale]) -> np.ndarray:
        """The values of a lattice as the splines through the one before it predict them, [columns, *lattice]."""
        x = [axis[places] for axis, places in zip(self.axes, level.places, strict=True)]
        predicted = []
        for scale, values in zip(scales, coarse, strict=True):
            kinds = _kinds(values)
            heights = scale.forward(_filled(values, kinds))
            low, high = heights.min(), heights.max()
            for dimension, (to, before) in enumerate(zip(x, level.before, strict=True)):
                heights = _spline(to[before], heights, to, dimension)
            reach = (high - low) / 2
            back = np.clip(scale.backward(np.clip(heights, low - reach, high + reach)), scale.low, scale.high)
            if kinds.any():
                most, least = _around(kinds, level)
                back = np.where((most > 0) & (most == least), NOT_FINITE[most], back)
            predicted.append(back)
        return np.array(predicted)

    def _mixed(self, found: _Found, level: _Level) -> np.ndarray:
        """Where some of what is around is finite and some is not, or not in the same way."""
        mixed = np.zeros(level.new.shape, dtype=bool)
        for scale, values in zip(self._scales, found.values, strict=True):
            kinds = _kinds(values)
            if kinds.any() and scale.counts:
                most, least = _around(kinds, level)
                mixed |= most != least
        return mixed

    def _probes(self, number: int, level: _Level, known: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Points to look at before errors on a lattice are estimated: a seeded share of those that may be off.

        On the first lattice after the coarsest that is all. The few around which details were largest go with them.
        """
        reach = self._worst(around)
        may = level.new & ((MOST_LEFT * reach > 1) | (number == 1))
        lacking = self._share(int(may.sum())) - int((may & known).sum())
        if lacking <= 0:
            return np.empty((0, known.ndim), dtype=int)
        rank = self._random(number).permutation(known.size).reshape(known.shape)
        candidates = np.argwhere(may & ~known)
        drawn = candidates[np.argsort(rank[tuple(candidates.T)])[:lacking]]
        open_ones = candidates[MOST_LEFT * reach[tuple(candidates.T)] > 1]
        steepest = open_ones[np.argsort(-reach[tuple(open_ones.T)], kind="stable")[: -(-lacking // 4)]]
        return np.unique(np.concatenate([drawn, steepest]), axis=0)

    def _share(self, points: int) -> int:
        return min(-(-points // 10), max(PROBES, round(points**0.5)))

    def _decayed(self, decay: np.ndarray, around: np.ndarray, errors: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """What part of the details around is left, by column: as seen on this lattice where that can be told."""
        found = decay.copy()
        for column in range(len(found)):
            use = seen & (around[column] > NOTABLE) & np.isfinite(around[column])
            if use.sum() >= 8:
                parts = np.minimum(errors[column][use] / around[column][use], 1.0)
                found[column] = max(float(np.quantile(parts, QUANTILE)), LEAST_DECAY)
        return found

    def _rings(self, off: np.ndarray, number: int) -> np.ndarray:
        """Points to evaluate around those that were off [P, D]: of the coarsest lattice that is not complete there."""
        none = np.empty((0, len(self.shape)), dtype=int)
        wanted = []
        for level in self._levels[1 : number + 1]:
            if not len(off):
                break
            boxes = []
            for places, at in zip(level.places, off.T, strict=True):
                low, high = np.searchsorted(places, at, "right") - 1, np.searchsorted(places, at, "left")
                on = (low == high).astype(int)
                boxes.append([np.clip(p, 0, len(places) - 1) for p in (low - on, low, high, high + on)])
            lacking = np.zeros(len(off), dtype=bool)
            for corner in product(range(4), repeat=len(self.shape)):
                at = np.stack([places[box[k]] for places, box, k in zip(level.places, boxes, corner, strict=True)], 1)
                missing = ~self._known[tuple(at.T)]
                lacking |= missing
                wanted.append(at[missing])
            off = off[~lacking]
        return np.unique(np.concatenate([none, *wanted]), axis=0)

    # what values and errors are

    def _scale(self, number: int) -> Scale:
        """How a column is predicted: the transform under which every other value of the coarsest lattice fits best."""
        name = self.columns[number]
        first = self._values[number][self._levels[0].mesh]
        finite = first[np.isfinite(first)]
        size = float(np.median(np.abs(finite))) if len(finite) else 1.0
        largest = float(np.abs(finite).max(initial=0.0))
        relative, bounded = name.endswith("loss"), name.rpartition("_")[2] in BOUNDED
        floor = FLOOR * (size or largest) if relative else 1.0 if bounded else largest
        floor = max(floor, self.resolution.get(name, 0.0) / self.tolerance)
        low = 0.0 if bounded or name.endswith(UNSEEN) or (relative and (finite >= 0).all()) else -np.inf
        rest = (floor or 1.0, relative, low, 1.0 if bounded else np.inf, not name.endswith(UNSEEN))
        plain = Scale("as it is", _same_value, _same_value, *rest)
        if bounded or not len(finite) or largest == 0:
            return plain
        half = _half(self._levels[0].places)
        if half is None:
            return plain
        choices = [plain]
        if (finite >= 0).all():
            smallest = 1e-3 * FLOOR * size or largest * 1e-9
            choices.insert(0, _logarithmic("log", 0.0, smallest, rest))
            for part in (FLOOR, 0.1, 1.0):
                choices.append(_logarithmic(f"log(value + {part * size:.3g})", part * size, smallest, rest))
        best, least = plain, np.inf
        coarse = first[np.ix_(*half.before)]
        for choice in choices:
            errors = self._errors(first[None], self._finer(coarse[None], half, [choice]), [choice])[0][half.new]
            cost = float(np.mean(np.minimum(errors, 100.0) ** 0.5)) if len(errors) else 0.0
            if cost < least * 0.9:
                best, least = choice, cost
        return best

    def _errors(self, values: np.ndarray, predicted: np.ndarray, scales: Sequence[Scale]) -> np.ndarray:
        """Errors of predictions in units of what is allowed, [columns, …]; infinite where one alone is not finite."""
        found = np.empty_like(predicted)
        for column, scale in enumerate(scales):
            true, guess = values[column], predicted[column]
            with np.errstate(invalid="ignore", over="ignore"):
                apart = np.abs(true - guess) / (self.tolerance * scale.unit(true))
            same = (true == guess) | (np.isnan(true) & np.isnan(guess))
            found[column] = np.where(same, 0.0, np.where(np.isfinite(true) & np.isfinite(guess), apart, np.inf))
        return found

    def _worst(self, errors: np.ndarray) -> np.ndarray:
        """The largest of the columns that are held to the tolerance."""
        counts = [scale.counts for scale in self._scales]
        worst: np.ndarray = errors[counts].max(0, initial=0.0)
        return worst

    def _over(self, errors: np.ndarray) -> np.ndarray:
        """Where some column has too large an error for its neighbourhood to be predicted."""
        aims = np.array([(AIM if scale.relative else 1.0) if scale.counts else np.inf for scale in self._scales])
        over: np.ndarray = (errors > aims[_wide(errors)]).any(0)
        return over

    def _loss_errors(self, errors: np.ndarray) -> np.ndarray:
        """The largest of the losses, in parts of them; of all columns where none is a loss."""
        losses = [name.endswith("loss") for name in self.columns]
        chosen = errors[losses] if any(losses) else errors[[scale.counts for scale in self._scales]]
        worst: np.ndarray = self.tolerance * chosen.max(0, initial=0.0)
        return worst

    # places and points

    def _on_grid(self, point: Coordinates) -> bool:
        return all(float(value) in place for place, value in zip(self._place, point, strict=True))

    def _points(self, at: np.ndarray) -> list[Coordinates]:
        return list(zip(*(axis[column].tolist() for axis, column in zip(self.axes, at.T, strict=True)), strict=True))

    def _places(self, level: _Level, at: np.ndarray) -> np.ndarray:
        """Places in the grid of places in a lattice, [P, D]."""
        return np.stack([places[column] for places, column in zip(level.places, at.T, strict=True)], axis=1)

    def _random(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, PURPOSE, stream])

    def _make_levels(self) -> list[_Level]:
        most, fewest = STEPS[len(self.axes)]
        of_axes = [lattices(length, most, fewest) for length in self.shape]
        found: list[_Level] = []
        for number in range(max(map(len, of_axes))):
            places = [each[min(number, len(each) - 1)] for each in of_axes]
            found.append(_level(places, found[-1].places if found else places))
        return found


def _level(places: list[np.ndarray], coarser: Sequence[np.ndarray]) -> _Level:
    before = [np.searchsorted(here, there) for here, there in zip(places, coarser, strict=True)]
    new = np.ones([len(here) for here in places], dtype=bool)
    new[np.ix_(*before)] = False
    return _Level(places, before, new)


def _half(places: Sequence[np.ndarray]) -> _Level | None:
    """A lattice seen from every other of its values, of axes that have enough; None where none has."""
    if all(len(each) < 5 for each in places):
        return None
    coarser = [np.unique([*each[::2], each[-1]]) if len(each) >= 5 else each for each in places]
    return _level(list(places), coarser)


def _same_value(values: np.ndarray) -> np.ndarray:
    return values


def _logarithmic(name: str, shift: float, smallest: float, rest: tuple[float, bool, float, float, bool]) -> Scale:
    return Scale(
        name,
        lambda values: np.log(np.maximum(values + shift, smallest)),
        lambda heights: np.exp(np.minimum(heights, 700.0)) - shift,
        *rest,
    )


def _spline(x: np.ndarray, values: np.ndarray, to: np.ndarray, dimension: int) -> np.ndarray:
    """The cubic spline (not-a-knot) through values along a dimension, at other points of it."""
    from scipy.interpolate import make_interp_spline

    if len(x) == len(to):
        return values
    if len(x) == 1:
        return np.repeat(values, len(to), axis=dimension)
    found: np.ndarray = make_interp_spline(x, values, k=min(3, len(x) - 1), axis=dimension)(to)
    return found


def _placed(values: np.ndarray, level: _Level, empty: float = 0) -> np.ndarray:
    """Values of the lattice before, [K, *lattice before], at their places in a lattice."""
    found = np.full((len(values), *level.new.shape), empty, dtype=values.dtype)
    found[np.ix_(np.arange(len(values)), *level.before)] = values
    return found


def _spread(values: np.ndarray) -> np.ndarray:
    """The largest value within two places of each, [K, *lattice]."""
    from scipy.ndimage import maximum_filter

    return np.array([maximum_filter(each, size=5, mode="nearest") for each in values])


def _kinds(values: np.ndarray) -> np.ndarray:
    """0 of finite numbers, otherwise the place in NOT_FINITE."""
    return np.where(np.isfinite(values), 0, np.where(np.isnan(values), 1, np.where(values > 0, 2, 3)))


def _around(kinds: np.ndarray, level: _Level) -> tuple[np.ndarray, np.ndarray]:
    """The largest and the smallest kind of the points of the lattice before around each of a lattice's."""
    return _spread(_placed(kinds[None], level))[0], -_spread(_placed(-kinds[None], level, -len(NOT_FINITE)))[0]


def _filled(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Values with those that are not finite replaced by the nearest that is; 0 where there is none."""
    from scipy.ndimage import distance_transform_edt

    if not kinds.any():
        return values
    if kinds.all():
        return np.zeros_like(values)
    nearest = distance_transform_edt(kinds > 0, return_distances=False, return_indices=True)
    return values[tuple(nearest)]


def _of_all(where: Iterable[np.ndarray]) -> tuple[Any, ...]:
    """What picks points of the grid from arrays of all columns."""
    return (slice(None), *where)


def _wide(values: np.ndarray) -> tuple[Any, ...]:
    """What gives a value a column the dimensions of an array."""
    return (slice(None), *(None,) * (values.ndim - 1))

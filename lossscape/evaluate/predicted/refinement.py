"""One pass from a grid's coarsest lattice to the grid itself: what is predicted, and which points lack for that."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossscape.evaluate.predicted.lattices import Level, of_all, of_each, spread
from lossscape.evaluate.predicted.scales import Scales
from lossscape.evaluate.predicted.splines import finer, mixed

PROBES = 32
"""Of the points that a lattice adds and that may be off, a tenth is looked at before its errors are estimated: so many
at most, or the square root of their number where that is more."""
LEAST_DECAY = 1 / 16
"""Part of the details around that is left on the next lattice of a smooth function; less is not believed."""
MOST_LEFT = 0.5
"""Where this part of the details around were left, a point might be over the tolerance."""
QUANTILE = 0.9
"""Of the parts that were seen to be left."""
NOTABLE = 0.1
"""Details above this part of the tolerance tell how details decay."""
MOSTLY = 0.7
"""Where a larger part of the points that a lattice adds is evaluated, all of them are."""
PURPOSE = 11
"""Second seed, so that the draws share no random stream with others of that seed."""


@dataclass
class Found:
    """What is known of a lattice's points, [columns, *lattice]."""

    values: np.ndarray
    """Evaluated, or predicted."""
    estimates: np.ndarray
    """Of the errors of predicted ones, in units of what is allowed; 0 of evaluated ones."""
    details: np.ndarray
    """Of evaluated points that are new on it: what their predictions missed, in the same units; otherwise 0."""


@dataclass
class Refinement:
    """A pass over the lattices of a grid, from the points that are known."""

    levels: Sequence[Level]
    scales: Scales
    values: np.ndarray
    """[columns, *grid], of which only those that are known mean anything."""
    known: np.ndarray
    """[*grid]"""
    seed: int

    def settle(self) -> tuple[Found, np.ndarray]:
        """All values, and no places; or those of a lattice, and the places in the grid to evaluate next [P, D]."""
        found = self._coarsest()
        decay, nowhere = np.ones(len(self.values)), np.empty((0, self.known.ndim), dtype=int)
        for number, level in enumerate(self.levels[1:], 1):
            known, values = self.known[level.mesh], self.values[of_all(level.mesh)]
            predicted = self._finer(found.values, level)
            around, inherited = (spread(level.placed(each)) for each in (found.details, found.estimates))
            errors = np.where(known & level.new, self.scales.errors(values, predicted), 0.0)
            probes = self._probes(number, level, known, around)
            if len(probes):
                return found, level.in_grid(probes)
            decay = _decayed(decay, around, errors, known & level.new)
            estimates = np.maximum(of_each(decay, around) * around, inherited)
            estimates[:, self._mixed(found, level)] = np.inf
            wanted = level.new & ~known & self.scales.over(estimates)
            if (known | wanted)[level.new].mean() > MOSTLY:  # what little is left is as rough
                wanted = level.new & ~known
            if wanted.any():
                return found, level.in_grid(np.argwhere(wanted))
            rings = self._rings(level.in_grid(np.argwhere(self.scales.over(errors))), number)
            if len(rings):
                return found, rings
            old = of_all(level.old)
            found = Found(np.where(known, values, predicted), np.where(known | ~level.new, 0.0, estimates), errors)
            found.estimates[old] = np.where(known[level.old], 0.0, inherited[old])
        return found, nowhere

    def _coarsest(self) -> Found:
        """The coarsest lattice, with the details of every other value as predicted from the rest."""
        level = self.levels[0]
        values = self.values[of_all(level.mesh)]
        nothing, half = np.zeros_like(values), level.half()
        if half is None:
            return Found(values, nothing, nothing)
        errors = self.scales.errors(values, self._finer(values[of_all(half.old)], half))
        return Found(values, nothing, np.where(half.new, errors, 0.0))

    def _finer(self, coarse: np.ndarray, level: Level) -> np.ndarray:
        columns = zip(coarse, self.scales.of, strict=True)
        return np.array([finer(values, level, scale) for values, scale in columns])

    def _mixed(self, found: Found, level: Level) -> np.ndarray:
        """Where what is around is not alike in being finite, in some column that is held to the tolerance."""
        somewhere = np.zeros(level.new.shape, dtype=bool)
        for values in found.values[self.scales.counting]:
            somewhere |= mixed(values, level)
        return somewhere

    def _probes(self, number: int, level: Level, known: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Points to look at before errors on a lattice are estimated: a seeded share of those that may be off.

        On the first lattice after the coarsest that is all. The few around which details were largest go with them.
        """
        reach = self.scales.worst(around)
        may = level.new & ((MOST_LEFT * reach > 1) | (number == 1))
        lacking = share(int(may.sum())) - int((may & known).sum())
        if lacking <= 0:
            return np.empty((0, known.ndim), dtype=int)
        rank = draws(self.seed, number).permutation(known.size).reshape(known.shape)
        candidates = np.argwhere(may & ~known)
        drawn = candidates[np.argsort(rank[tuple(candidates.T)])[:lacking]]
        open_ones = candidates[MOST_LEFT * reach[tuple(candidates.T)] > 1]
        steepest = open_ones[np.argsort(-reach[tuple(open_ones.T)], kind="stable")[: -(-lacking // 4)]]
        return np.unique(np.concatenate([drawn, steepest]), axis=0)

    def _rings(self, off: np.ndarray, number: int) -> np.ndarray:
        """Points to evaluate around those that were off [P, D]: of the coarsest lattice that is not complete there."""
        wanted = [np.empty((0, self.known.ndim), dtype=int)]
        for level in self.levels[1 : number + 1]:
            around = level.around(off)
            lacking = ~self.known[tuple(np.moveaxis(around, -1, 0))]
            wanted.append(around[lacking])
            off = off[~lacking.any(1)]
        return np.unique(np.concatenate(wanted), axis=0)


def share(points: int) -> int:
    """How many of some points are looked at before their errors are estimated."""
    return min(-(-points // 10), max(PROBES, round(points**0.5)))


def draws(seed: int, stream: int) -> np.random.Generator:
    """What draws points, of a purpose of its own."""
    return np.random.default_rng([seed, PURPOSE, stream])


def _decayed(decay: np.ndarray, around: np.ndarray, errors: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """What part of the details around is left, by column: as seen on this lattice where that can be told.

    Otherwise as on the one before it; all, where none has told.
    """
    found = decay.copy()
    for column in range(len(found)):
        use = seen & (around[column] > NOTABLE) & np.isfinite(around[column])
        if use.sum() >= 8:
            parts = np.minimum(errors[column][use] / around[column][use], 1.0)
            found[column] = max(float(np.quantile(parts, QUANTILE)), LEAST_DECAY)
    return found

"""A range in which the loss rises by a chosen factor on every side of a centre."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lossscape.errors import BadInput
from lossscape.evaluate import Work
from lossscape.evaluate.rows import Done
from lossscape.evaluate.subspace import Coordinates
from lossscape.files import read_json, write_text
from lossscape.results.folder import RANGE
from lossscape.results.table import watched

FLOOR = 0.01
"""A centre's loss counts as at least this share of the loss of outputs that are all 0: from 0 nothing rises."""
SMALLEST, LARGEST = 2.0**-20, 2.0**10
"""Of the distances that are looked at."""
CLOSE = 1.05
"""Ratio of the distances between which the crossing lies in the end."""


@dataclass(frozen=True)
class Reach:
    """A range and what it was found by."""

    reach: list[float]
    """Of each axis: the range is −reach to reach."""
    level: float
    probes: int


def range_of(folder: Path, work: Work, factor: float, quiet: bool) -> dict[str, list[float]]:
    """The ranges x_range and y_range of a result, found where range.json does not have them yet."""
    axes = len(work.subspace.directions)
    kept = read_json(folder / RANGE)
    if kept.get("factor") != factor:
        split, objective = next(iter(work.objectives.items()))
        with watched("looking for the range", 12 * axes, work.samples, quiet=quiet) as done:
            found = find_range(_loss(work, split, done), axes, factor, objective.blind_loss())
        kept = {"factor": factor, "level": found.level, "reach": found.reach, "probes": found.probes}
        write_text(folder / RANGE, json.dumps(kept, indent=2) + "\n")
    return {f"{axis}_range": [-reach, reach] for axis, reach in zip("xy", kept["reach"], strict=False)}


def _loss(work: Work, split: str, done: Done) -> Callable[[Coordinates], float]:
    objective = work.objectives[split]
    first = Work({split: objective}, work.subspace, work.statistics)
    return lambda point: first.rows([point], objective.plan, done)[0][f"{split}_loss"]


def find_range(loss: Callable[[Coordinates], float], axes: int, factor: float, blind: float) -> Reach:
    """The reach of each axis at which the loss is at or above `factor` times that of the centre on both sides.

    loss: at a point; blind: the loss of outputs that are all 0. On each side the nearest crossing is bracketed by
    doubling or halving and then narrowed to 5 %; an axis gets the farther of its two, in two digits rounded up. A
    loss that is not finite is above every level. Raises BadInput where the factor is not above 1 or the loss does
    not rise that far.
    """
    if not (math.isfinite(factor) and factor > 1):
        raise BadInput(f"--auto-range {factor:g}: give the factor by which the loss should rise, above 1")
    probes = 0

    def above(axis: int, sign: int, distance: float) -> bool:
        nonlocal probes
        probes += 1
        value = loss(tuple(sign * distance if other == axis else 0.0 for other in range(axes)))
        return not value < level

    centre = loss((0.0,) * axes)
    if not math.isfinite(centre):
        raise BadInput(f"--auto-range: the loss at the centre is {centre}, so it has nothing to rise from")
    level = factor * max(centre, FLOOR * blind)
    reach = []
    for axis in range(axes):
        sides = [_crossing(partial(above, axis, sign)) for sign in (1, -1)]
        if None in sides:
            raise BadInput(
                f"--auto-range {factor:g}: along {'xy'[axis]} the loss does not reach {level:.4g} within a distance "
                f"of {LARGEST:g}; choose a smaller factor, or --range"
            )
        farthest = _rounded(max(side for side in sides if side is not None))
        for _ in range(20):  # beyond its crossing a side may fall again
            if above(axis, 1, farthest) and above(axis, -1, farthest):
                break
            farthest = _rounded(farthest * CLOSE)
        else:
            raise BadInput(
                f"--auto-range {factor:g}: along {'xy'[axis]} the loss rises and falls again, so no range has it risen "
                "on both sides; choose a smaller factor, or --range"
            )
        reach.append(farthest)
    return Reach(reach, level, probes + 1)


def _crossing(above: Callable[[float], bool]) -> float | None:
    """The distance at which a level is first met, within 5 %; None where it is not."""
    high = 1.0
    if above(high):
        while high > SMALLEST and above(high / 2):
            high /= 2
    else:
        while not above(2 * high):
            high *= 2
            if high >= LARGEST:
                return None
        high *= 2
    low = high / 2
    while high / low > CLOSE:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if above(middle) else (middle, high)
    return high


def _rounded(distance: float) -> float:
    digits = 1 - math.floor(math.log10(distance))
    return float(f"{math.ceil(distance * 10**digits) / 10**digits:.2g}")

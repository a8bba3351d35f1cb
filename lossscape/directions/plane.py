"""Where things lie in a plane: ranges that hold its points, checkpoints projected onto it, and a begun result's own."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lossscape import manifest
from lossscape.directions.direction import Direction, Plane
from lossscape.directions.pca import loader
from lossscape.evaluate.subspace import Coordinates
from lossscape.problem import Problem
from lossscape.results import read_settings
from lossscape.results.folder import DIRECTIONS, SETTINGS
from lossscape.runs import Run
from lossscape.trajectory import moments_of
from lossscape.vectors import Params
from lossscape.vectors.project import inner_products, project

AXES = ("x", "y")
MARGIN = 0.25
"""Around the points that a range has to hold: this part of their longer side, so that no axis is thrice the other."""


def seen_from(origin: Params, base: Params, plane: Plane) -> list[Coordinates]:
    """What a range of a plane that was made around `base` holds, around `origin`, which is the first of it."""
    here = project(base, plane.directions, inner_products(plane.directions), origin)[0]
    return [(0.0,) * len(here), *(tuple((np.array(spot) - here).tolist()) for spot in plane.held)]


def projected(runs: Sequence[Run], problem: Problem, origin: Params, directions: list[Params]) -> list[Coordinates]:
    """Where the checkpoints of runs are projected to."""
    products = inner_products(directions)
    found = []
    for run in runs:
        for moment in moments_of(run):
            state = loader(problem, moment)()
            point = {name: state[name].to(value.device) for name, value in origin.items()}
            found.append(tuple(project(origin, directions, products, point)[0].tolist()))
    return found


def fitted(points: Sequence[Coordinates], grid: Sequence[int]) -> dict[str, list[float]]:
    """Ranges that hold points [N] with a margin, such that the centre lies on the grid.

    The steps of the grid have two digits.
    """
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    margin = MARGIN * (high - low).max()
    ranges = {}
    for axis, count, first, last in zip(AXES, grid, low - margin, high + margin, strict=False):
        step = (last - first) / max(count - 2, 1)
        digits = 1 - math.floor(math.log10(step))
        step = math.ceil(step * 10**digits) / 10**digits
        least, most = math.ceil(last / step) - (count - 1), math.floor(first / step)
        begin = min((least + most) // 2, most)
        ranges[f"{axis}_range"] = [float(f"{n * step:.12g}") for n in (begin, begin + count - 1)]
    return ranges


def kept(folder: Path, direction: Direction, device: torch.device) -> tuple[Plane, dict[str, list[float]]] | None:
    """The plane and ranges of a result that was begun, so that it goes on with the same; None without any.

    Directions of which nothing is found out in making them are made again.
    """
    if not all((folder / name).exists() for name in (SETTINGS, DIRECTIONS)):
        return None
    settings = read_settings(folder)
    found = {key: value for key, value in settings["directions"].items() if key not in direction.settings}
    if not found:
        return None
    ranges = {f"{axis}_range": settings[f"{axis}_range"] for axis in AXES if f"{axis}_range" in settings}
    return Plane(stored(folder, device), found), ranges


def stored(folder: Path, device: torch.device) -> list[Params]:
    """The directions in the folder of a result."""
    manifest.check(folder / DIRECTIONS)
    vectors = torch.load(folder / DIRECTIONS, map_location=device, weights_only=True)
    return [vectors[axis] for axis in AXES if axis in vectors]

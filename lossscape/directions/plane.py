"""The directions of a landscape: random, principal components, through points, towards a point; and its ranges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossscape.directions.choose import Choice
from lossscape.errors import BadInput
from lossscape.evaluate.subspace import Coordinates
from lossscape.objective import Precision
from lossscape.problem import Problem
from lossscape.progress import Progress
from lossscape.results import DIRECTIONS, SETTINGS, read_settings
from lossscape.runs import Point, Run, check_state
from lossscape.signals import Interrupted, stop_on_signals
from lossscape.trajectory import Moment, moments_of
from lossscape.vectors import Params, norm
from lossscape.vectors.pca import Loader, loadings, principal_components
from lossscape.vectors.project import inner_products, project
from lossscape.vectors.random import kinds_of_parameters, random_directions
from lossscape.vectors.through import through, towards

AXES = ("x", "y")
MARGIN = 0.25
"""Around the points that a range has to hold: this part of their longer side, so that no axis is thrice the other."""


@dataclass(frozen=True)
class Plane:
    """Directions, and what is known of them."""

    directions: list[Params]
    found: dict[str, Any] = field(default_factory=dict)
    """What settings.yaml's `directions` gains."""
    places: list[Coordinates] = field(default_factory=list)
    """That a range chosen for them has to hold."""


def build(
    choice: Choice,
    problem: Problem,
    centre: Point,
    origin: Params,
    dims: int,
    precision: Precision,
    quiet: bool,
) -> Plane:
    """Make the directions around `origin`, the parameters of the centre or of the point where the choice is made.

    Raises BadInput where there are none.
    """
    settings = choice.settings
    if choice.kind == "random":
        ignored = [n for n, kind in kinds_of_parameters(problem.model).items() if kind in settings["ignore"]]
        drawn = random_directions(
            origin, dims, seed=settings["seed"], normalize=settings["normalize"], ignored=ignored
        )
        if not all(norm(direction) > 0 for direction in drawn):
            raise BadInput(
                f"{centre}: nothing is left to move in with --ignore {','.join(settings['ignore'])}; use --ignore none"
            )
        return Plane(drawn)
    if choice.kind == "pca":
        return _principal(choice, problem, centre, origin, dims, quiet)
    targets = [problem.values(point, precision)[0] for point in choice.points]
    try:
        if choice.kind == "towards":
            directions, places = towards(origin, targets[0], dims, seed=settings.get("seed", 0))
        else:
            directions, places = through(origin, targets)
    except ValueError as error:
        raise BadInput(_degenerate(centre, choice.points, int(error.args[0]))) from None
    room = places
    if choice.kind == "towards" and dims == 2:  # the random axis has no point of its own
        room = [*places, *((0.0, sign * places[1][0] / 4) for sign in (-1, 1))]
    return Plane(directions, {"coordinates": [list(place) for place in places]}, room)


def _degenerate(centre: Point, points: Sequence[Point], index: int) -> str:
    if index == 0:
        return f"{points[0]} is the same point as the centre {centre}: name another checkpoint or run"
    return (
        f"{points[index]} lies on the line through {centre} and {points[0]}: three points on a line span no plane; "
        "name another one, or draw the line with --dims 1 --towards"
    )


def _principal(
    choice: Choice, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool
) -> Plane:
    loaders = [loader(problem, moment) for moment in choice.moments]
    title = f"principal components of {len(loaders)} checkpoints"
    with (
        stop_on_signals() as stop,
        Progress(title, loadings(origin, len(loaders)), "checkpoints", quiet=quiet) as progress,
    ):

        def done(loaded: int) -> None:
            if stop.number is not None:
                raise Interrupted(stop.number, "the same command once more")
            progress.advance(loaded)

        try:
            found = principal_components(origin, loaders, dims, done)
        except ValueError as error:
            spans = {0: "are all the centre itself", 1: "lie on a line through it"}[int(error.args[0])]
            raise BadInput(
                f"{centre.run.path}: the checkpoints around {centre} {spans}: {dims} principal components need more; "
                "train on, keep more of them (training.checkpoint_every_steps), or draw a line with --dims 1"
            ) from None
    places = [tuple(place) for place in found.places.tolist()]
    return Plane(found.directions, {"explained": found.shares}, [(0.0,) * dims, *places])


def loader(problem: Problem, moment: Moment) -> Loader:
    """What loads a checkpoint's parameters, as far as they are asked for. Raises BadInput where they do not fit."""

    def load() -> Mapping[str, torch.Tensor]:
        state = moment.checkpoint.state(mapped=True)
        check_state(problem.model, state, str(moment.checkpoint.path))
        return state

    return load


def seen_from(origin: Params, base: Params, plane: Plane) -> list[Coordinates]:
    """The places of a plane that was made around `base`, around `origin`, which is the first of them."""
    here = project(base, plane.directions, inner_products(plane.directions), origin)[0]
    return [(0.0,) * len(here), *(tuple((np.array(place) - here).tolist()) for place in plane.places)]


def places_of(
    runs: Sequence[Run], problem: Problem, origin: Params, directions: list[Params]
) -> list[Coordinates]:
    """Where the checkpoints of runs are projected to."""
    products = inner_products(directions)
    found = []
    for run in runs:
        for moment in moments_of(run):
            state = loader(problem, moment)()
            point = {name: state[name].to(value.device) for name, value in origin.items()}
            found.append(tuple(project(origin, directions, products, point)[0].tolist()))
    return found


def fitted(places: Sequence[Coordinates], grid: Sequence[int]) -> dict[str, list[float]]:
    """Ranges that hold places [N] with a margin, such that the centre lies on the grid.

    The steps of the grid have two digits.
    """
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    margin = MARGIN * (high - low).max()
    ranges = {}
    for axis, points, first, last in zip(AXES, grid, low - margin, high + margin, strict=False):
        step = (last - first) / max(points - 2, 1)
        digits = 1 - math.floor(math.log10(step))
        step = math.ceil(step * 10**digits) / 10**digits
        least, most = math.ceil(last / step) - (points - 1), math.floor(first / step)
        begin = min((least + most) // 2, most)
        ranges[f"{axis}_range"] = [float(f"{n * step:.12g}") for n in (begin, begin + points - 1)]
    return ranges


def kept(place: Path, choice: Choice, device: torch.device) -> tuple[Plane, dict[str, list[float]]] | None:
    """The directions and ranges of a result that was begun, so that it goes on with the same; None without any."""
    if choice.kind == "random" or not all((place / name).exists() for name in (SETTINGS, DIRECTIONS)):
        return None
    settings = read_settings(place)
    found = {key: value for key, value in settings["directions"].items() if key not in choice.settings}
    stored = torch.load(place / DIRECTIONS, map_location=device, weights_only=True)
    ranges: dict[str, list[float]] = {
        f"{axis}_range": settings[f"{axis}_range"] for axis in AXES if f"{axis}_range" in settings
    }
    return (Plane([stored[axis] for axis in AXES if axis in stored], found), ranges) if found else None

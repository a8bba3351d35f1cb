"""Races: methods descend side by side on a function of two numbers, a plane of a net's loss, or the whole of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossscape import seeds
from lossscape.analyses.landscape import compute as landscape
from lossscape.analyses.race.course import Course, digits, settings_of
from lossscape.analyses.race.descents import Descents
from lossscape.analyses.race.grounds import Formula, InPlane, lowest
from lossscape.analyses.race.methods import Method, chosen
from lossscape.analyses.race.request import RIDGE, STARTS, STEPS, Request
from lossscape.analyses.race.result import COSTS, ENDS, GOAL, KEYS, OUTCOMES_CSV, PATHS_CSV, SURFACE_CSV, read
from lossscape.analyses.race.saddles import from_saddles
from lossscape.directions import Asked, choose
from lossscape.directions.plane import stored
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, grid_points
from lossscape.execution import Execution
from lossscape.files import check_writable, write_text
from lossscape.measured import Measured
from lossscape.options import words_of
from lossscape.problem import problem_of
from lossscape.results import read_surface, write_csv
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import Point, point_of
from lossscape.surfaces import SURFACES, Spot, Surface

FAR, GONE = 1e3, 4.0
"""Distances at which a descent is ended, in half windows: where it diverges, and where it has left a saddle."""
LEAVE = 1.0
"""The distance at which the saddle of a surface is left."""
DRAWN = 0.8
"""The part of the window that starts are drawn from."""
GRID, FINE = (51, 51), (101, 101)
"""The usual grids of a run's plane, and of a function, which takes no time."""


def compute(request: Request, execution: Execution) -> Path:
    """Descend with every method from every start that lacks; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    course = prepared(request, execution)
    folder, descents = course.folder, course.descents
    check_writable(folder)
    with open_folder(folder, course.settings, overwrite=execution.overwrite):
        write_text(folder / GOAL, json.dumps(course.goal, indent=2) + "\n")
        if course.surface:
            write_csv(folder / SURFACE_CSV, ("x", "y", "loss"), course.surface)
        table = Table(folder, PATHS_CSV, KEYS, ("method",), unit="step", title=f"race {folder.name}", by_key=False)
        fill(table, descents, once(descents.keys), total=len(descents.keys), execution=execution)
        names = ("method", "start", "outcome", "steps", *COSTS, *ENDS)
        outcomes = read(folder).outcomes
        rows = outcomes[list(names)].astype(object).where(outcomes.notna(), None)
        write_csv(folder / OUTCOMES_CSV, names, rows.itertuples(index=False))
    return folder


def prepared(request: Request, execution: Execution) -> Course:
    """What a request names, checked. Raises BadInput."""
    if str(request.surface) in SURFACES:
        return _on_formula(request, SURFACES[str(request.surface)])
    try:
        centre = point_of(request.surface)
    except BadInput as error:
        if isinstance(request.surface, str) and not {"/", "@", "."} & set(request.surface):
            raise BadInput(f"{error}; surfaces: {', '.join(SURFACES)}") from None
        raise
    return (from_saddles if request.saddles else _in_plane)(request, execution, centre)


def _on_formula(request: Request, surface: Surface) -> Course:
    if request.asked != Asked() or request.measured != Measured() or request.saddles:
        raise BadInput(
            f"{surface.name} is a formula, without data or directions: leave options of these out, or name a run"
        )
    given = (request.ranges.x_range, request.ranges.y_range)
    window = tuple((float(low), float(high)) for low, high in map(lambda a, b: a or b, given, surface.window))
    starts = _starts(request, window, [surface.start], surface.ridge)
    steps = request.steps or surface.steps
    methods = chosen(request.methods, surface.rate, surface.stride)
    inside = all(low < 0 < high for low, high in window)
    half = max(high - low for low, high in window) / 2
    function, leaves = Formula(surface.name), not surface.minima
    levels = [float(function.value(torch.zeros(2, dtype=torch.float64)))] * len(starts) if leaves else []
    if leaves and not inside:
        raise BadInput(f"{surface.name}: its saddle, (0, 0), has to lie in the range")
    goal = _goal(request, window, surface.minima, surface.others) | {
        "leave": [LEAVE] * len(starts) if leaves else None, "levels": levels,
    }  # fmt: skip
    settings = {
        "analysis": "race",
        "surface": {"name": surface.name, "formula": surface.formula, "scale": "log" if surface.steep else "linear"},
        **settings_of(request, methods, starts, steps),
        **_ranges(window),
        **({"grid": list(request.grid)} if request.grid else {}),
    }
    words = [surface.name, *words_of(replace(request, steps=None if steps == surface.steps else steps))]
    columns, rows = request.grid or FINE
    points = grid_points((columns, rows), *window)
    x, y = torch.tensor(points, dtype=torch.float64).T
    losses = surface.function(x, y).tolist()
    return Course(
        Path(request.home) / "races" / label(settings, words),
        settings,
        _descents(request, methods, starts, steps, function, far=half * (GONE if leaves else FAR)),
        goal,
        [(*point, loss) for point, loss in zip(points, losses, strict=True)],
    )


def _in_plane(request: Request, execution: Execution, centre: Point) -> Course:
    problem = problem_of(centre, request.measured, execution.device)
    direction = choose(centre, 2, request.asked)
    plane = landscape.Request(
        centre, grid=request.grid or GRID, ranges=request.ranges, asked=request.asked, measured=request.measured
    )
    surface = read_surface(landscape.compute(plane, execution, landscape.Shared(problem)))
    window = tuple((float(low), float(high)) for low, high in (surface.settings[f"{axis}_range"] for axis in "xy"))
    ((split, objective),) = problem.objectives().items()
    origin, buffers = problem.values(centre)
    subspace = Subspace(origin, stored(surface.folder, problem.device), buffers)
    function = InPlane(objective.part(slice(None)), subspace)
    starts = _starts(request, window, [], None)
    side = max(high - low for low, high in window)
    methods = chosen(request.methods, *_rates(request, function, starts, side))
    steps = request.steps or STEPS
    known = surface.table[np.isfinite(surface.table[f"{split}_loss"])]
    minima = []
    if len(known):
        least = known.loc[known[f"{split}_loss"].idxmin()]
        found = lowest(function, (float(least["x"]), float(least["y"])))
        minima = [found] if all(low <= at <= high for at, (low, high) in zip(found, window, strict=True)) else []
    settings = {
        "analysis": "race",
        "surface": centre.settings(),
        "landscape": surface.folder.name,
        "directions": surface.settings["directions"],
        **settings_of(request, methods, starts, steps),
        **_ranges(window),
        **problem.settings(),
    }
    named = replace(request, measured=problem.named(centre), steps=None if steps == STEPS else steps)
    words = [centre.checkpoint.label, *words_of(named, asked=direction.words(centre))]
    descents = _descents(request, methods, starts, steps, function, far=FAR * side / 2)
    descents.samples = len(objective)
    goal = _goal(request, window, minima, []) | {"leave": None, "levels": []}
    return Course(centre.run.results("races") / label(settings, words), settings, descents, goal)


def _starts(request: Request, window: Sequence[Spot], usual: Sequence[Spot], ridge: Spot | None) -> list[Spot]:
    if request.start:
        if RIDGE in request.start and ridge is None:
            raise BadInput("--start ridge: is of saddle and monkey_saddle; give two numbers, as in --start 0.5,0")
        return [ridge if each == RIDGE else each for each in request.start]  # type: ignore[misc]
    count = request.starts or (0 if usual else STARTS)
    if not count:
        return list(usual)
    generator = seeds.generator(request.seed, "race-starts")
    drawn = DRAWN * (torch.rand(count, 2, generator=generator, dtype=torch.float64) - 0.5)
    lows, highs = (torch.tensor(ends, dtype=torch.float64) for ends in zip(*window, strict=True))
    return [(x, y) for x, y in ((lows + highs) / 2 + drawn * (highs - lows)).tolist()]


def _rates(request: Request, function: Any, starts: Sequence[Spot], side: float) -> tuple[float, float]:
    """The learning rates of both kinds of method, in two digits: 0.2 / λ of the plane's Hessian at the starts that is
    largest in size, and a hundredth of the window. Not looked for where every method has one."""
    if request.methods is not None and all("lr" in each for each in request.methods):
        return 1.0, 1.0
    curvatures = [function.matrix(torch.tensor(start, dtype=torch.float64)) for start in starts]
    finite = [each for each in curvatures if bool(each.isfinite().all())]
    most = max((float(torch.linalg.eigvalsh(each).abs().max()) for each in finite), default=0.0) or 1.0
    return digits(0.2 / most), digits(side / 100)


def _ranges(window: Sequence[Spot]) -> dict[str, list[float]]:
    return {f"{axis}_range": list(span) for axis, span in zip("xy", window, strict=True)}


def _goal(request: Request, window: Sequence[Spot], minima: Sequence[Spot], others: Sequence[Spot]) -> dict[str, Any]:
    side = max(high - low for low, high in window)
    return {
        "minima": [list(each) for each in minima],
        "others": [list(each) for each in others],
        "radius": request.tolerance * side,
    }


def _descents(
    request: Request, methods: Sequence[Method], starts: Sequence[Spot], steps: int, function: Any, far: float
) -> Descents:
    points = [torch.tensor(start, dtype=torch.float64) for start in starts]
    count, units = len(points), torch.eye(2, dtype=torch.float64)
    return Descents(
        methods, points, function, [units] * count, [units[0] * 0] * count, [far] * count,
        steps, request.noise, request.seed, request.clip_norm,
    )  # fmt: skip


__all__ = ["compute", "prepared"]

"""Losses over a plane, or along a line, around a checkpoint.

Random directions: Li et al., NeurIPS 2018 (arXiv:1712.09913): filter-normalised, biases and normalisation layers stay
put. Others: see `directions`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lossscape import manifest, trajectory
from lossscape.analyses import tolerance
from lossscape.analyses.grids import check_grid
from lossscape.analyses.landscape.path import trace
from lossscape.analyses.landscape.ranges import range_of
from lossscape.analyses.landscape.request import Request
from lossscape.analyses.landscape.result import FILES, read
from lossscape.certificate.certify import certify, fingerprint
from lossscape.certificate.check import Certified
from lossscape.certificate.summary import is_done
from lossscape.directions import Direction, Plane, check_same_net, choose
from lossscape.directions.plane import AXES, fitted, kept, projected, seen_from
from lossscape.errors import BadInput
from lossscape.evaluate import Outputs, Subspace, grid_points, line_points
from lossscape.evaluate.order import coarse_to_fine
from lossscape.evaluate.refine import refined
from lossscape.evaluate.subspace import Coordinates, axis
from lossscape.execution import Execution
from lossscape.files import check_writable, read_json, save_tensors
from lossscape.options import words_of
from lossscape.problem import Problem, problem_of
from lossscape.results.engine import PlannedEngine, check_plan, predicted_seconds
from lossscape.results.folder import DIRECTIONS, POINTS, RANGE, SETTINGS, label, open_folder, write_settings
from lossscape.results.pictured import fill_picture, pictured
from lossscape.results.stored import column_of
from lossscape.results.table import More, Table, fill, once
from lossscape.runs import Point, Run, point_of
from lossscape.trajectory import moments_of
from lossscape.vectors import Params

Limits = dict[str, list[float]]
"""x_range and y_range, as settings have them."""


@dataclass(frozen=True)
class Shared:
    """What several landscapes have in common, which is not made anew for each."""

    problem: Problem | None = None
    plane: Callable[[], Plane] | None = None
    outputs: Outputs | None = None
    """Of surfaces of the same points and samples under other targets."""


def compute(request: Request, execution: Execution, shared: Shared = Shared()) -> Path:
    """Evaluate a grid around the centre, complete what exists; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    around = Around.of(request, execution, shared).settled()
    request, settings, folder = around.request, around.settings(), around.folder
    check_writable(folder)
    if _is_whole(folder, request, execution):
        return folder  # its directions are neither made nor saved again
    if request.path and not is_done(folder):  # before the surface takes its time
        for run in around.runs:
            trajectory.check_values(moments_of(run), around.problem.model)
    plane, ranges = around.plane_and_ranges(folder, shared.plane)
    before = fingerprint(around.problem.model)
    subspace = Subspace(around.origin, plane.directions, around.buffers)
    work = around.problem.work(subspace, outputs=shared.outputs)
    direction = replace(around.direction, settings=around.direction.settings | plane.found)
    settings |= ranges | {"directions": direction.settings}
    if request.auto_range is not None and not execution.overwrite:
        read_json(folder / RANGE)  # one that was changed is refused before settings.yaml is written without its range
    with open_folder(folder, settings, overwrite=execution.overwrite):
        on_cpu = [{name: value.cpu() for name, value in each.items()} for each in plane.directions]
        save_tensors(folder / DIRECTIONS, dict(zip(AXES, on_cpu, strict=False)))
        if request.auto_range is not None:
            ranges = range_of(folder, work, request.auto_range, execution.quiet)
            write_settings(folder, settings | ranges)
        engine = PlannedEngine(folder, work, execution)
        anchors = [(around.centre, (0.0,) * request.dims), *direction.ends()]
        table = Table(folder, FILES[request.dims], AXES[: request.dims])
        if isinstance(request.tolerance, float):
            axes, always = _axes(request.grid or (), ranges), [point for _, point in anchors]
            table = pictured(table, work, axes, request.tolerance, always)
            fill_picture(table, work, execution=execution, engine=engine)
        else:
            points = coarse_to_fine(_points(request.grid or (), ranges))
            more, total = _more(points, request.refine, work.columns[0]), len(points) + request.refine
            fill(table, work, more, total=total, execution=execution, engine=engine)
        if not is_done(folder):
            plan = engine.taken
            result = Certified(around.problem, table, work, plan, anchors, direction, around.base, execution.processes)
            certify(result, before, quiet=execution.quiet, **direction.facts())
        if request.path:
            trace(around.problem, folder, work, engine.taken, around.runs, execution)
    return folder


def _is_whole(folder: Path, request: Request, execution: Execution) -> bool:
    """Whether nothing of a result is left to do. Raises BadInput where another plan is asked for than it has."""
    begun = execution.overwrite or request.path or (folder / POINTS).exists()
    if begun or not is_done(folder) or not (folder / DIRECTIONS).exists():
        return False
    read_json(folder / RANGE)  # one that was changed is refused
    files = (folder / FILES[request.dims], folder / SETTINGS)
    if not all(manifest.state_of(file) == manifest.OK for file in files):  # else it was whole when it was written
        try:
            read(folder)
        except BadInput:
            return False  # what is missing is computed, and what was changed refused
    check_plan(folder, execution.plan)
    return True


def together(works: "Sequence[Around]", times: int = 1) -> float | str:
    """The tolerance of several landscapes, no longer auto, each of which is computed so many times."""
    given, execution = works[0].request.tolerance, works[0].execution
    points = times * math.prod(works[0].request.grid or ())
    return tolerance.settled(
        given,
        lambda each: any(work.at(each).folder.exists() for work in works),
        lambda: sum(work.seconds(points) for work in works),
        execution.quiet,
        points * len(works),
    )


@dataclass(frozen=True)
class Around:
    """A request with its points, data and directions at hand."""

    request: Request
    centre: Point
    runs: list[Run]
    direction: Direction
    problem: Problem
    execution: Execution
    origin: Params
    buffers: Params
    base: Params
    """The parameters where the directions are made."""

    @classmethod
    def of(cls, request: Request, execution: Execution, shared: Shared) -> "Around":
        """Open what a request names, and check it. Raises BadInput."""
        centre = point_of(request.centre)
        runs = [Run.open(each) for each in request.runs] or [centre.run] if request.path else []
        for run in runs:
            check_same_net(centre.run, run)
        together = {run.path.resolve(): run for run in (centre.run, *runs)} if request.of_all else {}
        direction = choose(centre, request.dims, replace(request.asked, together=tuple(together.values())))
        check_grid(request.grid or (), request.ranges.spans)  # before anything is loaded
        problem = shared.problem or problem_of(centre, request.measured, execution.device)
        base = problem.values(direction.made_at)[0] if direction.made_at else None
        origin, buffers = problem.values(centre)
        return cls(request, centre, runs, direction, problem, execution, origin, buffers, base or origin)

    @property
    def given(self) -> Limits:
        """The ranges that are known before anything is computed."""
        request, usual = self.request, self.direction.span
        if request.auto_range is not None:
            return {}
        spans = zip(AXES[: request.dims], request.ranges.spans, strict=False)
        return {f"{axis}_range": [*map(float, span or usual or ())] for axis, span in spans if span or usual}

    @property
    def fits(self) -> bool:
        """Whether the range is made such that it holds the points of the plane and of the paths."""
        return self.request.auto_range is None and len(self.given) < self.request.dims

    @property
    def seen(self) -> list[Run]:
        """The runs whose paths a range has to hold beside the points of the plane."""
        within = {run.path.resolve() for run in self.direction.within(self.centre)}
        return [run for run in self.runs if self.fits and run.path.resolve() not in within]

    @property
    def folder(self) -> Path:
        """Of the result."""
        return self.centre.run.results("landscape") / label(self.settings(), self.words())

    def at(self, tolerance: float | str) -> "Around":
        """The same with another tolerance."""
        return replace(self, request=replace(self.request, tolerance=tolerance))

    def settled(self) -> "Around":
        """The same with a tolerance that is no longer auto."""
        return self.at(together([self]))

    def seconds(self, points: int) -> float:
        """Predicted for some points."""
        subspace = Subspace(self.origin, [self.origin] * self.request.dims, self.buffers)  # as long as any
        return predicted_seconds(self.problem.work(subspace), points, self.execution)

    def settings(self) -> dict[str, Any]:
        """What is computed, as far as it is known before that."""
        request = self.request
        auto = {"auto_range": request.auto_range} if request.auto_range is not None else {}
        holds = [trajectory.settings_of(run, moments_of(run)) for run in self.seen]
        return {
            "analysis": "landscape",
            "centre": self.centre.settings(),
            "grid": list(request.grid or ()),
            **self.given,
            **auto,
            **({"refine": request.refine} if request.refine else {}),
            **({"tolerance": request.tolerance} if isinstance(request.tolerance, float) else {}),
            **({"range_holds": holds} if holds else {}),
            "directions": self.direction.settings,
            **self.problem.settings(),
        }

    def words(self) -> list[str]:
        """The readable part of the folder's name."""
        named = replace(self.request, measured=self.problem.named(self.centre))
        return [self.centre.checkpoint.label, *words_of(named, asked=self.direction.words(self.centre))]

    def plane_and_ranges(self, folder: Path, known: Callable[[], Plane] | None) -> tuple[Plane, Limits]:
        """The directions and ranges, those of a result that was begun where they are found out in making them."""
        problem, dims = self.problem, self.request.dims
        begun = None if self.execution.overwrite else kept(folder, self.direction, problem.device)
        if begun:
            plane, ranges = begun
        elif known:
            plane, ranges = known(), {}
        else:
            plane, ranges = self.direction.make(problem, self.centre, self.base, dims, self.execution.quiet), {}
        if not self.fits:
            return plane, self.given
        if len(ranges) < dims:
            held = seen_from(self.origin, self.base, plane) if self.direction.made_at else plane.held
            paths = projected(self.seen, problem, self.origin, plane.directions)
            ranges = fitted([*held, *paths], self.request.grid or ())
        return plane, ranges | self.given


def _more(points: Sequence[Coordinates], budget: int, column: str) -> More:
    """The points of a grid, and then those of refinement by a column."""
    if not budget:
        return once(points)
    rounds = refined(points, budget)
    return lambda known: rounds(dict(zip(known, column_of(known, column).tolist(), strict=True)))


def _axes(grid: Sequence[int], ranges: Limits) -> list[list[float]]:
    """The values of each axis."""
    return [axis(count, *ranges[f"{name}_range"]) for name, count in zip(AXES, grid, strict=False)]


def _points(grid: Sequence[int], ranges: Limits) -> list[Coordinates]:
    if "y_range" not in ranges:
        return line_points(grid[0], *ranges["x_range"])
    (x_low, x_high), (y_low, y_high) = ranges["x_range"], ranges["y_range"]
    return grid_points((grid[0], grid[1]), (x_low, x_high), (y_low, y_high))

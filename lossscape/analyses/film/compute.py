"""Films of a training: the descent over one surface, and one fixed plane laid through checkpoint after checkpoint.

Each frame of the second kind is a landscape of its own, θₖ + x·d₁ + y·d₂ around a checkpoint with the directions of A,
in the run's landscape folder. So a film that was stopped goes on with the frames that lack.
"""

import functools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lossscape import trajectory
from lossscape.analyses.film.request import USUAL, Request
from lossscape.analyses.grids import Ranges, check_grid
from lossscape.analyses.landscape import compute as landscape
from lossscape.analyses.landscape.compute import Limits, Shared
from lossscape.certificate.summary import is_done
from lossscape.directions import Asked, Direction, Plane, choose
from lossscape.directions.plane import AXES, fitted
from lossscape.errors import BadInput
from lossscape.evaluate.rows import Done, Key, Row
from lossscape.execution import Execution
from lossscape.files import check_writable, relative_path, share
from lossscape.objective import Plan
from lossscape.options import words_of
from lossscape.problem import Problem, problem_of
from lossscape.results import read_surface
from lossscape.results.folder import DIRECTIONS, FILMS, SETTINGS, label, open_folder, read_settings, write_settings
from lossscape.results.table import Table, fill
from lossscape.runs import Point, point_of
from lossscape.trajectory import Moment, moments_of

WORDS = ("film", "checkpoint", "landscape")
PATH_COLUMNS = ("x", "y", "off_plane")
MISSED = {
    "plane": "the checkpoint, whose loss every frame of the plane shows; give --grid an odd number and a range with 0 "
    "in its middle",
    "descent": "",
}
"""By film: what a grid without 0 would miss."""


def compute(request: Request, execution: Execution) -> Path:
    """Evaluate the frames of films; returns the film's folder, which holds films.csv.

    Raises BadInput, RunFailed or Interrupted.
    """
    centre = point_of(request.centre)
    moments = moments_of(centre.run)
    shown = every_so_often(moments, request.every)
    check(request, centre, moments)
    chosen = {film: choose(centre, 2, asked) for film, asked in asked_of(request).items()}
    ranges = {film: ranges_of(request, direction) for film, direction in chosen.items()}
    for film, given in ranges.items():
        check_grid(request.grid, [given.get(f"{name}_range", (-1.0, 1.0)) for name in AXES], MISSED[film])
    problem = problem_of(centre, request.measured, execution.device)
    settings: dict[str, Any] = {
        "analysis": "film",
        "kind": request.kind,
        "centre": centre.settings(),
        "every": request.every,
        "frames": len(shown),
        "path": trajectory.settings_of(centre.run, moments),
        "grid": list(request.grid),
        "ranges": ranges,
        "directions": {film: direction.settings for film, direction in chosen.items()},
        **problem.settings(),
    }
    folder = centre.run.results("film") / label(settings, words(request, problem, centre, settings))
    check_writable(folder)
    if not (folder / FILMS).exists():
        trajectory.check_values(shown, problem.model)
    split = request.measured.split
    metrics = problem.objectives()[split].columns  # refuses what does not fit before there is a folder
    frames = Frames(request, execution, centre, problem, folder, shown, ranges, metrics)
    begun = {} if execution.overwrite or not (folder / SETTINGS).exists() else read_settings(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        if "plane" in ranges and not ranges["plane"]:
            found = begun.get("ranges", {}).get("plane")
            ranges["plane"] = found or symmetric(frames.directions("plane"), request.grid)
            write_settings(folder, settings)  # whose ranges these are
        table = Table(folder, FILMS, ["film", "frame"], WORDS, unit="frame")
        table.reopen(frames.columns, lambda row: is_there(folder / row["landscape"]))
        here = replace(execution.here, quiet=True)  # every frame shows its own progress
        fill(table, frames, frames.more, total=len(ranges) * len(shown), execution=here)
    return folder


def is_there(surface: Path) -> bool:
    """Whether a landscape is finished."""
    return is_done(surface.resolve()) and (surface / "surface.csv").exists()


@dataclass
class Frames:
    """The frames of films as rows, each from a landscape, which is evaluated where it lacks."""

    request: Request
    execution: Execution
    centre: Point
    problem: Problem
    folder: Path
    shown: Sequence[Moment]
    ranges: dict[str, Limits]
    metrics: Sequence[str]
    _planes: dict[str, Plane] = field(default_factory=dict, init=False)
    """By the directions' name."""
    _before: Path | None = field(default=None, init=False)

    @property
    def columns(self) -> list[str]:
        """The moment, the metrics of its checkpoint, those of the path, and the landscape's folder."""
        split = self.request.measured.split
        own = [f"{split}_{name}" for name in self.metrics if not name.endswith("_stderr")]
        return ["epoch", "step", "checkpoint", *own, f"plane_{split}_loss", *PATH_COLUMNS, "landscape"]

    def more(self, known: Mapping[Key, Row]) -> list[Key]:
        """The plane first: the descent's surface may be one of its frames, and keeps its path so."""
        for film in ("plane", "descent"):
            keys = [(film, number) for number in range(len(self.shown))]
            if film in self.ranges and not all(key in known for key in keys):
                return list(keys)
        return []

    def cost(self, key: Key) -> int:
        """Frames count as one."""
        return 1

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some frames."""
        return [self._plane(number) if film == "plane" else self._descent(number) for film, number in keys]

    def directions(self, film: str) -> Plane:
        """The directions of a film, made at the centre when they are first needed."""
        asked = asked_of(self.request)[film]
        if asked.name not in self._planes:
            origin = self.problem.values(self.centre)[0]
            direction = choose(self.centre, 2, asked)
            self._planes[asked.name] = direction.make(self.problem, self.centre, origin, 2, self.execution.quiet)
        return self._planes[asked.name]

    def _landscape(self, film: str, at: Point, path: bool = False) -> Path:
        request = landscape.Request(
            at,
            grid=self.request.grid,
            ranges=Ranges(**{name: (low, high) for name, (low, high) in self.ranges[film].items()}),
            asked=replace(asked_of(self.request)[film], of=self.centre),
            path=path,
            measured=self.request.measured,
        )
        shared = Shared(self.problem, functools.partial(self.directions, film))
        return landscape.compute(request, self.execution, shared)

    def _plane(self, number: int) -> Row:
        at = Point(self.centre.run, self.shown[number].checkpoint)
        if not self.execution.quiet:
            print(f"frame {number + 1} of {len(self.shown)}: {at}", file=sys.stderr, flush=True)
        surface = self._landscape("plane", at)
        if self._before is not None:  # one file for all: those of large nets would fill a disk
            share(self._before / DIRECTIONS, surface / DIRECTIONS)
        self._before = surface
        table = read_surface(surface).table
        return self._row(number, surface, table[(table["x"] == 0) & (table["y"] == 0)].iloc[0], self.columns[3:-5])

    def _descent(self, number: int) -> Row:
        surface = self._surface
        (trail,) = read_surface(surface).trails
        here = trail.table.iloc[trail.checkpoints.index(self.shown[number].checkpoint.label)]
        return self._row(number, surface, here, self.columns[3:-1])

    @functools.cached_property
    def _surface(self) -> Path:
        return self._landscape("descent", self.centre, path=True)

    def _row(self, number: int, surface: Path, values: Any, known: Sequence[str]) -> Row:
        moment = self.shown[number]
        row = dict.fromkeys(self.columns) | {name: float(values[name]) for name in known}
        return row | {
            "epoch": None if math.isnan(moment.epoch) else moment.epoch,
            "step": moment.step,
            "checkpoint": moment.checkpoint.label,
            "landscape": relative_path(surface, self.folder),
        }


def every_so_often(moments: Sequence[Moment], every: float) -> list[Moment]:
    """The moments at least so many epochs apart, the first and the last among them; all where epochs are unknown."""
    shown = [moments[0]]
    for moment in moments[1:-1]:
        if not moment.epoch < shown[-1].epoch + every - 1e-9:
            shown.append(moment)
    return [*shown, *moments[1:][-1:]]


def check(request: Request, centre: Point, moments: Sequence[Moment]) -> None:
    """Raise BadInput where the run has too few checkpoints or one range would serve for two units."""
    name, keep = centre.run.path, "keep more of them (training.checkpoint_every) and train again"
    if len(moments) < 2:
        raise BadInput(f"{name}: has one checkpoint, {moments[0].checkpoint.label}; a film needs two: {keep}")
    if request.range is not None and len(set(request.asked.values())) > 1:
        raise BadInput(
            "--range: descent is drawn over principal components and plane over random directions, whose units differ; "
            "choose one with --kind, or the same for both with --directions"
        )


def asked_of(request: Request) -> dict[str, Asked]:
    """The directions of each film; options of random ones are refused where none is random."""
    ways = request.asked
    only = "random" not in ways.values()
    return {
        film: replace(request.drawn, name=way) if only or way == "random" else Asked(name=way)
        for film, way in ways.items()
    }


def ranges_of(request: Request, direction: Direction) -> Limits:
    """The ranges of a film as far as they are known before anything is loaded."""
    span = request.range or direction.span
    return {f"{name}_range": [float(end) for end in span] for name in AXES} if span else {}


def symmetric(plane: Plane, grid: Sequence[int]) -> Limits:
    """Ranges around any checkpoint that hold all others, whichever side of it they lie on."""
    mirrored = [tuple(-value for value in spot) for spot in plane.held]
    return fitted([*plane.held, *mirrored], grid)


def words(request: Request, problem: Problem, centre: Point, settings: dict[str, Any]) -> list[str]:
    """The readable part of the folder's name."""
    drawn: list[str] = []
    for made in settings["directions"].values():
        drawn += [f"seed{made['seed']}"] if made.get("seed") else []
        drawn += [made["normalize"]] if made.get("normalize", "filter") != "filter" else []
    unusual = any(way != USUAL[film] for film, way in request.asked.items())
    named = replace(request, directions=request.directions if unusual else None, measured=problem.named(centre))
    return [centre.checkpoint.label, *words_of(named, drawn=drawn)]

"""Films of a training: the descent over one surface, and one fixed plane laid through checkpoint after checkpoint.

Each frame of the second kind is a landscape of its own, θₖ + x·d₁ + y·d₂ around a checkpoint with the directions of A,
in the run's landscape folder. So a film that was stopped goes on with the frames that lack.
"""

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossscape.analyses.film.choices import (
    KINDS,
    USUAL,
    Ranges,
    check,
    check_grid,
    chosen_of,
    every_so_often,
    range_of,
    words_of,
)
from lossscape.analyses.film.result import TEXT
from lossscape.analyses.landscape.compute import around
from lossscape.certificate.summary import is_done
from lossscape.directions import Direction, Plane
from lossscape.directions.plane import fitted
from lossscape.errors import BadInput, one_of
from lossscape.files import check_writable, share, way_to
from lossscape.objective import Precision
from lossscape.problem import Problem, choose_batch_norm, problem_of
from lossscape.results import DIRECTIONS, FILMS, SETTINGS, read_csv, read_settings, read_surface, write_csv
from lossscape.results import table as folder
from lossscape.results.table import How
from lossscape.runs import Point
from lossscape.targets import Targets
from lossscape.trajectory import Moment, moments_of, settings_of

COLUMNS = ("film", "frame", "epoch", "step", "checkpoint")
PATH_COLUMNS = ("x", "y", "off_plane")


@dataclass(frozen=True)
class _Shot:
    """What all frames of a film share."""

    centre: Point
    problem: Problem
    direction: Direction
    plane: Callable[[], Plane]
    options: dict[str, Any]
    """Of `around`."""
    how: How
    overwrite: bool

    def landscape(self, at: Point, ranges: Ranges, **more: Any) -> Path:
        """The landscape around a point in the directions of the centre."""
        direction = self.direction.elsewhere(at, self.centre)
        return around(
            at, self.problem, direction, plane=self.plane, ranges=ranges, how=self.how, overwrite=self.overwrite,
            **self.options, **more,
        )  # fmt: skip


def film(
    centre: Point,
    *,
    kind: str = "both",
    directions: str | None = None,
    every: float = 1.0,
    grid: tuple[int, int] = (25, 25),
    span: tuple[float, float] | None = None,
    normalize: str | None = None,
    ignore: Sequence[str] | None = None,
    seed: int = 0,
    split: str = "train",
    samples: int | None = None,
    targets: Targets = "labels",
    batch_norm: str | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    plan: str | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Path:
    """Evaluate the frames of films of the run of `centre`; returns the film's folder, which holds films.csv.

    kind: descent (the run's path over a landscape of `centre`), plane (a landscape around every checkpoint, all in the
    directions of `centre`) or both; directions: random or pca, by default pca for descent and random for plane; every:
    epochs from one frame to the next, the last checkpoint is one in any case; span: of both axes, by default −1 to 1
    of random directions, else what holds the path; targets: labels, or what `centre` makes of the training inputs; the
    rest as for `landscape`. Raises BadInput, RunFailed or Interrupted.
    """
    if kind not in ("both", *KINDS):
        raise BadInput(one_of("--kind", kind, ("both", *KINDS)))
    asked = {each: directions or USUAL[each] for each in (KINDS if kind == "both" else (kind,))}
    moments = moments_of(centre.run)
    shown = every_so_often(moments, every)
    check(centre, asked, moments, span)
    chosen = chosen_of(centre, asked, {"normalize": normalize, "ignore": ignore, "seed": seed})
    ranges = {each: range_of(way, span) for each, way in asked.items()}
    for each, given in ranges.items():
        check_grid(each, grid, given)
    teacher = None if targets == "labels" else centre
    problem = problem_of(centre, device, targets=targets, teacher=teacher, precision=precision)
    policy = choose_batch_norm(problem.model, batch_norm, "frozen", ("frozen", "recompute"))
    settings: dict[str, Any] = {
        "analysis": "film",
        "kind": kind,
        "centre": centre.settings(),
        "every": every,
        "frames": len(shown),
        "path": settings_of(centre.run, moments),
        "grid": list(grid),
        "ranges": ranges,
        "directions": {each: direction.settings for each, direction in chosen.items()},
        **problem.settings(split, precision, policy, samples),
    }
    place = centre.run.results("film") / folder.label(settings, words_of(centre, settings, asked, span))
    check_writable(place)
    problem.objectives(split, precision, samples)  # what does not fit is told before there is a folder
    options = {
        "grid": grid,
        "split": split,
        "samples": samples,
        "batch_norm": batch_norm,
        "precision": precision,
    }
    make = _maker(centre, problem, chosen, precision, quiet)
    shots = {
        each: _Shot(
            centre,
            problem,
            direction,
            functools.partial(make, direction.name),
            options,
            How(plan, quiet=quiet),
            overwrite,
        )
        for each, direction in chosen.items()
    }
    known, found = ({}, {}) if overwrite else (_known(place), _found_ranges(place))
    with folder.open_folder(place, settings, overwrite=overwrite):
        rows = []
        if "plane" in shots:  # first: the descent's surface may be one of these frames, and keeps its path so
            if not ranges["plane"]:
                ranges["plane"] = found.get("plane") or _symmetric(make(asked["plane"]), grid)
                folder.write_settings(place, settings)  # whose ranges these are
            rows = _plane_rows(shots["plane"], place, shown, ranges["plane"], known, split, quiet)
        if "descent" in shots:
            surface = shots["descent"].landscape(centre, ranges["descent"], path=[centre.run])
            rows = _descent_rows(surface, place, shown, split) + rows
        write_csv(place / FILMS, [*COLUMNS, *_losses(split), *PATH_COLUMNS, "landscape"], rows)
    return place


def _maker(
    centre: Point, problem: Problem, chosen: Mapping[str, Direction], precision: Precision, quiet: bool
) -> Callable[[str], Plane]:
    """What makes the directions of a name, once, when they are needed."""

    @functools.cache
    def make(way: str) -> Plane:
        direction = next(each for each in chosen.values() if each.name == way)
        origin = problem.values(centre, precision)[0]
        return direction.make(problem, centre, origin, 2, precision, quiet)

    return make


def _symmetric(plane: Plane, grid: tuple[int, int]) -> Ranges:
    """Ranges around any checkpoint that hold all others, whichever side of it they lie on."""
    mirrored = [tuple(-value for value in spot) for spot in plane.held]
    return fitted([*plane.held, *mirrored], grid)


def _found_ranges(place: Path) -> dict[str, Ranges]:
    """The ranges of a film that was begun."""
    found = read_settings(place)["ranges"] if (place / SETTINGS).exists() else {}
    return dict(found)


def _known(place: Path) -> dict[str, Path]:
    """The finished landscapes of a finished film's plane, by checkpoint."""
    if not (place / FILMS).exists():
        return {}
    table = read_csv(place / FILMS, TEXT)
    rows = table[table["film"] == "plane"].to_dict("records")
    places = {row["checkpoint"]: (place / row["landscape"]).resolve() for row in rows}
    return {
        label: found for label, found in places.items() if is_done(found) and (found / "surface.csv").exists()
    }


def _losses(split: str) -> list[str]:
    return [f"{split}_loss", f"{split}_accuracy", f"plane_{split}_loss"]


def _plane_rows(
    shot: _Shot,
    place: Path,
    shown: Sequence[Moment],
    ranges: Ranges,
    known: Mapping[str, Path],
    split: str,
    quiet: bool,
) -> list[list[Any]]:
    """Evaluate the frames that lack; returns the rows of all."""
    rows: list[list[Any]] = []
    before: Path | None = None
    for number, moment in enumerate(shown):
        at = Point(shot.centre.run, moment.checkpoint)
        surface = known.get(moment.checkpoint.label)
        if surface is None:
            if not quiet:
                print(f"frame {number + 1} of {len(shown)}: {at}", file=sys.stderr, flush=True)
            surface = shot.landscape(at, ranges)
            if before is not None:  # one file for all: those of large nets would fill a disk
                share(before / DIRECTIONS, surface / DIRECTIONS)
        before = surface
        table = read_surface(surface).table
        here = table[(table["x"] == 0) & (table["y"] == 0)].iloc[0]
        losses = [float(here[name]) for name in _losses(split)[:2]]
        rows.append([*_first("plane", number, moment), *losses, *[None] * 4, way_to(surface, place)])
    return rows


def _descent_rows(surface: Path, place: Path, shown: Sequence[Moment], split: str) -> list[list[Any]]:
    (trail,) = read_surface(surface).trails
    rows = []
    for number, moment in enumerate(shown):
        here = trail.table.iloc[trail.checkpoints.index(moment.checkpoint.label)]
        values = [float(here[name]) for name in (*_losses(split), *PATH_COLUMNS)]
        rows.append([*_first("descent", number, moment), *values, way_to(surface, place)])
    return rows


def _first(film: str, number: int, moment: Moment) -> list[Any]:
    epoch = None if math.isnan(moment.epoch) else moment.epoch
    return [film, number, epoch, moment.step, moment.checkpoint.label]

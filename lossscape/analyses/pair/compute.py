"""Paired landscapes: one plane around a net against the data's labels and against what the net itself says.

Wang and Thawonmas: around a net whose outputs are the labels (Algorithm 1) the centre is a true minimum; the surface
S[i][j] = L(X̃; θ + i·δ̃ + j·η̃) (Algorithm 2) is compared with that of the data's labels in the same directions.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lossscape.analyses.grids import check_grid
from lossscape.analyses.landscape import compute as landscape
from lossscape.analyses.pair.measures import SurfaceMeasures, measure_surface, parse_level
from lossscape.analyses.pair.request import Request
from lossscape.analyses.tolerance import AUTO
from lossscape.directions import choose
from lossscape.directions.plane import AXES
from lossscape.evaluate import Outputs
from lossscape.execution import Execution
from lossscape.files import check_writable, relative_path
from lossscape.options import words_of
from lossscape.problem import problem_of
from lossscape.results import Surface, read_surface, write_csv
from lossscape.results.folder import MEASURES_CSV, SUMMARY, joined, label, open_folder
from lossscape.results.resolution import UNRESOLVED
from lossscape.runfiles import check_once, names_apart
from lossscape.runs import Point, point_of


@dataclass(frozen=True)
class Made:
    """One surface of several."""

    net: str
    targets: str
    seed: int
    surface: Surface


def compute(request: Request, execution: Execution) -> Path:
    """Landscapes around each centre, against labels and relabelled, over several planes; returns the folder.

    Every surface is a landscape in its run's own folder, resumed and certified there; the two of a plane share their
    forward passes. Writes measures.csv, a row a surface with the way to its folder, and summary.csv, mean and standard
    deviation over the planes and on how many of them the grid resolves the measure. Raises BadInput, RunFailed or
    Interrupted.
    """
    check(request)
    centres = list(map(point_of, request.centres))
    check_once(centres, [centre.checkpoint.path for centre in centres], "net")
    names = names_apart(list(map(str, centres)), [centre.run for centre in centres])
    request = _settled(request, execution, centres)
    made = list(surfaces_of(request, execution, dict(zip(names, centres, strict=True))))
    direction = choose(centres[0], 2, request.drawn)
    settings: dict[str, Any] = {
        "analysis": "pair",
        "targets": request.targets,
        "nets": [{"name": name, **centre.settings()} for name, centre in zip(names, centres, strict=True)],
        "grid": list(request.grid or ()),
        **{f"{axis}_range": list(span or ()) for axis, span in zip(AXES, request.ranges.spans, strict=True)},
        "directions": {key: value for key, value in direction.settings.items() if key != "seed"},
        **({"tolerance": request.tolerance} if isinstance(request.tolerance, float) else {}),
        "repeats": request.repeats,
        "levels": list(request.levels),
        "surfaces": [each.surface.folder.name for each in made],
    }
    named = replace(request, measured=replace(request.measured, batch_norm=None))
    words = [
        joined(names) if len(names) > 1 else centres[0].checkpoint.label,
        *words_of(named, drawn=direction.words(centres[0])),
    ]
    home = centres[0].run.path if len(centres) == 1 else centres[0].run.path.parent
    folder = home / "pairs" / label(settings, words)
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        write(folder, made, request.levels)
    return folder


def check(request: Request) -> None:
    """Raise BadInput for levels that are none, and for a grid that misses the centre."""
    for level in request.levels:
        parse_level(level)
    check_grid(request.grid or (), request.ranges.spans, "the centre; give --grid an odd number")


def surfaces_of(request: Request, execution: Execution, centres: dict[str, Point]) -> Iterator[Made]:
    """Every surface: of each net, over each plane, against labels and against its own outputs."""
    count, total = 0, 2 * request.repeats * len(centres)
    measured = replace(request.measured, targets="labels")
    for net, centre in centres.items():
        problem = problem_of(centre, measured, execution.device)
        both = {"labels": problem, request.targets: problem.held_against(request.targets, centre)}
        for seed in range(request.repeats):
            outputs = Outputs()  # of the plane's points, which both surfaces share
            for targets, held in both.items():
                count += 1
                if not execution.quiet:
                    words = f"surface {count} of {total}: {net}, {targets}, seed {seed}"
                    print(words, file=sys.stderr, flush=True)
                plane = _plane(request, centre, seed)
                shared = landscape.Shared(held, outputs=outputs)
                yield Made(net, targets, seed, read_surface(landscape.compute(plane, execution, shared)))


def _plane(request: Request, centre: Point, seed: int) -> landscape.Request:
    asked = replace(request.drawn, seed=seed)
    return landscape.Request(centre, grid=request.grid, tolerance=request.tolerance, ranges=request.ranges, asked=asked)


def _settled(request: Request, execution: Execution, centres: Sequence[Point]) -> Request:
    """The request with a tolerance that is no longer auto."""
    if request.tolerance != AUTO:
        return request
    measured = replace(request.measured, targets="labels")
    works = [
        landscape.Around.of(
            _plane(request, centre, 0), execution, landscape.Shared(problem_of(centre, measured, execution.device))
        )
        for centre in centres
    ]
    return replace(request, tolerance=landscape.together(works, request.repeats))


def write(folder: Path, made: Sequence[Made], levels: Sequence[str]) -> None:
    """Write measures.csv and summary.csv."""
    measured = [_measured(each.surface, levels) for each in made]
    names = list(measured[0].row())
    listed = [
        [each.net, each.targets, each.seed, relative_path(each.surface.folder, folder), *found.row().values(),
         " ".join(found.unresolved)]
        for each, found in zip(made, measured, strict=True)
    ]  # fmt: skip
    write_csv(folder / MEASURES_CSV, ["net", "targets", "seed", "surface", *names, UNRESOLVED], listed)
    summary = []
    for net, targets in dict.fromkeys((each.net, each.targets) for each in made):
        own = [found for each, found in zip(made, measured, strict=True) if (each.net, each.targets) == (net, targets)]
        for name in names:
            values = [found.row()[name] for found in own]
            resolved = sum(np.isfinite(found.row()[name]) and name not in found.unresolved for found in own)
            summary.append([net, targets, name, *_mean_and_spread(values), int(resolved)])
    write_csv(folder / SUMMARY, ["net", "targets", "measure", "mean", "std", "planes", "resolved"], summary)


def _measured(surface: Surface, levels: Sequence[str]) -> SurfaceMeasures:
    losses, precision = surface.values("train_loss"), str(surface.settings["precision"])
    found = measure_surface(surface.x, surface.y, losses, levels, precision=precision)
    if surface.predicted.any():  # second differences of predictions are not those of the losses
        found = replace(found, unresolved=tuple(dict.fromkeys((*found.unresolved, "convex_fraction"))))
    return found


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean and standard deviation (n − 1; NaN of fewer than two) of those that are defined, and how many these are."""
    known = np.array([value for value in values if np.isfinite(value)])
    mean = float(known.mean()) if known.size else float("nan")
    return mean, float(known.std(ddof=1)) if known.size > 1 else float("nan"), int(known.size)

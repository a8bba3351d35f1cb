"""Paired landscapes: one plane around a net against the data's labels and against what the net itself says.

Wang and Thawonmas: around a net whose outputs are the labels (Algorithm 1) the centre is a true minimum; the surface
S[i][j] = L(X̃; θ + i·δ̃ + j·η̃) (Algorithm 2) is compared with that of the data's labels in the same directions.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lossscape.analyses.landscape.compute import around
from lossscape.analyses.pair.measures import DEFAULT_LEVELS, measure_surface, parse_level
from lossscape.directions import Asked, choose
from lossscape.directions.random import IGNORABLE
from lossscape.errors import BadInput, one_of
from lossscape.evaluate import Outputs
from lossscape.evaluate.subspace import axis
from lossscape.files import check_writable, way_to
from lossscape.objective import Precision
from lossscape.problem import problem_of, relabelled_problem
from lossscape.results import Surface, read_surface, write_csv
from lossscape.results import table as folder
from lossscape.results.table import How
from lossscape.runs import Point
from lossscape.targets import Targets

KINDS = ("soft", "hard")
MEASURES, SUMMARY = "measures.csv", "summary.csv"
NAME_BYTES = 60
"""Of the nets' names in the name of a folder, of which file systems take 255."""


@dataclass(frozen=True)
class Made:
    """One surface of a study."""

    net: str
    targets: str
    seed: int
    surface: Surface


def pair(
    centres: Sequence[Point],
    *,
    targets: Targets = "soft",
    grid: tuple[int, int] = (25, 25),
    x_range: tuple[float, float] = (-1.0, 1.0),
    y_range: tuple[float, float] = (-1.0, 1.0),
    normalize: str = "filter",
    ignore: Sequence[str] = tuple(IGNORABLE),
    repeats: int = 1,
    levels: Sequence[str] = DEFAULT_LEVELS,
    samples: int | None = None,
    batch_norm: str | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    plan: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Path:
    """Landscapes of the training data around each centre, against its labels and relabelled; returns the folder.

    targets: soft (the net's whole outputs) or hard (its classes); repeats: planes, of the seeds 0 … repeats − 1;
    levels: of the widths in the measures, as surface_measures.parse_level reads them; the rest as for `landscape`:
    every surface is one, in its run's own folder, resumed and certified there. The two of a plane share their forward
    passes. Writes measures.csv, a row a surface with the place of its folder, and summary.csv, mean and standard
    deviation over the planes. Raises BadInput, RunFailed or Interrupted.
    """
    if targets not in KINDS:
        raise BadInput(one_of("--targets", targets, KINDS))
    for level in levels:
        parse_level(level)
    if repeats < 1 or not centres:
        raise BadInput("nothing to compare: give at least one net and --repeats 1")
    for name, points, ends in (("x", grid[0], x_range), ("y", grid[1], y_range)):
        if 0.0 not in axis(points, *ends):
            ends_text = f"{ends[0]:g} to {ends[1]:g}"
            raise BadInput(
                f"{points} points from {ends_text} along {name} miss the centre; give --grid an odd number"
            )
    names = _names(centres)
    ranges = {"x_range": [float(end) for end in x_range], "y_range": [float(end) for end in y_range]}
    how = How(plan, workers, scheduler, quiet)
    made, count = [], 0
    for net, centre in zip(names, centres, strict=True):
        problem = problem_of(centre, device, precision=precision)
        both = {"labels": problem, targets: relabelled_problem(problem, targets, centre, precision)}
        for seed in range(repeats):
            direction = choose(centre, 2, Asked(normalize=normalize, ignore=ignore, seed=seed))
            outputs = Outputs()  # of the plane's points, which both surfaces share
            for kind, held in both.items():
                count += 1
                _announce(
                    f"surface {count} of {2 * repeats * len(centres)}: {net}, {kind}, seed {seed}", quiet
                )
                place = around(
                    centre, held, direction, grid=grid, ranges=ranges, samples=samples, batch_norm=batch_norm,
                    precision=precision, outputs=outputs, how=how, overwrite=overwrite,
                )  # fmt: skip
                made.append(Made(net, kind, seed, read_surface(place)))
    settings: dict[str, Any] = {
        "analysis": "pair", "targets": targets,
        "nets": [{"name": name, **centre.settings()} for name, centre in zip(names, centres, strict=True)],
        "grid": list(grid), **ranges,
        "directions": {"kind": "random", "normalize": normalize, "ignore": sorted(ignore)},
        "repeats": repeats, "levels": list(levels), "surfaces": [each.surface.folder.name for each in made],
    }  # fmt: skip
    home = centres[0].run.path if len(centres) == 1 else centres[0].run.path.parent
    place = home / "pairs" / folder.label(settings, _words(settings, names, samples, precision))
    check_writable(place)
    with folder.open_folder(place, settings, overwrite=overwrite):
        _write(place, made, levels)
    return place


def _announce(words: str, quiet: bool) -> None:
    if not quiet:
        print(words, file=sys.stderr, flush=True)


def _names(centres: Sequence[Point]) -> list[str]:
    """The nets' names run@checkpoint; with the folder of the runs, or the whole path, where others have the same."""
    places = [centre.checkpoint.path.resolve() for centre in centres]
    if twice := [
        str(centre) for centre, place in zip(centres, places, strict=True) if places.count(place) > 1
    ]:
        raise BadInput(f"{twice[0]}: given twice; name each net once")
    names = [str(centre) for centre in centres]
    for parent in (lambda path: path.parent.name, lambda path: str(path.parent)):
        longer = [f"{parent(centre.run.path.resolve())}/{centre}" for centre in centres]
        names = [long if names.count(name) > 1 else name for name, long in zip(names, longer, strict=True)]
    return names


def _words(settings: dict[str, Any], names: Sequence[str], samples: int | None, precision: str) -> list[str]:
    """The readable part of the folder's name."""
    directions = settings["directions"]
    words = ["+".join(names).encode()[:NAME_BYTES].decode(errors="ignore")] if len(names) > 1 else []
    if len(names) == 1:
        words.append(settings["nets"][0]["checkpoint"])
    words += [settings["targets"], "x".join(map(str, settings["grid"]))]
    for key in ("x_range", "y_range"):
        if settings[key] != [-1.0, 1.0]:
            words.append("{}{:g}to{:g}".format(key[0], *settings[key]))
    if directions["normalize"] != "filter":
        words.append(directions["normalize"])
    if directions["ignore"] != ["bias", "norm"]:
        words.append("ignore-" + ("-".join(directions["ignore"]) or "none"))
    if settings["repeats"] > 1:
        words.append(f"{settings['repeats']}-planes")
    return words + [f"{samples}-samples"] * (samples is not None) + [precision] * (precision != "fp32")


def _write(place: Path, made: Sequence[Made], levels: Sequence[str]) -> None:
    """measures.csv, summary.csv."""
    rows = []
    for each in made:
        surface = each.surface
        measured = measure_surface(surface.x, surface.y, surface.values("train_loss"), levels).row()
        rows.append((each, measured))
    names = list(rows[0][1])
    listed = [
        [each.net, each.targets, each.seed, way_to(each.surface.folder, place), *row.values()]
        for each, row in rows
    ]
    write_csv(place / MEASURES, ["net", "targets", "seed", "surface", *names], listed)
    summary = []
    for net, targets in dict.fromkeys((each.net, each.targets) for each in made):
        for name in names:
            values = [row[name] for each, row in rows if (each.net, each.targets) == (net, targets)]
            summary.append([net, targets, name, *_mean_and_spread(values)])
    write_csv(place / SUMMARY, ["net", "targets", "measure", "mean", "std", "planes"], summary)


def _mean_and_spread(values: Sequence[float]) -> tuple[float, float, int]:
    """Mean and standard deviation (n − 1; NaN of fewer than two) of those that are defined, and how many these are."""
    known = np.array([value for value in values if np.isfinite(value)])
    mean = float(known.mean()) if known.size else float("nan")
    return mean, float(known.std(ddof=1)) if known.size > 1 else float("nan"), int(known.size)

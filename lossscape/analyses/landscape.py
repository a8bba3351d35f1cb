"""Losses over a plane, or along a line, of random directions around a checkpoint.

Li et al., NeurIPS 2018 (arXiv:1712.09913): filter-normalised directions, biases and normalisation layers stay put.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossscape.analyses import certificate, folder
from lossscape.analyses.problem import choose_batch_norm, problem_of
from lossscape.directions import NORMALIZATIONS, kinds_of_parameters, random_directions
from lossscape.errors import BadInput, one_of
from lossscape.evaluate import Subspace, grid_points, line_points
from lossscape.files import check_writable, save_tensors
from lossscape.objective import Precision
from lossscape.results import DIRECTIONS
from lossscape.runs import Point
from lossscape.vectors import Params, cosine, norm

AXES = ("x", "y")
IGNORABLE = ("bias", "norm")


def landscape(
    centre: Point,
    *,
    dims: int = 2,
    grid: tuple[int, int] = (51, 51),
    x_range: tuple[float, float] = (-1.0, 1.0),
    y_range: tuple[float, float] = (-1.0, 1.0),
    normalize: str = "filter",
    ignore: Sequence[str] = IGNORABLE,
    seed: int = 0,
    split: str = "train",
    batch_norm: str | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = True,
) -> Path:
    """Evaluate a grid of random directions around `centre`; returns the result's folder.

    grid: points along x and y; ranges in units of the scaled directions; ignore: kinds of parameters that stay put;
    batch_norm: frozen (default: the centre's statistics everywhere) or recompute. A result that exists is completed.
    Raises BadInput, RunFailed or Interrupted.
    """
    if normalize not in NORMALIZATIONS:
        raise BadInput(one_of("--normalize", normalize, NORMALIZATIONS))
    for kind in ignore:
        if kind not in IGNORABLE:
            raise BadInput(one_of("--ignore", kind, (*IGNORABLE, "none")))
    points = grid_points(grid, x_range, y_range) if dims == 2 else line_points(grid[0], *x_range)
    problem = problem_of(centre, device)
    policy = choose_batch_norm(problem.model, batch_norm, "frozen", ("frozen", "recompute"))
    origin, buffers = problem.values(centre, precision)
    ignored = [name for name, kind in kinds_of_parameters(problem.model).items() if kind in ignore]
    directions = random_directions(origin, dims, seed=seed, normalize=normalize, ignored=ignored)
    if not all(norm(direction) > 0 for direction in directions):
        raise BadInput(
            f"{centre}: nothing is left to move in with --ignore {','.join(ignore)}; use --ignore none"
        )
    ranges = {"x_range": list(x_range)} | ({"y_range": list(y_range)} if dims == 2 else {})
    settings: dict[str, Any] = {
        "analysis": "landscape",
        "centre": centre.settings(),
        "grid": list(grid[:dims]),
        **ranges,
        "directions": {"kind": "random", "seed": seed, "normalize": normalize, "ignore": sorted(ignore)},
        **problem.settings(split, precision, policy),
    }
    place = centre.run.results("landscape") / folder.label(settings, _words(centre, settings))
    check_writable(place)
    before = certificate.fingerprint(problem.model)
    with folder.open_folder(place, settings, overwrite=overwrite):
        save_tensors(place / DIRECTIONS, _on_cpu(directions))
        plane = Subspace(origin, directions, buffers)
        objectives = problem.objectives(split, precision, folder.engine_plan(place), plane)
        recompute = problem.statistics(policy, precision)
        values = folder.fill(
            place, "surface.csv" if dims == 2 else "line.csv", AXES[:dims], objectives, plane, points,
            statistics=recompute, statistics_samples=len(problem.data.train) if recompute else 0, quiet=quiet,
        )  # fmt: skip
        if certificate.is_done(place):
            return place
        found = None if recompute else values.get((0.0,) * dims)
        with folder.watched("certificate", 1, sum(map(len, objectives.values())), quiet=quiet) as done:
            checks = certificate.check_point(centre, objectives, (origin, buffers), found, done)
        unchanged = certificate.fingerprint(problem.model) == before
        certificate.write(place, checks, unchanged=unchanged, **_geometry(origin, directions))
    return place


def _geometry(origin: Params, directions: Sequence[Params]) -> dict[str, Any]:
    """Lengths of the centre and of the directions, and the cosine between them."""
    facts: dict[str, Any] = {
        "centre_norm": norm(origin),
        "direction_norms": [norm(direction) for direction in directions],
    }
    if len(directions) == 2:
        facts["cosine"] = cosine(*directions)
    return facts


def _on_cpu(directions: Sequence[Params]) -> dict[str, Params]:
    return {
        axis: {name: value.cpu() for name, value in direction.items()}
        for axis, direction in zip(AXES, directions, strict=False)
    }


def _words(centre: Point, settings: dict[str, Any]) -> list[str]:
    """The readable part of the folder's name: the centre and grid, then what differs from the defaults."""
    directions = settings["directions"]
    words = [centre.checkpoint.label, "x".join(str(n) for n in settings["grid"])]
    for key in ("x_range", "y_range"):
        if settings.get(key, [-1.0, 1.0]) != [-1.0, 1.0]:
            words.append("{}{:g}to{:g}".format(key[0], *settings[key]))
    if directions["normalize"] != "filter":
        words.append(directions["normalize"])
    if directions["ignore"] != ["bias", "norm"]:
        words.append("ignore-" + ("-".join(directions["ignore"]) or "none"))
    if directions["seed"]:
        words.append(f"seed{directions['seed']}")
    if settings["split"] != "train":
        words.append(settings["split"])
    if settings["batch_norm"] not in (None, "frozen"):
        words.append(settings["batch_norm"])
    if settings["precision"] != "fp32":
        words.append(settings["precision"])
    return words

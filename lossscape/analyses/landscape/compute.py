"""Losses over a plane, or along a line, around a checkpoint.

Random directions: Li et al., NeurIPS 2018 (arXiv:1712.09913): filter-normalised, biases and normalisation layers stay
put. Others: see `directions`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lossscape.analyses.landscape.path import trace
from lossscape.analyses.landscape.ranges import Found, find_range
from lossscape.certificate.certify import certify, fingerprint
from lossscape.certificate.check import Certified
from lossscape.certificate.summary import is_done
from lossscape.directions import Asked, Direction, Plane, check_same_net, choose
from lossscape.directions.plane import AXES, fitted, kept, projected, seen_from
from lossscape.errors import BadInput
from lossscape.evaluate import Outputs, Subspace, Work, grid_points, line_points
from lossscape.evaluate.order import coarse_to_fine
from lossscape.evaluate.refine import refined
from lossscape.evaluate.subspace import Coordinates, axis
from lossscape.files import check_writable, read_json, save_tensors, write_text
from lossscape.objective import Precision
from lossscape.problem import Problem, choose_batch_norm, problem_of
from lossscape.results import DIRECTIONS, RANGE
from lossscape.results import table as folder
from lossscape.results.table import How, More
from lossscape.runs import Point, Run
from lossscape.targets import Targets
from lossscape.trajectory import moments_of, settings_of
from lossscape.vectors import Params


def landscape(
    centre: Point,
    *,
    dims: int = 2,
    grid: tuple[int, int] = (51, 51),
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    auto_range: float | None = None,
    refine: int = 0,
    directions: str = "random",
    through: Sequence[Point] = (),
    towards: Point | None = None,
    directions_of: Point | None = None,
    path: Sequence[Run] = (),
    normalize: str | None = None,
    ignore: Sequence[str] | None = None,
    seed: int = 0,
    split: str = "train",
    samples: int | None = None,
    targets: Targets = "labels",
    teacher: Point | None = None,
    batch_norm: str | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    plan: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Path:
    """Evaluate a grid around `centre`; returns the result's folder.

    grid: points along x and y; ranges in units of the directions (by default −1 to 1 of random ones, else with room
    for the points of the plane and of the paths), or by auto_range such that the loss rises by this factor on every
    side; refine: points beyond the grid, where the surface bends; directions: random, or pca for the principal
    components of the run's checkpoints around the centre; through: two points that the plane goes through beside the
    centre; towards: a point that the first direction leads to; these three have length 1, so that coordinates are
    distances. directions_of: another point that random directions are scaled to, or principal components are taken
    around, so that the planes around several centres are parallel; path: runs whose checkpoints are projected and
    compared with the plane; normalize, ignore: how random directions are scaled (filter) and the kinds of parameters
    that stay put (bias, norm); seed: of random directions; samples: of one stratified subset, or None for all;
    targets, teacher: labels, or what a checkpoint (the centre itself) makes of the training inputs; batch_norm: frozen
    (default: the centre's statistics everywhere) or recompute; plan, workers, scheduler: how it is computed. A result
    that exists is completed. Raises BadInput, RunFailed or Interrupted.
    """
    two = (through[0], through[1]) if through else None
    asked = Asked(directions, two, towards, directions_of, normalize, ignore, seed)
    direction = choose(centre, dims, asked)
    if path and dims == 1:
        raise BadInput("--path is drawn on a plane: leave --dims 1 out")
    for run in path:
        check_same_net(centre.run, run)
    default = direction.span if auto_range is None else None
    ranges = _ranges(dims, grid, x_range or default, y_range or default)
    problem = problem_of(centre, device, targets=targets, teacher=teacher, precision=precision)
    return around(
        centre, problem, direction, dims=dims, grid=grid, ranges=ranges, auto_range=auto_range, refine=refine,
        path=path, split=split, samples=samples, batch_norm=batch_norm, precision=precision,
        how=How(plan, workers, scheduler, quiet), overwrite=overwrite,
    )  # fmt: skip


def around(
    centre: Point,
    problem: Problem,
    direction: Direction,
    *,
    plane: Callable[[], Plane] | None = None,
    dims: int = 2,
    grid: tuple[int, int],
    ranges: dict[str, list[float]],
    auto_range: float | None = None,
    refine: int = 0,
    path: Sequence[Run] = (),
    split: str = "train",
    samples: int | None = None,
    batch_norm: str | None = None,
    precision: Precision = "fp32",
    outputs: Outputs | None = None,
    how: How,
    overwrite: bool = False,
) -> Path:
    """What `landscape` does once its data are loaded and its directions are chosen; returns the result's folder.

    plane: gives the directions where they are made already; ranges: x_range and y_range, as far as
    they were given; outputs: shared with surfaces of the same points and samples under other targets.
    """
    policy = choose_batch_norm(problem.model, batch_norm, "frozen", ("frozen", "recompute"))
    base = problem.values(direction.made_at, precision)[0] if direction.made_at else None
    origin, buffers = problem.values(centre, precision)
    base = base or origin
    fits = auto_range is None and len(ranges) < dims
    within = direction.within(centre)
    seen = [run for run in path if fits and (within is None or run.path != within.path)]
    settings: dict[str, Any] = {
        "analysis": "landscape",
        "centre": centre.settings(),
        "grid": list(grid[:dims]),
        **(ranges if auto_range is None else {"auto_range": auto_range}),
        **({"refine": refine} if refine else {}),
        **({"range_holds": [settings_of(run, moments_of(run)) for run in seen]} if seen else {}),
        "directions": direction.settings,
        **problem.settings(split, precision, policy, samples),
    }
    words = _words(centre, settings, direction.words(centre))
    place = centre.run.results("landscape") / folder.label(settings, words)
    check_writable(place)
    known = None if overwrite else kept(place, direction, problem.device)
    if known:
        made, earlier = known
    else:
        made = plane() if plane else direction.make(problem, centre, base, dims, precision, how.quiet)
        earlier = {}
    if fits and len(earlier) < dims:
        held = seen_from(origin, base, made) if direction.made_at else made.held
        earlier = fitted([*held, *projected(seen, problem, origin, made.directions)], grid[:dims])
    ranges = earlier | ranges if fits else ranges
    settings |= ranges | {"directions": direction.settings | made.found}
    work = Work(
        problem.objectives(split, precision, samples),
        Subspace(origin, made.directions, buffers),
        problem.statistics(policy, precision),
        outputs=outputs,
    )
    before = fingerprint(problem.model)
    with folder.open_folder(place, settings, overwrite=overwrite):
        save_tensors(place / DIRECTIONS, _on_cpu(made.directions))
        if auto_range is not None:
            ranges = _range_of(place, work, dims, auto_range, how.quiet)
            folder.write_settings(place, settings | ranges)
        points = coarse_to_fine(_points(grid, ranges))
        values, plan_taken = folder.fill(
            place, "surface.csv" if dims == 2 else "line.csv", AXES[:dims], work, _rounds(points, refine, split),
            len(points) + refine, how=how,
        )  # fmt: skip
        if not is_done(place):
            anchors = [(centre, (0.0,) * dims), *direction.ends(made.found)]
            result = Certified(
                problem, place, work, plan_taken, values, anchors, AXES[:dims], policy, direction, base
            )
            certify(result, before, quiet=how.quiet, **direction.facts(made.found))
        if path:
            trace(problem, place, work, plan_taken, path, quiet=how.quiet)
    return place


def _ranges(dims: int, grid: tuple[int, int], *given: tuple[float, float] | None) -> dict[str, list[float]]:
    """The ranges that were given; a slip in them is told before anything is loaded."""
    ranges = {}
    for name, points, span in zip(AXES[:dims], grid, given, strict=False):
        if span is not None:
            axis(points, *span)
            ranges[f"{name}_range"] = [float(end) for end in span]
    return ranges


def _points(grid: tuple[int, int], ranges: dict[str, list[float]]) -> list[Coordinates]:
    if "y_range" not in ranges:
        return line_points(grid[0], *ranges["x_range"])
    (x_low, x_high), (y_low, y_high) = ranges["x_range"], ranges["y_range"]
    return grid_points(grid, (x_low, x_high), (y_low, y_high))


def _rounds(points: list[Coordinates], refine: int, split: str) -> More:
    """The grid, then the points that refine it by the losses of the first split."""
    first = "test" if split == "test" else "train"
    more = refined(points, refine)
    return lambda known: more({point: values[f"{first}_loss"] for point, values in known.items()})


def _range_of(place: Path, work: Work, axes: int, factor: float, quiet: bool) -> dict[str, list[float]]:
    """The range that a result has, found where it is not yet written."""
    known = read_json(place / RANGE)
    if known.get("factor") != factor:
        objective = next(iter(work.objectives.values()))
        with folder.watched("looking for the range", 12 * axes, work.samples, quiet=quiet) as done:
            found = find_range(_loss(work, done), axes, factor, objective.blind_loss())
        known = _known(found, factor)
        write_text(place / RANGE, json.dumps(known, indent=2) + "\n")
    return {f"{axis}_range": [-reach, reach] for axis, reach in zip(AXES, known["reach"], strict=False)}


def _known(found: Found, factor: float) -> dict[str, Any]:
    return {"factor": factor, "level": found.level, "reach": found.reach, "probes": found.probes}


def _loss(work: Work, done: Callable[[int], None]) -> Callable[[Coordinates], float]:
    """The loss of the first split at a point, by plain forward passes."""
    split, objective = next(iter(work.objectives.items()))
    first = Work({split: objective}, work.subspace, work.statistics)
    return lambda point: first.rows([point], objective.plan, done)[0][f"{split}_loss"]


def _on_cpu(directions: Sequence[Params]) -> dict[str, Params]:
    return {
        axis: {name: value.cpu() for name, value in direction.items()}
        for axis, direction in zip(AXES, directions, strict=False)
    }


def _words(centre: Point, settings: dict[str, Any], directions: list[str]) -> list[str]:
    """The readable part of the folder's name: the centre and grid, then what differs from the defaults."""
    words = [centre.checkpoint.label, "x".join(str(n) for n in settings["grid"])]
    if "auto_range" in settings:
        words.append(f"auto-range-{settings['auto_range']:g}")
    if "refine" in settings:
        words.append(f"refined-{settings['refine']}")
    for key in ("x_range", "y_range"):
        if settings.get(key, [-1.0, 1.0]) != [-1.0, 1.0]:
            words.append("{}{:g}to{:g}".format(key[0], *settings[key]))
    words += directions
    if settings["split"] != "train":
        words.append(settings["split"])
    if settings["targets"] != "labels":
        words.append(settings["targets"])
        if settings["teacher"] != settings["centre"]:
            words.append("of-{run}-{checkpoint}".format(**settings["teacher"]))
    if "population" in settings:
        words.append(f"{next(iter(settings['samples'].values()))}-samples")
    if settings["batch_norm"] not in (None, "frozen"):
        words.append(settings["batch_norm"])
    if settings["precision"] != "fp32":
        words.append(settings["precision"])
    return words

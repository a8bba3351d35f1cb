"""Losses along the line between two checkpoints: θ(α) = (1 − α)·θ_A + α·θ_B.

Goodfellow, Vinyals and Saxe, ICLR 2015 (arXiv:1412.6544).
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from lossscape.analyses.interpolate import measures
from lossscape.analyses.interpolate.request import Request
from lossscape.analyses.tolerance import settled
from lossscape.certificate.certify import certify, fingerprint
from lossscape.certificate.check import Certified
from lossscape.certificate.summary import is_done
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, line_points
from lossscape.evaluate.order import coarse_to_fine
from lossscape.evaluate.statistics import statistics_of
from lossscape.evaluate.subspace import Coordinates
from lossscape.execution import Execution
from lossscape.files import check_writable, write_text
from lossscape.options import settings_of, words_of
from lossscape.problem import Problem, problem_of
from lossscape.results import Curve, read_curve
from lossscape.results.engine import PlannedEngine, predicted_seconds
from lossscape.results.folder import MEASURES, label, open_folder
from lossscape.results.pictured import fill_picture, pictured
from lossscape.results.table import Table, fill, once, watched
from lossscape.runs import Point, point_of
from lossscape.vectors import Params, norm, subtract
from lossscape.vectors.between import between

GAUSS_SAMPLES, GAUSS_POINTS = 200, 51
"""Training samples, the first in file order, whose logits' paths are measured, and the values of α."""
POLICIES = ("recompute", "frozen", "interpolated")


def compute(request: Request, execution: Execution) -> Path:
    """Evaluate the line from the start (α = 0) to the end (α = 1) on the start's data; returns the result's folder.

    A result that exists is completed. Raises BadInput, RunFailed or Interrupted.
    """
    start, end = ends_of(request)
    alphas = alphas_of(request)
    problem = problem_of(start, request.measured, execution.device, POLICIES)
    line = line_of(problem, start, end)
    request = _settled(request, execution, problem, line)
    settings, folder = _settings(request, problem), _folder(request, problem)
    check_writable(folder)
    before = fingerprint(problem.model)
    work = problem.work(line)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        engine = PlannedEngine(folder, work, execution)
        table = Table(folder, "curve.csv", ["alpha"])
        anchors = [(start, (0.0,)), (end, (1.0,))]
        if isinstance(request.tolerance, float):
            axes, always = [[alpha for (alpha,) in alphas]], [point for _, point in anchors]
            table = pictured(table, work, axes, request.tolerance, always)
            fill_picture(table, work, execution=execution, engine=engine)
        else:
            fill(table, work, once(coarse_to_fine(alphas)), total=len(alphas), execution=execution, engine=engine)
        if not is_done(folder):
            found = {
                "distance": norm(line.directions[0]),
                "distance_moved": measures.distance_moved(line.origin, problem.values(end)[0]),
                "gauss_length": _gauss_length(problem, line, execution.quiet),
                **measures_of(read_curve(folder), problem.measured.precision),
            }
            write_text(folder / MEASURES, json.dumps(found, indent=2) + "\n")
            result = Certified(problem, table, work, engine.taken, anchors, processes=execution.processes)
            certify(result, before, quiet=execution.quiet)
    return folder


def ends_of(request: Request) -> tuple[Point, Point]:
    """The ends of the line; one run alone stands for its first and last checkpoint. Raises BadInput."""
    if request.end is not None:
        return point_of(request.start), point_of(request.end)
    first = point_of(request.start, "first")
    if first.checkpoint.label != first.run.checkpoint("first").label:
        raise BadInput(f"{request.start}: a line needs two ends; name the run alone, or a second point")
    return first, Point(first.run, first.run.checkpoint("last"))


def alphas_of(request: Request) -> list[Coordinates]:
    """The values of α, ascending: evenly spaced, and 0 and 1 where they lie within the range."""
    low, high = request.range
    ends = [(end,) for end in (0.0, 1.0) if low <= end <= high]
    return sorted({*line_points(request.points, low, high), *ends})


def line_of(problem: Problem, start: Point, end: Point) -> Subspace:
    """The line between two points. Raises BadInput where they are one."""
    origin, buffers = problem.values(start)
    target, target_buffers = problem.values(end)
    if not norm(subtract(target, origin)):
        raise BadInput(f"{start} and {end} are the same point: a line needs two")
    moving = _moving(problem, buffers, target_buffers)
    return Subspace(origin, [between(origin, target)], buffers, moving, frozen=problem.policy == "frozen")


def _moving(problem: Problem, start: Params, end: Params) -> list[Params]:
    """The buffers that move along the line, so that both its ends are what they are: all but BatchNorm's statistics.

    Those move where the policy says so.
    """
    still = set() if problem.policy == "interpolated" else statistics_of(problem.model)
    unlike = [name for name in start if name not in still and not torch.equal(start[name], end[name])]
    way = between(*({name: each[name] for name in unlike} for each in (start, end)))
    return [way] if way or problem.policy == "interpolated" else []


def measures_of(curve: Curve, precision: str) -> dict[str, Any]:
    """The measures of the curve of each split, whose losses were computed in this precision.

    Where points are predicted, rises are those between points that were evaluated: a prediction is no proof of one.
    """
    known, found = ~curve.predicted, {}
    for split in curve.splits:
        losses = curve.table[f"{split}_loss"].to_numpy()
        whole = measures.measure_curve(curve.positions, losses, precision)
        part = measures.measure_curve(curve.positions[known], losses[known], precision)
        if whole is not None and part is not None:
            found[split] = asdict(whole if known.all() else measures.proven(whole, part))
    return found


def _settings(request: Request, problem: Problem) -> dict[str, Any]:
    """What is computed."""
    start, end = ends_of(request)
    own = settings_of(request, start=start.settings(), end=end.settings())
    settings = {"analysis": "interpolate", **own, **problem.settings()}
    return settings | {"range": list(map(float, settings["range"]))}


def _folder(request: Request, problem: Problem) -> Path:
    start, end = ends_of(request)
    far = end.checkpoint.label if end.run.path == start.run.path else f"{end.run.name}-{end.checkpoint.label}"
    words = [start.checkpoint.label, "to", far]
    named = replace(request, measured=problem.named(start))
    return start.run.results("interpolate") / label(_settings(request, problem), [*words, *words_of(named)])


def _settled(request: Request, execution: Execution, problem: Problem, line: Subspace) -> Request:
    """The request with a tolerance that is no longer auto."""

    def begun(tolerance: float | str) -> bool:
        return _folder(replace(request, tolerance=tolerance), problem).exists()

    def seconds() -> float:
        return predicted_seconds(problem.work(line), request.points, execution)

    return replace(request, tolerance=settled(request.tolerance, begun, seconds, execution.quiet, request.points))


def _gauss_length(problem: Problem, line: Subspace, quiet: bool) -> float | None:
    """Of the outputs on some training samples, in float64; None where statistics are recomputed."""
    if problem.policy == "recompute":
        return None
    exact = replace(problem.measured, split="train", targets="labels", teacher=None, samples=None, precision="fp64")
    few = replace(problem, measured=exact, relabelled=None).objectives()["train"].part(slice(GAUSS_SAMPLES))
    with watched("Gauss length", GAUSS_POINTS, len(few), quiet=quiet) as done:
        return measures.gauss_length(few, line, GAUSS_POINTS, done)

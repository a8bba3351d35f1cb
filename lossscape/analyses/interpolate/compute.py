"""Losses along the line between two checkpoints: θ(α) = (1 − α)·θ_A + α·θ_B.

Goodfellow, Vinyals and Saxe, ICLR 2015 (arXiv:1412.6544).
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossscape.analyses.interpolate import measures
from lossscape.certificate.certify import certify, fingerprint
from lossscape.certificate.check import Certified
from lossscape.certificate.summary import is_done
from lossscape.dropout import Dropout
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, Work, line_points
from lossscape.evaluate.order import coarse_to_fine
from lossscape.files import check_writable, write_text
from lossscape.objective import Objective, Precision
from lossscape.problem import Problem, choose_batch_norm, problem_of
from lossscape.results import MEASURES
from lossscape.results import table as folder
from lossscape.results.table import How
from lossscape.runs import Point, point
from lossscape.targets import Targets
from lossscape.vectors import norm, subtract
from lossscape.vectors.between import between

GAUSS_SAMPLES, GAUSS_POINTS = 200, 51
"""Training samples, the first in file order, whose logits' paths are measured, and the values of α."""


def interpolate(
    start: Point,
    end: Point,
    *,
    points: int = 1001,
    low: float = 0.0,
    high: float = 1.0,
    split: str = "both",
    batch_norm: str | None = None,
    samples: int | None = None,
    targets: Targets = "labels",
    teacher: Point | None = None,
    dropout: int | None = None,
    precision: Precision = "fp32",
    device: str = "auto",
    plan: str | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    quiet: bool = True,
) -> Path:
    """Evaluate the line from `start` (α = 0) to `end` (α = 1) on the start's data; returns the result's folder.

    points, low, high: of α; split: train, test or both; batch_norm: recompute (default), interpolated or frozen
    (the start's statistics); samples: of one stratified subset of each split, or None for all; targets,
    teacher: labels, or what a checkpoint (the start) makes of the training inputs; dropout: stays on, with masks of
    this seed that are the same at every α, in place of off; plan, workers, scheduler: how it is computed. A result
    that exists is completed. Raises BadInput, RunFailed or Interrupted.
    """
    alphas = line_points(points, low, high)
    problem = problem_of(start, device, targets=targets, teacher=teacher, precision=precision)
    policy = choose_batch_norm(
        problem.model, batch_norm, "recompute", ("frozen", "interpolated", "recompute")
    )
    origin, buffers = problem.values(start, precision)
    target, target_buffers = problem.values(end, precision)
    if not norm(subtract(target, origin)):
        raise BadInput(f"{start} and {end} are the same point: a line needs two")
    line = Subspace(
        origin,
        [between(origin, target)],
        buffers,
        [between(buffers, target_buffers)] if policy == "interpolated" else (),
    )
    settings: dict[str, Any] = {
        "analysis": "interpolate",
        "start": start.settings(),
        "end": end.settings(),
        "points": points,
        "range": [low, high],
        **problem.settings(split, precision, policy, samples, dropout),
    }
    place = start.run.results("interpolate") / folder.label(settings, _words(start, end, settings))
    check_writable(place)
    before = fingerprint(problem.model)
    recompute = problem.statistics(policy, precision)
    work = Work(problem.objectives(split, precision, samples, dropout), line, recompute)
    with folder.open_folder(place, settings, overwrite=overwrite):
        ordered = coarse_to_fine(alphas)
        values, plan_taken = folder.fill(
            place, "curve.csv", ["alpha"], work, lambda known: [] if known else ordered, len(ordered),
            how=How(plan, workers, scheduler, quiet),
        )  # fmt: skip
        if is_done(place):
            return place
        curve = {
            name: measures.measure_curve(
                np.array([point[0] for point in alphas]),
                np.array([values[point][f"{name}_loss"] for point in alphas]),
            )
            for name in work.objectives
        }
        content = {
            "distance": norm(line.directions[0]),
            "distance_moved": measures.distance_moved(origin, target),
            "gauss_length": None if recompute else _gauss_length(problem, line, dropout, quiet),
            **{name: asdict(found) for name, found in curve.items() if found is not None},
        }
        write_text(place / MEASURES, json.dumps(content, indent=2) + "\n")
        ends = [(start, (0.0,)), (end, (1.0,))]
        result = Certified(problem, place, work, plan_taken, values, ends, ["alpha"], policy)
        certify(result, before, quiet=quiet)
    return place


def _gauss_length(problem: Problem, line: Subspace, dropout: int | None, quiet: bool) -> float:
    """Of the logits on some training samples, in float64."""
    inputs, targets = (
        part[:GAUSS_SAMPLES] for part in (problem.data.train.inputs, problem.data.train.targets)
    )
    masks = None if dropout is None else Dropout(dropout, torch.arange(len(inputs)))
    few = Objective(problem.model, "cross_entropy", inputs, targets, precision="fp64", dropout=masks)
    with folder.watched("Gauss length", GAUSS_POINTS, len(few), quiet=quiet) as done:
        return measures.gauss_length(few, line, GAUSS_POINTS, done)


def _words(start: Point, end: Point, settings: dict[str, Any]) -> list[str]:
    """The readable part of the folder's name: both ends, then what differs from the defaults."""
    far = end.checkpoint.label if end.run.path == start.run.path else f"{end.run.name}-{end.checkpoint.label}"
    words = [start.checkpoint.label, "to", far]
    if settings["points"] != 1001:
        words.append(f"{settings['points']}-points")
    if settings["range"] != [0.0, 1.0]:
        words.append("from-{:g}-to-{:g}".format(*settings["range"]))
    if settings["split"] != "both":
        words.append(settings["split"])
    if settings["targets"] != "labels":
        words.append(settings["targets"])
        if settings["teacher"] != settings["start"]:
            words.append("of-{run}-{checkpoint}".format(**settings["teacher"]))
    if "population" in settings:
        words.append(f"{next(iter(settings['samples'].values()))}-samples")
    if "dropout" in settings:
        words += ["dropout"] + [f"seed-{settings['dropout']['seed']}"] * (settings["dropout"]["seed"] != 0)
    if settings["batch_norm"] not in (None, "recompute"):
        words.append(settings["batch_norm"])
    if settings["precision"] != "fp32":
        words.append(settings["precision"])
    return words


def pair(start: str, end: str | None) -> tuple[Point, Point]:
    """The ends of a line from the command line's words; one run alone stands for its first and last checkpoint."""
    if end is not None:
        return point(start), point(end)
    first = point(start, "first")
    if first.checkpoint.label != first.run.checkpoint("first").label:
        raise BadInput(f"{start}: a line needs two ends; name the run alone, or a second point")
    return first, Point(first.run, first.run.checkpoint("last"))

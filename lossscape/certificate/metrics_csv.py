"""Losses of whole splits at the checkpoints of a result against the rows of metrics.csv that training wrote."""

import math
from dataclasses import replace
from typing import Any

import torch

from lossscape.certificate.check import ABSOLUTE, RELATIVE, Certified, Findings, Kind, compare
from lossscape.certificate.reference import Reference
from lossscape.objective import Objective
from lossscape.results import evaluated, read_csv
from lossscape.runs import Point, split_state
from lossscape.vectors import Params

KIND = Kind(
    "stored",
    "metrics.csv",
    "the data or the library differs from those of the training (see environment.json; a data function of your own has "
    "to give the same samples at every call), or the checkpoint was changed",
)
LEAST = 1e-5
"""Of the relative differences that pass, since the rows are fp32."""
WORTH = 0.05
"""Share of a sampled result's own work that a pass over a whole split, for its row of metrics.csv, may take."""


def check(result: Certified, reference: Reference) -> Findings:
    """Compare whole splits at each checkpoint with its row, where it has one of the same data, targets and loss.

    A checkpoint that the result has under the checkpoint's own BatchNorm statistics has its losses there already;
    another one is evaluated here, by plain forward passes.
    """
    objectives, precision = _whole(result), result.precision
    checks = []
    for point, coordinates in result.anchors:
        row, own_data, data = _row(point), point.run.sections(), result.problem.run.sections()
        if row is None or any(own_data[key] != data[key] for key in ("dataset", "loss")):
            continue
        parameters, own = split_state(point.run.model(point.checkpoint))
        same = result.work.statistics is None and _same(own, result.work.subspace.at(coordinates)[1])
        for split, objective in objectives.items():
            teacher = own_data.get("teacher")
            if teacher is not None and (split == "train" or teacher.get("hint") is not None):
                continue  # its row is against what the teacher says
            name, stored = f"{split} loss at {point}", float(row[f"{split}_loss"])
            if same and objective is result.work.objectives[split] and coordinates in result.values:
                loss = result.values[coordinates][f"{split}_loss"]
            else:
                name += " with its own statistics" if own else ""
                loss = objective.metrics(parameters, own, reference.done)["loss"]
            tolerance = max(LEAST, RELATIVE[precision]) * abs(stored) + ABSOLUTE["fp32"]
            low = "fp32" if precision == "fp64" else precision
            rough = reference.rough(split, coordinates, low, stored)
            # the row is of this precision itself: no overflow explains a loss that is not finite here alone
            name += ", against metrics.csv"
            one = compare(KIND, name, loss, stored, tolerance, rough if math.isfinite(loss) else None)
            if math.isfinite(loss) and not (
                math.isfinite(stored) or math.isfinite(reference.rough(split, coordinates, low, loss)())
            ):
                one = replace(one, passed=None)  # but float64 has losses where training had none
            checks.append(one)
    return checks, {}


def _same(own: Params, used: Params) -> bool:
    """Whether a checkpoint's own BatchNorm statistics are those that the result has there."""
    return all(
        torch.equal(value.to(used[name]).cpu(), used[name].cpu())
        for name, value in own.items()
        if value.is_floating_point()
    )


def _row(point: Point) -> Any:
    if point.checkpoint.epoch is None or not point.run.metrics_file.exists():
        return None
    table = evaluated(read_csv(point.run.metrics_file, live=True))
    rows = table[table["epoch"] == point.checkpoint.epoch] if len(table) else table
    return None if rows.empty else rows.iloc[-1]


def _whole(result: Certified) -> dict[str, Objective]:
    """Objectives of the whole splits that training was measured on.

    Of a sampled result, and of one with dropout on, only where a pass over them is little beside its own work; none of
    other targets than labels.
    """
    objectives, problem = {}, result.problem
    for split, objective in result.work.objectives.items():
        if split == "train" and problem.targets != "labels":
            continue
        data = getattr(problem.data, split)
        if objective.sample is None and objective.dropout is None:
            objectives[split] = objective
        elif len(data) <= WORTH * len(result.values) * len(objective):
            objectives[split] = Objective(
                problem.model, problem.run.loss, data.inputs, data.targets, metrics=objective.scoring.metrics,
                output=objective.output, precision=objective.precision,
            )  # fmt: skip
    return objectives

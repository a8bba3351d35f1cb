"""Losses of whole splits at the checkpoints of a result against the rows of metrics.csv that training wrote."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lossscape.certificate.check import ABSOLUTE, RELATIVE, Anchor, Check, compare, off_by
from lossscape.certificate.reference import Sides
from lossscape.evaluate import Work
from lossscape.evaluate.engine import Values
from lossscape.evaluate.subspace import Coordinates
from lossscape.objective import Objective, Precision
from lossscape.problem import Problem
from lossscape.results import read_csv
from lossscape.runs import Point, split_state

RELATIVE_TO_ROWS = 1e-5
"""At least, since the rows are fp32."""
WORTH = 0.05
"""Share of a sampled result's own work that a pass over a whole split, for its row of metrics.csv, may take."""


def check_rows(
    problem: Problem,
    work: Work,
    values: Mapping[Coordinates, Values],
    anchors: Sequence[Anchor],
    sides: Sides,
) -> list[Check]:
    """Compare whole splits at each checkpoint with its row, where it has one of the same data, targets and loss.

    A checkpoint that the result has under the checkpoint's own BatchNorm statistics has its losses there already;
    another one is evaluated here, by plain forward passes.
    """
    objectives = _whole(problem, work, len(values))
    checks: list[Check] = []
    for point, place in anchors:
        config, given = point.run.config, problem.run.config
        row = _row(point)
        if row is None or (config.dataset, config.loss.name) != (given.dataset, given.loss.name):
            continue
        parameters, own = split_state(point.run.model(point.checkpoint))
        at = work.subspace.at(place)[1]
        same = work.statistics is None and all(
            torch.equal(value.to(at[name]).cpu(), at[name].cpu())
            for name, value in own.items()
            if value.is_floating_point()
        )
        low: Precision = "fp32" if sides.precision == "fp64" else sides.precision
        error = functools.partial(sides.error, point=place, precision=low)
        for split, objective in objectives.items():
            if split == "train" and config.teacher is not None:
                continue  # its row is against what the teacher says
            name, reference = f"{split} loss at {point}", float(row[f"{split}_loss"])
            if same and objective is work.objectives[split] and place in values:
                loss = values[place][f"{split}_loss"]
            else:
                name += " with its own statistics" if own else ""
                loss = objective.metrics(parameters, own, sides.done)["loss"]
            allowed = max(RELATIVE_TO_ROWS, RELATIVE[sides.precision]) * abs(reference) + ABSOLUTE["fp32"]
            rough = functools.partial(off_by, reference, error, split)
            checks.append(compare("stored", f"{name}, against metrics.csv", loss, reference, allowed, rough))
    return checks


def _row(point: Point) -> Any:
    """The row of metrics.csv of a checkpoint after an epoch, or None."""
    if point.checkpoint.epoch is None or not point.run.metrics_file.exists():
        return None
    table = read_csv(point.run.metrics_file, live=True)
    rows = table[table["epoch"] == point.checkpoint.epoch] if len(table) else table
    return None if rows.empty else rows.iloc[-1]


def _whole(problem: Problem, work: Work, points: int) -> dict[str, Objective]:
    """Objectives of the whole splits that training was measured on.

    Of a sampled result, and of one with dropout on, only where a pass over them is little beside its own work; none of
    other targets than labels.
    """
    objectives = {}
    for split, objective in work.objectives.items():
        if split == "train" and problem.targets != "labels":
            continue
        data = getattr(problem.data, split)
        if objective.sample is None and objective.dropout is None:
            objectives[split] = objective
        elif len(data) <= WORTH * points * len(objective):
            objectives[split] = Objective(
                problem.model, objective.loss, data.inputs, data.targets, precision=objective.precision
            )
    return objectives

"""Rows as they lie in the file, recomputed whole: all samples of the result, by another plan than its own.

Some are drawn; others are looked at because they stand out from their neighbours, as a row does that is wrong alone.
What is wrong with many rows shows in those that are drawn, what is wrong with one in its neighbours.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossscape.certificate.check import (
    ABSOLUTE,
    OVERFLOW,
    RELATIVE,
    SMALLEST,
    Certified,
    Check,
    Findings,
    Kind,
    compare,
    worst,
)
from lossscape.certificate.neighbours import STANDS_OUT, Neighbours
from lossscape.certificate.reference import PASS, Plain, Reference, words
from lossscape.evaluate.subspace import Coordinates
from lossscape.objective import Objective, Plan, PlanName, Precision
from lossscape.results.stored import column_of

REMEDY = (
    "the file was changed, or not all of its rows were computed by the code that there is now (of the net, its data or "
    "lossscape): run it again with --overwrite; if that fails too, with --plan dense"
)
DRAWN = Kind("rows", "another plan", REMEDY)
OUTLIER = Kind("neighbours", "neighbours", REMEDY)
SHARE, LEAST, AGAIN = 0.05, 3, 10
"""Rows that are drawn: as many as this share of the result's own time allows, and at least so many; below fp32."""
MOST = 8
"""Rows that are recomputed for standing out, where that is no more than what a pass over checked samples may take."""
FASTER: dict[PlanName, int] = {"dense": 1, "folded": 2, "factored": 5, "stacked": 10}
"""How many times as fast as a dense forward pass a plan may be, and a precision below fp32 than that."""
LOW = 4


def check(result: Certified, reference: Reference) -> Findings:
    """Compare every column at each of these rows; of each metric the one that differs most is told."""
    rows = Rows(result, reference)
    anchors = [coordinates for _, coordinates in result.anchors if coordinates in result.values]
    number = number_drawn(result)
    drawn = [*anchors, *reference.points[:number]]
    checks = rows.compared(DRAWN, "stored rows", drawn)
    picked, standing_out = outliers(result, number_outliers(result, reference))
    facts: dict[str, Any] = {"rows_checked": {"drawn": len(drawn)}}
    if standing_out is not None:
        checks += rows.compared(OUTLIER, "rows that stand out from their neighbours", picked)
        facts["rows_checked"] |= {"standing_out": standing_out, "of_these": len(picked)}
    if result.precision not in ("fp32", "fp64"):
        facts["precision_check"] = rows.errors(drawn[len(anchors) :] or anchors)
    return checks, facts


def number_drawn(result: Certified) -> int:
    """Rows beside the checkpoints that are drawn."""
    low = result.precision not in ("fp32", "fp64")
    ratio = FASTER[result.plan.name] * (2 if result.plan.compiled else 1) * (LOW if low else 1) * result.processes
    return max(AGAIN if low else LEAST, int(SHARE * len(result.values) / ratio))


def number_outliers(result: Certified, reference: Reference) -> int:
    """Rows that stand out that are recomputed at most: half as many again, and more where that takes a moment."""
    moment = int(PASS / (reference.cost * result.work.samples))
    return max(number_drawn(result) // 2 + 1, min(MOST, moment))


def most(result: Certified, reference: Reference) -> int:
    """Rows that are recomputed at most."""
    return len(result.anchors) + number_drawn(result) + number_outliers(result, reference)


class Rows:
    """The rows of a result, recomputed when they are asked for."""

    def __init__(self, result: Certified, reference: Reference) -> None:
        self.result, self.reference = result, reference
        self.precision: Precision = "fp64" if result.precision == "fp64" else "fp32"
        self.objectives = result.work.objectives
        self._others: dict[str, Objective] = {}
        self._known: dict[tuple[str, Coordinates], Plain] = {}

    def at(self, split: str, point: Coordinates) -> Plain:
        """What forward passes of all samples give: in float64 where they are few, and the result is not below fp32."""
        self.at_all(split, [point])
        return self.reference.at(split, point, "fp64") if self._exactly(split) else self._known[split, point]

    def at_all(self, split: str, points: Sequence[Coordinates]) -> None:
        """Compute what `at` gives at several points, by all threads."""
        if self._exactly(split):
            self.reference.at_all(split, points, "fp64")
            return
        if split not in self._others:
            part = self.objectives[split]
            plan = another(self.result.plan, part)
            self._others[split] = part.again(self.reference.model, self.precision, plan)
        missing = [point for point in points if (split, point) not in self._known]
        if missing:
            found = self.reference.plainly(self._others[split], missing, self.precision)
            self._known |= {(split, point): plain for point, plain in zip(missing, found, strict=True)}

    def _exactly(self, split: str) -> bool:
        return self.reference.indices[split] is None and self.result.precision in ("fp32", "fp64")

    def compared(self, kind: Kind, which: str, points: Sequence[Coordinates]) -> list[Check]:
        """A check of each metric of each split, of the row that differs most; passed where there are no rows."""
        checks = []
        for split, objective in self.objectives.items():
            found: dict[str, list[Check]] = {name: [] for name in ("loss", *objective.scoring.metrics)}
            self.at_all(split, points)
            for point in points:
                for name, each in self._at_row(kind, split, point).items():
                    found[name] += each
            for name, of_metric in found.items():
                title = f"{split} {name} at {which}, recomputed whole"
                if not of_metric:
                    checks.append(Check(kind, title, 0.0, 0.0, 0.0, True))
                    continue
                one = worst(of_metric)
                checks.append(one if one.passed is False else replace(one, name=title))
        return checks

    def _at_row(self, kind: Kind, split: str, point: Coordinates) -> dict[str, list[Check]]:
        """The checks of a row's columns, by metric."""
        plain, result, stored = self.at(split, point), self.result, self.result.values[point]
        found = {}
        for name, tolerance in plain.tolerances.items():
            where = f"at the stored row {words(point)} of {result.table.file}, recomputed whole"
            rough = self.reference.rough(split, point, result.precision, plain.means[name], name)
            value = stored[f"{split}_{name}"]
            first = compare(kind, f"{split} {name} {where}", value, plain.means[name], tolerance, rough)
            found[name] = [first]
            for column in (f"{name}_stderr", f"{name}_difference_stderr"):
                if column in plain.means:
                    value, exact = stored[f"{split}_{column}"], plain.means[column]
                    label = f"{split} {column} {where}"
                    found[name].append(compare(kind, label, value, exact, 2 * first.tolerance))
        if not math.isfinite(plain.means["loss"]) and OVERFLOW < stored[f"{split}_loss"] < math.inf:
            return {name: [replace(each, passed=None) for each in checks] for name, checks in found.items()}
        return found

    def errors(self, points: Sequence[Coordinates]) -> Mapping[str, float]:
        """How far the losses of a result below fp32 are off from these."""
        found = []
        for point in points:
            for split in self.objectives:
                exact, stored = self.at(split, point).means["loss"], self.result.values[point][f"{split}_loss"]
                error = abs(stored - exact) / max(abs(exact), SMALLEST)
                found += [error] if math.isfinite(error) else []
        return {
            "points": len(points),
            "largest_relative_error": max(found, default=math.nan),
            "mean_relative_error": sum(found) / len(found) if found else math.nan,
        }


def another(taken: Plan, objective: Objective) -> Plan:
    """The usual dense plan of an objective; with chunks of another size where that is what was taken."""
    usual = replace(objective.plan, name="dense", points=1, compiled=False)
    size = min(usual.chunk, len(objective))
    same = taken.name == "dense" and not taken.compiled and min(taken.chunk, len(objective)) == size
    return replace(usual, chunk=max(size // 2, 1)) if same else usual


def outliers(result: Certified, most: int) -> tuple[list[Coordinates], int | None]:
    """The rows that stand out most from their neighbours, and how many stand out; None where none has enough of them.

    Those that are farthest off for their size and for the spread around them in turn, of every column, losses first.
    """
    keys = list(result.values)
    around = Neighbours(np.array(keys, dtype=float))
    if not around.known:
        return [], None
    ranked, out = [], np.zeros(len(keys), dtype=bool)
    objectives, precision = result.work.objectives, result.precision
    for split, name in sorted(
        ((split, name) for split, part in objectives.items() for name in ("loss", *part.scoring.metrics)),
        key=lambda column: column[1] != "loss",
    ):
        values = column_of(result.values, f"{split}_{name}")
        one = 0.0 if name == "loss" else 1 / len(objectives[split])  # the answer to a sample
        found = around.standing(values, RELATIVE[precision] * np.abs(values) + ABSOLUTE[precision] + one)
        far = found.spread > STANDS_OUT
        out |= far
        where = np.flatnonzero(far)
        ranked.append([where[np.argsort(-each[where], kind="stable")] for each in (found.size, found.spread)])
    picked: dict[int, None] = {}
    turns = [column[measure] for measure in range(2) for column in ranked]
    for place in range(most):
        for turn in turns:
            if place < len(turn) and len(picked) < most:
                picked[int(turn[place])] = None
    return [keys[index] for index in picked], int(out.sum())

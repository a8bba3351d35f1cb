"""Losses and metrics at some points of a result against dense forward passes in float64."""

import math

from lossscape.certificate.check import Certified, Check, Findings, Kind, allowed, compare, holds, worst
from lossscape.certificate.reference import Reference
from lossscape.evaluate.subspace import Coordinates
from lossscape.objective import Precision

KIND = Kind("dense", "dense fp64", "run it again with --overwrite --plan dense, or --precision fp64")
DECIDED: dict[Precision, float] = {"fp64": 1e-10, "fp32": 1e-4, "tf32": 5e-2, "bf16": 5e-2}
"""Lead of the largest output over the next, relative to the largest in size, that rounding cannot turn."""


def check(result: Certified, reference: Reference) -> Findings:
    """Compare the losses at all of these points; of every other metric the one that differs most."""
    checks: list[Check] = []
    for split in reference.objectives:
        found = [_check_point(split, point, reference) for point in reference.few]
        losses, *others = zip(*found, strict=True) if found else [()]
        checks += losses
        checks += map(worst, others)
    return checks, {"points_checked": len(reference.few)}


def _check_point(split: str, point: Coordinates, reference: Reference) -> list[Check]:
    """A check for each metric, the loss first."""
    plain, precision = reference.plain(split, "fp64"), reference.precision
    outputs = reference.outputs(split, point, "fp64")
    values = plain.per_sample(outputs, plain.targets)
    exact = plain.means(values)
    where = f"({', '.join(f'{coordinate:g}' for coordinate in point)}), against dense fp64"
    checks = []
    for name, each in values.items():
        tolerance = allowed(exact[name], precision)
        unsure = plain.scoring.undecided(name, outputs, plain.targets, DECIDED[precision])
        if unsure is not None:  # rounding turns the answers of some samples
            tolerance = plain.means(values | {name: unsure})[name] + 1e-12
        elif name != "loss":  # whose values may cancel
            tolerance = allowed(plain.means(values | {name: each.abs()})[name], precision)
        value = reference.engine[point][f"{split}_{name}"]

        def rough(name: str = name) -> float:
            found = reference.metrics(split, point, precision)
            return found[name] if holds(precision, exact["loss"], found["loss"]) else math.nan

        checks.append(compare(KIND, f"{split} {name} at {where}", value, exact[name], tolerance, rough))
    return checks

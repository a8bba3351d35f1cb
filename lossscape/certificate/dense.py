"""Losses and metrics at some points of a result against dense forward passes in float64."""

from lossscape.certificate.check import Certified, Check, Findings, Kind, compare, worst
from lossscape.certificate.reference import Reference, words
from lossscape.evaluate.subspace import Coordinates

KIND = Kind("dense", "dense fp64", "run it again with --overwrite --plan dense, or --precision fp64")


def check(result: Certified, reference: Reference) -> Findings:
    """Compare the losses at all of these points; of every other metric the one that differs most."""
    checks: list[Check] = []
    for split in reference.objectives:
        found = [_check_point(split, point, reference) for point in reference.few]
        losses, *others = zip(*found, strict=True) if found else [()]
        checks += [*losses, *map(worst, others)]
    return checks, {"points_checked": len(reference.few)}


def _check_point(split: str, point: Coordinates, reference: Reference) -> list[Check]:
    """A check for each metric, the loss first."""
    plain = reference.at(split, point, "fp64")
    where = f"{words(point)}, against dense fp64{reference.subset(split)}"
    checks = []
    for name, tolerance in plain.tolerances.items():
        value, exact = reference.engine[point][f"{split}_{name}"], plain.means[name]
        rough = reference.rough(split, point, reference.precision, exact, name)
        checks.append(compare(KIND, f"{split} {name} at {where}", value, exact, tolerance, rough))
    return checks

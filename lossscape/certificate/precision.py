"""Losses of a result below fp32 against the same in fp32: no check that passes or fails, but how far they are off."""

import math
from dataclasses import replace

from lossscape.certificate.check import SMALLEST, Certified, Findings
from lossscape.certificate.reference import Reference
from lossscape.evaluate import Work
from lossscape.evaluate.engine import blocks_of


def check(result: Certified, reference: Reference) -> Findings:
    """The largest and the mean relative error at some points, on all samples; nothing of fp32 and fp64."""
    if result.precision in ("fp32", "fp64"):
        return [], {}
    work, plan = result.work, replace(result.plan, compiled=False)
    exact = Work(
        {split: part.again(reference.model, "fp32") for split, part in work.objectives.items()},
        work.subspace,
        work.statistics,
    )
    points = reference.points or [coordinates for _, coordinates in result.anchors]
    errors = []
    for block in blocks_of([point for point in points if point in result.values], plan):
        for point, row in zip(block, exact.rows(block, plan, reference.done), strict=True):
            for name in (f"{split}_loss" for split in work.objectives):
                error = abs(result.values[point][name] - row[name]) / max(abs(row[name]), SMALLEST)
                errors += [error] if math.isfinite(error) else []
    found = {
        "points": len(points),
        "largest_relative_error": max(errors, default=math.nan),
        "mean_relative_error": sum(errors) / len(errors) if errors else math.nan,
    }
    return [], {"precision_check": found}

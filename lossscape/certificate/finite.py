"""Points of a result at which a number is not finite: how many, and whether float64 has numbers there."""

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from lossscape.certificate.check import Certified, Check
from lossscape.evaluate.engine import Values
from lossscape.evaluate.subspace import Coordinates
from lossscape.results.stored import column_of
from lossscape.text import counted


def lost(values: Mapping[Coordinates, Values]) -> list[Coordinates]:
    """The points with a loss or another metric that is not finite, in order; a standard error may be undefined."""
    if not values:
        return []
    first = next(iter(values.values()))
    columns = [np.isfinite(column_of(values, name)) for name in first if not name.endswith("_stderr")]
    return sorted(compress(values, ~np.all(columns, axis=0)))


def facts(result: Certified, checks: Sequence[Check]) -> dict[str, Any]:
    """What certificate.json says of such points; nothing where there are none."""
    gone = len(lost(result.values))
    if not gone:
        return {}
    exact = ("module", "dense")
    compared = [check for check in checks if check.passed is None and check.kind.name in exact]
    known = [check for check in compared if math.isfinite(check.reference)]
    found = {"points": gone, "of": len(result.values), "compared": len(compared), "finite_in_float64": len(known)}
    return {"not_finite": found | {"words": _words(found, result.precision)}}


def _words(found: Mapping[str, int], precision: str) -> str:
    where = f"at {found['points']:,} of {counted(found['of'], 'point')}"
    known, compared = found["finite_in_float64"], found["compared"]
    if not known:
        neither = ", nor in float64" if compared and precision != "fp64" else ""
        return f"not finite in {precision} {where}{neither}: nothing is certified there; --range can leave them out"
    some = "" if known == compared else f" for {known} of {compared} values looked at"
    return (
        f"overflow in {precision} {where}: nothing is certified there, but float64 has numbers{some}; take "
        "--precision fp64"
    )

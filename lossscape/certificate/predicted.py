"""Rows that were predicted: the held-out errors, and whether the file's predictions are those that its rows lead to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossscape.certificate.check import Certified, Check, Findings, Kind
from lossscape.certificate.reference import Reference
from lossscape.evaluate.predicted import FAILING, Picture
from lossscape.evaluate.rows import Row
from lossscape.evaluate.subspace import Coordinates
from lossscape.results.pictured import PictureTable
from lossscape.results.table import Table
from lossscape.results.tables import PREDICTED

AGAIN = "the file was changed, or was not written by the lossscape that there is now: run it again with --overwrite"
HELD_OUT = Kind(
    "held out",
    "the tolerance",
    "its predictions are not to be trusted: run it again with a smaller --tolerance, or with --tolerance exact",
)
ROUNDS = Kind("rounds", "the points that its rows ask for", AGAIN)
STORED = Kind("predicted rows", "predicted again", AGAIN)
ROUNDING = 1e-6
"""Of predictions, in units of what is allowed: another machine's splines."""


def check(result: Certified, reference: Reference) -> Findings:
    """Check a result of which rows were predicted; nothing of another."""
    return of_table(result.table, list(result.work.columns), result.values)


def of_table(table: Table, columns: Sequence[str], known: Mapping[Coordinates, Row]) -> Findings:
    """The same of any table, from its evaluated rows."""
    if not isinstance(table, PictureTable):
        return [], {}
    picture = table.picture(columns)
    if missing := picture.more(known):
        name = "points that the evaluated rows ask for and that are not evaluated"
        return [Check(ROUNDS, name, float(len(missing)), 0.0, 0.0, False)], {"held_out": {"points": 0}}
    checks, facts = held_out(picture, known)
    points, values, errors = picture.predicted(known)
    stored = {point: (row, error) for point, row, error in table.lines(columns, PREDICTED)}
    found = [stored.pop(point) for point in points if point in stored]
    lost, beside = len(points) - len(found), len(stored)
    if lost or beside:
        name, worst = "predicted rows that are missing, or beside those that are asked for", float(lost + beside)
    else:
        own = [list(columns).index(name) for name in picture.columns]
        lying = np.array([[row[column] for column in own] for row, _ in found], dtype=float).reshape(-1, len(own)).T
        beliefs = np.array([error for _, error in found], dtype=float)
        off = np.nan_to_num(np.abs(beliefs - errors) / picture.tolerance, nan=np.inf)
        name = "predictions in the file and their estimated errors, in parts of the tolerance"
        worst = float(np.vstack([picture.apart(values, lying), off]).max(initial=0.0))
    checks.append(Check(STORED, name, worst, 0.0, ROUNDING, worst <= ROUNDING))
    estimated = {"median": _median(errors[errors > 0]), "largest": float(errors.max(initial=0.0))}
    return checks, facts | {"estimated_error": estimated}


def held_out(picture: Picture, known: Mapping[Coordinates, Row]) -> Findings:
    """How many of the held-out predictions are over the tolerance, with their errors."""
    found = picture.held_out(known)
    worst = np.array([max(each.errors.values()) for each in found])
    over = int((worst > 1).sum())
    share = over / len(found) if found else 0.0
    facts: dict[str, Any] = {
        "points": len(found), "over": over, "tolerance": picture.tolerance, "evaluated": len(known),
        "of": picture.size, "scales": picture.facts(),
        "errors": {
            name: {"median": _median(errors), "largest": float(errors.max())}
            for name in (found[0].errors if found else ())
            if len(errors := picture.tolerance * np.array([each.errors[name] for each in found]))
        },
    }  # fmt: skip
    name = f"share of {len(found):,} held-out predictions that are over the tolerance"
    return [Check(HELD_OUT, name, share, 0.0, FAILING, share <= FAILING)], {"held_out": facts}


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else 0.0

"""What was published, and in words whether it holds in one's own numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from lossscape import yamlfile
from lossscape.files import csv_text, write_text
from lossscape.results import SETTINGS

HOLDS, PARTLY, FAILS, OPEN = "holds", "holds in part", "does not hold", "cannot be judged"
STUDY, STATEMENTS, MEASURES = "study", "statements.csv", "measures.csv"


@dataclass(frozen=True)
class Statement:
    """A published statement and what became of it."""

    source: str
    claim: str
    verdict: str
    """HOLDS, PARTLY, FAILS or OPEN."""
    evidence: str
    """The numbers that say so."""


def judged(outcomes: Sequence[bool]) -> str:
    """The verdict of a statement from what each run or plane says."""
    if not outcomes:
        return OPEN
    return HOLDS if all(outcomes) else PARTLY if any(outcomes) else FAILS


def spread(values: Sequence[float], form: str = ".3g") -> str:
    """mean ± standard deviation (n − 1) of the values that are finite."""
    known = np.array([value for value in values if np.isfinite(value)])
    if not known.size:
        return "not defined"
    mean = format(known.mean(), form)
    return f"{mean} ± {format(known.std(ddof=1), form)}" if known.size > 1 else mean


def write_study(
    home: Path,
    settings: Mapping[str, Any],
    statements: Sequence[Statement],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write home/study: settings.yaml, statements.csv, and the measures, a row each with the same keys."""
    place = home / STUDY
    write_text(place / SETTINGS, yamlfile.dump(dict(settings)))
    header = [each.name for each in fields(Statement)]
    write_text(place / STATEMENTS, csv_text(header, [astuple(each) for each in statements]))
    names = list(rows[0]) if rows else []
    write_text(place / MEASURES, csv_text(names, [[row[name] for name in names] for row in rows]))

"""What was published, and in words whether it holds in one's own numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from lossscape import yamlfile
from lossscape.files import remove, write_text
from lossscape.manifest import read_bytes
from lossscape.results import read_csv, write_csv
from lossscape.results.folder import MEASURES_CSV, SETTINGS
from lossscape.text import counted

HOLDS, PARTLY, FAILS, OPEN = "holds", "holds in part", "does not hold", "cannot be judged"
Say = Callable[[str], None]
"""Is given each part of a study in words before it begins."""
STUDY, STATEMENTS = "study", "statements.csv"


@dataclass(frozen=True)
class Statement:
    """A published statement and what became of it."""

    source: str
    claim: str
    verdict: str
    """HOLDS, PARTLY, FAILS or OPEN."""
    evidence: str


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


def rough_words(rough: Sequence[bool], measure: str, where: str) -> str:
    """What evidence says of a measure that the points of some lines or planes do not resolve; nothing of none.

    where: what has those points, in the singular.
    """
    return f"; {measure} not resolved on {sum(rough)} of {counted(len(rough), where)}" if any(rough) else ""


def begin_study(home: Path, settings: Mapping[str, Any]) -> None:
    """Say in home/study what the study is; what was said of another one in this folder is deleted."""
    text = yamlfile.dump(dict(settings))
    file = home / STUDY / SETTINGS
    if not file.exists() or read_bytes(file).decode() != text:
        for name in (STATEMENTS, MEASURES_CSV):
            remove(home / STUDY / name)
        write_text(file, text)


def end_study(home: Path, statements: Sequence[Statement], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write home/study: statements.csv, and the measures, a row each with the same keys."""
    header = [each.name for each in fields(Statement)]
    write_csv(home / STUDY / STATEMENTS, header, map(astuple, statements))
    names = list(rows[0]) if rows else []
    write_csv(home / STUDY / MEASURES_CSV, names, [row.values() for row in rows])


def read_statements(home: Path) -> list[Statement]:
    """What home/study says of the statements. Raises BadInput."""
    names = [each.name for each in fields(Statement)]
    return [Statement(*map(str, row)) for row in read_csv(home / STUDY / STATEMENTS, names)[names].to_numpy()]

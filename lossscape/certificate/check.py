"""A check, what it is of, and when two numbers agree."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossscape.directions import Direction
    from lossscape.evaluate import Work
    from lossscape.evaluate.engine import Values
    from lossscape.evaluate.subspace import Coordinates
    from lossscape.objective import Plan, Precision
    from lossscape.problem import Problem
    from lossscape.results.table import Table
    from lossscape.runs import Point
    from lossscape.vectors import Params

RELATIVE: "dict[Precision, float]" = {"fp64": 1e-10, "fp32": 1e-5, "tf32": 5e-2, "bf16": 5e-2}
ABSOLUTE: "dict[Precision, float]" = {"fp64": 1e-12, "fp32": 1e-9, "tf32": 1e-9, "bf16": 1e-9}
ROUGH = 10.0
"""A loss that is off by more than its tolerance is right where a forward pass in the same precision is off as much:
then it may be off by this many times that. (A loss of 1e-4 at outputs of 1e3 has few digits in fp32 however it is
computed.)"""
OVERFLOW = 1e35
"""A loss beyond this is so near the largest number of fp32, tf32 and bf16 (3.4e38) that the order of sums decides
whether a plan overflows."""
SMALLEST = 1e-9
"""Losses below this have no relative error."""


@dataclass(frozen=True)
class Certified:
    """A finished result, as its checks need it."""

    problem: "Problem"
    table: "Table"
    """Whose CSV is written."""
    work: "Work"
    plan: "Plan"
    anchors: "Sequence[tuple[Point, Coordinates]]"
    """The checkpoints that lie in the subspace and where, the origin first."""
    direction: "Direction | None" = None
    """How the directions were made around a centre; None on a line between ends."""
    made_at: "Params | None" = None
    """The parameters where they were made; None: the origin."""
    processes: float = 1
    """That the work was spread over; infinitely many where they are not known."""

    @cached_property
    def values(self) -> "Mapping[Coordinates, Values]":
        """The rows as they lie in the file, whatever the process that wrote it still knows of them."""
        return self.table.read(self.table.file, self.work.columns)

    @property
    def folder(self) -> Path:
        """Of the result."""
        return self.table.folder

    @property
    def axes(self) -> Sequence[str]:
        """The names of the coordinates."""
        return self.table.keys

    @property
    def precision(self) -> "Precision":
        """Of the result."""
        return next(iter(self.work.objectives.values())).precision


@dataclass(frozen=True)
class Kind:
    """What several checks share."""

    name: str
    """In certificate.json."""
    against: str
    """What the value is held against, in a word or two."""
    remedy: str
    """What to do when one fails."""


@dataclass(frozen=True)
class Check:
    """One comparison."""

    kind: Kind
    name: str
    value: float
    reference: float
    tolerance: float
    """Largest difference that passes."""
    passed: bool | None
    """None: what is not finite, in the precision of the result or in the reference either, agrees with nothing."""
    at: str = ""
    """Of many that are compared at once, the one that is off most: a filter (linear1.weight[3]), or a tensor."""

    @property
    def words(self) -> str:
        """Its name, and where."""
        return f"{self.name}, at {self.at}" if self.at else self.name

    def row(self) -> dict[str, Any]:
        """As certificate.json has it."""
        row = vars(self) | {"kind": self.kind.name, "against": self.kind.against}
        return row if self.at else {key: value for key, value in row.items() if key != "at"}


Findings = tuple[list[Check], dict[str, Any]]
"""What a file of checks returns: them, and facts that stand beside them."""


def compare(
    kind: Kind, name: str, value: float, reference: float, tolerance: float, rough: Callable[[], float] | None = None
) -> Check:
    """A check of two numbers. One that is not finite agrees with nothing, and fails where the other is finite.

    rough: the reference computed in the precision of the value, asked for where the two differ: see ROUGH. A value that
    is not finite where that is not either (an overflow) is no mistake of the plan, and says nothing.
    """
    check = Check(kind, name, value, reference, tolerance, _agree(value, reference, tolerance))
    if check.passed:
        return check
    if not (math.isfinite(value) or math.isfinite(reference)):
        return replace(check, passed=None)
    plain = reference if rough is None else rough()
    if math.isfinite(reference) and not math.isfinite(plain):
        return replace(check, passed=False if math.isfinite(value) else None)
    if math.isfinite(reference):
        tolerance += ROUGH * abs(plain - reference)
    return replace(check, tolerance=tolerance, passed=_agree(value, reference, tolerance))


def holds(precision: "Precision", exact: float, rough: float) -> bool:
    """Whether a precision surely holds a point: from its loss there, and that in float64."""
    return math.isfinite(rough) and (precision == "fp64" or abs(exact) <= OVERFLOW)


def allowed(value: float, precision: "Precision") -> float:
    """Largest difference to a mean over samples that the precision of a result explains."""
    return RELATIVE[precision] * abs(value) + ABSOLUTE[precision]


def worst(checks: Sequence[Check]) -> Check:
    """The check that fails, or comes nearest to it; one that says nothing only where all do."""

    def share(check: Check) -> float:
        off = abs(check.value - check.reference)
        return off / check.tolerance if check.tolerance else off

    said = [check for check in checks if check.passed is not None]
    return min(said, key=lambda check: (bool(check.passed), -share(check))) if said else checks[0]


def _agree(value: float, reference: float, tolerance: float) -> bool:
    return math.isfinite(value) and math.isfinite(reference) and abs(value - reference) <= tolerance

"""A check, what it is of, and when two numbers agree."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossscape.directions import Direction
    from lossscape.evaluate import Work
    from lossscape.evaluate.engine import Values
    from lossscape.evaluate.subspace import Coordinates
    from lossscape.objective import Plan, Precision
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.vectors import Params

RELATIVE: "dict[Precision, float]" = {"fp64": 1e-10, "fp32": 1e-5, "tf32": 5e-2, "bf16": 5e-2}
ABSOLUTE: "dict[Precision, float]" = {"fp64": 1e-12, "fp32": 1e-9, "tf32": 1e-9, "bf16": 1e-9}
ROUGH = 10.0
"""A loss that is off by more than its tolerance is right where a forward pass in the same precision is off as much:
then it may be off by this many times that. (A loss of 1e-4 at outputs of 1e3 has few digits in fp32 however it is
computed.)"""
SMALLEST = 1e-9
"""Losses below this have no relative error."""


@dataclass(frozen=True)
class Certified:
    """A finished result, as its checks need it."""

    problem: "Problem"
    folder: Path
    work: "Work"
    plan: "Plan"
    values: "Mapping[Coordinates, Values]"
    anchors: "Sequence[tuple[Point, Coordinates]]"
    """The checkpoints that lie in the subspace and where, the origin first."""
    axes: Sequence[str]
    direction: "Direction | None" = None
    """How the directions were made around a centre; None on a line between ends."""
    made_at: "Params | None" = None
    """The parameters where they were made; None: the origin."""

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
    passed: bool

    def row(self) -> dict[str, Any]:
        """As certificate.json has it."""
        return vars(self) | {"kind": self.kind.name, "against": self.kind.against}


Findings = tuple[list[Check], dict[str, Any]]
"""What a file of checks returns: them, and facts that stand beside them."""


def compare(
    kind: Kind, name: str, value: float, reference: float, tolerance: float, rough: Callable[[], float] | None = None
) -> Check:
    """A check of two numbers; what is not finite agrees with what is not finite.

    rough: the reference computed in the precision of the value, asked for where the two differ: see ROUGH.
    """
    check = Check(kind, name, value, reference, tolerance, _agree(value, reference, tolerance))
    if check.passed or rough is None:
        return check
    plain = rough()
    if not (math.isfinite(plain) and math.isfinite(reference)):
        return replace(check, passed=_agree(value, plain, tolerance))
    tolerance += ROUGH * abs(plain - reference)
    return replace(check, tolerance=tolerance, passed=_agree(value, reference, tolerance))


def allowed(value: float, precision: "Precision") -> float:
    """Largest difference to a mean over samples that the precision of a result explains."""
    return RELATIVE[precision] * abs(value) + ABSOLUTE[precision]


def _agree(value: float, reference: float, tolerance: float) -> bool:
    if not math.isfinite(value) or not math.isfinite(reference):
        return math.isfinite(value) == math.isfinite(reference)
    return abs(value - reference) <= tolerance

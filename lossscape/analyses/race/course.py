"""A race that is ready to be run: where it lies, what is computed, and what counts as arrived."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lossscape.analyses.race.descents import Descents
from lossscape.analyses.race.methods import Method, plain
from lossscape.analyses.race.request import Request
from lossscape.errors import BadInput
from lossscape.text import counted

MOST_ROWS = 5_000_000


@dataclass
class Course:
    """A race with all that it needs."""

    folder: Path
    settings: dict[str, Any]
    descents: Descents
    goal: dict[str, Any]
    """goal.json: see `result.Goal`."""
    surface: list[tuple[float, float, float]] = field(default_factory=list)
    """x, y and loss, where the result has its own."""


def settings_of(request: Request, methods: Sequence[Method], starts: Sequence[Any], steps: int) -> dict[str, Any]:
    """What every race's settings.yaml says. Raises BadInput where there are too many rows."""
    if len(methods) * len(starts) * (steps + 1) > MOST_ROWS:
        raise BadInput(
            f"{counted(len(methods), 'method')} x {counted(len(starts), 'start')} x {counted(steps, 'step')} are more "
            f"than the {MOST_ROWS:,} rows that a race has: take fewer"
        )
    return {
        "methods": [{"label": each.label, **plain(each.spec)} for each in methods],
        "starts": [list(start) for start in starts],
        "steps": steps,
        "noise": request.noise,
        "seed": request.seed,
        "clip_norm": request.clip_norm,
        "tolerance": request.tolerance,
    }


def digits(value: float) -> float:
    """A number in two digits, which rounding of another machine does not change."""
    return float(f"{value:.1e}")

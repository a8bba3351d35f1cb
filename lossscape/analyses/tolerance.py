"""`--tolerance`: a picture to a stated error, of which not every point is evaluated, or exactly that."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated

from lossscape.errors import BadInput
from lossscape.numerals import real
from lossscape.options import Option
from lossscape.progress import duration

EXACT, AUTO = "exact", "auto"
USUAL = 0.01
"""What auto takes."""
LEAST, MOST = 1e-6, 0.5
LONG = 600.0
"""Seconds of work from which on auto takes it."""


def word_of(value: float | str) -> str:
    """A tolerance in the name of a folder."""
    return "" if isinstance(value, str) else f"tolerance-{value:g}"


def tolerance_of(given: float | str, flag: str = "--tolerance") -> float | str:
    """A tolerance as it is given: a number, or one of the words. Raises BadInput."""
    if given in (EXACT, AUTO):
        return given
    try:
        value = real(given) if isinstance(given, str) else float(given)
    except ValueError:
        value = -1.0
    if not LEAST <= value <= MOST:
        raise BadInput(
            f"{flag} {given}: give a part of the loss from {LEAST:g} to {MOST:g} (0.01 is 1 %), auto or exact"
        )
    return value


option = partial(Option, metavar="ERROR|auto|exact", given=str, word=word_of, sparse=True)
Tolerance = Annotated[
    float | str,
    option(
        "Evaluate as few points as tell the others to this part of the loss (0.01: 1 %) and predict these; auto: 0.01 "
        "where all would take ten minutes."
    ),
]


def settled(
    given: float | str, begun: Callable[[float | str], bool], seconds: Callable[[], float], quiet: bool, points: int
) -> float | str:
    """A tolerance or exact; auto goes on with what was begun, else it looks at how long all points would take.

    begun: whether a result of a tolerance is there; seconds: predicted for all points, asked for where that matters.
    """
    if given != AUTO:
        return given
    for each in (USUAL, EXACT):
        if begun(each):
            return each
    if (needed := seconds()) <= LONG:
        return EXACT
    if not quiet:
        print(
            f"--tolerance auto: all {points:,} points would take about {duration(needed)}, so it evaluates those that "
            f"tell the others to {100 * USUAL:g} % of the loss and predicts these; --tolerance exact evaluates all",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return USUAL

"""Grids and ranges as commands are given them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from lossscape.errors import BadInput
from lossscape.options import Option

MAX_POINTS = 10_000_000
Span = tuple[float, float]
USUAL: Span = (-1.0, 1.0)


def grid_of(given: str | int | Sequence[int], dims: int = 2) -> tuple[int, ...]:
    """The points along each axis from `N`, `NxM` or numbers. Raises BadInput."""
    text = given if isinstance(given, str) else "x".join(map(str, (given,) if isinstance(given, int) else given))
    match = re.fullmatch(r"([0-9]+)(?:x([0-9]+))?", text)
    if match is None or (dims == 1 and match[2]):
        form = "N or NxM, as in --grid 51 or --grid 101x51" if dims == 2 else "N for a line, as in --grid 201"
        raise BadInput(f"--grid {text}: write {form}")
    grid = (int(match[1]), int(match[2] or match[1]))[:dims]
    if min(grid) < 2 or (grid[0] * grid[1] if dims == 2 else grid[0]) > MAX_POINTS:
        raise BadInput(f"--grid {text}: needs at least 2 points an axis and at most 10 million in all")
    return grid


def grid_word(grid: Sequence[int]) -> str:
    """A grid in the name of a folder."""
    return "x".join(map(str, grid))


def check_grid(grid: Sequence[int], spans: Sequence[Sequence[float] | None], missed: str = "") -> None:
    """Raise BadInput for a range that is none, and for a grid without 0 where what it misses then is named."""
    from lossscape.evaluate.subspace import axis

    for name, points, span in zip("xy", grid, spans, strict=False):
        if span is not None and 0.0 not in axis(points, span[0], span[1]) and missed:
            raise BadInput(f"{points} points from {span[0]:g} to {span[1]:g} along {name} miss {missed}")


def word_of(name: str, span: Span) -> str:
    """A range along an axis in the name of a folder; nothing for the usual one."""
    return "" if tuple(span) == USUAL else "{}{:g}to{:g}".format(name, *span)


@dataclass(frozen=True)
class Ranges:
    """Ranges of the axes of a plane."""

    range: Annotated[Span | None, Option("Of both axes: -1 1.", "LO HI")] = None
    x_range: Annotated[Span | None, Option("Of x alone.", "LO HI", word=partial(word_of, "x"))] = None
    y_range: Annotated[Span | None, Option("Of y alone.", "LO HI", word=partial(word_of, "y"))] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "x_range", self.x_range or self.range)
        object.__setattr__(self, "y_range", self.y_range or self.range)

    @property
    def spans(self) -> tuple[Span | None, Span | None]:
        """Of x and y."""
        return self.x_range, self.y_range

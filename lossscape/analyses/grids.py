"""Grids and ranges as commands are given them."""

import re
from collections.abc import Sequence

from lossscape.errors import BadInput

MAX_POINTS = 10_000_000
Span = tuple[float, float]


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


def x_word(span: Span) -> str:
    """A range of x in the name of a folder; nothing for the usual one."""
    return "" if tuple(span) == (-1.0, 1.0) else "x{:g}to{:g}".format(*span)


def y_word(span: Span) -> str:
    """Likewise of y."""
    return x_word(span).replace("x", "y", 1)

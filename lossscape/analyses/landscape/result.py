"""Losses over a plane or along a line around a checkpoint, as read back from their folder."""

import math
from pathlib import Path

from lossscape.results import Curve, Surface, check_begun, check_whole, read_curve, read_settings, read_surface

FILES = {1: "line.csv", 2: "surface.csv"}
"""By the number of directions."""


def read(folder: Path) -> Curve | Surface:
    """A finished plane, or line where the grid has one number. Raises BadInput where it is unfinished or torn."""
    settings = read_settings(folder)
    grid = [int(points) for points in settings["grid"]]
    count = math.prod(grid) + int(settings.get("refine") or 0)
    check_begun(folder, FILES[len(grid)], count)
    found: Curve | Surface = read_surface(folder) if len(grid) == 2 else read_curve(folder)
    check_whole(found)
    return found

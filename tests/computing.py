"""Analyses as tests call them: by name, with the options of their commands, quietly."""

from pathlib import Path
from typing import Any

from lossscape.analyses import ANALYSES
from lossscape.runs import Point, Run, point_of


def ends_of(run: Run) -> tuple[Point, Point]:
    """The first and the last checkpoint of a run."""
    return point_of(f"{run.path}@first"), point_of(f"{run.path}@last")


def interpolate(start: Any, end: Any = None, **options: Any) -> Path:
    """The folder of a line."""
    return ANALYSES["interpolate"].run(**{"start": start, "end": end, "quiet": True} | options)


def landscape(centre: Any, **options: Any) -> Path:
    """The folder of a plane or line around a point."""
    return ANALYSES["landscape"].run(**{"centre": centre, "quiet": True} | options)


def film(centre: Any, **options: Any) -> Path:
    """The folder of films."""
    return ANALYSES["film"].run(**{"centre": centre, "quiet": True} | options)


def minimum(centre: Any, **options: Any) -> Path:
    """The folder of a true minimum."""
    return ANALYSES["minimum"].run(**{"centre": centre, "quiet": True} | options)


def pair(centres: Any, **options: Any) -> Path:
    """The folder of paired landscapes."""
    return ANALYSES["pair"].run(**{"centres": tuple(centres), "quiet": True} | options)


def solutions(runs: Any, **options: Any) -> Path:
    """The folder of kinds of solution."""
    return ANALYSES["solutions"].run(runs=tuple(runs), **options)


def curvature(*points: Any, **options: Any) -> Path:
    """The folder of curvature at some points."""
    return ANALYSES["curvature"].run(**{"points": points, "quiet": True} | options)


def sharpness(*points: Any, **options: Any) -> Path:
    """The folder of sharpness at some points."""
    return ANALYSES["sharpness"].run(**{"points": points, "quiet": True} | options)


def convexity(centre: Any, **options: Any) -> Path:
    """The folder of a convexity map around a point."""
    return ANALYSES["convexity"].run(**{"centre": centre, "quiet": True} | options)


def gradients(*points: Any, **options: Any) -> Path:
    """The folder of the flow of gradients at some points."""
    return ANALYSES["gradients"].run(**{"points": points, "quiet": True} | options)


def saddles(*points: Any, **options: Any) -> Path:
    """The folder of critical points near some points."""
    return ANALYSES["saddles"].run(**{"points": points, "quiet": True} | options)


def race(**options: Any) -> Path:
    """The folder of a race."""
    return ANALYSES["race"].run(**{"quiet": True} | options)


def fit(*points: Any, **options: Any) -> Path:
    """The folder of a fit at some points."""
    return ANALYSES["fit"].run(**{"points": points, "quiet": True} | options)


def initial_values(config: str, **options: Any) -> Path:
    """The folder of initial values."""
    return ANALYSES["initial_values"].run(**{"config": config, "quiet": True} | options)

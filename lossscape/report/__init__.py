"""Figures and the report page: they read result files, never compute losses, and never import torch."""

from lossscape.analyses.film.figure import build_descent, build_plane
from lossscape.analyses.film.files import draw_film
from lossscape.analyses.film.result import read_film
from lossscape.analyses.landscape.figure import (
    build_contour,
    build_surface,
    draw_contour,
    draw_surface,
)
from lossscape.figures.curves import build_curve, draw_curve
from lossscape.figures.facts import Facts, facts_of
from lossscape.figures.training import build_training, draw_training
from lossscape.report.page import write_report

__all__ = [
    "Facts",
    "build_contour",
    "build_curve",
    "build_descent",
    "build_plane",
    "build_surface",
    "build_training",
    "draw_contour",
    "draw_curve",
    "draw_film",
    "draw_surface",
    "draw_training",
    "facts_of",
    "read_film",
    "write_report",
]

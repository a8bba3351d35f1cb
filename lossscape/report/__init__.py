"""Figures and the report page: they read result files, never compute losses, and never import torch."""

from lossscape.report.curves import build_curve, draw_curve
from lossscape.report.facts import Facts, facts_of
from lossscape.report.film_files import draw_film
from lossscape.report.film_results import read_film
from lossscape.report.films import build_descent, build_plane
from lossscape.report.page import write_report
from lossscape.report.surfaces import build_contour, build_surface, draw_contour, draw_surface
from lossscape.report.training import build_training, draw_training

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

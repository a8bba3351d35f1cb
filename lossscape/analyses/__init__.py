"""Analyses: each chooses points, evaluates them and writes its result folder."""

from lossscape.analyses.film import film
from lossscape.analyses.interpolation import interpolate
from lossscape.analyses.landscape import landscape

__all__ = ["film", "interpolate", "landscape"]

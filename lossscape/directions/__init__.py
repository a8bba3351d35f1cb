"""Directions through parameter space."""

from lossscape.directions.between import between
from lossscape.directions.random import NORMALIZATIONS, kinds_of_parameters, random_directions

__all__ = ["NORMALIZATIONS", "between", "kinds_of_parameters", "random_directions"]

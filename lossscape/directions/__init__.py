"""Directions through parameter space."""

from lossscape.directions.between import between
from lossscape.directions.orthonormal import orthonormal
from lossscape.directions.pca import principal_components
from lossscape.directions.project import inner_products, project
from lossscape.directions.random import NORMALIZATIONS, kinds_of_parameters, random_directions
from lossscape.directions.through import through, towards

__all__ = [
    "NORMALIZATIONS",
    "between",
    "inner_products",
    "kinds_of_parameters",
    "orthonormal",
    "principal_components",
    "project",
    "random_directions",
    "through",
    "towards",
]

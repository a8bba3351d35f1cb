"""Directions through given points."""

from collections.abc import Sequence

from lossscape.vectors import Params, dot
from lossscape.vectors.between import between
from lossscape.vectors.orthonormal import orthonormal
from lossscape.vectors.random import random_directions

Coordinates = list[tuple[float, ...]]


def through(origin: Params, points: Sequence[Params]) -> tuple[list[Params], Coordinates]:
    """Orthonormal directions from `origin` that span it and `points`, and where origin and points lie along them.

    The first points to the first point; of the second the part at right angles to it is taken (Garipov et al.,
    NeurIPS 2018, arXiv:1802.10026), so that both axes measure distances. Float64. Raises ValueError(i) where
    point i adds no direction.
    """
    ways = [between(origin, point) for point in points]
    directions = orthonormal(ways)
    coordinates: Coordinates = [(0.0,) * len(points)]
    for index, way in enumerate(ways):  # beyond its own direction a point has no part
        along = [dot(way, direction) for direction in directions[: index + 1]]
        coordinates.append((*along, *[0.0] * (len(points) - index - 1)))
    return directions, coordinates


def towards(origin: Params, point: Params, number: int, *, seed: int = 0) -> tuple[list[Params], Coordinates]:
    """Orthonormal directions, the first from `origin` to `point`, further ones random; and where both lie.

    Random ones: normal numbers for every parameter, without their part along those before. Float64. Raises
    ValueError(0) where the point is the origin.
    """
    way = between(origin, point)
    others = random_directions(origin, number - 1, seed=seed, normalize="none")
    directions = orthonormal([way, *others])
    return directions, [(0.0,) * number, (dot(way, directions[0]), *[0.0] * (number - 1))]

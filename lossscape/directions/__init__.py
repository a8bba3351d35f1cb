"""The directions of lines and planes around a point: a file for each kind, and a line in `family.DIRECTIONS`."""

from lossscape.directions.direction import Direction, Plane, check_same_net
from lossscape.directions.family import DIRECTIONS, Asked, axis_label, choose, line_words, sentence

__all__ = [
    "DIRECTIONS",
    "Asked",
    "Direction",
    "Plane",
    "axis_label",
    "check_same_net",
    "choose",
    "line_words",
    "sentence",
]

"""The directions of lines and planes around a point: a file for each kind, and a line in `family.DIRECTIONS`."""

from lossscape.directions.asked import Asked as Asked
from lossscape.directions.asked import Name as Name
from lossscape.directions.asked import choose as choose
from lossscape.directions.direction import Direction as Direction
from lossscape.directions.direction import Plane as Plane
from lossscape.directions.direction import check_same_net as check_same_net
from lossscape.directions.family import DIRECTIONS as DIRECTIONS
from lossscape.directions.family import axis_label as axis_label
from lossscape.directions.family import line_words as line_words
from lossscape.directions.family import sentence as sentence

"""The plane through three points (Garipov et al., NeurIPS 2018, arXiv:1802.10026)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from lossscape.directions.direction import Direction, Plane, Settings, check_same_net, point_name, unit_words
from lossscape.errors import BadInput
from lossscape.text import number

if TYPE_CHECKING:
    from lossscape.directions.asked import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.vectors import Params


class Through(Direction):
    """x from the centre A to B, y to C as far as that is orthogonal to it."""

    name = "through"
    span = None

    @classmethod
    def choose(cls, centre: "Point", dims: int, asked: "Asked") -> Self:
        if dims == 1:
            raise BadInput("--through B C is a plane: leave --dims 1 out, or draw a line with --towards B")
        points = points_of(centre, asked.through or ())
        return cls(settings_of(cls.name, centre, points), points)

    def make(self, problem: "Problem", centre: "Point", origin: "Params", dims: int, quiet: bool) -> Plane:
        """Orthonormal directions that span the points. Raises BadInput where they do not span a plane."""
        from lossscape.vectors.through import through

        try:
            directions, spots = through(origin, [problem.values(each)[0] for each in self.points])
        except ValueError as error:
            if int(error.args[0]) == 0:
                raise BadInput(same_point(self.points[0], centre)) from None
            raise BadInput(
                f"{self.points[1]} lies on the line through {centre} and {self.points[0]}: three points on a line "
                "span no plane; name another one, or draw the line with --dims 1 --towards"
            ) from None
        return Plane(directions, {"coordinates": [list(spot) for spot in spots]}, spots)

    @staticmethod
    def sentence(made: Settings, count: int) -> str:
        way = "x leads from A to B, y is orthogonal to it"
        return f"The plane through three points: {points_words(made, count)}; {way}; {unit_words(count)}."

    @staticmethod
    def axis_label(made: Settings, axis: str, number_of: int | None) -> str:
        return f"{axis} ({'distance orthogonal to that' if number_of == 2 else 'distance towards B'})"

    @staticmethod
    def line_words(made: Settings) -> str:
        return "the line to B"


def points_of(centre: "Point", given: "Sequence[str | Point]") -> "tuple[Point, ...]":
    """Points as Python or the command line gives them. Raises BadInput where one is of another net."""
    from lossscape.runs import Point, point

    points = tuple(each if isinstance(each, Point) else point(each) for each in given)
    for each in points:
        check_same_net(centre.run, each.run)
    return points


def settings_of(kind: str, centre: "Point", points: "Sequence[Point]") -> dict[str, object]:
    """What settings say of a plane through points."""
    return {"kind": kind, "points": [each.settings() for each in (centre, *points)]}


def same_point(point: "Point", centre: "Point") -> str:
    """Why there is no line."""
    return f"{point} is the same point as the centre {centre}: name another checkpoint or run"


def points_words(made: Settings, count: int) -> str:
    """Which points A, B and C are, and where they lie: A = a@last, B = b@last; B at (3.2, 0)."""
    names = [f"{letter} = {point_name(point)}" for letter, point in zip("ABC", made["points"], strict=False)]
    spots = [
        f"{letter} at ({', '.join(map(number, spot))})" if count > 1 else f"{letter} at {number(spot[0])}"
        for letter, spot in zip("BC", made["coordinates"][1:], strict=False)
    ]
    return f"{', '.join(names)}; {', '.join(spots)}"

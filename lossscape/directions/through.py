"""The plane through three points (Garipov et al., NeurIPS 2018, arXiv:1802.10026)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lossscape.directions.direction import Direction, Plane, check_same_net, point_name, unit_words
from lossscape.errors import BadInput
from lossscape.text import number

if TYPE_CHECKING:
    from lossscape.directions.family import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.vectors import Params


class ToPoints(Direction):
    """x from the centre A to B; y to C, or random."""

    span = None
    second = "distance orthogonal to that"
    """What y is."""

    @classmethod
    def to(cls, centre: Point, *given: str | Point, **drawn: int) -> Self:
        """Directions to points as Python or the command line gives them; drawn: the seed of others.

        Raises BadInput where one is of another net.
        """
        from lossscape.runs import point_of

        points = tuple(map(point_of, given))
        for each in points:
            check_same_net(centre.run, each.run)
        listed = [each.settings() for each in (centre, *points)]
        return cls({"kind": cls.name, "points": listed, **drawn}, points)

    def axis_label(self, axis: str, number_of: int | None) -> str:
        return f"{axis} ({self.second if number_of == 2 else 'distance towards B'})"

    def line_words(self) -> str:
        return "the line to B"

    def points_words(self, count: int) -> str:
        """Which points A, B and C are, and where they lie: A = a@last, B = b@last; B at (3.2, 0)."""
        names = [
            f"{letter} = {point_name(point)}" for letter, point in zip("ABC", self.settings["points"], strict=False)
        ]
        spots = [
            f"{letter} at ({', '.join(map(number, spot))})" if count > 1 else f"{letter} at {number(spot[0])}"
            for letter, spot in zip("BC", self.settings["coordinates"][1:], strict=False)
        ]
        return f"{', '.join(names)}; {', '.join(spots)}"


def same_point(point: Point, centre: Point) -> BadInput:
    """Why there is no line."""
    return BadInput(f"{point} is the same point as the centre {centre}: name another checkpoint or run")


class Through(ToPoints):
    """x from the centre A to B, y to C as far as that is orthogonal to it."""

    name = "through"

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        if dims == 1:
            raise BadInput("--through B C is a plane: leave --dims 1 out, or draw a line with --towards B")
        return cls.to(centre, *(asked.through or ()))

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Orthonormal directions that span the points. Raises BadInput where they do not span a plane."""
        from lossscape.vectors.through import through

        try:
            directions, spots = through(origin, [problem.values(each)[0] for each in self.points])
        except ValueError as error:
            if int(error.args[0]) == 0:
                raise same_point(self.points[0], centre) from None
            raise BadInput(
                f"{self.points[1]} lies on the line through {centre} and {self.points[0]}: three points on a line "
                "span no plane; name another one, or draw the line with --dims 1 --towards"
            ) from None
        return Plane(directions, {"coordinates": [list(spot) for spot in spots]}, spots)

    def sentence(self, count: int) -> str:
        way = "x leads from A to B, y is orthogonal to it"
        return f"The plane through three points: {self.points_words(count)}; {way}; {unit_words(count)}."

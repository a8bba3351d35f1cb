"""The line from the centre to another point, and a random direction orthogonal to it."""

from typing import TYPE_CHECKING, Self

from lossscape.directions.direction import Direction, Plane, Settings, unit_words
from lossscape.directions.through import points_of, points_words, same_point, settings_of
from lossscape.errors import BadInput

if TYPE_CHECKING:
    from lossscape.directions.asked import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.vectors import Params


class Towards(Direction):
    """x from the centre A to B; y drawn."""

    name = "towards"
    span = None

    @classmethod
    def draws(cls, dims: int) -> bool:
        """The second one is."""
        return dims == 2

    @classmethod
    def choose(cls, centre: "Point", dims: int, asked: "Asked") -> Self:
        points = points_of(centre, [asked.towards] if asked.towards else [])
        seed = {"seed": asked.seed} if cls.draws(dims) else {}
        return cls(settings_of(cls.name, centre, points) | seed, points)

    def make(self, problem: "Problem", centre: "Point", origin: "Params", dims: int, quiet: bool) -> Plane:
        """Orthonormal directions, the first to the point. Raises BadInput where that is the centre."""
        from lossscape.vectors.through import towards

        (point,) = self.points
        try:
            directions, spots = towards(origin, problem.values(point)[0], dims, seed=self.settings.get("seed", 0))
        except ValueError:
            raise BadInput(same_point(point, centre)) from None
        held = spots
        if dims == 2:  # the random axis has no point of its own
            held = [*spots, *((0.0, sign * spots[1][0] / 4) for sign in (-1, 1))]
        return Plane(directions, {"coordinates": [list(spot) for spot in spots]}, held)

    @staticmethod
    def sentence(made: Settings, count: int) -> str:
        drawn = f"(normal numbers, seed {made['seed']})" if count > 1 else ""
        second = f", y along a random direction orthogonal to that {drawn}" if count > 1 else ""
        return f"x leads from A to B{second}: {points_words(made, count)}; {unit_words(count)}."

    @staticmethod
    def axis_label(made: Settings, axis: str, number_of: int | None) -> str:
        return f"{axis} ({'random direction orthogonal to x' if number_of == 2 else 'distance towards B'})"

    @staticmethod
    def line_words(made: Settings) -> str:
        return "the line to B"

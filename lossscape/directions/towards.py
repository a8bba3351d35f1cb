"""The line from the centre to another point, and a random direction orthogonal to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lossscape.directions.direction import Plane, unit_words
from lossscape.directions.through import ToPoints, same_point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from lossscape.directions.family import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.vectors import Params


class Towards(ToPoints):
    """x from the centre A to B; y drawn."""

    name = "towards"
    drawn_from = 2
    second = "random direction orthogonal to x"

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        assert asked.towards is not None
        return cls.to(centre, asked.towards, **({"seed": asked.seed} if dims == 2 else {}))

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Orthonormal directions, the first to the point. Raises BadInput where that is the centre."""
        from lossscape.vectors.through import towards

        (point,) = self.points
        try:
            directions, spots = towards(origin, problem.values(point)[0], dims, seed=self.settings.get("seed", 0))
        except ValueError:
            raise same_point(point, centre) from None
        held = spots
        if dims == 2:  # the random axis has no point of its own
            held = [*spots, *((0.0, sign * spots[1][0] / 4) for sign in (-1, 1))]
        return Plane(directions, {"coordinates": [list(spot) for spot in spots]}, held)

    def again(self, origin: Params, made: Sequence[Params], model: nn.Module) -> list[Params | None]:
        from lossscape.directions.random import drawn
        from lossscape.vectors import dot, norm, scale

        found: list[Params | None] = [None]
        for _ in made[1:]:
            seed = self.settings["seed"]
            numbers = {name: drawn(seed, 0, name, value).to(value.dtype) for name, value in origin.items()}
            for _ in range(2):  # the second time what rounding left
                share = dot(numbers, made[0]) / dot(made[0], made[0])
                numbers = {name: value - share * made[0][name] for name, value in numbers.items()}
            found.append(scale(numbers, 1 / norm(numbers)))
        return found

    def sentence(self, count: int) -> str:
        drawn = f"(normal numbers, seed {self.settings['seed']})" if count > 1 else ""
        second = f", y along a random direction orthogonal to that {drawn}" if count > 1 else ""
        return f"x leads from A to B{second}: {self.points_words(count)}; {unit_words(count)}."

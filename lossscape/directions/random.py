"""Random directions: normal numbers, scaled to the net and made orthogonal.

Filter normalisation, with biases and normalisation layers left alone: Li et al., NeurIPS 2018 (arXiv:1712.09913).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lossscape.directions.direction import Direction, Plane, point_name
from lossscape.errors import BadInput, one_of

if TYPE_CHECKING:
    from lossscape.directions.family import Asked
    from lossscape.problem import Problem
    from lossscape.runs import Point
    from lossscape.vectors import Params

NORMALIZATIONS = {
    "filter": ("filter-normalised", "each filter of a direction has the norm of the filter it moves"),
    "layer": ("layer-normalised", "each tensor of a direction has the norm of the tensor it moves"),
    "global": ("scaled to ‖θ‖", "each direction has the norm of the centre"),
    "unit": ("of norm 1", "each direction has norm 1"),
    "none": ("not normalised", "each direction is left as drawn"),
}
"""What each makes of directions: in a word or two, and in a clause."""
IGNORABLE = {"bias": "biases", "norm": "normalisation layers"}
"""Kinds of parameters that may stay put."""


class Random(Direction):
    """Normal numbers in the shape of the parameters."""

    name = "random"
    help = "normal numbers, made orthogonal"
    by_filter = True
    drawn_from = 1

    @classmethod
    def choose(cls, centre: Point, dims: int, asked: Asked) -> Self:
        normalize = asked.normalize or "filter"
        ignore = tuple(IGNORABLE) if asked.ignore is None else asked.ignore
        if normalize not in NORMALIZATIONS:
            raise BadInput(one_of("--normalize", normalize, NORMALIZATIONS))
        for each in ignore:
            if each not in IGNORABLE:
                raise BadInput(one_of("--ignore", each, (*IGNORABLE, "none")))
        return cls({"kind": cls.name, "seed": asked.seed, "normalize": normalize, "ignore": sorted(ignore)})

    def words(self, centre: Point) -> list[str]:
        """The seed and scaling; the kind is the usual one."""
        normalize, ignore = self.settings["normalize"], self.settings["ignore"]
        words = [normalize] if normalize != "filter" else []
        if ignore != sorted(IGNORABLE):
            words.append("ignore-" + ("-".join(ignore) or "none"))
        return [*words, *super().words(centre)[1:]]

    def make(self, problem: Problem, centre: Point, origin: Params, dims: int, quiet: bool) -> Plane:
        """Draw them, a stream of its own for each."""
        from lossscape.vectors import norm
        from lossscape.vectors.random import kinds_of_parameters, random_directions

        made = self.settings
        ignored = [name for name, kind in kinds_of_parameters(problem.model).items() if kind in made["ignore"]]
        drawn = random_directions(origin, dims, seed=made["seed"], normalize=made["normalize"], ignored=ignored)
        if not all(norm(direction) > 0 for direction in drawn):
            raise BadInput(
                f"{centre}: nothing is left to move in with --ignore {','.join(made['ignore'])}; use --ignore none"
            )
        return Plane(drawn)

    def length(self, origin: Params, direction: Params) -> float | None:
        from lossscape.vectors import norm

        normalize = self.settings["normalize"]
        if normalize in ("filter", "layer"):
            return norm({name: value for name, value in origin.items() if direction[name].any()})
        return {"global": norm(origin), "unit": 1.0}.get(normalize)

    @property
    def scaling(self) -> str:
        return f"{self.settings['normalize']} normalisation"

    def sentence(self, count: int) -> str:
        made = self.settings
        at = f", made at {point_name(made['of'])} in place of the centre" if "of" in made else ""
        words = [f"Random direction{'s'[: count - 1]}{at}, seed {made['seed']}: normal numbers"]
        if count > 1:
            words.append(", the second orthogonal to the first filter by filter")
        words.append(f"; {NORMALIZATIONS[made['normalize']][1]}")
        if ignored := [IGNORABLE[kind] for kind in made["ignore"]]:
            words.append(f"; {' and '.join(ignored)} stay put")
        return "".join(words) + "."

    def axis_label(self, axis: str, number_of: int | None) -> str:
        normalize, which = self.settings["normalize"], "" if number_of is None else f" {number_of}"
        scaled = NORMALIZATIONS[normalize][0]
        if normalize in ("filter", "layer"):
            return f"{axis} ({scaled} random direction{which})"
        return f"{axis} (random direction{which}, {scaled})"

    def line_words(self) -> str:
        return "a random direction"

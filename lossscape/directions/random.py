"""Random directions: normal numbers, scaled to the net and made orthogonal.

Filter normalisation, with biases and normalisation layers left alone: Li et al., NeurIPS 2018 (arXiv:1712.09913).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lossscape.directions.direction import Direction, Plane, point_name
from lossscape.errors import BadInput, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

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
        from lossscape.vectors.random import random_directions

        made, still = self.settings, self._still(problem.model)
        found = random_directions(origin, dims, seed=made["seed"], normalize=made["normalize"], ignored=still)
        if not all(norm(direction) > 0 for direction in found):
            raise BadInput(
                f"{centre}: nothing is left to move in with --ignore {','.join(made['ignore'])}; use --ignore none"
            )
        return Plane(found)

    def lengths(self, origin: Params, model: nn.Module) -> Params:
        import torch

        from lossscape.vectors import norm

        still, normalize = self._still(model), self.settings["normalize"]
        found = {name: torch.zeros(1, dtype=torch.float64) for name in still}
        if normalize in ("filter", "layer"):
            moved = {name: value for name, value in origin.items() if name not in still}
            by_filter = normalize == "filter"
            return found | {name: _lengths(value, by_filter=by_filter) for name, value in moved.items()}
        whole = {"global": norm(origin), "unit": 1.0}.get(normalize)
        return found | ({} if whole is None else {"": torch.tensor([whole], dtype=torch.float64)})

    def again(self, origin: Params, made: Sequence[Params], model: nn.Module) -> list[Params | None]:
        from lossscape.vectors import norm, scale

        raw: list[Params] = []
        for index in range(len(made)):
            numbers = {name: drawn(self.settings["seed"], index, name, value) for name, value in origin.items()}
            for name in self._still(model):
                numbers[name].zero_()
            for earlier in raw:
                numbers = {name: _beside(value, earlier[name]) for name, value in numbers.items()}
            raw.append(numbers)
        lengths = self.lengths(origin, model)
        found: list[Params | None] = []
        by_filter = self.settings["normalize"] == "filter"
        for numbers in raw:
            if "" in lengths:
                numbers = scale(numbers, float(lengths[""]) / norm(numbers))
            for name in numbers.keys() & lengths.keys():
                numbers[name] = _scaled(numbers[name], lengths[name], by_filter=by_filter)
            found.append(numbers)
        return found

    def _still(self, model: nn.Module) -> set[str]:
        """The names of parameters that stay put."""
        from lossscape.vectors.random import kinds_of_parameters

        return {name for name, kind in kinds_of_parameters(model).items() if kind in self.settings["ignore"]}

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


def drawn(seed: int, index: int, name: str, value: Tensor) -> Tensor:
    """The normal numbers of a random direction for a parameter, in float64: a stream of its own for each."""
    import torch

    from lossscape.seeds import generator

    numbers = torch.empty(value.shape, dtype=torch.float64)
    return numbers.normal_(generator=generator(seed, "direction", index, name))


def _rows(value: Tensor) -> Tensor:
    """The filters of a tensor, [filters, numbers]."""
    return value.flatten(1) if value.ndim > 1 else value.reshape(1, -1)


def _lengths(value: Tensor, *, by_filter: bool) -> Tensor:
    """‖·‖ of a tensor's filters, or of itself, [parts] in float64."""
    value = value.double()
    return _rows(value).norm(dim=1) if by_filter else value.norm().reshape(1)


def _scaled(value: Tensor, lengths: Tensor, *, by_filter: bool) -> Tensor:
    """A tensor whose parts have these lengths, [parts]; what is 0 stays so."""
    factors = (lengths / _lengths(value, by_filter=by_filter)).nan_to_num(0.0)
    return (_rows(value) * factors[:, None]).reshape(value.shape)


def _beside(value: Tensor, other: Tensor) -> Tensor:
    """What of a tensor is orthogonal to another filter by filter; as a whole where filters are single numbers."""
    a, b = _rows(value), _rows(other)
    if a.shape[1] == 1:
        a, b = a.reshape(1, -1), b.reshape(1, -1)
    if a.shape[1] == 1:
        return value
    shares = ((a * b).sum(1) / (b * b).sum(1)).nan_to_num(0.0)
    return (a - shares[:, None] * b).reshape(value.shape)

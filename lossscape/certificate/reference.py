"""Both sides of a certificate: the engine's values at some points, and plain float64 arithmetic on the same samples.

Where a split is large, or its net costly, the samples are a seeded subset, and the engine is run on that with the
result's own plan; where it is small, they are all samples, and the engine's values are those that were stored.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from lossscape.evaluate import Work
from lossscape.evaluate.engine import Statistics, Values, blocks_of
from lossscape.evaluate.subspace import Coordinates
from lossscape.models.summary import summarise
from lossscape.objective import Objective, Plan, Precision
from lossscape.seeds import generator
from lossscape.vectors import Params

SAMPLES, FEWEST = 2_000, 8
"""Samples of a split that are checked: at most, and with the costliest net."""
PASS = 2e9
"""Multiply-adds of a pass over all samples that are checked: float64 convolutions do 1e10 a second on two cores."""
GRADIENTS = 30
"""Forward passes that a curvature takes: a product with the Hessian, and gradients at a few steps."""
GROUPS, GROUP = 8, 8
"""Groups of samples whose curvature is compared, and samples of each, at most."""
ELEMENTS, CHUNK = 2**23, 256
"""Numbers in the largest activation of a chunk, and samples of a chunk, at most."""
Done = Callable[[int], None]


class Sides:
    """The engine's losses at points of a result, and what plain arithmetic makes of the same samples."""

    def __init__(
        self, model: nn.Module, work: Work, plan: Plan, stored: Mapping[Coordinates, Values]
    ) -> None:
        """model: the net's structure, left as it is; stored: the result's values."""
        self.model, self.plan, self.stored = model, plan, stored
        self.done: Done = lambda samples: None
        """Told of samples that have passed through the net."""
        self.subspace = work.subspace
        # sums with an origin in float64 are float64 themselves, whatever the directions are kept in
        self.exact = replace(
            work.subspace, origin=_double(work.subspace.origin), buffers=_double(work.subspace.buffers)
        )
        self.statistics = None if work.statistics is None else Remembered(work.statistics)
        self.cost, self.chunk = _size(model, next(iter(work.objectives.values())).inputs)
        self.splits = len(work.objectives)
        self.places = {split: self._chosen(split, len(part)) for split, part in work.objectives.items()}
        self.objectives = {split: _part(part, self.places[split]) for split, part in work.objectives.items()}
        self._plain: dict[tuple[str, Precision], Objective] = {}

    def engine(self, points: Sequence[Coordinates]) -> dict[Coordinates, Values]:
        """The engine's values at points: as they were stored where all samples are checked, else on the subset."""
        found: dict[Coordinates, Values] = {point: {} for point in points}
        for whole in (True, False):
            parts = {s: part for s, part in self.objectives.items() if (self.places[s] is None) == whole}
            known = self.stored if whole else {}
            for point in points:
                found[point] |= {
                    c: known[point][c] for c in Work(parts, self.subspace).columns if point in known
                }
            missing = [point for point in points if point not in known]
            work = Work(parts, self.subspace, self.statistics)
            for block in blocks_of(missing if parts else [], self.plan):
                for point, values in zip(block, work.rows(block, self.plan, self.done), strict=True):
                    found[point] |= values
        return found

    def plain(self, split: str, precision: Precision) -> Objective:
        """An objective of its own on the samples of a split that are checked, dense and contiguous."""
        if (split, precision) not in self._plain:
            part = self.objectives[split]
            self._plain[split, precision] = Objective(
                self.model, part.loss, part.inputs, part.targets, precision=precision,
                plan=Plan(self.chunk, channels_last=False), sample=part.sample, dropout=part.dropout,
            )  # fmt: skip
        return self._plain[split, precision]

    def outputs(self, split: str, point: Coordinates, precision: Precision) -> Tensor:
        """What the net gives for the checked samples of a split, by forward passes in a precision, [n, C]."""
        parameters, buffers = (self.exact if precision == "fp64" else self.subspace).at(point)
        if self.statistics is not None:
            buffers = self.statistics(*self.subspace.at(point), self.done)
        return self.plain(split, precision).outputs(parameters, buffers, self.done)

    def metrics(self, split: str, point: Coordinates, precision: Precision) -> dict[str, float]:
        """The metrics that follow from these outputs."""
        plain = self.plain(split, precision)
        return plain.means(plain.per_sample(self.outputs(split, point, precision), plain.targets))

    def error(self, split: str, point: Coordinates, precision: Precision) -> float:
        """Relative error of the loss by forward passes in a precision; NaN where a loss is not finite."""
        exact, rough = (self.metrics(split, point, which)["loss"] for which in ("fp64", precision))
        return (rough - exact) / abs(exact) if exact else 0.0

    @property
    def samples(self) -> int:
        """Samples that are checked, of all splits."""
        return sum(map(len, self.objectives.values()))

    @property
    def precision(self) -> Precision:
        """Of the result."""
        return next(iter(self.objectives.values())).precision

    @cached_property
    def groups(self) -> list[Objective]:
        """Float64 objectives of a few samples each, of the first split, for second derivatives."""
        split, part = next(iter(self.objectives.items()))
        number = min(max(int(PASS / GRADIENTS / self.cost), 4), GROUPS * GROUP, len(part))
        size = -(-number // min(GROUPS, max(number // 2, 1)))
        places = _drawn(len(part), number, "curvature", split)
        plan = Plan(size, channels_last=False)
        groups = [_part(self.plain(split, "fp64"), few) for few in places.split(size)]
        for group in groups:
            group.plan = plan
        return groups

    def _chosen(self, split: str, samples: int) -> Tensor | None:
        """The places of a split's samples that are checked; None for all."""
        most = max(SAMPLES, self.plan.chunk if self.plan.compiled else 0)  # only whole chunks are compiled
        number = min(max(int(PASS / self.cost / self.splits), FEWEST), most)
        return None if number >= samples else _drawn(samples, number, "samples", split)


class Remembered:
    """BatchNorm statistics by the parameters that they belong to: a pass over the training data only once."""

    def __init__(self, statistics: Statistics) -> None:
        """statistics: gives the buffers at a point from its parameters and the subspace's buffers."""
        self.statistics = statistics
        self.known: dict[str, Params] = {}

    @property
    def samples(self) -> int:
        """That pass through the net for a point not known."""
        return self.statistics.samples

    def __call__(self, parameters: Params, buffers: Params, done: Done | None = None) -> Params:
        """The buffers at a point; done: called with samples as they pass."""
        key = digest(parameters)
        if key not in self.known:
            self.known[key] = self.statistics(parameters, buffers, done)
        return self.known[key]


def _drawn(samples: int, number: int, *purpose: str) -> Tensor:
    """`number` places of `samples`, ascending, the same ones at every call."""
    order = torch.randperm(samples, generator=generator(0, "certificate", *purpose))
    return order[:number].sort().values


def _size(model: nn.Module, inputs: Tensor) -> tuple[int, int]:
    """About how many multiply-adds a sample takes, and a chunk of samples that takes little memory."""
    shape = inputs.shape[1:]
    parameters = sum(value.numel() for value in model.parameters())
    if not inputs.is_floating_point():  # tokens: each passes all parameters once or so
        return max(parameters * shape.numel(), 1), 32
    summary = summarise(model, tuple(shape))
    largest = max(summary.largest_activation, shape.numel())
    return max(summary.multiply_adds, parameters, largest), min(max(ELEMENTS // largest, 1), CHUNK)


def digest(values: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and bytes."""
    found = hashlib.sha256()
    for name, value in values.items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _part(objective: Objective, places: Tensor | None) -> Objective:
    """An objective on some of its samples."""
    if places is None:
        return objective
    return objective.part(places.to(objective.device))


def _double(values: Params) -> Params:
    return {name: value.double() if value.is_floating_point() else value for name, value in values.items()}

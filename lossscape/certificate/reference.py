"""What a result is held against: its engine's values at some points, and plain float64 arithmetic on the same samples.

Where a split is large, or its net costly, the samples are a seeded subset, and the engine is run on that with the
result's own plan; where it is small, they are all samples, and the engine's values are those that were stored. What
is stored of a large split is recomputed whole elsewhere, at fewer points: see `rows`.
"""

import copy
import hashlib
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch
from torch import Tensor, nn

from lossscape.batches import Inputs, has_floats, tensors_of
from lossscape.certificate.check import Certified, allowed, holds
from lossscape.certificate.chosen import few_of
from lossscape.evaluate import Work
from lossscape.evaluate.engine import Statistics, Values, blocks_of
from lossscape.evaluate.graph import traced
from lossscape.evaluate.pool import ALONE, SMALL_PASS, Pool, pooled
from lossscape.evaluate.subspace import Coordinates
from lossscape.models.summary import summarise
from lossscape.modules import copied
from lossscape.objective import Objective, Plan, Precision
from lossscape.scoring import PerSample, joined
from lossscape.seeds import generator
from lossscape.vectors import Params, double

POINTS = 5
"""Points that are evaluated densely in fp64."""
DECIDED: dict[Precision, float] = {"fp64": 1e-10, "fp32": 1e-4, "tf32": 5e-2, "bf16": 5e-2}
"""Lead of the largest output over the next, relative to the largest in size, that rounding cannot turn."""
SAMPLES, FEWEST = 2_000, 8
"""Samples of a split that are checked: at most, and with the costliest net."""
PASS = 2e9
"""Multiply-adds of a pass over all samples that are checked: float64 convolutions do 1e10 a second on two cores."""
GRADIENTS = 30
"""Forward passes that a curvature takes: a product with the Hessian, and gradients at a few steps."""
GROUPS, GROUP = 8, 8
"""Groups of samples whose curvature is compared, and samples of each, at most."""
ELEMENTS, CHUNK = 2**23, 2048
"""Numbers in the largest activation of a chunk, and samples of a chunk, at most."""
Done = Callable[[int], None]


@dataclass(frozen=True)
class Plain:
    """What forward passes of an objective give at a point."""

    means: dict[str, float]
    """By column, standard errors of a subset among them."""
    tolerances: dict[str, float]
    """Largest differences that the precision of a result explains, of the loss and each metric."""


class Reference:
    """The engine's losses at points of a result, and what plain arithmetic makes of the same samples."""

    def __init__(self, result: Certified, samples: int = SAMPLES) -> None:
        """samples: of a split that are checked, at most."""
        work, anchors = result.work, [coordinates for _, coordinates in result.anchors]
        self.model, self.plan, self.stored = result.problem.model, result.plan, result.values
        self.precision, self.most = result.precision, samples
        self.done: Done = lambda samples: None
        """Told of samples that have passed through the net."""
        self.pool: Pool | None = None
        """Threads that share points, where torch has one alone all the time."""
        self.subspace = work.subspace
        # sums with an origin in float64 are float64 themselves, whatever the directions are kept in
        whole = work.subspace
        self.exact = replace(whole, origin=double(whole.origin), buffers=double(whole.buffers))
        self.statistics = None if work.statistics is None else Remembered(work.statistics)
        self.cost, self.chunk = _size(self.model, next(iter(work.objectives.values())).inputs)
        self.splits = len(work.objectives)
        self.indices = {split: self._chosen(split, len(part)) for split, part in work.objectives.items()}
        """Of the samples of each split that are checked; None for all."""
        self.objectives = {
            split: part if (chosen := self.indices[split]) is None else part.part(chosen.to(part.device))
            for split, part in work.objectives.items()
        }
        others = sorted(point for point in self.stored if point not in anchors)
        order = torch.randperm(len(others), generator=generator(0, "certificate", "points"))
        self.points = [others[index] for index in order.tolist()]
        """The points beside the checkpoints, in a random order that is the same at every call."""
        self.few = few_of(self.points, POINTS, self.stored)
        self.both = [*anchors, *self.few]
        self._plain: dict[tuple[str, Precision], Objective] = {}
        self._known: dict[tuple[str, Coordinates, Precision], Plain] = {}
        self._origins: dict[Objective, PerSample] = {}

    @cached_property
    def engine(self) -> dict[Coordinates, Values]:
        """The engine's values at `both`: as they were stored where all samples are checked, else on the subset."""
        found: dict[Coordinates, Values] = {point: {} for point in self.both}
        for whole in (True, False):
            parts = {s: part for s, part in self.objectives.items() if (self.indices[s] is None) == whole}
            known = self.stored if whole else {}
            work = Work(parts, self.subspace, self.statistics)
            for point in self.both:
                found[point] |= {c: known[point][c] for c in work.columns if point in known}
            missing = [point for point in self.both if point not in known]
            for block in blocks_of(missing if parts else [], self.plan):
                for point, values in zip(block, work.rows(block, self.plan, self.done), strict=True):
                    found[point] |= values
        return found

    def plain(self, split: str, precision: Precision) -> Objective:
        """An objective of its own on the samples of a split that are checked, dense and contiguous."""
        if (split, precision) not in self._plain:
            plan = Plan(self.chunk, channels_last=False)
            self._plain[split, precision] = self.objectives[split].again(self.model, precision, plan)
        return self._plain[split, precision]

    def at(self, split: str, point: Coordinates, precision: Precision) -> Plain:
        """What that objective gives at a point, computed once."""
        self.at_all(split, [point], precision)
        return self._known[split, point, precision]

    def at_all(self, split: str, points: Sequence[Coordinates], precision: Precision) -> None:
        """Compute what `at` gives at several points, by all threads."""
        missing = [point for point in points if (split, point, precision) not in self._known]
        if missing:
            found = self.plainly(self.plain(split, precision), missing, precision)
            self._known |= {(split, point, precision): plain for point, plain in zip(missing, found, strict=True)}

    def subset(self, split: str) -> str:
        """What names of checks say where it is not the stored values that they look at."""
        samples = len(self.objectives[split])
        return "" if self.indices[split] is None else f" (the plan on a subset of {samples:,} samples)"

    def plainly(self, objective: Objective, points: Sequence[Coordinates], precision: Precision) -> list[Plain]:
        """The loss and metrics at each of some points by forward passes of an objective, chunk by chunk.

        precision: of the objective, and of θ(c). Threads of one torch thread each share the points, so that the bits
        are the same for any number of them; a forward that cannot be traced may do anything, and stays in one thread.
        """
        alone = len(points) == 1 or self.statistics is not None or objective.device.type != "cpu"
        alone = alone or traced(objective.model) is None
        with nullcontext(ALONE if alone else self.pool) if alone or self.pool else pooled(True) as pool:
            assert pool is not None
            origin = None
            if objective.sample is not None:
                if objective not in self._origins:
                    zero = (0.0,) * len(self.subspace.directions)
                    self._origins[objective], _ = self._values(objective, zero, precision, self.done)
                origin = self._origins[objective]
            if pool.threads == 1:
                return [
                    self._plain_of(objective, origin, *self._values(objective, point, precision, self.done))
                    for point in points
                ]
            own = threading.local()  # a net has the values of one point at a time

            def at(point: Coordinates) -> Plain:
                if not hasattr(own, "objective"):
                    with copying:
                        own.objective = copy.copy(objective)
                        own.objective.model = copied(objective.model)
                return self._plain_of(objective, origin, *self._values(own.objective, point, precision, None))

            copying = threading.Lock()
            return pool.run([partial(at, point) for point in points], lambda _: self.done(len(objective)))

    def _plain_of(self, objective: Objective, origin: PerSample | None, values: PerSample, unsure: PerSample) -> Plain:
        means = objective.means(values, origin)
        tolerances = {"loss": allowed(means["loss"], self.precision)}
        for name in objective.scoring.metrics:
            if name in unsure:  # rounding turns the answers of some samples
                tolerances[name] = objective.means(values | unsure)[name] + 1e-12
            else:  # values may cancel
                tolerances[name] = allowed(objective.means(values | {name: values[name].abs()})[name], self.precision)
        return Plain(means, tolerances)

    def _values(
        self, objective: Objective, point: Coordinates, precision: Precision, done: Done | None
    ) -> tuple[PerSample, PerSample]:
        """The loss and metrics of each sample, and of those that say yes or no whether rounding may turn that."""
        parameters, buffers = (self.exact if precision == "fp64" else self.subspace).at(point)
        if self.statistics is not None:
            buffers = self.statistics(*self.subspace.at(point), done)
        parts: list[PerSample] = []
        turned: list[PerSample] = []
        lead = DECIDED[self.precision]
        for outputs, targets in objective.passes(parameters, buffers, done):
            parts.append(objective.per_sample(outputs, targets))
            unsure = {name: objective.scoring.undecided(name, outputs, targets, lead) for name in parts[-1]}
            turned.append({name: each for name, each in unsure.items() if each is not None})
        return joined(parts), joined(turned)

    def rough(
        self, split: str, point: Coordinates, precision: Precision, value: float, name: str = "loss"
    ) -> Callable[[], float]:
        """A value as far off, relatively, as forward passes in a precision are at a point; computed when called.

        name: of the loss, or of the metric. NaN where that precision may not hold the point.
        """

        def found() -> float:
            exact, rough = (self.at(split, point, which).means for which in ("fp64", precision))
            if not holds(precision, exact["loss"], rough["loss"]):
                return math.nan
            off, size = rough[name] - exact[name], abs(exact[name])
            return value + off * (abs(value) / size if size else 1.0)

        return found

    @property
    def samples(self) -> int:
        """Samples that are checked, of all splits."""
        return sum(map(len, self.objectives.values()))

    @property
    def small(self) -> bool:
        """Whether a pass is over before threads of torch could help: they would wait for one another by spinning."""
        on_cpu = all(objective.device.type == "cpu" for objective in self.objectives.values())
        return on_cpu and self.cost * min(self.chunk, self.samples) <= SMALL_PASS

    @cached_property
    def groups(self) -> list[Objective]:
        """Float64 objectives of a few samples each, of the first split, for second derivatives."""
        split, part = next(iter(self.objectives.items()))
        number = min(max(int(PASS / GRADIENTS / self.cost), 4), GROUPS * GROUP, len(part))
        size = -(-number // min(GROUPS, max(number // 2, 1)))
        indices = _drawn(len(part), number, "curvature", split)
        plan = Plan(size, channels_last=False)
        exact = self.plain(split, "fp64")
        groups = [exact.part(few.to(exact.device)) for few in indices.split(size)]
        for group in groups:
            group.plan = plan
        return groups

    def _chosen(self, split: str, samples: int) -> Tensor | None:
        most = max(self.most, self.plan.chunk if self.plan.compiled else 0)  # only whole chunks are compiled
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

    @property
    def small(self) -> bool:
        """Whether one thread of torch computes them as fast as several."""
        return self.statistics.small

    def __call__(self, parameters: Params, buffers: Params, done: Done | None = None) -> Params:
        key = digest(parameters)
        if key not in self.known:
            self.known[key] = self.statistics(parameters, buffers, done)
        return self.known[key]


def _drawn(samples: int, number: int, *purpose: str) -> Tensor:
    order = torch.randperm(samples, generator=generator(0, "certificate", *purpose))
    return order[:number].sort().values


def _size(model: nn.Module, inputs: Inputs) -> tuple[int, int]:
    """About how many multiply-adds a sample takes, and a chunk of samples that takes little memory."""
    numbers = max(each[0].numel() for each in tensors_of(inputs).values())
    parameters = sum(value.numel() for value in model.parameters())
    if not has_floats(inputs):  # tokens: each passes all parameters once or so
        return max(parameters * numbers, 1), 32
    summary = summarise(model, inputs)
    largest = max(summary.largest_activation, numbers)
    return max(summary.multiply_adds, parameters, largest), min(max(ELEMENTS // largest, 1), CHUNK)


def words(point: Coordinates) -> str:
    """A point for people."""
    return f"({', '.join(f'{coordinate:g}' for coordinate in point)})"


def digest(values: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and bytes."""
    found = hashlib.sha256()
    for name, value in values.items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()

"""Evaluate objectives at points of a subspace, a block of points at a time."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from lossscape.errors import BadInput
from lossscape.evaluate.graph import first_of
from lossscape.evaluate.plans import Network, is_small
from lossscape.evaluate.pool import Pool, pooled
from lossscape.evaluate.products import KEPT_BYTES, products_bytes
from lossscape.evaluate.rows import Done, Key
from lossscape.evaluate.statistics import tracks_statistics
from lossscape.evaluate.subspace import Coordinates, Subspace, completed
from lossscape.objective import Objective, Plan
from lossscape.scoring import PerSample
from lossscape.vectors import Params
from lossscape.vectors.between import ToAnother

Values = dict[str, float]
"""Metrics by the name of the split and the column: train_loss, train_accuracy, …"""


class Statistics(Protocol):
    """Gives the buffers at a point."""

    @property
    def samples(self) -> int:
        """That pass through the net for a point."""
        ...

    @property
    def small(self) -> bool:
        """Whether one thread of torch computes them as fast as several."""
        ...

    def __call__(self, parameters: Params, buffers: Params, done: Done | None = None) -> Params:
        """From the parameters there and the subspace's buffers; done: called with samples as they pass."""
        ...


@dataclass
class Outputs:
    """What nets give for the samples at points, so that other targets of the same inputs need no forward pass.

    For works that differ in their targets alone.
    """

    room: int = 2**30
    """Bytes that may still be kept."""
    kept: dict[tuple[Plan, Coordinates], dict[str, Tensor]] = field(default_factory=dict, repr=False)
    """[N, C] of each split at each point under each plan."""

    def keep(self, plan: Plan, point: Coordinates, outputs: dict[str, Tensor]) -> None:
        """Keep the outputs of a point where there is room."""
        size = sum(each.numel() * each.element_size() for each in outputs.values())
        if size <= self.room and (plan, point) not in self.kept:
            self.kept[plan, point] = outputs
            self.room -= size


@dataclass
class Work:
    """All that evaluating a point needs; it can be sent to another process."""

    objectives: Mapping[str, Objective]
    subspace: Subspace
    statistics: Statistics | None = None
    """Gives the buffers at a point in place of the subspace's."""
    keep: bool | None = None
    """Whether the first layer's products stay in memory; by default where they fit."""
    outputs: Outputs | None = None
    """Shared with works of other targets."""
    room: int = KEPT_BYTES
    """Bytes that the first layer's products of all objectives may take to stay in memory by default."""
    _networks: dict[Plan, dict[str, Network]] = field(default_factory=dict, init=False, repr=False)
    _references: dict[Plan, dict[str, PerSample]] = field(default_factory=dict, init=False, repr=False)
    _small: dict[Plan, bool] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Take what the subspace leaves out from the model.

        Raises BadInput where it has names that the model lacks, or leads to another net with the origin's statistics.
        """
        if not self.objectives:
            return
        objective = next(iter(self.objectives.values()))
        self.subspace = completed(self.subspace, objective.parameters(), objective.buffers())
        moves = self.statistics is not None or self.subspace.buffer_directions or self.subspace.frozen
        towards = any(isinstance(direction, ToAnother) for direction in self.subspace.directions)
        if towards and not moves and tracks_statistics(objective.model):
            raise BadInput(
                "a direction leads to another net, whose BatchNorm statistics are its own: let them move with it, "
                "Subspace(…, buffers_a, [between(buffers_a, buffers_b)]), recompute them, "
                "statistics=RecomputedStatistics(model, inputs), or say Subspace(…, frozen=True)"
            )

    @property
    def samples(self) -> int:
        """Samples of all objectives: what a point costs beside its statistics."""
        return sum(len(objective) for objective in self.objectives.values())

    @property
    def columns(self) -> list[str]:
        """The names of what `rows` gives."""
        return [f"{split}_{name}" for split, part in self.objectives.items() for name in part.columns]

    def cost(self, key: Key) -> int:
        """Samples that pass through the net for a point, those of its statistics among them."""
        return self.samples + (self.statistics.samples if self.statistics else 0)

    def rows(self, keys: Sequence[Coordinates], plan: Plan, done: Done | None = None) -> list[Values]:
        """The metrics of every objective at every point of a block, in its order.

        done: called with the number of samples (times points) that have just been evaluated. The bits of a point
        depend on the plan alone, and where it stacks points on the composition of the block.
        """
        with pooled(self._shares(plan)) as pool:
            references = self._references_of(plan, pool)
            return pool.map(partial(self._means, references), self._per_sample(keys, plan, done, pool))

    def per_sample(
        self, block: Sequence[Coordinates], plan: Plan, done: Done | None = None
    ) -> list[dict[str, PerSample]]:
        """The values of every sample of every split at every point of a block."""
        with pooled(self._shares(plan)) as pool:
            return self._per_sample(block, plan, done, pool)

    def prepare(self, block: Sequence[Coordinates], plan: Plan) -> None:
        """Do what a block of points takes beside its samples: the values of the net at each, as the plan has them."""
        with pooled(self._shares(plan)) as pool:
            networks = self._networks_of(plan, pool)
            points = self._points(block, None, pool, _unused(networks))
            for network in networks.values():
                network.values(points, pool)

    def _shares(self, plan: Plan) -> bool:
        """Whether torch has one thread under a plan: where threads of Python share the work, or one is enough."""
        if plan not in self._small:
            self._small[plan] = all(is_small(objective, plan) for objective in self.objectives.values())
        return plan.pool or self._small[plan]

    def _means(self, references: Mapping[str, PerSample], found: Mapping[str, PerSample]) -> Values:
        return {
            f"{split}_{name}": value
            for split, part in self.objectives.items()
            for name, value in part.means(found[split], references.get(split)).items()
        }

    def _per_sample(
        self, block: Sequence[Coordinates], plan: Plan, done: Done | None, pool: Pool
    ) -> list[dict[str, PerSample]]:
        if self.outputs and all((plan, point) in self.outputs.kept for point in block):
            return [self._known(self.outputs.kept[plan, point], done) for point in block]
        networks = self._networks_of(plan, pool)
        wanted = len(block)
        if plan.name == "stacked":  # stacks of one height, so that all blocks are computed alike
            block = [*block, *[block[-1]] * (plan.points - wanted)]
        points = self._points(block, done, pool, _unused(networks))
        given: dict[str, list[list[Tensor]] | None] = {
            split: None if self.outputs is None else [[] for _ in block] for split in networks
        }
        found = {split: network(block, points, done, given[split], pool) for split, network in networks.items()}
        if self.outputs is not None:
            for index, point in enumerate(block[:wanted]):
                self.outputs.keep(plan, point, {s: torch.cat(each[index]) for s, each in given.items() if each})
        return [{split: values[index] for split, values in found.items()} for index in range(wanted)]

    def _points(
        self, block: Sequence[Coordinates], done: Done | None, pool: Pool, unused: Collection[str]
    ) -> list[Params]:
        """Parameters and buffers at each point of a block; unused: parameters that no network takes."""
        if self.statistics is None:
            moving = self.subspace.without(unused)
            return [parameters | buffers for parameters, buffers in pool.map(moving.at, block)]
        points = pool.map(self.subspace.at, block)
        # whole batches of training inputs, at one point at a time
        with nullcontext() if self.statistics.small else pool.aside():
            return [parameters | self.statistics(parameters, buffers, done) for parameters, buffers in points]

    def _known(self, outputs: Mapping[str, Tensor], done: Done | None) -> dict[str, PerSample]:
        if done is not None:
            done(self.cost(()))
        return {
            split: part.per_sample(outputs[split].double(), part.targets) for split, part in self.objectives.items()
        }

    def _references_of(self, plan: Plan, pool: Pool) -> dict[str, PerSample]:
        """The values at the origin, which the differences of subsets are taken to; empty without subsets."""
        if plan not in self._references and any(part.sample is not None for part in self.objectives.values()):
            centre = (0.0,) * len(self.subspace.directions)
            (self._references[plan],) = self._per_sample([centre], plan, None, pool)
        return self._references.get(plan, {})

    def few(self, samples: int) -> "Work":
        """The same work on the first samples of the largest split alone, for timing and checks."""
        split = max(self.objectives, key=lambda name: len(self.objectives[name]))
        objective = self.objectives[split].part(slice(samples))
        still = replace(self.subspace, frozen=True)
        return replace(self, objectives={split: objective}, subspace=still, statistics=None, outputs=None)

    def keeps_products(self) -> bool:
        """Whether the first layer's products of all objectives fit into the memory that they may take."""
        needed = 0
        for objective in self.objectives.values():
            first = first_of(objective)
            needed += products_bytes(objective, self.subspace, first) if first else 0
        return needed <= self.room

    def _networks_of(self, plan: Plan, pool: Pool) -> dict[str, Network]:
        if plan not in self._networks:
            self._networks.clear()  # the products of one plan at a time
            keep = self.keeps_products() if self.keep is None else self.keep
            self._networks[plan] = {
                split: Network(objective, self.subspace, plan, keep=keep, pool=pool)
                for split, objective in self.objectives.items()
            }
        return self._networks[plan]

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made from the rest."""
        return self.__dict__ | {"outputs": None, "_networks": {}, "_references": {}}


def _unused(networks: Mapping[str, Network]) -> set[str]:
    """Parameters that no network takes."""
    return set.intersection(*(set(each.unused) for each in networks.values()))


def blocks_of(points: Sequence[Coordinates], plan: Plan) -> list[list[Coordinates]]:
    """Points in their order as the blocks that a plan evaluates together."""
    return [list(points[start : start + plan.points]) for start in range(0, len(points), plan.points)]


def evaluate(
    objectives: Mapping[str, Objective],
    subspace: Subspace,
    points: Iterable[Coordinates],
    statistics: Statistics | None = None,
    done: Done | None = None,
    plan: Plan | None = None,
) -> Iterator[tuple[Coordinates, Values]]:
    """Yield the metrics of every objective at every point, in the order of `points`.

    objectives: by the name of their split; statistics: gives the buffers at a point in place of the subspace's;
    done: called with the number of samples that have just been evaluated; plan: of `calibrate`, or None for plain
    forward passes. Inf and NaN are results.
    """
    work = Work(objectives, subspace, statistics)
    plan = plan or next(iter(objectives.values())).plan
    for block in blocks_of(list(points), plan):
        yield from zip(block, work.rows(block, plan, done), strict=True)

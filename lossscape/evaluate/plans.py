"""Plans: the ways to evaluate a block of points, exact each, and of different speed on different nets.

dense      a forward pass of the module as it is, any module
folded     of its graph, with BatchNorm folded into the layer in front of it and activations in place
factored   of what follows the first affine layer, whose products with the inputs are made once
stacked    of all points of a block at once, as products of stacks of matrices (torch.func.vmap)

Chunks of samples are the outer loop and the points of a block the inner one, so that what a chunk needs stays in
the cache while all points use it.
"""

import copy
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossscape.batches import Batch, Inputs, called
from lossscape.errors import BadInput
from lossscape.evaluate.graph import AFFINE, Net, first_of, rewritten, traced
from lossscape.evaluate.products import Products
from lossscape.evaluate.rows import Done
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.modules import called_with, ties_of
from lossscape.objective import Objective, Plan, PlanName, arithmetic
from lossscape.scoring import PerSample, joined
from lossscape.vectors import Params

Forward = Callable[[Params, Params, Inputs], Tensor]
"""From values at a point, those of a chunk whatever the point, and its inputs."""


def reasons_against(objective: Objective, subspace: Subspace) -> dict[PlanName, str]:
    """The plans that cannot evaluate an objective on a subspace, each with the reason."""
    if isinstance(objective.inputs, Batch) or traced(objective.model) is None:
        reason = "the net's forward cannot be traced into a graph"
        if isinstance(objective.inputs, Batch):
            reason = "the net takes its inputs by name"
        return {"folded": reason, "factored": reason}
    first = first_of(objective)
    if first is None:
        return {"factored": "no single affine layer sees the inputs"}
    if rewritten(objective, after_first_layer=True) is None:
        return {"factored": "what follows the first affine layer cannot be traced"}
    return {}


class Network:
    """One objective under one plan: gives the values of all samples at the points of a block."""

    def __init__(self, objective: Objective, subspace: Subspace, plan: Plan, *, keep: bool) -> None:
        """keep: whether the first layer's products stay in memory. Raises BadInput where the plan does not fit."""
        self.objective = copy.copy(objective)
        self.objective.plan = self.plan = plan
        self.products: Products | None = None
        net: Net | None = None
        against = reasons_against(objective, subspace)
        if plan.name in against:
            raise BadInput(f"--plan {plan.name}: {against[plan.name]}")
        # a stack of convolutions gains nothing from products; one of matrices always does where they are kept
        first = first_of(objective) if "factored" not in against else None
        matrix = first is not None and isinstance(first.layer, nn.Linear)
        if first and (plan.name == "factored" or (plan.name == "stacked" and matrix and keep)):
            net = rewritten(self.objective, after_first_layer=True)
            self.products = Products(self.objective, subspace, first, keep=keep)
        elif plan.name != "dense":
            net = rewritten(self.objective)
        self.net = net or Net(self.objective.model)
        self.unused: Collection[str] = self.products.first.parameters if self.products else ()
        self.half = _matrices(self.net.module) if net and objective.precision == "bf16" else set()
        self.bound = net is not None and not plan.compiled and plan.name != "stacked"
        self.forward = self._forward()

    def __call__(
        self,
        block: Sequence[Coordinates],
        points: Sequence[Params],
        done: Done | None,
        outputs: list[list[Tensor]] | None = None,
    ) -> list[PerSample]:
        """The values of all samples at the points of a block, from their coordinates and their parameters and buffers.

        done: called with the number of samples that have just been evaluated; outputs: a list for each point, which
        what the net gives is added to, chunk by chunk.
        """
        parts: list[list[PerSample]] = [[] for _ in block]
        with arithmetic(self.objective.device, self.objective.precision):
            values = [self._values(point) for point in points]
            chunks = self._stacked if self.plan.name == "stacked" else self._one_by_one
            for index, given, targets in chunks(list(block), values, points):
                parts[index].append(self.objective.per_sample(given.double(), targets))
                if outputs is not None:
                    outputs[index].append(given)
                if done is not None:
                    done(len(targets))
        if isinstance(self.forward, Bound):
            self.forward.release()
        return [joined(part) for part in parts]

    def _one_by_one(
        self, block: list[Coordinates], values: list[Params], points: Sequence[Params]
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        feeds = self.products.feeds() if self.products else map(self._same, self._inputs())
        for span, feed in zip(self.objective.spans(), feeds, strict=True):
            targets, masks = self.objective.targets[span], self.objective.masks_of(span)
            for index, (coordinates, value, point) in enumerate(zip(block, values, points, strict=True)):
                yield index, self.forward(value, masks, feed(coordinates, point)), targets

    def _stacked(
        self, block: list[Coordinates], values: list[Params], points: Sequence[Params]
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        stack = {name: torch.stack([value[name] for value in values]) for name in values[0]}
        batches = self.products.stacks(block, points) if self.products else self._inputs()
        for span, batch in zip(self.objective.spans(), batches, strict=True):
            outputs = self._stack_of(stack, self.objective.masks_of(span), batch)
            yield from ((index, z, self.objective.targets[span]) for index, z in enumerate(outputs))

    def _stack_of(self, stack: Params, masks: Params, batch: Inputs) -> Tensor:
        """The outputs of a chunk at all points. Raises BadInput where torch has no stacked form of an operation."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # operations that are stacked one by one are slow
                return self.forward(stack, masks, batch)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, NotImplementedError) as error:
            why = str(error).split(". ")[0]
            raise BadInput(f"--plan stacked: an operation of the net cannot be stacked ({why})") from error

    def _same(self, inputs: Inputs) -> Callable[[Coordinates, Params], Inputs]:
        return lambda coordinates, values: self.objective.habits.spared(inputs)

    def _inputs(self) -> Iterator[Inputs]:
        return (self.objective.laid_out(self.objective.inputs[span]) for span in self.objective.spans())

    def _values(self, point: Params) -> Params:
        needed = {name: value for name, value in point.items() if name not in self.unused}
        values = self.net.values(self.objective.prepared(needed, None))
        return {
            name: value.bfloat16() if name in self.half else value
            for name, value in values.items()
            if name in self.net.names or self.bound
        }

    def _forward(self) -> Forward:
        module = self.net.module
        if self.bound:
            return Bound(module, self.objective.model, self.objective.logits)

        logits, ties, spared = self.objective.logits, ties_of(module), self.objective.habits.spared

        def call(values: Params, masks: Params, inputs: Inputs) -> Tensor:
            return logits(called_with(module, ties, values | masks, spared(inputs)), len(inputs))

        if self.plan.name == "stacked":
            stacked = torch.func.vmap(call, in_dims=(0, None, 0 if self.products else None))
            return _compiled(stacked, self.plan.chunk, 1 if self.products else 0) if self.plan.compiled else stacked
        return _compiled(call, self.plan.chunk, 0) if self.plan.compiled else call


class Bound:
    """A private module called with other values, set into it by name: functional_call without its bookkeeping."""

    def __init__(self, module: nn.Module, model: nn.Module, logits: Callable[[Any, int], Tensor]) -> None:
        """module: made of parts of `model`, whose names the values have; logits: finds them in what it gives."""
        self.module, self.logits = module, logits
        stored = [*model.named_parameters(), *model.named_buffers()]
        canonical = {id(value): name for name, value in stored}
        self.own: list[tuple[dict[str, Tensor | None], str, Tensor | None]] = []
        self.slots: dict[str, list[tuple[dict[str, Tensor | None], str]]] = {}
        for prefix, child in module.named_modules():
            for store in (child._parameters, child._buffers):
                self.own += [(store, key, value) for key, value in store.items()]
                for key, value in store.items():
                    name = f"{prefix}.{key}".lstrip(".")
                    self.slots.setdefault(canonical.get(id(value), name), []).append((store, key))

    def __call__(self, values: Params, masks: Params, inputs: Inputs) -> Tensor:
        """The module's outputs with `values` and `masks` in place of its own."""
        for name, value in (*values.items(), *masks.items()):
            for store, key in self.slots.get(name, ()):
                store[key] = value
        return self.logits(called(self.module, inputs), len(inputs))

    def release(self) -> None:
        """Let go of the values: a large net that waits for its next block holds none."""
        for store, key, value in self.own:
            store[key] = value


def _matrices(module: nn.Module) -> set[str]:
    """Parameters of affine layers, which bf16 rounds at every use: rounded once a point instead."""
    return {
        f"{name}.{key}" for name, child in module.named_modules() if type(child) in AFFINE for key in ("weight", "bias")
    }


def _compiled(function: Forward, chunk: int, samples_axis: int) -> Forward:
    """A function compiled for whole chunks; a last, shorter chunk runs as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's imports use what torch itself has deprecated
        fast: Forward = torch.compile(function, dynamic=False)

    def call(values: Params, masks: Params, inputs: Inputs) -> Tensor:
        if inputs.shape[samples_axis] != chunk:
            return function(values, masks, inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fast(values, masks, inputs)

    return call

"""Plans: the ways to evaluate a block of points, exact each, and of different speed on different nets.

dense      a forward pass of the module as it is, any module
folded     of its graph, with BatchNorm folded into the layer in front of it and activations in place
factored   of what follows the first affine layer, whose products with the inputs are made once
stacked    of all points of a block at once, as products of stacks of matrices (torch.func.vmap)

Chunks of samples are the outer loop and the points of a block the inner one, so that what a chunk needs stays in
the cache while all points use it.
"""

import copy
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lossscape.batches import Batch, Inputs, called, has_floats
from lossscape.errors import BadInput
from lossscape.evaluate import graphed
from lossscape.evaluate.graph import AFFINE, copied_graph, first_of, traced
from lossscape.evaluate.graphed import Forward, Graphed
from lossscape.evaluate.pool import ALONE, SMALL_PASS, Pool
from lossscape.evaluate.products import Products
from lossscape.evaluate.rewriting import Net, rewritten
from lossscape.evaluate.rows import Done
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.models.summary import summarise
from lossscape.modules import called_with, ties_of
from lossscape.objective import Objective, Plan, PlanName, arithmetic
from lossscape.scoring import PerSample, joined
from lossscape.vectors import Params


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


def is_small(objective: Objective, plan: Plan) -> bool:
    """Whether a pass under a plan that threads of Python cannot share is over before threads of torch could help."""
    own = plan.name in ("dense", "stacked") and not plan.compiled and objective.device.type == "cpu"
    if not own or not has_floats(objective.inputs):
        return False
    samples = min(plan.chunk, len(objective)) * (plan.points if plan.name == "stacked" else 1)
    return samples * summarise(objective.model, objective.inputs).multiply_adds <= SMALL_PASS


class Network:
    """One objective under one plan: gives the values of all samples at the points of a block."""

    def __init__(self, objective: Objective, subspace: Subspace, plan: Plan, *, keep: bool, pool: Pool = ALONE) -> None:
        """keep: whether the first layer's products stay in memory; pool: makes them.

        Raises BadInput where the plan does not fit.
        """
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
            self.products = Products(self.objective, subspace, first, keep=keep, pool=pool)
        elif plan.name != "dense":
            net = rewritten(self.objective)
        self.net = net or Net(self.objective.model)
        self.unused: Collection[str] = self.products.first.parameters if self.products else ()
        self.half = _matrices(self.net.module) if net and objective.precision == "bf16" else set()
        self.small = is_small(objective, plan)
        self.bound = net is not None and not plan.compiled and plan.name != "stacked"
        self._record = graphed.recorder_of(objective.device) if plan.graphed and net and not plan.compiled else None
        self._own, self._copying = threading.local(), threading.Lock()

    def __call__(
        self,
        block: Sequence[Coordinates],
        points: Sequence[Params],
        done: Done | None,
        outputs: list[list[Tensor]] | None = None,
        pool: Pool = ALONE,
    ) -> list[PerSample]:
        """The values of all samples at the points of a block, from their coordinates and their parameters and buffers.

        done: called with the number of samples that have just been evaluated; outputs: a list for each point, which
        what the net gives is added to, chunk by chunk; pool: shares chunks or points, of a plan that has `pool`.
        """
        if not self.bound and pool.threads > 1:  # what a user's own forward does to its module is for one thread
            with nullcontext() if self.small else pool.aside():
                return self(block, points, done, outputs)
        with arithmetic(self.objective.device, self.objective.precision):
            values = self.values(points, pool)
            here = done if pool.threads == 1 else None
            share = _Share(list(block), points, values, outputs is not None, here)
            if self.plan.name == "stacked":
                share.values = [{name: torch.stack([value[name] for value in values]) for name in values[0]}]
            cuts = self._cuts(len(block), pool)
            samples = [sum(len(self.objective.targets[span]) for span in spans) * len(some) for spans, some in cuts]
            landed = None if done is None or here is not None else lambda index: done(samples[index])
            found = pool.run([partial(self._part, share, spans, some) for spans, some in cuts], landed)
        parts: list[list[PerSample]] = [[] for _ in block]
        for (_, some), part in zip(cuts, found, strict=True):
            for index, (values_there, given) in zip(some, part, strict=True):
                parts[index].append(values_there)
                if outputs is not None:
                    outputs[index] += given
        return [part[0] if len(part) == 1 else joined(part) for part in parts]

    def values(self, points: Sequence[Params], pool: Pool = ALONE) -> list[Params]:
        """What the net takes at each point, from the parameters and buffers there: made once, for all chunks."""
        return pool.map(self._values, points)

    def _cuts(self, points: int, pool: Pool) -> list[tuple[list[slice], range]]:
        """The chunks and the indices of points of each task: chunk by chunk, or a share of the points for each thread.

        What a chunk needs stays in the cache while the points of its task use it.
        """
        spans = self.objective.spans()
        kept = self.products is None or self.products.kept is not None
        if self.bound and kept and pool.threads > 1 and pool.use(len(spans)) <= pool.use(points):
            return [(spans, some) for some in pool.shares(points)]
        return [([span], range(points)) for span in spans]

    def _part(self, share: "_Share", spans: list[slice], some: range) -> list[tuple[PerSample, list[Tensor]]]:
        """The values of the samples of some chunks at some points of a block, and the net's outputs where wanted."""
        parts: list[list[PerSample]] = [[] for _ in some]
        given: list[list[Tensor]] = [[] for _ in some]
        with arithmetic(self.objective.device, self.objective.precision):  # of this thread
            for span in spans:
                targets = self.objective.targets[span]
                outputs: Iterable[Tensor] = self._outputs(share, span, some)
                if share.outputs:
                    outputs = list(outputs)
                    for index, each in enumerate(outputs):
                        given[index].append(each)
                for index, values in enumerate(self.objective.at_points(outputs, targets)):
                    parts[index].append(values)
                    if share.done is not None:
                        share.done(len(targets))
        if isinstance(self.forward, Bound):
            self.forward.release()
        return [(part[0] if len(part) == 1 else joined(part), each) for part, each in zip(parts, given, strict=True)]

    def _outputs(self, share: "_Share", span: slice, some: range) -> Iterator[Tensor]:
        """What the net gives for a chunk at some points of a block."""
        masks = self.objective.masks_of(span)
        if self.plan.name == "stacked":
            batch = self.products.stack(span, share.block) if self.products else self._inputs(span)
            yield from self._stack_of(share.values[0], masks, batch)
            return
        for index, feed in zip(some, self._feeds(share, span, some), strict=True):
            yield self.forward(share.values[index], masks, feed)

    def _feeds(self, share: "_Share", span: slice, some: range) -> Iterator[Inputs]:
        """What the net is given of a chunk at each of some points."""
        if self.products:
            products = self.products.of(span)
            for index in some:
                yield self.products.at(span, products, share.block[index])
        else:
            inputs = self._inputs(span)
            for _ in some:
                yield self.objective.habits.spared(inputs)

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

    def _inputs(self, span: slice) -> Inputs:
        return self.objective.laid_out(self.objective.inputs[span])

    def _values(self, point: Params) -> Params:
        needed = {name: value for name, value in point.items() if name not in self.unused}
        values = self.net.values(self.objective.prepared(needed, None))
        return {
            name: value.bfloat16() if name in self.half else value
            for name, value in values.items()
            if name in self.net.names or self.bound
        }

    @property
    def forward(self) -> Forward:
        """Of the thread that asks: a net has the values of one point at a time, so each thread has one of its own."""
        if not hasattr(self._own, "forward"):
            with self._copying:
                self._own.forward = self._graphed(self._forward())
        forward: Forward = self._own.forward
        return forward

    def _graphed(self, forward: Forward) -> Forward:
        if self._record is None:
            return forward
        return Graphed(
            forward, self.plan.chunk, int(self.plan.name == "stacked" and self.products is not None), self._record
        )

    def _forward(self) -> Forward:
        module = self.net.module
        if self.bound:
            assert isinstance(module, GraphModule)
            return Bound(copied_graph(module), self.objective.model, self.objective.logits)

        logits, ties, spared = self.objective.logits, ties_of(module), self.objective.habits.spared

        def call(values: Params, masks: Params, inputs: Inputs) -> Tensor:
            return logits(called_with(module, ties, values | masks, spared(inputs)), len(inputs))

        if self.plan.name == "stacked":
            stacked = torch.func.vmap(call, in_dims=(0, None, 0 if self.products else None))
            return _compiled(stacked, self.plan.chunk, 1 if self.products else 0) if self.plan.compiled else stacked
        return _compiled(call, self.plan.chunk, 0) if self.plan.compiled else call


@dataclass
class _Share:
    """What the tasks of a block have in common."""

    block: list[Coordinates]
    points: Sequence[Params]
    values: list[Params]
    """As the net takes them, at each point; of a stack one for all."""
    outputs: bool
    """Whether what the net gives is asked for."""
    done: Done | None
    """Told of every chunk at a point, where the thread that calls evaluates them itself."""


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

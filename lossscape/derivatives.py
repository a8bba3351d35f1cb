"""First and second derivatives of an objective's mean loss: gradient, Hessian-vector product, curvature.

Both are sums over chunks of samples in float64, so they scale with no number of batches. The Hessian is never
formed: ∇⟨∇L, v⟩ is its product with v (Pearlmutter 1994). Everything is in eval mode, and no model is changed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from lossscape.batches import called
from lossscape.errors import BadInput
from lossscape.modules import using
from lossscape.objective import Chunk, Objective, arithmetic
from lossscape.vectors import Params, dot

Done = Callable[[int], None]
Taken = TypeVar("Taken")


def gradient(
    objective: Objective, parameters: Params, buffers: Params | None = None, done: Done | None = None
) -> Params:
    """∇L at the given parameters and buffers (default: the model's own), in float64.

    done: called after each chunk with its number of samples. A parameter that the net does not use has zeros. Raises
    BadInput where the net checkpoints activations in a way that takes no such derivatives.
    """
    return loss_and_gradient(objective, parameters, buffers, done)[1]


def loss_and_gradient(
    objective: Objective, parameters: Params, buffers: Params | None = None, done: Done | None = None
) -> tuple[float, Params]:
    """L and ∇L of one pass over the samples; arguments and errors as for `gradient`."""
    losses: list[Tensor] = []

    def noted(loss: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        losses.append(loss.detach())
        return slopes(loss, leaves)

    try:
        found = _summed(objective, parameters, buffers, done, noted)
        return float(sum(losses)), found
    except RuntimeError as error:
        if "use_reentrant" not in str(error):
            raise
        raise BadInput("the net's gradient needs checkpoint(…, use_reentrant=False) in its forward") from error


def hessian_product(
    objective: Objective,
    parameters: Params,
    vector: Mapping[str, Tensor],
    buffers: Params | None = None,
    done: Done | None = None,
) -> Params:
    """H v, in float64; H is the matrix of second derivatives of the mean loss.

    vector: by the names of the parameters; those that it lacks are taken as zeros. Buffers (default: the model's
    own) stay as they are: BatchNorm's statistics do not move with the parameters. Where a net has a kink, as relu
    at 0, the second derivative is that of the side which the first derivative takes. done: as for `gradient`.
    Raises RuntimeError or NotImplementedError where an operation of the net cannot be differentiated twice.
    """
    weights = [vector[name].to(objective.device, objective.dtype) if name in vector else None for name in parameters]

    def product(loss: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor]:
        first = slopes(loss, leaves, create_graph=True)
        slope = sum(((g * v).sum() for g, v in zip(first, weights, strict=True) if v is not None), loss.new_zeros(()))
        return slopes(slope, leaves)

    return _summed(objective, parameters, buffers, done, product)


def curvature_along(
    objective: Objective,
    parameters: Params,
    direction: Mapping[str, Tensor],
    buffers: Params | None = None,
    done: Done | None = None,
) -> float:
    """dᵀH d: the second derivative of L(θ + t d) by t at t = 0."""
    return dot(direction, hessian_product(objective, parameters, direction, buffers, done))


def own_backward(objective: Objective, parameters: Params, buffers: Params | None = None) -> str:
    """The name of a torch.autograd.Function of Python's that a net calls; empty where there is none."""
    own = (node for node in operations(objective, parameters, buffers) if isinstance(node, BackwardCFunction))
    return next((type(node).__name__.removesuffix("Backward") for node in own), "")


def slopes(output: Tensor, leaves: Sequence[Tensor], create_graph: bool = False) -> Sequence[Tensor]:
    """The derivatives of a number by leaves, zeros where it does not depend on one."""
    if not output.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return torch.autograd.grad(output, leaves, create_graph=create_graph, materialize_grads=True)


def _summed(
    objective: Objective,
    parameters: Params,
    buffers: Params | None,
    done: Done | None,
    of: Callable[[Tensor, Sequence[Tensor]], Sequence[Tensor]],
) -> Params:
    """Σ over chunks of `of`(the chunk's share of the mean loss, the parameters it depends on)."""
    shares = Shares(objective, parameters, buffers)
    totals: Sequence[Tensor] = []
    for chunk in objective.chunks():
        with recorded(objective):
            parts = shares.taken(chunk, of)
        # never in place: what autograd gives for two parameters may be one tensor
        parts = [part.detach().double() for part in parts]
        totals = [total + part for total, part in zip(totals, parts, strict=True)] if totals else parts
        if done is not None:
            done(len(chunk.inputs))
    return dict(zip(shares.leaves, totals, strict=True))


class Shares:
    """What each chunk of samples adds to an objective's mean loss, as a function of leaves of autograd."""

    def __init__(
        self, objective: Objective, parameters: Params, buffers: Params | None, names: Collection[str] | None = None
    ) -> None:
        """names: of the parameters to differentiate by; None for all."""
        self.objective = objective
        values = objective.prepared(parameters, buffers)
        self.leaves = {
            name: values[name].detach().requires_grad_() for name in parameters if names is None or name in names
        }
        self.values = values | self.leaves

    def taken(self, chunk: Chunk, of: Callable[[Tensor, Sequence[Tensor]], Taken]) -> Taken:
        """What `of` gives for a chunk's share of the mean loss and the leaves; to be called within `recorded`."""
        objective = self.objective

        def made(model: nn.Module) -> Taken:
            # autocast keeps what it casts, and with it the graph of a chunk that has been freed
            with torch.autocast(
                objective.device.type, torch.bfloat16, enabled=objective.precision == "bf16", cache_enabled=False
            ):
                outputs = objective.logits(called(model, objective.habits.spared(chunk.inputs)), len(chunk.inputs))
            return of(objective.loss(outputs.double(), chunk.targets).sum() / len(objective), [*self.leaves.values()])

        return self.using(chunk.masks, made)

    def using(self, masks: Params, use: Callable[[nn.Module], Taken]) -> Taken:
        """What `use(model)` gives while the model has these values; so must be every backward pass."""
        found: Taken = using(self.objective.model, self.objective.ties, self.values | masks, use)
        return found


def operations(objective: Objective, parameters: Params, buffers: Params | None = None) -> Iterator[Any]:
    """The nodes of autograd's graph of the mean loss of an objective's first samples, each once."""
    found: list[Any] = []

    def note(loss: Tensor, leaves: Sequence[Tensor]) -> None:
        found.append(loss.grad_fn)

    with recorded(objective):
        Shares(objective, parameters, buffers).taken(next(objective.chunks()), note)
    seen = set()
    while found:
        node = found.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            found += [following for following, _ in node.next_functions]


@contextmanager
def recorded(objective: Objective) -> Iterator[None]:
    """The objective's arithmetic, with operations recorded, and attention by one that has second derivatives."""
    precision = "fp32" if objective.precision == "bf16" else objective.precision
    with arithmetic(objective.device, precision), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), _NormsDiffer():
        yield


class _NormsDiffer(TorchFunctionMode):
    """Weight normalisation, g v/‖v‖, by operations whose second derivatives are right.

    torch's own takes ‖v‖ for a constant when its gradient is differentiated again.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch._weight_norm:
            v, g, dim = args
            return v * (g / torch.norm_except_dim(v, 2, dim))
        return func(*args, **(kwargs or {}))

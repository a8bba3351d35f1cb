"""How the points of a subspace are evaluated: a forward pass each, or with the first layer factored out.

The first layer of a fully connected net sees fixed inputs, so its pre-activation is affine in the coordinates:
x·θ(c) = x·θ₀ + Σ cᵢ x·dᵢ. Its products with the origin and the directions are computed once and kept; a point then
costs one multiply-add per pre-activation in place of the largest matrix product of the net.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.objective import Metrics, Objective, Plan
from lossscape.vectors import Params

KEPT_BYTES = 2**30
"""Products kept of all objectives of a result; a net that needs more is evaluated densely."""
MOST_CANCELLATION = 0.1
"""Shortest first layer a step away, against the origin's: a shorter one is a small difference of large numbers."""
Evaluator = Callable[[Coordinates, Params, Params, Callable[[int], None] | None], Metrics]


def first_layer(model: nn.Module) -> tuple[str, nn.Linear, nn.Sequential] | None:
    """The name of a net's first linear layer, the layer, and what follows; None where the net is not understood.

    Understood are nn.Sequential nets that begin with a Linear, or with Flatten and a Linear, whose parameters
    nothing else uses.
    """
    if type(model) is not nn.Sequential or len(model) < 2:
        return None
    children = list(model._modules.items())  # named_children() leaves out a module that is used twice
    first = children[0][1]
    place = 1 if type(first) is nn.Flatten and (first.start_dim, first.end_dim) == (1, -1) else 0
    if place >= len(children) - 1:
        return None
    name, layer = children[place]
    rest = nn.Sequential(OrderedDict(children[place + 1 :]))
    if type(layer) is not nn.Linear or {id(p) for p in layer.parameters()} & {
        id(p) for p in rest.parameters()
    }:
        return None
    return name, layer, rest


def plan_for(objective: Objective, subspace: Subspace, samples: int) -> Plan:
    """The objective's plan with the fastest exact name that fits; samples: of all objectives of the result."""
    dense = replace(objective.plan, name="dense")
    found = first_layer(objective.model)
    if found is None or objective.precision == "bf16":
        return dense
    if objective.inputs.ndim != 2 and type(next(objective.model.children())) is not nn.Flatten:
        return dense
    name, layer, _ = found
    products = layer.out_features * samples * (1 + len(subspace.directions))
    if products * objective.dtype.itemsize > KEPT_BYTES or _cancels(subspace, f"{name}.weight"):
        return dense
    return replace(objective.plan, name="factored")


def _cancels(subspace: Subspace, name: str) -> bool:
    """Whether the sum θ₀ + d loses so many digits at a point a step away that products in float32 would show it."""
    origin = subspace.origin[name].double()
    ends = [origin + sign * direction[name].double() for direction in subspace.directions for sign in (-1, 1)]
    return any(float(end.norm()) < MOST_CANCELLATION * float(origin.norm()) for end in ends)


def evaluator(objective: Objective, subspace: Subspace) -> Evaluator:
    """The function (coordinates, parameters, buffers, done) -> Metrics that the objective's plan names."""
    if objective.plan.name == "factored":
        return _factored(objective, subspace)
    return lambda coordinates, parameters, buffers, done: objective.metrics(parameters, buffers, done)


@torch.no_grad()
def _factored(objective: Objective, subspace: Subspace) -> Evaluator:
    found = first_layer(objective.model)
    assert found is not None, "the factored plan is for nets whose first layer is linear"
    name, _, rest = found
    products = [
        [_product(objective, name, vector, inputs) for vector in (subspace.origin, *subspace.directions)]
        for inputs in objective.inputs.split(objective.plan.chunk)
    ]
    later = {child for child, _ in rest.named_children()}

    def metrics(
        coordinates: Coordinates, parameters: Params, buffers: Params, done: Callable[[int], None] | None
    ) -> Metrics:
        values = {
            key: value
            for key, value in objective.prepared(parameters, buffers).items()
            if key.partition(".")[0] in later
        }
        outputs = (
            objective.forward(values, _combined(origin, moved, coordinates), rest)
            for origin, *moved in products
        )
        return objective.mean(outputs, done)

    return metrics


def _product(objective: Objective, layer: str, vector: Params, inputs: Tensor) -> Tensor:
    """x·Wᵀ + b with the layer's weight and bias in a vector of parameters, in the objective's precision."""
    weight = vector[f"{layer}.weight"].to(objective.device, objective.dtype)
    b = vector.get(f"{layer}.bias")
    flat = inputs.flatten(1).to(objective.dtype)
    return nn.functional.linear(flat, weight, None if b is None else b.to(objective.device, objective.dtype))


def _combined(origin: Tensor, moved: list[Tensor], coordinates: Coordinates) -> Tensor:
    if not moved:
        return origin
    total = torch.add(origin, moved[0], alpha=coordinates[0])
    for product, coordinate in zip(moved[1:], coordinates[1:], strict=True):
        total.add_(product, alpha=coordinate)
    return total

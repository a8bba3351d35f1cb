"""The first affine layer factored out: what it gives is affine in the coordinates, x·θ(c) = x·θ₀ + Σ cᵢ x·dᵢ.

Its products with the origin and the directions are made once a chunk of inputs; a point then costs one multiply-add
per pre-activation in place of what is often the largest matrix product of the net.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lossscape.batches import Inputs
from lossscape.evaluate.graph import FirstLayer
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.objective import Objective, arithmetic

KEPT_BYTES = 2**30
"""Products kept of all objectives of a result; those of a net that needs more are made anew for every block."""
MOST_CANCELLATION = 0.1
"""Shortest first layer a step away, against the origin's: a shorter one is a small difference of large numbers."""
Feed = Callable[[Coordinates], Tensor]


class Products:
    """The first layer's products with a subspace's origin and directions, chunk by chunk of an objective's inputs."""

    def __init__(self, objective: Objective, subspace: Subspace, first: FirstLayer, *, keep: bool) -> None:
        """keep: whether they stay in memory once they are made."""
        self.objective, self.first = objective, first
        self.vectors = [
            {
                name.removeprefix(f"{first.name}."): value.to(objective.device, objective.dtype)
                for name, value in vector.items()
                if name in first.parameters
            }
            for vector in (subspace.origin, *subspace.directions)
        ]
        self.kept = list(self._made()) if keep else None

    def feeds(self) -> Iterator[Feed]:
        """For each chunk the function from coordinates to the first layer's output there, a new tensor."""
        for products in self._made() if self.kept is None else self.kept:
            yield partial(combined, products)

    def stacks(self, block: list[Coordinates]) -> Iterator[Tensor]:
        """For each chunk the first layer's output at all points of a block, [points, n, ...]."""
        weights = torch.tensor(block, dtype=self.objective.dtype, device=self.objective.device)
        for origin, *moved in self._made() if self.kept is None else self.kept:
            total = origin.expand(len(block), *origin.shape).clone()  # what follows may write over it
            for column, product in zip(weights.T, moved, strict=True):
                total.addcmul_(column.view(-1, *[1] * product.ndim), product)
            yield total

    def _made(self) -> Iterator[list[Tensor]]:
        exact: Any = "fp64" if self.objective.dtype == torch.float64 else "fp32"
        for inputs, *_ in self.objective.chunks():
            seen = seen_by(self.first, inputs)
            with arithmetic(self.objective.device, exact):
                made = [torch.func.functional_call(self.first.layer, v, (seen,)) for v in self.vectors]
            yield made


def combined(products: list[Tensor], coordinates: Coordinates) -> Tensor:
    """origin + Σ cᵢ productᵢ, a new tensor."""
    origin, *moved = products
    if not moved:
        return origin.clone()
    total = torch.add(origin, moved[0], alpha=coordinates[0])
    for product, coordinate in zip(moved[1:], coordinates[1:], strict=True):
        total.add_(product, alpha=coordinate)
    return total


def products_bytes(objective: Objective, subspace: Subspace, first: FirstLayer) -> int:
    """Memory that the products take for all samples of an objective."""
    inputs = objective.laid_out(objective.inputs[:1])
    with torch.no_grad():
        outputs = first.layer(seen_by(first, inputs))
    return int(outputs.numel() * outputs.element_size() * len(objective) * (1 + len(subspace.directions)))


def seen_by(first: FirstLayer, inputs: Inputs) -> Tensor:
    """What the first layer is given of inputs, which are one tensor where there is such a layer."""
    assert isinstance(inputs, Tensor)
    return inputs.flatten(1) if first.flattened else inputs


def cancels(subspace: Subspace, first: FirstLayer) -> bool:
    """Whether the layer's sum θ₀ + d loses so many digits at a point a step away that float32 would show it."""
    origin = subspace.origin[f"{first.name}.weight"].double()
    for direction in subspace.directions:
        moved = direction[f"{first.name}.weight"].double()
        if any(float((origin + s * moved).norm()) < MOST_CANCELLATION * float(origin.norm()) for s in (-1, 1)):
            return True
    return False

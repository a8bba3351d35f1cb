"""The first affine layer factored out: what it gives is affine in the coordinates, x·θ(c) = x·θ₀ + Σ cᵢ x·dᵢ.

Its products with the origin and the directions are made once a chunk of inputs; a point then costs one multiply-add
per pre-activation in place of what is often the largest matrix product of the net.
"""

import copy
from contextlib import AbstractContextManager
from operator import mul

import torch
from torch import Tensor

from lossscape.batches import Inputs
from lossscape.evaluate.graph import FirstLayer
from lossscape.evaluate.pool import ALONE, Pool
from lossscape.evaluate.rewriting import takes_onednn
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.objective import Objective, arithmetic
from lossscape.onednn import by_onednn
from lossscape.vectors import Params

KEPT_BYTES = 2**30
"""Products kept of all objectives of a result; those of a net that needs more are made anew for every block."""
MOST_CANCELLATION = 0.1
"""Shortest sum of the first layer's weights, against the longest of its terms: a shorter one is a small difference of
large numbers, whose products lose digits."""


class Products:
    """The first layer's products with a subspace's origin and directions, chunk by chunk of an objective's inputs."""

    def __init__(
        self, objective: Objective, subspace: Subspace, first: FirstLayer, *, keep: bool, pool: Pool = ALONE
    ) -> None:
        """keep: whether they stay in memory once they are made, by the threads of `pool`."""
        self.objective, self.first = objective, first
        self.layer = by_onednn(first.layer) if takes_onednn(objective) else first.layer
        self.vectors = [
            {
                name.removeprefix(f"{first.name}."): value.to(objective.device, objective.dtype)
                for name, value in vector.items()
                if name in first.parameters
            }
            for vector in (subspace.origin, *subspace.directions)
        ]
        self.subspace = subspace.without(subspace.origin.keys() - set(first.parameters))
        weights = [vector["weight"].double().flatten() for vector in self.vectors]
        self.squares = torch.stack([torch.stack([a @ b for b in weights]) for a in weights]).tolist()
        """⟨θᵢ, θⱼ⟩ of the weights of origin and directions."""
        self.kept: dict[int, list[Tensor]] | None = None
        """By the first sample of their chunk."""
        if keep:
            spans = objective.spans()
            with self._exactly():  # what it sets is the process's: threads that each restored it would leave it anyhow
                made = pool.map(self._made, spans)
            self.kept = dict(zip((span.start for span in spans), made, strict=True))

    def of(self, span: slice) -> list[Tensor]:
        """The products of a chunk with the origin and each direction."""
        return self._made(span) if self.kept is None else self.kept[span.start]

    def at(self, span: slice, products: list[Tensor], coordinates: Coordinates) -> Tensor:
        """The first layer's output for a chunk with these products at a point, a new tensor."""
        return self._layer(span, coordinates) if self.cancels(coordinates) else combined(products, coordinates)

    def stack(self, span: slice, block: list[Coordinates]) -> Tensor:
        """The first layer's output for a chunk at all points of a block, [points, n, ...]."""
        weights = torch.tensor(block, dtype=self.objective.dtype, device=self.objective.device)
        origin, *moved = self.of(span)
        total = origin.expand(len(block), *origin.shape).clone()  # what follows may write over it
        for column, product in zip(weights.T, moved, strict=True):
            total.addcmul_(column.view(-1, *[1] * product.ndim), product)
        for index, coordinates in enumerate(block):
            if self.cancels(coordinates):
                total[index] = self._layer(span, coordinates)
        return total

    def cancels(self, coordinates: Coordinates) -> bool:
        """Whether the sum θ₀ + Σ cᵢ dᵢ of the layer's weights is so short that it would lose digits."""
        terms, whole = (1.0, *coordinates), 0.0  # Python's own floats: NumPy takes ten times as long for so few
        for term, row in zip(terms, self.squares, strict=True):
            whole += term * sum(map(mul, row, terms))
        longest = max(term * term * self.squares[index][index] for index, term in enumerate(terms))
        return bool(whole < MOST_CANCELLATION**2 * longest)

    def _layer(self, span: slice, coordinates: Coordinates) -> Tensor:
        """The layer's output for some samples by its values at a point themselves."""
        named = self.objective.prepared(self.subspace.at(coordinates)[0], None)
        own = {name.removeprefix(f"{self.first.name}."): value for name, value in named.items()}
        return self._output(own, self.objective.laid_out(self.objective.inputs[span]))

    def _made(self, span: slice) -> list[Tensor]:
        inputs = self.objective.laid_out(self.objective.inputs[span])
        return [self._output(vector, inputs) for vector in self.vectors]

    def _output(self, own: Params, inputs: Inputs) -> Tensor:
        layer = copy.copy(self.layer)  # a plain one, of this call: several threads may be here
        vars(layer)["_parameters"] = layer._parameters | own
        with self._exactly():
            output: Tensor = layer(seen_by(self.first, inputs))
            return output

    def _exactly(self) -> AbstractContextManager[None]:
        """A context in which products have all digits of their type."""
        return arithmetic(self.objective.device, "fp64" if self.objective.dtype == torch.float64 else "fp32")


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

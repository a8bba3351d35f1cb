"""Parameters as named tensors, and the little linear algebra that directions and subspaces need.

Scalars (dot products, norms) are accumulated in float64, so a cosine of a million-parameter net is
trustworthy to about 1e-12 whatever the precision of the parameters.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Params = dict[str, Tensor]
"""Parameters by name, in the order of `module.named_parameters()`. Buffers are never part of it."""


def combine(origin: Params, directions: Sequence[Params], coordinates: Sequence[float]) -> Params:
    """θ(c) = θ₀ + Σ cᵢ dᵢ. A coordinate of exactly 0 leaves the origin's bits untouched.

    Where the origin or a direction is float64, so is the sum: with d = between(a, b) the point at 1 is b to the
    bit once it is cast back.
    """
    point = dict(origin)
    for direction, coordinate in zip(directions, coordinates, strict=True):
        if coordinate != 0.0:
            for name, value in direction.items():
                point[name] = torch.add(point[name], value, alpha=coordinate)
    return point


def double(a: Mapping[str, Tensor]) -> Params:
    """The floats in float64; integers (a counter among buffers) stay."""
    return {name: value.double() if value.is_floating_point() else value for name, value in a.items()}


def subtract(a: Params, b: Params) -> Params:
    """a − b, name by name."""
    return {name: value - b[name] for name, value in a.items()}


def scale(a: Params, factor: float) -> Params:
    """factor · a."""
    return {name: factor * value for name, value in a.items()}


def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """⟨a, b⟩ over all parameters, in float64."""
    return float(sum(torch.sum(value.double() * b[name].double()) for name, value in a.items()))


def norm(a: Mapping[str, Tensor]) -> float:
    """‖a‖₂ over all parameters, in float64."""
    return dot(a, a) ** 0.5


def cosine(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """⟨a, b⟩ / (‖a‖ ‖b‖); 0 where one of them is zero."""
    norms = norm(a) * norm(b)
    return dot(a, b) / norms if norms else 0.0

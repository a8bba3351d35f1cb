"""Where a point lies in a subspace, and how far off it."""

from collections.abc import Sequence

import numpy as np
import torch

from lossscape.vectors import Params, dot, norm
from lossscape.vectors.between import between


def inner_products(directions: Sequence[Params]) -> np.ndarray:
    """⟨dᵢ, dⱼ⟩, [n, n] in float64: with it, ‖Σ cᵢ dᵢ‖² = cᵀ M c."""
    return np.array([[dot(a, b) for b in directions] for a in directions])


def project(
    origin: Params, directions: Sequence[Params], products: np.ndarray, point: Params
) -> tuple[np.ndarray, float]:
    """The coordinates c [n] that bring θ₀ + Σ cᵢ dᵢ nearest to a point, and the distance that remains.

    Least squares: M c = ⟨dᵢ, θ − θ₀⟩ with M of inner_products. Solved once more for what is left, so that a point of
    the subspace has the distance 0 to rounding.
    """
    rest = between(origin, point)
    found = np.zeros(len(directions))
    for _ in range(2):
        step = np.linalg.solve(products, [dot(rest, direction) for direction in directions])
        for direction, share in zip(directions, step.tolist(), strict=True):
            rest = {name: torch.sub(value, direction[name].double(), alpha=share) for name, value in rest.items()}
        found += step
    return found, norm(rest)

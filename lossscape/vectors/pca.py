"""Principal components of many points around an origin, by their Gram matrix, in little memory.

The K points of P parameters need not fit into memory, and the P × P covariance never exists: with δₖ = θₖ − θ₀ the
Gram matrix Gⱼₖ = ⟨δⱼ, δₖ⟩ = U Λ Uᵀ has the same eigenvalues, and component i is Σₖ Uₖᵢ δₖ / √λᵢ.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossscape.vectors import Params
from lossscape.vectors.orthonormal import orthonormal

RANK = 1e-12
"""An eigenvalue below this part of the first one is rounding."""
MANY = 2000
"""Points above which not all eigenvalues are computed."""
Loader = Callable[[], Mapping[str, Tensor]]
Done = Callable[[int], None]
Piece = tuple[str, int, int]
"""A parameter's name, and the first of its numbers and the one behind its last."""


def nobody(loaded: int) -> None:
    """Is given loadings where nobody waits for them."""


@dataclass(frozen=True)
class Memory:
    """Bytes that principal components may take."""

    slab: int = 3 * 2**28
    """What the same parameters of all points may take at once."""
    columns: int = 2**25
    """What of that is multiplied at once, in float64."""
    products: int = 2**26
    """What products of some points with all others take before they are added to the sums."""


@dataclass(frozen=True)
class Components:
    """The leading principal components of points around an origin."""

    directions: list[Params]
    """Of length 1, orthogonal, in float64 on the origin's device."""
    shares: list[float]
    """λᵢ / Σ λ: the part of Σ‖δₖ‖² that lies along each."""
    coordinates: np.ndarray
    """[K, number] of the points along them."""
    squares: np.ndarray
    """[K] ‖δₖ‖² of the points."""


def principal_components(
    origin: Params, points: Sequence[Loader], number: int, done: Done = nobody, memory: Memory = Memory()
) -> Components:
    """The `number` leading components of Σₖ δₖ δₖᵀ, δₖ = θₖ − θ₀: around the origin, without taking a mean away.

    points: each loads the parameters of one point, on the CPU, best mapped from its file: only parts are read at a time
    done: called after each loading, of which there are `loadings`

    The coordinate of greatest size along a component is positive. Raises ValueError(r) where the points span only
    r < number directions.
    """
    centre = {name: value.cpu() for name, value in origin.items()}
    products = gram(centre, points, done, memory)
    leading, vectors, total = _leading(products, number)
    rank = int((leading > RANK * leading.max(initial=0)).sum())
    if rank < number:
        raise ValueError(rank)
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(number)])
    directions = orthonormal(_combined(centre, points, vectors / np.sqrt(leading), done))
    return Components(
        [{name: value.to(origin[name].device) for name, value in each.items()} for each in directions],
        (leading / total).tolist(),
        vectors * np.sqrt(leading),
        np.diag(products),
    )


def _leading(products: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The largest eigenvalues of a symmetric matrix [K, K], their vectors [K, number], and the sum of all eigenvalues.

    Of many points by Lanczos's method: all eigenvalues take a time that grows with K³, minutes at 10,000.
    """
    if len(products) <= MANY:
        values, vectors = np.linalg.eigh(products)
        return values[::-1][:number], vectors[:, ::-1][:, :number], values.sum()
    from scipy.sparse.linalg import eigsh

    begin = np.random.default_rng(0).standard_normal(len(products))  # else scipy draws another one each time
    values, vectors = eigsh(products, number, which="LA", v0=begin)
    return values[::-1], vectors[:, ::-1], np.trace(products)


def loadings(origin: Params, points: int, memory: Memory = Memory()) -> int:
    """How often principal_components loads a point, in all."""
    return points * (len(_slabs(origin, points, memory)) + 1)


def gram(origin: Params, points: Sequence[Loader], done: Done = nobody, memory: Memory = Memory()) -> np.ndarray:
    """⟨θⱼ − θ₀, θₖ − θ₀⟩ in float64, [K, K]: slab by slab of parameters, so that each is read once."""
    found = torch.zeros(len(points), len(points), dtype=torch.float64)
    slabs = _slabs(origin, len(points), memory)
    widest = max(sum(stop - start for _, start, stop in slab) for slab in slabs)
    some = max(memory.products // (8 * len(points)), 1)
    room = torch.empty(len(points), widest, dtype=_flat(origin, slabs[0][:1]).dtype)
    for slab in slabs:
        centre = _flat(origin, slab)
        rows = room[:, : len(centre)]
        for row, load in zip(rows, points, strict=True):
            row.copy_(_flat(load(), slab))
            done(1)
        columns = max(memory.columns // (8 * len(points)), 1)
        for part, middle in zip(rows.split(columns, dim=1), centre.split(columns), strict=True):
            deltas = part.double() - middle.double()
            for start in range(0, len(points), some):  # the products with points before them are those of these
                stop = start + some
                found[start:stop, :stop] += deltas[start:stop] @ deltas[:stop].T
    for start in range(0, len(points), some):
        stop = start + some
        found[start:stop, stop:] = found[stop:, start:stop].T
    return found.numpy()


def _combined(origin: Params, points: Sequence[Loader], weights: np.ndarray, done: Done) -> list[Params]:
    """Σₖ weights[k, i] (θₖ − θ₀) for each i, in float64."""
    sums: list[Params] = [
        {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in origin.items()}
        for _ in range(weights.shape[1])
    ]
    for load, row in zip(points, weights.tolist(), strict=True):
        point = load()
        for name, value in origin.items():
            delta = point[name].double() - value.double()
            for total, weight in zip(sums, row, strict=True):
                total[name].add_(delta, alpha=weight)
        done(1)
    return sums


def _slabs(origin: Params, points: int, memory: Memory) -> list[list[Piece]]:
    """The parameters in pieces, together small enough for all points."""
    size = max(value.element_size() for value in origin.values())
    most = max(memory.slab // (size * max(points, 1)), 1)
    slabs: list[list[Piece]] = [[]]
    room = most
    for name, value in origin.items():
        start, length = 0, value.numel()
        while start < length:
            if not room:
                slabs.append([])
                room = most
            stop = min(start + room, length)
            slabs[-1].append((name, start, stop))
            room -= stop - start
            start = stop
    return slabs


def _flat(point: Mapping[str, Tensor], slab: Sequence[Piece]) -> Tensor:
    return torch.cat([point[name].reshape(-1)[start:stop] for name, start, stop in slab])

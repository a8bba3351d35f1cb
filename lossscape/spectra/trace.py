"""Trace and Frobenius norm of a symmetric matrix from products with random vectors, with their standard errors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lossscape.densities import Estimate
from lossscape.seeds import generator
from lossscape.spectra.krylov import MatVec, fitting


@dataclass(frozen=True)
class Trace:
    """tr A, ‖A‖_F, and the traces of blocks on the diagonal."""

    trace: Estimate
    frobenius: Estimate
    blocks: dict[str, Estimate] = field(default_factory=dict)
    products: int = 0


def trace(
    matvec: MatVec, like: Tensor, *, vectors: int = 60, seed: int = 0, blocks: Mapping[str, slice] | None = None
) -> Trace:
    """Hutch++ (Meyer, Musco, Musco and Woodruff, SOSA 2021): exact on the range of A Ω, Hutchinson's mean beyond it.

    vectors: products with the matrix, a third of them for each of the range A Ω, the basis Q of it, and the residual
    samples gᵀ(I − QQᵀ) A (I − QQᵀ) g of signs g, whose spread gives the standard error; at least 6
    blocks: rows of each block by name

    The traces of blocks are means of ⟨g_b, (A g)_b⟩ over the signs alone (Hutchinson), and ‖A‖_F² is that of ‖A g‖²:
    both come from the products that are taken anyway. Of n too large for a basis of a third of the vectors in
    BASIS_BYTES the rest of the vectors go to the samples. Raises ValueError for fewer vectors.
    """
    if vectors < 6:
        raise ValueError(f"{vectors} vectors: a trace with a standard error needs 6 at least")
    n = len(like)
    ranged = min(vectors // 3, n, max(fitting(like) // 2, 2))
    signs = _signs(n, ranged, seed, "range")
    basis, squares = like.new_empty(n, ranged), []
    parts: dict[str, list[float]] = {name: [] for name in blocks or ()}
    for index in range(ranged):
        sign = signs[:, index].to(like)
        product = matvec(sign).double()
        squares.append(float(product.square().sum()))
        for name, rows in (blocks or {}).items():
            parts[name].append(float((sign[rows].double() * product[rows]).sum()))
        basis[:, index] = product
    basis, _ = torch.linalg.qr(basis)
    exact = sum(float((column.double() * matvec(column).double()).sum()) for column in basis.T)
    number = 0 if ranged == n else max(vectors - 2 * ranged, 2)
    found = []
    for sign in _signs(n, number, seed, "rest").T:
        rest = sign.to(like)
        rest = rest - basis @ (basis.T @ rest)
        found.append(float((rest.double() * matvec(rest).double()).sum()))
    mean, error = _estimate(squares)
    return Trace(
        Estimate(exact + sum(found) / number, _estimate(found)[1]) if number else Estimate(exact, 0.0),
        Estimate(math.sqrt(mean), error / (2 * math.sqrt(mean)) if mean else 0.0),
        {name: Estimate(*_estimate(each)) for name, each in parts.items()},
        2 * ranged + number,
    )


def _signs(n: int, number: int, seed: int, purpose: str) -> Tensor:
    """Numbers 1 and −1 [n, number] in int8, the same on every machine."""
    return 2 * torch.randint(0, 2, (n, number), generator=generator(seed, "trace", purpose), dtype=torch.int8) - 1


def _estimate(values: list[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    each = torch.tensor(values, dtype=torch.float64)
    error = float(each.std()) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(each.mean()), error

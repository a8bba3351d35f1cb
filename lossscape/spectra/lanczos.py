"""Extreme eigenpairs of a symmetric matrix by Lanczos' method with thick restarts."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lossscape.seeds import generator
from lossscape.spectra.krylov import Basis, MatVec, fitting

SPARE = 20
"""Vectors of a basis beside twice the wanted ones, by default, where they fit into memory."""
LEAST = 4
"""Vectors beside the wanted ones, by default, whatever the memory."""
LOOKS, PAUSE = 8, 4
"""Products between looks at what has converged: one for so many wanted pairs, and of the search so many, since a value
that just comes in sight would end it."""
FLOOR, ROUNDING = 1e-10, 10.0
"""Of ‖A‖: residuals as small as the first, or as this many times ε, are those of an eigenvalue 0, or of rounding."""
AHEAD = 0.25
"""Of the tolerance: what residuals must be below before the rest of the space is searched, since what they have along
the vector that the search leaves behind stays with them."""
PROBED = 8
"""Products from a fresh vector, at least, before nothing else is said to be there."""
NEXT = 0.1
"""Residual of the next value, relative to the wanted one beside it, that says where it lies."""
PRODUCTS = 50
"""Products for each wanted pair, at most, by default; and this many more."""


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues in descending order with their vectors and how well they are known."""

    values: Tensor
    """[k] in float64: Rayleigh quotients xᵀA x."""
    vectors: Tensor
    """[n, k], orthonormal."""
    residuals: Tensor
    """‖A x − λ x‖ [k]: an eigenvalue of A lies within this distance of each value (for a symmetric matrix)."""
    converged: Tensor
    """[k]: residual at most the tolerance times |λ|, or rounding of a value 0."""
    products: int
    """Products with the matrix that were taken."""


def eigenpairs(
    matvec: MatVec,
    like: Tensor,
    largest: int = 10,
    smallest: int = 0,
    *,
    tolerance: float = 1e-6,
    basis: int | None = None,
    products: int | None = None,
    seed: int = 0,
) -> Eigenpairs:
    """The `largest` algebraically largest and the `smallest` smallest eigenvalues; all where that is more than n.

    like: a tensor of [n] numbers whose device and type the vectors take
    tolerance: largest residual relative to the eigenvalue
    basis: vectors that are kept at once, n numbers each, at least two more than the wanted ones; by default as many as
        help, within BASIS_BYTES
    products: with the matrix, at most

    Eigenvalues that are repeated, or so close that one vector sees them as one, are counted as often as they are
    there: once the wanted ones have converged, the rest of the space is searched from a random vector at right angles
    to them, until nothing beyond them is found (with probability one). Raises ValueError where nothing is wanted or the
    basis is too small, FloatingPointError where a product is not finite.
    """
    n = len(like)
    largest = min(largest, n)
    smallest = min(smallest, n - largest)
    wanted = largest + smallest
    if wanted < 1 or min(largest, smallest) < 0:
        raise ValueError(f"{largest} largest and {smallest} smallest eigenvalues of {n}: ask for one at least")
    room = max(min(2 * wanted + SPARE, fitting(like)), wanted + LEAST) if basis is None else basis
    if room < min(wanted + 2, n):
        raise ValueError(f"a basis of {room} vectors: {wanted} eigenvalues need {wanted + 2} at least")
    most = PRODUCTS * (wanted + 1) if products is None else products
    space = Basis(matvec, n, room, generator=generator(seed, "lanczos"), like=like)
    pause, begun = max(wanted // LOOKS, 1), 0
    probe: int | None = None
    """Products at which the search of the rest of the space began."""
    while True:
        space.grow()
        looks = space.full or space.whole or (space.products - begun) % pause == 0 or space.products >= most
        if (space.size <= wanted and not space.whole) or not looks:
            continue
        values, vectors, residuals = space.ritz()
        ends = _ends(len(values), largest, smallest)
        floor = max(FLOOR, ROUNDING * torch.finfo(like.dtype).eps) * max(float(values.abs().max()), space.scale)
        allowed = (tolerance * values[ends].abs()).clamp(min=floor)
        good = residuals[ends] <= allowed
        searched = probe is not None and space.products - probe >= PROBED
        if bool(good.all()) and (space.whole or (searched and _beyond(values, residuals, largest, smallest, floor))):
            break
        if space.products >= most:
            break
        if probe is None and bool((residuals[ends] <= AHEAD * allowed).all()):
            space.restart(values[ends], vectors[:, ends], fresh=True)
            pause, probe = PAUSE, space.products
            begun = probe
        elif space.full:
            keep = _ends(len(values), *_kept(len(values), largest, smallest))
            space.restart(values[keep], vectors[:, keep])
        if not bool(good.all()):
            probe = None
    order = ends.flip(0)
    return Eigenpairs(
        values[order], space.combined(vectors[:, order]).T, residuals[order], good.flip(0), space.products
    )


def _ends(count: int, largest: int, smallest: int) -> Tensor:
    """Indices of the smallest and the largest of so many ascending values."""
    return torch.cat([torch.arange(smallest), torch.arange(count - largest, count)])


def _kept(count: int, largest: int, smallest: int) -> tuple[int, int]:
    """How many of the largest and smallest Ritz pairs a restart keeps: the wanted ones and half of the others."""
    more = (count - largest - smallest) // 2
    upper = more * largest // (largest + smallest)
    return largest + (upper if largest else 0), smallest + (more - upper if smallest else 0)


def _beyond(values: Tensor, residuals: Tensor, largest: int, smallest: int, floor: float) -> bool:
    """Whether the next values at the ends are known to lie no further out than the wanted ones.

    Their residuals are small beside the wanted values: of a fresh vector, whose share of a missed eigenvector is about
    1/√n, Lanczos' method sees that vector within PROBED products where the rest of the spectrum is half as wide, and
    else the next value shows how near it comes.
    """
    known = []
    if largest:
        index = len(values) - largest - 1
        known.append((values[index] + residuals[index] <= values[index + 1] + floor, index, index + 1))
    if smallest:
        known.append((values[smallest] - residuals[smallest] >= values[smallest - 1] - floor, smallest, smallest - 1))
    return all(bool(apart) and bool(residuals[i] <= NEXT * values[wanted].abs() + floor) for apart, i, wanted in known)

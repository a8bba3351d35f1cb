"""Spectral density of a symmetric matrix by stochastic Lanczos quadrature.

Of a random unit vector v, Lanczos' tridiagonal matrix gives nodes θ and weights w with Σ w f(θ) ≈ vᵀ f(A) v, exact for
polynomials up to degree 2m − 1; the mean over vectors is tr f(A) / n (Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl.
38, 2017; Ghorbani, Krishnan and Xiao, arXiv:1901.10159).
"""

import math

import numpy as np
from torch import Tensor

from lossscape.densities import Density
from lossscape.seeds import generator
from lossscape.spectra.krylov import Basis, MatVec


def density(
    matvec: MatVec, like: Tensor, *, vectors: int = 10, steps: int = 80, seed: int = 0, first: int = 0
) -> Density:
    """Nodes and weights from `vectors` random vectors, `steps` products each, with full reorthogonalisation.

    like: a tensor of [n] numbers whose device and type the vectors take
    first: number of the first vector, each of which is a function of seed and number alone

    Raises ValueError for less than one of each,
    FloatingPointError where a product is not finite.
    """
    if vectors < 1 or steps < 1:
        raise ValueError(f"{vectors} vectors of {steps} steps: one of each is needed at least")
    n = len(like)
    steps = min(steps, n)
    nodes, weights, products = np.full((vectors, steps), math.nan), np.zeros((vectors, steps)), 0
    for index in range(vectors):
        space = Basis(matvec, n, steps, generator=generator(seed, "density", first + index), like=like)
        while not space.full and not space.exhausted:
            space.grow()
        values, parts, _ = space.ritz()
        nodes[index, : space.size], weights[index, : space.size] = values.numpy(), parts[0].square().numpy()
        products += space.products
    return Density(nodes, weights, n, products)

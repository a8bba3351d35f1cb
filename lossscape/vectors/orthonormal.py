"""Directions of length 1 at right angles."""

from collections.abc import Sequence

from lossscape.vectors import Params, dot, norm, scale

DEPENDENT = 1e-6
"""Part of a vector's length beyond the vectors before it that rounding in float32 can make."""


def orthonormal(vectors: Sequence[Params]) -> list[Params]:
    """Gram and Schmidt's basis in float64: the i-th spans with those before it what the first i vectors span.

    Each vector is orthogonalised twice, so that the basis is orthogonal to rounding however small the angles are.
    Raises ValueError(i) where vector i depends on those before it, or is 0.
    """
    basis: list[Params] = []
    for index, vector in enumerate(vectors):
        rest = {name: value.double() for name, value in vector.items()}
        for _ in range(2):
            for unit in basis:
                share = dot(rest, unit)
                rest = {name: value - share * unit[name] for name, value in rest.items()}
        length = norm(rest)
        if length <= DEPENDENT * norm(vector):
            raise ValueError(index)
        basis.append(scale(rest, 1 / length))
    return basis

"""An orthonormal basis of a Krylov space, grown by one matrix-vector product at a time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

MatVec = Callable[[Tensor], Tensor]
"""v ↦ A v of flat vectors [n], A symmetric."""
EXHAUSTED = 100.0
"""What a product adds beyond the basis is rounding where it is shorter than this times ε ‖A‖."""
RECENT = 2
"""A product lies along so many of the newest vectors, but for a restart: they are taken out first."""
BASIS_BYTES = 2**32
"""Memory that a basis may take by default."""
COLUMNS = 2**20
"""Numbers of each vector that are combined at a time, so that a restart needs no second basis."""
AGAIN = 0.7
"""A vector that is left with less than this share of its length is orthogonalised again: where more is taken out than
is left, what the basis lacks in orthogonality grows with every vector."""


def fitting(like: Tensor, memory: int = BASIS_BYTES) -> int:
    """How many vectors like this one fit into a basis of so many bytes."""
    return memory // (like.numel() * like.element_size()) - 1


class Basis:
    """Orthonormal vectors V [m, n] and the projection T = V A Vᵀ [m, m] of a symmetric A.

    Every new vector is orthogonalised against all those before it (full reorthogonalisation): without it, eigenvalues
    found first are found again and again (Parlett, The Symmetric Eigenvalue Problem, ch. 13). Restarts keep some Ritz
    vectors and the newest vector, so that memory stays bounded (thick restarts: Wu and Simon, SIAM J. Matrix Anal.
    Appl. 22, 2000).
    """

    def __init__(self, matvec: MatVec, n: int, most: int, *, generator: torch.Generator, like: Tensor) -> None:
        """most: vectors that it may hold; generator: on the CPU, of random vectors; like: of their device and type."""
        self.matvec, self.n, self.generator = matvec, n, generator
        most = min(most, n)
        self.vectors = like.new_empty(most + 1, n)
        self.projection = torch.zeros(most, most, dtype=torch.float64)
        self.size = 0
        """Vectors whose product is known."""
        self.products = 0
        self.scale = 0.0
        """The largest ‖A v‖ so far, a lower bound of ‖A‖."""
        self._beta = 0.0
        """Length of what the last product added beyond the basis."""
        self._lost: list[Tensor] = []
        """Parts of residuals that lie along vectors which are no longer in the basis: of each vector, [m]."""
        self._fresh()

    @property
    def full(self) -> bool:
        """Whether there is no room for another vector."""
        return self.size == len(self.projection)

    @property
    def whole(self) -> bool:
        """Whether it spans the whole space."""
        return self.size == self.n

    @property
    def exhausted(self) -> bool:
        """Whether the Krylov space of the first vector is spanned, and the newest vector is another random one."""
        return self.whole or bool(self._lost)

    def grow(self) -> None:
        """Multiply the newest vector: one more row and column of the projection."""
        product = self.matvec(self.vectors[self.size]).to(self.vectors)
        self.products += 1
        self.size += 1
        length = float(product.norm())
        if not math.isfinite(length):
            raise FloatingPointError("a product with the matrix is not finite")
        self.scale = max(self.scale, length)
        rest, shares = self._orthogonal(product)
        self.projection[self.size - 1, : self.size] = shares
        self.projection[: self.size, self.size - 1] = shares
        self._lost = [torch.cat([lost, lost.new_zeros(1)]) for lost in self._lost]
        self._beta = 0.0 if self.whole else float(rest.norm())
        if self.whole:
            return
        if self._beta <= EXHAUSTED * torch.finfo(rest.dtype).eps * self.scale:
            self._forget()
            self._fresh()  # the Krylov space is exhausted; the whole space is not
        else:
            self.vectors[self.size] = rest / self._beta

    def ritz(self) -> tuple[Tensor, Tensor, Tensor]:
        """Ritz values [m] ascending, their vectors in the basis [m, m], and their residuals ‖A x − θ x‖ [m]."""
        values, vectors = torch.linalg.eigh(self.projection[: self.size, : self.size])
        residuals = self._beta * vectors[-1].abs()
        for lost in self._lost:
            residuals = residuals + (lost @ vectors).abs()
        return values, vectors, residuals

    def restart(self, values: Tensor, vectors: Tensor, *, fresh: bool = False) -> None:
        """Keep Ritz pairs [p], [m, p], and go on from the newest vector, or fresh from a random one."""
        if fresh:
            self._forget()
        newest, count = self.vectors[self.size].clone(), len(values)
        for start in range(0, self.n, COLUMNS):
            part = self.vectors[: self.size, start : start + COLUMNS]
            self.vectors[:count, start : start + COLUMNS] = vectors.T.to(part) @ part
        self.projection.zero_()
        self.projection[range(count), range(count)] = values
        self._lost = [lost @ vectors for lost in self._lost]
        self.size = count
        if fresh:
            self._fresh()
        else:
            self.vectors[count] = newest

    def combined(self, weights: Tensor) -> Tensor:
        """Combinations [m, p] of the vectors, as rows [p, n]."""
        return weights.T.to(self.vectors) @ self.vectors[: self.size]

    def _fresh(self) -> None:
        """A random vector at right angles to the basis in place of the newest."""
        while True:
            drawn = torch.randn(self.n, generator=self.generator, dtype=torch.float64).to(self.vectors)
            drawn, _ = self._orthogonal(drawn / drawn.norm())
            if (length := float(drawn.norm())) > 1e-3 / self.n:
                self.vectors[self.size] = drawn / length
                return

    def _forget(self) -> None:
        """Remember what residuals lose with the newest vector."""
        lost = torch.zeros(self.size, dtype=torch.float64)
        lost[-1] = self._beta
        self._lost.append(lost)
        self._beta = 0.0

    def _orthogonal(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of a vector beyond the basis, and its share of each vector of it."""
        shares = torch.zeros(self.size, dtype=torch.float64)
        first = max(self.size - RECENT, 0)
        length = float(vector.norm())
        while True:
            basis = self.vectors[first : self.size]
            part = basis @ vector
            vector = vector - part @ basis
            shares[first:] += part.double().cpu()
            before, length = length, float(vector.norm())
            if first == 0 and (length > AGAIN * before or length <= torch.finfo(vector.dtype).eps * self.scale):
                return vector, shares
            first = 0

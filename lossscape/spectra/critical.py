"""Critical points, where ∇L = 0, near a start: from gradients, Hessian-vector products and Hessians alone.

First ½‖∇L‖² is minimised by L-BFGS, its gradient being H∇L; then come Newton's steps. Minimising ‖∇L‖² alone often
ends where H∇L = 0 and ∇L is not, in so-called gradient-flat regions (Frye et al., arXiv:2003.10397). Newton's steps
lead out of these: they are damped to a greatest length, but not refused where ‖∇L‖ grows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from lossscape.spectra.points import Index

MEMORY = 20
"""Pairs of L-BFGS."""
RADIUS = 0.3
"""Greatest length of a Newton step, as a part of ‖θ‖: of tanh nets of 3 and 4 units a third of it found a third as many
critical points, three times it none, and one that followed the quadratic model's error a third."""
LEAST = 1e-2
"""‖θ‖ counts as this part of the start's at least: a step from 0 has a length too."""
HALVINGS = 50
"""Of the range of dampings, on a logarithmic scale."""


class Local(Protocol):
    """A function at a point: its first and second derivatives, in float64."""

    @property
    def gradient(self) -> Tensor:
        """[n]"""
        ...

    def product(self, vector: Tensor) -> Tensor:
        """The Hessian times a vector [n]."""
        ...

    def matrix(self) -> Tensor:
        """The Hessian, symmetric [n, n]."""
        ...


Field = Callable[[Tensor], Local]
"""A function at any point [n]."""


@dataclass(frozen=True)
class Scales:
    """What is small for a function."""

    tolerance: float
    length: float
    """Of the parameters."""
    loss: float


@dataclass(frozen=True)
class Bent:
    """A point with all eigenvalues of its Hessian."""

    point: Tensor
    gradient: Tensor
    values: Tensor
    """[n] ascending."""
    vectors: Tensor
    """[n, n]; its columns."""
    scales: Scales

    @property
    def sign_tolerance(self) -> float:
        """Eigenvalues of this size or less have no sign: a point that is known up to a tolerance has no better ones."""
        return self.scales.tolerance * float(self.values.abs().max())

    @property
    def _curvatures(self) -> Tensor:
        return self.values.abs().clamp_min(self.sign_tolerance or 1.0)

    @property
    def _shares(self) -> Tensor:
        """The gradient by eigenvectors [n]."""
        return self.vectors.T @ self.gradient

    @property
    def newton_step(self) -> float:
        """‖H⁻¹∇L‖, as a part of the length; eigenvalues without a sign count as the sign's tolerance."""
        return float((self._shares / self._curvatures).norm()) / self.scales.length

    @property
    def newton_gain(self) -> float:
        """½∇Lᵀ|H|⁻¹∇L, as a part of the loss's scale, with eigenvalues likewise."""
        return float((self._shares.square() / self._curvatures).sum()) / (2 * self.scales.loss)

    @property
    def gradient_curvature(self) -> float:
        """‖H∇L‖ / (‖H‖ ‖∇L‖): near 0 where ‖∇L‖² is stationary and ∇L is not 0."""
        most = float(self.values.abs().max()) * float(self.gradient.norm())
        return float((self.values * self._shares).norm()) / most if most else 0.0

    @property
    def converged(self) -> bool:
        """Whether there is a critical point here, up to the tolerance."""
        return max(self.newton_step, self.newton_gain) <= self.scales.tolerance

    @property
    def index(self) -> Index:
        """How many eigenvalues are negative."""
        negative = int((self.values < -self.sign_tolerance).sum())
        return Index(negative, True, not negative, self.sign_tolerance)

    @property
    def flat(self) -> int:
        """How many eigenvalues have no sign."""
        return int((self.values.abs() <= self.sign_tolerance).sum())

    def step(self, radius: float) -> Tensor:
        """The Newton step [n], −Σ c λ/(λ² + μ) v over the eigenvectors v, c = vᵀ∇L, with the least μ that makes it no
        longer than `radius`: Levenberg's damping of the least squares problem ‖∇L‖². Eigenvalues without a sign add
        nothing."""
        signed = self.values.abs() > self.sign_tolerance
        values, shares = self.values[signed], self._shares[signed]
        found = shares / values
        if float(found.norm()) > radius:
            low, high = np.log(np.finfo(float).tiny), np.log(float(shares.norm()) * float(values.abs().max()) / radius)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                found = shares * values / (values.square() + np.exp(middle))
                low, high = (middle, high) if float(found.norm()) > radius else (low, middle)
            found = shares * values / (values.square() + np.exp(high))
        return -self.vectors[:, signed] @ found


@dataclass(frozen=True)
class Found:
    """What a search ended at."""

    at: Bent
    """Converged, or of all points whose Hessian was written down that of the least ‖∇L‖."""
    descent_steps: int
    """Iterations of L-BFGS."""
    newton_steps: int
    start: Tensor
    """[n]"""


def search(field: Field, start: Tensor, scales: Scales, *, descent_steps: int, newton_steps: int) -> Found:
    """Look for a critical point near a start [n], in float64, with so many steps of either kind at most.

    Raises FloatingPointError where derivatives are not finite at the start.
    """
    point, descended = descend(field, start, descent_steps)
    best = here = bent_at(field, point, scales)
    taken = 0
    while not here.converged and taken < newton_steps:
        point = point + here.step(RADIUS * max(float(point.norm()), LEAST * scales.length))
        try:
            here = bent_at(field, point, scales)
        except FloatingPointError:
            break
        taken += 1
        if here.converged or float(here.gradient.norm()) < float(best.gradient.norm()):
            best = here
    return Found(here if here.converged else best, descended, taken, start)


def descend(field: Field, start: Tensor, steps: int) -> tuple[Tensor, int]:
    """Minimise ½‖∇L‖² from a start [n] by so many iterations of L-BFGS at most; the point and how many there were.

    The start itself where it leads to derivatives that are not finite.
    """
    if not steps:
        return start, 0

    def half_square(numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float, np.ndarray]:
        local = field(torch.from_numpy(numbers.copy()).to(start))
        slope = _finite(local.gradient)
        return float(slope @ slope) / 2, local.product(slope).cpu().numpy()

    options = {"maxiter": steps, "maxcor": MEMORY, "ftol": 0.0, "gtol": 0.0}
    try:
        found = minimize(half_square, start.cpu().numpy(), jac=True, method="L-BFGS-B", options=options)
    except FloatingPointError:
        return start, 0
    return torch.from_numpy(found.x).to(start), int(found.nit)


def bent_at(field: Field, point: Tensor, scales: Scales) -> Bent:
    """All eigenvalues at a point [n]. Raises FloatingPointError where derivatives are not finite."""
    local = field(point)
    values, vectors = torch.linalg.eigh(_finite(local.matrix()))
    return Bent(point, _finite(local.gradient), values, vectors, scales)


def _finite(found: Tensor) -> Tensor:
    if not bool(found.isfinite().all()):
        raise FloatingPointError("a derivative is not finite")
    return found

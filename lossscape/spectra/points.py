"""What kind of point a point is, from its gradient and its Hessian's eigenvalues, with the thresholds that say so."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lossscape.spectra.explicit import Spectrum

CRITICAL = 1e-3
"""A Newton step longer than this part of ‖θ‖, or one that gains more than this part of the loss of a net that knows
nothing, leads too far away to say what kind of point there is."""
SIGN = 100.0
"""An eigenvalue found by products has a sign where it is larger than this many times ε ‖A‖."""
NEAR_MINIMUM, SADDLE, NOT_CRITICAL, UNKNOWN = "near-minimum", "saddle", "not critical", "unknown"


@dataclass(frozen=True)
class Index:
    """How many eigenvalues of a symmetric matrix are negative."""

    negative: int
    exact: bool
    """Whether there are no more; else at least so many, and `none` says whether there are known to be none."""
    none: bool
    tolerance: float
    """Eigenvalues of this size or less count as 0."""


def exact_index(spectrum: Spectrum) -> Index:
    """From all eigenvalues."""
    return Index(spectrum.negative, True, not spectrum.negative, spectrum.tolerance)


def least_index(values: Tensor, smallest: int, converged: bool, dtype: torch.dtype) -> Index:
    """From some: values xᵀA x [k] of orthonormal Ritz vectors x, so that A is negative definite on the span of those
    whose value is negative, and has as many negative eigenvalues at least (Cauchy's interlacing theorem).

    smallest: how many of them are the smallest that there are; converged: whether the smallest of these has converged;
    dtype: of the products.
    """
    tolerance = SIGN * torch.finfo(dtype).eps * float(values.abs().max())
    negative = int((values < -tolerance).sum())
    return Index(negative, False, not negative and smallest > 0 and converged, tolerance)


def newton_step(gradient: Tensor, product: Tensor, length: float) -> float:
    """A lower bound of ‖d‖ / ‖θ‖ for the Newton step H d = −∇L: ‖∇L‖² / (‖H ∇L‖ ‖θ‖).

    ‖∇L‖² = −dᵀH ∇L ≤ ‖d‖ ‖H ∇L‖ for every d, so no critical point of the quadratic model is nearer. It does not change
    with the units of the loss or of the parameters.

    gradient, product: ∇L and H ∇L [n]; length: ‖θ‖. 0 where the gradient is.
    """
    slope, bent = float(gradient.norm()), float(product.norm()) * length
    return 0.0 if not slope else slope**2 / bent if bent else math.inf


def newton_gain(gradient: Tensor, product: Tensor, scale: float) -> float:
    """A lower bound of what the Newton step changes the loss by, as a part of `scale`: ½ ‖∇L‖³ / (‖H ∇L‖ scale).

    ‖∇L‖⁴ ≤ (∇Lᵀ|H| ∇L)(∇Lᵀ|H|⁻¹ ∇L) ≤ ‖∇L‖ ‖H ∇L‖ ∇Lᵀ|H|⁻¹ ∇L, half of whose last factor is what the quadratic model
    changes by along all eigenvectors together. 0 where the gradient is.
    """
    slope, bent = float(gradient.norm()), float(product.norm()) * scale
    return 0.0 if not slope else slope**3 / (2 * bent) if bent else math.inf


def kind_of(index: Index, step: float, gain: float, critical: float = CRITICAL) -> str:
    """The kind of a point in a word; critical: the longest Newton step and the largest gain at a critical point."""
    if not (step <= critical and gain <= critical):
        return NOT_CRITICAL
    if index.negative:
        return SADDLE
    return NEAR_MINIMUM if index.none else UNKNOWN

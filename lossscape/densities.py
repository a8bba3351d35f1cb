"""What is known of a matrix' spectrum, as numbers that need no torch: estimates with errors, spectral densities."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """A number and how well it is known."""

    value: float
    stderr: float
    """Standard error of the value; NaN of one sample."""

    def __str__(self) -> str:
        """With its standard error."""
        return f"{self.value:.4g} ± {self.stderr:.2g}"


@dataclass(frozen=True)
class Density:
    """Nodes and weights of each random vector: the share of eigenvalues near each node."""

    nodes: np.ndarray
    """[vectors, steps], ascending; NaN where a vector's Krylov space was exhausted earlier."""
    weights: np.ndarray
    """[vectors, steps], their sum 1 for each vector; 0 beside a node that is NaN."""
    n: int
    products: int

    def mean(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """tr f(A) / n, with its standard error over the vectors."""
        each = np.nansum(self.weights * function(self.nodes), axis=1)
        count = len(each)
        return Estimate(float(each.mean()), float(each.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan)

    def moment(self, power: int) -> Estimate:
        """tr A^p / n; exact for each vector up to p = 2 steps − 1."""
        return self.mean(lambda nodes: nodes**power)

    def smoothed(self, at: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        """The density at some values [k], each eigenvalue as a Gaussian of this standard deviation; and its stderr."""
        offsets = (at[None, None, :] - self.nodes[:, :, None]) / width
        bumps = np.exp(-(offsets**2) / 2) / (width * math.sqrt(2 * math.pi))
        each = np.nansum(self.weights[:, :, None] * bumps, axis=1)
        error = each.std(axis=0, ddof=1) / math.sqrt(len(each)) if len(each) > 1 else np.full(len(at), math.nan)
        return each.mean(axis=0), error

"""All eigenvalues of a matrix that is small enough to be written down, and the index of a point."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lossscape.spectra.krylov import MatVec

LARGEST = 5_000
"""Rows of a matrix that is written down: 200 MB in float64, and seconds for its eigenvalues."""
ROUNDING = 10.0
"""Eigenvalues of size below this times n ε ‖A‖ have no sign."""


@dataclass(frozen=True)
class Spectrum:
    """All eigenvalues of a symmetric matrix."""

    values: Tensor
    """[n] ascending, in float64."""
    asymmetry: float
    """max |A − Aᵀ| / max |A|: rounding, of a matrix that is symmetric."""
    tolerance: float
    """Eigenvalues of this size or less have no sign: rounding of the products and of the decomposition."""

    @property
    def negative(self) -> int:
        """How many eigenvalues are negative: the index."""
        return int((self.values < -self.tolerance).sum())

    @property
    def zero(self) -> int:
        """How many eigenvalues have no sign."""
        return int((self.values.abs() <= self.tolerance).sum())


def matrix(matvec: MatVec, n: int, like: Tensor) -> Tensor:
    """The matrix itself, [n, n] in float64, a column a product. Raises ValueError where n is over LARGEST."""
    if n > LARGEST:
        raise ValueError(f"a matrix of {n:,} rows is not written down; {LARGEST:,} are the most")
    unit, columns = like.new_zeros(n), []
    for index in range(n):
        unit[index] = 1.0
        columns.append(matvec(unit).double())
        unit[index] = 0.0
    return torch.stack(columns, dim=1)


def explicit(matvec: MatVec, n: int, like: Tensor) -> Spectrum:
    """All eigenvalues of a symmetric A, of up to LARGEST rows. Raises ValueError for more."""
    found = matrix(matvec, n, like)
    size = float(found.abs().max())
    asymmetry = float((found - found.T).abs().max()) / size if size else 0.0
    values = torch.linalg.eigvalsh((found + found.T) / 2).cpu()
    rounding = max(n * torch.finfo(like.dtype).eps, asymmetry)
    return Spectrum(values, asymmetry, ROUNDING * rounding * float(values.abs().max()))

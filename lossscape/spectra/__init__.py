"""Curvature from matrix-vector products alone: eigenvalues, trace, spectral density, index.

Everything but `hessian` takes a function v ↦ A v of flat vectors [n] and knows nothing of nets, so it is tested on
matrices whose spectrum is known. Results are named and carry their health: a residual, a standard error, converged.
"""

from lossscape.spectra.density import density
from lossscape.spectra.explicit import Spectrum, explicit
from lossscape.spectra.hessian import Hessian
from lossscape.spectra.lanczos import Eigenpairs, eigenpairs
from lossscape.spectra.trace import Trace, trace

__all__ = [
    "Eigenpairs", "Hessian", "Spectrum", "Trace", "density", "eigenpairs", "explicit", "trace",
]  # fmt: skip

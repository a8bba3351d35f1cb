"""Eigenvalues and products of Hessians: PyHessian 0.1, curvlinops 3.0 with scipy's eigsh, and lossscape."""

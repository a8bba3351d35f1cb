"""Who computes: lossscape, PyHessian 0.1, and curvlinops 3.0 with scipy's eigsh, each as it is shipped.

Every side has `prepare`, `product` and, but for products alone, `eigenvalues`, which begin with data and net in memory.
"""

import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.curvature.problem import Problem
from benchmarks.curvature.rows import TOLERANCE

Found = tuple[list[float], Tensor, int | None]
"""Eigenvalues, their vectors [k, n], and how many products were taken, where that is told."""
MISSING = "{} is not installed: use make bench, or pip install -r benchmarks/requirements.txt"
STEPS, SETTLED = 1_000, 1e-6
"""Most steps of PyHessian's power iteration for each value, and the relative change at which it ends: the residuals are
then about TOLERANCE."""


class Ours:
    """lossscape."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def operator(self) -> Any:
        """The Hessian."""
        from lossscape.objective import Objective
        from lossscape.spectra import Hessian

        return Hessian(Objective(self.problem.net, "cross_entropy", *self.problem.data))

    def prepare(self) -> int:
        """Make what products are taken with; returns the samples whose graph is kept."""
        self.hessian = self.operator()
        kept: int = self.hessian.kept
        return kept

    def product(self) -> Tensor:
        """H v, flat."""
        found: Tensor = self.hessian @ self.problem.vector
        return found

    def eigenvalues(self, seed: int) -> Found:
        """The largest."""
        from lossscape.spectra import eigenpairs

        hessian = self.operator()
        found = eigenpairs(
            hessian.__matmul__, self.problem.vector, self.problem.row.largest, tolerance=TOLERANCE, seed=seed
        )
        return found.values.tolist(), found.vectors.T, found.products


class Curvlinops:
    """curvlinops' Hessian of one batch of all samples, which is fastest, and scipy's eigsh in float32 upon it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        warnings.filterwarnings("ignore", "There is a performance drop")
        from lossscape.errors import BadInput
        from lossscape.spectra.curvlinops import gauss_newton_operator

        try:
            gauss_newton_operator()  # loads it without the warnings of what it is written in
        except BadInput:
            sys.exit(MISSING.format("curvlinops"))
        from curvlinops import HessianLinearOperator

        self.make = HessianLinearOperator

    def prepare(self) -> int:
        """Make the operator, without its check whether it is deterministic; returns 0: no graph is kept."""
        net, data = self.problem.net, [self.problem.data]
        self.hessian = self.make(net, nn.CrossEntropyLoss(), [*net.parameters()], data, check_deterministic=False)
        return 0

    def product(self) -> Tensor:
        """H v, flat."""
        found: Tensor = self.hessian @ self.problem.vector
        return found

    def eigenvalues(self, seed: int) -> Found:
        """The largest."""
        import numpy as np
        from scipy.sparse.linalg import LinearOperator, eigsh

        self.prepare()
        start = np.random.default_rng(seed).standard_normal(len(self.problem.vector)).astype(np.float32)
        shipped, products = self.hessian.to_scipy(np.float32), 0

        def counted(vector: Any) -> Any:
            nonlocal products
            products += 1
            return shipped.matvec(vector)

        operator = LinearOperator(shipped.shape, matvec=counted, dtype=np.float32)
        values, vectors = eigsh(operator, self.problem.row.largest, which="LA", tol=TOLERANCE, v0=start)
        return values[::-1].tolist(), torch.from_numpy(vectors.T[::-1].copy()), products


class PyHessian:
    """PyHessian's deflated power iteration on one batch, whose graph it keeps."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        try:
            import pyhessian
        except ModuleNotFoundError:
            sys.exit(MISSING.format("pyhessian"))
        self.make = pyhessian.hessian

    def prepare(self) -> int:
        """Make what products are taken with; returns the samples whose graph is kept: all."""
        warnings.filterwarnings("ignore", "Using backward", UserWarning)
        self.problem.net.zero_grad(set_to_none=True)
        self.hessian = self.make(self.problem.net, nn.CrossEntropyLoss(), data=self.problem.data, cuda=False)
        return self.problem.row.samples

    def product(self) -> Tensor:
        """H v, flat."""
        from pyhessian.utils import hessian_vector_product

        hessian, parts = self.hessian, self.problem.pieces(self.problem.vector)
        return torch.cat([part.flatten() for part in hessian_vector_product(hessian.gradsH, hessian.params, parts)])

    def eigenvalues(self, seed: int, settled: float = SETTLED, steps: int = STEPS) -> Found:
        """The largest in size, in the order in which they are found. settled, steps: its tol and maxIter."""
        torch.manual_seed(seed)
        self.prepare()
        values, vectors = self.hessian.eigenvalues(maxIter=steps, tol=settled, top_n=self.problem.row.largest)
        return values, torch.stack([torch.cat([part.flatten() for part in vector]) for vector in vectors]), None


class Judge:
    """Products in float64 by torch alone, against which the others are held."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def hold(self) -> None:
        """Make the graph of first derivatives in float64."""
        net = self.problem.net.double()
        inputs, targets = self.problem.data
        loss = nn.functional.cross_entropy(net(inputs.double()), targets)
        self.leaves = list(net.parameters())
        self.first = torch.autograd.grad(loss, self.leaves, create_graph=True)

    def times(self, vector: Tensor) -> Tensor:
        """H v, flat in float64."""
        parts = self.problem.pieces(vector.double())
        found = torch.autograd.grad(self.first, self.leaves, parts, retain_graph=True)
        return torch.cat([part.flatten() for part in found])

    def residuals(self, values: Sequence[float], vectors: Tensor) -> list[float]:
        """‖H x − λ x‖ / |λ| of each value and vector."""
        units = [vector.double() / vector.double().norm() for vector in vectors]
        return [float((self.times(x) - value * x).norm() / abs(value)) for value, x in zip(values, units, strict=True)]

    def differs(self, product: Tensor) -> float:
        """‖p − H v‖ / ‖H v‖ of a product with the problem's vector."""
        truth = self.times(self.problem.vector)
        return float((product.double() - truth).norm() / truth.norm())


COMPUTERS: dict[str, type[Ours] | type[Curvlinops] | type[PyHessian]] = {
    "ours": Ours,
    "curvlinops": Curvlinops,
    "pyhessian": PyHessian,
}


def timed(of: Any, **arguments: Any) -> tuple[float, Any]:
    """Seconds of a call, and what it gives."""
    begin = time.perf_counter()
    found = of(**arguments)
    return time.perf_counter() - begin, found

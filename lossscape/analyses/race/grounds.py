"""What methods descend on: a function of a flat vector in float64 with its derivatives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from lossscape.derivatives import hessian_product, loss_and_gradient
from lossscape.evaluate import Subspace
from lossscape.objective import Objective
from lossscape.spectra import Hessian
from lossscape.surfaces import SURFACES
from lossscape.vectors import Params, combine, dot


@dataclass(frozen=True)
class Formula:
    """A surface of SURFACES; θ is (x, y)."""

    name: str

    def _at(self, theta: Tensor) -> Tensor:
        return SURFACES[self.name].function(theta[0], theta[1])

    def value(self, theta: Tensor) -> float:
        """f(θ)"""
        return float(self._at(theta))

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """f(θ) and ∇f(θ) [2]"""
        leaf = theta.detach().clone().requires_grad_()
        value = self._at(leaf)
        return float(value.detach()), torch.autograd.grad(value, leaf)[0]

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """∇²f(θ) v [2]"""
        return self.matrix(theta) @ vector

    def matrix(self, theta: Tensor) -> Tensor:
        """∇²f(θ) [2, 2]"""
        leaf = theta.detach().clone().requires_grad_()
        slope = torch.autograd.grad(self._at(leaf), leaf, create_graph=True)[0]
        rows = [torch.autograd.grad(each, leaf, retain_graph=True, materialize_grads=True)[0] for each in slope]
        return torch.stack(rows)


@dataclass(frozen=True)
class InPlane:
    """The mean loss of a net at θ₀ + x d₁ + y d₂; its gradient is the net's projected, (∇Lᵀd₁, ∇Lᵀd₂)."""

    objective: Objective
    subspace: Subspace

    def value(self, theta: Tensor) -> float:
        """L"""
        return self.objective.metrics(*self.subspace.at(theta.tolist()))["loss"]

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """L and its gradient by x and y [2]"""
        value, slope = loss_and_gradient(self.objective, *self.subspace.at(theta.tolist()))
        return value, self._projected(slope)

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """The plane's Hessian DᵀHD times a vector [2]"""
        parameters, buffers = self.subspace.at(theta.tolist())
        zeros = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in parameters.items()}
        along = combine(zeros, self.subspace.directions, vector.tolist())
        return self._projected(hessian_product(self.objective, parameters, along, buffers))

    def matrix(self, theta: Tensor) -> Tensor:
        """DᵀHD [2, 2]"""
        found = torch.stack([self.product(theta, unit) for unit in torch.eye(2, dtype=torch.float64)])
        return (found + found.T) / 2

    def _projected(self, slope: Params) -> Tensor:
        return torch.tensor([dot(slope, each) for each in self.subspace.directions], dtype=torch.float64)


@dataclass(frozen=True)
class Whole:
    """The mean loss of a net, with weight decay, as a function of all its parameters [n]."""

    objective: Objective
    """In float64."""
    origin: Params
    """Whose names and shapes the parameters have."""
    buffers: Params
    decays: Tensor
    """λ of each number [n]."""

    def value(self, theta: Tensor) -> float:
        """L + Σ λθ²/2"""
        return self.objective.metrics(self._named(theta), self.buffers)["loss"] + self._decay(theta)

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Value and gradient [n]"""
        value, slope = loss_and_gradient(self.objective, self._named(theta), self.buffers)
        return value + self._decay(theta), flat(slope) + self.decays * theta

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """H v [n]"""
        found = hessian_product(self.objective, self._named(theta), self._named(vector), self.buffers)
        return flat(found) + self.decays * vector

    def matrix(self, theta: Tensor) -> Tensor:
        """H [n, n]"""
        return Hessian(self.objective, self._named(theta), self.buffers).matrix() + torch.diag(self.decays)

    def _named(self, theta: Tensor) -> Params:
        pieces = theta.split([value.numel() for value in self.origin.values()])
        return {
            name: piece.reshape(value.shape) for (name, value), piece in zip(self.origin.items(), pieces, strict=True)
        }

    def _decay(self, theta: Tensor) -> float:
        return float((self.decays * theta.square()).sum()) / 2


def flat(values: Params) -> Tensor:
    """Parameters one after the other [n], in float64."""
    return torch.cat([value.detach().double().flatten() for value in values.values()])


class Remembered:
    """A function that keeps its last gradient, which a record and a step both ask for."""

    def __init__(self, function: Any) -> None:
        self.value, self.product, self.matrix = function.value, function.product, function.matrix
        self._function = function
        self._last: tuple[Tensor, tuple[float, Tensor]] | None = None

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """As the function's."""
        if self._last is None or not torch.equal(self._last[0], theta):
            self._last = theta.detach().clone(), self._function.gradient(theta)
        return self._last[1]


class Noisy:
    """A function whose gradients have normal noise, drawn anew each time; value and curvature are exact."""

    def __init__(self, function: Any, spread: float, generator: torch.Generator) -> None:
        """spread: standard deviation of each number."""
        self.value, self.product, self.matrix = function.value, function.product, function.matrix
        self._function, self._spread, self._generator = function, spread, generator

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """The function's, with noise."""
        value, slope = self._function.gradient(theta)
        if not self._spread:
            return value, slope
        drawn = torch.randn(len(slope), generator=self._generator, dtype=torch.float64)
        return value, slope + self._spread * drawn


def lowest(function: Any, start: tuple[float, float]) -> tuple[float, float]:
    """Where a descent by BFGS from a point ends."""

    def both(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = function.gradient(torch.from_numpy(numbers.copy()))
        return value, slope.numpy()

    x, y = minimize(both, np.array(start), jac=True, method="BFGS", options={"gtol": 1e-9}).x.tolist()
    return x, y

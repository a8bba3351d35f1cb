"""What methods need that ask for the whole objective: a function of a flat vector, its cost, a step at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lossscape.errors import BadInput

TOLERANCE = 1e-8
"""Where no |∂L/∂θᵢ| is larger a method has converged."""
LARGEST = 5_000
"""Rows of a matrix that is written down: 200 MB in float64, and seconds for its eigenvalues."""
COUNTS = ("function_evaluations", "gradient_evaluations", "hessian_products")
"""What is counted of a method that asks for the whole objective."""
CONVERGED, STUCK = "converged", "no lower loss found"
"""With what the message of a method begins that takes no more steps."""


class Function(Protocol):
    """An objective of D parameters with its derivatives at any point; all tensors in float64 on one device."""

    def value(self, theta: Tensor) -> float:
        """L(θ) at θ [D]."""
        ...

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """L(θ) and ∇L(θ) [D] at θ [D]."""
        ...

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """H(θ) v [D], the Hessian at θ [D] times a vector [D]."""
        ...

    def matrix(self, theta: Tensor) -> Tensor:
        """H(θ), symmetric [D, D], at θ [D]."""
        ...


@dataclass
class Counted:
    """A function that counts what is asked of it, in the units in which methods are compared."""

    function: Function
    function_evaluations: int = 0
    """Values alone, without a gradient."""
    gradient_evaluations: int = 0
    """Gradients, each with its value."""
    hessian_products: int = 0
    """Products with one vector; a whole matrix of D columns counts as D."""

    @property
    def counts(self) -> dict[str, int]:
        """All three by name."""
        return {name: getattr(self, name) for name in COUNTS}

    def value(self, theta: Tensor) -> float:
        """L(θ): one function evaluation."""
        self.function_evaluations += 1
        return self.function.value(theta)

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """L(θ) and ∇L(θ): one gradient evaluation."""
        self.gradient_evaluations += 1
        return self.function.gradient(theta)

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """H(θ) v: one product."""
        self.hessian_products += 1
        return self.function.product(theta, vector)

    def matrix(self, theta: Tensor) -> Tensor:
        """H(θ): D products."""
        self.hessian_products += len(theta)
        return self.function.matrix(theta)


@dataclass(frozen=True)
class Decayed:
    """L(θ) + λ/2·‖θ‖²: what weight decay as a term of the gradient descends."""

    function: Function
    rate: float

    def value(self, theta: Tensor) -> float:
        """L + λ/2·‖θ‖²."""
        return self.function.value(theta) + self._term(theta)

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """The same, and ∇L + λθ."""
        value, gradient = self.function.gradient(theta)
        return value + self._term(theta), gradient + self.rate * theta

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """Hv + λv."""
        return self.function.product(theta, vector) + self.rate * vector

    def matrix(self, theta: Tensor) -> Tensor:
        """H + λI."""
        return self.function.matrix(theta) + self.rate * torch.eye(len(theta), dtype=theta.dtype, device=theta.device)

    def without(self, point: "Point") -> "Point":
        """The same point of L alone."""
        return Point(
            point.theta, point.value - self._term(point.theta), point.gradient - self.rate * point.theta
        )  # fmt: skip

    def _term(self, theta: Tensor) -> float:
        return self.rate / 2 * float(theta @ theta)


@dataclass(frozen=True)
class Point:
    """A place, with the objective and its gradient there."""

    theta: Tensor
    """[D] in float64."""
    value: float
    gradient: Tensor
    """[D]"""

    @property
    def finite(self) -> bool:
        """Whether both are numbers."""
        return bool(torch.isfinite(self.gradient).all()) and abs(self.value) < float("inf")

    @classmethod
    def of(cls, function: Function, theta: Tensor) -> "Point":
        """One gradient evaluation."""
        return cls(theta, *function.gradient(theta))


class Visited:
    """A function that evaluates no point twice."""

    def __init__(self, function: Function, here: Point) -> None:
        """here: a point that has been evaluated."""
        self._function, self._seen = function, {_key(here.theta): here}

    def at(self, theta: Tensor) -> Point:
        """The point θ [D]; one gradient evaluation where it is new."""
        if (key := _key(theta)) not in self._seen:
            self._seen[key] = Point.of(self._function, theta)
        return self._seen[key]


def _key(theta: Tensor) -> bytes:
    return theta.cpu().numpy().tobytes()


class FullBatch(Optimizer, ABC):
    """A method that asks for values and derivatives of a whole objective at points that it chooses itself.

    Its iterate θ is a flat float64 vector over the parameters that require a gradient, in their order. It is read from
    them before the first step, and written to them, rounded to their own precision, after every step; θ and what the
    method remembers are in `state_dict()`. A subclass says how one step is taken, in `advance`.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float = 1.0,
        weight_decay: float = 0.0,
        tolerance: float = TOLERANCE,
    ) -> None:
        """lr: what the method's own step is multiplied with, where it is no search along a line; weight_decay: λ of
        λ/2·‖θ‖², added to the objective; tolerance: the largest |∂L/∂θᵢ| of a point that counts as converged."""
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "tolerance": tolerance})

    @abstractmethod
    def advance(self, function: Function, here: Point) -> Point | None:
        """The point after one step from `here`, which may be `here` itself; None where there is none to be found.

        It may be broken off anywhere, and is then taken again: values in `memory` are replaced, never written into.
        """

    @property
    def memory(self) -> dict[str, Any]:
        """What is kept from step to step, as tensors and plain values: part of `state_dict()`."""
        kept: dict[str, Any] = self.state["flat"]  # type: ignore[index]  # one of all parameters together
        return kept

    @property
    def notes(self) -> dict[str, int]:
        """What else is to be known of a run by this method, by column of metrics.csv."""
        return {}

    @property
    def ended(self) -> str:
        """Why no more steps are taken, in words that begin with CONVERGED or STUCK; empty while they are."""
        return str(self.memory.get("ended", ""))

    @ended.setter
    def ended(self, why: str) -> None:
        self.memory["ended"] = why

    def step(self, function: Function) -> Point:  # type: ignore[override]  # torch's closure knows one point only
        """Take a step; returns the point that it began at, with the function's value and gradient there.

        A method that has ended stays where it is and asks nothing. Raises FloatingPointError where the objective or its
        gradient is not finite. A step that raises anything, an error of the function's among them, has changed nothing.
        """
        rate, before = self.param_groups[0]["weight_decay"], dict(self.memory)
        descended = Decayed(function, rate) if rate else function
        try:
            here = self._stepped(descended)
        except BaseException:  # an interrupt among them
            self.memory.clear()
            self.memory.update(before)
            raise
        return descended.without(here) if isinstance(descended, Decayed) else here

    def _stepped(self, function: Function) -> Point:
        here = self._here(function)
        if not here.finite:
            raise FloatingPointError(f"the objective is {here.value} or has a gradient that is not finite")
        self._look(here)
        if not self.ended:
            there = self.advance(function, here)
            if there is None:
                self.ended = f"{STUCK} (largest |∂L/∂θ| {_largest(here):.3g})"
            else:
                self._move(there)
                self._look(there)
        return here

    def _here(self, function: Function) -> Point:
        """The present point: as the last step left it, or read from the parameters."""
        leaves = self.leaves
        if "theta" in self.memory:
            theta, gradient = (self.memory[key].to(leaves[0].device) for key in ("theta", "gradient"))
            return Point(theta, self.memory["value"], gradient)
        theta = torch.cat([leaf.detach().double().flatten() for leaf in leaves])
        found = Point.of(function, theta)
        self._keep(found)
        return found

    def _move(self, to: Point) -> None:
        self._keep(to)
        leaves = self.leaves
        with torch.no_grad():
            for leaf, piece in zip(leaves, to.theta.split([leaf.numel() for leaf in leaves]), strict=True):
                leaf.copy_(piece.view(leaf.shape))

    def _keep(self, point: Point) -> None:
        self.memory.update(theta=point.theta, value=point.value, gradient=point.gradient)

    def _look(self, at: Point) -> None:
        if not self.ended and _largest(at) <= self.param_groups[0]["tolerance"]:
            self.ended = f"{CONVERGED} (largest |∂L/∂θ| {_largest(at):.3g})"

    @property
    def leaves(self) -> list[nn.Parameter]:
        """The parameters that θ is of."""
        return [value for group in self.param_groups for value in group["params"] if value.requires_grad]


def check_size(method: FullBatch, name: str) -> None:
    """Raise BadInput where a method would write down a matrix of more than LARGEST rows."""
    count = sum(leaf.numel() for leaf in method.leaves)
    if count > LARGEST:
        raise BadInput(
            f"optimizer {name}: the net has {count:,} parameters, and the method writes down a matrix with a row for "
            f"each, of {LARGEST:,} at most; lbfgs, conjugate_gradient, newton_cg and trust_region do without"
        )


def _largest(at: Point) -> float:
    return float(at.gradient.abs().max())

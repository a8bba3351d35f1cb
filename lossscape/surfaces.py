"""Functions of two numbers on which descent methods are watched, each with what is known of it in closed form.

A surface is a plain function over float64 tensors of any shape and a line of SURFACES: its window, its lowest points,
its other critical points, and where methods usually begin on it and with which steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Spot = tuple[float, float]
"""Coordinates x and y."""


def saddle(x: Tensor, y: Tensor) -> Tensor:
    """x² − y²"""
    return x**2 - y**2


def monkey_saddle(x: Tensor, y: Tensor) -> Tensor:
    """x³ − 3 x y²"""
    return x**3 - 3 * x * y**2


def valley(x: Tensor, y: Tensor) -> Tensor:
    """x²/20 + y²"""
    return x**2 / 20 + y**2


def beale(x: Tensor, y: Tensor) -> Tensor:
    """(1.5 − x + x y)² + (2.25 − x + x y²)² + (2.625 − x + x y³)²"""
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    """(1 − x)² + 100 (y − x²)²"""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def himmelblau(x: Tensor, y: Tensor) -> Tensor:
    """(x² + y − 11)² + (x + y² − 7)²"""
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def plateau(x: Tensor, y: Tensor) -> Tensor:
    """1 − exp(−(x² + y²)/2): all but flat away from 0"""
    return 1 - torch.exp(-(x**2 + y**2) / 2)


def cliff(x: Tensor, y: Tensor) -> Tensor:
    """r²/20 + 5 (1 + tanh(10 (r² − 1))), r² = x² + y²: a wall around 0 whose gradient is a hundred times the rest's"""
    square = x**2 + y**2
    return square / 20 + 5 * (1 + torch.tanh(10 * (square - 1)))


def noisy_bowl(x: Tensor, y: Tensor) -> Tensor:
    """(x² + y²)/2 + (2 − cos 10x − cos 10y)/10: a bowl with ripples, some of which are local minima"""
    return (x**2 + y**2) / 2 + (2 - torch.cos(10 * x) - torch.cos(10 * y)) / 10


@dataclass(frozen=True)
class Surface:
    """A function and what is known of it."""

    function: Callable[[Tensor, Tensor], Tensor]
    window: tuple[Spot, Spot]
    """The usual ranges of x and y."""
    start: Spot
    """Where methods usually begin."""
    rate: float
    """Usual learning rate of methods whose steps are as long as the gradient: sgd, momentum, nesterov."""
    stride: float
    """Usual learning rate of methods whose steps are about as long as it is: adam, rmsprop."""
    steps: int
    """Usual number of them."""
    minima: tuple[Spot, ...] = ()
    """The lowest points; none of a surface that falls without end, which a method is to leave."""
    others: tuple[Spot, ...] = ()
    """Other critical points: saddles, a maximum, local minima that are not lowest."""
    steep: bool = False
    """Whether its values are drawn on a logarithmic scale."""
    ridge: Spot | None = None
    """A point from which descent along the exact gradient leads to a saddle."""

    @property
    def name(self) -> str:
        """In SURFACES."""
        return self.function.__name__

    @property
    def formula(self) -> str:
        """f(x, y), with a remark behind a colon."""
        return str(self.function.__doc__)


_DIP = 0.5679207796314404  # x + sin 10x = 0
SURFACES: dict[str, Surface] = {
    each.name: each
    for each in (
        Surface(saddle, ((-1.5, 1.5), (-1.5, 1.5)), (-1.0, 1e-3), 0.01, 0.01, 300, others=((0.0, 0.0),),
                ridge=(-1.0, 0.0)),
        Surface(monkey_saddle, ((-1.5, 1.5), (-1.5, 1.5)), (1.0, 1e-3), 0.01, 0.01, 300, others=((0.0, 0.0),),
                ridge=(1.0, 0.0)),
        Surface(valley, ((-10.0, 10.0), (-4.0, 4.0)), (-7.0, 2.0), 0.2, 0.2, 300, minima=((0.0, 0.0),)),
        Surface(beale, ((-4.5, 4.5), (-4.5, 4.5)), (1.0, 1.5), 0.002, 0.05, 1000, minima=((3.0, 0.5),),
                others=((0.0, 1.0),), steep=True),
        Surface(rosenbrock, ((-2.0, 2.0), (-1.0, 3.0)), (-1.2, 1.0), 5e-4, 0.05, 2000, minima=((1.0, 1.0),),
                steep=True),
        Surface(himmelblau, ((-5.0, 5.0), (-5.0, 5.0)), (0.0, 0.0), 0.005, 0.05, 300,
                minima=((3.0, 2.0), (-2.805118086952745, 3.131312518250573), (-3.779310253377747, -3.2831859912861696),
                        (3.5844283403304917, -1.8481265269644036)),
                others=((-0.2708445906673476, -0.9230385564799815), (0.08667750455539634, 2.884254701174776),
                        (3.385154183607021, 0.0738518798377493), (-0.12796134673068005, -1.9537149802445766),
                        (-3.0730257507643897, -0.08135304428796751)), steep=True),
        Surface(plateau, ((-4.0, 4.0), (-4.0, 4.0)), (3.0, -1.5), 0.1, 0.02, 600, minima=((0.0, 0.0),)),
        Surface(cliff, ((-2.0, 2.0), (-2.0, 2.0)), (1.5, 0.6), 0.1, 0.05, 600, minima=((0.0, 0.0),)),
        Surface(noisy_bowl, ((-2.0, 2.0), (-2.0, 2.0)), (-1.6, 1.1), 0.02, 0.02, 500, minima=((0.0, 0.0),),
                others=tuple((x, y) for x in (-_DIP, 0.0, _DIP) for y in (-_DIP, 0.0, _DIP) if x or y)),
    )
}  # fmt: skip
"""By name: a line each."""

"""Small sets in one and two dimensions, whose fit and decision surface can be drawn (`lossscape fit`).

Splits are drawn one after the other from one generator, so each is a sample of its own. `root` is not looked at; `seed`
is that of the config's dataset section.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from lossscape.data.check import check_memory
from lossscape.data.split import RawData, Split
from lossscape.families import Count, NonNegative, Rate

Curve = Literal["sine", "sinc", "step", "absolute", "cubic"]
CURVES: dict[Curve, Callable[[Tensor], Tensor]] = {
    "sine": lambda x: torch.sin(math.pi * x),
    "sinc": lambda x: torch.sinc(3 * x),
    "step": lambda x: (x > 0).to(x.dtype),
    "absolute": torch.abs,
    "cubic": lambda x: x**3 - x / 2,
}
"""Of numbers from −1 to 1: sin πx, sin(3πx)/(3πx), 1 above 0, |x|, x³ − x/2."""


def regression_1d(
    root: Path,
    seed: int = 0,
    *,
    function: Curve = "sine",
    train: Count = 100,
    test: Count = 100,
    noise: NonNegative = 0.1,
) -> RawData:
    """A curve to be learned: t = f(x) + noise · ε of x uniform in [−1, 1], with normal ε.

    function: sine is sin πx, sinc sin(3πx)/(3πx), step 1 above 0, absolute |x|, cubic x³ − x/2. The test inputs lie
    evenly from −1 to 1.
    """

    def split(x: Tensor, generator: Generator) -> Split:
        return Split(x, CURVES[function](x) + noise * torch.randn(x.shape, generator=generator))

    check_memory(16 * (train + test), "dataset regression_1d: these sizes")
    generator = Generator().manual_seed(seed % 2**63)
    drawn = split(2 * torch.rand(train, 1, generator=generator) - 1, generator)
    return RawData(drawn, split(torch.linspace(-1, 1, test)[:, None], generator), [])


def two_moons(root: Path, seed: int = 0, *, train: Count = 200, test: Count = 200, noise: NonNegative = 0.1) -> RawData:
    """Two half circles that reach into each other, with normal noise on both coordinates."""

    def draw(labels: Tensor, generator: Generator) -> Tensor:
        angle = math.pi * torch.rand(len(labels), generator=generator)
        upper = torch.stack([angle.cos(), angle.sin()], 1)
        lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
        points = torch.where(labels[:, None] == 0, upper, lower)
        return points + noise * torch.randn(len(labels), 2, generator=generator)

    return _drawn(draw, 2, (train, test), seed)


def spirals(
    root: Path,
    seed: int = 0,
    *,
    arms: Annotated[int, Field(ge=2, le=10)] = 2,
    turns: Rate = 1.5,
    train: Count = 300,
    test: Count = 300,
    noise: NonNegative = 0.02,
) -> RawData:
    """Arms that wind around the origin out to radius 1, a class each, with normal noise on both coordinates."""

    def draw(labels: Tensor, generator: Generator) -> Tensor:
        radius = torch.rand(len(labels), generator=generator).sqrt()
        angle = 2 * math.pi * (turns * radius + labels / arms)
        points = radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
        return points + noise * torch.randn(len(labels), 2, generator=generator)

    return _drawn(draw, arms, (train, test), seed)


def circles(root: Path, seed: int = 0, *, train: Count = 200, test: Count = 200, noise: NonNegative = 0.05) -> RawData:
    """A circle of radius 1 and one of radius 1/2 in it, with normal noise on both coordinates."""

    def draw(labels: Tensor, generator: Generator) -> Tensor:
        angle = 2 * math.pi * torch.rand(len(labels), generator=generator)
        points = torch.stack([angle.cos(), angle.sin()], 1) / (1 + labels[:, None])
        return points + noise * torch.randn(len(labels), 2, generator=generator)

    return _drawn(draw, 2, (train, test), seed)


def xor(root: Path, seed: int = 0, *, train: Count = 200, test: Count = 200, noise: NonNegative = 0.1) -> RawData:
    """The four corners (±1, ±1), of class 1 where the signs differ, with normal noise on both coordinates."""

    def draw(labels: Tensor, generator: Generator) -> Tensor:
        first = 2.0 * torch.randint(2, (len(labels),), generator=generator) - 1
        points = torch.stack([first, first * (1 - 2 * labels)], 1)
        return points + noise * torch.randn(len(labels), 2, generator=generator)

    return _drawn(draw, 2, (train, test), seed)


def _drawn(draw: Callable[[Tensor, Generator], Tensor], classes: int, sizes: tuple[int, int], seed: int) -> RawData:
    """Both splits, with the classes in turn, shuffled."""
    check_memory(24 * sum(sizes), "a data set of two dimensions: these sizes")
    generator = Generator().manual_seed(seed % 2**63)

    def split(size: int) -> Split:
        labels = (torch.arange(size) % classes)[torch.randperm(size, generator=generator)]
        return Split(draw(labels, generator), labels)

    return RawData(split(sizes[0]), split(sizes[1]), [str(label) for label in range(classes)])

"""Measures of sharpness: each a search around one point θ, from a loss and its gradient.

A displacement is s∘u with a scale s for every parameter: 1, or |θ| of the adaptive measures (ASAM, Kwon et al.,
arXiv:2102.11600, §3: T_θ = diag |θ|), so that what rescales a parameter rescales its displacement too. A parameter that
is 0 then stays 0.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from lossscape.derivatives import loss_and_gradient
from lossscape.evaluate.rows import Done
from lossscape.objective import Objective
from lossscape.seeds import generator
from lossscape.vectors import Params, combine, norm, scale
from lossscape.vectors.random import kinds_of_parameters, random_directions

STARTERS = 8
"""Samples whose gradient ascent begins along. There are several maxima in a ball, most of them made by few samples; the
gradient of all samples leads every start to the same one, and often not to the greatest."""
NOISE = 0.1
"""Length of the random part of that start: where samples have no slope, it is all of it."""
LONGER, SHORTER = 2.0, 0.25
"""What the length of steps is multiplied by after one that rises, and after one that does not."""
SETTLED, LAST = 0.01, 0.25
"""Ascent has converged where the last quarter of its steps raised the rise by no more than this part of it."""
FIRST, MOST, FACTOR, NARROW = 2.0**-6, 8.0, math.sqrt(2), 1e-3
"""Of a width: the first distance that is tried, the greatest one, their ratio, and the relative size of the bracket."""


@dataclass(frozen=True)
class Found:
    """A measure of one seed."""

    value: float
    """The rise of the loss; of a width the distance, infinite where the loss has not risen so far by MOST."""
    stderr: float | None
    """Standard error over the pairs of an average."""
    converged: bool | None
    """Whether ascent has settled, or the width is bracketed; None of an average."""
    points: Callable[[], Iterator[Params]]
    """The points whose mean loss lies `rise` above that of θ."""
    rise: float
    length: float | None = None
    """‖u‖ of the point that ascent found."""


@dataclass(frozen=True)
class Place:
    """A point and the loss around it."""

    objective: Objective
    parameters: Params
    """θ, in float64."""
    buffers: Params
    adaptive: bool
    done: Done | None = None

    @cached_property
    def scales(self) -> Params:
        """s of each parameter."""
        if self.adaptive:
            return {name: value.abs() for name, value in self.parameters.items()}
        return {name: torch.ones_like(value) for name, value in self.parameters.items()}

    @cached_property
    def here(self) -> float:
        """The loss at θ."""
        return self.loss(self.parameters)

    def moved(self, displacement: Params) -> Params:
        """θ + s∘u."""
        return {name: value + self.scales[name] * displacement[name] for name, value in self.parameters.items()}

    def loss(self, point: Params) -> float:
        """The mean loss at a point."""
        return self.objective.metrics(point, self.buffers, self.done)["loss"]

    def climbed(self, displacement: Params) -> tuple[float, Params]:
        """The rise of the loss at θ + s∘u and its gradient by u."""
        loss, slope = loss_and_gradient(self.objective, self.moved(displacement), self.buffers, self.done)
        return loss - self.here, {name: self.scales[name] * value for name, value in slope.items()}

    def start(self, radius: float, seed: int) -> Params:
        """Where ascent begins, ρ away: along the gradient of a few random samples, and a little noise."""
        order = torch.randperm(len(self.objective), generator=generator(seed, "sharpness", "start"))
        few = replace(self, objective=self.objective.part(order[:STARTERS].sort().values))
        _, slope = few.climbed({name: torch.zeros_like(value) for name, value in self.parameters.items()})
        noise = self.noise(seed, "start")
        there = scale(noise, NOISE / (norm(noise) or 1.0))
        if size := norm(slope):
            there = combine(there, [slope], [1 / size])
        return scale(there, radius / (norm(there) or 1.0))

    def noise(self, seed: int, *purpose: str | int) -> Params:
        """Normal numbers in the shape of the parameters, the same on every machine."""
        made = {}
        for name, value in self.parameters.items():
            drawn = torch.randn(value.shape, generator=generator(seed, "sharpness", *purpose, name), dtype=value.dtype)
            made[name] = drawn.to(value.device)
        return made


def worst(place: Place, radius: float, steps: int, seed: int) -> Found:
    """The greatest rise that ascent finds among L(θ + s∘u) − L(θ), ‖u‖ ≤ ρ: a lower bound of the true one.

    Steps u ← P(u + ηρ ∇L/‖∇L‖), P the projection to the ball: from u = 0 with η = 1 the first is SAM's (Foret et al.,
    arXiv:2010.01412, eq. 2), and with large η they are those of the power method on a quadratic. A step that lowers the
    loss is taken back and η becomes smaller; else it grows. Where it ends depends on the start, so the greatest of
    several is what is known of the worst.
    """
    best = place.start(radius, seed)
    rise, slope = place.climbed(best)
    reach, rises = 1.0, [rise]
    for _ in range(steps):
        if not (size := norm(slope)):
            break
        tried = combine(best, [slope], [reach * radius / size])
        if (length := norm(tried)) > radius:
            tried = scale(tried, radius / length)
        higher, steeper = place.climbed(tried)
        if higher > rise:
            best, rise, slope = tried, higher, steeper
        reach *= LONGER if higher == rise else SHORTER
        rises.append(rise)
    before = rises[-1 - max(int(LAST * len(rises)), 1)] if len(rises) > 1 else rise
    settled = rise - before <= SETTLED * abs(rise)
    if rise < 0:  # θ itself is in the ball
        best, rise = scale(best, 0.0), 0.0
    return Found(rise, None, settled, lambda: iter([place.moved(best)]), rise, norm(best))


def average(place: Place, radius: float, pairs: int, seed: int) -> Found:
    """The mean of L(θ + s∘ε) − L(θ) over noise ε of standard deviation σ = ρ/√n for each of n numbers, ‖ε‖ ≈ ρ.

    Each pair is noise and its negative, whose mean has no share of the slope.
    """
    sigma = deviation(radius, place.parameters)

    def points() -> Iterator[Params]:
        for pair in range(pairs):
            drawn = place.noise(seed, "noise", pair)
            yield from (place.moved(scale(drawn, sign * sigma)) for sign in (1.0, -1.0))

    losses = torch.tensor([place.loss(point) for point in points()], dtype=torch.float64).view(pairs, 2)
    rises = losses.mean(1) - place.here
    return Found(float(rises.mean()), float(rises.std()) / math.sqrt(pairs), None, points, float(rises.mean()))


def deviation(radius: float, parameters: Params) -> float:
    """σ = ρ/√n of noise in all n numbers that is ρ long in the root mean square."""
    return radius / math.sqrt(sum(value.numel() for value in parameters.values()))


def width(place: Place, rise: float, seed: int) -> Found:
    """The least distance t along a filter-normalised random direction d with L(θ + t d) ≥ L(θ) + rise.

    d is that of `lossscape landscape` with this seed, whose filters are as long as those of θ, biases and parameters of
    normalisation layers at rest (Li et al., arXiv:1712.09913, §4). Distances are tried from FIRST on, each FACTOR
    times the last, and the one between is narrowed down by halving; a loss that is NaN has risen.
    """
    kinds = kinds_of_parameters(place.objective.model)
    still = [name for name, kind in kinds.items() if kind != "weight"]
    ignored = still if len(still) < len(kinds) else []
    (direction,) = random_directions(place.parameters, 1, seed=seed, ignored=ignored)

    def at(distance: float) -> Params:
        return combine(place.parameters, [direction], [distance])

    def below(distance: float) -> bool:
        return place.loss(at(distance)) - place.here < rise

    low, high = 0.0, FIRST
    while below(high):
        low, high = high, high * FACTOR
        if high > MOST:
            return Found(math.inf, None, False, lambda: iter(()), rise)
    while high - low > NARROW * high and high > NARROW * FIRST:
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) else (low, middle)
    return Found(high, None, high > NARROW * FIRST, lambda: iter([at(high)]), rise)

"""The gradient of a net's loss against finite differences in float64, tensor by tensor.

A wrong backward pass is wrong at every step of the differences; what else makes them differ from the gradient is told
apart: rounding by its bound, truncation by differences at several steps, and kinks (relu, max-pooling), which lie at
some points only, by looking at points nearby.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from lossscape.derivatives import Done, gradient, own_backward
from lossscape.errors import RunFailed
from lossscape.objective import Objective
from lossscape.seeds import generator
from lossscape.vectors import Params, double

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
"""Of the differences, in units of the tensor's own size, tried in this order until two in succession agree."""
RELATIVE = 1e-5
"""Difference between gradient and differences that is none, relative to the larger one."""
SETTLED = 1e-6
"""Two differences in succession agree where they are this close, relative to the larger one."""
POWER = 1e-2
"""Differences that are not known to this part of themselves decide nothing."""
ROUNDING = 2e-15
"""Of a loss of 1 or less, and relative to a larger one."""
ZERO = 1e-8
"""Slopes below this part of the loss, or of 1, are 0."""
SMALL = 1e-2
"""What counts as the size of numbers that are smaller, as of biases of 0."""
NEARBY, POINTS = 1e-3, 3
"""Points that are looked at where the gradient does not agree, and how far away, in units of each tensor's size."""
AGREES, KINK, UNDECIDED, DISAGREES = "agrees", "agrees beside a kink", "not decided", "DISAGREES"


@dataclass(frozen=True)
class Probe:
    """A direction of length 1 within one tensor."""

    parameter: str
    where: str
    """direction 0, or the index of a single number."""
    direction: Tensor


@dataclass(frozen=True)
class Compared:
    """The slope along a probe."""

    parameter: str
    where: str
    gradient: float
    difference: float
    """Of the loss, at the step where it is known best."""
    error: float
    """Bound of rounding and what the difference changes by at the next step."""
    step: float
    """Length of the step, in units of the parameters."""
    verdict: str

    @property
    def relative(self) -> float:
        """|gradient − difference| relative to the larger one; 0 where both are."""
        size = max(abs(self.gradient), abs(self.difference))
        return abs(self.gradient - self.difference) / size if size else 0.0


@dataclass(frozen=True)
class Asked:
    """Which probes of which tensors."""

    directions: int = 2
    coordinates: int = 3
    """Single numbers: that of the largest slope, the others by chance."""
    seed: int = 0
    names: Collection[str] | None = None
    """Of the tensors; None for all."""


@dataclass
class Net:
    """A loss in float64 around a point, and its gradient there and nearby."""

    objective: Objective
    parameters: Params
    buffers: Params
    seed: int = 0
    done: Done | None = None
    _places: list[tuple[Params, Params]] = field(default_factory=list)

    def place(self, index: int) -> tuple[Params, Params]:
        """The point itself (0) or one nearby, and the gradient there."""
        while len(self._places) <= index:
            number = len(self._places)
            point = self._nearby(number) if number else self.parameters
            self._places.append((point, gradient(self.objective, point, self.buffers, self.done)))
        return self._places[index]

    def loss(self, point: Params) -> float:
        """The mean loss."""
        return self.objective.metrics(point, self.buffers, self.done)["loss"]

    def _nearby(self, number: int) -> Params:
        moved = {}
        for name, value in self.parameters.items():
            drawn = torch.randn(value.shape, generator=generator(self.seed, "nearby", number, name), dtype=value.dtype)
            moved[name] = value + NEARBY * size_of(value) * drawn.to(value.device)
        return moved


def size_of(value: Tensor) -> float:
    """The root mean square of a tensor's numbers, SMALL at least."""
    return max(float(value.square().mean().sqrt()), SMALL)


def check(
    objective: Objective, parameters: Params, buffers: Params, asked: Asked | None = None, done: Done | None = None
) -> list[Compared]:
    """Compare the gradient with central differences along probes of every tensor.

    objective: in float64; parameters, buffers: where; done: told of samples that have passed. Raises RunFailed where
    the loss is not finite, or is another one each time.
    """
    asked = asked or Asked()
    net = Net(objective, double(parameters), buffers, asked.seed, done)
    first, again = net.loss(net.parameters), net.loss(net.parameters)
    if not math.isfinite(first):
        raise RunFailed(f"the loss is {first}, so it has no gradient to check")
    if first != again:
        raise RunFailed(
            f"the loss is {first!r}, and then {again!r} at the same point: the net's forward is not a fixed function "
            "of its parameters and inputs, so it has no gradient to check"
        )
    chosen = [name for name in net.parameters if asked.names is None or name in asked.names]
    return [compared(net, probe) for name in chosen for probe in probes(net, name, asked)]


def probes(net: Net, name: str, asked: Asked) -> list[Probe]:
    """Random directions within a tensor, and single numbers of it."""
    value, slope = net.parameters[name], net.place(0)[1][name]
    if not value.numel():
        return []
    found = []
    for index in range(asked.directions):
        drawn = torch.randn(value.shape, generator=generator(asked.seed, "probe", index, name), dtype=torch.float64)
        found.append(Probe(name, f"direction {index}", (drawn / (drawn.norm() or 1.0)).to(value.device)))
    order = torch.randperm(value.numel(), generator=generator(asked.seed, "coordinates", name)).tolist()
    chosen = dict.fromkeys([int(slope.abs().argmax()), *order])
    for flat in list(chosen)[: asked.coordinates]:
        single = torch.zeros_like(value).flatten()
        single[flat] = 1.0
        where = [int(each) for each in torch.unravel_index(torch.tensor(flat), value.shape)]
        found.append(Probe(name, str(where), single.view(value.shape)))
    return found


def compared(net: Net, probe: Probe) -> Compared:
    """The slope along a probe at the point itself, or nearby where that decides."""
    here = _at(net, probe, 0)
    if here.verdict == AGREES:
        return here
    near = [_at(net, probe, index) for index in range(1, POINTS + 1)]
    for each in near:
        if each.verdict == AGREES:
            return Compared(**vars(each) | {"verdict": KINK})
    return next((each for each in [here, *near] if each.verdict == DISAGREES), here)


def _at(net: Net, probe: Probe, index: int) -> Compared:
    """The verdict at one point, from the differences alone which of them is best: the gradient has no say in that."""
    point, slopes = net.place(index)
    slope = float((slopes[probe.parameter] * probe.direction).sum())
    # as far as the tensor's numbers are large: along a direction all of them together
    unit = size_of(point[probe.parameter]) / float(probe.direction.abs().max())
    found: dict[float, tuple[float, float]] = {}
    for step in STEPS:
        ahead, behind = (net.loss(_moved(point, probe, sign * step * unit)) for sign in (1, -1))
        rounding = ROUNDING * max(1.0, abs(ahead)) / (step * unit)
        found[step] = ((ahead - behind) / (2 * step * unit), rounding)
        difference, error, best = _best(found)
        if error <= SETTLED * abs(difference) + rounding:
            break
    size = max(abs(slope), abs(difference))
    if not (math.isfinite(slope) and error <= POWER * size + ZERO * max(1.0, abs(ahead))):
        verdict = UNDECIDED if math.isfinite(slope) else DISAGREES
    else:
        verdict = AGREES if abs(slope - difference) <= RELATIVE * size + 2 * error else DISAGREES
    return Compared(probe.parameter, probe.where, slope, difference, error, best * unit, verdict)


def _best(found: dict[float, tuple[float, float]]) -> tuple[float, float, float]:
    """The difference that changes least from the next longer step to its own, its error, and its step."""
    ordered = sorted(found.items(), reverse=True)
    if len(ordered) == 1:
        return ordered[0][1][0], math.inf, ordered[0][0]
    errors = [
        (abs(longer[0] - shorter[0]) + shorter[1], shorter[0], step)
        for (_, longer), (step, shorter) in pairwise(ordered)
    ]
    error, difference, step = min(errors, key=lambda each: (math.isnan(each[0]), each[0]))
    return difference, error, step


def _moved(point: Params, probe: Probe, distance: float) -> Params:
    return point | {probe.parameter: point[probe.parameter] + distance * probe.direction}


def failure(net: str, objective: Objective, found: Sequence[Compared]) -> str:
    """What is said of gradients that disagree; empty where none does."""
    wrong = list(dict.fromkeys(each.parameter for each in found if each.verdict == DISAGREES))
    if not wrong:
        return ""
    count = len({each.parameter for each in found})
    shown = ", ".join(wrong[:5]) + (", …" if len(wrong) > 5 else "")
    own = own_backward(objective, objective.parameters(), objective.buffers())
    cause = f"the net has a backward pass of its own, {own}" if own else "is there a detach or rounding in its forward?"
    return (
        f"{net}: the gradient by {len(wrong):,} of {count:,} tensors disagrees with finite differences ({shown}); "
        f"{cause}"
    )


def rows(found: Sequence[Compared]) -> list[list[str]]:
    """A row for each tensor: name, probes, largest relative difference, verdicts."""
    by_name: dict[str, list[Compared]] = {}
    for each in found:
        by_name.setdefault(each.parameter, []).append(each)
    table = []
    for name, probed in by_name.items():
        verdicts = Counter(each.verdict for each in probed)
        worst = max(each.relative for each in probed if each.verdict != UNDECIDED or len(verdicts) == 1)
        told = next(iter(verdicts)) if len(verdicts) == 1 else ", ".join(f"{word} {n}" for word, n in verdicts.items())
        zero = all(each.gradient == 0 and abs(each.difference) <= each.error for each in probed)
        table.append([name, str(len(probed)), f"{worst:.1e}", f"{told} (all 0)" if zero else told])
    return table


def counts(found: Sequence[Compared]) -> str:
    """How many slopes have which verdict."""
    return ", ".join(f"{verdict} {number:,}" for verdict, number in Counter(each.verdict for each in found).items())

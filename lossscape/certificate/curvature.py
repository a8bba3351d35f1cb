"""dᵀH d against differences of the gradient, (∇L(θ + h d) − ∇L(θ − h d))·d / 2h, in float64.

Second differences of the loss itself lose ten digits at a step of 1e-5; those of the gradient lose five. What makes
them differ from dᵀH d on a healthy net are kinks (relu, max-pooling): one that lies between θ − h d and θ + h d adds
its jump over 2h, and a net with a million activations has several within any h that differences of the loss could
bear. A kink belongs to one sample, so samples are looked at in small groups, with shorter and shorter steps until
none is left between: on the project's nets groups then agree to 1e-7 and better, and kinks differ by 1e-1 and more.
Differences that settle on another number are a failure; a net may have a kink at θ itself (an activation of exactly
0), so they must do so at a point nearby too. Differences that never settle say nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lossscape.certificate.check import Certified, Check, Findings, Kind, compare
from lossscape.certificate.reference import Reference
from lossscape.derivatives import curvature_along, gradient, own_backward
from lossscape.directions.direction import BENT
from lossscape.objective import Objective
from lossscape.vectors import Params, combine, dot, double, norm

KIND = Kind(
    "curvature",
    "dᵀHd",
    "the second derivatives of this net are not to be trusted; if it has a backward pass of its own, that cannot be "
    "differentiated",
)
SAID = Kind("curvature", "the eigenvalue in settings.yaml", "run it again with --overwrite")
STEPS = (1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
"""h ‖d‖ / ‖θ‖, tried in this order. In float64 the gradient of a group is good to 1e-15 of its terms."""
RELATIVE, FLOOR = 1e-4, 1e-9
"""Agreement, and what counts as 0, both of the curvature along the direction of length ‖θ‖."""
SETTLED = 1e-3
"""Agreement of differences with a ten times longer step; with a kink between they are off by a factor."""
ROUNDING = 1e-14
"""Of a loss of 1 or less, and relative to a larger one."""
NEARBY = 1.234e-3
"""Another point to look at, as far from θ along the direction, in lengths of θ."""
Done = Callable[[int], None]


@dataclass(frozen=True)
class Scaled:
    """A direction as long as θ."""

    direction: Params
    unit: float
    """‖θ‖ / ‖direction‖: slopes along it are those by the coordinate times this."""
    buffers: Params
    done: Done

    def at(self, point: Params, step: float) -> Params:
        """A step away from a point."""
        return combine(point, [self.direction], [step * self.unit])

    def slope(self, objective: Objective, point: Params) -> float:
        """∇L·d."""
        return dot(self.direction, gradient(objective, point, self.buffers, self.done)) * self.unit

    def curvature(self, objective: Objective, point: Params) -> float:
        """dᵀH d."""
        found = curvature_along(objective, point, self.direction, self.buffers, self.done)
        return found * self.unit**2


@dataclass(frozen=True)
class OfGroup:
    """dᵀH d and the differences at one point for one group of samples."""

    curvature: float
    quotient: float
    verdict: bool | None
    """True: they agree; False: the differences settle on another number; None: they never settle."""
    step: float


@dataclass(frozen=True)
class Comparison:
    """dᵀH d and the differences, means over the groups that agree; over all that say something where most do not."""

    curvature: float
    quotient: float
    tolerance: float
    passed: bool


def check(result: Certified, reference: Reference) -> Findings:
    """Compare at the origin along each direction; the facts say where nothing can be compared, and why.

    BatchNorm's statistics stay those of the checkpoint.
    """
    point, coordinates = result.anchors[0]
    parameters, buffers = reference.exact.at(coordinates)
    if reference.statistics is not None:
        buffers = reference.statistics(*reference.subspace.at(coordinates), reference.done)
    samples = sum(map(len, reference.groups))
    checks, reasons = [], {}
    for axis, direction in zip(result.axes, reference.exact.directions, strict=True):
        found = compare_along(reference.groups, parameters, direction, buffers, reference.done)
        name = f"dᵀHd along {axis} at {point}"
        if isinstance(found, str):
            reasons[name] = found
            continue
        name += f" (float64, {samples} samples), against differences of the gradient"
        checks.append(Check(KIND, name, found.curvature, found.quotient, found.tolerance, found.passed))
    return [*checks, *_as_said(result, reference)], {"not_checked": reasons} if reasons else {}


def _as_said(result: Certified, reference: Reference) -> list[Check]:
    """Second differences along directions of which settings say what dᵀHd is, where all samples are checked."""
    direction, split = result.direction, next(iter(reference.objectives))
    if direction is None or not direction.curvatures or reference.indices[split] is not None:
        return []
    point, coordinates = result.anchors[0]
    parameters, buffers = reference.subspace.at(coordinates)
    if direction.made_at is not None and result.made_at is not None:
        point, state = direction.made_at, direction.made_at.checkpoint.state()
        parameters, buffers = result.made_at, {name: state[name].to(buffers[name]) for name in buffers if name in state}
    if reference.statistics is not None:
        buffers = reference.statistics(parameters, buffers, reference.done)
    whole = reference.plain(split, "fp64")
    pieces = [whole.part(span) for span in whole.spans()]
    most, checks = max(map(abs, direction.curvatures)), []
    for axis, vector, said in zip(result.axes, reference.exact.directions, direction.curvatures, strict=True):
        along = Scaled(vector, (norm(parameters) or 1.0) / norm(vector), double(buffers), reference.done)
        found, settled = second_difference(along, pieces, double(parameters))
        name = f"second difference (dᵀHd) along {axis} at {point} (float64, {settled:,} of {len(whole):,} samples)"
        checks.append(compare(SAID, name, found, said, BENT[result.precision] * most + FLOOR / along.unit**2))
    return checks


def second_difference(along: Scaled, pieces: Sequence[Objective], point: Params) -> tuple[float, int]:
    """(∇L(θ + h d) − ∇L(θ − h d))·d / 2h, the mean over the samples of all pieces, and how many of them tell it.

    Of a piece whose differences never settle it is dᵀH d.
    """
    total, settled, samples = 0.0, 0, sum(map(len, pieces))
    for piece, found in zip(pieces, _look(along, pieces, point), strict=True):
        settles = found.verdict is not None
        total += len(piece) * (found.quotient if settles else found.curvature)
        settled += len(piece) * settles
    return total / samples / along.unit**2, settled


def compare_along(
    groups: Sequence[Objective], parameters: Params, direction: Params, buffers: Params, done: Done
) -> Comparison | str:
    """Compare along a direction at a point; the reason in words where nothing can be compared.

    groups: float64 objectives of the same net and loss; parameters, buffers: in float64.
    """
    along = Scaled(direction, (norm(parameters) or 1.0) / norm(direction), buffers, done)
    clear: list[OfGroup] = []
    agreeing: list[OfGroup] = []
    try:
        for offset in (0.0, NEARBY):
            point = along.at(parameters, offset)
            clear = [found for found in _look(along, groups, point) if found.verdict is not None] or clear
            agreeing = [found for found in clear if found.verdict]
            if 2 * len(agreeing) > len(clear):
                return _comparison(along, agreeing, True)
        if not clear:
            return "its gradient has kinks, or noise, at every step"
        if 2 * sum(_is_slope(along, group, point) for group in groups) <= len(groups):
            return "the net's gradient is not that of its loss (rounding or detach in its forward pass?)"
        if name := own_backward(groups[0], point, along.buffers):
            return f"the net has a backward pass of its own, {name}, which may have no derivative"
    except RuntimeError as error:  # an operation without a second derivative, or too little memory
        return f"the net cannot be differentiated twice: {(str(error).splitlines() or [''])[0]}"
    return _comparison(along, clear, False)


def _comparison(along: Scaled, found: Sequence[OfGroup], passed: bool) -> Comparison:
    curvature = sum(one.curvature for one in found) / len(found)
    quotient = sum(one.quotient for one in found) / len(found)
    square = along.unit**2
    tolerance = RELATIVE * abs(curvature) + FLOOR
    return Comparison(curvature / square, quotient / square, tolerance / square, passed)


def _look(along: Scaled, groups: Sequence[Objective], point: Params) -> list[OfGroup]:
    found: list[OfGroup] = []
    for group in groups:  # a step that was short enough for one group mostly is for the next
        found.append(_look_at(along, group, point, found[-1].step if found else STEPS[0]))
    return found


def _look_at(along: Scaled, objective: Objective, point: Params, first: float) -> OfGroup:
    """first: the step to begin with; the others follow where it does not do."""
    curvature = along.curvature(objective, point)
    quotients: dict[float, float] = {}
    for step in dict.fromkeys([first, *STEPS]):
        ahead, behind = (along.slope(objective, along.at(point, h)) for h in (step, -step))
        quotients[step] = (ahead - behind) / (2 * step)
        if _close(quotients[step], curvature, RELATIVE):
            return OfGroup(curvature, quotients[step], True, step)
    ordered = [quotients[step] for step in STEPS]
    finite = math.isfinite(curvature) and all(map(math.isfinite, ordered))
    settled = finite and any(_close(a, b, SETTLED) for a, b in pairwise(ordered))
    return OfGroup(curvature, ordered[-1], False if settled else None, STEPS[-1])


def _is_slope(along: Scaled, objective: Objective, point: Params) -> bool:
    """Whether ∇L·d is what differences of the loss say, at one of the steps; kinks hardly change these."""
    slope = along.slope(objective, point)
    for step in STEPS:
        ahead, behind = (
            objective.metrics(along.at(point, h), along.buffers, along.done)["loss"] for h in (step, -step)
        )
        rounding = ROUNDING * max(1.0, abs(ahead)) / step
        if abs((ahead - behind) / (2 * step) - slope) <= SETTLED * abs(slope) + rounding:
            return True
    return False


def _close(value: float, reference: float, relative: float) -> bool:
    if not math.isfinite(value) and not math.isfinite(reference):
        return True
    return abs(value - reference) <= relative * abs(reference) + FLOOR

"""Checks, and those of the losses of a result against the checkpoints' own modules and dense float64."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from lossscape.certificate.reference import Sides
from lossscape.dropout import applied
from lossscape.evaluate.engine import Values
from lossscape.evaluate.subspace import Coordinates
from lossscape.objective import Objective, Precision, joined
from lossscape.runs import Point, split_state
from lossscape.vectors import Params

RELATIVE: dict[Precision, float] = {"fp64": 1e-10, "fp32": 1e-5, "tf32": 5e-2, "bf16": 5e-2}
ABSOLUTE: dict[Precision, float] = {"fp64": 1e-12, "fp32": 1e-9, "tf32": 1e-9, "bf16": 1e-9}
ROUGH = 10.0
"""A loss that is off by more than its tolerance is right where a forward pass in the same precision is off as much:
then it may be off by this many times that. (A loss of 1e-4 at outputs of 1e3 has few digits in fp32 however it is
computed.)"""
DECIDED: dict[Precision, float] = {"fp64": 1e-10, "fp32": 1e-4, "tf32": 5e-2, "bf16": 5e-2}
"""Lead of the largest output over the next, relative to the largest in size, that rounding cannot turn."""
Anchor = tuple[Point, Coordinates]
"""A checkpoint, and where it lies in the subspace."""
Kind = Literal["stored", "module", "dense", "directions", "curvature"]
Done = Callable[[int], None]


@dataclass(frozen=True)
class Check:
    """One comparison."""

    kind: Kind
    name: str
    value: float
    """Of the result."""
    reference: float
    """What it is held against."""
    tolerance: float
    """Largest difference that passes."""
    passed: bool


def compare(
    kind: Kind,
    name: str,
    value: float,
    reference: float,
    tolerance: float,
    rough: Callable[[], float] | None = None,
) -> Check:
    """A check of two numbers; what is not finite agrees with what is not finite.

    rough: the reference computed in the precision of the value, asked for where the two differ: see ROUGH.
    """
    passed = _agree(value, reference, tolerance)
    if not passed and rough is not None:
        plain = rough()
        if math.isfinite(plain) and math.isfinite(reference):
            tolerance += ROUGH * abs(plain - reference)
            passed = _agree(value, reference, tolerance)
        else:
            passed = _agree(value, plain, tolerance)
    return Check(kind, name, value, reference, tolerance, passed)


def _agree(value: float, reference: float, tolerance: float) -> bool:
    if not math.isfinite(value) or not math.isfinite(reference):
        return math.isfinite(value) == math.isfinite(reference)
    return abs(value - reference) <= tolerance


def off_by(reference: float, error: Callable[[str], float], split: str) -> float:
    """A loss with a relative error, which is asked for."""
    return reference * (1 + error(split))


def check_modules(
    sides: Sides,
    anchors: Sequence[Anchor],
    found: Mapping[Coordinates, Values],
    policy: str | None,
) -> list[Check]:
    """Compare the losses at checkpoints with those of the checkpoints' own modules, called plainly in float64.

    found: the engine's values; policy: of BatchNorm: a module keeps its own buffers under `interpolated`, is given
    recomputed statistics under `recompute`, and otherwise the buffers of the first checkpoint.
    """
    checks = []
    first: Params = {}
    device = next(iter(sides.objectives.values())).device
    for point, place in anchors:
        module = point.run.model(point.checkpoint).to(device)
        parameters, buffers = split_state(module)
        first = first or buffers
        if policy != "interpolated":
            buffers = first
        if sides.statistics is not None:
            buffers = sides.statistics(parameters, buffers, sides.done)
        module.double()
        for name, value in module.named_buffers():
            value.copy_(buffers[name])
        error = functools.partial(sides.error, point=place, precision=sides.precision)
        for split, objective in sides.objectives.items():
            loss, reference = found[place][f"{split}_loss"], _plainly(module, objective, sides)["loss"]
            rough = functools.partial(off_by, reference, error, split)
            name = f"{split} loss at {point}, against its own module"
            checks.append(compare("module", name, loss, reference, tolerance(sides, reference), rough))
    return checks


def tolerance(sides: Sides, loss: float) -> float:
    """Largest difference to a loss that the precision of a result explains."""
    return RELATIVE[sides.precision] * abs(loss) + ABSOLUTE[sides.precision]


@torch.no_grad()
def _plainly(module: nn.Module, objective: Objective, sides: Sides) -> dict[str, float]:
    """Metrics of a module in eval mode as anyone would compute them."""
    parts = []
    for start in range(0, len(objective), sides.chunk):
        span = slice(start, start + sides.chunk)
        inputs, targets = objective.inputs[span], objective.targets[span]
        with applied(module, objective.masks_of(span)):
            outputs = module(inputs.double() if inputs.is_floating_point() else inputs)
        parts.append(objective.per_sample(outputs.double(), targets))
        sides.done(len(inputs))
    return objective.means(joined(parts))


def check_dense(
    sides: Sides, points: Sequence[Coordinates], found: Mapping[Coordinates, Values]
) -> list[Check]:
    """Compare losses at points with dense forward passes in float64; of the accuracies the one that differs most."""
    checks = []
    for split in sides.objectives:
        pairs = [_check_dense(sides, split, point, found[point]) for point in points]
        checks += [loss for loss, _ in pairs]
        accuracies = [accuracy for _, accuracy in pairs]
        accuracies.sort(key=lambda check: (check.passed, -abs(check.value - check.reference)))
        checks += accuracies[:1]
    return checks


def _check_dense(sides: Sides, split: str, point: Coordinates, value: Values) -> tuple[Check, Check]:
    """Of the loss and of the accuracy at a point."""
    plain = sides.plain(split, "fp64")
    outputs = sides.outputs(split, point, "fp64")
    values = plain.per_sample(outputs, plain.targets)
    exact = plain.means(values)
    unsure = plain.means(values | {"accuracy": _undecided(outputs, sides.precision)})["accuracy"]
    where = f"({', '.join(f'{coordinate:g}' for coordinate in point)}), against dense fp64"

    def rough() -> dict[str, float]:
        return sides.metrics(split, point, sides.precision)

    return (
        compare(
            "dense", f"{split} loss at {where}", value[f"{split}_loss"], exact["loss"],
            tolerance(sides, exact["loss"]), lambda: rough()["loss"],
        ),
        compare(
            "dense", f"{split} accuracy at {where}", value[f"{split}_accuracy"], exact["accuracy"],
            unsure + 1e-12, lambda: rough()["accuracy"],
        ),
    )  # fmt: skip


def _undecided(outputs: Tensor, precision: Precision) -> Tensor:
    """The samples whose class rounding in a precision may change, [n]."""
    if outputs.shape[1] < 2:
        return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
    largest = outputs.topk(2, dim=1).values
    return ~(largest[:, 0] - largest[:, 1] > DECIDED[precision] * outputs.abs().amax(1))

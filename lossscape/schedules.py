"""Schedules: pure functions factor(epoch, epochs, *, options) that multiply an optimizer's learning rate.

epoch: passed so far, in fractions, from 0 to just under `epochs`; the same numbers always give the same
factor, so a resumed run needs no state of its schedule.
"""

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from lossscape.errors import RunFailed
from lossscape.families import Component, Count, Family, NonNegative, Probability, Rate


class ScheduleOptions(Component):
    """What every schedule shares."""

    warmup_epochs: NonNegative = 0.0
    """Linear warm-up in front: the factor climbs to 1, and the schedule's own epochs count from its end."""


def constant(epoch: float, epochs: float) -> float:
    """1."""
    return 1.0


def step(epoch: float, epochs: float, *, every: Count, gamma: Rate = 0.1) -> float:
    """gamma^⌊epoch / every⌋."""
    return gamma ** (math.floor(epoch) // every)


def multistep(
    epoch: float, epochs: float, *, milestones: Annotated[list[Count], Field(min_length=1)], gamma: Rate = 0.1
) -> float:
    """gamma^(number of milestones ≤ epoch)."""
    return gamma ** sum(milestone <= epoch for milestone in milestones)


def exponential(epoch: float, epochs: float, *, gamma: Rate) -> float:
    """gamma^⌊epoch⌋."""
    return gamma ** math.floor(epoch)


def cosine(epoch: float, epochs: float, *, final: Probability = 0.0) -> float:
    """final + (1 − final) (1 + cos(π epoch / epochs)) / 2, which moves at every step (arXiv:1608.03983)."""
    return final + (1 - final) * (1 + math.cos(math.pi * epoch / epochs)) / 2


SCHEDULES: dict[str, Callable[..., float]] = {
    each.__name__: each for each in (constant, step, multistep, exponential, cosine)
}
FAMILY = Family(SCHEDULES, ScheduleOptions, given=("epoch", "epochs"))


def factor(
    spec: ScheduleOptions, step: int, steps_per_epoch: int, epochs: int, bound: Callable[..., float] | None = None
) -> float:
    """What the learning rate is multiplied by in the optimizer step number `step` (the first is 0).

    bound: what `spec` names, with its options, where that is at hand: to find it takes a hundredth of a small step.

    With a warm-up of w = round(warmup_epochs · steps_per_epoch) steps it is (step + 1) / w in the first w
    steps; from step w on the schedule runs over the epochs that remain, as if training began there.
    Raises RunFailed where a user's function fails or gives no finite factor ≥ 0.
    """
    warmup = round(spec.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    epoch = (step - warmup) / steps_per_epoch
    try:
        value = float((bound or FAMILY.bound(spec))(epoch, epochs - warmup / steps_per_epoch))
    except Exception as error:  # whatever a user's function raises is the user's to read
        raise RunFailed(f"schedule {spec.name!r} failed at epoch {epoch:g}: {type(error).__name__}: {error}") from error
    if not (math.isfinite(value) and value >= 0):
        raise RunFailed(
            f"schedule {spec.name!r} gives the factor {value} at epoch {epoch:g}; it must be finite and ≥ 0"
        )
    return value

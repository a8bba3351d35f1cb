"""The checkpoints of a run in the order in which they were written: after epochs, and after steps within them."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from lossscape.errors import BadInput
from lossscape.results import read_csv
from lossscape.runs import Checkpoint, Point, Run, check_finite, check_state, load_state, split_state
from lossscape.vectors import Params


@dataclass(frozen=True)
class Moment:
    """A checkpoint and when it was written."""

    checkpoint: Checkpoint
    epoch: float
    """A fraction for a step within an epoch; NaN where metrics.csv does not tell."""
    step: int | None
    """None where metrics.csv does not tell."""


def moments_of(run: Run) -> list[Moment]:
    """The checkpoints after epochs and steps of a run, in order; of an epoch's last step only the epoch's.

    Raises BadInput where there is none, or metrics.csv is needed to order them and has no whole epoch.
    """
    found = run.checkpoints()
    epochs = [(c, c.epoch) for c in found if c.epoch is not None]
    steps = [(c, c.step) for c in found if c.step is not None]
    if not epochs and not steps:
        raise BadInput(f"{run.path}: has no checkpoint of an epoch or step, so there is no path")
    length = _steps_of_an_epoch(run)
    if steps and length is None and any(epoch for _, epoch in epochs):
        raise BadInput(f"{run.metrics_file}: has no whole epoch, which steps and epochs are ordered by")
    moments = [Moment(c, float(epoch), epoch * length if length else (None if epoch else 0)) for c, epoch in epochs]
    known = {moment.step for moment in moments}
    moments += [Moment(c, step / length if length else math.nan, step) for c, step in steps if step not in known]
    return sorted(moments, key=lambda m: m.epoch if m.step is None else m.step / (length or 1))


def chosen_moments(points: Sequence[Point], every: bool) -> list[Moment]:
    """The checkpoints at some points of one run, each once, or every one of that run, and when they were written.

    Raises BadInput where they are of several runs.
    """
    run = points[0].run
    for point in points:
        if point.run.path.resolve() != run.path.resolve():
            raise BadInput(f"{point} and {points[0]} are of two runs: give the checkpoints of one at a time")
    if every:
        return moments_of(run)
    found: dict[str, Checkpoint] = {point.checkpoint.label: point.checkpoint for point in points}
    return [Moment(c, math.nan if c.epoch is None else float(c.epoch), c.step) for c in found.values()]


@dataclass(frozen=True)
class Stations:
    """The values of a model at some checkpoints, by their labels."""

    model: nn.Module
    """A scratch copy."""
    moments: Sequence[Moment]

    def moment(self, label: str) -> Moment:
        """The one of a checkpoint."""
        return next(moment for moment in self.moments if moment.checkpoint.label == label)

    def at(self, label: str) -> tuple[Params, Params]:
        """Parameters and buffers of a checkpoint. Raises BadInput where it is of another model."""
        checkpoint = self.moment(label).checkpoint
        load_state(self.model, checkpoint.state(), str(checkpoint.path))
        return split_state(self.model)


def _steps_of_an_epoch(run: Run) -> int | None:
    if not run.metrics_file.exists():
        return None
    table = read_csv(run.metrics_file, live=True)
    whole = table[table["epoch"] > 0].dropna(subset="step") if len(table) else table
    return None if whole.empty else round(whole["step"].iloc[-1] / whole["epoch"].iloc[-1])


def check_values(moments: Sequence[Moment], model: nn.Module) -> None:
    """Raise BadInput that names a checkpoint which does not fit a model, or a parameter in it that is not finite."""
    for moment in moments:
        state, source = moment.checkpoint.state(mapped=True), str(moment.checkpoint.path)
        check_state(model, state, source)
        check_finite(model, state, source)


def settings_of(run: Run, moments: Sequence[Moment]) -> dict[str, Any]:
    """What a result's settings say of a run's checkpoints: how many, and a SHA-256 of theirs."""
    found = hashlib.sha256("\n".join(m.checkpoint.sha256 for m in moments).encode()).hexdigest()
    return {"run": run.name, "checkpoints": len(moments), "sha256": found}


def named(run: Run, moments: Sequence[Moment], every: bool) -> dict[str, Any]:
    """Settings of a result at chosen checkpoints: each, or of every one what `settings_of` says."""
    if every:
        return {"path": settings_of(run, moments)}
    return {"points": [Point(run, moment.checkpoint).settings() for moment in moments]}


def words_of(moments: Sequence[Moment], every: bool) -> list[str]:
    """Chosen checkpoints in the name of a result's folder."""
    if every:
        return ["all"]
    more = [f"and-{len(moments) - 3}-more"] if len(moments) > 3 else []
    return ["-".join(moment.checkpoint.label for moment in moments[:3]), *more]

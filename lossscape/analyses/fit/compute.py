"""A net's outputs at inputs all over the line or the plane: a row for each checkpoint and input."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossscape import trajectory
from lossscape.analyses.fit.check import certify
from lossscape.analyses.fit.request import MOST_POINTS, Request
from lossscape.analyses.fit.result import COORDINATES, FIT, KEYS, SAMPLES
from lossscape.certificate.summary import is_done
from lossscape.data import Data
from lossscape.errors import BadInput
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import check_writable
from lossscape.objective import Objective, Plan
from lossscape.options import words_of
from lossscape.problem import Problem, problem_of
from lossscape.results import write_csv
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import Point, point_of
from lossscape.trajectory import Moment, Stations

USUAL = {1: 201, 2: 41}
"""Inputs along each axis, by the number of axes."""
MOST_SHOWN = 1_000
"""Training samples that are marked."""


def compute(request: Request, execution: Execution) -> Path:
    """Compute what lacks of the rows of a request; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    points = [point_of(each) for each in request.points]
    centre, moments = points[0], _moments(request, points)
    problem = problem_of(centre, request.measured, execution.device)
    inputs = check_inputs(problem.data)
    axes = axes_of(problem.data, inputs, request)
    source = Outputs(objective_of(problem, axes), Stations(problem.model, moments), axes, bool(problem.data.classes))
    trajectory.check_values(moments, problem.model)
    about = problem.settings()
    settings = {
        "analysis": "fit",
        **trajectory.named(centre.run, moments, request.whole),
        "grid": [len(axis) for axis in axes],
        "range": [[float(axis[0]), float(axis[-1])] for axis in axes],
        "outputs": "probabilities" if source.classes else "numbers",
        **{key: about[key] for key in about if key not in ("targets", "split")},
    }
    words = [*trajectory.words_of(moments, request.whole), *words_of(request, measured=[])]
    words += words_of(replace(request.measured))
    folder = centre.run.results("fit") / label(settings, words)
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        if not (folder / SAMPLES).exists():
            write_samples(folder / SAMPLES, problem.data, inputs)
        table = Table(folder, f"{FIT}.csv", KEYS, KEYS[:1], unit="input", by_key=False)
        fill(table, source, once(source.keys), total=len(source.keys), execution=execution)
        if not is_done(folder):
            certify(source, table, centre.run, quiet=execution.quiet)
    return folder


def _moments(request: Request, points: Sequence[Point]) -> list[Moment]:
    """The checkpoints that are asked for, or of a run at most so many frames, evenly."""
    found = trajectory.chosen_moments(points, request.whole)
    if not request.whole or len(found) <= request.frames:
        return found
    chosen = np.linspace(0, len(found) - 1, request.frames).round().astype(int)
    return [found[index] for index in chosen]


def check_inputs(data: Data) -> Tensor:
    """Training inputs [N, 1] or [N, 2] as the net sees them. Raises BadInput for others."""
    inputs = data.train.inputs
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or inputs[0].numel() not in USUAL:
        shape = "several tensors" if not isinstance(inputs, Tensor) else f"of shape {list(inputs.shape[1:])}"
        raise BadInput(
            f"fit: draws what a net makes of one or two numbers, and the inputs are {shape}; take a data set such as "
            "regression_1d or two_moons, or lossscape landscape for the loss"
        )
    if not data.classes and data.outputs < 1:
        raise BadInput("fit: the data has neither classes nor numbers to be learned")
    return inputs.reshape(len(inputs), -1)


def as_given(data: Data, seen: Tensor) -> np.ndarray:
    """Inputs as the data set has them, from what the net sees, float64 [N, D]."""
    values = seen.double().cpu().numpy()
    mean, std = data.facts.get("mean"), data.facts.get("std")
    return values if mean is None else values * np.array(std) + np.array(mean)


def axes_of(data: Data, inputs: Tensor, request: Request) -> list[np.ndarray]:
    """The inputs along each axis, as the data set has them. Raises BadInput for too many."""
    given = as_given(data, inputs)
    count = request.grid or USUAL[given.shape[1]]
    if count ** given.shape[1] > MOST_POINTS:
        raise BadInput(f"--grid {count}: {count}² inputs are more than {MOST_POINTS:,}; take fewer")
    low, high = given.min(0), given.max(0)
    around = request.margin * np.where(high > low, high - low, 1.0)
    return [np.linspace(a, b, count) for a, b in zip(low - around, high + around, strict=True)]


def objective_of(problem: Problem, axes: Sequence[np.ndarray]) -> Objective:
    """The net on the inputs of a grid, the first axis outermost."""
    places = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    mean, std = problem.data.facts.get("mean"), problem.data.facts.get("std")
    seen = places if mean is None else (places - np.array(mean)) / np.array(std)
    shape = problem.data.train.inputs.shape[1:]
    inputs = torch.from_numpy(seen).to(problem.device, torch.float32).reshape(-1, *shape)
    nothing = torch.zeros(len(inputs), dtype=torch.int64, device=problem.device)
    return Objective(
        problem.model, "cross_entropy", inputs, nothing, metrics=(), output=problem.run.output,
        precision=problem.measured.precision,
    )  # fmt: skip


def write_samples(file: Path, data: Data, inputs: Tensor) -> None:
    """Some training samples as a CSV: inputs as the data set has them, and the target, or the first of several."""
    shown = np.unique(np.linspace(0, len(inputs) - 1, MOST_SHOWN).round().astype(int))
    given = as_given(data, inputs)[shown]
    targets = data.train.targets.reshape(len(inputs), -1)[:, 0].cpu().numpy()[shown]
    rows = [[*map(float, place), target.item()] for place, target in zip(given, targets, strict=True)]
    write_csv(file, [*COORDINATES[: given.shape[1]], "target"], rows)


@dataclass
class Outputs:
    """Outputs at the inputs of a grid as rows, those of a checkpoint together."""

    objective: Objective
    stations: Stations
    axes: list[np.ndarray]
    classes: bool
    """Whether outputs are logits, whose probabilities are the values."""

    @cached_property
    def count(self) -> int:
        """How many outputs the net has."""
        return int(self.objective.outputs()[:1].numel())

    @property
    def columns(self) -> tuple[str, ...]:
        """When it is, where, and the outputs."""
        names = [f"{'p' if self.classes else 'output'}_{number}" for number in range(self.count)]
        return ("epoch", "step", *COORDINATES[: len(self.axes)], *names)

    @property
    def keys(self) -> list[Key]:
        """In the order of the checkpoints, then of the grid."""
        places = range(len(self.objective))
        return [(moment.checkpoint.label, place) for moment in self.stations.moments for place in places]

    def together(self, key: Key) -> Key:
        """All of a checkpoint."""
        return key[:1]

    def cost(self, key: Key) -> int:
        """One input."""
        return 1

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some checkpoints, all of each."""
        return [row for (name,), own in groupby(keys, self.together) for row in self._rows(name, len(list(own)), done)]

    def _rows(self, name: str, count: int, done: Done | None) -> list[Row]:
        meter = Meter(done, count)
        moment = self.stations.moment(name)
        values = self.values(self.objective.outputs(*self.stations.at(name)))
        meter.finish()
        when = (None if math.isnan(moment.epoch) else moment.epoch, moment.step)
        places = np.stack(np.meshgrid(*self.axes, indexing="ij"), -1).reshape(len(values), -1).tolist()
        columns = self.columns
        return [
            dict(zip(columns, (*when, *place, *row), strict=True))
            for place, row in zip(places, values.tolist(), strict=True)
        ]

    def values(self, outputs: Tensor) -> Tensor:
        """Probabilities, or the numbers themselves, [N, C] in float64."""
        flat = outputs.double().reshape(len(outputs), -1)
        return torch.softmax(flat, 1) if self.classes else flat

"""Critical points near the checkpoints of a run: a row for each start, and what all of them say together."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from lossscape import seeds, trajectory
from lossscape.analyses.curvature.optimizer import rates_of, weight_decay
from lossscape.analyses.saddles.request import Request
from lossscape.analyses.saddles.result import FILE, KEYS, SAME, SUMMARY, WORDS, Saddles, read, summary_of
from lossscape.analyses.saddles.smooth import check_smooth
from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import check_writable, save_tensors, write_text
from lossscape.objective import Objective, Plan
from lossscape.options import settings_of, words_of
from lossscape.problem import problem_of
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once, watched
from lossscape.runs import point_of
from lossscape.spectra import Hessian
from lossscape.spectra.critical import Found, Scales, search
from lossscape.spectra.explicit import LARGEST
from lossscape.spectra.hessian import ROWS
from lossscape.spectra.points import kind_of
from lossscape.trajectory import Stations
from lossscape.vectors import Params


def compute(request: Request, execution: Execution) -> Path:
    """Search from every start that lacks a row; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    points = [point_of(each) for each in request.points]
    centre, moments = points[0], trajectory.chosen_moments(points, request.every)
    problem = problem_of(centre, request.measured, execution.device)
    decay = weight_decay(centre.run, problem.model) if request.weight_decay == "include" else {}
    (objective,) = problem.objectives().values()
    searches = Searches(request, objective.part(slice(None)), Stations(problem.model, moments), decay)
    if searches.n > LARGEST:
        raise BadInput(
            f"saddles: the net has {searches.n:,} parameters; index and Newton's method take all eigenvalues of the "
            f"Hessian, which is written down for {LARGEST:,} at most. `lossscape curvature` says of larger nets what "
            "kind of point a checkpoint is"
        )
    trajectory.check_values(moments, problem.model)
    check_smooth(searches.objective)
    own = {key: value for key, value in settings_of(request).items() if key not in ("points", "keep")}
    settings = {
        "analysis": "saddles",
        **trajectory.named(centre.run, moments, request.every),
        **own,
        **({"lambda": sorted(set(decay.values()))} if request.weight_decay == "include" else {}),
        "parameters": searches.n,
        **problem.settings(),
    }
    words = [*trajectory.words_of(moments, request.every), *words_of(replace(request, measured=problem.named(centre)))]
    folder = centre.run.results("saddles") / label(settings, words)
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        table = Table(folder, FILE, KEYS, WORDS, unit="start", by_key=False)
        fill(table, searches, once(searches.keys), total=len(searches.keys), execution=execution)
        write_text(folder / SUMMARY, json.dumps(summary_of(read(folder)), indent=2) + "\n")
        if request.keep:
            keep(read(folder), searches, execution.quiet)
    return folder


def keep(found: Saddles, searches: "Searches", quiet: bool) -> None:
    """Write the distinct critical points that are not kept yet as checkpoints in float64, found once more.

    Raises Interrupted, or RunFailed where a point is not found again.
    """
    lacking = [(row, file) for row, file in found.files() if not file.exists()]
    if not lacking:
        return
    cost = searches.cost(())
    with watched("keeping points", len(lacking), cost, quiet=quiet) as done:
        for row, file in lacking:
            meter = Meter(done, cost)
            function, found_again = searches.found((row[KEYS[0]], row[KEYS[1]], int(row[KEYS[2]])), meter)
            point = found_again.at.point
            if abs(function.loss(point) - row["loss"]) > SAME * abs(row["loss"]):
                raise RunFailed(f"{file}: the point was not found again, on another machine perhaps; use --overwrite")
            meter.finish()
            values = function.hessian.named(point) | function.buffers
            save_tensors(file, {name: value.cpu().clone() for name, value in values.items()})


@dataclass
class Searches:
    """The critical point that is found from each start, as rows."""

    request: Request
    objective: Objective
    """In float64."""
    stations: Stations
    decay: dict[str, float]
    """λ by parameter, of those whose λ/2·‖θ‖² is part of the objective."""
    columns = (
        "epoch", "step", "start_loss", "start_gradient_norm", "loss", "gradient_norm", "newton_step", "newton_gain",
        "gradient_curvature", "converged", "negative", "flat", "index_fraction", "smallest", "largest", "length",
        "distance", "descent_steps", "newton_steps", "kind",
    )  # fmt: skip

    @property
    def keys(self) -> list[Key]:
        """Checkpoint, size and number of each displacement; the checkpoint itself has size 0."""
        request, labels = self.request, [moment.checkpoint.label for moment in self.stations.moments]
        moved = [(size, number) for size in request.sizes for number in range(request.displacements)]
        return [(each, size, number) for each in labels for size, number in [(0.0, 0), *moved]]

    @cached_property
    def n(self) -> int:
        """Parameters."""
        return sum(value.numel() for value in self.objective.parameters().values())

    @cached_property
    def decays(self) -> Tensor:
        """λ of each number of the parameters [n]."""
        return rates_of(self.decay, self.objective.parameters())

    @cached_property
    def loss_scale(self) -> float:
        """The loss of outputs that are all 0; 1 where that is no scale."""
        return self.objective.loss_scale()

    def cost(self, key: Key) -> int:
        """Samples in the backward passes of a row that takes all its steps."""
        request, passes = self.request, -(-self.n // ROWS)
        return len(self.objective) * (request.descent_steps + (request.newton_steps + 1) * passes + 1)

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some starts."""
        return [self._row(key, done) for key in keys]

    def _row(self, key: Key, done: Done | None) -> Row:
        request, meter = self.request, Meter(done, self.cost(key))
        function, found = self.found(key, meter)
        start, at, index = found.start, found.at, found.at.index
        moment = self.stations.moment(key[0])
        values = (
            None if moment.epoch != moment.epoch else moment.epoch, moment.step, function.loss(start),
            float(function(start).gradient.norm()), function.loss(at.point), float(at.gradient.norm()),
            at.newton_step, at.newton_gain, at.gradient_curvature, int(at.converged), index.negative, at.flat,
            index.negative / self.n, float(at.values[0]), float(at.values[-1]), float(at.point.norm()),
            float((at.point - start).norm()), found.descent_steps, found.newton_steps,
            kind_of(index, at.newton_step, at.newton_gain, request.tolerance),
        )  # fmt: skip
        meter.finish()
        return dict(zip(self.columns, values, strict=True))

    def found(self, key: Key, done: Done | None = None) -> "tuple[Function, Found]":
        """What a search ends at, and the function that was searched."""
        function, start, scales = self.begun(key, done)
        steps = {"descent_steps": self.request.descent_steps, "newton_steps": self.request.newton_steps}
        return function, search(function, start, scales, **steps)

    def begun(self, key: Key, done: Done | None = None) -> "tuple[Function, Tensor, Scales]":
        """What is searched: the function, the start [n], and what is small."""
        parameters, buffers = self.stations.at(key[0])
        function = Function(Hessian(self.objective, parameters, buffers, done=done), self.decays, buffers)
        start = self._start(key, function.hessian.flat(parameters))
        return function, start, Scales(self.request.tolerance, float(start.norm()) or 1.0, self.loss_scale)

    def _start(self, key: Key, centre: Tensor) -> Tensor:
        """A checkpoint [n], displaced: ‖θ − centre‖ = size ‖centre‖, in a direction drawn for this start alone."""
        checkpoint, size, number = key
        if not size:
            return centre
        generator = seeds.generator(self.request.seed, "displacement", checkpoint, repr(float(size)), number)
        drawn = torch.randn(self.n, generator=generator, dtype=torch.float64).to(centre)
        return centre + drawn * (size * float(centre.norm()) / float(drawn.norm()))


@dataclass(frozen=True)
class Function:
    """The mean loss, with weight decay, as a function of all parameters [n]."""

    hessian: Hessian
    """At some point."""
    decays: Tensor
    buffers: Params

    def __call__(self, point: Tensor) -> "Here":
        """Its derivatives at a point."""
        return Here(self.hessian.at(self.hessian.named(point)), self.decays, point)

    def loss(self, point: Tensor) -> float:
        """Its value."""
        found = self.hessian.objective.metrics(self.hessian.named(point), self.buffers)["loss"]
        return found + float((self.decays * point.square()).sum()) / 2


@dataclass(frozen=True)
class Here:
    """Derivatives of the mean loss with weight decay at a point."""

    hessian: Hessian
    decays: Tensor
    point: Tensor

    @cached_property
    def gradient(self) -> Tensor:
        """[n]"""
        return self.hessian.gradient() + self.decays * self.point

    def product(self, vector: Tensor) -> Tensor:
        """H v."""
        return self.hessian @ vector + self.decays * vector

    def matrix(self) -> Tensor:
        """H [n, n]."""
        return self.hessian.matrix() + torch.diag(self.decays)


__all__ = ["Searches", "compute"]

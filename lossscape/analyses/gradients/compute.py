"""The flow of gradients at the checkpoints of a run: a row for each checkpoint and layer."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from torch import nn

from lossscape import trajectory
from lossscape.analyses.gradients.check import certify
from lossscape.analyses.gradients.request import Request
from lossscape.analyses.gradients.result import GRADIENTS, KEYS, MEASURED
from lossscape.certificate.summary import is_done
from lossscape.derivatives import gradient
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import check_writable
from lossscape.modules import ROOT, layer_of, tensor_in
from lossscape.objective import Objective, Plan
from lossscape.options import words_of
from lossscape.problem import problem_of
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import point_of
from lossscape.trajectory import Stations
from lossscape.vectors import Params, double, norm, subtract

PARAMETRIZED = ".parametrizations."
"""In the name of a layer that holds the parts of another one's weight."""


def compute(request: Request, execution: Execution) -> Path:
    """Compute what lacks of the rows of a request; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    points = [point_of(each) for each in request.points]
    centre, moments = points[0], trajectory.chosen_moments(points, request.every)
    problem = problem_of(centre, request.measured, execution.device)
    (objective,) = problem.objectives().values()
    source = Flow(objective.part(slice(None)), Stations(problem.model, moments))
    settings = {
        "analysis": "gradients",
        **trajectory.named(centre.run, moments, request.every),
        "weight_decay": "exclude",
        **problem.settings(),
    }
    words = [*trajectory.words_of(moments, request.every), *words_of(replace(request, measured=problem.named(centre)))]
    folder = centre.run.results("gradients") / label(settings, words)
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        table = Table(folder, f"{GRADIENTS}.csv", KEYS, KEYS, unit="row", by_key=False)
        fill(table, source, once(source.keys), total=len(source.keys), execution=execution)
        if not is_done(folder):
            certify(source, table, centre.run, quiet=execution.quiet)
    return folder


@dataclass
class Flow:
    """Norms by layer as rows, those of a checkpoint together."""

    objective: Objective
    stations: Stations
    columns = ("epoch", "step", "parameters", *MEASURED)

    @cached_property
    def layers(self) -> dict[str, list[str]]:
        """Names of the parameters of each layer, in the order of the net."""
        found: dict[str, list[str]] = {}
        for name in self.objective.parameters():
            found.setdefault(layer_of(name), []).append(name)
        return found

    @property
    def keys(self) -> list[Key]:
        """In the order of the checkpoints."""
        return [(moment.checkpoint.label, layer) for moment in self.stations.moments for layer in self.layers]

    def together(self, key: Key) -> Key:
        """All of a checkpoint."""
        return key[:1]

    def cost(self, key: Key) -> int:
        """Samples of the one pass, shared among the layers."""
        return max(len(self.objective) // len(self.layers), 1)

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some checkpoints, all of each."""
        return [row for (name,), own in groupby(keys, self.together) for row in self._rows(name, len(list(own)), done)]

    def _rows(self, name: str, count: int, done: Done | None) -> list[Row]:
        meter = Meter(done, count * self.cost(()))
        before = self._before(name)
        parameters, buffers = self.stations.at(name)
        with activations(self.objective.model, self.layers) as sizes:
            slopes = gradient(self.objective, parameters, buffers, meter)
        meter.finish()
        moved = subtract(double(parameters), before) if before else None
        moment = self.stations.moment(name)
        when = (None if math.isnan(moment.epoch) else moment.epoch, moment.step)
        rows = []
        for layer, names in self.layers.items():
            of_layer = partial(_norm_of, names)
            values = (
                *when, sum(parameters[each].numel() for each in names), of_layer(slopes), of_layer(parameters),
                of_layer(moved) if moved else None, sizes[layer].value,
            )  # fmt: skip
            rows.append(dict(zip(self.columns, values, strict=True)))
        return rows

    def _before(self, name: str) -> Params | None:
        """The parameters of the checkpoint before, in float64."""
        labels = [moment.checkpoint.label for moment in self.stations.moments]
        if not (index := labels.index(name)):
            return None
        return {key: value.double().clone() for key, value in self.stations.at(labels[index - 1])[0].items()}


def _norm_of(names: Sequence[str], values: Params) -> float:
    return norm({name: values[name] for name in names})


@dataclass
class Size:
    """The root mean square of what passes by."""

    squares: float = 0.0
    count: int = 0

    def add(self, module: nn.Module, given: Any, output: Any) -> None:
        """A forward hook."""
        tensor = tensor_in(output)
        if tensor is not None:
            self.squares += float(tensor.detach().double().square().sum())
            self.count += tensor.numel()

    @property
    def value(self) -> float | None:
        """None where nothing has passed."""
        return math.sqrt(self.squares / self.count) if self.count else None


@contextmanager
def activations(model: nn.Module, layers: Sequence[str] | dict[str, list[str]]) -> Iterator[dict[str, Size]]:
    """The sizes of what layers give, of all passes within the context; of a recurrent layer its outputs alone.

    A layer that nobody calls (as a weight's parts, or what attention takes the weights of) has none.
    """
    sizes, hooks = {layer: Size() for layer in layers}, []
    for layer, size in sizes.items():
        module = model.get_submodule("" if layer == ROOT else layer.partition(PARAMETRIZED)[0])
        hooks.append(module.register_forward_hook(size.add))
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()

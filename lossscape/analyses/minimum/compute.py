"""A true minimum: the training inputs relabelled by a trained net, and what loss and gradient are there.

Algorithm 1 of Wang and Thawonmas; see `targets`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lossscape import manifest
from lossscape.analyses.grids import Ranges
from lossscape.analyses.landscape import compute as landscape
from lossscape.analyses.minimum.request import Request
from lossscape.analyses.tolerance import AUTO
from lossscape.derivatives import gradient
from lossscape.directions import Asked
from lossscape.evaluate import Outputs
from lossscape.evaluate.rows import Done, Key, Row
from lossscape.execution import Execution
from lossscape.files import check_writable, save_tensors
from lossscape.objective import Objective, Plan
from lossscape.options import words_of
from lossscape.problem import Problem, problem_of
from lossscape.results import read_surface
from lossscape.results.folder import SUMMARY, TARGETS, label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import Point, point_of
from lossscape.vectors import norm


def compute(request: Request, execution: Execution) -> Path:
    """Relabel a run's training inputs with a checkpoint's outputs; returns the result's folder.

    Writes targets.pt ({"targets": [N] classes or [N, C] log-probabilities}) and summary.csv, a row for the data's
    labels and one for the targets. The grids of a result that exists are completed. Raises BadInput, RunFailed or
    Interrupted.
    """
    centre = point_of(request.centre)
    labelled = problem_of(centre, request.measured, execution.device)
    relabelled = labelled.held_against(request.targets, centre)
    problems = {"labels": labelled, request.targets: relabelled}
    outputs = Outputs()
    if request.tolerance == AUTO:
        first = landscape.Around.of(_plane(request, centre), execution, landscape.Shared(labelled))
        request = replace(request, tolerance=landscape.together([first]))
    plane = _plane(request, centre)
    surfaces = {
        targets: landscape.compute(plane, execution, landscape.Shared(problem, outputs=outputs))
        for targets, problem in problems.items()
    }
    settings = {
        "analysis": "minimum",
        "centre": centre.settings(),
        "grid": [request.grid, request.grid],
        "range": [-request.reach, request.reach],
        **({"tolerance": request.tolerance} if isinstance(request.tolerance, float) else {}),
        "seed": request.seed,
        **relabelled.settings(),
        "batch_norm": None,  # the centre's own
    }
    named = replace(request, measured=replace(request.measured, batch_norm=None))
    folder = centre.run.results("minimum") / label(settings, [centre.checkpoint.label, *words_of(named)])
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        if (folder / TARGETS).exists():
            manifest.check(folder / TARGETS)
        else:
            assert relabelled.relabelled is not None
            made = relabelled.relabelled(relabelled.data.train.inputs)
            save_tensors(folder / TARGETS, {"targets": made.cpu()})
        source = Centre(problems, centre, surfaces)
        keys: list[Key] = [(targets,) for targets in problems]
        table = Table(folder, SUMMARY, ["targets"], ["targets"], unit="target", by_key=False)
        fill(table, source, once(keys), total=len(keys), execution=execution.here)
    return folder


def _plane(request: Request, centre: Point) -> landscape.Request:
    ranges = Ranges((-float(request.reach), float(request.reach)))
    grid, asked = (request.grid, request.grid), Asked(seed=request.seed)
    return landscape.Request(centre, grid=grid, tolerance=request.tolerance, ranges=ranges, asked=asked)


@dataclass(frozen=True)
class Centre:
    """Rows by targets: losses and gradient at a centre, and the lowest point of a plane around it."""

    problems: Mapping[str, Problem]
    centre: Point
    surfaces: Mapping[str, Path]

    @cached_property
    def objectives(self) -> dict[str, Objective]:
        """By targets."""
        return {targets: problem.objectives()["train"] for targets, problem in self.problems.items()}

    @property
    def columns(self) -> list[str]:
        """Of summary.csv, behind the targets."""
        metrics = next(iter(self.objectives.values())).columns
        return [*metrics, "gradient_norm", "lowest_loss", "lowest_x", "lowest_y", "points_below"]

    def cost(self, key: Key) -> int:
        """Samples of a pass for the losses and one for the gradient."""
        return 2 * len(self.objectives[key[0]])

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some targets."""
        return [self._row(targets, done) for (targets,) in keys]

    def _row(self, targets: str, done: Done | None) -> Row:
        parameters, buffers = self.problems[targets].values(self.centre)
        objective = self.objectives[targets]
        metrics = objective.metrics(parameters, buffers, done)
        slope = norm(gradient(objective, parameters, buffers, done))
        surface = read_surface(self.surfaces[targets])
        table = surface.table[~surface.predicted]  # a prediction is no proof of a lower loss
        losses = table["train_loss"].to_numpy()
        at_centre = ((table["x"] == 0) & (table["y"] == 0)).to_numpy()
        lowest = table.iloc[int(losses.argmin())]
        return metrics | {
            "gradient_norm": slope,
            "lowest_loss": float(lowest["train_loss"]),
            "lowest_x": float(lowest["x"]),
            "lowest_y": float(lowest["y"]),
            "points_below": int((losses < losses[at_centre]).sum()),
        }

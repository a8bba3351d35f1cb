"""A true minimum: the training inputs relabelled by a trained net, and what loss and gradient are there.

Algorithm 1 of Wang and Thawonmas; see `targets`.
"""

from pathlib import Path
from typing import Any

from lossscape.analyses.landscape.compute import around
from lossscape.analyses.minimum.result import FILE, PLANE
from lossscape.derivatives import gradient
from lossscape.directions import Asked, choose
from lossscape.errors import BadInput
from lossscape.evaluate import Outputs
from lossscape.files import check_writable, save_tensors
from lossscape.objective import Objective
from lossscape.problem import Problem, problem_of, relabelled_problem
from lossscape.results import read_surface, write_csv
from lossscape.results import table as folder
from lossscape.results.table import How
from lossscape.runs import Point
from lossscape.targets import Targets
from lossscape.vectors import norm

TARGETS = "targets.pt"


def minimum(
    centre: Point,
    *,
    targets: Targets = "soft",
    grid: int = 11,
    reach: float = 0.1,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    quiet: bool = True,
) -> Path:
    """Relabel a run's training inputs with a checkpoint's outputs; returns the result's folder.

    targets: hard or soft; grid, reach, seed: of a filter-normalised random plane around the centre, from −reach to
    reach, whose lowest points are told. Writes targets.pt ({"targets": [N] classes or [N, C] log-probabilities}) and
    summary.csv, a row for the data's labels and one for the targets. A result that exists is left as it is, the grids
    of an unfinished one are completed. Raises BadInput, RunFailed or Interrupted.
    """
    if targets == "labels":
        raise BadInput("--targets labels: a minimum is of the net's own outputs; give hard or soft")
    if grid % 2 == 0:
        raise BadInput(f"--grid {grid}: give an odd number, so that the centre lies on the grid")
    labelled = problem_of(centre, device)
    relabelled = relabelled_problem(labelled, targets, centre)
    outputs, direction, ends = Outputs(), choose(centre, 2, Asked(seed=seed)), [-float(reach), float(reach)]
    planes = {
        kind: around(
            centre, problem, direction, grid=(grid, grid), ranges={"x_range": ends, "y_range": ends},
            outputs=outputs, how=How(quiet=quiet), overwrite=overwrite,
        )
        for kind, problem in (("labels", labelled), (targets, relabelled))
    }  # fmt: skip
    settings: dict[str, Any] = {
        "analysis": "minimum", "centre": centre.settings(),
        "grid": [grid, grid], "range": [-reach, reach], "seed": seed,
        **relabelled.settings("train", "fp32", None),
    }  # fmt: skip
    words = [centre.checkpoint.label, targets]
    words += (
        [f"{grid}x{grid}"] * (grid != 11)
        + [f"reach-{reach:g}"] * (reach != 0.1)
        + [f"seed{seed}"] * (seed != 0)
    )
    place = centre.run.results("minimum") / folder.label(settings, words)
    check_writable(place)
    with folder.open_folder(place, settings, overwrite=overwrite):
        if (place / FILE).exists() and (place / TARGETS).exists():
            return place
        assert relabelled.relabelled is not None
        save_tensors(place / TARGETS, {"targets": relabelled.relabelled(relabelled.data.train.inputs).cpu()})
        rows = []
        for kind, problem in (("labels", labelled), (targets, relabelled)):
            objective = problem.objectives("train", "fp32")["train"]
            rows.append(_at(kind, problem, objective, centre, planes[kind], quiet))
        write_csv(place / FILE, rows[0], [row.values() for row in rows])
    return place


def _at(
    kind: str, problem: Problem, objective: Objective, centre: Point, plane: Path, quiet: bool
) -> dict[str, Any]:
    """The loss, other metrics and gradient at the centre, and the lowest point of its plane."""
    parameters, buffers = problem.values(centre, "fp32")
    with folder.watched(f"{kind}: loss and gradient", 2, len(objective), quiet=quiet) as done:
        metrics = objective.metrics(parameters, buffers, done)
        slope = norm(gradient(objective, parameters, buffers, done))
    table = read_surface(plane).table
    losses = table["train_loss"].to_numpy()
    lowest = int(losses.argmin())
    x, y = (float(table[axis].to_numpy()[lowest]) for axis in ("x", "y"))
    below = int((losses < losses[((table["x"] == 0) & (table["y"] == 0)).to_numpy()]).sum())
    found = dict(zip(PLANE, (slope, float(losses[lowest]), x, y, below), strict=True))
    return {"targets": kind, **metrics, **found}

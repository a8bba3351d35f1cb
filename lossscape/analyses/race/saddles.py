"""Races from the saddles of a net: in all of its parameters, from critical points that `lossscape saddles` kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossscape import seeds
from lossscape.analyses.curvature.optimizer import rates_of, weight_decay
from lossscape.analyses.race.course import Course, digits, settings_of
from lossscape.analyses.race.descents import Descents
from lossscape.analyses.race.grounds import Whole, flat
from lossscape.analyses.race.methods import chosen
from lossscape.analyses.race.request import Request
from lossscape.analyses.race.result import AWAY
from lossscape.analyses.saddles.result import Saddles
from lossscape.analyses.saddles.result import read as read_saddles
from lossscape.directions import Asked
from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.options import words_of
from lossscape.problem import Problem, problem_of
from lossscape.results.folder import label
from lossscape.runs import Checkpoint, Point, load_state, split_state

STEPS = 500
STRIDE = 1e-3
"""Learning rate of methods whose steps are about as long as it is."""
FAR = 10.0
"""The distance at which a descent is ended, as a part of ‖θ‖."""


def from_saddles(request: Request, execution: Execution, run: Point) -> Course:
    """A race from every kept saddle, some eigenvalue of whose Hessian is negative. Raises BadInput."""
    if request.start or request.grid or request.asked != Asked() or request.ranges.spans != (None, None):
        raise BadInput(
            "--saddles: methods descend in all parameters, so leave --start, --grid, ranges and directions out"
        )
    found = read_saddles(Path(str(request.saddles)))
    kept = [(row, Checkpoint(file)) for row, file in found.files() if row["negative"] > 0 and file.exists()]
    if not kept:
        raise BadInput(f"{request.saddles}: no saddle is kept there: run `lossscape saddles … --keep` again")
    measured = replace(request.measured, precision="fp64")
    problem = problem_of(run, measured, execution.device)
    _check_same(problem, found, request.saddles)
    decay = weight_decay(run.run, problem.model) if found.settings["weight_decay"] == "include" else {}
    (objective,) = problem.objectives().values()
    points, bent = [], []
    for _, checkpoint in kept:
        load_state(problem.model, checkpoint.state(), str(checkpoint.path))
        values = {name: checkpoint.state()[name].double().to(problem.device) for name in split_state(problem.model)[0]}
        points.append(flat(values))
    _, buffers = split_state(problem.model)
    function = Whole(objective.part(slice(None)), values, buffers, rates_of(decay, values))
    bent = [torch.linalg.eigh(function.matrix(point)) for point in points]
    most = max(float(each.eigenvalues.abs().max()) for each in bent)
    methods = chosen(request.methods, digits(0.2 / most), STRIDE)
    count, steps = request.starts or 1, request.steps or STEPS
    starts = [(number, again) for number in range(len(points)) for again in range(count)]
    of_net = problem.settings()
    settings = {
        "analysis": "race",
        "surface": run.settings(),
        "saddles": [
            {"file": each.path.name, "sha256": each.sha256, "negative": int(row["negative"]), "loss": row["loss"],
             "smallest": row["smallest"]}
            for row, each in kept
        ],
        **settings_of(request, methods, starts, steps),
        "displace": request.displace,
        "weight_decay": found.settings["weight_decay"],
        **({"lambda": found.settings["lambda"]} if decay else {}),
        **of_net,
    }  # fmt: skip
    named = replace(request, measured=problem.named(run), steps=None if steps == STEPS else steps)
    levels = [function.value(point) for point in points]
    goal = {
        "minima": [], "others": [], "radius": 0.0,
        "leave": [AWAY * float(points[number].norm()) for number, _ in starts],
        "levels": [levels[number] for number, _ in starts],
    }  # fmt: skip
    descents = Descents(
        methods,
        [_displaced(request, points[number], kept[number][1].label, again) for number, again in starts],
        function,
        [bent[number].eigenvectors[:, [0, -1]].T for number, _ in starts],
        [points[number] for number, _ in starts],
        [FAR * float(points[number].norm()) for number, _ in starts],
        steps, request.noise, request.seed, request.clip_norm, len(objective),
    )  # fmt: skip
    return Course(run.run.results("races") / label(settings, words_of(named)), settings, descents, goal)


def _displaced(request: Request, point: Tensor, name: str, again: int) -> Tensor:
    """A saddle [n], moved by its part of ‖θ‖ in a direction drawn for this start."""
    generator = seeds.generator(request.seed, "race-displacement", name, again)
    drawn = torch.randn(len(point), generator=generator, dtype=torch.float64).to(point)
    return point + drawn * (request.displace * float(point.norm()) / float(drawn.norm()))


def _check_same(problem: Problem, found: Saddles, folder: Any) -> None:
    """Raise BadInput where the saddles are of another loss than the one that is descended."""
    for key, value in problem.settings().items():
        if found.settings.get(key) != value:
            raise BadInput(
                f"{folder}: its saddles are of {key} {found.settings.get(key)}, and this race of {value}: name "
                "the same run, with the options of `lossscape saddles`"
            )

"""Descent paths over a plane: where checkpoints are projected to, how far off they lie, and which loss they have.

A picture of a path over a surface shows a shadow: the loss of the surface below is not that of the checkpoint unless
the checkpoint lies in the plane. So both are computed, and the distance off the plane beside that within it.
"""

import copy
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lossscape import trajectory
from lossscape.evaluate import Work
from lossscape.evaluate.rows import Done, Key, Row
from lossscape.execution import Execution
from lossscape.files import write_text
from lossscape.objective import Plan
from lossscape.problem import Problem
from lossscape.results import write_csv
from lossscape.results.engine import PlannedEngine
from lossscape.results.folder import PATH, PATH_COORDINATES, PATH_FACTS, PATHS
from lossscape.results.table import Table, fill, once, pays
from lossscape.runs import Run, load_state, split_state
from lossscape.trajectory import Moment, moments_of
from lossscape.vectors import Params, norm
from lossscape.vectors.between import between
from lossscape.vectors.project import inner_products, project

DIFFERENCES = "_difference_stderr"
"""Columns of a subset that a path has not."""


@dataclass
class Projected:
    """Checkpoints over a plane, as rows by epoch and step: where each lies and which losses it has."""

    moments: Sequence[Moment]
    work: Work
    products: np.ndarray
    model: nn.Module = field(repr=False)
    """A scratch copy."""

    @property
    def columns(self) -> list[str]:
        """Coordinates and distances, the checkpoint's own metrics, those of the plane below it."""
        metrics = [name for name in self.work.columns if not name.endswith(DIFFERENCES)]
        return [*PATH_COORDINATES[2:], *metrics, *(f"plane_{name}" for name in metrics)]

    @property
    def keys(self) -> list[Key]:
        """Epoch and step of every checkpoint; None where one is not known."""
        return [key_of(moment) for moment in self.moments]

    def cost(self, key: Key) -> int:
        """Samples that pass through the net for a checkpoint: at it, and at its projection."""
        return self.work.samples + self.work.cost(key)

    def rows(self, keys: Sequence[Key], plan: Plan, done: Done | None = None) -> list[Row]:
        """The rows of some checkpoints."""
        numbers = {key: number for number, key in enumerate(self.keys)}
        found = [self._row(numbers[key], done) for key in keys]
        below = self.work.rows([(row["x"], row["y"]) for row in found], plan, done)
        return [
            row | {f"plane_{name}": value for name, value in plane.items() if not name.endswith(DIFFERENCES)}
            for row, plane in zip(found, below, strict=True)
        ]

    def _row(self, number: int, done: Done | None) -> Row:
        """Where a checkpoint lies, how far it moved from the one before it, and its own metrics."""
        parameters, buffers = self._values(number)
        subspace = self.work.subspace
        spot, off = project(subspace.origin, subspace.directions, self.products, parameters)
        inside = math.sqrt(max(float(spot @ self.products @ spot), 0.0))
        before = self._values(number - 1)[0] if number else None
        moved = norm(between(before, parameters)) if before is not None else 0.0
        x, y = spot.tolist()
        own = {
            f"{split}_{name}": value
            for split, objective in self.work.objectives.items()
            for name, value in objective.metrics(parameters, buffers, done).items()
            if not name.endswith(DIFFERENCES)
        }
        return {"x": x, "y": y, "off_plane": off, "in_plane": inside, "moved": moved} | own

    def _values(self, number: int) -> tuple[Params, Params]:
        """Parameters and buffers of a checkpoint. Raises BadInput where it is of another model."""
        checkpoint = self.moments[number].checkpoint
        load_state(self.model, checkpoint.state(), str(checkpoint.path))
        return split_state(self.model)


def key_of(moment: Moment) -> Key:
    """What tells a checkpoint from the others of its run, as path.csv has it."""
    return (None if math.isnan(moment.epoch) else moment.epoch, moment.step)


def trace(problem: Problem, folder: Path, work: Work, plan: Plan, runs: Sequence[Run], execution: Execution) -> None:
    """Project the checkpoints of runs onto the plane of a result; writes path.csv and path.json.

    work, plan: the result's own, which give the plane's losses; the true ones are those of the checkpoint's
    parameters and its own BatchNorm statistics on the same samples and targets. Every run has a table of its own below
    paths/. Raises BadInput where a run is of another model, or Interrupted.
    """
    runs = list({run.path.resolve(): run for run in runs}.values())
    names = [run.name for run in runs]
    names = [f"{n} ({names[: i + 1].count(n)})" if names.count(n) > 1 else n for i, n in enumerate(names)]
    products = inner_products(work.subspace.directions)
    seconds = 2 * (PlannedEngine(folder, work, execution).seconds or math.inf)  # at a checkpoint and below it
    facts: list[dict[str, Any]] = []
    lines: list[list[Any]] = []
    for run, name in zip(runs, names, strict=True):
        moments = moments_of(run)
        source = Projected(moments, work, products, copy.deepcopy(problem.model))
        known = trajectory.settings_of(run, moments) | {"run": name, "unlike": _unlike(problem.run, run)}
        slug = re.sub(r"[^\w.+]+", "-", run.name).strip("-")[:60]
        where = execution if pays(execution, work, len(moments) * seconds, plan, seconds) else execution.here
        rows = fill(
            Table(folder / PATHS, f"{slug}-{known['sha256'][:8]}.csv", PATH_COORDINATES[:2], live=f".{slug}.live.csv",
                  unit="checkpoint", title=f"path of {name}", by_key=False),
            source, once(source.keys),
            total=len(moments), execution=where, plan=plan,
        )  # fmt: skip
        coordinates = np.array([[row[column] for column in PATH_COORDINATES[2:]] for row in rows.values()])
        facts.append(known | summary(coordinates, products))
        for moment, (key, row) in zip(moments, rows.items(), strict=True):
            lines.append([name, moment.checkpoint.label, *key, *row.values()])
    columns = ["run", "checkpoint", *PATH_COORDINATES[:2], *source.columns]
    write_csv(folder / PATH, columns, lines)
    content = {"runs": facts, "inner_products": products.tolist()}
    write_text(folder / PATH_FACTS, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _unlike(run: Run, other: Run) -> list[str]:
    """What tells the data and loss that another run was trained with from those of the plane."""
    ours, theirs = (each.sections() for each in (run, other))
    return [
        f"{section}.{key}"
        for section in ("dataset", "loss")
        for key in {**ours[section], **theirs[section]}
        if key not in ("root", "mmap", "augment") and ours[section].get(key) != theirs[section].get(key)
    ]


def summary(projected: np.ndarray, products: np.ndarray) -> dict[str, Any]:
    """How much of a path lies in a plane, from x, y, off_plane, in_plane and moved [K, 5].

    share_of_length: of Σ‖θₖ₊₁ − θₖ‖, that of the projections; share_of_squares: of Σ‖θₖ − θ₀‖² around the centre;
    extent: the largest distance between two projections; farthest_off: the largest distance off the plane; None where
    the path has no length.
    """
    spots, off, inside, moved = projected[:, :2], projected[:, 2], projected[:, 3], projected[:, 4]
    root = np.linalg.cholesky(products)
    spots = spots @ root
    steps = np.linalg.norm(np.diff(spots, axis=0), axis=1).sum()
    whole = (off**2 + inside**2).sum()
    return {
        "share_of_length": float(steps / moved.sum()) if moved.sum() else None,
        "share_of_squares": float((inside**2).sum() / whole) if whole else None,
        "extent": max(float(np.linalg.norm(spots - spot, axis=1).max()) for spot in spots),
        "farthest_off": float(off.max()),
    }

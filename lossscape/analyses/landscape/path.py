"""Descent paths over a plane: where checkpoints are projected to, how far off they lie, and which loss they have.

A picture of a path over a surface shows a shadow: the loss of the surface below is not that of the checkpoint unless
the checkpoint lies in the plane. So both are computed, and the distance off the plane beside that within it.
"""

import copy
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from lossscape.directions import check_same_net
from lossscape.evaluate import Work
from lossscape.files import CsvLog, write_text
from lossscape.objective import Plan
from lossscape.problem import Problem
from lossscape.results import PATH, PATH_FACTS, PATHS, PLACES, read_csv, write_csv
from lossscape.results import table as folder
from lossscape.runs import Run, load_state, split_state
from lossscape.trajectory import Moment, moments_of, settings_of
from lossscape.vectors import Params, norm, subtract
from lossscape.vectors.project import inner_products, project


@dataclass
class _Tracer:
    """What tells of a checkpoint where it lies and which loss it has."""

    model: nn.Module
    """A scratch copy."""
    work: Work
    products: np.ndarray
    """Of the directions."""
    columns: list[str]
    done: Callable[[int], None]

    def values(self, moment: Moment) -> tuple[Params, Params]:
        """Parameters and buffers of a checkpoint. Raises BadInput where it is of another model."""
        load_state(self.model, moment.checkpoint.state(), str(moment.checkpoint.path))
        return split_state(self.model)

    def rows(
        self, moments: Sequence[Moment], before: Params | None, plan: Plan
    ) -> tuple[list[Any], Params | None]:
        """The rows of some checkpoints in their order, and the parameters of the last one.

        before: those of the checkpoint before them.
        """
        subspace, found = self.work.subspace, []
        for moment in moments:
            parameters, buffers = self.values(moment)
            place, off = project(subspace.origin, subspace.directions, self.products, parameters)
            inside = float(np.sqrt(max(place @ self.products @ place, 0.0)))
            moved = norm(subtract(_double(parameters), _double(before))) if before is not None else 0.0
            true = {
                f"{split}_{name}": value
                for split, objective in self.work.objectives.items()
                for name, value in objective.metrics(parameters, buffers, self.done).items()
            }
            found.append(([moment.epoch, moment.step, *place.tolist(), off, inside, moved], true))
            before = parameters
        below = self.work.rows([tuple(row[2:4]) for row, _ in found], plan, self.done)
        names = _shown(self.work)
        rows = [
            [*row, *(values[name] for values in (true, plane) for name in names)]
            for (row, true), plane in zip(found, below, strict=True)
        ]
        return rows, before


def trace(
    problem: Problem,
    place: Path,
    work: Work,
    plan: Plan,
    runs: Sequence[Run],
    *,
    quiet: bool = True,
) -> None:
    """Project the checkpoints of runs onto the plane of a result in `place`; writes path.csv and path.json.

    work, plan: the result's own, which give the plane's losses; the true ones are those of the checkpoint's
    parameters and its own BatchNorm statistics on the same samples and targets. Each finished checkpoint is appended
    to a file of its run below paths/, so that nothing is computed twice. Raises BadInput where a
    run is of another model, or Interrupted.
    """
    runs = [
        run for i, run in enumerate(runs) if run.path.resolve() not in {r.path.resolve() for r in runs[:i]}
    ]
    names = [run.name for run in runs]
    names = [f"{n} ({names[: i + 1].count(n)})" if names.count(n) > 1 else n for i, n in enumerate(names)]
    products = inner_products(work.subspace.directions)
    columns = _columns(work)
    told: list[dict[str, Any]] = []
    rows: list[list[Any]] = []
    for run, name in zip(runs, names, strict=True):
        check_same_net(problem.run, run)
        moments = moments_of(run)
        facts = settings_of(run, moments) | {"run": name, "unlike": _unlike(problem.run, run)}
        slug = re.sub(r"[^\w.+]+", "-", run.name).strip("-")[:60]
        file = place / PATHS / f"{slug}-{facts['sha256'][:8]}.csv"
        log = CsvLog(file, columns)
        try:
            samples = work.samples + work.cost(())
            missing = len(moments) - len(log.rows)
            if missing:
                with folder.watched(
                    f"path of {name}", len(moments), samples, begun=len(log.rows), quiet=quiet
                ) as done:
                    tracer = _Tracer(copy.deepcopy(problem.model), work, products, columns, done)
                    _complete(log, moments, tracer, plan)
        finally:
            log.close()
        table = read_csv(file)
        told.append(facts | summary(table.to_numpy()[:, 2:7], products))
        labels = [moment.checkpoint.label for moment in moments]
        rows += [
            [name, label, epoch, None if np.isnan(step) else int(step), *rest]
            for label, (epoch, step, *rest) in zip(labels, table.to_numpy().tolist(), strict=True)
        ]
    write_csv(place / PATH, ["run", "checkpoint", *columns], rows)
    content = {"runs": told, "inner_products": products.tolist()}
    write_text(place / PATH_FACTS, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _unlike(run: Run, other: Run) -> list[str]:
    """What tells the data and loss that another run was trained with from those of the plane."""
    ours, theirs = (each.config.resolved() for each in (run, other))
    return [
        f"{section}.{key}"
        for section in ("dataset", "loss")
        for key in {**ours[section], **theirs[section]}
        if key not in ("root", "augment") and ours[section].get(key) != theirs[section].get(key)
    ]


def _columns(work: Work) -> list[str]:
    metrics = _shown(work)
    return [*PLACES, *metrics, *(f"plane_{name}" for name in metrics)]


def _shown(work: Work) -> list[str]:
    """The metrics of a path: all but errors of differences, which have no one reference here."""
    return [name for name in work.columns if not name.endswith("_difference_stderr")]


def _complete(log: CsvLog, moments: Sequence[Moment], tracer: _Tracer, plan: Plan) -> None:
    """Append the rows that a log lacks, in blocks of as many as the plan evaluates together."""
    begun = len(log.rows)
    before = tracer.values(moments[begun - 1])[0] if begun else None
    for start in range(begun, len(moments), plan.points):
        rows, before = tracer.rows(moments[start : start + plan.points], before, plan)
        for row in rows:
            log.append(dict(zip(tracer.columns, row, strict=True)))


def summary(places: np.ndarray, products: np.ndarray) -> dict[str, Any]:
    """How much of a path lies in a plane, from x, y, off_plane, in_plane and moved [K, 5].

    share_of_length: of Σ‖θₖ₊₁ − θₖ‖, that of the projections; share_of_squares: of Σ‖θₖ − θ₀‖² around the centre;
    extent: the largest distance between two projections; farthest_off: the largest distance off the plane; None where
    the path has no length.
    """
    spots, off, inside, moved = places[:, :2], places[:, 2], places[:, 3], places[:, 4]
    root = np.linalg.cholesky(products)
    spots = spots @ root
    steps = np.linalg.norm(np.diff(spots, axis=0), axis=1).sum()
    whole = (off**2 + inside**2).sum()
    apart = np.linalg.norm(spots[:, None] - spots[None], axis=2)
    return {
        "share_of_length": float(steps / moved.sum()) if moved.sum() else None,
        "share_of_squares": float((inside**2).sum() / whole) if whole else None,
        "extent": float(apart.max()),
        "farthest_off": float(off.max()),
    }


def _double(values: Params) -> Params:
    return {name: value.double() for name, value in values.items()}

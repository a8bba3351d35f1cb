"""Sharpness at the checkpoints of a run: a row for each measure, radius and seed, and their summary."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from lossscape import trajectory
from lossscape.analyses.sharpness.check import certify
from lossscape.analyses.sharpness.measures import Found, Place, average, width, worst
from lossscape.analyses.sharpness.request import Request
from lossscape.analyses.sharpness.result import CONFIDENCE, KEYS, SHARPNESS, SUMMARY, SUMMARY_COLUMNS, WORDS
from lossscape.certificate.summary import is_done
from lossscape.evaluate.rows import Done, Key, Meter, Row
from lossscape.execution import Execution
from lossscape.files import check_writable
from lossscape.objective import Objective, Plan
from lossscape.options import settings_of, words_of
from lossscape.problem import problem_of
from lossscape.results import write_csv
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import point_of
from lossscape.trajectory import Stations
from lossscape.vectors import double

WIDTH_PASSES = 26
"""Over the samples for a width, about."""


def compute(request: Request, execution: Execution) -> Path:
    """Compute what lacks of the rows of a request, and their summary; returns the result's folder.

    Raises BadInput, RunFailed or Interrupted.
    """
    points = [point_of(each) for each in request.points]
    centre, moments = points[0], trajectory.chosen_moments(points, request.every)
    problem = problem_of(centre, request.measured, execution.device)
    (objective,) = problem.objectives().values()
    source = Rises(request, objective.part(slice(None)), Stations(problem.model, moments))
    own = {key: value for key, value in settings_of(request).items() if key not in ("points", "every")}
    settings = {
        "analysis": "sharpness",
        **trajectory.named(centre.run, moments, request.every),
        **own,
        "weight_decay": "exclude",
        **problem.settings(),
    }
    words = [*trajectory.words_of(moments, request.every), *words_of(replace(request, measured=problem.named(centre)))]
    folder = centre.run.results("sharpness") / label(settings, words)
    check_writable(folder)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        table = Table(folder, f"{SHARPNESS}.csv", KEYS, WORDS, unit="row", by_key=False)
        rows = fill(table, source, once(source.keys), total=len(source.keys), execution=execution)
        write_csv(folder / f"{SUMMARY}.csv", SUMMARY_COLUMNS, summarised(source, rows))
        if not is_done(folder):
            certify(source, table, centre.run, quiet=execution.quiet)
    return folder


@dataclass
class Rises:
    """Rises of the loss, and widths, as rows: of each checkpoint, measure, radius and seed."""

    request: Request
    objective: Objective
    stations: Stations
    columns = ("value", "stderr", "converged", "loss")

    @property
    def keys(self) -> list[Key]:
        """In the order of the checkpoints."""
        request = self.request
        return [
            (moment.checkpoint.label, measure, radius, seed)
            for moment in self.stations.moments
            for measure in request.measures
            for radius in request.radii(measure)
            for seed in range(request.seed, request.seed + request.seeds)
        ]

    def cost(self, key: Key) -> int:
        """Samples that pass through the net for a row, in the mean over the measures."""
        request = self.request
        passes = {"worst": 2 + request.ascent_steps, "average": 1 + 2 * request.pairs, "width": WIDTH_PASSES}
        mean = sum(passes[each.removeprefix("adaptive_")] * len(request.radii(each)) for each in request.measures)
        return len(self.objective) * max(mean // sum(len(request.radii(each)) for each in request.measures), 1)

    def rows(self, keys: Sequence[Key], plan: Plan | None, done: Done | None = None) -> list[Row]:
        """The rows of some keys."""
        return [self._row(key, done) for key in keys]

    def _row(self, key: Key, done: Done | None) -> Row:
        meter = Meter(done, self.cost(key))
        place = self.place(key, meter)
        found = self.found(key, place)
        meter.finish()
        converged = None if found.converged is None else int(found.converged)
        return dict(zip(self.columns, (found.value, found.stderr, converged, place.here), strict=True))

    def place(self, key: Key, done: Done | None = None) -> Place:
        """A checkpoint and the loss around it, in the scales of a measure."""
        parameters, buffers = self.stations.at(key[0])
        return Place(self.objective, double(parameters), buffers, key[1].startswith("adaptive"), done)

    def found(self, key: Key, place: Place) -> Found:
        """A measure of one seed."""
        request = self.request
        _, measure, radius, seed = key
        made = {
            "worst": lambda: worst(place, radius, request.ascent_steps, seed),
            "average": lambda: average(place, radius, request.pairs, seed),
            "width": lambda: width(place, request.rise, seed),
        }
        return made[measure.removeprefix("adaptive_")]()


def summarised(source: Rises, rows: Mapping[Key, Row]) -> list[list[Any]]:
    """A row for each checkpoint, measure and radius: means over the seeds with confidence intervals, and quartiles."""
    groups: dict[Key, list[Row]] = {}
    for key in source.keys:
        groups.setdefault(key[:3], []).append(rows[key])
    return [_summary(source, key, group) for key, group in groups.items()]


def _summary(source: Rises, key: Key, group: Sequence[Row]) -> list[Any]:
    values = np.array([row["value"] for row in group], dtype=float)
    count, mean = len(values), float(values.mean())
    with np.errstate(invalid="ignore"):  # of widths that were not reached
        error = float(values.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    reach = error * float(stdtrit(max(count - 1, 1), (1 + CONFIDENCE) / 2))
    known = math.isfinite(reach)
    quartiles = [float(np.quantile(values, share, method="inverted_cdf")) for share in (0.25, 0.5, 0.75)]
    moment = source.stations.moment(key[0])
    return [
        *key, None if math.isnan(moment.epoch) else moment.epoch, moment.step, count, group[0]["loss"],
        mean, mean - reach if known else None, mean + reach if known else None, *quartiles, float(values.max()),
        None if group[0]["converged"] is None else sum(row["converged"] for row in group),
    ]  # fmt: skip

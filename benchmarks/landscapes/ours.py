"""lossscape at work on a problem: the plan that calibration finds, and its blocks of points one after the other."""

import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, cast

import numpy as np

from benchmarks.landscapes.coordinates import Coordinates, visited
from benchmarks.landscapes.problem import Problem, values_of
from benchmarks.landscapes.rows import LINE, PLANE, Row
from lossscape.evaluate import RecomputedStatistics, Subspace, Work, calibrate
from lossscape.evaluate.engine import blocks_of
from lossscape.evaluate.predicted import Picture
from lossscape.objective import Objective, Plan, Precision
from lossscape.vectors.between import between

HELD = 64
"""Predicted points that are evaluated too where the exact picture would take too long."""
LOSS = ["train_loss"]
"""Columns of the picture: on the few samples of a dear row accuracy has steps larger than any tolerance."""


class Ours:
    """lossscape on a problem, in one precision."""

    plan: Plan
    prepared: float
    """Seconds that it took until the plan was known."""

    def __init__(self, problem: Problem, precision: str) -> None:
        self.problem = problem
        self.precision = cast(Precision, precision)
        directions = problem.directions
        if problem.row.kind == "line":  # as `interpolate` makes it: exact at both ends
            directions = [between(problem.origin, values_of(problem.ends[0]))]
        self.recomputed = problem.row.recomputed
        vars(problem).pop("ends")  # nets that the peer asks for and lossscape does not hold
        self.subspace = Subspace(problem.origin, directions, dict(problem.centre.named_buffers()))
        self.points = visited(problem.row.kind, LINE if problem.row.kind == "line" else PLANE)

    def prepare(self) -> dict[str, Any]:
        """Choose the plan for the whole work, from nothing, and evaluate a block that nobody times."""
        begin = time.perf_counter()
        self.work = self.work_on(len(self.problem.data[0]))
        found = calibrate(self.work.objectives, self.subspace, len(self.points))
        self.prepared = time.perf_counter() - begin
        self.plan = found.plan
        self.blocks = itertools.cycle(self.whole_blocks(self.points))
        self.work.rows(next(self.blocks), self.plan)
        return {"plan": asdict(self.plan), "source": found.source, "seconds": self.prepared}

    def work_on(self, samples: int) -> Work:
        """The work on the first samples."""
        inputs, targets = (tensor[:samples] for tensor in self.problem.data)
        objective = Objective(self.problem.centre, "cross_entropy", inputs, targets, precision=self.precision)
        statistics = RecomputedStatistics(objective.model, inputs) if self.recomputed else None
        return Work({"train": objective}, self.subspace, statistics)

    def whole_blocks(self, points: Sequence[Coordinates]) -> list[list[Coordinates]]:
        """Blocks of points, without a shorter one at the end where there are others."""
        blocks = blocks_of(points, self.plan)
        return [block for block in blocks if len(block) == len(blocks[0])]

    def values(self, points: Sequence[Sequence[float]]) -> list[float]:
        """The loss at each of some points."""
        blocks = blocks_of([tuple(point) for point in points], self.plan)
        return [values["train_loss"] for block in blocks for values in self.work.rows(block, self.plan)]

    def measure(self, seconds: float) -> float:
        """Seconds per point, of the blocks that follow; at least one."""
        return timed(self.work, self.plan, self.blocks, seconds)

    def whole(self, limit: float) -> dict[str, Any]:
        """Seconds from data and net to all points of the whole work, the plan's choice and compilation included.

        Measured where it takes no longer than `limit`, else predicted from the plan's choice and a block.
        """
        seconds = self.measure(0.0)
        if seconds * len(self.points) > limit:
            return {"seconds": self.prepared + seconds * len(self.points), "measured": False}
        begin = time.perf_counter()
        work = self.work_on(len(self.problem.data[0]))
        for block in blocks_of(self.points, self.plan):
            work.rows(block, self.plan)
        return {"seconds": self.prepared + time.perf_counter() - begin, "measured": True}

    def picture(self, tolerance: float, samples: int, limit: float) -> dict[str, Any] | None:
        """The whole picture to a stated error, cold, beside the exact one, on the first samples.

        The exact one is measured, with a plan of its own, where it takes no longer than `limit`, and errors are of all
        predicted points; else its time is that of a point times the points, and errors are of HELD predicted points.
        None where an eighth of all points would take ten times the limit.
        """
        import scipy.interpolate  # what a process loads once is no part of a picture's time
        import scipy.ndimage  # noqa: F401

        axes = picture_axes(self.problem.row)
        points: list[Coordinates] = list(itertools.product(*(axis.tolist() for axis in axes)))
        begin = time.perf_counter()
        work, picture = self.work_on(samples), Picture(axes, LOSS, tolerance)
        found = calibrate(work.objectives, self.subspace, picture.foreseen)
        chosen = time.perf_counter() - begin
        if found.seconds * len(points) / 8 > 10 * limit:
            return None
        known: dict[Coordinates, dict[str, float]] = {}
        while more := picture.more(known):
            known |= losses(work, more, found.plan)
        predicted = picture.rows(known)
        took = time.perf_counter() - begin
        begin = time.perf_counter()
        if whole := found.seconds * len(points) <= limit:
            work = self.work_on(samples)
            truth = losses(work, points, calibrate(work.objectives, self.subspace, len(points)).plan)
            exact = time.perf_counter() - begin
        else:
            truth = losses(work, random.Random(0).sample(list(predicted), min(HELD, len(predicted))), found.plan)
            exact = chosen + (time.perf_counter() - begin) * len(points) / max(1, len(truth))
        errors = [abs(predicted[p]["train_loss"] / truth[p]["train_loss"] - 1) for p in truth if p in predicted]
        return {
            "points": len(points),
            "evaluated": len(known),
            "seconds": took,
            "exact": exact,
            "measured": whole,
            "errors": sorted(errors),
            "plan": asdict(found.plan),
        }

    def grids(self, sides: Sequence[int]) -> list[float]:
        """Seconds per point of whole works of other sizes, the first block's preparations aside.

        sides: points of a line, or of a side of a plane.
        """
        found = []
        for side in sides:
            blocks = self.whole_blocks(visited(self.problem.row.kind, side))
            found.append(timed(self.work, self.plan, iter(blocks), float("inf")))
        return found

    def sample_sizes(self, sizes: Sequence[int], seconds: float) -> list[float]:
        """Seconds per point on the first samples, under the same plan."""
        found = []
        for samples in sizes:
            work, blocks = self.work_on(samples), itertools.cycle(self.whole_blocks(self.points))
            work.rows(next(blocks), self.plan)
            found.append(timed(work, self.plan, blocks, seconds))
        return found


def picture_axes(row: Row) -> list[np.ndarray]:
    """Coordinates of the whole picture, the centre among them: of a line from 0 to 1, of a plane as far as its span."""
    return [np.linspace(0, 1, LINE)] if row.kind == "line" else [np.linspace(-row.span, row.span, PLANE)] * 2


def losses(work: Work, points: Sequence[Coordinates], plan: Plan) -> dict[Coordinates, dict[str, float]]:
    """The row of each point, block after block."""
    found: dict[Coordinates, dict[str, float]] = {}
    for block in blocks_of(points, plan):
        found |= zip(block, work.rows(block, plan), strict=True)
    return found


def timed(work: Work, plan: Plan, blocks: Iterator[list[Coordinates]], seconds: float) -> float:
    """Seconds per point of as many blocks as the time allows, at least one."""
    points, begin, took = 0, time.perf_counter(), 0.0
    for block in blocks:
        work.rows(block, plan)
        points += len(block)
        took = time.perf_counter() - begin
        if took >= seconds:
            break
    return took / points

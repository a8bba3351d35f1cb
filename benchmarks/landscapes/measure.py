"""What is asked of the workers of a row: the sides take turns, so that all meet the same machine."""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.landscapes.coordinates import Coordinates, visited
from benchmarks.landscapes.process import Place, Worker
from benchmarks.landscapes.rows import LINE_SIDES, PLANE_SIDES, Row

CHECKED = 3
"""Points at which it is measured what the peer's drifted weights do to its loss."""
USUAL_PASSES = ((0, "no workers"), (2, "2 workers"))


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    """Of every timing of lossscape, and of the hand-written loop, at least; the peer takes the points of its row."""
    limit: float
    """Longest that a whole work may take; longer ones are predicted. Sizes of a scaling table take half of it."""
    tables: bool
    """Whether the small tables are measured too."""


@dataclass
class Result:
    """What came of a row in one precision; times are seconds per point, a number for each round."""

    row: Row
    precision: str
    samples: int
    flop: int
    """Of a plain evaluation of one sample."""
    plan: dict[str, Any]
    layout: dict[str, Any]
    """Chunk and layout of the hand-written loop."""
    peer: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    tuned: list[float] = field(default_factory=list)
    product: list[float] = field(default_factory=list)
    """FLOP/s of a matrix product."""
    truth: list[float] = field(default_factory=list)
    """The peer's losses."""
    peer_memory: int = 0
    memory: int = 0
    """Bytes above the data."""
    cold: dict[str, Any] = field(default_factory=dict)
    differs: float = 0.0
    """Largest relative difference to the peer's values."""
    tuned_differs: float = 0.0
    """Likewise of the hand-written loop."""
    drift: dict[str, float] = field(default_factory=dict)
    busy: int = 0
    """Processes beside it."""


@dataclass
class Scaling:
    """Seconds per point of lossscape as the work grows."""

    row: Row
    grids: list[int]
    by_grid: list[float]
    sizes: list[int]
    by_size: list[float]


class RowRun:
    """The workers of a row, open at the same time; all but the one that is asked wait."""

    def __init__(self, row: Row, precisions: Sequence[str], place: Place, stack: ExitStack) -> None:
        """precisions: of lossscape and the hand-written loop. All start before any is waited for."""

        def start(side: str, names: Sequence[str] = precisions) -> dict[str, Worker]:
            return {name: stack.enter_context(Worker(side, row.name, name, place)) for name in names}

        self.row, self.place = row, place
        self.samples = place.samples or row.samples
        self.ours, self.machine = start("ours"), start("machine")
        self.tuned = {} if row.single else start("tuned")
        # on CUDA torch rounds to TF32 unless told not to, so that the peer has another speed in fp32
        peers = start("peer", precisions if place.device.startswith("cuda") else precisions[:1])
        self.peers = {name: peers.get(name, peers[precisions[0]]) for name in precisions}
        facts = [worker.ask("facts") for side in (self.ours, self.tuned, peers) for worker in side.values()]
        self.flop = facts[0]["flop"] * row.passes
        if len({told["digest"] for told in facts}) > 1:
            sys.exit(f"{row.name}: the sides were given different data or weights")

    def run(self, effort: Effort, say: Callable[[str], None]) -> list[Result]:
        """Prepare every side, measure in rounds, and compare the values."""
        results = []
        for precision in self.ours:
            say(f"{self.row.name} {precision}: preparing")
            plan = self.ours[precision].ask("prepare")
            tuned = self.tuned.get(precision)
            layout = tuned.ask("prepare", seconds=min(0.3, effort.seconds)) if tuned else {}
            results.append(Result(self.row, precision, self.samples, self.flop, plan, layout))
        for peer in dict.fromkeys(self.peers.values()):
            peer.ask("prepare")
        for number in range(effort.rounds):
            say(f"{self.row.name}: round {number + 1} of {effort.rounds}")
            found: dict[Worker, dict[str, Any]] = {}
            for result in results:
                self.measure(result, found, effort)
        for result in results:
            say(f"{self.row.name} {result.precision}: values, memory, and the whole work")
            self.complete(result, effort)
        return results

    def measure(self, result: Result, found: dict[Worker, dict[str, Any]], effort: Effort) -> None:
        """One round of one precision. found: what peers have measured in this round, which is added to.

        A peer whose point takes longer than `effort.seconds` has all its points in the first round alone, then one.
        """
        peer, precision, steps = self.peers[result.precision], result.precision, self.row.steps
        result.product.append(self.machine[precision].ask("product", seconds=min(0.5, effort.seconds)))
        again = 1 if result.peer and result.peer[0] > effort.seconds else steps
        found[peer] = measured = found.get(peer) or peer.ask("measure", steps=again)
        result.truth = result.truth or measured["values"]
        result.peer.append(measured["seconds"])
        result.ours.append(self.ours[precision].ask("measure", seconds=effort.seconds))
        if tuned := self.tuned.get(precision):
            loop = tuned.ask("measure", steps=steps, seconds=effort.seconds)
            result.tuned.append(loop["seconds"])
            result.tuned_differs = largest_difference(loop["values"], result.truth)

    def complete(self, result: Result, effort: Effort) -> None:
        """Values, memory and the cold total of one precision."""
        ours, peer = self.ours[result.precision], self.peers[result.precision]
        points = visited(self.row.kind, self.row.steps)
        result.differs = largest_difference(ours.ask("values", points=points), result.truth)
        result.cold = ours.ask("whole", limit=effort.limit)
        result.memory, result.peer_memory = ours.ask("memory"), peer.ask("memory")
        if result.precision == "fp32" and not self.row.recomputed:  # that one moves to each point from the ends
            checked = 1 if result.peer[0] > effort.seconds else CHECKED
            result.drift = peer.ask("drift", steps=self.row.steps, values=result.truth, checked=checked)

    def scaling(self, seconds: float, effort: Effort) -> Scaling:
        """Cost per point against the size of the grid and against samples, in fp32.

        seconds: that a point takes with all samples.
        """
        ours = self.ours["fp32"]
        sides = LINE_SIDES if self.row.kind == "line" else PLANE_SIDES
        grids = affordable(sides, self.row.axes, effort.limit / 2 / seconds)
        sizes = [max(1, self.samples * part // 4) for part in (1, 2)]
        return Scaling(
            self.row,
            grids,
            ours.ask("grids", sides=grids) if len(grids) > 1 else [],
            [*sizes, self.samples],
            [*ours.ask("sample_sizes", sizes=sizes, seconds=effort.seconds), seconds],
        )

    def usual(self, samples: int) -> dict[str, Any]:
        """Seconds per point of a DataLoader with a transform per sample, and how far its value is from ours.

        samples: that are passed through; fewer than all are scaled up.
        """
        point: Coordinates = (1.0, *[0.0] * (self.row.axes - 1))
        with Worker("usual", self.row.name, "fp32", self.place) as worker:
            passes = {name: worker.ask("measure", workers=workers, samples=samples) for workers, name in USUAL_PASSES}
        (ours,) = self.ours["fp32"].ask("values", points=[point])
        whole = samples == self.samples
        differs = [largest_difference([answer["value"]], [ours]) for answer in passes.values()]
        return {
            "seconds": {name: answer["seconds"] for name, answer in passes.items()},
            "samples": samples,
            "differs": max(differs) if whole else None,
        }


def largest_difference(values: Sequence[float], truth: Sequence[float]) -> float:
    """The largest |value − truth| / |truth| of the first values; inf where one is not finite."""
    differences = [abs(a - b) / abs(b) for a, b in zip(values, truth, strict=False)]
    return max(difference if difference < float("inf") else float("inf") for difference in differences)


def affordable(sides: Sequence[int], axes: int, points: float) -> list[int]:
    """The three largest of some sizes, or fewer, whose grids have at most so many points together."""
    for last in range(len(sides), 0, -1):
        chosen = list(sides[max(0, last - 3) : last])
        if sum(side**axes for side in chosen) <= points:
            return chosen
    return [sides[0]]

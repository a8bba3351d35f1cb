"""What is asked of the workers of a row: the sides take turns, so that all meet the same machine."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.curvature.rows import Row
from benchmarks.workers import Worker

RATE_SECONDS = 0.5
"""Of matrix products, each round."""
AS_SHIPPED = {"settled": 1e-3, "steps": 100}
"""PyHessian's own defaults, for comparison: where its power iteration ends."""


@dataclass(frozen=True)
class Place:
    """Where workers run."""

    threads: int
    data: Path | None
    """The folder that holds MNIST/raw, if not the usual one."""
    files: Path
    """An empty folder for what they find."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int


@dataclass
class Pairs:
    """Eigenvalues of a side, the last round's, and what all rounds took."""

    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    residuals: list[float] = field(default_factory=list)
    """Relative, in float64; of each value."""
    worst: float = 0.0
    """The largest residual of all rounds."""
    products: list[int] = field(default_factory=list)
    """With the Hessian, where that is told."""

    def add(self, answer: dict[str, Any], residuals: list[float]) -> None:
        """Another round."""
        self.seconds.append(answer["seconds"])
        self.values, self.residuals = answer["values"], residuals
        self.worst = max(self.worst, *residuals)
        self.products += [answer["products"]] if answer["products"] is not None else []


@dataclass
class Result:
    """What came of a row, by side, lossscape first; times are seconds, a number for each round."""

    row: Row
    facts: dict[str, Any]
    prepared: dict[str, dict[str, Any]]
    """Seconds to get ready for products, and the samples whose graph is kept."""
    rates: list[float] = field(default_factory=list)
    """FLOP/s of a matrix product."""
    products: dict[str, list[float]] = field(default_factory=dict)
    differs: dict[str, float] = field(default_factory=dict)
    """Of a product from that in float64."""
    pairs: dict[str, Pairs] = field(default_factory=dict)
    shipped: Pairs | None = None
    """PyHessian with its defaults, once."""
    memory: dict[str, int] = field(default_factory=dict)
    """Bytes above the data."""


class RowRun:
    """The workers of a row, open at the same time; all but the one that is asked wait."""

    def __init__(self, row: Row, place: Place, stack: ExitStack) -> None:
        def start(side: str) -> Worker:
            words = ["benchmarks.curvature.worker", side, row.name, f"--threads={place.threads}"]
            words += [f"--data={place.data}"] if place.data is not None else []
            return stack.enter_context(Worker(f"{side} of {row.name}", words, place.threads, {}))

        self.row, self.place = row, place
        self.sides = {side: start(side) for side in ("ours", *row.peers)}
        self.judge = start("judge")
        self.facts = self.judge.ask("facts")
        if any(worker.ask("facts")["digest"] != self.facts["digest"] for worker in self.sides.values()):
            sys.exit(f"{row.name}: the sides were given different data or weights")

    def run(self, effort: Effort, say: Callable[[str], None]) -> Result:
        """Prepare every side, measure in rounds, and hold the values against float64."""
        say(f"{self.row.name}: preparing")
        prepared = {side: worker.ask("prepare") for side, worker in self.sides.items()}
        result = Result(self.row, self.facts, prepared)
        for number in range(effort.rounds):
            say(f"{self.row.name}: round {number + 1} of {effort.rounds}")
            result.rates.append(self.judge.ask("rate", seconds=RATE_SECONDS))
            for side, worker in self.sides.items():
                result.products.setdefault(side, []).append(worker.ask("product", file=self.file(side, "product")))
        say(f"{self.row.name}: products in float64")
        self.judge.ask("hold")
        result.differs = {side: self.judge.ask("differs", file=self.file(side, "product")) for side in self.sides}
        for number in range(effort.rounds if self.row.largest else 0):
            say(f"{self.row.name}: eigenvalues, round {number + 1} of {effort.rounds}")
            for side in self.sides:
                result.pairs.setdefault(side, Pairs()).add(*self.found(side, seed=number))
        if result.pairs and "pyhessian" in self.sides:
            result.shipped = Pairs()
            result.shipped.add(*self.found("pyhessian", seed=0, **AS_SHIPPED))
        result.memory = {side: worker.ask("memory") for side, worker in self.sides.items()}
        return result

    def found(self, side: str, **arguments: Any) -> tuple[dict[str, Any], list[float]]:
        """What a side finds in what time, and the residuals."""
        answer = self.sides[side].ask("eigenvalues", file=self.file(side, "pairs"), **arguments)
        return answer, self.judge.ask("residuals", file=self.file(side, "pairs"))

    def file(self, side: str, what: str) -> str:
        """Where a side leaves what it finds."""
        return str(self.place.files / f"{self.row.name}-{side}-{what}.pt")

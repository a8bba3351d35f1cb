"""One side of a row in a process of its own, which answers questions until its input ends.

`python -m benchmarks.curvature.worker SIDE ROW …`. Nothing but torch is imported before memory is first looked at.
What is found goes from process to process in files.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.curvature.rows import ROWS, SIDES, Row
from benchmarks.machine import forget_peak, peak_memory, product_rate
from benchmarks.workers import answer_all, answers

if TYPE_CHECKING:
    from benchmarks.curvature.problem import Problem


def main() -> None:
    """Answer questions about one side."""
    imported = peak_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--data")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with answers() as found:
        answer_all(opened(given.side, ROWS[given.row], given.data, imported), sys.stdin, found)


def opened(side: str, row: Row, root: str | None, imported: int) -> "Side | Truth":
    """What answers for a side. imported: bytes that the process held before."""
    from benchmarks.curvature.problem import Problem

    problem = Problem(row, root)
    return Truth(problem) if side == "judge" else Side(side, problem, imported)


class Truth:
    """What the machine can do, and what products are in float64."""

    def __init__(self, problem: "Problem") -> None:
        from benchmarks.curvature.sides import Judge

        self.problem = problem
        self.digest, self.flop = problem.digest(), problem.flop
        self.judge = Judge(problem)

    def answer(self, what: str, arguments: dict[str, Any]) -> Any:
        """facts, rate, hold, residuals or differs."""
        return getattr(self, what)(**arguments)

    def facts(self) -> dict[str, Any]:
        """Machine, data, and the operations of a product."""
        from lossscape import devices

        name = devices.name_of(torch.device("cpu"))
        parts = {"name": name, "torch": torch.__version__, "data": self.problem.source}
        return {**parts, "digest": self.digest, "flop": self.flop}

    def rate(self, seconds: float) -> float:
        """Floating-point operations a second in a matrix product."""
        return product_rate("fp32", seconds)

    def hold(self) -> None:
        """Get ready for what follows, in float64."""
        self.judge.hold()

    def residuals(self, file: str) -> list[float]:
        """Of the eigenpairs in a file."""
        return self.judge.residuals(*torch.load(file))

    def differs(self, file: str) -> float:
        """Of the product in a file."""
        return self.judge.differs(torch.load(file))


class Side:
    """A side, with its memory told apart from the data's."""

    def __init__(self, side: str, problem: "Problem", imported: int) -> None:
        """imported: bytes that the process held before this."""
        self.problem, self.imported = problem, imported
        self.digest = problem.digest()
        forget_peak()
        from benchmarks.curvature.sides import COMPUTERS

        self.inner = COMPUTERS[side](problem)

    def answer(self, what: str, arguments: dict[str, Any]) -> Any:
        """facts, prepare, product, eigenvalues or memory."""
        return getattr(self, what)(**arguments)

    def facts(self) -> dict[str, Any]:
        """The digest of the problem."""
        return {"digest": self.digest}

    def prepare(self) -> dict[str, Any]:
        """Get ready for products, and take one that nobody times."""
        from benchmarks.curvature.sides import timed

        seconds, kept = timed(self.inner.prepare)
        self.inner.product()
        return {"seconds": seconds, "kept": kept}

    def product(self, file: str) -> float:
        """Seconds of a product, which is written to a file."""
        from benchmarks.curvature.sides import timed

        seconds, found = timed(self.inner.product)
        torch.save(found.detach(), Path(file))
        return seconds

    def eigenvalues(self, file: str, **arguments: Any) -> dict[str, Any]:
        """Seconds, values and products; the eigenpairs are written to a file."""
        from benchmarks.curvature.sides import timed

        seconds, (values, vectors, products) = timed(self.inner.eigenvalues, **arguments)
        torch.save((values, vectors.detach()), Path(file))
        return {"seconds": seconds, "values": values, "products": products}

    def memory(self) -> int:
        """Bytes held at most since the data and the net were there, above the data and torch itself."""
        return peak_memory() - self.imported - self.problem.data_bytes


if __name__ == "__main__":
    main()

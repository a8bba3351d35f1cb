"""One side of a row in a process of its own, which answers questions until its input ends.

`python -m benchmarks.landscapes.worker SIDE ROW PRECISION …`: every line of input is [what, {arguments}] in JSON, and
so is every answer. Nothing but torch is imported before memory is first looked at.
"""

import argparse
import dataclasses
import sys
from typing import Any

import torch

from benchmarks.landscapes.rows import EVERY, Row
from benchmarks.machine import forget_peak, peak_memory, product_rate
from benchmarks.workers import answer_all, answers

SIDES = ("machine", "peer", "tuned", "usual", "ours")


def main() -> None:
    """Answer questions about one side."""
    imported = peak_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("row", choices=EVERY)
    parser.add_argument("precision", choices=("fp32", "bf16"))
    parser.add_argument("--samples", type=int)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with answers() as found:
        row = EVERY[given.row]
        row = dataclasses.replace(row, samples=given.samples or row.samples)
        answer_all(opened(given.side, row, given.precision, given.device, imported), sys.stdin, found)


def opened(side: str, row: Row, precision: str, device: str, imported: int) -> "Machine | Side":
    """What answers for a side. imported: bytes that the process held before."""
    if side == "machine":
        return Machine(device, precision)
    return Side(side, row, precision, device, imported)


class Machine:
    """What the machine is and can do."""

    def __init__(self, device: str, precision: str) -> None:
        self.device, self.precision = device, precision

    def answer(self, what: str, arguments: dict[str, Any]) -> Any:
        """facts or product."""
        return getattr(self, what)(**arguments)

    def facts(self) -> dict[str, Any]:
        """Its name, torch's version, and whether it multiplies bf16 in hardware, by tiles (AMX) on a CPU."""
        from lossscape import devices

        place = torch.device(self.device)
        return {
            "name": devices.name_of(place),
            "torch": torch.__version__,
            "fast_bf16": devices.fast_bf16(place.type),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "tiles": place.type == "cpu" and torch.cpu._is_amx_tile_supported(),
        }

    def product(self, seconds: float) -> float:
        """Floating-point operations a second in a matrix product."""
        return product_rate(self.precision, seconds, self.device)


class Side:
    """A problem and one way to evaluate it, with its memory told apart from the data's."""

    def __init__(self, side: str, row: Row, precision: str, device: str, imported: int) -> None:
        """imported: bytes that the process held before this."""
        from benchmarks.landscapes.problem import Problem

        self.problem, self.imported = Problem(row, device), imported
        self.found = self.problem.digest()
        self.on_gpu = self.problem.device.type == "cuda"
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats(self.problem.device)
        else:
            forget_peak()
        self.inner = self.make(side, precision)

    def make(self, side: str, precision: str) -> Any:
        """The side's own class, alone imported."""
        if side == "peer" and self.problem.row.recomputed:
            from benchmarks.landscapes.recomputed import Recomputed

            return Recomputed(self.problem, precision)
        if side == "peer":
            from benchmarks.landscapes.peer import Peer

            return Peer(self.problem, precision)
        if side == "tuned":
            from benchmarks.landscapes.tuned import Tuned

            return Tuned(self.problem, precision)
        if side == "usual":
            from benchmarks.landscapes.usual import Usual

            return Usual(self.problem, precision)
        from benchmarks.landscapes.ours import Ours

        return Ours(self.problem, precision)

    def answer(self, what: str, arguments: dict[str, Any]) -> Any:
        """What any side, or this one alone, can be asked."""
        return getattr(self if what in ("facts", "memory", "picture") else self.inner, what)(**arguments)

    def facts(self) -> dict[str, Any]:
        """The digest of the problem, and what a plain forward pass of a sample multiplies and adds."""
        from lossscape.models import summarise

        work = summarise(self.problem.centre, self.problem.row.shape).multiply_adds
        return {"digest": self.found, "flop": 2 * work}

    def picture(self, **arguments: Any) -> Any:
        """lossscape's whole picture: of the row's problem, or where it is of one that has learned, of that."""
        if not self.problem.row.learned:
            return self.inner.picture(**arguments)
        from benchmarks.landscapes.learned import Learned
        from benchmarks.landscapes.ours import Ours

        return Ours(Learned(self.problem.row, str(self.problem.device)), self.inner.precision).picture(**arguments)

    def memory(self) -> int:
        """Bytes held at most since the data was there, above the data and torch itself."""
        if self.on_gpu:
            return torch.cuda.max_memory_allocated(self.problem.device) - self.problem.data_bytes
        return peak_memory() - self.imported - self.problem.data_bytes


if __name__ == "__main__":
    main()

"""Whole planes over as many pictures as CIFAR-10 has for training."""

import statistics
from collections.abc import Sequence

from benchmarks.landscapes.measure import Effort
from benchmarks.landscapes.process import Place, Worker
from benchmarks.landscapes.rows import Row
from benchmarks.landscapes.table import described, duration
from benchmarks.numbers import table

HEAD = ("row", "precision", "s a point", "whole plane, cold", "TFLOP/s", "of matrix product", "GB above data", "plan")


def measure(rows: Sequence[Row], precision: str, place: Place, effort: Effort) -> str:
    """The table of `HEAD`, one row after the other."""
    return table(HEAD, [cells(row, precision, place, effort) for row in rows])


def cells(row: Row, precision: str, place: Place, effort: Effort) -> list[str]:
    """Measure one row."""
    samples = place.samples or row.samples
    with Worker("machine", row.name, precision, place) as machine, Worker("ours", row.name, precision, place) as ours:
        flop = ours.ask("facts")["flop"]
        plan = ours.ask("prepare")
        product = max(machine.ask("product", seconds=effort.seconds) for _ in range(effort.rounds))
        seconds = statistics.median(ours.ask("measure", seconds=effort.seconds) for _ in range(effort.rounds))
        whole = ours.ask("whole", limit=effort.limit)
        memory = ours.ask("memory")
    rate = flop * samples / seconds
    return [
        row.what,
        precision,
        f"{seconds:.3g}",
        f"{'' if whole['measured'] else '~'}{duration(whole['seconds'])}",
        f"{rate / 1e12:,.3g}",
        f"{rate / product:.0%} of {product / 1e12:,.3g}",
        f"{memory / 1e9:.2f}",
        described(plan["plan"]),
    ]

"""Whole planes over as many pictures as CIFAR-10 has for training, exact and to a stated error."""

import statistics
from typing import Any

from benchmarks.landscapes import picture
from benchmarks.landscapes.measure import Effort
from benchmarks.landscapes.outcome import Line, Outcome
from benchmarks.landscapes.process import Place, Worker
from benchmarks.landscapes.rows import FULL, Row
from benchmarks.landscapes.table import described, duration

TITLE = "whole planes over 50,000 pictures"
PART = 0.1
"""Of the time of the exact plane that its picture to a stated error may take."""


def measure(name: str, precision: str, place: Place, effort: Effort, *, judged: bool) -> Outcome:
    """Measure one row. judged: whether its seconds are held to the row's."""
    row = FULL[name]
    samples = place.samples or row.samples
    with Worker("machine", row.name, precision, place) as machine, Worker("ours", row.name, precision, place) as ours:
        flop = ours.ask("facts")["flop"]
        plan = ours.ask("prepare")
        product = max(machine.ask("product", seconds=effort.seconds) for _ in range(effort.rounds))
        seconds = statistics.median(ours.ask("measure", seconds=effort.seconds) for _ in range(effort.rounds))
        found: dict[str, Any] = {
            "precision": precision,
            "point": seconds,
            "rate": flop * samples / seconds,
            "product": product,
            "whole": ours.ask("whole", limit=effort.limit),
            "memory": ours.ask("memory"),
            "plan": plan["plan"],
            "picture": ours.ask("picture", tolerance=picture.TOLERANCE, samples=samples, limit=effort.limit),
        }
    missed = [f"{name}: {what}" for what in misses(row, found)] if judged else []
    return Outcome(name, {TITLE: [cells(row, found, judged=judged)]}, [], missed, found)


def misses(row: Row, found: dict[str, Any]) -> list[str]:
    """What a row misses of the seconds that it may take, and of its picture's errors."""
    if row.within is None:
        return []
    missed = []
    if not found["whole"]["seconds"] <= row.within:
        missed.append(f"a whole plane within {duration(row.within)}")
    if found["picture"] is None or not found["picture"]["seconds"] <= PART * row.within:
        missed.append(f"a picture to {picture.TOLERANCE:.0%} within {duration(PART * row.within)}")
    if found["picture"] and not picture.largest_of_most(found["picture"]["errors"]) <= picture.TOLERANCE:
        missed.append(f"{picture.QUANTILE:.0%} of errors at most {picture.TOLERANCE:.0%}")
    return missed


def cells(row: Row, found: dict[str, Any], *, judged: bool) -> Line:
    """A line of the table of `TITLE`."""

    def held(seconds: float, most: float | None) -> str:
        if most is None:
            return "–"
        return f"{duration(most)}: {('ok' if seconds <= most else 'missed') if judged else 'not judged'}"

    whole, short = found["whole"], found["picture"]
    part = None if row.within is None else PART * row.within
    return {
        "row": row.name,
        "what": row.what,
        "precision": found["precision"],
        "s a point": f"{found['point']:.3g}",
        "whole plane, cold": f"{'' if whole['measured'] else '~'}{duration(whole['seconds'])}",
        "at most": held(whole["seconds"], row.within),
        f"to {picture.TOLERANCE:.0%}, cold": duration(short["seconds"]) if short else "–",
        "at most of it": held(short["seconds"] if short else float("inf"), part),
        "99 % of errors at most": f"{picture.largest_of_most(short['errors']):.2%}" if short else "–",
        "TFLOP/s": f"{found['rate'] / 1e12:,.3g}",
        "of matrix product": f"{found['rate'] / found['product']:.0%} of {found['product'] / 1e12:,.3g}",
        "GB above data": f"{found['memory'] / 1e9:.2f}",
        "plan": described(found["plan"]),
    }

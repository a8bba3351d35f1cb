"""A row's whole picture to a stated error beside the exact one: seconds, cold, and the errors."""

import statistics
from dataclasses import replace
from typing import Any

from benchmarks.landscapes.measure import Effort
from benchmarks.landscapes.outcome import Line, Outcome
from benchmarks.landscapes.process import Place, Worker
from benchmarks.landscapes.rows import ROWS
from benchmarks.landscapes.table import described, duration

TOLERANCE = 0.01
FASTER = 8
"""Times less time than the exact picture, at least."""
QUANTILE = 0.99
"""Of the errors that must be within the tolerance."""
TITLE = f"whole pictures with an error of at most {TOLERANCE:.0%}, and exact"
PICTURES = {f"{row.name}-picture": row for row in ROWS.values() if row.pictured}


def measure(name: str, place: Place, effort: Effort) -> Outcome:
    """Measure a row's picture once, in fp32; its time is judged on the row's own samples."""
    row, judged = PICTURES[name], place.samples is None
    cold = replace(place, cache=place.cache / name)  # without the plan that another row of this net has found
    with Worker("ours", row.name, "fp32", cold) as ours:
        found = ours.ask("picture", tolerance=TOLERANCE, samples=place.samples or row.pictured, limit=effort.limit)
    if found is None:
        return Outcome(name, {}, [f"{name}: not measured, it would take long"], [f"{name}: a picture within the time"])
    net = f"{row.what} after {row.learned} steps, ±{row.span:g}" if row.learned else row.what
    what = f"{name}: {net}, {place.samples or row.pictured:,} samples; {described(found['plan'])}"
    missed = [f"{name}: {each}" for each in misses(found, judged=judged)]
    return Outcome(name, {TITLE: [{"row": name} | cells(found, judged=judged)]}, [what], missed, found)


def largest_of_most(errors: list[float]) -> float:
    """The QUANTILE of ascending errors; 0 where nothing was predicted."""
    return errors[min(len(errors) - 1, int(QUANTILE * len(errors)))] if errors else 0.0


def ratio_of(found: dict[str, Any]) -> float:
    """How many times longer the exact picture takes."""
    return float(found["exact"] / found["seconds"])


def misses(found: dict[str, Any], *, judged: bool) -> list[str]:
    """What a picture misses. judged: whether its time is."""
    missed = []
    if judged and not ratio_of(found) >= FASTER:
        missed.append(f"a picture in at least {FASTER} times less time than the exact one")
    if not largest_of_most(found["errors"]) <= TOLERANCE:
        missed.append(f"{QUANTILE:.0%} of errors at most {TOLERANCE:.0%}")
    return missed


def cells(found: dict[str, Any], *, judged: bool) -> Line:
    """What a table says of a picture."""
    errors = found["errors"]
    ratio = ratio_of(found)
    word = ("ok" if ratio >= FASTER else "missed") if judged else "not judged"
    return {
        "points, evaluated": f"{found['evaluated']:,} of {found['points']:,}",
        "whole picture, cold": duration(found["seconds"]),
        "exact": f"{'' if found['measured'] else '~'}{duration(found['exact'])}",
        "times less": f"{ratio:.3g}",
        "at least": f"{FASTER}: {word}",
        "errors: median, 99 %, worst": ", ".join(
            f"{value:.2%}" for value in (statistics.median(errors or [0]), largest_of_most(errors), max(errors or [0]))
        ),
        "of points": f"{'all' if found['measured'] else 'drawn'} {len(errors):,} predicted",
    }

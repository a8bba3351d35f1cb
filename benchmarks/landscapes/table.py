"""The tables that the benchmark prints, in Markdown, and its judgement."""

import statistics
from typing import Any

from benchmarks.landscapes.judge import Verdict, roof_of, verdict
from benchmarks.landscapes.measure import Result, Scaling
from benchmarks.landscapes.outcome import Line
from benchmarks.numbers import ratios, spread

TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2}
"""Relative difference to the peer's losses; in fp32 what the peer's drift makes of them is added."""
MEMORY = 2e9
"""Bytes above the data that lossscape may take."""
POINTS = "seconds a point, against the peer"
"""Titles of tables."""
BY_GRID = "seconds a point against the size of the grid, fp32"
BY_SAMPLES = "seconds a point against samples, fp32"


def allowed(result: Result) -> float:
    """How far the values may be from the peer's."""
    return TOLERANCE[result.precision] + result.drift.get("loss", 0.0)


def verdicts(result: Result, *, judged: bool, own: bool) -> tuple[Verdict, Verdict | None]:
    """Of the ratio to the peer, and to the tuned loop where there is one. own: see `judge.verdict`."""

    def of(others: list[float], asked: dict[str, float]) -> Verdict:
        roof = None if result.row.avoids else roof_of(others, result.product, result.flop * result.samples)
        return verdict(ratios(others, result.ours), asked.get(result.precision), roof, judged=judged, own=own)

    tuned = of(result.tuned, result.row.tuned_at_least) if result.tuned else None
    return of(result.peer, result.row.at_least), tuned


def misses(result: Result, *, judged: bool, own: bool) -> list[str]:
    """What a row misses. judged: whether its ratios are."""
    found = []
    peer, tuned = verdicts(result, judged=judged, own=own)
    if peer.missed:
        found.append(f"a ratio of at least {peer.asked:.3g}")
    if tuned and tuned.missed:
        found.append(f"a ratio to the tuned loop of at least {tuned.asked:.3g}")
    if not result.differs <= allowed(result):
        found.append(f"values within {allowed(result):.1e} of the peer's")
    if result.memory > MEMORY:
        found.append(f"at most {MEMORY / 1e9:g} GB above the data")
    return found


def cells(result: Result, *, judged: bool, own: bool) -> Line:
    """A line of the table `POINTS`."""
    rate = result.flop * result.samples / statistics.median(result.ours)
    product = statistics.median(result.product)
    total = f"{'' if result.cold['measured'] else '~'}{duration(result.cold['seconds'])}"
    peer, tuned = verdicts(result, judged=judged, own=own)
    roofs = [f"{each.roof:.3g}" for each in (peer, tuned) if each and each.roof is not None]
    return {
        "row": f"{result.row.name} {result.precision}",
        "peer, s a point": spread(result.peer, ".3g"),
        "lossscape, s a point": spread(result.ours, ".3g"),
        "ratio": spread(ratios(result.peer, result.ours), ".3g"),
        "at least": peer.words,
        "ratio to tuned loop": spread(ratios(result.tuned, result.ours), ".3g") if tuned else "–",
        "at least of it": tuned.words if tuned else "–",
        "roofs": ", ".join(roofs) or "–",
        "whole work, cold (peer)": f"{total} (~{duration(statistics.median(result.peer) * result.row.points)})",
        "GFLOP/s": f"{rate / 1e9:,.0f}",
        "of matrix product": f"{rate / product:.0%} of {product / 1e9:,.0f}",
        "MB above data (peer)": f"{result.memory / 1e6:,.0f} ({result.peer_memory / 1e6:,.0f})",
        "differs by": f"{result.differs:.0e}",
    }


def notes(result: Result) -> list[str]:
    """What the row's numbers came of."""
    loop = f"; tuned loop: {described(result.layout)}, differs by {result.tuned_differs:.0e}" if result.tuned else ""
    lines = [
        f"{result.row.name} {result.precision}: {result.row.what}, {result.samples:,} samples, {result.row.kind} of "
        f"{result.row.points:,} points; {len(result.truth)} points of the peer",
        f"  lossscape: {described(result.plan['plan'])}, {result.plan['source']} in "
        f"{result.plan['seconds']:.1f} s{loop}",
    ]
    if result.busy:
        lines.append(f"  beside {result.busy} busy processes of one thread each")
    if result.drift:
        lines.append(
            f"  the peer's own weights drift by {result.drift['weights']:.0e}, its loss by "
            f"{result.drift['loss']:.0e}: values may differ by {allowed(result):.1e}"
        )
    return lines


def described(plan: dict[str, Any]) -> str:
    """A plan in words."""
    return ", ".join(f"{name} {value}" if name != "name" else str(value) for name, value in plan.items())


def scaling_tables(scaling: Scaling) -> dict[str, list[Line]]:
    """Cost per point against the size of the grid, where several were affordable, and against samples."""
    by_grid = {
        "row": scaling.row.name,
        "points": ", ".join(f"{side}{'²' * (scaling.row.kind == 'plane')}" for side in scaling.grids),
        "s a point": ", ".join(f"{seconds:.3g}" for seconds in scaling.by_grid),
        "largest / smallest": f"{max(scaling.by_grid, default=1) / min(scaling.by_grid, default=1):.2f}",
    }
    by_size = {
        "row": scaling.row.name,
        "samples": ", ".join(f"{size:,}".replace(",", " ") for size in scaling.sizes),
        "s a point": ", ".join(f"{seconds:.3g}" for seconds in scaling.by_size),
        "µs a point and sample": ", ".join(
            f"{1e6 * seconds / size:.3g}" for seconds, size in zip(scaling.by_size, scaling.sizes, strict=True)
        ),
    }
    return ({BY_GRID: [by_grid]} if scaling.by_grid else {}) | {BY_SAMPLES: [by_size]}


def usual_line(result: Result, found: dict[str, Any]) -> str:
    """The ratio to a DataLoader with a transform per sample."""
    seconds = statistics.median(result.ours)
    parts = [
        f"{took:.3g} s a point with {name}: {took / seconds:,.0f} times lossscape's"
        for name, took in found["seconds"].items()
    ]
    scaled = "" if found["differs"] is not None else f" (scaled up from {found['samples']:,} samples)"
    differs = "" if found["differs"] is None else f"; its value differs by {found['differs']:.0e}"
    return f"{result.row.name} through a DataLoader with transforms per sample, " + "; ".join(parts) + scaled + differs


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"

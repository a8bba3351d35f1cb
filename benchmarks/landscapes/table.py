"""The tables that the benchmark prints, in Markdown, and its judgement."""

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.landscapes.measure import Result, Scaling
from benchmarks.numbers import ratios, spread, table

TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2}
"""Relative difference to the peer's losses; in fp32 what the peer's drift makes of them is added."""
MEMORY = 2e9
"""Bytes above the data that lossscape may take."""
HEAD = (
    "row", "peer, s a point", "lossscape, s a point", "ratio", "at least", "whole work, cold (peer)",
    "ratio to tuned loop", "GFLOP/s", "of matrix product", "MB above data (peer)", "differs by",
)  # fmt: skip


def allowed(result: Result) -> float:
    """How far the values may be from the peer's."""
    return TOLERANCE[result.precision] + result.drift.get("loss", 0.0)


def misses(result: Result, judged: bool) -> list[str]:
    """What a row misses. judged: whether its ratio is."""
    found = []
    wanted = result.row.at_least.get(result.precision, 0.0)
    if judged and statistics.median(ratios(result.peer, result.ours)) < wanted:
        found.append(f"a ratio of at least {wanted:g}")
    if not result.differs <= allowed(result):
        found.append(f"values within {allowed(result):.1e} of the peer's")
    if result.memory > MEMORY:
        found.append(f"at most {MEMORY / 1e9:g} GB above the data")
    return found


def cells(result: Result, judged: bool) -> list[str]:
    """A row of the table of `HEAD`."""
    rate = result.flop * result.samples / statistics.median(result.ours)
    product = statistics.median(result.product)
    wanted = result.row.at_least.get(result.precision)
    ratio = ratios(result.peer, result.ours)
    verdict = "ok" if wanted is not None and statistics.median(ratio) >= wanted else "missed"
    total = f"{'' if result.cold['measured'] else '~'}{duration(result.cold['seconds'])}"
    return [
        f"{result.row.name} {result.precision}",
        spread(result.peer, ".3g"),
        spread(result.ours, ".3g"),
        spread(ratio, ".3g"),
        "–" if wanted is None else f"{wanted:g}: {verdict if judged else 'not judged'}",
        f"{total} (~{duration(statistics.median(result.peer) * result.row.points)})",
        spread(ratios(result.tuned, result.ours), ".3g"),
        f"{rate / 1e9:,.0f}",
        f"{rate / product:.0%} of {product / 1e9:,.0f}",
        f"{result.memory / 1e6:,.0f} ({result.peer_memory / 1e6:,.0f})",
        f"{result.differs:.0e}",
    ]


def notes(result: Result) -> str:
    """What the row's numbers came of."""
    lines = [
        f"{result.row.name} {result.precision}: {result.row.what}, {result.samples:,} samples, {result.row.kind} of "
        f"{result.row.points:,} points; {len(result.truth)} points of the peer a round",
        f"  lossscape: {described(result.plan['plan'])}, {result.plan['source']} in "
        f"{result.plan['seconds']:.1f} s; tuned loop: {described(result.layout)}, differs by "
        f"{result.tuned_differs:.0e}",
    ]
    if result.drift:
        lines.append(
            f"  the peer's own weights drift by {result.drift['weights']:.0e}, its loss by "
            f"{result.drift['loss']:.0e}: values may differ by {allowed(result):.1e}"
        )
    return "\n".join(lines)


def described(plan: dict[str, Any]) -> str:
    """A plan in words."""
    return ", ".join(f"{name} {value}" if name != "name" else str(value) for name, value in plan.items())


def scaling_tables(found: Sequence[Scaling]) -> str:
    """Cost per point against the size of the grid, and against samples."""
    by_grid = [
        [
            scaling.row.name,
            ", ".join(f"{side}{'²' * (scaling.row.kind == 'plane')}" for side in scaling.grids),
            ", ".join(f"{seconds:.3g}" for seconds in scaling.by_grid),
            f"{max(scaling.by_grid) / min(scaling.by_grid):.2f}",
        ]
        for scaling in found
    ]
    by_size = [
        [
            scaling.row.name,
            ", ".join(f"{size:,}".replace(",", " ") for size in scaling.sizes),
            ", ".join(f"{seconds:.3g}" for seconds in scaling.by_size),
            ", ".join(
                f"{1e6 * seconds / size:.3g}" for seconds, size in zip(scaling.by_size, scaling.sizes, strict=True)
            ),
        ]
        for scaling in found
    ]
    return (
        table(["row, fp32", "points", "s a point", "largest / smallest"], by_grid)
        + "\n\n"
        + table(["row, fp32", "samples", "s a point", "µs a point and sample"], by_size)
    )


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

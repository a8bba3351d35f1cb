"""The tables that the benchmark prints, in Markdown, and its judgement."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.curvature.measure import Pairs, Result
from benchmarks.curvature.rows import TOLERANCE
from benchmarks.numbers import ratios, spread, table

OURS = "ours"
NAMES = {OURS: "lossscape", "pyhessian": "PyHessian 0.1", "curvlinops": "curvlinops 3.0"}


def misses(result: Result) -> list[str]:
    """What a row misses."""
    pairs = {side: each.seconds for side, each in result.pairs.items()}
    asked = (
        ("products", result.products, result.row.product_at_least),
        ("eigenvalues", pairs, result.row.eigenvalues_at_least),
    )
    found = [
        f"a ratio of at least {wanted:g} to {NAMES[peer]} of {what}"
        for what, times, at_least in asked
        for peer, wanted in at_least.items()
        if statistics.median(ratios(times[peer], times[OURS])) < wanted
    ]
    found += [
        f"products of {NAMES[side]} within {result.row.differs:g} of those in float64"
        for side, differs in result.differs.items()
        if not differs <= result.row.differs
    ]
    if not result.pairs:
        return found
    ours = result.pairs[OURS]
    if not ours.worst <= TOLERANCE:
        found.append(f"residuals of {NAMES[OURS]} up to {TOLERANCE:g}")
    for peer, other in result.pairs.items():
        if not agree(ours, other):
            found.append(f"eigenvalues that agree with those of {NAMES[peer]} within the residuals")
    return found


def agree(ours: Pairs, other: Pairs) -> bool:
    """Whether sorted eigenvalues differ by no more than both residuals, within which an eigenvalue lies."""

    def ordered(pairs: Pairs) -> list[tuple[float, float]]:
        return sorted(zip(pairs.values, pairs.residuals, strict=True), reverse=True)

    return all(
        abs(a - b) <= residual * abs(a) + another * abs(b)
        for (a, residual), (b, another) in zip(ordered(ours), ordered(other), strict=True)
    )


def shown(result: Result) -> str:
    """What was measured of a row, in words and tables."""
    row, facts = result.row, result.facts
    rate = statistics.median(result.rates)
    weights = f"after {row.epochs} epochs" if row.epochs else "initial weights"
    head = (
        f"{row.name}: {row.what}, {row.samples:,} samples of {facts['data']}, {weights}; "
        f"{facts['name']}, torch {facts['torch']}; "
        f"a product takes at least {facts['flop'] / 1e9:.3g} GFLOP, {facts['flop'] / rate:.3g} s at the "
        f"{rate / 1e9:,.0f} GFLOP/s of a matrix product"
    )
    parts = [head, products(result, facts["flop"] / rate)]
    if result.pairs:
        parts += [eigenvalues(result), values(result)]
    return "\n\n".join(parts)


def products(result: Result, floor: float) -> str:
    """The table of products with a vector. floor: seconds that one takes at least."""
    at_least = result.row.product_at_least
    head = (
        "side", "s a product", "ratio", "at least", "of matrix product", "differs", "made ready in, s", "graph kept of",
        "MB above data",
    )  # fmt: skip
    return table(
        head,
        [
            [
                NAMES[side],
                spread(times, ".3g"),
                *_ratio(side, result.products, at_least),
                f"{floor / statistics.median(times):.0%}",
                f"{result.differs[side]:.0e}",
                f"{result.prepared[side]['seconds']:.2g}",
                f"{result.prepared[side]['kept']:,} samples",
                f"{result.memory[side] / 1e6:,.0f}",
            ]
            for side, times in result.products.items()
        ],
    )  # fmt: skip


def eigenvalues(result: Result) -> str:
    """The table of times to the largest eigenvalues."""
    times = {side: each.seconds for side, each in result.pairs.items()}
    rows = [
        [
            NAMES[side],
            spread(each.seconds, ".3g"),
            *_ratio(side, times, result.row.eigenvalues_at_least),
            spread(each.products, ".0f") if each.products else "",
            f"{each.worst:.1e}",
        ]
        for side, each in result.pairs.items()
    ]
    if result.shipped is not None:
        ratio = result.shipped.seconds[0] / statistics.median(times[OURS])
        seconds = f"{result.shipped.seconds[0]:.3g}"
        rows.append([f"{NAMES['pyhessian']}, defaults", seconds, f"{ratio:.3g}", "", "", f"{result.shipped.worst:.1e}"])
    head = (
        f"{result.row.largest} largest eigenvalues",
        "s",
        "ratio",
        "at least",
        "products",
        "largest relative residual",
    )
    return table(head, rows)


def values(result: Result) -> str:
    """The table of the eigenvalues, each with its relative residual."""
    columns = [sorted(zip(each.values, each.residuals, strict=True), reverse=True) for each in result.pairs.values()]
    return table(
        ["rank", *(NAMES[side] for side in result.pairs)],
        [
            [str(rank), *(f"{value:.6g} (residual {residual:.0e})" for value, residual in line)]
            for rank, line in enumerate(zip(*columns, strict=True), 1)
        ],
    )


def _ratio(side: str, times: Mapping[str, Sequence[float]], at_least: Mapping[str, float]) -> tuple[str, str]:
    """The ratio of a side's time over ours, and what is asked for."""
    if side == OURS:
        return "1", ""
    found = ratios(times[side], times[OURS])
    wanted = at_least.get(side)
    if wanted is None:
        return spread(found, ".3g"), ""
    return spread(found, ".3g"), f"{wanted:g}: {'ok' if statistics.median(found) >= wanted else 'missed'}"

"""Curvature as figures that move: eigenvalues by rank or over training, spectral densities."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lossscape.analyses.curvature.result import Curvature
from lossscape.densities import Density
from lossscape.figures import captions
from lossscape.figures.captions import BAND
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.style import COLOURS, marker_of, symbol_of
from lossscape.figures.times import times_of
from lossscape.text import number, shortened

ORDINALS = ("1st from either end", "2nd", "3rd", "4th", "5th")
"""Eigenvalues that are drawn over training."""
WIDTH = 0.01
"""Standard deviation of the Gaussian that stands for an eigenvalue, as a part of the range of the axis."""
MOST_RANKS = 16
"""Numbers below the axis of ranks."""
POINTS = 600
"""At which a density is drawn."""


def spectrum_data(result: Curvature) -> dict[str, Any]:
    """Of one checkpoint eigenvalues by rank and traces of blocks; of several both, gradient and loss over training."""
    return _ranks(result) if len(result.checkpoints) == 1 else _over_training(result)


def _ranks(result: Curvature) -> dict[str, Any]:
    (checkpoint,) = result.checkpoints
    lines = []
    for place, block in enumerate(result.blocks):
        rows = result.of(result.table, checkpoint, block)
        words = []
        for each in rows.to_dict("records"):
            value = f"{number(each['eigenvalue'], 5)} ± {number(each['residual'], 2)}"
            lost = "" if each["converged"] == 1 else ", not converged"
            words.append(f"{shortened(block)}, rank {number(each['rank'])}: {value}{lost}")
        more = {"run": shortened(block), "error": rows["residual"], "open": _open(rows), "marks": True, "text": words}
        more |= symbol_of(marker_of(place))
        lines.append(line("ranks", COLOURS[place % len(COLOURS)], range(len(rows)), rows["eigenvalue"], **more))
    first = result.of(result.table, checkpoint, result.blocks[0])["rank"].astype(int).tolist()
    named = [[place, number(rank)] for place, rank in enumerate(first)][:: -(-len(first) // MOST_RANKS)]
    label = "rank, from the largest; −1 is the smallest"
    panels = [panel("ranks", "eigenvalue", name="eigenvalues", x=label, names=named)]
    if len(result.blocks) > 1:
        blocks = [[place, shortened(block, 16)] for place, block in enumerate(result.blocks)]
        panels.append(panel("traces", f"trace (± {BAND} standard errors)", name="traces", x="block", names=blocks))
        for place, block in enumerate(result.blocks):
            row = result.row(checkpoint, block)
            error = [BAND * row["trace_stderr"]]
            traced = line("traces", COLOURS[place % len(COLOURS)], [place], [row["trace"]], error=error)
            lines.append(traced | {"run": shortened(block), "marks": True, **symbol_of(marker_of(place))})
    return {"x": "", "panels": panels, "lines": lines, "rules": _limit(result, "ranks"), "log": False}


def _open(rows: Any) -> list[bool]:
    return [converged != 1 for converged in rows["converged"]]


def _limit(result: Curvature, key: str) -> list[dict[str, Any]]:
    """The limit of stability as a rule, and 0."""
    found = result.settings.get("stability")
    words = {"text": f"stability of {found['rule']} = {number(found['limit'])}"} if found else {}
    return [{"panel": key, "y": 0.0}, *([{"panel": key, "y": found["limit"], **words}] if found else [])]


def _over_training(result: Curvature) -> dict[str, Any]:
    block, rows = result.blocks[0], result.table[result.table["block"] == result.blocks[0]]
    times = times_of(result.traces[result.traces["block"] == block])
    at = dict(zip(result.checkpoints, times.values.tolist(), strict=True))
    lines, panels = [], []
    for sign, what in ((1, "largest"), (-1, "smallest")):
        if not (rows["rank"] * sign > 0).any():
            continue
        panels.append(panel(what, f"{what} eigenvalues", name=what))
        for index, name in enumerate(ORDINALS):
            own = rows[rows["rank"] == sign * (index + 1)]
            if len(own):
                look = {"run": name, "open": _open(own)}
                lines.append(line(what, COLOURS[index], [at[c] for c in own["checkpoint"]], own["eigenvalue"], **look))
    traces = [result.row(checkpoint, block) for checkpoint in result.checkpoints]
    value, error = (np.array([row[key] for row in traces], dtype=float) for key in ("trace", "trace_stderr"))
    lines.append(line("trace", COLOURS[0], [*at.values()], value, low=value - BAND * error, high=value + BAND * error))
    panels.append(panel("trace", f"trace (± {BAND} standard errors)", name="trace"))
    loss = captions.loss_label([captions.loss_name(result.settings)])
    for key, label in (("gradient_norm", "gradient norm"), ("loss", loss)):
        panels.append(panel(key, label, log=True))
        lines.append(line(key, COLOURS[0], [*at.values()], [row[key] for row in traces]))
    if times.names:
        names = list(zip(times.values.tolist(), times.names, strict=True))
        panels = [each | {"names": names} for each in panels]
    rules = [rule for each in panels if each["key"] == "largest" for rule in _limit(result, "largest")]
    return {"x": times.label, "panels": panels, "lines": lines, "rules": rules, "log": True}


def density_data(result: Curvature, checkpoints: Sequence[str]) -> dict[str, Any]:
    """The spectral densities of some checkpoints, a panel for each block, the eigenvalues as marks at the bottom."""
    lines, panels = [], []
    for block in result.blocks:
        label = "density" if len(result.blocks) == 1 else f"density, {shortened(block)}"
        panels.append(panel(block, label, log=True, shown=block == result.blocks[0], name=shortened(block)))
        densities = [result.density(checkpoint, block) for checkpoint in checkpoints]
        at, width, floor = drawn_at(densities, POINTS)
        for colour, checkpoint, density in zip(COLOURS, checkpoints, densities, strict=False):
            curve, error = density.smoothed(at, width)
            ends = {}
            if len(density.nodes) > 1:
                ends = {"low": np.maximum(curve - BAND * error, floor), "high": np.maximum(curve + BAND * error, floor)}
            lines.append(line(block, colour, at, np.maximum(curve, floor), run=checkpoint, **ends))
            values = result.of(result.table, checkpoint, block)["eigenvalue"].to_numpy()
            words = [f"{checkpoint}: eigenvalue {number(value, 5)}" for value in values]
            look = {"run": checkpoint, "marks": True, "symbol": "line-ns-open", "text": words}
            lines.append(line(block, colour, values, np.full(len(values), 1.5 * floor), **look))
    return {"x": "eigenvalue", "panels": panels, "lines": lines, "log": True}


def drawn_at(densities: Sequence[Density], points: int) -> tuple[np.ndarray, float, float]:
    """Where densities are drawn [points], the width of an eigenvalue's Gaussian, and where their axis begins."""
    every = np.concatenate([each.nodes.ravel() for each in densities])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    width = WIDTH * ((high - low) or abs(high) or 1.0)
    floor = 0.3 / (densities[0].n * width * np.sqrt(2 * np.pi))  # a third of what one eigenvalue makes
    return np.linspace(low - 5 * width, high + 5 * width, points), width, float(floor)

"""Curvature of several runs as figures: largest eigenvalues over training in units of 2/η, and critical points."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.analyses.curvature.result import WHOLE, Curvature
from lossscape.analyses.saddles.figure import INDEX_LABEL, loss_words
from lossscape.analyses.saddles.result import Saddles
from lossscape.figures.style import COLOURS, numbers, sheet, style
from lossscape.text import number

POINTS_CAPTION = (
    "Distinct critical points near the checkpoints of a run for each seed: the part of the eigenvalues that is "
    "negative, against the loss, weight decay included where the search was of it."
)
MARK: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4, "alpha": 0.7}
SECOND: dict[str, Any] = {"alpha": 0.45, "linewidth": 0.8, "linestyle": (0, (1, 1))}


def ratios(result: Curvature, rank: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Epochs of the checkpoints and the eigenvalue of a rank there over the limit of stability, [T] each.

    Epochs are NaN where they are not known, and so are eigenvalues that have not converged.
    """
    rows = result.table[(result.table["rank"] == rank) & (result.table["block"] == WHOLE)].set_index("checkpoint")
    epochs = np.array([result.row(checkpoint, WHOLE)["epoch"] for checkpoint in result.checkpoints], dtype=float)
    values = rows["eigenvalue"].where(rows["converged"] == 1).reindex(result.checkpoints).to_numpy(dtype=float)
    return epochs, values / float(result.settings["stability"]["limit"])


@style()
def build_stability(
    groups: Mapping[str, Sequence[tuple[str, Curvature]]], band: float, late: float, *, captioned: bool = True
) -> Figure:
    """λmax over 2/η by epoch, a panel for each group of runs and a line for each run, and the second, dotted.

    groups: names of runs and their results by title; band, late: what the statements look at, shaded.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name, _ in group))
    key = [Line2D([], [], color=COLOURS[i % len(COLOURS)], label=name) for i, name in enumerate(names)]
    key.append(Line2D([], [], color="0.3", label="second eigenvalue", **SECOND))
    caption = stability_caption(band, late) if captioned else None
    figure, panel = sheet(10, 3.6, "The largest eigenvalues under gradient descent", caption, key)
    for axes, (title, group) in zip(panel.subplots(1, len(groups), squeeze=False).flat, groups.items(), strict=True):
        _panel(axes, group, names, band, late)
        axes.set_title(title, size=10)
    return figure


def _panel(axes: Axes, group: Sequence[tuple[str, Curvature]], names: Sequence[str], band: float, late: float) -> None:
    last = 0.0
    for name, result in group:
        colour = COLOURS[names.index(name) % len(COLOURS)]
        epochs, values = ratios(result)
        last = max(last, float(np.nanmax(epochs)))
        axes.plot(epochs, values, color=colour, linewidth=1.1, label=name)
        if (result.table["rank"] == 2).any():
            axes.plot(*ratios(result, 2), color=colour, label=f"_{name} second", **SECOND)
    axes.axhline(1.0, color="0.25", linewidth=1.0, linestyle=(0, (5, 2)), label="_2/η")
    axes.fill_between([(1 - late) * last, last], 1 - band, 1 + band, color="0.85", linewidth=0, label="_band")
    axes.set_xlabel("epoch, one step each")
    axes.set_ylabel("λ / (2/η)")
    axes.set_ylim(bottom=0)
    numbers(axes.xaxis, 8, digits=9)


def stability_caption(band: float, late: float) -> str:
    """What the figure shows."""
    return (
        "The two largest eigenvalues of the Hessian of the training loss over 2/η, above which the steps of gradient "
        f"descent on a quadratic would grow. Shaded: within {number(100 * band)} % of it over the last "
        f"{number(100 * late)} % of the epochs, where the statements look."
    )


@style()
def build_points(runs: Sequence[tuple[str, Saddles]], *, captioned: bool = True) -> Figure:
    """Index fraction against loss of the distinct critical points of several runs. runs: by name."""
    marks: list[dict[str, Any]] = [MARK | {"color": COLOURS[i % len(COLOURS)]} for i in range(len(runs))]
    key = [Line2D([], [], label=name, **look) for (name, _), look in zip(runs, marks, strict=True)]
    caption = POINTS_CAPTION if captioned else None
    figure, panel = sheet(6.5, 3.8, "Critical points: index against loss", caption, key)
    axes = panel.subplots()
    for (name, result), look in zip(runs, marks, strict=True):
        points = result.distinct
        axes.plot(points["loss"], points["index_fraction"], label=name, **look)
    axes.set_xlabel(loss_words(runs[0][1]))
    axes.set_ylabel(fill(INDEX_LABEL, 30))
    numbers(axes.xaxis)
    numbers(axes.yaxis)
    return figure

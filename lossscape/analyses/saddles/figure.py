"""Critical points as a figure, index fraction against loss; and their part of the page."""

from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from lossscape.analyses.saddles.chart import saddles_data
from lossscape.analyses.saddles.request import Drawing
from lossscape.analyses.saddles.result import FILE, GRADIENT_FLAT, POINTS, SUMMARY, Saddles
from lossscape.figures import captions
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.style import asked_ends, new_axes, numbers, save, sheet, style
from lossscape.figures.text import beyond_words, finite, shortened
from lossscape.figures.times import ends_words
from lossscape.text import counted, number

PNG = "saddles.png"
COLOURS = "viridis"
LOST = "0.62"
LARGEST_LOSSES = 1.5
"""Points that did not converge are drawn up to this many times the range of the others' losses above these."""
INDEX_LABEL = "index fraction: share of negative eigenvalues"
ROUNDING = 1e-17
"""Gradient norms below this are drawn as this."""


def draw(result: Saddles, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figure of critical points beside them; returns what lies where."""
    folder = result.folder
    figure = save(build_saddles(result), folder / PNG)
    kept = {"kept": folder / POINTS} if (folder / POINTS).is_dir() else {}
    return {"points": folder / FILE, "summary": folder / SUMMARY, "figure": figure, **kept}


@style()
def build_saddles(result: Saddles, *, captioned: bool = True) -> Figure:
    """Index fraction against loss: critical points coloured by the gradient's norm, others as open grey circles."""
    caption = _caption(result) if captioned else None
    title = (
        f"Critical points near {counted(len(set(result.table['checkpoint'])), 'checkpoint')} of {shortened(result.run)}"
    )
    figure, panel = sheet(7.2, 4.8, title, caption, _key(result))
    axes = panel.subplots()
    saddles_axes(result, axes)
    return figure


@style()
def saddles_axes(result: Saddles, ax: Axes | None = None) -> Axes:
    """Draw the points with a colour bar into axes, by default new ones; returns the axes."""
    axes: Axes = new_axes() if ax is None else ax
    lost, found = result.lost[_drawn(result)], result.converged
    axes.plot(
        finite(lost["loss"].to_numpy()), lost["index_fraction"], "o", markersize=4, markerfacecolor="none",
        markeredgecolor=LOST, markeredgewidth=0.8, label="_not converged",
    )  # fmt: skip
    if len(found):
        norms = np.maximum(found["gradient_norm"].to_numpy(), ROUNDING)
        low, high = 10 ** np.floor(np.log10(norms.min())), 10 ** np.ceil(np.log10(norms.max()))
        norm = LogNorm(low, high if high > low else 10 * low)
        axes.scatter(
            finite(found["loss"].to_numpy()), found["index_fraction"], c=norms, norm=norm, cmap=COLOURS, s=22,
            linewidths=0.4, edgecolors="black", zorder=3, label="_critical points",
        )  # fmt: skip
        bar = axes.figure.colorbar(ScalarMappable(norm, COLOURS), ax=axes, label="gradient norm ‖∇L‖ reached")
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=8))
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        bar.ax.minorticks_off()
    axes.set_xlabel(loss_words(result))
    axes.set_ylabel(INDEX_LABEL)
    if asked_ends() != (None, None):
        axes.set_xlim(*asked_ends())
    numbers(axes.xaxis)
    numbers(axes.yaxis)
    return axes


def loss_words(result: Saddles) -> str:
    """What stands below an axis of the points' losses."""
    label = captions.loss_label([captions.loss_name(result.settings)], result.settings["split"])
    return f"{label} + weight decay" if result.settings["weight_decay"] == "include" else label


def _drawn(result: Saddles) -> np.ndarray:
    """Which of the points that did not converge lie near enough to the others to be drawn [N]."""
    losses, found = result.lost["loss"].to_numpy(), result.converged["loss"].to_numpy()
    if not len(found):
        return np.isfinite(losses)
    return np.asarray(losses <= found.max() + LARGEST_LOSSES * (np.ptp(found) or abs(found.max())))


def _key(result: Saddles) -> list[Artist]:
    found, lost = len(result.converged), len(result.lost)
    marks: list[Artist] = [
        Line2D(
            [], [], marker="o", linestyle="", markersize=4.7, markerfacecolor="#21918c", markeredgecolor="black",
            markeredgewidth=0.4, label=f"{found:,} converged ({len(result.distinct):,} distinct)",
        )
    ]  # fmt: skip
    if lost:
        flat = f", {len(result.gradient_flat):,} gradient-flat" if len(result.gradient_flat) else ""
        marks.append(
            Line2D([], [], marker="o", linestyle="", markersize=4, markerfacecolor="none", markeredgecolor=LOST,
                   label=f"{lost:,} not converged{flat}")
        )  # fmt: skip
    return marks


def _objective_words(result: Saddles) -> str:
    settings = result.settings
    if settings["weight_decay"] == "include":
        rates = " and ".join(number(rate) for rate in settings["lambda"]) or "0"
        return f"Loss with weight decay λ/2·‖θ‖², λ = {rates}."
    return "Loss without weight decay."


def _caption(result: Saddles) -> str:
    settings = result.settings
    sizes = ", ".join(number(size) for size in settings["sizes"])
    starts = (
        f"{counted(settings['displacements'], 'random displacement')} each of {sizes} ‖θ‖ (seed {settings['seed']})"
    )
    words = [
        _objective_words(result),
        f"Starts: each checkpoint and {starts}." if settings["displacements"] else "Starts: the checkpoints.",
        f"At most {counted(settings['descent_steps'], 'step')} of L-BFGS on ‖∇L‖², then "
        f"{settings['newton_steps']:,} of Newton.",
        result.correlation_words(), result.threshold(),
    ]  # fmt: skip
    if len(result.gradient_flat):
        words.append(
            "Gradient-flat: ∇L lies along directions with hardly any curvature, "
            f"‖H∇L‖ ≤ {number(GRADIENT_FLAT)} ‖H‖‖∇L‖."
        )
    if left := int((~_drawn(result)).sum()):
        words.append(f"{left:,} not converged at larger losses are not drawn.")
    words += beyond_words(result.table["loss"])
    return " ".join([*words, *captions.conditions(result, [settings["split"]], "each checkpoint")])


def section(result: Saddles, page: Page) -> Section:
    """Its part of the page: figure, counts and correlation in words, a table of kinds, and its files."""
    figure = build_saddles(result, captioned=False)
    still = page.draw(figure, PNG, f"{result.counts()}. {result.correlation_words()}", _caption(result))
    checkpoints = list(dict.fromkeys(result.table["checkpoint"]))
    settings = result.settings
    extras = ["with weight decay"] if settings["weight_decay"] == "include" else []
    extras += captions.targets_extra(settings)
    title = ", ".join([ends_words(checkpoints), *extras])
    data = saddles_data(result, result.lost[_drawn(result)], (loss_words(result), INDEX_LABEL))
    chart = Chart("saddles", "lines", data, still)
    return Section(title, [chart, _table(result), Sentences(result.lines())], page.copy_result(result.folder))


def _table(result: Saddles) -> Table:
    """A row for each size of displacements: how many starts led where."""
    rows = []
    for size in sorted(set(result.table["size"].tolist())):
        of_size = result.table[result.table["size"] == size]
        found = of_size[of_size["converged"] == 1]
        ends = [
            f"{number(found[name].min(), 3)} to {number(found[name].max(), 3)}" if len(found) else "–"
            for name in ("loss", "index_fraction")
        ]
        steps = of_size["newton_steps"]
        name = f"{number(size)} ‖θ‖" if size else "none"
        rows.append([name, f"{len(of_size):,}", f"{len(found):,}", *ends, number(float(steps.median()))])
    head = ["displacement", "starts", "critical points", "loss", "index fraction", "Newton steps (median)"]
    return Table(rows, head, "Where starts led, by the length of their displacement.")

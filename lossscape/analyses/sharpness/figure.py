"""Sharpness as figures: rises against the radius and widths, or all of them over training; and its part of the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.analyses.sharpness.chart import sharpness_data
from lossscape.analyses.sharpness.request import Drawing
from lossscape.analyses.sharpness.result import (
    CONFIDENCE,
    NAMES,
    SHARPNESS,
    SUMMARY,
    WIDTH,
    WORST,
    Sharpness,
    measured_words,
)
from lossscape.certificate.summary import summary as certificate_words
from lossscape.errors import BadInput
from lossscape.figures import captions
from lossscape.figures.certificates import certificate_of, failures
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.style import (
    COLOURS,
    line_style,
    loss_axis,
    marker_of,
    new_axes,
    numbers,
    save,
    sheet,
    style,
    value_axis,
)
from lossscape.figures.text import beyond_words, finite, shortened
from lossscape.figures.times import ends_words, times_of
from lossscape.text import counted, number

PNG = "sharpness.png"
PLAIN, ADAPTIVE = ("worst", "average"), ("adaptive_worst", "adaptive_average")
LOSS = "loss"


def draw(result: Sharpness, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figure of sharpness beside it; returns what lies where."""
    folder = result.folder
    figure = save(build_sharpness(result), folder / PNG)
    found: dict[str, Path | str] = {name: folder / f"{name}.csv" for name in (SHARPNESS, SUMMARY)}
    return found | {"figure": figure, "certificate": certificate_words(folder)}


@style()
def build_sharpness(result: Sharpness, *, captioned: bool = True) -> Figure:
    """At one checkpoint rises against ρ and widths; at several each measure over training."""
    caption = _caption(result) if captioned else None
    at = f"@{result.checkpoints[0]}" if len(result.checkpoints) == 1 else " over training"
    title = f"Sharpness of {shortened(result.run)}{at}"
    if len(result.checkpoints) > 1:
        return _over_training(result, title, caption)
    pairs = [tuple(each for each in pair if each in result.kinds) for pair in (PLAIN, ADAPTIVE)]
    shown = [pair for pair in pairs if pair]
    count = len(shown) + (WIDTH in result.kinds)
    key = _key([name for name in PLAIN if name in {_plain(each) for pair in shown for each in pair}])
    figure, panel = sheet(3.6 * count + 0.6, 3.9, title, caption, key)
    grid = list(panel.subplots(1, count, squeeze=False).flat)
    for axes, pair in zip(grid, shown, strict=False):
        _rises(axes, result, pair)
    if WIDTH in result.kinds:
        _widths(grid[-1], result)
    return figure


@style()
def rise_axes(result: Sharpness, ax: Axes | None = None) -> Axes:
    """Draw the rises of the last checkpoint against ρ, the plain ones first, into axes; returns them.

    Raises BadInput where only widths were asked for.
    """
    pairs = [tuple(each for each in pair if each in result.kinds) for pair in (PLAIN, ADAPTIVE)]
    if not (shown := [pair for pair in pairs if pair]):
        raise BadInput("plot: widths alone were computed; ask for measures=('worst', 'average') too")
    axes = new_axes() if ax is None else ax
    _rises(axes, result, shown[0])
    axes.legend(handles=_key(shown[0]))
    return axes


def _key(pair: Sequence[str]) -> list[Artist]:
    return [Line2D([], [], label=NAMES[each], **line_style(PLAIN.index(_plain(each)), 2)) for each in pair]


def _rises(axes: Axes, result: Sharpness, pair: tuple[str, ...]) -> None:
    """Rises against ρ with their intervals, and those of each seed."""
    drawn = []
    for measure in pair:
        rows = result.of(measure, result.checkpoints[-1])
        colour = COLOURS[PLAIN.index(_plain(measure))]
        each = result.table[
            (result.table["measure"] == measure) & (result.table["checkpoint"] == result.checkpoints[-1])
        ]
        axes.plot(
            each["rho"], finite(each["value"].to_numpy()), ".", color=colour, alpha=0.3, label=f"_{measure} seeds"
        )
        _with_interval(axes, rows["rho"].to_numpy(), rows, colour, measure)
        drawn.append(finite(each["value"].to_numpy()))
    axes.set_xscale("log")
    loss_axis(axes, drawn, log=True)
    radii = sorted({float(value) for measure in pair for value in result.of(measure)["rho"]})
    axes.set_xticks(radii, [number(each, 3) for each in radii])
    axes.minorticks_off()
    adaptive = pair[0] in ADAPTIVE
    axes.set_xlabel("ρ of u, displacement |θ|·u" if adaptive else "ρ of the displacement")
    axes.set_ylabel("rise of the loss")
    axes.set_title("adaptive" if adaptive else "plain", size=10)


def _plain(measure: str) -> str:
    return measure.removeprefix("adaptive_")


def _shown_column(rows: pd.DataFrame) -> str:
    """Of what ascent found the greatest of all starts, of noise the mean."""
    return "largest" if rows["measure"].iloc[0] in WORST else "mean"


def _with_interval(axes: Axes, at: np.ndarray, rows: pd.DataFrame, colour: str, name: str, marker: str = "") -> None:
    value, low, high = (finite(rows[column].to_numpy()) for column in (_shown_column(rows), "low", "high"))
    look: dict[str, Any] = {"marker": marker or "o", "markersize": 3.5 if len(at) < 30 else 0}
    look |= {"markersize": 5.5, "markevery": max(len(at) // 12, 1)} if marker else {}
    axes.plot(at, value, color=colour, label=f"_{name}", **look)
    axes.fill_between(at, low, high, color=colour, alpha=0.2, linewidth=0, label=f"_{name} interval")


def _widths(axes: Axes, result: Sharpness) -> None:
    """The width along each direction, their median and quartiles."""
    values = finite(result.table[result.table["measure"] == WIDTH]["value"].to_numpy())
    row = result.of(WIDTH).iloc[0]
    axes.plot(np.arange(len(values)), values, "o", color=COLOURS[2], markersize=4.5, label="_widths")
    for column, line in (("median", "-"), ("quartile1", ":"), ("quartile3", ":")):
        if np.isfinite(row[column]):
            axes.axhline(row[column], color=COLOURS[2], linestyle=line, linewidth=1.1, label=f"_{column}")
    value_axis(axes, [values])
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.set_xlabel("random direction")
    axes.set_ylabel("distance, 1 = ‖θ‖ filter by filter")
    numbers(axes.xaxis, integer=True)
    axes.set_title(f"width: to a rise of {number(result.settings['rise'])}", size=10)


def _over_training(result: Sharpness, title: str, caption: str | None) -> Figure:
    panels = [*result.kinds, LOSS]
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure, panel = sheet(3.6 * columns + 0.4, 3.1 * rows, title, caption)
    first = result.of(result.kinds[0])
    times = times_of(first[first["rho"].isna() | (first["rho"] == first["rho"].min())])
    grid = list(panel.subplots(rows, columns, squeeze=False).flat)
    for axes, name in zip(grid, panels, strict=False):
        if name == LOSS:
            losses = finite(result.summary.groupby("checkpoint", sort=False)["loss"].first().to_numpy())
            axes.plot(times.values, losses, color="0.35", label="_loss")
            loss_axis(axes, [losses], log=True)
            label = captions.loss_label([captions.loss_name(result.settings)])
            axes.set_ylabel(label.replace(", mean", ",\nmean"))
        else:
            _measure_over(axes, result, name, times.values)
        times.name(axes)
    for axes in grid[len(panels) :]:
        axes.remove()
    return figure


def _measure_over(axes: Axes, result: Sharpness, measure: str, at: np.ndarray) -> None:
    """A measure over training: a line for each ρ with its interval; of widths the median between the quartiles."""
    rows = result.of(measure)
    if measure == WIDTH:
        median, low, high = (finite(rows[column].to_numpy()) for column in ("median", "quartile1", "quartile3"))
        axes.plot(at, median, color=COLOURS[2], label="_width")
        axes.fill_between(at, low, high, color=COLOURS[2], alpha=0.2, linewidth=0, label="_quartiles")
        value_axis(axes, [median, low, high])
        axes.set_ylim(bottom=0)
        axes.set_ylabel(f"width (to a rise of {number(result.settings['rise'])})")
        return
    drawn, key = [], list[Artist]()
    for index, radius in enumerate(sorted(rows["rho"].unique())):
        of_radius = rows[rows["rho"] == radius]
        colour, marker = COLOURS[index % len(COLOURS)], marker_of(index)
        _with_interval(axes, at, of_radius, colour, f"{measure} {radius:g}", marker)
        drawn.append(finite(of_radius[_shown_column(of_radius)].to_numpy()))
        key.append(Line2D([], [], color=colour, marker=marker, label=f"ρ = {number(radius)}"))
    loss_axis(axes, drawn, log=True)
    axes.set_ylabel(NAMES[measure])
    axes.legend(handles=key, fontsize=8)


def _caption(result: Sharpness) -> str:
    settings, measures = result.settings, result.kinds
    words = ["Rises of the mean loss over that at θ, weight decay not included."]
    if set(measures) & set(WORST):
        words.append(
            f"Worst: the greatest that {counted(settings['ascent_steps'], 'step')} of gradient ascent from "
            f"{counted(settings['seeds'], 'start')} find in the ball of radius ρ, a lower bound."
        )
    if set(measures) & {"average", "adaptive_average"}:
        words.append(
            f"Average: over {counted(settings['pairs'], 'pair')} of Gaussian noise and its negative, σ = ρ/√n."
        )
    if set(measures) & set(ADAPTIVE):
        words.append("Adaptive: displacements |θ|·u with u in the ball, or noise.")
    if set(measures) != {WIDTH}:
        bands = (
            f"bands: {CONFIDENCE:.0%} confidence intervals of the mean over them"
            if settings["seeds"] > 1
            else "no bands"
        )
        words.append(f"{counted(settings['seeds'], 'seed')}; {bands}.")
    if WIDTH in measures:
        words.append(
            f"Width: distance along each of {counted(settings['seeds'], 'filter-normalised random direction')} (biases "
            "and normalisation layers at rest); median and quartiles."
        )
    words += [*result.doubts(), *beyond_words(result.table["value"], result.summary["loss"])]
    return " ".join([*words, *captions.conditions(result, [settings["split"]], "each checkpoint")])


def section(result: Sharpness, page: Page) -> Section:
    """Its part of the page: the figure, the table of measures, its certificate and files."""
    figure = build_sharpness(result, captioned=False)
    every = result.checkpoints
    ends = every if len(every) == 1 else [every[0], every[-1]]
    alt = " ".join(f"{result.line(checkpoint)}." for checkpoint in ends)
    doubts = [Sentences(result.doubts())] if result.doubts() else []
    still = page.draw(figure, PNG, alt, _caption(result))
    settings = result.settings
    title = ", ".join([ends_words(every), *captions.targets_extra(settings), *captions.title_extras(settings)])
    return Section(
        title,
        [Chart("sharpness", "lines", sharpness_data(result), still), _table(result), *doubts],
        page.copy_result(result.folder),
        failures=failures(result.certificate),
        certificate=certificate_of(result.certificate, {}),
    )


def _table(result: Sharpness) -> Table:
    """A row for each checkpoint, measure and radius."""
    rows = []
    for row in result.summary.to_dict("records"):
        name = (
            NAMES[row["measure"]] if len(result.checkpoints) == 1 else f"{row['checkpoint']}: {NAMES[row['measure']]}"
        )
        radius = "" if row["measure"] == WIDTH else number(row["rho"])
        rows.append([name, radius, measured_words(row), number(row["median"], 3), number(row["largest"], 3)])
    head = ["measure", "ρ", "value", "median", "largest"]
    caption = "Worst: the greatest of all starts, and the mean. Average: the mean. Width: the median and its quartiles."
    return Table(rows, head, caption, words=[2])

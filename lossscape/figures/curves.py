"""Losses and metrics along a line: between two checkpoints, or along a random direction."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lossscape.directions import axis_label
from lossscape.errors import BadInput
from lossscape.figures import captions
from lossscape.figures.captions import BAND
from lossscape.figures.metrics import metric
from lossscape.figures.predictions import off_the_line
from lossscape.figures.section import Page, Picture
from lossscape.figures.style import (
    ALONE,
    COLOURS,
    DASHES,
    RUNS,
    Looks,
    asked_ends,
    line_key,
    line_style,
    loss_axis,
    new_axes,
    sheet,
    style,
    value_axis,
)
from lossscape.figures.text import distinct, finite, shortened
from lossscape.results import Curve
from lossscape.text import number


@style()
def build_curve(curves: Sequence[Curve], *, log: bool = False, captioned: bool = True, looks: Looks = ALONE) -> Figure:
    """Loss and the first other metric of one or several curves against α (or x): see curve_axes.

    log: a logarithmic loss axis; captioned: with what was computed in small print below; looks: those of the page's
    runs. Raises BadInput where there is nothing to draw or the curves have different coordinates.
    """
    if not curves:
        raise BadInput("no finished curve to draw; run lossscape interpolate first")
    coordinate = curves[0].coordinate
    if any(curve.coordinate != coordinate for curve in curves):
        raise BadInput("curves between checkpoints and along random directions cannot share an axis")
    caption = captions.curve_caption(curves, names_of(curves), log) if captioned else None
    figure, panel = sheet(10, 4.2, captions.curve_title(curves), caption, _key(curves, looks))
    shown = ["loss", *list(dict.fromkeys(name for curve in curves for name in curve.metrics))[:1]]
    for axes, name in zip(panel.subplots(1, len(shown), squeeze=False).flat, shown, strict=True):
        _draw(axes, curves, name, log, looks)
    return figure


def curve_picture(curves: Sequence[Curve], page: Page, name: str, alt: str) -> Picture:
    """The figure of build_curve on the page, in a file of this name."""
    figure = build_curve(curves, log=page.log, captioned=False, looks=page.looks)
    return page.draw(figure, name, alt, captions.curve_caption(curves, names_of(curves), page.log))


@style()
def curve_axes(curves: Sequence[Curve], ax: Axes | None = None, *, name: str = "loss", log: bool = False) -> Axes:
    """Draw the loss or another metric of curves into axes, by default new ones, with a legend; returns the axes.

    Train is solid, test dashed, with bands of standard errors where the values are of a subset.
    """
    axes = new_axes() if ax is None else ax
    _draw(axes, curves, name, log, ALONE)
    if key := _key(curves, ALONE):
        axes.legend(handles=key)
    return axes


def _draw(axes: Axes, curves: Sequence[Curve], name: str, log: bool, looks: Looks) -> None:
    drawn, bands, splits = [], [], _splits(curves)
    for curve, line in zip(curves, lines_of(curves, looks), strict=True):
        for split in curve.splits:
            if f"{split}_{name}" in curve.table:
                look = line | {"color": line["color"] or COLOURS[("train", "test").index(split)]}
                drawn.append(_draw_split(axes, curve, split, name, look))
                if f"{split}_{name}_stderr" in curve.table:
                    low, high = _band(curve, split, name)
                    drawn += [low[np.isfinite(low)], high[np.isfinite(high)]]
                    look = {"color": look["color"], "label": f"_{curve.folder.name} {split} band"}
                    bands.append((curve.positions, low, high, look))
    only = splits[0] if len(splits) == 1 else ""
    if name == "loss":
        axes.set_ylabel(captions.loss_label([captions.loss_name(curve.settings) for curve in curves], only))
        loss_axis(axes, drawn, log, asked_ends())
    else:
        axes.set_ylabel(metric(name).axis(only))
        value_axis(axes, drawn)
    _draw_bands(axes, bands)
    _mark(axes, curves)


def lines_of(curves: Sequence[Curve], looks: Looks = ALONE) -> list[dict[str, Any]]:
    """How each curve is drawn: as its run, or by its index where one run has several."""
    runs = [curve.folder.resolve().parent.parent for curve in curves]
    points = [len(curve.table) for curve in curves]
    if len({*runs}) < len(runs):
        return [line_style(index, many, RUNS) for index, many in enumerate(points)]
    return looks.lines(runs, points)


def _splits(curves: Sequence[Curve]) -> list[str]:
    return [split for split in ("train", "test") if any(split in curve.splits for curve in curves)]


def names_of(curves: Sequence[Curve]) -> list[str]:
    """Names for the legend: the run's; with its checkpoints where one run has several curves."""
    points = ("start", "end") if curves[0].coordinate == "alpha" else ("centre",)
    runs = [str(curve.settings[points[0]]["run"]) for curve in curves]
    if len(set(runs)) == len(runs):
        return distinct(runs)
    ends = [" → ".join(str(curve.settings[end]["checkpoint"]) for end in points) for curve in curves]
    return distinct([f"{run}: {end}" for run, end in zip(runs, ends, strict=True)])


def _draw_split(axes: Axes, curve: Curve, split: str, name: str, look: dict[str, Any]) -> np.ndarray:
    """Draw a metric of one split of one curve; returns its finite values as they are shown."""
    x = curve.positions
    values = metric(name).scale * finite(curve.table[f"{split}_{name}"].to_numpy())
    label = f"{curve.folder.name} {split}"
    ends = np.isin(x, (0.0, 1.0) if curve.coordinate == "alpha" else (0.0,))
    off = off_the_line(values, curve.predicted)
    axes.plot(x[~off], values[~off], linestyle=DASHES[split], label=label, **look)
    axes.plot(x[ends], values[ends], "o", color=look["color"], markersize=4.5, label=f"_{label} ends")
    if curve.predicted.any():
        known = ~curve.predicted & ~off
        axes.plot(x[known], values[known], "o", color=look["color"], markersize=2, label=f"_{label} evaluated")
    if off.any():
        light: dict[str, Any] = {"markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7, "alpha": 0.6}
        axes.plot(x[off], values[off], "o", color=look["color"], label=f"_{label} off the line", **light)
    shown: np.ndarray = values[np.isfinite(values)]
    return shown


def _band(curve: Curve, split: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The ends of BAND standard errors around each value that was estimated from a subset, as they are shown."""
    value, error = (finite(curve.table[f"{split}_{name}{end}"].to_numpy()) for end in ("", "_stderr"))
    low, high = value - BAND * error, value + BAND * error
    if metric(name).unit == "%":
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return metric(name).scale * low, metric(name).scale * high


def _draw_bands(axes: Axes, bands: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]]) -> None:
    """Shade between the ends of each band; on a logarithmic axis one that reaches 0 runs out of the bottom."""
    floor = -np.inf
    if axes.get_yscale() == "log":
        values = np.concatenate([line.get_ydata() for line in axes.lines]).astype(float)
        floor = values[values > 0].min() / 10
    for x, low, high, look in bands:
        axes.fill_between(x, np.maximum(low, floor), np.maximum(high, floor), alpha=0.22, lw=0, zorder=1.5, **look)
    if min((np.nanmin(low, initial=np.inf) for _, low, *_ in bands), default=np.inf) < floor:
        axes.set_ylim(bottom=floor)


def _mark(axes: Axes, curves: Sequence[Curve]) -> None:
    settings = [curve.settings for curve in curves]
    low = min(float(curve.positions[0]) for curve in curves)
    high = max(float(curve.positions[-1]) for curve in curves)
    axes.update_datalim([(low, 0.0), (high, 0.0)], updatey=False)  # gaps at the ends too
    axes.autoscale_view(scaley=False)
    if curves[0].coordinate == "alpha":
        axes.set_xlabel("α")
        names = [_point(settings, "start"), _point(settings, "end")]
        marks = dict(zip((0.0, 1.0), names if all(names) else ["A", "B"], strict=True))
    else:
        axes.set_xlabel(axis_label(settings[0], "x"))
        marks = {0.0: _checkpoint(settings, "centre") or "centre"}
    marks = {value: text for value, text in marks.items() if low <= value <= high}
    width = high - low
    ticks = [float(tick) for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)]
    inside = [tick for tick in ticks if low - 1e-9 * width <= tick <= high + 1e-9 * width]
    apart = [tick for tick in inside if all(abs(tick - value) > 0.06 * width for value in marks)]
    axes.set_xticks(sorted([*apart, *marks]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: number(value) + (f"\n{marks[value]}" if value in marks else ""))
    )
    for value in marks:
        axes.axvline(value, color="0.6", linewidth=0.8, zorder=0.5)


def _point(settings: Sequence[captions.Settings], end: str) -> str:
    """An end of lines between checkpoints, with its run where all lines lead from one run to another."""
    runs = {tuple(str(each[which]["run"]) for which in ("start", "end")) for each in settings}
    checkpoint = _checkpoint(settings, end)
    if len(runs) > 1 or len({*next(iter(runs))}) == 1 or not checkpoint:
        return checkpoint
    return f"{shortened(str(settings[0][end]['run']), 18)}\n@{checkpoint}"


def _checkpoint(settings: Sequence[captions.Settings], end: str) -> str:
    """The checkpoint's name where it is the same for all curves, else nothing."""
    names = {str(each[end]["checkpoint"]) for each in settings}
    return shortened(names.pop(), 20) if len(names) == 1 else ""


def _key(curves: Sequence[Curve], looks: Looks) -> list[Artist]:
    splits, looked = _splits(curves), lines_of(curves, looks)
    own = looked[0]["color"] if len(curves) == 1 else None
    colour = (own or COLOURS[0]) if len(curves) == len(splits) == 1 else "0.35"
    band = Patch(color=colour, alpha=0.25, linewidth=0, label=f"± {BAND} standard errors")
    lines = dict(zip(names_of(curves), looked, strict=True)) if len(curves) > 1 else {}
    return [
        *line_key(lines, splits, own),
        *([band] if any(captions.sampled(curve, split) for curve in curves for split in curve.splits) else []),
    ]

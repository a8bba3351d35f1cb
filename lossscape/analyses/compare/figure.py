"""A comparison as figures: curves with bands, a table, and the metric against the learning rate; and its section."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, SymmetricalLogLocator

from lossscape.analyses.compare.chart import curves_data, rates_data
from lossscape.analyses.compare.request import Drawing
from lossscape.analyses.compare.result import (
    DIFFERENCE_HEAD,
    FILES,
    Comparison,
    difference_rows,
    markdown,
    reach_head,
    reach_rows,
    unit_of,
    value_head,
    value_rows,
)
from lossscape.figures.metrics import metric as shown_metric
from lossscape.figures.section import Chart, Page, Section, Table
from lossscape.figures.style import (
    ALONE,
    Looks,
    asked_ends,
    decades,
    line_style,
    loss_axis,
    numbers,
    save,
    sheet,
    style,
    value_axis,
)
from lossscape.figures.tables import build_table
from lossscape.figures.text import beyond_words, distinct, finite
from lossscape.files import write_text
from lossscape.text import counted, number

CURVES, RATES, TABLE, MARKDOWN = "curves.png", "rates.png", "table.png", "table.md"
RATES_CAPTION = "Means over seeds, bars of one standard deviation; crosses where no run finished."
LONGER = 5
"""Times the epochs of the shortest curve, from which on epochs are drawn on a logarithmic scale."""
MOST_LINES = 14
"""Groups that are drawn in one figure; of more each method at its best learning rate."""


def draw(result: Comparison, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures and the tables in Markdown beside the CSVs; returns what lies where."""
    folder = result.folder
    figure = save(build_curves(result), folder / CURVES)
    save(build_table(tables(result)[0], f"{counted(len(result.runs), 'run')} compared"), folder / TABLE)
    rates = save(build_rates(result, log=drawing.log), folder / RATES) if result.several_rates else ""
    write_text(folder / MARKDOWN, words(result))
    return {
        "groups": folder / FILES["groups"], "runs": folder / FILES["runs"],
        "differences": folder / FILES["differences"], "table": folder / MARKDOWN,
        "figure": figure, **({"rates": rates} if rates else {}),
    }  # fmt: skip


def words(result: Comparison) -> str:
    """All tables in Markdown."""
    parts = []
    for first in _firsts(result):
        parts += [_said(result, first), markdown(value_head(result, first), value_rows(result, first))]
        for until in result.until:
            rows = reach_rows(result, first, until)
            parts += [f"Until {until}:", markdown(reach_head(result, first), rows)]
    if len(result.differences):
        parts += [_difference_words(result), markdown(DIFFERENCE_HEAD, difference_rows(result))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _firsts(result: Comparison) -> list[str]:
    return ["method", "group"] if result.several_rates else ["group"]


def _said(result: Comparison, first: str) -> str:
    what = f"Each method at the learning rate with the best mean final {unit_of(result.metric)}."
    said = [what if first == "method" else "Every group.", "Mean ± standard deviation over the runs that finished."]
    if result.until:
        said.append(
            "What is to be reached: the first epoch after which it is, means over the runs that reached it. One pass "
            "over the training data counts as one gradient."
        )
    return " ".join(said)


def _difference_words(result: Comparison) -> str:
    settings = result.settings
    return (
        f"Difference of the final {unit_of(result.metric)} to {result.baseline}, pairs by seed, with the "
        f"{100 * settings['confidence']:g} % interval of a paired percentile bootstrap "
        f"({settings['resamples']:,} resamples, seed {settings['seed']})."
    )


def tables(result: Comparison) -> list[Table]:
    """Each method at its best learning rate, where there are several; every group; and differences."""
    found = []
    for first in _firsts(result):
        head, rows = value_head(result, first), value_rows(result, first)
        own = 2 if first == "method" else 1
        groups = [("", len(head) - 1)] if result.until else []
        for until in result.until:
            more = reach_head(result, first)[own:]
            head, groups = [*head, *more], [*groups, (f"until {until}", len(more))]
            rows = [[*row, *cells[own:]] for row, cells in zip(rows, reach_rows(result, first, until), strict=True)]
        found.append(Table(rows, head, _said(result, first), groups=groups))
    if len(result.differences):
        found.append(Table(difference_rows(result), DIFFERENCE_HEAD, _difference_words(result), words=(1,)))
    return found


def drawn_groups(result: Comparison) -> pd.DataFrame:
    """The groups whose curves are drawn, rows of groups.csv."""
    return result.table if len(result.table) <= MOST_LINES else result.best_of_methods()


@style()
def build_curves(result: Comparison, *, captioned: bool = True, looks: Looks = ALONE) -> Figure:
    """Training loss, and the metric, by epoch: means over seeds with bands of one standard deviation.

    Losses stand on logarithmic axes: those of methods lie decades apart. captioned: with small print below; looks:
    those of the page's runs.
    """
    rows = drawn_groups(result)
    names = distinct([_named(row) for _, row in rows.iterrows()])
    lines = _lines(result, rows, looks)
    key: list[Artist] = [Line2D([], [], label=name, **look) for name, look in zip(names, lines, strict=True)]
    if result.curves.filter(regex="_std$").notna().any(axis=None):  # of one run there is none
        key.append(Patch(color="0.35", alpha=0.25, linewidth=0, label="± 1 standard deviation"))
    shown = list(dict.fromkeys(["train_loss", result.metric]))
    title = f"{counted(len(result.runs), 'run')} in {counted(len(result.table), 'group')}"
    figure, panel = sheet(10, 4.4, title, _caption(result) if captioned else None, key)
    for axes, name in zip(panel.subplots(1, len(shown), squeeze=False).flat, shown, strict=True):
        _draw_curves(axes, result, dict(zip(rows["group"], lines, strict=True)), name)
        _epoch_axis(axes, result.curves[result.curves["group"].isin(rows["group"])])
    return figure


def _lines(result: Comparison, rows: pd.DataFrame, looks: Looks) -> list[dict[str, Any]]:
    """How each group is drawn: groups of one run each as these runs."""
    points = [int((result.curves["group"] == group).sum()) for group in rows["group"]]
    if len(rows) > 1 and (rows["runs"] == 1).all():
        run_of = dict(zip(result.runs["group"], result.runs["run"], strict=True))
        return looks.lines([str(run_of[group]) for group in rows["group"]], points)
    return [  # markers alike for all, so that no two lines have the same look
        line_style(index, min(points)) | {"markevery": max(count // 12, 1)} for index, count in enumerate(points)
    ]


def _named(row: "pd.Series[Any]") -> str:
    return f"{row['group']} (failed {row['failed']:.0f} of {row['runs']:.0f})" if row["failed"] else str(row["group"])


def _draw_curves(axes: Axes, result: Comparison, lines: Mapping[str, Mapping[str, Any]], name: str) -> None:
    scale, drawn = Scale(result, name), []
    log = scale.missing or name.endswith("_loss")
    for group, look in lines.items():
        own = result.curves[result.curves["group"] == group]
        if own.empty or f"{name}_mean" not in own:
            continue
        mean, std = scale.of(own[f"{name}_mean"]), scale.of_spread(own[f"{name}_std"])
        axes.plot(own["epoch"], mean, label=f"{group} {name}", **look)
        low = np.maximum(mean - std, mean / 10) if log else mean - std  # a band that reaches 0 runs out of the bottom
        label = f"_{group} {name} band"
        axes.fill_between(own["epoch"], low, mean + std, alpha=0.18, lw=0, color=look["color"], label=label)
        drawn.append(mean)
    scale.set_up(axes, drawn, log)


def _epoch_axis(axes: Axes, curves: pd.DataFrame) -> None:
    axes.set_xlabel("epoch")
    lasts = curves.groupby("group")["epoch"].max()
    if lasts.max() <= LONGER * max(lasts.min(), 1):
        numbers(axes.xaxis, 8, digits=9, integer=True)
        return
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)  # or the shortest would be a stroke at the left
    axes.set_xlim(0, 1.15 * float(lasts.max()))
    axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=[1.0, 2.0, 5.0]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


class Scale:
    """How a column of metrics.csv is drawn: a share of which all is best as what is missing of it, on a log scale."""

    def __init__(self, result: Comparison, name: str) -> None:
        metric = name.partition("_")[2]
        self.name, self._axis, self._scale = name, result.axis(name), shown_metric(metric).scale
        self.missing = metric in ("accuracy", "top5")

    def of(self, values: Any) -> np.ndarray:
        """Values as they are drawn."""
        values = self._scale * finite(np.asarray(values, dtype=float))
        return self._scale - values if self.missing else values

    def of_spread(self, values: Any) -> np.ndarray:
        """Standard deviations as they are drawn."""
        return self._scale * finite(np.asarray(values, dtype=float))

    def set_up(self, axes: Axes, drawn: list[np.ndarray], log: bool) -> None:
        """Scale, tick labels and label of the axis of values."""
        if self.missing or self.name.endswith("_loss"):
            loss_axis(axes, drawn, log, (None, None) if self.missing else asked_ends())
        else:
            value_axis(axes, drawn)
        axes.set_ylabel(self.label)

    @property
    def label(self) -> str:
        """Of the axis."""
        return f"100 − {self._axis}" if self.missing else self._axis


@style()
def build_rates(result: Comparison, *, log: bool = False, captioned: bool = True) -> Figure:
    """The final metric against the learning rate, a line for each method; crosses where every run failed."""
    methods = result.several_rates
    names = distinct(methods)
    key: list[Artist] = [Line2D([], [], label=name, **_rate_style(i)) for i, name in enumerate(names)]
    values = result.table.loc[result.table["method"].isin(methods), f"final_{result.metric}_mean"]
    if values.isna().any():
        key.append(Line2D([], [], linestyle="", marker="x", color="0.35", label="no run finished"))
    caption = _rates_caption(result) if captioned else None
    figure, panel = sheet(9, 4.6, "Sensitivity to the learning rate", caption, key)
    axes = panel.subplots()
    scale, drawn, lost = Scale(result, result.metric), [], []
    for index, method in enumerate(methods):
        rows = result.table[result.table["method"] == method].sort_values("lr")
        rows = rows[rows["lr"].notna()]
        mean = scale.of(rows[f"final_{result.metric}_mean"])
        std = np.nan_to_num(scale.of_spread(rows[f"final_{result.metric}_std"]))
        bars = np.stack([np.minimum(std, 0.9 * np.abs(mean)), std])  # on a log scale one to 0 would have no end
        axes.errorbar(rows["lr"], mean, bars, capsize=2, label=method, **_rate_style(index))
        drawn += [mean - bars[0], mean + bars[1]]
        lost += [(float(rate), index) for rate in rows["lr"][np.isnan(mean)]]
    rates = result.table.loc[result.table["method"].isin(methods), "lr"].dropna()
    axes.set_xscale("log")
    decades(axes.xaxis, float(rates.min()), float(rates.max()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_xlabel("learning rate")
    scale.set_up(axes, drawn, log or scale.missing)
    for rate, index in lost:
        look = _rate_style(index) | {"marker": "x", "linestyle": "", "markersize": 7, "clip_on": False}
        axes.plot([rate], [0.02], transform=axes.get_xaxis_transform(), label=f"_{methods[index]} lost", **look)
    axes.set_ylabel(f"final {scale.label}" if not scale.missing else f"{scale.label}, final")
    return figure


def _rate_style(index: int) -> dict[str, Any]:
    return line_style(index, 5) | {"markevery": 1}


def _caption(result: Comparison) -> str:
    rows = drawn_groups(result)
    seeds = sorted({int(count) for count in rows["runs"]})
    over = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    words = [f"Means over {over} runs of different seeds a group, after each epoch; failed runs are left out of means."]
    if seeds == [1]:
        words = ["One run a group, after each epoch."]
    if len(rows) < len(result.table):
        words.append(f"Curves: each method at the learning rate with the best mean final {unit_of(result.metric)}.")
    own = result.curves[result.curves["group"].isin(rows["group"])]
    drawn = [f"{name}_mean" for name in dict.fromkeys(["train_loss", result.metric])]
    return " ".join([*words, *beyond_words(*(own[name] for name in drawn if name in own))])


def _rates_caption(result: Comparison) -> str:
    drawn = result.table.loc[result.table["method"].isin(result.several_rates), f"final_{result.metric}_mean"]
    return " ".join([RATES_CAPTION, *beyond_words(drawn)])


def section(result: Comparison, page: Page) -> Section:
    """Its part of the page: curves, learning rates, tables, and its files."""
    best = result.table.sort_values(f"final_{result.metric}_mean", ascending=not result.higher).iloc[0]
    value = shown_metric(result.metric.partition("_")[2]).text(float(best[f"final_{result.metric}_mean"]))
    alt = f"Training loss and {unit_of(result.metric)} by epoch; the best at the end is {best['group']} with {value}."
    caption = _caption(result)
    rows = drawn_groups(result)
    looks = dict(zip(rows["group"], _lines(result, rows, page.looks), strict=True))
    still = page.draw(build_curves(result, captioned=False, looks=page.looks), CURVES, alt, caption)
    charts = [Chart("curves", "lines", curves_data(result, looks), still)]
    if result.several_rates:
        alt = f"Final {unit_of(result.metric)} against the learning rate of {', '.join(result.several_rates)}."
        still = page.draw(build_rates(result, log=page.log, captioned=False), RATES, alt, _rates_caption(result))
        charts.append(Chart("rates", "lines", rates_data(result, page.log), still))
    title = ", ".join([unit_of(result.metric), *(f"until {until}" for until in result.until)])
    return Section(title=title, parts=[*charts, *tables(result)], files=page.copy_result(result.folder))

"""What the varied values of a sweep do, over any number of runs: by value, and the best runs before all others."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lossscape.analyses.compare.result import axis_of, unit_of, value_words
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.charts.plain import chosen
from lossscape.figures.facts import Facts
from lossscape.figures.metrics import metric
from lossscape.figures.section import Chart, Page
from lossscape.figures.style import COLOURS, loss_axis, numbers, sheet, style, value_axis
from lossscape.figures.text import beyond_words, distinct, drawable, finite, numbered
from lossscape.results import evaluated
from lossscape.text import counted, number, shortened

REST = "#8c959f"
"""Of what is not among the best."""
TELLING = tuple(colour for colour in COLOURS if colour != "#56B4E9")
"""For values and runs: without the light blue, which is that of the first colour in the dark."""
MOST = len(TELLING)
"""Values, or runs, with a colour of their own."""
DOT, SMALL_DOT = 7, 4
"""Pixels of the dot of a run, and of many."""
FEW = 60
MOST_NAMES = 12
"""Values with a name below the axis."""
MOST_EPOCHS = 150
MOST_POINTS = 8_000
"""Of the curves of all runs but the best in a panel."""
SEED = "seed"


@dataclass(frozen=True)
class Grouping:
    """The runs of a sweep by the value of a key, or by those of all keys but the seed."""

    key: str
    """Of the config; "" of all."""
    groups: dict[str, list[str]]
    """Runs by the value in words, numbers ascending."""

    @property
    def name(self) -> str:
        """Of its chart."""
        return f"by-{re.sub(r'[^a-z0-9]+', '-', self.key.lower()).strip('-') or 'configuration'}"

    @property
    def words(self) -> str:
        """What stands below an axis of its values."""
        return self.key or "configuration, over its seeds"


@dataclass(frozen=True)
class Varied:
    """A sweep: its runs, what was varied, and what they are ranked by."""

    name: str
    cells: Mapping[str, Mapping[str, Any]]
    """The varied values by run."""
    facts: Mapping[str, Facts]
    """Of the runs that have begun and can be read."""
    ranked: str
    """A column of metrics.csv."""

    @property
    def higher(self) -> bool:
        """Whether larger values of that column are better."""
        return self.ranked.endswith("_accuracy")

    @property
    def shown(self) -> list[str]:
        """The columns that are drawn by epoch."""
        return list(dict.fromkeys([self.ranked, "train_loss"]))

    def axis(self, column: str) -> str:
        """The label of an axis of a column."""
        return axis_of(column, [facts.loss for facts in self.facts.values()])

    @cached_property
    def known(self) -> dict[str, float]:
        """The last finite value of what runs are ranked by, in units of its axis, the best run first."""
        found = {}
        for run, facts in self.facts.items():
            values = _scaled(facts, self.ranked) if len(facts.metrics) else np.empty(0)
            if facts.state == "finished" and len(values) and np.isfinite(values[-1]):
                found[run] = float(values[-1])
        return dict(sorted(found.items(), key=lambda each: -each[1] if self.higher else each[1]))

    def words(self, run: str, key: str) -> str:
        """A varied value of a run; a dash where it has none."""
        values = self.cells.get(run, {})
        return _value_words(values[key]) if key in values else "–"

    def counts(self, key: str) -> bool:
        """Whether all values of a key are numbers."""
        values = [own[key] for own in self.cells.values() if key in own]
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)

    def groupings(self) -> list[Grouping]:
        """Those that have something to tell: all values together where these are few, then by key, most apart first."""
        keys = [key for key in dict.fromkeys(k for values in self.cells.values() for k in values) if key != SEED]
        found = [grouping for key in keys if len((grouping := self._by([key])).groups) > 1]
        found.sort(key=self._apart, reverse=True)
        if len(keys) > 1 and 1 < len((every := self._by(keys)).groups) <= MOST:
            found.insert(0, every)
        return found

    def _by(self, keys: Sequence[str]) -> Grouping:
        runs, one = [run for run in self.cells if run in self.known], keys[0] if len(keys) == 1 else ""
        if one and self.counts(one):
            runs.sort(key=lambda run: float(self.cells[run].get(one, np.nan)))
        groups: dict[str, list[str]] = {}
        for run in runs:
            words = [self.words(run, key) if one else self._named(run, key) for key in keys if key in self.cells[run]]
            groups.setdefault(", ".join(words) or "–", []).append(run)
        return Grouping(one, groups)

    def _named(self, run: str, key: str) -> str:
        """A value with the last part of its key, where it does not speak for itself."""
        last = "" if isinstance(self.cells[run][key], str) else f"{key.rpartition('.')[2]} "
        return last + self.words(run, key)

    def _apart(self, grouping: Grouping) -> float:
        """How far the medians of the groups lie apart."""
        return float(np.ptp([self.median(runs) for runs in grouping.groups.values()]))

    def median(self, runs: Sequence[str]) -> float:
        """Of the last values of runs."""
        return float(np.median([self.known[run] for run in runs]))

    def best(self, grouping: Grouping) -> list[str]:
        """The values that have a colour of their own, in the order of the grouping."""
        order = sorted(grouping.groups, key=lambda each: self.median(grouping.groups[each]), reverse=self.higher)
        return [value for value in grouping.groups if value in order[:MOST]]

    def by_epoch(self, runs: Sequence[str], column: str) -> tuple[np.ndarray, np.ndarray]:
        """Epochs [E] and a column of runs there [E, 3]: the quartiles of those that have one."""
        tables = [evaluated(self.facts[run].metrics) for run in runs]
        every = np.unique(np.concatenate([table["epoch"].to_numpy(dtype=float) for table in tables]))
        epochs = every[chosen(every, MOST_EPOCHS)]
        values = np.full((len(runs), len(epochs)), np.nan)
        for row, run in enumerate(runs):
            at = tables[row]["epoch"].to_numpy(dtype=float)
            found = np.isin(epochs, at)
            values[row, found] = _scaled(self.facts[run], column)[np.isin(at, epochs)]
        kept = np.isfinite(values).any(axis=0)
        return epochs[kept], np.nanquantile(values[:, kept], [0.25, 0.5, 0.75], axis=0).T


def _scaled(facts: Facts, column: str) -> np.ndarray:
    """A column of metrics.csv in units of its axis, where it was evaluated [E]; NaN where the run has none."""
    table = evaluated(facts.metrics)
    if column not in table:
        return np.full(len(table), np.nan)
    return metric(column.partition("_")[2]).scale * finite(table[column].to_numpy(dtype=float))


def _value_words(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def grouped_chart(sweep: Varied, grouping: Grouping, page: Page) -> Chart:
    """The last value of every run by the value of a key, and medians with quartiles by epoch."""
    medians = {value: sweep.median(runs) for value, runs in grouping.groups.items()}
    best = (max if sweep.higher else min)(medians, key=lambda each: medians[each])
    alt = (
        f"Final {unit_of(sweep.ranked)} of {counted(len(sweep.known), 'run')} by {grouping.words}; the best median is "
        f"{number(medians[best])} of {best}."
    )
    figure = build_grouped(sweep, grouping, log=page.log)
    still = page.draw(figure, f"{grouping.name}.png", alt, grouped_caption(sweep, grouping))
    return Chart(grouping.name, "lines", grouped_data(sweep, grouping, page.log), still)


def grouped_caption(sweep: Varied, grouping: Grouping) -> str:
    """What the figure of a grouping shows."""
    words = [
        f"A dot is the final {unit_of(sweep.ranked)} of a run, a stroke the median over the runs with this "
        f"{grouping.key or 'configuration'}.",
        "By epoch: medians, with bands from the first to the third quartile of the runs that were evaluated then.",
    ]
    if lacking := len(sweep.cells) - len(sweep.known):
        words.append(f"Left out: {lacking:,} of {counted(len(sweep.cells), 'run')}, not finished.")
    if (more := len(grouping.groups) - MOST) > 0:
        words.append(f"Coloured: the {MOST} values with the best medians; {_others(more, 'value')} in grey.")
    return " ".join([*words, *_beyond(sweep)])


def grouped_data(sweep: Varied, grouping: Grouping, log: bool = False) -> dict[str, Any]:
    """The chart of a grouping: a column of dots for each value, then the columns by epoch."""
    coloured, lines = dict(zip(sweep.best(grouping), TELLING, strict=False)), []
    names = dict(zip(grouping.groups, numbered([shortened(value, 36) for value in grouping.groups]), strict=True))
    others = _others(len(grouping.groups) - len(coloured), "value")
    for place, (value, runs) in enumerate(grouping.groups.items()):
        look = {"run": names[value] if value in coloured else others}
        colour, median = coloured.get(value, REST), sweep.median(runs)
        said = [f"{run}: {value_words(sweep.ranked, sweep.known[run] / _factor(sweep), np.nan)}" for run in runs]
        dots = [sweep.known[run] for run in runs]
        dot = {"marks": True, "size": DOT if len(sweep.known) <= FEW else SMALL_DOT}
        lines.append(line("final", colour, _columns(place, len(runs)), dots, text=said, **dot, **look))
        text = [f"{names[value]}: median {number(median)} of {counted(len(runs), 'run')}"] * 2
        lines.append(
            line(
                "final",
                colour,
                [place - 0.35, place + 0.35],
                [median] * 2,
                width=3,
                text=text,
                symbol="line-ns",
                **look,
            )
        )
        for column in sweep.shown if value in coloured else ():
            epochs, found = sweep.by_epoch(runs, column)
            ends = {"low": found[:, 0], "high": found[:, 2]} if len(runs) > 1 else {}
            lines.append(line(column, colour, epochs, found[:, 1], **look, **ends))
    step = -(-len(names) // MOST_NAMES)
    ticks = [[place, shortened(name, 20)] for place, name in enumerate(names.values())][::step]
    final = panel(
        "final", f"final {sweep.axis(sweep.ranked)}", log=sweep.ranked.endswith("_loss"), x=grouping.words, names=ticks
    )
    return {"x": "epoch", "panels": [final, *_panels(sweep)], "lines": lines, "log": log}


def _panels(sweep: Varied) -> list[dict[str, Any]]:
    ranked = sweep.ranked
    return [panel(each, sweep.axis(each), log=each.endswith("_loss"), shown=each == ranked) for each in sweep.shown]


def _factor(sweep: Varied) -> float:
    return metric(sweep.ranked.partition("_")[2]).scale


def _columns(place: int, count: int) -> np.ndarray:
    """Where the dots of a value stand, so that none hides all others [count]."""
    return place + (np.linspace(-0.22, 0.22, count) if count > 1 else np.zeros(1))


def _beyond(sweep: Varied) -> list[str]:
    """A sentence about what of the runs is too large to be drawn, where there is any."""
    tables = [sweep.facts[run].metrics for run in sweep.known]
    return beyond_words(*(table[column] for table in tables for column in sweep.shown if column in table))


def _others(count: int, what: str) -> str:
    return f"the {counted(count, f'other {what}')}"


def best_chart(sweep: Varied, page: Page) -> Chart:
    """The best runs by epoch, each with a colour of its own, and all others in grey behind them."""
    best = [*sweep.known][:MOST]
    alt = f"{unit_of(sweep.ranked)} by epoch of {counted(len(sweep.known), 'run')}; the best at the end is {best[0]}."
    caption = (
        f"The {counted(len(best), 'run')} with the best final {unit_of(sweep.ranked)} in colours, "
        f"{_others(len(sweep.known) - len(best), 'run')} that finished in grey{_thinned(sweep)}; the table has all "
        "last values."
    )
    caption = " ".join([caption, *_beyond(sweep)])
    still = page.draw(build_best(sweep, log=page.log), "runs.png", alt, caption)
    return Chart("runs", "lines", best_data(sweep, page.log), still)


def best_data(sweep: Varied, log: bool = False) -> dict[str, Any]:
    """The chart of the best runs: the others are one line with gaps between runs, thinned to what can be seen."""
    runs, lines = [*sweep.known], []
    best, rest = runs[:MOST], runs[MOST:]
    for column in sweep.shown:
        x, y, text = [np.empty(0)], [np.empty(0)], []
        for run in rest:
            epochs, values = _curve(sweep, run, column, _most(len(rest)))
            x, y = [*x, epochs, np.array([np.nan])], [*y, values, np.array([np.nan])]
            text += [run] * (len(epochs) + 1)
        grey = {"run": _others(len(rest), "run"), "width": 1}
        lines.append(line(column, REST, np.concatenate(x), np.concatenate(y), text=text, **grey))
        for run, name, colour in zip(best, numbered([shortened(run) for run in best]), TELLING, strict=False):
            epochs, values = _curve(sweep, run, column, MOST_EPOCHS)
            lines.append(line(column, colour, epochs, values, run=name))
    panels = [each | {"shown": True} for each in _panels(sweep)]
    return {"x": "epoch", "panels": panels, "lines": lines, "log": log}


def _most(runs: int) -> int:
    """Points of each of so many grey lines."""
    return min(max(MOST_POINTS // runs, 8), MOST_EPOCHS)


def _thinned(sweep: Varied) -> str:
    """That the grey lines are drawn at some of their epochs, where they are."""
    most = _most(max(len(sweep.known) - MOST, 1))
    longest = max(len(evaluated(sweep.facts[run].metrics)) for run in sweep.known)
    return f", each at {most} of its epochs" if longest > most else ""


def _curve(sweep: Varied, run: str, column: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and a column of a run, thinned to so many."""
    epochs = evaluated(sweep.facts[run].metrics)["epoch"].to_numpy(dtype=float)
    kept = chosen(epochs, most)
    return epochs[kept], _scaled(sweep.facts[run], column)[kept]


@style()
def build_grouped(sweep: Varied, grouping: Grouping, *, log: bool = False) -> Figure:
    """The same as a figure that stands still, without its other panels; its caption stands below it on the page."""
    coloured = dict(zip(sweep.best(grouping), TELLING, strict=False))
    names = distinct([*coloured])
    key: list[Any] = [Line2D([], [], color=c, label=n) for n, c in zip(names, coloured.values(), strict=True)]
    if others := len(grouping.groups) - len(coloured):
        key.append(Line2D([], [], color=REST, label=_others(others, "value"), linestyle="", marker="o", markersize=4))
    key.append(Patch(color="0.35", alpha=0.25, linewidth=0, label="quartiles"))
    figure, drawn = sheet(10, 4.2, f"Sweep {sweep.name} by {grouping.key or 'configuration'}", None, key)
    left, right = drawn.subplots(1, 2)
    every, curves = [], []
    for place, (value, runs) in enumerate(grouping.groups.items()):
        colour, last = coloured.get(value, REST), np.array([sweep.known[run] for run in runs])
        left.plot(_columns(place, len(runs)), last, "o", color=colour, markersize=4, alpha=0.8, label=f"_{value}")
        left.hlines(
            sweep.median(runs), place - 0.35, place + 0.35, color=colour, linewidth=2.5, label=f"_{value} median"
        )
        every.append(last)
        if value in coloured:
            epochs, found = sweep.by_epoch(runs, sweep.ranked)
            right.plot(epochs, found[:, 1], color=colour, label=f"{value}", marker="o" if len(epochs) == 1 else "")
            right.fill_between(epochs, found[:, 0], found[:, 2], color=colour, alpha=0.18, lw=0, label=f"_{value} band")
            curves.append(found.ravel())
    step = -(-len(grouping.groups) // MOST_NAMES)
    left.set_xticks(range(0, len(grouping.groups), step), distinct([shortened(v, 12) for v in grouping.groups])[::step])
    if step > 1 or sum(map(len, grouping.groups)) > 40:
        left.tick_params(axis="x", labelrotation=30)
    left.set_xlabel(drawable(grouping.words))
    left.set_ylabel(f"final {sweep.axis(sweep.ranked)}")
    _value_scale(left, sweep, every, log)
    _epochs(right, sweep.axis(sweep.ranked))
    _value_scale(right, sweep, curves, log)
    return figure


@style()
def build_best(sweep: Varied, *, log: bool = False) -> Figure:
    """The best runs before all others as a figure that stands still."""
    runs = [*sweep.known]
    best = dict(zip(runs[:MOST], TELLING, strict=False))
    names = distinct([*best])
    key = [Line2D([], [], color=colour, label=name) for name, colour in zip(names, best.values(), strict=True)]
    key.append(Line2D([], [], color=REST, linewidth=0.8, label=_others(len(runs) - len(best), "run")))
    figure, drawn = sheet(10, 4.2, f"The runs of {sweep.name}", None, key)
    for axes, column in zip(drawn.subplots(1, len(sweep.shown), squeeze=False).flat, sweep.shown, strict=True):
        curves = []
        for run in reversed(runs):
            epochs, values = _curve(sweep, run, column, MOST_EPOCHS)
            look = {"color": best[run], "linewidth": 1.6} if run in best else {"color": REST, "linewidth": 0.6}
            axes.plot(epochs, values, label=run, marker="o" if len(epochs) == 1 else "", **look)
            curves.append(values)
        _epochs(axes, sweep.axis(column))
        (loss_axis(axes, curves, log) if column.endswith("_loss") else value_axis(axes, curves))
    return figure


def _value_scale(axes: Any, sweep: Varied, values: Sequence[np.ndarray], log: bool) -> None:
    if sweep.ranked.endswith("_loss"):
        loss_axis(axes, values, log)
    else:
        value_axis(axes, values)


def _epochs(axes: Any, label: str) -> None:
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    numbers(axes.xaxis, 8, digits=9, integer=True)

"""Kinds of solution: the losses by epoch, and which epochs are a local, a global or a true minimum."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lossscape.analyses.solutions.chart import solutions_data
from lossscape.analyses.solutions.request import Drawing
from lossscape.analyses.solutions.result import FOUND, NEVER, Solutions, first_rows, first_words, mean_rows, ratio_words
from lossscape.figures.captions import LOSS_UNITS, gap_words, loss_label
from lossscape.figures.facts import Facts, epochs_words, facts_of
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.style import (
    ALONE,
    COLOURS,
    DASHES,
    RUNS,
    Looks,
    asked_ends,
    line_key,
    loss_axis,
    numbers,
    save,
    sheet,
    style,
)
from lossscape.figures.text import distinct, finite, shortened
from lossscape.text import counted, number

SHADES = {"none": "#e4e4e4", "LM": "#b5dfb0", "GM": "#4daf62", "TM": "#00441b", "": "white"}
"""Darker for stronger kinds, so that they can be told apart without colours; "" where the kind is not known."""
HATCH: dict[str, Any] = {"hatch": "////", "edgecolor": "0.7", "linewidth": 0}
WORDS = {"none": "no minimum", "": "not known"}
NAME_COLUMNS, ROW_INCHES = 26, 0.27
NEAR_ZERO = 10.0
"""The line at which a loss counts as 0 is drawn where a loss comes within this factor of it."""


def draw(result: Solutions, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figure of kinds of solution beside them; returns what lies where."""
    folder = result.folder
    figure = save(build_solutions(result), folder / "solutions.png")
    names = ["epochs", "summary", *([] if result.configs.empty else ["configs", "ratios"])]
    return {**{name: folder / f"{name}.csv" for name in names}, "figure": figure}


@style()
def build_solutions(solutions: Solutions, *, captioned: bool = True, looks: Looks = ALONE) -> Figure:
    """Training and test loss by epoch, and below a row of epochs for each run, coloured by kind of solution.

    captioned: with what was computed in small print below; looks: those of the page's runs. Raises BadInput where a run
    cannot be read.
    """
    facts, lines = [facts_of(run) for run in solutions.runs], _lines(solutions, looks)
    names = distinct([shortened(name, NAME_COLUMNS) for name in solutions.summary["run"]])
    title = f"Kinds of solution of {names[0]}" if len(names) == 1 else f"Kinds of solution of {len(names)} runs"
    caption = solutions_caption(solutions, facts) if captioned else None
    rows = ROW_INCHES * (len(names) + 1)
    figure, panel = sheet(10, 3.9 + rows, title, caption, _key(solutions, lines))
    top, strip = panel.subplots(2, 1, sharex=True, height_ratios=[3.2, rows])
    _losses(top, solutions, facts, lines)
    _strip(strip, solutions, names)
    return figure


def _losses(axes: Axes, solutions: Solutions, facts: Sequence[Facts], lines: Mapping[str, Mapping[str, Any]]) -> None:
    drawn = []
    for _, row in solutions.summary.iterrows():
        epochs = solutions.table[solutions.table["run"] == row["run"]]
        look = lines[row["config"]]
        for index, split in enumerate(("train", "test")):
            loss = finite(epochs[f"{split}_loss"].to_numpy())
            colour = look["color"] or COLOURS[index]
            label = f"{row['run']} {split}"
            line = {**look, "color": colour, "linewidth": 1.6 if split == "train" else 1.1}
            axes.plot(epochs["epoch"], loss, linestyle=DASHES[split], label=label, **line)
            drawn.append(loss)
        for kind in FOUND:
            first = [row[f"{kind.lower()}_{what}"] for what in ("epoch", "train_loss")]
            axes.plot(
                *finite(np.array(first)), "o", color=SHADES[kind], label=f"_{row['run']} {kind}",
                markersize=8, markeredgecolor="black", markeredgewidth=0.8, zorder=4,
            )  # fmt: skip
    loss_axis(axes, drawn, True, asked_ends())
    zero = solutions.settings["zero"]
    if _shows_zero(solutions):
        axes.axhline(zero, color="0.35", linewidth=1.0, linestyle=":", zorder=1.5)
        low, high = axes.get_ylim()
        if asked_ends() == (None, None):
            axes.set_ylim(min(low, zero / 1.5), max(high, zero * 1.5))
    axes.set_ylabel(loss_label(each.loss for each in facts).replace(", mean", ",\nmean"))


def _shows_zero(solutions: Solutions) -> bool:
    losses = finite(solutions.table[["train_loss", "test_loss"]].to_numpy())
    positive, zero = losses[losses > 0], solutions.settings["zero"]
    return zero > 0 and positive.size > 0 and float(positive.min()) <= NEAR_ZERO * zero


def _strip(axes: Axes, solutions: Solutions, names: Sequence[str]) -> None:
    beside = axes.get_yaxis_transform()
    for height, (_, row) in enumerate(solutions.summary.iterrows()):
        epochs = solutions.table[solutions.table["run"] == row["run"]]
        for kind, shade in SHADES.items():
            spans = _spans(epochs["epoch"].to_numpy()[(epochs["kind"] == kind).to_numpy()])
            look = HATCH if kind == "" else {"linewidth": 0}
            axes.broken_barh(spans, (height - 0.36, 0.72), facecolor=shade, **look)
        for column, kind in enumerate(FOUND):
            axes.text(
                _column(column), height, first_words(row, kind), transform=beside, ha="right", va="center", size=9
            )
    for column, kind in enumerate(FOUND):
        axes.text(_column(column), -0.95, kind, transform=beside, ha="right", va="center", size=9, color="0.3")
    axes.set_yticks(range(len(names)), [f" {name}" if name.startswith("_") else name for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(solutions.table["epoch"].min() - 0.5, solutions.table["epoch"].max() + 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("epoch")
    numbers(axes.xaxis, 8, digits=9, integer=True)


def _column(index: int) -> float:
    return 1.05 + 0.055 * index


def _spans(epochs: np.ndarray) -> list[tuple[float, float]]:
    """Begin and length of each stretch of epochs without a gap, every epoch from half before to half after it."""
    if not len(epochs):
        return []
    parts = np.split(epochs, np.nonzero(np.diff(epochs) != 1)[0] + 1)
    return [(float(part[0]) - 0.5, float(len(part))) for part in parts]


def _lines(solutions: Solutions, looks: Looks) -> dict[str, dict[str, Any]]:
    """How the runs of each config are drawn: as the first of them."""
    firsts: dict[str, Path] = {}
    for run, config in zip(solutions.runs, solutions.summary["config"], strict=True):
        firsts.setdefault(config, run.path)
    points = [len(solutions.table) // len(solutions.runs)] * len(firsts)
    found = looks.lines(list(firsts.values()), points)
    if len(solutions.runs) > 1 and len(firsts) == 1 and found[0]["color"] is None:
        found = [look | {"color": RUNS[0]} for look in found]
    return dict(zip(firsts, found, strict=True))


def _key(solutions: Solutions, looked: Mapping[str, dict[str, Any]]) -> list[Artist]:
    named = dict(zip(distinct([*looked]), looked.values(), strict=True)) if len(solutions.summary) > 1 else {}
    own = next(iter(looked.values()))["color"]
    lines: list[Artist] = [*line_key(named, ("train", "test"), own)]
    for line, words in zip(lines[-2:], ("train loss T", "test loss V"), strict=True):
        line.set_label(words)
    if _shows_zero(solutions):
        lines.append(Line2D([], [], color="0.35", linestyle=":", label="at most this: ≈ 0"))
    for kind, shade in SHADES.items():
        look = HATCH if kind == "" else {"edgecolor": "0.5", "linewidth": 0.5}
        lines.append(Patch(facecolor=shade, label=WORDS.get(kind, kind), **look))
    return lines


def solutions_caption(solutions: Solutions, facts: Sequence[Facts]) -> str:
    """The definitions with their tolerances, the spread over seeds, and data, net and optimizer of each run."""
    rule = solutions.settings
    unit = LOSS_UNITS.get(facts[0].loss, "") if len({each.loss for each in facts}) == 1 else ""
    window = (
        f"Each must hold for {counted(rule['window'], 'epoch')} in succession; of the last {rule['window']} it is not "
        "known."
    )
    zero = f"{number(rule['zero'])} {unit}".strip()
    together = [
        "T, V: training and test loss after each epoch, means over whole splits in eval mode.",
        "LM (local minimum): T(i+1) ≈ T(i); GM (global): also T(i) ≈ 0; TM (true): also V(i) ≈ 0; a stronger kind "
        "includes the weaker.",
        f"≈ 0: at most {zero}. T(i+1) ≈ T(i): they differ by at most {number(100 * rule['tolerance'])} % of the "
        "greater, or both are ≈ 0.",
        window if rule["window"] > 1 else "Of the last epoch it is not known.",
        f"Dots above and numbers on the right: the first epoch of each kind; {NEVER}: not reached so far.",
        *gap_words(solutions.table[["train_loss", "test_loss"]].to_numpy(), log=True),
    ]
    parts = [" ".join(together)]
    for config, runs, *means in mean_rows(solutions):
        cells = "; ".join(f"{kind} {words}" for kind, words in zip(FOUND, means, strict=True))
        parts.append(f"{shortened(config)}, mean ± std over its {runs} runs: {cells}.")
    same: dict[str, list[str]] = {}
    for (_, row), each in zip(solutions.summary.iterrows(), facts, strict=True):
        epochs = epochs_words(int(row["epochs"]), each.epochs)
        same.setdefault(f"{each.words}; {epochs}.", []).append(shortened(row["run"]))
    parts += [f"{', '.join(names)}: {words}" for words, names in same.items()]
    return "\n".join(parts)


def solutions_alt(solutions: Solutions) -> str:
    """What a reader who cannot see the figure should know."""
    words = [
        f"{row['run']}: " + ", ".join(f"{kind} {first_words(row, kind)}" for kind in FOUND)
        for _, row in solutions.summary.iterrows()
    ]
    return f"Losses and kinds of solution by epoch. First epochs: {'; '.join(words)}."


def section(result: Solutions, page: Page) -> Section:
    """Its part of the page: the figure, the first epochs of each run and config, how they compare, and its files."""
    rule, ratios = result.settings, ratio_words(result)
    caption = solutions_caption(result, [facts_of(run) for run in result.runs])
    still = page.draw(
        build_solutions(result, captioned=False, looks=page.looks), "solutions.png", solutions_alt(result), caption
    )
    looks = page.looks.lines([run.path for run in result.runs], [len(result.table)] * len(result.runs))
    tables = [
        Table(first_rows(result), ["run", "epochs", *(f"first {kind}" for kind in FOUND)]),
        Table(mean_rows(result), ["config (mean ± std)", "runs", *FOUND]),
    ]
    return Section(
        title=f"tolerance {number(rule['tolerance'])}, zero {number(rule['zero'])}, window {rule['window']}",
        parts=[
            Chart("solutions", "lines", solutions_data(result, looks, SHADES, WORDS), still),
            *(table for table in tables if table.rows),
            *([Sentences(ratios)] if ratios else []),
        ],
        files=page.copy_result(result.folder),
    )

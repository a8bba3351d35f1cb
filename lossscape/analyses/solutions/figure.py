"""Kinds of solution: the losses by epoch, and which epochs are a local, a global or a true minimum."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lossscape.analyses.solutions.result import Solutions
from lossscape.analyses.solutions.words import FOUND, first_words, solutions_caption
from lossscape.errors import BadInput
from lossscape.figures.facts import Facts, facts_of
from lossscape.figures.phrases import LOSSES
from lossscape.figures.style import COLOURS, DASHES, line_style, loss_axis, numbers, save, sheet, style
from lossscape.figures.text import distinct, finite, shortened

if TYPE_CHECKING:
    from lossscape.runs import Run

SHADES = {"none": "#e4e4e4", "LM": "#b5dfb0", "GM": "#4daf62", "TM": "#00441b", "": "white"}
"""Darker for stronger kinds, so that they can be told apart without colours; "" where the kind is not known."""
HATCH: dict[str, Any] = {"hatch": "////", "edgecolor": "0.7", "linewidth": 0}
WORDS = {"none": "no minimum", "": "not known"}
NAME_COLUMNS, ROW_INCHES = 26, 0.27
NEAR_ZERO = 10.0
"""The line at which a loss counts as 0 is drawn where a loss comes within this factor of it."""


def draw_solutions(solutions: Solutions, runs: "Sequence[Run]", path: Path) -> None:
    """Write the figure of build_solutions as PNG."""
    save(build_solutions(solutions, runs), path)


@style()
def build_solutions(solutions: Solutions, runs: "Sequence[Run]", *, captioned: bool = True) -> Figure:
    """Training and test loss by epoch, and below a row of epochs for each run, coloured by kind of solution.

    runs: those of the result, in its order; captioned: with what was computed in small print below. Raises BadInput
    where a run cannot be read or the runs are not those of the result.
    """
    facts = [facts_of(run) for run in runs]
    if len(facts) != len(solutions.summary):
        raise BadInput(f"{solutions.folder}: is of {len(solutions.summary)} runs, not of {len(facts)}")
    names = distinct([shortened(name, NAME_COLUMNS) for name in solutions.summary["run"]])
    title = (
        f"Kinds of solution of {names[0]}" if len(names) == 1 else f"Kinds of solution of {len(names)} runs"
    )
    caption = solutions_caption(solutions, facts) if captioned else None
    rows = ROW_INCHES * (len(names) + 1)
    figure, panel = sheet(10, 3.9 + rows, title, caption, _key(solutions))
    top, strip = panel.subplots(2, 1, sharex=True, height_ratios=[3.2, rows])
    _losses(top, solutions, facts)
    _strip(strip, solutions, names)
    return figure


def _losses(axes: Axes, solutions: Solutions, facts: Sequence[Facts]) -> None:
    """T and V of every run on a logarithmic axis, and dots at the first epochs."""
    drawn = []
    alone = len(solutions.summary) == 1
    colours = list(dict.fromkeys(solutions.summary["config"]))
    for _, row in solutions.summary.iterrows():
        epochs = solutions.epochs[solutions.epochs["run"] == row["run"]]
        look = line_style(colours.index(row["config"]), len(epochs))
        for index, split in enumerate(("train", "test")):
            loss = finite(epochs[f"{split}_loss"].to_numpy())
            colour = COLOURS[index] if alone else look["color"]
            label = f"{row['run']} {split}"
            line = look | {"color": colour, "linewidth": 1.6 if split == "train" else 1.1}
            axes.plot(epochs["epoch"], loss, linestyle=DASHES[split], label=label, **line)
            drawn.append(loss)
        for kind in FOUND:
            place = [row[f"{kind.lower()}_{what}"] for what in ("epoch", "train_loss")]
            axes.plot(
                *finite(np.array(place)), "o", color=SHADES[kind], label=f"_{row['run']} {kind}",
                markersize=8, markeredgecolor="black", markeredgewidth=0.8, zorder=4,
            )  # fmt: skip
    loss_axis(axes, drawn, True)
    zero = solutions.settings["zero"]
    if _shows_zero(solutions):
        axes.axhline(zero, color="0.35", linewidth=1.0, linestyle=":", zorder=1.5)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, zero / 1.5), max(high, zero * 1.5))
    names = {LOSSES.get(each.loss, shortened(each.loss)) for each in facts}
    axes.set_ylabel(
        f"loss ({names.pop()},\nmean per sample)" if len(names) == 1 else "loss (mean per sample)"
    )


def _shows_zero(solutions: Solutions) -> bool:
    losses = finite(solutions.epochs[["train_loss", "test_loss"]].to_numpy())
    positive, zero = losses[losses > 0], solutions.settings["zero"]
    return zero > 0 and positive.size > 0 and float(positive.min()) <= NEAR_ZERO * zero


def _strip(axes: Axes, solutions: Solutions, names: Sequence[str]) -> None:
    """A row of epochs for each run, and its first epochs of each kind in columns on the right."""
    beside = axes.get_yaxis_transform()
    for place, (_, row) in enumerate(solutions.summary.iterrows()):
        epochs = solutions.epochs[solutions.epochs["run"] == row["run"]]
        for kind, shade in SHADES.items():
            spans = _spans(epochs["epoch"].to_numpy()[(epochs["kind"] == kind).to_numpy()])
            look = HATCH if kind == "" else {"linewidth": 0}
            axes.broken_barh(spans, (place - 0.36, 0.72), facecolor=shade, **look)
        for column, kind in enumerate(FOUND):
            axes.text(
                _column(column),
                place,
                first_words(row, kind),
                transform=beside,
                ha="right",
                va="center",
                size=9,
            )
    for column, kind in enumerate(FOUND):
        axes.text(
            _column(column), -0.95, kind, transform=beside, ha="right", va="center", size=9, color="0.3"
        )
    axes.set_yticks(range(len(names)), [f" {name}" if name.startswith("_") else name for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(solutions.epochs["epoch"].min() - 0.5, solutions.epochs["epoch"].max() + 0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("epoch")
    numbers(axes.xaxis, 8, digits=9, integer=True)


def _column(index: int) -> float:
    """The right edge of a column beside the axes, in parts of their width."""
    return 1.05 + 0.055 * index


def _spans(epochs: np.ndarray) -> list[tuple[float, float]]:
    """Begin and length of each stretch of epochs without a gap, every epoch from half before to half after it."""
    if not len(epochs):
        return []
    parts = np.split(epochs, np.nonzero(np.diff(epochs) != 1)[0] + 1)
    return [(float(part[0]) - 0.5, float(len(part))) for part in parts]


def _key(solutions: Solutions) -> list[Artist]:
    configs = list(dict.fromkeys(solutions.summary["config"]))
    alone = len(solutions.summary) == 1
    longest = len(solutions.epochs) // len(solutions.summary)
    lines: list[Artist] = [] if alone else [
        Line2D([], [], label=name, **line_style(index, longest)) for index, name in enumerate(distinct(configs))
    ]  # fmt: skip
    for index, (split, sign) in enumerate((("train", "T"), ("test", "V"))):
        colour = COLOURS[index] if alone else "0.35"
        lines.append(Line2D([], [], color=colour, linestyle=DASHES[split], label=f"{split} loss {sign}"))
    if _shows_zero(solutions):
        lines.append(Line2D([], [], color="0.35", linestyle=":", label="at most this: ≈ 0"))
    for kind, shade in SHADES.items():
        look = HATCH if kind == "" else {"edgecolor": "0.5", "linewidth": 0.5}
        lines.append(Patch(facecolor=shade, label=WORDS.get(kind, kind), **look))
    return lines

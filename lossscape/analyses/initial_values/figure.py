"""Initial values as figures: histograms of layers by schemes, and short trainings; their part of the page."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter

from lossscape.analyses.initial_values.chart import starts_data, trainings_data
from lossscape.analyses.initial_values.request import Drawing
from lossscape.analyses.initial_values.result import (
    LAYERS,
    SUMMARY,
    TRAININGS,
    UNITS,
    InitialValues,
    curves_of,
    percent,
    spread_words,
)
from lossscape.figures.captions import loss_label
from lossscape.figures.metrics import metric
from lossscape.figures.paths import spans_decades
from lossscape.figures.section import Chart, Page, Section, Table
from lossscape.figures.style import COLOURS, asked_ends, line_style, loss_axis, numbers, save, sheet, style, value_axis
from lossscape.figures.text import beyond_words, finite, shortened
from lossscape.text import counted, number

KINDS = {"activations": "", "gradients": "gradient_"}
"""Figures of distributions, and what the names of their columns begin with."""
MOST_LAYERS = 8
"""Rows of a figure: of deeper nets evenly spaced ones, the first and the last among them."""
WIDE, HIGH = 1.45, 1.15
"""Of a histogram, in inches."""
TRAININGS_PNG = "trainings.png"


def draw(result: InitialValues, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures beside the tables; returns what lies where."""
    folder = result.folder
    lie: dict[str, Path | str] = {"layers": folder / LAYERS}
    for name, activation, kind in _named(result):
        lie[name.removesuffix(".png")] = save(build_distributions(result, activation, kind), folder / name)
    if len(result.trainings):
        lie |= {"units": folder / UNITS, "trainings": folder / TRAININGS, "summary": folder / SUMMARY}
        lie["figure"] = save(build_trainings(result), folder / TRAININGS_PNG)
    return lie


def _named(result: InitialValues) -> Iterator[tuple[str, str, str]]:
    """Name, activation and kind of each figure of distributions."""
    for activation in result.activations:
        for kind in KINDS:
            yield f"{kind}{'' if len(result.activations) == 1 else f'-{activation}'}.png", activation, kind


@style()
def build_distributions(
    result: InitialValues, activation: str, kind: str = "activations", *, captioned: bool = True
) -> Figure:
    """Histograms of activations or gradients at the start: a row for each layer, a column for each scheme.

    kind: activations or gradients; captioned: with what they are of in small print below.
    """
    layers, schemes = _shown(result.layers), result.schemes
    of = "" if activation == "config" else f", {activation}"
    title = f"{kind.capitalize()} at the start of {shortened(_name(result))}{of}"
    caption = distributions_caption(result, kind) if captioned else None
    width = max(1.1 + WIDE * len(schemes), 6.0)
    figure, panel = sheet(width, 0.6 + HIGH * len(layers), title, caption)
    grid = panel.subplots(len(layers), len(schemes), squeeze=False)
    for axes, layer in zip(grid, layers, strict=True):
        axes[0].set_ylabel(shortened(layer, 16), size=8)
        for each, scheme in zip(axes, schemes, strict=True):
            _histogram(each, result, (activation, scheme, layer), KINDS[kind])
    for each, scheme in zip(grid[0], schemes, strict=True):
        each.set_title(shortened(scheme, 18), size=9)
    return figure


def _histogram(axes: Axes, result: InitialValues, cell: tuple[str, str, str], prefix: str) -> None:
    """One histogram with its standard deviation and the shares that it leaves out."""
    edges, counts = result.histogram(*cell, prefix)
    axes.grid(False)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=6.5, pad=1.5, length=2)
    rows = result.of(*cell)
    words = [f"σ {_short(float(rows[f'{prefix}std'].mean()))}"] if rows[f"{prefix}std"].notna().any() else ["unseen"]
    for column, what in ((f"{prefix}zeros", "0"), ("saturated", "saturated")):
        share = rows[column].mean() if column in rows and not (prefix and column == "saturated") else 0.0
        words += [f"{percent(share)} {what}"] if share > 0 else []
    axes.text(
        0.98, 0.97, "\n".join(words), transform=axes.transAxes, ha="right", va="top", size=6.5, color="0.15", zorder=3,
        bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.6},
    )  # fmt: skip
    if not counts.size:
        axes.set_xticks([])
        return
    colour = COLOURS[1] if prefix else COLOURS[0]
    axes.stairs(counts, edges, fill=True, color=colour, label="_histogram")
    low, high = float(edges[0]), float(edges[-1])
    middle = [0.0] if low < 0 < high and min(-low, high) > 0.25 * (high - low) else []
    axes.xaxis.set_major_locator(FixedLocator([low, *middle, high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    ticks = axes.get_xticklabels()
    ticks[0].set_horizontalalignment("left")
    ticks[-1].set_horizontalalignment("right")
    axes.set_ylim(0, 1.35 * counts.max())


def _short(value: float) -> str:
    return number(value, 3 if 100 <= abs(value) < 1000 else 2)


def _shown(layers: Sequence[str]) -> list[str]:
    if len(layers) <= MOST_LAYERS:
        return list(layers)
    places = np.unique(np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int))
    return [layers[place] for place in places]


def _name(result: InitialValues) -> str:
    return str(result.settings["experiment"]["name"])


def distributions_caption(result: InitialValues, kind: str) -> str:
    """What the histograms are of."""
    made = result.settings
    what = {
        "activations": "Values behind each layer: of the activation that follows it, of the last its own.",
        "gradients": "Derivatives of a sample's loss with respect to what each layer gives, before the activation.",
    }[kind]
    left = len(result.layers) - len(_shown(result.layers))
    words = [
        what, f"Each over its own range; σ: standard deviation, mean over {counted(made['seeds'], 'seed')}; what is "
        "exactly 0 is left out of the histogram, and its share said; saturated: within 1 % of the range of an end of "
        "it.",
        f"{made['samples']:,} training inputs of {made['experiment']['dataset']['name']}"
        + (f" ({made['data_note']})" if made["data_note"] else "") + ", without dropout.",
        *([f"layers.csv has {counted(left, 'layer')} between those shown."] if left else []),
    ]  # fmt: skip
    return " ".join(words)


@style()
def build_trainings(result: InitialValues, *, captioned: bool = True) -> Figure:
    """Training loss, and the first other metric on test data, by epoch: mean over seeds and a band of ± one std."""
    caption = trainings_caption(result) if captioned else None
    epochs = int(result.settings["epochs"]) + 1
    looks = {scheme: line_style(index, max(epochs, 99)) for index, scheme in enumerate(result.schemes)}
    looks = {scheme: look | {"markevery": max(epochs // 12, 1)} for scheme, look in looks.items()}
    key = [Line2D([], [], label=_label(result, scheme), **look) for scheme, look in looks.items()]
    title = f"Short trainings of {shortened(_name(result))}"
    columns = [f"train_{name}" for name in ["loss"]] + [
        str(name) for name in result.trainings if str(name).startswith("test_") and name != "test_loss"
    ][:1]
    figure, panel = sheet(max(4.4 * len(result.activations), 6.4), 0.5 + 2.8 * len(columns), title, caption, key)
    grid = panel.subplots(len(columns), len(result.activations), squeeze=False, sharex=True)
    for row, column in zip(grid, columns, strict=True):
        for axes, activation in zip(row, result.activations, strict=True):
            _bands(axes, result, activation, column, looks)
            axes.set_xlabel("epoch" if column == columns[-1] else "")
            numbers(axes.xaxis, 6, digits=9, integer=True)
    for axes, activation in zip(grid[0], result.activations, strict=True):
        if len(result.activations) > 1:
            axes.set_title(activation, size=10)
    return figure


def _label(result: InitialValues, scheme: str) -> str:
    own = result.summary[result.summary["scheme"] == scheme]
    lost, every = int(own["diverged"].sum()), int(own[["n", "diverged"]].to_numpy(dtype=float).sum())
    return shortened(scheme, 24) + (f" ({lost} of {every} diverged)" if lost else "")


def _bands(axes: Axes, result: InitialValues, activation: str, column: str, looks: dict[str, dict[str, Any]]) -> None:
    split, _, name = column.partition("_")
    drawn = []
    scale = metric(name).scale if name != "loss" else 1.0
    for scheme, look in looks.items():
        epochs, values = curves_of(result, activation, scheme, column)
        if not len(values):
            continue
        values = scale * finite(values)
        mean = values.mean(axis=0)
        axes.plot(epochs, mean, label=scheme, **look)
        drawn.append(mean)
        if len(values) > 1:
            std = values.std(axis=0, ddof=1)
            band = (np.maximum(mean - std, values.min(axis=0)), mean + std)
            axes.fill_between(epochs, *band, color=look["color"], alpha=0.18, linewidth=0, label=f"_{scheme} band")
    if name == "loss":
        loss_axis(axes, drawn, bool(drawn) and spans_decades(drawn), asked_ends())
        axes.set_ylabel(
            loss_label([str(result.settings["experiment"]["loss"]["name"])], split).replace(", mean", ",\nmean")
        )
    else:
        value_axis(axes, drawn)
        axes.set_ylabel(metric(name).axis(split))


def trainings_caption(result: InitialValues) -> str:
    """What the trainings are."""
    made, trained = result.settings["experiment"], result.trainings
    words = (
        f"Mean over the trainings that finished of {counted(result.settings['seeds'], 'seed')}, and ± one standard "
        f"deviation (n − 1), no lower than the least; {counted(result.settings['epochs'], 'epoch')} of "
        f"{made['optimizer']['name']}, lr "
        f"{made['optimizer'].get('lr', 'none')}, batches of "
        f"{made['training']['batch_size']}; {made['dataset']['name']}."
    )
    drawn = [name for name in trained if str(name).startswith(("train_", "test_"))]
    return " ".join([words, *beyond_words(trained[drawn])])


def section(result: InitialValues, page: Page) -> Section:
    """Its part of the page: histograms, trainings, and their tables."""
    parts: list[Chart | Table] = []
    for name, activation, kind in _named(result):
        alt = f"Histograms of {kind} at the start, layers by schemes; the tables have their numbers."
        figure = build_distributions(result, activation, kind, captioned=False)
        caption = (
            f"{distributions_caption(result, kind)} Where the page moves: histograms of area 1 over multiples of σ."
        )
        still = page.draw(figure, name, alt, caption)
        parts.append(Chart(name.removesuffix(".png"), "lines", starts_data(result, activation, KINDS[kind]), still))
    parts.append(starts_table(result))
    if len(result.trainings):
        alt = "Losses of short trainings by epoch, a line for each scheme; the table has how they end."
        figure = build_trainings(result, captioned=False)
        still = page.draw(figure, TRAININGS_PNG, alt, trainings_caption(result))
        labels = {scheme: _label(result, scheme) for scheme in result.schemes}
        parts += [Chart("trainings", "lines", trainings_data(result, labels, page.log), still), ends_table(result)]
    made = result.settings
    return Section(
        title=", ".join(
            [
                _name(result),
                counted(len(result.schemes), "scheme"),
                counted(made["seeds"], "seed"),
                counted(made["epochs"], "epoch"),
            ]
        ),
        parts=parts,
        files=page.copy_result(result.folder),
    )


def starts_table(result: InitialValues) -> Table:
    """Standard deviations of the first and last hidden layer, gradients, and equal units, of each scheme."""
    hidden = result.layers[:-1] or result.layers
    rows = []
    for activation in result.activations:
        for scheme in result.schemes:
            first, last = (result.of(activation, scheme, layer) for layer in (hidden[0], hidden[-1]))
            cells = [
                _cell(float(own[column].mean()), column) if own[column].notna().any() else "–"
                for own, column in (
                    (first, "std"), (last, "std"), (last, "zeros"), (last, "saturated"), (first, "gradient_std"),
                    (last, "gradient_std"),
                )
            ]  # fmt: skip
            rows.append([f"{activation}, {scheme}", *cells, result.equal_words(activation, scheme) or "none equal"])
    head = ["activation, scheme", f"σ of {hidden[0]}", f"σ of {hidden[-1]}", "share 0", "saturated",
            f"gradient σ of {hidden[0]}", f"of {hidden[-1]}", "units"]  # fmt: skip
    return Table(rows, head, "At the start, means over seeds; 0 and saturated of the last hidden layer.", words=(7,))


def _cell(value: float, column: str) -> str:
    """A mean; shares as per cent."""
    return percent(value) if column in ("zeros", "saturated") else number(value, 3)


def ends_table(result: InitialValues) -> Table:
    """Last metrics of the trainings."""
    names = [str(name).removesuffix("_mean") for name in result.summary if str(name).endswith("_mean")]
    rows = []
    for _, row in result.summary.iterrows():
        cells = [
            spread_words(name, row[f"{name}_mean"], row[f"{name}_std"]) if np.isfinite(row[f"{name}_mean"]) else "–"
            for name in names
        ]
        rows.append([f"{row['activation']}, {row['scheme']}", f"{row['n']:.0f}", f"{row['diverged']:.0f}", *cells])
    head = ["activation, scheme", "finished", "diverged", *(name.replace("_", " ") for name in names)]
    return Table(rows, head, "After the short trainings, mean ± std (n − 1) of those that finished.")

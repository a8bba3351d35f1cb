"""The flow of gradients as figures: maps of layers over training, or profiles through the net; its part of the page."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from lossscape.analyses.gradients.chart import norms_data
from lossscape.analyses.gradients.request import Drawing
from lossscape.analyses.gradients.result import GRADIENTS, MEASURED, Gradients
from lossscape.certificate.summary import summary
from lossscape.figures import captions
from lossscape.figures.certificates import certificate_of, failures
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.style import COLOURS, decades, loss_axis, numbers, save, sheet, style
from lossscape.figures.text import beyond_words, finite, shortened
from lossscape.figures.times import ends_words, times_of
from lossscape.text import number

PNG = "gradients.png"
NAMES = {
    "gradient_norm": "gradient, ‖∇L‖",
    "weight_norm": "weights, ‖θ‖",
    "update_norm": "update, ‖Δθ‖",
    "activation_rms": "activations, root mean square",
}
MOST_LAYERS = 28
"""That are named."""
NONE = "0.85"
"""Of what is 0, not finite or not known."""


def draw(result: Gradients, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figure beside the table; returns what lies where."""
    folder = result.folder
    figure = save(build_gradients(result), folder / PNG)
    return {"gradients": folder / f"{GRADIENTS}.csv", "figure": figure, "certificate": summary(folder)}


@style()
def build_gradients(result: Gradients, *, captioned: bool = True) -> Figure:
    """Four maps, layers from the input down by checkpoints; of one checkpoint profiles through the layers."""
    caption = _caption(result) if captioned else None
    alone = len(result.checkpoints) == 1
    at = f"@{result.checkpoints[0]}" if alone else " over training"
    title = f"Gradient flow of {shortened(result.run)}{at}"
    if alone:
        shown = [name for name in MEASURED if np.isfinite(result.matrix(name)).any()]
        figure, panel = sheet(3.6 * len(shown), 3.8, title, caption)
        for axes, name in zip(panel.subplots(1, len(shown), squeeze=False).flat, shown, strict=True):
            _profile(axes, result, name)
        return figure
    figure, panel = sheet(10, 2 * max(1.1 + 0.22 * min(len(result.layers), MOST_LAYERS), 2.4), title, caption)
    for axes, name in zip(panel.subplots(2, 2).flat, MEASURED, strict=True):
        _map(axes, result, name)
    return figure


def _profile(axes: Axes, result: Gradients, name: str) -> None:
    """A column by layer."""
    values = finite(result.matrix(name)[:, 0])
    axes.plot(values, "o-", color=COLOURS[0], markersize=4.5, label=f"_{name}")
    loss_axis(axes, [values], log=True)
    axes.set_title(NAMES[name], size=10)
    at, names = _layers(result)
    axes.set_xticks(at, names, rotation=45, ha="right", fontsize=8)


def _map(axes: Axes, result: Gradients, name: str) -> None:
    """A column as a map on a logarithmic scale of colours."""
    values = finite(result.matrix(name))
    values = np.ma.masked_invalid(np.where(values > 0, values, np.nan))
    axes.set_title(NAMES[name], size=10)
    axes.set_facecolor(NONE)
    axes.grid(False)
    times = times_of(result.table[result.table["layer"] == result.layers[0]])
    columns, rows = np.arange(values.shape[1] + 1) - 0.5, np.arange(values.shape[0] + 1) - 0.5
    if values.count():
        low, high = float(values.min()), float(values.max())
        norm = LogNorm(low, high) if high > 1.01 * low else LogNorm(low / 2, high * 2)
        mesh = axes.pcolormesh(columns, rows, values, norm=norm, cmap="viridis", label=f"_{name}")
        bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02).ax
        numbers(bar.yaxis)
        decades(bar.yaxis, low, high)
    axes.set_xlim(columns[0], columns[-1])
    axes.set_ylim(rows[-1], rows[0])
    axes.set_yticks(*_layers(result), fontsize=8)
    at = np.unique(np.linspace(0, values.shape[1] - 1, min(values.shape[1], 7)).round().astype(int))
    shown = [times.names[index] if times.names else number(times.values[index], 9) for index in at]
    turned: dict[str, Any] = {"rotation": 30, "ha": "right"} if times.names else {}
    axes.set_xticks(at, shown, **turned)
    axes.set_xlabel(times.label)


def _layers(result: Gradients) -> tuple[range, list[str]]:
    """Places and names of as many layers as fit, from the input on."""
    layers = result.layers
    step = -(-len(layers) // MOST_LAYERS)
    return range(0, len(layers), step), [shortened(layer, 22) for layer in layers[::step]]


def _caption(result: Gradients) -> str:
    settings = result.settings
    words = [
        "Of each layer's own parameters, in the net's order. Gradient: of the mean loss in eval mode, weight decay "
        "not included. Activations: of what the layer gives."
    ]
    if len(result.checkpoints) > 1:
        words.append(
            "Update: what the weights moved by since the checkpoint before. Grey, or a gap: 0, not finite or not known."
        )
    return " ".join([
        *words, *result.doubts(), *beyond_words(*(result.matrix(name) for name in MEASURED)),
        *captions.conditions(result, [settings["split"]], "each checkpoint")
    ])  # fmt: skip


def section(result: Gradients, page: Page) -> Section:
    """Its part of the page: the figure, a table of the last checkpoint, its certificate and files."""
    figure = build_gradients(result, captioned=False)
    settings, every = result.settings, result.checkpoints
    alt = " ".join(f"{result.line(each)}." for each in dict.fromkeys([every[0], every[-1]]))
    title = ", ".join([ends_words(every), *captions.targets_extra(settings), *captions.title_extras(settings)])
    still = page.draw(figure, PNG, alt, _caption(result))
    doubts = [Sentences(result.doubts())] if result.doubts() else []
    return Section(
        title,
        [Chart(GRADIENTS, "lines", norms_data(result, NAMES), still), _table(result), *doubts],
        page.copy_result(result.folder),
        failures=failures(result.certificate),
        certificate=certificate_of(result.certificate, {}),
    )


def _table(result: Gradients) -> Table:
    """A row for each layer at the last checkpoint."""
    last = result.table[result.table["checkpoint"] == result.checkpoints[-1]]
    rows = [
        [row["layer"], f"{row['parameters']:,.0f}", *(_cell(row[name]) for name in MEASURED)]
        for row in last.to_dict("records")
    ]
    return Table(rows, ["layer", "parameters", *NAMES.values()], f"At {result.checkpoints[-1]}.")


def _cell(value: float) -> str:
    return "" if np.isnan(value) else number(value, 3)

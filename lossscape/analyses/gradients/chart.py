"""The flow of gradients as a figure that moves: norms of each layer over training, or through the net at one point."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossscape.analyses.gradients.result import GRADIENTS, Gradients
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.charts.plain import chosen
from lossscape.figures.style import COLOURS, marker_of, symbol_of
from lossscape.figures.text import numbered
from lossscape.figures.times import times_of
from lossscape.text import number, shortened

MOST_LAYERS = 14
"""Lines of a panel, and buttons: of deeper nets evenly spaced layers, the first and the last among them."""
MOST_NAMES = 28
"""Below an axis of layers."""


def norms_data(result: Gradients, names: Mapping[str, str]) -> dict[str, Any]:
    """A panel for each measure: over training a line for each layer, of one checkpoint a profile through the layers.

    names: of the measures, by column. What is 0 or not finite is left out: the scale is logarithmic.
    """
    values = {name: result.matrix(name) for name in names}
    values = {name: np.where(each > 0, each, np.nan) for name, each in values.items()}
    shown = {name: each for name, each in values.items() if np.isfinite(each).any()}
    draw = _profile if len(result.checkpoints) == 1 else _over_training
    panels = [panel(name, names[name], log=True, name=names[name].partition(",")[0]) for name in shown]
    return {"panels": panels, "log": True} | draw(result, shown, panels)


def _profile(result: Gradients, shown: Mapping[str, np.ndarray], panels: list[dict[str, Any]]) -> dict[str, Any]:
    """Measures by layer, from the input on."""
    layers = [shortened(layer, 22) for layer in result.layers]
    named = list(enumerate(layers))[:: -(-len(layers) // MOST_NAMES)]
    lines = []
    for name, values in shown.items():
        words = [f"{layer}: {number(value)}" for layer, value in zip(layers, values[:, 0], strict=True)]
        look = {"open": [False] * len(layers), "text": words}  # with a dot at each
        lines.append(line(name, COLOURS[0], range(len(layers)), values[:, 0], **look))
    return {"x": "layer", "panels": [each | {"names": named} for each in panels], "lines": lines}


def _over_training(result: Gradients, shown: Mapping[str, np.ndarray], panels: list[dict[str, Any]]) -> dict[str, Any]:
    """Measures by epoch, a line for each layer."""
    times = times_of(result.table[result.table["layer"] == result.layers[0]])
    kept = chosen(np.arange(len(result.layers)), MOST_LAYERS)
    names = numbered([shortened(result.layers[index], 22) for index in kept])
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(kept))]
    looks = [{"run": layer, **symbol_of(marker_of(place))} for place, layer in enumerate(names)]
    lines = [
        line(name, colour, times.values, values[index], **look)
        for name, values in shown.items()
        for index, colour, look in zip(kept, colours, looks, strict=True)
    ]
    if times.names:
        panels = [each | {"names": list(zip(times.values.tolist(), times.names, strict=True))} for each in panels]
    left = f"{len(kept)} of {len(result.layers):,} layers, evenly through the net; {GRADIENTS}.csv has all."
    notes = [left] if len(kept) < len(result.layers) else []
    return {"x": times.label, "panels": panels, "lines": lines, "notes": notes}

"""Initial values as figures that move: what layers begin with, and how short trainings go, a line for each scheme."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossscape.analyses.initial_values.result import InitialValues, curves_of
from lossscape.figures.captions import loss_label
from lossscape.figures.charts.lines import SPLITS, line, panel
from lossscape.figures.charts.plain import chosen
from lossscape.figures.metrics import metric
from lossscape.figures.style import COLOURS, marker_of, symbol_of
from lossscape.figures.text import finite
from lossscape.text import counted, number, shortened

MOST_LAYERS = 8
"""With a panel of their histograms: of deeper nets evenly spaced ones."""
MOST_NAMES = 28
"""Below an axis of layers."""


def starts_data(result: InitialValues, activation: str, prefix: str = "") -> dict[str, Any]:
    """Standard deviations and shares by layer, means over seeds between the least and the greatest; histograms.

    prefix: "gradient_" of gradients. A histogram is over multiples of its own standard deviation, so that those of all
    schemes can be laid over one another; it has an area of 1.
    """
    layers = [shortened(layer, 22) for layer in result.layers]
    of = "gradients" if prefix else "activations"
    measures = {f"{prefix}std": (f"standard deviation σ of {of}", 1), f"{prefix}zeros": ("share that is 0 (%)", 100)}
    if not prefix:
        measures["saturated"] = ("share that is saturated (%)", 100)
    named = list(enumerate(layers))[:: -(-len(layers) // MOST_NAMES)]
    panels, lines = [], []
    for column, (label, factor) in measures.items():
        first = column.endswith("std")
        name = "spread" if first else "zeros" if column.endswith("zeros") else "saturated"
        panels.append(panel(column, label, first, first, name=name, x="layer", names=named))
        for place, scheme in enumerate(result.schemes):
            rows = [
                factor * result.of(activation, scheme, layer)[column].to_numpy(dtype=float) for layer in result.layers
            ]
            rows = [own[np.isfinite(own)] for own in rows]
            mean, low, high = (
                np.array([float(fold(own)) if len(own) else np.nan for own in rows])
                for fold in (np.mean, np.min, np.max)
            )
            words = [f"{scheme}, {layer}: {number(value)}" for layer, value in zip(layers, mean, strict=True)]
            more = {"run": scheme, "low": low, "high": high, "open": [False] * len(layers), "text": words}
            more |= symbol_of(marker_of(place))
            lines.append(line(column, _colour(place), range(len(layers)), mean, **more))
    hidden = result.layers[:-1] or result.layers
    for index in chosen(np.arange(len(layers)), MOST_LAYERS):
        layer = result.layers[index]
        panels.append(panel(layer, f"density, {layers[index]}", True, layer == hidden[-1], name=layers[index],
                            x=f"{of} / σ"))  # fmt: skip
        for place, scheme in enumerate(result.schemes):
            edges, counts = result.histogram(activation, scheme, layer, prefix)
            sigma = float(result.of(activation, scheme, layer)[f"{prefix}std"].mean())
            if counts.size and sigma > 0:
                edges = edges / sigma
                density = counts / counts.sum() / np.diff(edges)
                x, y = np.repeat(edges, 2)[1:-1], np.repeat(density, 2)
                lines.append(line(layer, _colour(place), x, y, run=scheme, width=1.5, **symbol_of(marker_of(place))))
    left = len(layers) - len(panels) + len(measures)
    notes = (
        [f"layers.csv has the histograms of {counted(left, 'layer')} between those that can be chosen."] if left else []
    )
    return {"x": "layer", "panels": panels, "lines": lines, "log": True, "notes": notes}


def trainings_data(result: InitialValues, labels: Mapping[str, str], log: bool) -> dict[str, Any]:
    """Losses and metrics of the short trainings by epoch: means over the seeds that finished and ± one std (n − 1).

    labels: of schemes; log: losses at first
    """
    columns = [str(name) for name in result.trainings if str(name).startswith(("train_", "test_"))]
    metrics = list(dict.fromkeys(name.partition("_")[2] for name in columns))
    panels, lines = [], []
    for place, name in enumerate(metrics):
        for activation in result.activations:
            key, of = f"{name} {activation}", f", {activation}" if len(result.activations) > 1 else ""
            label = (
                loss_label([str(result.settings["experiment"]["loss"]["name"])]) if name == "loss"
                else metric(name).axis()
            )  # fmt: skip
            panels.append(
                panel(key, label + of.replace(", ", "\n"), name == "loss", place < 2, name=f"{metric(name).label}{of}")
            )
            for split in SPLITS:
                if f"{split}_{name}" in columns:
                    lines += [each | {"panel": key} for each in _curves(result, labels, activation, (split, name))]
    lost = [
        labels[scheme] + (f", {activation}" if len(result.activations) > 1 else "")
        for activation in result.activations for scheme in result.schemes
        if not len(curves_of(result, activation, scheme, columns[0])[1])
    ]  # fmt: skip
    notes = [f"No training finished of {'; '.join(lost)}."] if lost else []
    return {"x": "epoch", "panels": panels, "lines": lines, "log": log, "notes": notes}


def _curves(
    result: InitialValues, labels: Mapping[str, str], activation: str, of: tuple[str, str]
) -> list[dict[str, Any]]:
    """A metric by epoch, a line for each scheme; of: its split and name."""
    split, name = of
    factor, found = 1.0 if name == "loss" else metric(name).scale, []
    for place, scheme in enumerate(result.schemes):
        epochs, values = curves_of(result, activation, scheme, f"{split}_{name}")
        if len(values):
            values = factor * finite(values)
            mean, ends = values.mean(axis=0), {}
            if len(values) > 1:
                std = values.std(axis=0, ddof=1)
                ends = {"low": np.maximum(mean - std, values.min(axis=0)), "high": mean + std}
            look = {"run": labels[scheme], "split": split, **symbol_of(marker_of(place))}
            found.append(line("", _colour(place), epochs, mean, **look, **ends))
    return found


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]

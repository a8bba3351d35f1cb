"""Fits as figures that move: outputs over the line or the plane with a slider of checkpoints, and what they miss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

from lossscape.analyses.fit.result import SAMPLES, Fit
from lossscape.figures.charts import scales
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.charts.plain import LOSS, SHARE, chosen, rounded
from lossscape.figures.charts.surfaces import most_of
from lossscape.figures.style import COLOURS
from lossscape.figures.text import finite
from lossscape.figures.times import times_of
from lossscape.text import number

MOST_LINES = 10
"""Outputs that are drawn over a line, and classes over a plane."""
MOST_MOMENTS = 30
MOST_SAMPLES = 400
"""Over a plane, or of the residuals of a moment."""
GREY = "#8c8c8c"
"""Of samples that are numbers."""


def fit_data(result: Fit) -> dict[str, Any]:
    """Of data with one number lines (chart type "lines"), with two a surface ("surfaces")."""
    return _line(result) if len(result.coordinates) == 1 else _plane(result)


def _moments(result: Fit) -> tuple[list[int], list[str]]:
    """Numbers of the checkpoints that are drawn, and what stands beside the slider of each."""
    times = times_of(result.moments)
    kept = chosen(np.arange(len(result.moments)), MOST_MOMENTS).tolist()
    return kept, [times.names[k] if times.names else f"{times.label} {number(times.values[k], 9)}" for k in kept]


def _notes(result: Fit, moments: Sequence[int], samples: int) -> list[str]:
    notes = []
    if len(moments) < len(result.moments):
        notes.append(f"{len(moments)} of {len(result.moments):,} checkpoints; fit.csv has all.")
    if samples < len(result.samples):
        notes.append(f"{samples:,} of {len(result.samples):,} training samples; {SAMPLES} has all.")
    return notes


def _line(result: Fit) -> dict[str, Any]:
    """Outputs over one input, the samples, and of numbers what the net misses of each sample."""
    kept, words = _moments(result)
    x, count = result.axis("x"), min(len(result.outputs), MOST_LINES)
    lines = _targets(result)
    samples = result.samples.iloc[chosen(np.arange(len(result.samples)), MOST_SAMPLES)]
    for moment, frame in enumerate(kept):
        values = finite(result.values(frame))
        for index in range(count):
            own = {"run": _name(result, index), "moment": moment}
            lines.append(line("fit", COLOURS[index % len(COLOURS)], x, values[index], **own))
        if not result.classes:
            missed = samples["target"].to_numpy() - np.interp(samples["x"], x, values[0])
            own = {"run": _name(result, 0), "moment": moment, "marks": True, "width": 1}
            lines.append(line("residuals", COLOURS[0], samples["x"], missed, **own))
    low, high = limits(result)
    room = 0.04 * (high - low)
    what = "probability" if result.classes else "output"
    panels = [panel("fit", what, name="fit", range=[low - room, high + room])]
    rules = []
    if not result.classes:
        panels.append(panel("residuals", "residual: target − output", name="residuals"))
        rules.append({"panel": "residuals", "y": 0.0})
    if len(kept) > 1:
        times = times_of(result.moments)
        label = "right at samples (%)" if result.classes else "root mean squared residual"
        panels.append(panel("error", label, log=not result.classes, name="over training", x=times.label))
        if times.names:
            panels[-1]["names"] = list(zip(times.values.tolist(), times.names, strict=True))
        factor = 100 if result.classes else 1
        every = [factor * result.at_samples(frame) for frame in kept]
        lines.append(line("error", GREY, times.values[kept], every, open=[False] * len(kept)))
        lines += [
            line("error", COLOURS[1], times.values[[frame]], [every[moment]], moment=moment)
            for moment, frame in enumerate(kept)
        ]
    return {
        "x": "x", "panels": panels, "lines": lines, "rules": rules, "log": False, "times": words, "time": "At",
        "notes": _notes(result, kept, len(samples)),
    }  # fmt: skip


def limits(result: Fit) -> tuple[float, float]:
    """Between which values outputs over a line are drawn: no farther beyond the samples than half of their span."""
    if result.classes:
        return -0.05, 1.0
    targets, outputs = result.samples["target"].to_numpy(), finite(result.table[result.outputs].to_numpy())
    every = np.append(outputs, targets)
    room = 0.5 * float(np.ptp(targets) or 1)
    return max(float(np.nanmin(every)), float(targets.min()) - room), min(
        float(np.nanmax(every)), float(targets.max()) + room
    )


def _targets(result: Fit) -> list[dict[str, Any]]:
    """The training samples over a line: numbers as dots, classes as strokes below the probabilities."""
    samples = result.samples
    if not result.classes:
        return [line("fit", GREY, samples["x"], samples["target"], run="training samples", marks=True)]
    found = []
    for label in sorted(map(int, samples["target"].unique())):
        own = samples.loc[samples["target"] == label, "x"]
        look = {"run": _name(result, label), "marks": True, "symbol": "line-ns-open"}
        words = [f"training sample of class {label} at x = {number(value)}" for value in own]
        found.append(line("fit", COLOURS[label % len(COLOURS)], own, np.full(len(own), -0.03), text=words, **look))
    return found


def _name(result: Fit, index: int) -> str:
    if result.classes:
        return f"class {index}"
    return "net" if len(result.outputs) == 1 else f"output {index}"


def _plane(result: Fit) -> dict[str, Any]:
    """Outputs over two inputs: of classes their probabilities, of numbers the first output; samples above them."""
    kept, words = _moments(result)
    layers = _layers(result)
    x, y = result.axis("x"), result.axis("y")
    most = most_of(len(layers) * len(kept))
    across, up = chosen(x, most), chosen(y, most)
    samples = result.samples.iloc[chosen(np.arange(len(result.samples)), MOST_SAMPLES)]
    notes = _notes(result, kept, len(samples))
    if len(across) < len(x) or len(up) < len(y):
        drawn, every = (f"{len(wide):,} × {len(high):,}" for wide, high in ((across, up), (x, y)))
        notes.append(f"Drawn from {drawn} of the {every} inputs; fit.csv has all.")
    factor, digits = (100, SHARE) if result.classes else (1, LOSS)
    frames = [factor * finite(result.values(frame))[:, across][:, :, up] for frame in kept]
    found = {key: _scale(result, index) for key, index in layers.items()}
    values = {
        key: {"scale": key, "frames": [rounded(frame[index].T, digits) for frame in frames]}
        for key, index in layers.items()
    }
    marks = {
        "x": rounded(samples["x"]), "y": rounded(samples["y"]), "text": "", "symbol": "circle", "colour": "white",
        "size": 6, "fill": _fill(result, samples["target"].to_numpy(dtype=float), next(iter(found.values()))),
    }  # fmt: skip
    names = {key: f"class {index}" if result.classes else "output" for key, index in layers.items()}
    shown = [
        {"key": key, "name": f"probability of {name}", "short": f"{name} (%)", "unit": "%"}
        if result.classes else {"key": key, "name": name, "short": name, "unit": ""}
        for key, name in names.items()
    ]  # fmt: skip
    ends = {"x": rounded(x[across], 9), "y": rounded(y[up], 9)}
    return {
        "xlabel": "x", "ylabel": "y", "even": False, "scales": found, "times": words, "time": "At", "layers": shown,
        "panels": [{"name": "", **ends, "values": values, "notes": notes, "marks": [marks]}],
    }  # fmt: skip


def _layers(result: Fit) -> dict[str, int]:
    """Outputs that are drawn, by their columns: of two classes the second alone, which is all that is to be known."""
    if not result.classes:
        return {result.outputs[0]: 0}
    first = 1 if len(result.outputs) == 2 else 0
    return {key: index for index, key in enumerate(result.outputs[:MOST_LINES]) if index >= first}


def _scale(result: Fit, index: int) -> dict[str, Any]:
    """Of probabilities per cent in the class's colour, from white or the other of two; of numbers the usual scale."""
    if not result.classes:
        every = np.append(finite(result.table[result.outputs[0]].to_numpy()), result.samples["target"])
        return scales.of_metric(every)
    found = scales.scale_data(scales.of_values(np.array([0.0, 100.0])))
    other = [COLOURS[0]] if len(result.outputs) == 2 else []
    shades = LinearSegmentedColormap.from_list("class", [*other, "white", COLOURS[index % len(COLOURS)]])
    ends = (0.3, 0.7) if other else (0.0, 0.4)  # paler than the samples of the class
    colours = [to_hex(shades(part)) for part in np.linspace(*ends, len(found["colours"]))]
    return {"linear": found | {"colours": colours}, "first": "linear"}


def _fill(result: Fit, targets: np.ndarray, scale: dict[str, Any]) -> list[str]:
    """The colours of samples: of their classes, or of their numbers on the scale of the output."""
    if result.classes:
        return [COLOURS[int(label) % len(COLOURS)] for label in targets]
    bands = scale["linear"]["colours"]
    places = np.searchsorted(scale["linear"]["ticks"], targets) - 1
    return [bands[place] for place in places.clip(0, len(bands) - 1)]

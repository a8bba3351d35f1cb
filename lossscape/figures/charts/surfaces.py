"""Surfaces for the page: one as linked contours and a view in three dimensions, or several on one scale and camera.

Chart type "surfaces". Its data:

xlabel, ylabel  what the axes are
even            whether both have the same unit, and are drawn at the same scale
layers          what can be shown of each point: {key, name, short, unit}
scales          by name: {linear, log, first}, see scales.scale_data
panels          {name, x [X], y [Y], values, marks, trails, notes}: `values` by key of a layer {z, stderr, scale}, lists
                [Y·X], row after row of y, null where there is nothing to draw; in place of z a film has `frames`, a
                list for each of `times`
  predicted     [Y·X] 1 where values were not evaluated; error [Y·X], per cent of the loss that they may be off
  points        of a surface that is no grid, whose z are then interpolated: {x [N], y [N], values, predicted, error}
  marks         {x, y, text, symbol, colour} and, where it is not as usual, size, fill and below (whether paths lie
                on it); x, y and fill may be lists
  trails        paths: {label, colour, dash, symbol where it is no circle, x [K], y [K], when [K], moment [K] (number in
                `times`), words [K], and by key of a layer real [K], the checkpoints' own values or none, and plane [K],
                those of the plane below them}, with `run` where each can be switched off, and `bare` where no dots
                and names are wanted and the first lies on top
times, time     moments of the slider in words, and what stands beside it
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.tri import LinearTriInterpolator

from lossscape.directions import axis_label
from lossscape.figures import meshes
from lossscape.figures.charts import scales
from lossscape.figures.charts.plain import ERROR, ERRORS, LOSS, SHARE, chosen, rounded
from lossscape.figures.metrics import metric
from lossscape.figures.paths import points_of, when
from lossscape.figures.style import ALONE, RUNS, Looks, marker_of, symbol_of
from lossscape.figures.text import finite, numbered
from lossscape.results import Surface, Trail
from lossscape.results.surface import DRAWN
from lossscape.text import counted, number, shortened

MOST_NUMBERS = 90_000
"""Values that a chart carries: about 600 kB of text. A larger grid is thinned."""
BETWEEN = 101
"""Values of an axis at which a surface that is no grid is interpolated."""


@dataclass(frozen=True)
class Layer:
    """A column of a surface."""

    key: str

    @property
    def metric(self) -> str:
        """loss, accuracy, …"""
        return self.key.partition("_")[2]

    @property
    def name(self) -> str:
        """train accuracy"""
        return f"{self.key.partition('_')[0]} {metric(self.metric).label}"

    @property
    def factor(self) -> float:
        """What values are shown multiplied by: shares are per cent."""
        return metric(self.metric).scale

    @property
    def digits(self) -> int:
        """Significant digits."""
        return SHARE if metric(self.metric).unit == "%" else LOSS

    @property
    def data(self) -> dict[str, str]:
        """What the page's script reads of it."""
        unit = metric(self.metric).unit
        return {"key": self.key, "name": self.name, "short": f"{self.name}{f' ({unit})' if unit else ''}", "unit": unit}


def layers_of(surface: Surface) -> list[Layer]:
    """The losses and metrics of a surface's splits, losses first in each."""
    names = ("loss", *surface.metrics)
    keys = [f"{split}_{name}" for split in surface.splits for name in names]
    return [Layer(key) for key in keys if key in surface.table]


def surface_data(surface: Surface, log: bool = False, looks: Looks = ALONE) -> dict[str, Any]:
    """The chart of one surface with its paths and points. Raises BadInput where its points lie on one line."""
    return surfaces_data({"": surface}, log, looks)


def surfaces_data(shown: Mapping[str, Surface], log: bool = False, looks: Looks = ALONE) -> dict[str, Any]:
    """The chart of surfaces by the names above them, of one plane each, all on one scale for each layer."""
    first = next(iter(shown.values()))
    layers = [layer for layer in layers_of(first) if all(layer.key in each.table for each in shown.values())]
    every = {layer.key: np.concatenate([surface.table[layer.key] for surface in shown.values()]) for layer in layers}
    made = {
        layer.key: scales.of_losses(every[layer.key], log)
        if layer.metric == "loss"
        else scales.of_metric(layer.factor * every[layer.key])
        for layer in layers
    }
    moments = _moments([trail for surface in shown.values() for trail in surface.trails])
    columns = sum(len(layers) + _beside(surface, layers) for surface in shown.values())
    panels = [
        panel_data(surface, name, layers, most_of(columns))
        | {"marks": marks_of(surface, looks), "trails": trails_of(surface, layers, moments, looks)}
        for name, surface in shown.items()
    ]
    return frame_data(first) | {
        "layers": [layer.data for layer in layers], "scales": made, "panels": panels,
        "times": list(moments.values()), "time": "Until",
    }  # fmt: skip


def most_of(columns: float) -> int:
    """Values of an axis at which so many columns do not make more than MOST_NUMBERS."""
    return min(DRAWN, int((MOST_NUMBERS / columns) ** 0.5))


def _beside(surface: Surface, layers: Sequence[Layer]) -> float:
    """Columns of errors, which have fewer digits."""
    return 0.75 * sum(f"{layer.key}_stderr" in surface.table for layer in layers)


def frame_data(surface: Surface) -> dict[str, Any]:
    """What the axes of a plane are."""
    labels = {f"{axis}label": axis_label(surface.settings, axis, place) for place, axis in enumerate("xy", 1)}
    return {**labels, "even": meshes.is_even(surface)}


def panel_data(surface: Surface, name: str, layers: Sequence[Layer], most: int = DRAWN) -> dict[str, Any]:
    """A surface as a panel without marks and paths; each layer's scale has the name of its key.

    most: values of an axis; a finer grid is thinned.
    """
    if not surface.regular:
        return _between(surface, name, layers)
    x, y = chosen(surface.x, most), chosen(surface.y, most)

    def kept(column: str, factor: float, digits: int) -> list[float | None]:
        return rounded(factor * surface.values(column)[np.ix_(y, x)], digits)

    thinned = len(x) < len(surface.x) or len(y) < len(surface.y)
    of = f"{len(surface.x):,} × {len(surface.y):,}"
    notes = [f"Drawn from {len(x):,} × {len(y):,} of the {of} points; the CSV has all."] if thinned else []
    return {
        "name": name, "x": rounded(surface.x[x], 9), "y": rounded(surface.y[y], 9), "notes": notes,
        **_columns(surface, layers, kept),
    }  # fmt: skip


def _columns(surface: Surface, layers: Sequence[Layer], kept: Any) -> dict[str, Any]:
    """Values of the layers, and which of them were predicted; kept(column, factor, digits): a column as a list."""
    values = {}
    for layer in layers:
        values[layer.key] = {"scale": layer.key, "z": kept(layer.key, layer.factor, layer.digits)}
        if (error := f"{layer.key}_stderr") in surface.table:
            values[layer.key]["stderr"] = kept(error, layer.factor, ERROR)
    found: dict[str, Any] = {"values": values}
    if surface.predicted.any():
        found["predicted"] = kept("predicted", 1, 1)
        if ERRORS in surface.table:
            found["error"] = kept(ERRORS, 100, ERROR)
    return found


def _between(surface: Surface, name: str, layers: Sequence[Layer]) -> dict[str, Any]:
    """A surface at any points: interpolated linearly over their triangles to be drawn, and the points themselves."""
    x, y = (np.linspace(values[0], values[-1], BETWEEN) for values in (surface.x, surface.y))
    values = {}
    for layer in layers:
        own = layer.factor * finite(surface.table[layer.key].to_numpy())
        flat = LinearTriInterpolator(meshes.triangulation(surface, own), np.nan_to_num(own))(*np.meshgrid(x, y))
        values[layer.key] = {"scale": layer.key, "z": rounded(np.ma.filled(flat, np.nan), layer.digits)}
    points = _columns(
        surface, layers, lambda column, factor, digits: rounded(factor * surface.table[column].to_numpy(), digits)
    )
    note = f"Interpolated linearly between {counted(len(surface.table), 'point')}, whose own values the pointer finds."
    return {
        "name": name, "x": rounded(x, 9), "y": rounded(y, 9), "values": values, "notes": [note],
        "points": {"x": rounded(surface.table["x"], 9), "y": rounded(surface.table["y"], 9), **points},
    }  # fmt: skip


def marks_of(surface: Surface, looks: Looks = ALONE) -> list[dict[str, Any]]:
    """The centre as a star, or the points that a plane goes through with their names."""
    points = surface.settings["directions"].get("points", [])
    marks: list[dict[str, Any]] = []
    if not points and meshes.shows_centre(surface):
        marks.append({"x": 0.0, "y": 0.0, "text": "", "symbol": "star", "colour": "black"})
    runs = [str(point["run"]) for point in points]
    names = runs if len({*runs}) == len(runs) else [f"{point['run']}@{point['checkpoint']}" for point in points]
    for (letter, (x, y)), run, name in zip(points_of(surface).items(), runs, names, strict=False):
        if surface.x[0] <= x <= surface.x[-1] and surface.y[0] <= y <= surface.y[-1]:
            colour = RUNS[looks.places([run])[0] % len(RUNS)] if looks.runs else "black"
            text = f"{letter}: {shortened(name, 28)}"
            marks.append({"x": x, "y": y, "text": text, "symbol": "diamond", "colour": colour})
    return marks


def _moments(trails: Sequence[Trail]) -> dict[float, str]:
    """The moments of the checkpoints of paths in words, in order: by epoch, or by step where one has no epoch."""
    by = _clock(trails)
    found = {float(row[by]): when(row) for trail in trails for _, row in trail.table.iterrows()}
    return {moment: found[moment] for moment in sorted(found)}


def _clock(trails: Sequence[Trail]) -> str:
    return "epoch" if all(np.isfinite(trail.table["epoch"]).all() for trail in trails) else "step"


def trails_of(
    surface: Surface, layers: Sequence[Layer], moments: Mapping[float, str], looks: Looks = ALONE
) -> list[dict[str, Any]]:
    """The paths over a surface; moments: those of the slider with their words."""
    trails = surface.trails
    places = looks.places([trail.name for trail in trails])
    order, by, found = list(moments), _clock(trails), []
    names = numbered([shortened(trail.name, 24) for trail in trails])
    for trail, name, place in zip(trails, names, places, strict=True):
        rows = [row for _, row in trail.table.iterrows()]
        found.append({
            **({"label": f"{name}, ", "run": name} if len(trails) > 1 else {"label": ""}),
            "colour": RUNS[place % len(RUNS)], "dash": "solid", **symbol_of(marker_of(place, RUNS)),
            "x": rounded(trail.table["x"]), "y": rounded(trail.table["y"]),
            "when": [when(row) for row in rows], "moment": [order.index(float(row[by])) for row in rows],
            "words": [f"{shortened(trail.name)}, {when(row)}: {_row_words(row, layers)}" for row in rows],
            "real": _of_layers(trail, layers, ""), "plane": _of_layers(trail, layers, "plane_"),
        })  # fmt: skip
    return found


def _of_layers(trail: Trail, layers: Sequence[Layer], which: str) -> dict[str, list[float | None]]:
    return {
        layer.key: rounded(layer.factor * trail.table[which + layer.key], layer.digits)
        for layer in layers
        if which + layer.key in trail.table
    }


def _row_words(row: Any, layers: Sequence[Layer]) -> str:
    """The checkpoint's own values, those of the plane below it, and how far off the plane it lies."""
    words = []
    for layer in layers:
        if layer.key in row and f"plane_{layer.key}" in row:
            true, plane = (number(layer.factor * float(row[which + layer.key])) for which in ("", "plane_"))
            unit = f" {layer.data['unit']}".rstrip()
            words.append(f"{layer.name} {true}{unit} (plane below it {plane}{unit})")
    return f"{', '.join(words)}; {number(float(row['off_plane']), 3)} off the plane"

"""Descent paths: drawn over a surface, and their losses and distances against the epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke, withStroke
from matplotlib.text import Text

from lossscape.directions import sentence
from lossscape.figures import captions
from lossscape.figures.levels import Scale
from lossscape.figures.style import (
    ALONE,
    RUNS,
    WHITE_EDGE,
    Looks,
    label_columns,
    loss_axis,
    marker_of,
    numbers,
    sheet,
    style,
)
from lossscape.figures.text import finite, shortened
from lossscape.results import Surface, Trail
from lossscape.text import counted, number

MARKS = 10
UNLIKE = 1.5
"""Losses that differ by more than this factor are not the same to a reader."""
_EDGE = withStroke(linewidth=2.5, foreground="white")
_WIDE_EDGE = [Stroke(linewidth=3.4, foreground="white"), withStroke(linewidth=1.8)]
LINE: dict[str, Any] = {"linewidth": 1.8, "zorder": 3, "path_effects": _WIDE_EDGE}
"""How a path is drawn over contours."""


@style()
def build_path(surface: Surface, *, split: str | None = None, captioned: bool = True, looks: Looks = ALONE) -> Figure:
    """Losses and distances of the paths over a plane against the epoch: the checkpoints' own, and the plane's below."""
    split = split or surface.splits[0]
    title = f"Paths over the plane around {captions.point_name(surface.settings['centre'])} ({split} data)"
    kinds: list[Artist] = [
        Line2D([], [], color="0.35", label="true loss; off the plane"),
        Line2D([], [], color="0.35", linestyle=(0, (2, 1.4)), label="plane's loss; within it, from the centre"),
    ]
    caption = path_caption(surface, split) if captioned else None
    figure, panel = sheet(
        10, 4.2, title, caption, [*(key(surface.trails, looks) if len(surface.trails) > 1 else []), *kinds]
    )
    left, right = panel.subplots(1, 2)
    drawn = []
    by = "epoch" if all(np.isfinite(trail.table["epoch"]).all() for trail in surface.trails) else "step"
    for trail, line in zip(surface.trails, _lines(surface.trails, looks), strict=True):
        time = trail.table[by].to_numpy()
        look = {"color": line["color"], "marker": line["marker"] or ("" if len(time) > 1 else "o")}
        look |= {"markersize": 5.5, "markevery": max(len(time) // 12, 1)}
        for axes, solid, dashed in ((left, f"{split}_loss", f"plane_{split}_loss"), (right, "off_plane", "in_plane")):
            for column, dash in ((solid, "-"), (dashed, (0, (2, 1.4)))):
                values = finite(trail.table[column].to_numpy())
                drawn += [values] if axes is left else []
                axes.plot(time, values, linestyle=dash, label=f"{trail.name} {column}", **look)
    loss_axis(left, drawn, spans_decades(drawn))
    left.set_ylabel(captions.loss_label([captions.loss_name(surface.settings)], split))
    right.set_ylabel("distance between parameters")
    right.set_ylim(bottom=0)
    numbers(right.yaxis)
    for axes in (left, right):
        axes.set_xlabel(by)
        numbers(axes.xaxis)
    return figure


def spans_decades(losses: Sequence[np.ndarray]) -> bool:
    """Whether losses, NaN for gaps, are better drawn on a logarithmic axis."""
    every = np.concatenate(losses)
    low, high = np.nanmin(every, initial=np.inf), np.nanmax(every, initial=-np.inf)
    return bool(0 < low < high / 100)


def path_caption(surface: Surface, split: str) -> str:
    """The caption of build_path's figure."""
    words = [
        "Left: the loss of each checkpoint and that of the plane at its projection. Right: how far it lies off the "
        "plane, and its projection from the centre.",
        *path_words(surface, split),
        sentence(surface.settings, 2),
        *captions.conditions(surface, [split], "the centre"),
    ]
    return " ".join([*captions.failure_words(surface), *words])


def key(trails: Sequence[Trail], looks: Looks = ALONE) -> list[Artist]:
    """Legend entries, one for each path."""
    return [
        Line2D([], [], label=f"path of {shortened(trail.name)}", linewidth=1.8, markersize=5.5, **WHITE_EDGE, **look)
        for trail, look in zip(trails, _lines(trails, looks), strict=True)
    ]


def over_contour(axes: Axes, surface: Surface, looks: Looks = ALONE) -> list[Text]:
    """Draw the paths over contours, a line with dots at some epochs, and the points of the plane.

    Returns the names of the first and last checkpoints and of the points.
    """
    names: list[Text] = []
    starts: list[tuple[float, float]] = []
    width, height = np.ptp(surface.x), np.ptp(surface.y)
    for trail, look in zip(surface.trails, _lines(surface.trails, looks), strict=True):
        x, y = (trail.table[axis].to_numpy() for axis in ("x", "y"))
        axes.plot(x, y, label=f"path of {trail.name}", **LINE, color=look["color"])
        marks = _marks(trail)
        axes.plot(
            x[marks], y[marks], look["marker"] or "o", linestyle="", markersize=_size(look),
            markerfacecolor=look["color"], markeredgecolor="white", markeredgewidth=0.7, zorder=3.1,
            label=f"_{trail.name} epochs",
        )  # fmt: skip
        several = len(surface.trails) > 1
        for row in dict.fromkeys((len(x) - 1, 0)):
            # paths that begin at one point need its name once
            near = (abs(x[row] - a) < 0.02 * width and abs(y[row] - b) < 0.02 * height for a, b in starts)
            named = any(np.allclose(spot, (x[row], y[row]), atol=1e-6 * width) for spot in points_of(surface).values())
            if named or outside(surface, trail)[row] or (row == 0 and len(x) > 1 and any(near)):
                continue
            starts += [(x[row], y[row])] if row == 0 else []
            own = several and row == len(x) - 1  # the first may be that of all
            text = f"{shortened(trail.name, label_columns(24))}, " if own else ""
            colour = look["color"] if own else "black"
            names.append(_write(axes, surface, (x[row], y[row]), text + when(trail.table.iloc[row]), colour))
    diamond: dict[str, Any] = {"markersize": 7, "markerfacecolor": "white", "markeredgecolor": "black"}
    for letter, point in points_of(surface).items():
        if letter != "A":  # which is the centre
            axes.plot(*point, "D", label=letter, zorder=3.2, **diamond)
        if _is_inside(surface, point):
            names.append(_write(axes, surface, point, name_of(surface, letter), above=True))
    return names


def over_solid(axes: Any, surface: Surface, scale: Scale, split: str, looks: Looks = ALONE) -> None:
    """Draw the paths over a surface in three dimensions: on it as a line, with stems to the true losses.

    And the points that its plane goes through, at the heights of the nearest points of the surface.
    """
    axes.computed_zorder = False  # which would hide lines behind faces that they lie on
    _name_points(axes, surface, scale, split)
    for trail, look in zip(surface.trails, _lines(surface.trails, looks), strict=True):
        gone = outside(surface, trail)
        x, y = (np.where(gone, np.nan, trail.table[axis].to_numpy()) for axis in ("x", "y"))
        plane, true = (
            scale.heights(np.where(gone, np.nan, trail.table[f"{which}{split}_loss"].to_numpy()))
            for which in ("plane_", "")
        )
        line = {"linewidth": 1.8, "zorder": 5, "path_effects": [_EDGE]}
        axes.plot(x, y, plane, label=f"path of {trail.name}", color=look["color"], **line)
        for row in _marks(trail):
            axes.plot([x[row]] * 2, [y[row]] * 2, [plane[row], true[row]], color=look["color"], lw=0.9, zorder=6)
        marks = _marks(trail)
        axes.plot(
            x[marks], y[marks], true[marks], look["marker"] or "o", linestyle="", markersize=_size(look),
            markerfacecolor="white", markeredgecolor=look["color"], zorder=7, label=f"_{trail.name} true",
        )  # fmt: skip


def _name_points(axes: Any, surface: Surface, scale: Scale, split: str) -> None:
    """The points that a plane goes through, over the surface, at the height of its nearest point."""
    heights = scale.heights(surface.table[f"{split}_loss"].to_numpy())
    spots = surface.table[["x", "y"]].to_numpy()
    for letter, point in points_of(surface).items():
        height = heights[int((np.abs(spots - point) / np.ptp(spots, axis=0)).sum(axis=1).argmin())]
        if not (_is_inside(surface, point) and np.isfinite(height)):
            continue
        look = {"markersize": 5.5, "markerfacecolor": "white", "markeredgecolor": "black", "zorder": 8}
        axes.plot(*([each] for each in (*point, height)), "D", linestyle="", label=letter, **look)
        right = float(((point - spots.min(axis=0)) / np.ptp(spots, axis=0)).sum()) > 1  # as it is looked at
        name = f"  {name_of(surface, letter)}  "
        axes.text(*point, height, name, fontsize=8, zorder=9, path_effects=[_EDGE], ha="right" if right else "left")


def _is_inside(surface: Surface, point: tuple[float, float]) -> bool:
    x, y = point
    return bool(surface.x[0] <= x <= surface.x[-1] and surface.y[0] <= y <= surface.y[-1])


def name_of(surface: Surface, letter: str) -> str:
    """What stands beside a point of a plane: its letter, and what it is: B, adam@last."""
    named = dict(zip("ABC", surface.settings["directions"]["points"], strict=False))
    return f"{letter}, {captions.point_name(named[letter], label_columns(24))}" if letter in named else letter


def points_of(surface: Surface) -> dict[str, tuple[float, float]]:
    """The points A, B and C that a plane goes through, by letter; none of other planes."""
    found = surface.settings["directions"].get("coordinates") or []
    return {letter: (point[0], point[1]) for letter, point in zip("ABC", found, strict=False) if len(point) == 2}


def _lines(trails: Sequence[Trail], looks: Looks) -> list[dict[str, Any]]:
    """How each path is drawn."""
    return [
        {"color": RUNS[place % len(RUNS)], "marker": marker_of(place, RUNS)}
        for place in looks.places([trail.name for trail in trails])
    ]


def _size(look: Mapping[str, Any]) -> float:
    """Points of the marks of a path."""
    return 5.5 if look["marker"] else 4


def _marks(trail: Trail) -> list[int]:
    """Rows of about MARKS checkpoints after whole epochs, evenly spaced, the first and the last among them."""
    epochs = trail.table["epoch"].to_numpy()
    whole = [row for row, epoch in enumerate(epochs) if epoch == np.round(epoch)] or [*range(len(epochs))]
    every = -(-len(whole) // MARKS)
    return sorted({0, *whole[::every], len(epochs) - 1})


def _write(
    axes: Axes, surface: Surface, point: tuple[float, float], text: str, colour: str = "black", *, above: bool = False
) -> Text:
    """A name beside a point, towards the middle of the picture; or above it."""
    left = point[0] < surface.x.mean()
    shift = (0, 8) if above else (7, -3) if left else (-7, -3)
    return axes.annotate(
        text, point, xytext=shift, textcoords="offset points", fontsize=9, zorder=4, path_effects=[_EDGE], color=colour,
        ha="center" if above else "left" if left else "right",
    )  # fmt: skip


def path_words(surface: Surface, split: str) -> list[str]:
    """What a reader of a picture with paths has to know of them, as sentences; none where there are no paths."""
    words = []
    for trail in surface.trails:
        words += _of_trail(surface, trail, split)
    if surface.trails:
        words.append("Paths are drawn where their checkpoints are projected to.")
        if surface.settings.get("batch_norm"):
            words.append("True losses are those with the checkpoints' own BatchNorm statistics.")
    return words


def when(row: "pd.Series[Any]") -> str:
    """The moment of a checkpoint: epoch 3, or step 120."""
    epoch = float(row["epoch"])
    return f"epoch {number(round(epoch, 3), 7)}" if np.isfinite(epoch) else f"step {row['step']:.0f}"


def outside(surface: Surface, trail: Trail) -> np.ndarray:
    """Which checkpoints [K] lie beyond the edges of the picture."""
    found = np.zeros(len(trail.table), dtype=bool)
    for axis, values in (("x", surface.x), ("y", surface.y)):
        coordinates = trail.table[axis].to_numpy()
        found |= (coordinates < values[0]) | (coordinates > values[-1])
    return found


def _of_trail(surface: Surface, trail: Trail, split: str) -> list[str]:
    table = trail.table
    size = (
        f"{counted(len(table), 'checkpoint')}, {when(table.iloc[0])} to {when(table.iloc[-1]).removeprefix('epoch ')}"
    )
    words = [f"Path of {shortened(trail.name)}: {size}"]
    length, squares = (trail.facts.get(f"share_of_{what}") for what in ("length", "squares"))
    if length is not None and squares is not None:
        part = f"{_percent(length)} of its length and {_percent(squares)} of its squared distances from the centre"
        words.append(f"; {part} lie in the plane")
    off = table["off_plane"].to_numpy()
    extent = float(trail.facts.get("extent", np.nan))
    if off.max() > 1e-6 * max(extent, table["in_plane"].max()):
        words.append(
            f"; at most {number(off.max(), 3)} off it ({when(table.iloc[off.argmax()])}), against the "
            f"{number(extent, 3)} that it spans within"
        )
    found = ["".join(words) + "."]
    if lost := int(outside(surface, trail).sum()):
        found.append(f"{lost:,} of them lie outside the picture.")
    if unlike := trail.facts.get("unlike"):
        found.append(
            f"It was trained with other {' and '.join(unlike)}; its losses here are those of the plane's data."
        )
    return found + _warnings(trail, split, off, extent)


def _percent(share: float) -> str:
    """A share that is not rounded to all or nothing."""
    if share > 0.999 and share < 1 - 1e-9:
        return "more than 99.9 %"
    return f"{number(100 * share, 3)} %"


def _warnings(trail: Trail, split: str, off: np.ndarray, extent: float) -> list[str]:
    """Where a picture flatters: the path is far off the plane, or its losses are not the plane's."""
    true, plane = trail.table[f"{split}_loss"].to_numpy(), trail.table[f"plane_{split}_loss"].to_numpy()
    words = []
    if off.max() > extent:
        words.append(
            f"This path does not lie in the plane: it is up to {number(off.max() / max(extent, 1e-300), 3)} times as "
            "far off as it spans within, so the line is its shadow."
        )
    with np.errstate(all="ignore"):
        ratios = np.abs(np.log(true / plane))
    known = np.isfinite(ratios)
    if known.any():
        worst = int(np.where(known, ratios, -1).argmax())
        pair = (
            f"{number(true[worst], 3)} against {number(plane[worst], 3)} in the plane ({when(trail.table.iloc[worst])})"
        )
        unlike = int((ratios[known] > np.log(UNLIKE)).sum())
        if unlike:
            words.append(
                f"The surface does not have the path's height at {unlike:,} of {len(true):,} checkpoints, where the "
                f"true {split} loss differs from the plane's by more than a factor {UNLIKE:g}, most at {pair}."
            )
        elif ratios[worst] > 1e-4:
            words.append(f"Its true {split} losses are the plane's within a factor {UNLIKE:g}, at worst {pair}.")
    if lost := int(np.isnan(finite(true) + finite(plane)).sum()):
        words.append(f"At {lost:,} of its checkpoints a loss is infinite, undefined or above 1e30.")
    return words

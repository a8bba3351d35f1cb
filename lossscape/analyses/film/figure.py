"""The frames of films: the descent over a surface beside its losses, and a fixed plane around every checkpoint."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import Stroke, withStroke

from lossscape.analyses.film import words as film_words
from lossscape.analyses.film.result import Film
from lossscape.analyses.landscape.path_figure import COLOURS
from lossscape.directions import axis_label
from lossscape.figures import meshes
from lossscape.figures.levels import Scale, choose_scale
from lossscape.figures.panels import LONGEST_SIDES, add, colour_bar, contours, solid
from lossscape.figures.style import loss_axis, numbers, sheet, style
from lossscape.figures.text import finite
from lossscape.results import Surface

SIDE, LEFT, BOTTOM = 3.4, 0.75, 0.55
"""Of square contours, and where they stand, in inches."""
LONGEST = 3.6
"""Side of wide ones."""
BAR_GAP, BAR = 0.12, 0.15
WIDTH, HEIGHT = 9.6, 4.95
RIGHT, RIGHT_WIDTH = 6.15, 3.2
"""Of what stands beside the contours."""
TOP = HEIGHT - 0.72
"""Of the words of a frame."""
QUANTILE = 0.005
"""Of all losses of a film's frames, what the scale leaves out at either end."""


def scale_of(film: Film, kind: str, log: bool = False) -> Scale:
    """The scale of all frames of a film.

    Of many surfaces it leaves out the least and greatest QUANTILE of their losses, so that a few extreme ones do not
    decide what can be seen of all others.
    """
    split = f"{film.split}_loss"
    if kind == "descent":
        return choose_scale(film.surface(kind, 0).values(split), log)
    losses = np.concatenate([surface.table[split].to_numpy() for surface in film.surfaces(kind)])
    drawn = finite(losses)
    if not np.isfinite(drawn).any():
        return choose_scale(drawn, log)
    low = np.nanquantile(drawn, QUANTILE, method="higher")  # a loss that is there, not one between
    high = np.nanquantile(drawn, 1 - QUANTILE, method="lower")
    scale = choose_scale(np.clip(drawn, low, high), log)
    scale.notes.extend(film_words.beyond(losses, scale.low, scale.high))
    return scale


@style()
def build_descent(
    film: Film, frame: int, *, scale: Scale | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """The path up to a frame's checkpoint over the surface, and its true losses beside those of the plane below.

    frame: from 0, or from the end below 0; scale: of scale_of, where it is known. Raises BadInput.
    """
    scale = scale or scale_of(film, "descent", log)
    surface, row = film.surface("descent", 0), film.rows("descent").iloc[frame]
    reached = film.reached(frame)
    panel, figure = _sheet(film, "descent", scale, captioned)
    axes = _contours(panel, surface, film, scale)
    _draw_path(axes, film, reached)
    beside = add(panel, (RIGHT, BOTTOM, RIGHT_WIDTH, SIDE - 0.55))
    _draw_losses(beside, film, reached)
    write = _writer(panel)
    write(RIGHT - 0.05, TOP, film_words.when(row), size=14, weight="bold")
    write(RIGHT - 0.05, TOP - 0.24, film_words.loss_words(film, row), size=10)
    write(RIGHT - 0.05, TOP - 0.44, film_words.shadow_words(film, frame), size=9, color="0.3")
    return figure


@style()
def build_plane(
    film: Film, frame: int, *, scale: Scale | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """The plane around a frame's checkpoint as contours and in three dimensions; arguments as for build_descent."""
    scale = scale or scale_of(film, "plane", log)
    surface, row = film.surface("plane", frame), film.rows("plane").iloc[frame]
    panel, figure = _sheet(film, "plane", scale, captioned)
    _contours(panel, surface, film, scale)
    heights = scale.heights(surface.values(f"{film.split}_loss"))
    solid(
        panel,
        (RIGHT - 0.9, BOTTOM - 0.35, RIGHT_WIDTH + 0.9, SIDE + 0.75),
        surface,
        heights,
        scale,
        meshes.COLOURS,
    )
    write = _writer(panel)
    write(LEFT, TOP, film_words.when(row), size=14, weight="bold")
    write(LEFT + 1.4, TOP, f"{film_words.loss_words(film, row)} at the checkpoint", size=10)
    return figure


BUILDERS: dict[str, Callable[..., Figure]] = {"descent": build_descent, "plane": build_plane}


def _sheet(film: Film, kind: str, scale: Scale, captioned: bool) -> tuple[SubFigure, Figure]:
    caption = film_words.caption(film, kind, scale) if captioned else None
    figure, panel = sheet(WIDTH, HEIGHT, film_words.title(film, kind), caption)
    figure.set_layout_engine("none")
    return panel, figure


def _writer(panel: SubFigure) -> Callable[..., Any]:
    """What writes at a place in inches."""

    def write(left: float, bottom: float, text: str, **look: Any) -> None:
        panel.text(left / WIDTH, bottom / HEIGHT, text, va="center", **look)

    return write


def _contours(panel: SubFigure, surface: Surface, film: Film, scale: Scale) -> Axes:
    """The surface with its colour bar, as large as there is room for its shape."""
    sides = float(np.ptp(surface.x) / np.ptp(surface.y))
    if not 1 / LONGEST_SIDES <= sides <= LONGEST_SIDES:
        sides = 1.0
    wide = min(SIDE * sides, LONGEST)
    high = wide / sides
    place = (LEFT, BOTTOM + (SIDE - high) / 2, wide, high)
    heights = scale.heights(surface.values(f"{film.split}_loss"))
    axes = contours(panel, place, surface, heights, scale, meshes.COLOURS)
    if not (surface.x[0] <= 0 <= surface.x[-1] and surface.y[0] <= 0 <= surface.y[-1]):
        for star in [line for line in axes.lines if line.get_label() == "centre"]:
            star.remove()
    axes.set_xlabel(axis_label(surface.settings, "x", 1), size=8)
    axes.set_ylabel(axis_label(surface.settings, "y", 2), size=8)
    label = f"{film.split} loss{', log scale' if scale.log else ''}"
    colour_bar(panel, (LEFT + wide + BAR_GAP, place[1], BAR, high), scale, meshes.COLOURS, label)
    return axes


def _draw_path(axes: Axes, film: Film, reached: int) -> None:
    """The path's projections up to a checkpoint, which is marked."""
    x, y = (film.trail.table[axis].to_numpy()[: reached + 1] for axis in ("x", "y"))
    edge = [Stroke(linewidth=3.4, foreground="white"), withStroke(linewidth=1.8)]
    axes.plot(x, y, linewidth=1.8, color=COLOURS[0], zorder=3, path_effects=edge, label="path")
    look: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": COLOURS[0], "markeredgewidth": 2.2}
    axes.plot(x[-1:], y[-1:], "o", markersize=8, zorder=4, label="checkpoint", **look)


def _draw_losses(axes: Axes, film: Film, reached: int) -> None:
    """True losses and those of the plane below up to a checkpoint, on axes for the whole path."""
    table, split = film.trail.table, film.split
    by = "epoch" if np.isfinite(table["epoch"]).all() else "step"
    time = table[by].to_numpy()
    lines = {
        "true": (f"{split}_loss", "-", COLOURS[0]),
        "plane below": (f"plane_{split}_loss", (0, (2, 1.4)), "0.35"),
    }
    drawn = []
    for name, (column, dash, colour) in lines.items():
        values = finite(table[column].to_numpy())
        drawn.append(values)
        axes.plot(time[: reached + 1], values[: reached + 1], linestyle=dash, color=colour, label=name)
    axes.plot(
        time[reached], drawn[0][reached], "o", markersize=8, markerfacecolor="white", markeredgecolor=COLOURS[0],
        markeredgewidth=2.2, label="_now", clip_on=False, zorder=4,
    )  # fmt: skip
    every = np.concatenate(drawn)
    every = every[np.isfinite(every)]
    margin = 0.03 * float(np.ptp(time))
    axes.set_xlim(time[0] - margin, time[-1] + margin)
    log = bool(every.size and every.min() > 0 and every.max() > 100 * every.min())
    if log:
        axes.set_ylim(every.min() / 1.3, every.max() * 1.3)
    elif every.size and (spread := 0.05 * float(np.ptp(every))):
        axes.set_ylim(every.min() - spread, every.max() + spread)
    loss_axis(axes, drawn, log)
    axes.set_xlabel(by, size=8)
    numbers(axes.xaxis)
    axes.set_ylabel(f"{split} loss", size=8)
    axes.tick_params(labelsize=8)
    axes.legend(loc="upper right", fontsize=8)

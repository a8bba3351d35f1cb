"""Losses over a plane, on a grid or at any points: filled contours and a view in three dimensions."""

from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from mpl_toolkits.mplot3d import Axes3D

from lossscape.directions import axis_label
from lossscape.errors import BadInput, one_of
from lossscape.figures import captions, meshes, paths, phrases
from lossscape.figures.captions import path_words
from lossscape.figures.levels import Scale, choose_scale
from lossscape.figures.style import NOTHING, new_axes, numbers, sheet, style
from lossscape.results import Surface

APART = "no neighbouring points with a finite loss"
HEIGHT_LABEL = 60
"""Characters in a line of the label of heights."""


@style()
def build_contour(surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True) -> Figure:
    """Filled contours with labelled lines; a star marks the centre, hatching what has no finite loss.

    split: train or test, by default the first that was computed; log: a logarithmic scale, which is taken in any
    case for losses that span more than two decades; captioned: with small print below. Raises BadInput.
    """
    split = _split(surface, split)
    sides = meshes.sides_of(surface)
    high = max(4.4, 1.1 + 4.9 / sides) if meshes.is_even(surface) and sides > 1 else 6.0
    caption = contour_caption(surface, split, log) if captioned else None
    figure, panel = sheet(7.2, high, _title(surface, split), caption, paths.key(surface.trails))
    axes = panel.subplots()
    _finish(figure, axes, _draw_contours(axes, surface, split, log))
    return figure


@style()
def contour_axes(surface: Surface, ax: Axes | None = None, *, split: str | None = None, log: bool = False) -> Axes:
    """Draw a surface as contours with a colour bar into axes, by default new ones; returns the axes.

    Arguments as for build_contour. Raises BadInput.
    """
    axes = new_axes() if ax is None else ax
    drawn = _draw_contours(axes, surface, _split(surface, split), log)
    if ax is None:
        figure: Any = axes.figure
        _finish(figure, axes, drawn)
    else:
        meshes.thin_out(axes, drawn.numbers, drawn.names)
    return axes


@dataclass(frozen=True)
class Drawn:
    """What of contours is put right once the figure is laid out."""

    scale: Scale
    numbers: list[Text]
    """On the lines."""
    names: list[Text]
    """Of points."""
    bar: Colorbar | None


def _finish(figure: Figure, axes: Axes, drawn: Drawn) -> None:
    """Lay a figure out, hide numbers that are in the way, and fit the colour bar to the axes."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")  # it is laid out
    meshes.thin_out(axes, drawn.numbers, drawn.names)
    if drawn.bar is not None:
        meshes.fit_bar(figure, axes, drawn.bar, drawn.scale)


def _draw_contours(axes: Axes, surface: Surface, split: str, log: bool) -> Drawn:
    """Contours, paths and marks."""
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    axes.grid(False)
    meshes.hatch(axes)
    heights = scale.heights(surface.values(f"{split}_loss"))
    labels: list[Text] = []
    bar = None
    if meshes.has_faces(surface, heights):
        labels, bar = meshes.bands(axes, surface, heights, scale, _loss_label(surface, split, scale))
    else:
        words = NOTHING if scale.empty else APART
        axes.text(0.5, 0.4, words, transform=axes.transAxes, ha="center", bbox={"facecolor": "white", "lw": 0})
    meshes.dots(axes, surface)
    if _shows_centre(surface):
        axes.plot(0, 0, "*", markersize=13, markerfacecolor="white", markeredgecolor="black", label="centre")
    names = paths.over_contour(axes, surface)
    axes.set_xlim(surface.x[0], surface.x[-1])
    axes.set_ylim(surface.y[0], surface.y[-1])
    axes.set_xlabel(axis_label(surface.settings, "x", 1))
    axes.set_ylabel(axis_label(surface.settings, "y", 2))
    sides, even = meshes.sides_of(surface), meshes.is_even(surface)
    for axis, length in ((axes.xaxis, sides), (axes.yaxis, 1 / sides)):
        numbers(axis, max(4, int(8 * min(length, 1))) if even else 8)
    axes.set_aspect("equal" if even else "auto")
    return Drawn(scale, labels, names, bar)


@style()
def build_surface(surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True) -> Figure:
    """The surface in three dimensions, open where it has no finite loss; arguments as for build_contour."""
    split = _split(surface, split)
    caption = surface_caption(surface, split, log) if captioned else None
    figure, panel = sheet(7.2, 5.2, _title(surface, split), caption, paths.key(surface.trails))
    figure.set_layout_engine("none")  # which would leave room for corners that the view does not fill
    below = 0.07 if surface.trails else 0.0  # of a legend
    axes: Any = panel.add_axes((0.03, 0.02 + below, 0.92, 0.94 - below), axes_class=Axes3D)
    scale = _draw_solid(axes, surface, split, log)
    label = fill(_loss_label(surface, split, scale), HEIGHT_LABEL)
    axes.set_zlabel(label, labelpad=axes.zaxis.labelpad + 5 * label.count("\n"))
    return figure


@style()
def solid_axes(surface: Surface, ax: Any = None, *, split: str | None = None, log: bool = False) -> Any:
    """Draw a surface into axes in three dimensions, by default new ones; arguments as for contour_axes."""
    axes = new_axes(projection="3d") if ax is None else ax
    _draw_solid(axes, surface, _split(surface, split), log)
    return axes


def _draw_solid(axes: Any, surface: Surface, split: str, log: bool) -> Scale:
    """The surface with its paths; its axis has a short name."""
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    heights = scale.heights(surface.values(f"{split}_loss"))
    if meshes.has_faces(surface, heights):
        meshes.solid(axes, surface, heights, scale)
    else:
        axes.text2D(0.5, 0.5, NOTHING if scale.empty else APART, transform=axes.transAxes, ha="center")
    paths.over_solid(axes, surface, scale, split)
    for axis in (axes.xaxis, axes.yaxis):
        numbers(axis, 5)
    for limits, values in ((axes.set_xlim, surface.x), (axes.set_ylim, surface.y)):
        margin = 0.04 * np.ptp(values)  # or the numbers of both axes meet in the corner
        limits(values[0] - margin, values[-1] + margin)
    axes.set_zlim(scale.ticks[0], scale.ticks[-1])
    ticks = [] if scale.empty else list(scale.marks(7))
    axes.set_zticks(ticks)
    axes.zaxis.set_major_formatter(FuncFormatter(lambda height, _: scale.text(height)))
    # characters beyond what fits beside the axis
    wider = max([0, *(len(scale.text(tick)) - 4 for tick in ticks)])
    axes.tick_params(axis="z", pad=4 + 2.5 * wider)
    axes.set_xlabel("x", labelpad=6)
    axes.set_ylabel("y", labelpad=6)
    axes.set_zlabel(f"{split} loss{', log scale' * scale.log}", labelpad=10 + 4 * wider)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.0)
    axes.view_init(elev=32, azim=-55)
    return scale


def contour_caption(surface: Surface, split: str, log: bool) -> str:
    """The caption of build_contour's figure."""
    marks = ["★ marks the centre."] if _shows_centre(surface) else []
    marks += ["Dots: the refined points."] if surface.refined.any() else []
    marks += path_words(surface, split)
    return captions.surface_caption(surface, split, *marks, *_notes(surface, split, log, "Hatched"))


def surface_caption(surface: Surface, split: str, log: bool) -> str:
    """The caption of build_surface's figure."""
    notes = [*path_words(surface, split), *surface_notes(surface, split, log)]
    return captions.surface_caption(surface, split, *notes)


def surface_notes(surface: Surface, split: str, log: bool) -> list[str]:
    """What a reader of build_surface's figure has to know of missing and clipped losses."""
    return [*paths.solid_words(surface), *_notes(surface, split, log, "Left open")]


def _notes(surface: Surface, split: str, log: bool, missing: str) -> list[str]:
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    lost = f"{missing}: {scale.missing:,} of {scale.points:,} points, whose loss is infinite, undefined or above 1e30."
    return ([lost] if scale.missing else []) + scale.notes


def _split(surface: Surface, split: str | None) -> str:
    split = split or surface.splits[0]
    if split not in surface.splits:
        raise BadInput(one_of(f"{surface.folder}: split", split, surface.splits))
    return split


def _title(surface: Surface, split: str) -> str:
    return f"Loss around {phrases.point_name(surface.settings['centre'])} ({split} data)"


def _loss_label(surface: Surface, split: str, scale: Scale) -> str:
    return phrases.loss_label([surface.settings], split) + (", log scale" if scale.log else "")


def _shows_centre(surface: Surface) -> bool:
    return bool(surface.x[0] <= 0 <= surface.x[-1] and surface.y[0] <= 0 <= surface.y[-1])

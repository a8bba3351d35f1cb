"""Losses over a plane: filled contours and a view in three dimensions."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d import Axes3D

from lossscape.errors import BadInput, one_of
from lossscape.report import captions
from lossscape.report.levels import Scale, choose_scale
from lossscape.report.style import save, settle, sheet, style
from lossscape.report.text import number
from lossscape.results import Surface

COLOURS = "viridis"
"""Perceptually uniform, and readable with any colour vision and in grey."""
LONGEST_SIDES = 3.0
"""Axes with the same unit are drawn at the same scale unless one is this many times as long as the other."""


def draw_contour(surface: Surface, path: Path, *, split: str | None = None, log: bool = False) -> None:
    """Write the figure of build_contour as PNG."""
    save(build_contour(surface, split=split, log=log), path)


def draw_surface(surface: Surface, path: Path, *, split: str | None = None, log: bool = False) -> None:
    """Write the figure of build_surface as PNG."""
    save(build_surface(surface, split=split, log=log), path)


@style()
def build_contour(
    surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """Filled contours with labelled lines; a star marks the centre, hatching what has no finite loss.

    split: train or test, by default the first that was computed; log: a logarithmic scale, which is taken in any
    case for losses that span more than two decades; captioned: with small print below. Raises BadInput.
    """
    split = _split(surface, split)
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    caption = _caption(surface, split, scale, "★ marks the centre.") if captioned else None
    figure, panel = sheet(7.2, 6.0, _title(surface, split), caption)
    axes = panel.subplots()
    axes.grid(False)
    axes.add_patch(
        Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor="0.9", edgecolor="0.6", hatch="///", lw=0, zorder=0)
    )
    heights = np.ma.masked_invalid(scale.heights(surface.values(f"{split}_loss")))
    norm = Normalize(scale.ticks[0], scale.ticks[-1])
    filled = axes.contourf(surface.x, surface.y, heights, levels=scale.ticks, cmap=COLOURS, norm=norm)
    labels = [] if scale.constant else _lines(axes, surface, heights, scale)
    _centre(axes, surface)
    axes.set_xlim(surface.x[0], surface.x[-1])
    axes.set_ylim(surface.y[0], surface.y[-1])
    axes.set_xlabel(captions.axis_label(surface.settings, "x", 1))
    axes.set_ylabel(captions.axis_label(surface.settings, "y", 2))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    sides = np.ptp(surface.x) / np.ptp(surface.y)
    axes.set_aspect("equal" if 1 / LONGEST_SIDES <= sides <= LONGEST_SIDES else "auto")
    bar = panel.colorbar(filled, ax=axes, ticks=_bar_ticks(scale), label=_loss_label(surface, split, scale))
    bar.ax.yaxis.set_major_formatter(_loss_formatter(scale))
    bar.ax.minorticks_off()
    _thin_out(figure, axes, labels)
    return figure


@style()
def build_surface(
    surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """The surface in three dimensions; arguments as for build_contour."""
    split = _split(surface, split)
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    caption = _caption(surface, split, scale) if captioned else None
    figure, panel = sheet(7.2, 5.2, _title(surface, split), caption)
    figure.set_layout_engine("none")  # which would leave room for corners that the view does not fill
    axes: Any = panel.add_axes((0.03, 0.02, 0.92, 0.94), axes_class=Axes3D)
    heights = scale.heights(surface.values(f"{split}_loss"))
    x, y = np.meshgrid(surface.x, surface.y)
    norm = Normalize(scale.ticks[0], scale.ticks[-1])
    if np.isfinite(heights).any():
        axes.plot_surface(
            x, y, heights, cmap=COLOURS, norm=norm, rcount=101, ccount=101, linewidth=0.2, edgecolor=(0, 0, 0, 0.25)
        )
    axes.set_zlim(scale.ticks[0], scale.ticks[-1])
    axes.set_zticks(_bar_ticks(scale, 7))
    axes.zaxis.set_major_formatter(_loss_formatter(scale))
    axes.set_xlabel("x", labelpad=6)
    axes.set_ylabel("y", labelpad=6)
    axes.set_zlabel(_loss_label(surface, split, scale), labelpad=10)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.set_box_aspect((1, 1, 0.75), zoom=1.0)
    axes.view_init(elev=32, azim=-55)
    return figure


def _split(surface: Surface, split: str | None) -> str:
    split = split or surface.splits[0]
    if split not in surface.splits:
        raise BadInput(one_of(f"{surface.folder}: split", split, surface.splits))
    return split


def _title(surface: Surface, split: str) -> str:
    return f"Loss around {captions.place(surface.settings['centre'])} ({split} data)"


def surface_words(surface: Surface, split: str, log: bool) -> str:
    """The caption that a figure of this surface has."""
    return _caption(surface, split, choose_scale(surface.values(f"{split}_loss"), log))


def _caption(surface: Surface, split: str, scale: Scale, *more: str) -> str:
    return captions.surface_caption(surface, split, *more, *scale.notes)


def _loss_label(surface: Surface, split: str, scale: Scale) -> str:
    return captions.loss_label([surface.settings], split) + (", log scale" if scale.log else "")


def _loss_formatter(scale: Scale) -> FuncFormatter:
    return FuncFormatter(lambda height, _: number(10**height if scale.log else height))


def _bar_ticks(scale: Scale, most: int = 20) -> np.ndarray:
    """Heights to put a number at: the levels, thinned where there are too many."""
    if scale.constant:
        return scale.ticks[:1] + np.ptp(scale.ticks) / 2
    return scale.ticks[:: -(-len(scale.ticks) // most)]


def _lines(axes: Axes, surface: Surface, heights: np.ma.MaskedArray, scale: Scale) -> list[Text]:
    """Contour lines with their losses written on them; returns these texts."""
    lines = axes.contour(surface.x, surface.y, heights, levels=scale.ticks, colors="black", linestyles="solid", linewidths=0.6)
    axes.clabel(lines, fontsize=8, inline=False, fmt=_loss_formatter(scale), colors="black")
    for label in lines.labelTexts:
        label.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.85)])
    return lines.labelTexts


def _thin_out(figure: Figure, axes: Axes, labels: list[Text]) -> None:
    """Hide labels that stick out of the axes, lie on the centre or on another label."""
    settle(figure)
    inside = axes.get_window_extent()
    star = Bbox.from_bounds(*(axes.transData.transform((0, 0)) - 20), 40, 40)
    taken = [star]
    for label in labels:
        box = label.get_window_extent().padded(3)
        fits = inside.contains(*box.min) and inside.contains(*box.max) and not box.count_overlaps(taken)
        label.set_visible(bool(fits))
        if fits:
            taken.append(box)


def _centre(axes: Axes, surface: Surface) -> None:
    if surface.x[0] <= 0 <= surface.x[-1] and surface.y[0] <= 0 <= surface.y[-1]:
        axes.plot(0, 0, "*", markersize=13, markerfacecolor="white", markeredgecolor="black", label="centre")

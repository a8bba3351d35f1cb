"""Losses over a plane: filled contours and a view in three dimensions."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d import Axes3D

from lossscape.errors import BadInput, one_of
from lossscape.report import captions
from lossscape.report.levels import Scale, choose_scale
from lossscape.report.style import NOTHING, numbers, save, sheet, style
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
    figure, panel = sheet(
        7.2, 6.0, _title(surface, split), contour_caption(surface, split, log) if captioned else None
    )
    axes = panel.subplots()
    axes.grid(False)
    axes.add_patch(
        Rectangle(
            (0, 0),
            1,
            1,
            transform=axes.transAxes,
            facecolor="0.9",
            edgecolor="0.6",
            hatch="///",
            lw=0,
            zorder=0,
        )
    )
    labels: list[Text] = []
    if scale.empty:
        axes.text(
            0.5, 0.4, NOTHING, transform=axes.transAxes, ha="center", bbox={"facecolor": "white", "lw": 0}
        )
    else:
        labels = _bands(panel, axes, surface, split, scale)
    if _shows_centre(surface):
        axes.plot(0, 0, "*", markersize=13, markerfacecolor="white", markeredgecolor="black", label="centre")
    axes.set_xlim(surface.x[0], surface.x[-1])
    axes.set_ylim(surface.y[0], surface.y[-1])
    axes.set_xlabel(captions.axis_label(surface.settings, "x", 1))
    axes.set_ylabel(captions.axis_label(surface.settings, "y", 2))
    for axis in (axes.xaxis, axes.yaxis):
        numbers(axis, 8)
    sides = np.ptp(surface.x) / np.ptp(surface.y)
    axes.set_aspect("equal" if 1 / LONGEST_SIDES <= sides <= LONGEST_SIDES else "auto")
    _thin_out(figure, axes, labels)
    return figure


@style()
def build_surface(
    surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """The surface in three dimensions, open where it has no finite loss; arguments as for build_contour."""
    split = _split(surface, split)
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    figure, panel = sheet(
        7.2, 5.2, _title(surface, split), surface_caption(surface, split, log) if captioned else None
    )
    figure.set_layout_engine("none")  # which would leave room for corners that the view does not fill
    axes: Any = panel.add_axes((0.03, 0.02, 0.92, 0.94), axes_class=Axes3D)
    if scale.empty:
        axes.text2D(0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center")
    else:
        x, y = np.meshgrid(surface.x, surface.y)
        axes.plot_surface(
            x, y, scale.heights(surface.values(f"{split}_loss")), rcount=101, ccount=101,
            cmap=COLOURS, norm=_norm(scale), linewidth=0.2, edgecolor=(0, 0, 0, 0.25),
        )  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        numbers(axis, 5)
    for limits, values in ((axes.set_xlim, surface.x), (axes.set_ylim, surface.y)):
        margin = 0.04 * np.ptp(values)  # or the numbers of both axes meet in the corner
        limits(values[0] - margin, values[-1] + margin)
    axes.set_zlim(scale.ticks[0], scale.ticks[-1])
    ticks = [] if scale.empty else list(_ticks(scale, 7))
    axes.set_zticks(ticks)
    axes.zaxis.set_major_formatter(_formatter(scale))
    wider = max(
        [0, *(len(scale.text(tick)) - 4 for tick in ticks)]
    )  # characters beyond what fits beside the axis
    axes.tick_params(axis="z", pad=4 + 2.5 * wider)
    axes.set_xlabel("x", labelpad=6)
    axes.set_ylabel("y", labelpad=6)
    axes.set_zlabel(_loss_label(surface, split, scale), labelpad=10 + 4 * wider)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.0)
    axes.view_init(elev=32, azim=-55)
    return figure


def contour_caption(surface: Surface, split: str, log: bool) -> str:
    """The caption of build_contour's figure."""
    star = ["★ marks the centre."] if _shows_centre(surface) else []
    return captions.surface_caption(surface, split, *star, *_notes(surface, split, log, "Hatched"))


def surface_caption(surface: Surface, split: str, log: bool) -> str:
    """The caption of build_surface's figure."""
    return captions.surface_caption(surface, split, *surface_notes(surface, split, log))


def surface_notes(surface: Surface, split: str, log: bool) -> list[str]:
    """What a reader of build_surface's figure has to know of missing and clipped losses."""
    return _notes(surface, split, log, "Left open")


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
    return f"Loss around {captions.place(surface.settings['centre'])} ({split} data)"


def _loss_label(surface: Surface, split: str, scale: Scale) -> str:
    return captions.loss_label([surface.settings], split) + (", log scale" if scale.log else "")


def _norm(scale: Scale) -> Normalize:
    return Normalize(scale.ticks[0], scale.ticks[-1])


def _formatter(scale: Scale) -> FuncFormatter:
    return FuncFormatter(lambda height, _: scale.text(height))


def _ticks(scale: Scale, most: int = 20) -> np.ndarray:
    """Heights to put a number at: the levels, thinned where there are too many."""
    if scale.constant:
        return np.array([scale.ticks.mean()])
    return scale.ticks[:: -(-len(scale.ticks) // most)]


def _bands(panel: SubFigure, axes: Axes, surface: Surface, split: str, scale: Scale) -> list[Text]:
    """Draw filled contours, lines and colour bar; returns the numbers on the lines."""
    heights = np.ma.masked_invalid(scale.heights(surface.values(f"{split}_loss")))
    filled = axes.contourf(surface.x, surface.y, heights, levels=scale.ticks, cmap=COLOURS, norm=_norm(scale))
    bar = panel.colorbar(filled, ax=axes, ticks=_ticks(scale), label=_loss_label(surface, split, scale))
    bar.ax.yaxis.set_major_formatter(_formatter(scale))
    bar.ax.minorticks_off()
    if scale.constant:
        return []
    lines = axes.contour(
        surface.x, surface.y, heights, levels=scale.ticks, colors="black", linestyles="solid", linewidths=0.6
    )
    axes.clabel(lines, fontsize=8, inline=False, fmt=_formatter(scale), colors="black")
    for label in lines.labelTexts:
        label.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.85)])
    return list(lines.labelTexts)


def _thin_out(figure: Figure, axes: Axes, labels: list[Text]) -> None:
    """Hide labels that stick out of the axes, lie on the centre or on another label."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")  # it is laid out
    axes.apply_aspect()
    inside = axes.get_window_extent()
    x, y = axes.transData.transform((0, 0))
    taken = [Bbox.from_extents(x - 20, y - 20, x + 20, y + 20)]
    for label in labels:
        box = label.get_window_extent().padded(3)
        fits = inside.contains(*box.min) and inside.contains(*box.max) and not box.count_overlaps(taken)
        label.set_visible(bool(fits))
        if fits:
            taken.append(box)


def _shows_centre(surface: Surface) -> bool:
    return bool(surface.x[0] <= 0 <= surface.x[-1] and surface.y[0] <= 0 <= surface.y[-1])

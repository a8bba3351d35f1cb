"""The panels of paired landscapes: contours and views in three dimensions on shared scales, and their colour bars."""

from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import SubFigure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter
from mpl_toolkits.mplot3d import Axes3D

from lossscape.figures import meshes
from lossscape.figures.style import NOTHING, numbers
from lossscape.results import Surface

Box = tuple[float, float, float, float]
"""Left, bottom, width and height of axes, in inches from the lower left corner of the part that panels go into."""


class Heights(Protocol):
    """A colour scale: of losses, or of differences."""

    @property
    def ticks(self) -> np.ndarray:
        """The levels as heights."""

    @property
    def norm(self) -> Normalize:
        """From heights to the ends of a colour map."""

    def marks(self, most: int) -> np.ndarray:
        """Heights to put a number at."""

    def text(self, height: float) -> str:
        """What a height stands for."""


def add(panel: SubFigure, box: Box, **kind: Any) -> Any:
    """New axes in a box."""
    width, height = panel.bbox.width / panel.figure.dpi, panel.bbox.height / panel.figure.dpi
    left, bottom, wide, high = box
    return panel.add_axes((left / width, bottom / height, wide / width, high / height), **kind)


def contours(panel: SubFigure, box: Box, surface: Surface, heights: np.ndarray, scale: Heights, colours: str) -> Axes:
    """Filled contours [len(y), len(x)] with lines at the scale's levels, a star at the centre; hatched where NaN."""
    axes: Axes = add(panel, box)
    axes.grid(False)
    meshes.hatch(axes)
    if np.isfinite(heights).any():
        shown = np.ma.masked_invalid(heights)
        axes.contourf(surface.x, surface.y, shown, levels=scale.ticks, cmap=colours, norm=scale.norm)
        lines: dict[str, Any] = {"colors": "black", "linestyles": "solid", "linewidths": 0.4}
        if len(scale.ticks) > 2:
            axes.contour(surface.x, surface.y, shown, levels=scale.ticks, **lines)
    else:
        axes.text(0.5, 0.6, NOTHING, transform=axes.transAxes, ha="center", bbox={"fc": "white", "lw": 0})
    axes.plot(0, 0, "*", markersize=9, markerfacecolor="white", markeredgecolor="black", markeredgewidth=0.7,
              clip_on=False, label="centre")  # fmt: skip
    axes.set_xlim(surface.x[0], surface.x[-1])
    axes.set_ylim(surface.y[0], surface.y[-1])
    for axis in (axes.xaxis, axes.yaxis):
        numbers(axis, 4)
    axes.set_aspect("equal" if meshes.is_even(surface) else "auto")
    axes.tick_params(labelsize=8)
    return axes


def solid(panel: SubFigure, box: Box, surface: Surface, heights: np.ndarray, scale: Heights, colours: str) -> Axes:
    """The same in three dimensions, open where there is no finite height."""
    axes = add(panel, box, axes_class=Axes3D)
    axes.patch.set_visible(False)  # it would hide what stands beside it
    if np.isfinite(heights).any():
        x, y = np.meshgrid(surface.x, surface.y)
        look: dict[str, Any] = {"linewidth": 0.15, "edgecolor": (0, 0, 0, 0.25), "rcount": 61, "ccount": 61}
        axes.plot_surface(x, y, heights, cmap=colours, norm=scale.norm, **look)
    else:
        axes.text2D(0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center")
    for axis in (axes.xaxis, axes.yaxis):
        numbers(axis, 4)
    axes.set_zlim(scale.ticks[0], scale.ticks[-1])
    axes.set_zticks(list(scale.marks(5)))
    axes.zaxis.set_major_formatter(FuncFormatter(lambda height, _: scale.text(height)))
    axes.tick_params(labelsize=7, pad=-1)
    axes.tick_params(axis="z", pad=2)
    axes.set_xlabel("x", labelpad=-4, size=8)
    axes.set_ylabel("y", labelpad=-4, size=8)
    axes.set_box_aspect((1, 1, 0.7), zoom=0.9)
    axes.view_init(elev=32, azim=-55)
    found: Axes = axes
    return found


def colour_bar(panel: SubFigure, box: Box, scale: Heights, colours: str, label: str) -> None:
    """The colours of the levels, with numbers."""
    axes = add(panel, box)
    axes.grid(False)
    bounds = scale.ticks
    colour = ScalarMappable(scale.norm, colours)
    middles = (bounds[:-1] + bounds[1:]) / 2
    for low, high, middle in zip(bounds[:-1], bounds[1:], middles, strict=True):
        axes.add_patch(Rectangle((0, low), 1, high - low, facecolor=colour.to_rgba(middle), lw=0))
    axes.set_ylim(bounds[0], bounds[-1])
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_yticks(list(scale.marks(max(3, int(4 * box[3])))))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: scale.text(height)))
    axes.tick_params(labelsize=8)
    axes.set_ylabel(label, size=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)

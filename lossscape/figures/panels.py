"""The panels of paired landscapes and films: contours and views in three dimensions, and their colour bars."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter
from mpl_toolkits.mplot3d import Axes3D

from lossscape.figures import meshes
from lossscape.figures.levels import Scale
from lossscape.figures.style import numbers
from lossscape.results import Surface

Box = tuple[float, float, float, float]
"""Left, bottom, width and height of axes, in inches from the lower left corner of the part that panels go into."""


def add(panel: SubFigure, box: Box, **kind: Any) -> Any:
    """New axes in a box."""
    width, height = panel.bbox.width / panel.figure.dpi, panel.bbox.height / panel.figure.dpi
    left, bottom, wide, high = box
    return panel.add_axes((left / width, bottom / height, wide / width, high / height), **kind)


def blank(panel: SubFigure, width: float, height: float) -> Axes:
    """Axes without marks over the whole of a part, whose coordinates are inches."""
    axes: Axes = add(panel, (0, 0, width, height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return axes


def contours(
    panel: SubFigure, box: Box, surface: Surface, heights: np.ndarray, scale: Scale,
    over: meshes.Heights | None = None, star: bool = True,
) -> Axes:  # fmt: skip
    """Contours in a box, see meshes.draw_contours; lines of something else than the colours with their numbers."""
    axes: Axes = add(panel, box)
    drawn = meshes.draw_contours(axes, surface, heights, scale, small=True, over=over, star=star)
    if drawn and over:
        meshes.thin_out(axes, meshes.number_lines(axes, drawn[1], over[1], 7))
    for axis in (axes.xaxis, axes.yaxis):
        numbers(axis, 4)
    axes.tick_params(labelsize=8)
    return axes


def solid(panel: SubFigure, box: Box, surface: Surface, heights: np.ndarray, scale: Scale) -> Axes:
    """The same in three dimensions."""
    axes = add(panel, box, axes_class=Axes3D)
    axes.patch.set_visible(False)  # it would hide what stands beside it
    meshes.draw_solid(axes, surface, heights, scale, small=True)
    axes.tick_params(labelsize=7, pad=-1)
    axes.tick_params(axis="z", pad=2)
    axes.set_xlabel("x", labelpad=-4, size=8)
    axes.set_ylabel("y", labelpad=-4, size=8)
    axes.set_box_aspect((1, 1, 0.7), zoom=0.9)
    found: Axes = axes
    return found


def colour_bar(panel: SubFigure, box: Box, scale: Scale, label: str) -> None:
    """The colours of the levels, with numbers."""
    bar = panel.figure.colorbar(
        ScalarMappable(scale.norm, scale.colours), cax=add(panel, box), boundaries=scale.ticks, spacing="proportional",
        ticks=scale.marks(max(3, int(4 * box[3]))), format=FuncFormatter(lambda height, _: scale.text(height)),
    )  # fmt: skip
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8)
    bar.set_label(label, size=8)

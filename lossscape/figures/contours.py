"""Losses over a plane, on a grid or at any points: filled contours and a view in three dimensions."""

from dataclasses import dataclass
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure, SubFigure
from matplotlib.text import Text
from mpl_toolkits.mplot3d import Axes3D

from lossscape.directions import axis_label
from lossscape.errors import BadInput, one_of
from lossscape.figures import captions, meshes, paths
from lossscape.figures.how import how
from lossscape.figures.levels import Scale, choose_scale
from lossscape.figures.style import ALONE, Looks, Sheet, label_columns, new_axes, numbers, sheet, style
from lossscape.results import Surface

HEIGHT_LABEL, AXIS_LABEL = 44, 50
"""Characters in a line of the label of heights, and of those of x and y."""
OWN_SCALE = "Colours and levels are those of this figure alone."


@style()
def build_contour(
    surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True, looks: Looks = ALONE
) -> Figure:
    """Filled contours with labelled lines; a star marks the centre, hatching what has no finite loss.

    split: train or test, by default the first that was computed; log: a logarithmic scale, which is taken in any
    case for losses that span more than two decades; captioned: with small print below; looks: those of the page's
    runs. Raises BadInput.
    """
    split = _split(surface, split)
    sides = meshes.sides_of(surface)
    high = max(4.4, 1.1 + 4.9 / sides) if meshes.is_even(surface) and sides > 1 else 6.0
    caption = contour_caption(surface, split, log) if captioned else None
    figure, panel = sheet(7.2, high, _title(surface, split), caption, paths.key(surface.trails, looks))
    axes = panel.subplots()
    _finish(figure, axes, _draw_contours(axes, surface, split, log, looks))
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
        meshes.place(axes, drawn.names)
        meshes.thin_out(axes, drawn.numbers, drawn.names)
    return axes


@dataclass(frozen=True)
class Drawn:
    """What of contours is put right once the figure is laid out."""

    scale: Scale
    numbers: list[Text]
    names: list[Text]
    bar: Colorbar | None


def _finish(figure: Figure, axes: Axes, drawn: Drawn) -> None:
    """Lay a figure out, hide numbers that are in the way, and fit the colour bar to the axes."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")  # it is laid out
    meshes.place(axes, drawn.names)
    meshes.thin_out(axes, drawn.numbers, drawn.names)
    if drawn.bar is not None:
        meshes.fit_bar(figure, axes, drawn.bar, drawn.scale)


def _draw_contours(axes: Axes, surface: Surface, split: str, log: bool, looks: Looks = ALONE) -> Drawn:
    losses = surface.values(f"{split}_loss")
    scale = choose_scale(losses, log)
    labels: list[Text] = []
    bar = None
    if contours := meshes.draw_contours(axes, surface, scale.heights(losses), scale):
        labels, bar = meshes.label_contours(axes, contours, scale, _loss_label(surface, split, scale))
    meshes.dots(axes, surface)
    names = paths.over_contour(axes, surface, looks)
    axes.set_xlabel(fill(axis_label(surface.settings, "x", 1), label_columns(AXIS_LABEL)))
    axes.set_ylabel(fill(axis_label(surface.settings, "y", 2), label_columns(AXIS_LABEL)))
    sides, even = meshes.sides_of(surface), meshes.is_even(surface)
    for axis, length in ((axes.xaxis, sides), (axes.yaxis, 1 / sides)):
        most = label_columns(8)
        numbers(axis, max(4, int(most * min(length, 1))) if even else most)
    return Drawn(scale, labels, names, bar)


@style()
def build_surface(
    surface: Surface, *, split: str | None = None, log: bool = False, captioned: bool = True, looks: Looks = ALONE
) -> Figure:
    """The surface in three dimensions, open where it has no finite loss; arguments as for build_contour."""
    split = _split(surface, split)
    caption = surface_caption(surface, split, log) if captioned else None
    figure, panel = sheet(7.2, 5.2, _title(surface, split), caption, paths.key(surface.trails, looks))
    figure.set_layout_engine("none")  # which would leave room for corners that the view does not fill
    axes: Any = panel.add_axes(solid_box(figure, panel), axes_class=Axes3D)
    scale = _draw_solid(axes, surface, split, log, looks)
    label = fill(_loss_label(surface, split, scale), label_columns(HEIGHT_LABEL))
    axes.set_zlabel(label, labelpad=axes.zaxis.labelpad + 5 * label.count("\n"))
    return figure


def solid_box(figure: Sheet, panel: SubFigure) -> tuple[float, float, float, float]:
    """Where a view in three dimensions stands above the legend of a figure, as parts of its panel."""
    below = figure.key_inches * figure.dpi / panel.bbox.height
    narrow = how().style == "paper"  # text takes more of it
    return (0.0, 0.05 + below, 0.84, 0.89 - below) if narrow else (0.03, 0.02 + below, 0.92, 0.94 - below)


@style()
def solid_axes(surface: Surface, ax: Any = None, *, split: str | None = None, log: bool = False) -> Any:
    """Draw a surface into axes in three dimensions, by default new ones; arguments as for contour_axes."""
    axes = new_axes(projection="3d") if ax is None else ax
    _draw_solid(axes, surface, _split(surface, split), log)
    return axes


def _draw_solid(axes: Any, surface: Surface, split: str, log: bool, looks: Looks = ALONE) -> Scale:
    """The surface with its paths; its axis has a short name."""
    losses = surface.values(f"{split}_loss")
    scale = choose_scale(losses, log)
    meshes.draw_solid(axes, surface, scale.heights(losses), scale)
    paths.over_solid(axes, surface, scale, split, looks)
    # characters beyond what fits beside the axis
    wider = max([0, *(len(scale.text(tick)) - 4 for tick in axes.get_zticks())])
    axes.tick_params(axis="z", pad=4 + 2.5 * wider)
    axes.set_xlabel("x", labelpad=6)
    axes.set_ylabel("y", labelpad=6)
    axes.set_zlabel(f"{split} loss{scale.suffix}", labelpad=10 + 4 * wider)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.0)
    return scale


def contour_caption(surface: Surface, split: str, log: bool) -> str:
    """The caption of build_contour's figure."""
    marks = ["★ marks the centre."] if meshes.shows_centre(surface) else []
    marks += [OWN_SCALE]
    marks += ["Dots: the refined points."] if surface.refined.any() else []
    marks += ["Faint dots: the points that were evaluated."] if surface.predicted.any() else []
    marks += paths.path_words(surface, split)
    return captions.surface_caption(surface, split, *marks, *_notes(surface, split, log, "Hatched"))


def surface_caption(surface: Surface, split: str, log: bool) -> str:
    """The caption of build_surface's figure."""
    notes = [*paths.path_words(surface, split), *surface_notes(surface, split, log)]
    return captions.surface_caption(surface, split, *notes)


def surface_notes(surface: Surface, split: str, log: bool) -> list[str]:
    """What a reader of build_surface's figure has to know of missing and clipped losses."""
    stems = "Circles on stems: true losses of some checkpoints (at the end of the scale where they are beyond it)."
    return [*([stems] if surface.trails else []), *_notes(surface, split, log, "Left open")]


def _notes(surface: Surface, split: str, log: bool, missing: str) -> list[str]:
    scale = choose_scale(surface.values(f"{split}_loss"), log)
    return [*scale.lost_words(missing), *scale.notes]


def _split(surface: Surface, split: str | None) -> str:
    split = split or surface.splits[0]
    if split not in surface.splits:
        raise BadInput(one_of(f"{surface.folder}: split", split, surface.splits))
    return split


def _title(surface: Surface, split: str) -> str:
    around = f"Loss around {captions.point_name(surface.settings['centre'])}"
    return captions.with_extras(around, [f"{split} data", *captions.differing(surface.settings)])


def _loss_label(surface: Surface, split: str, scale: Scale) -> str:
    return captions.loss_label([captions.loss_name(surface.settings)], split) + scale.suffix

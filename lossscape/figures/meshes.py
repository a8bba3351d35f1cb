"""Heights over a plane as contours and as a surface: on a full grid by its cells, at any points by triangles."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Bbox
from matplotlib.tri import Triangulation

from lossscape.errors import BadInput
from lossscape.figures.levels import Scale
from lossscape.figures.style import NOTHING, label_columns, numbers
from lossscape.results import Result, Surface

APART = "no neighbouring points with a finite loss"
MOST_NUMBERS = 20
LABEL = 44
Heights = tuple[np.ndarray, Scale]
"""Heights over a plane with their scale."""
LONGEST_SIDES = 3.0
"""Axes with the same unit are drawn at the same scale unless one is this many times as long as the other."""
SAME = 1e-9
MANY_FACES = 12_000
"""Beyond so many, the edges of triangles would make a surface in three dimensions black."""


def triangulation(surface: Surface, heights: np.ndarray) -> Triangulation:
    """The points' Delaunay triangles, those with a corner that has no finite height masked.

    Both axes count alike, whatever their ranges are. Of a rectangle, whose diagonals are both Delaunay's, the one is
    taken along which the heights differ less, so that contours do not zigzag, and across a valley the lower one.
    Raises BadInput where all points lie on one line.
    """
    if min(len(surface.x), len(surface.y)) < 2:
        raise BadInput(f"{surface.folder}: its points lie on one line, so there is no surface to draw")
    points = surface.table[["x", "y"]].to_numpy()
    alike = (points - points.min(axis=0)) / np.ptp(points, axis=0)
    corners = _with_gentle_diagonals(Triangulation(*alike.T), alike, heights)
    masked = ~np.isfinite(heights)[corners].all(axis=1)
    return Triangulation(points[:, 0], points[:, 1], corners, masked)


def _with_gentle_diagonals(triangles: Triangulation, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """The triangles' corners [T, 3], with the diagonals of rectangles chosen by the heights of their ends."""
    corners = triangles.triangles.copy()
    for edge in range(3):
        one = np.arange(len(corners))
        other = triangles.neighbors[:, edge]
        one, other = one[other > one], other[other > one]  # each pair once
        a, b, c = (triangles.triangles[one, (edge + corner) % 3] for corner in range(3))
        d = triangles.triangles[other].sum(axis=1) - a - b
        middles = np.abs(points[a] + points[b] - points[c] - points[d]).max(axis=1)
        lengths = [np.linalg.norm(points[p] - points[q], axis=1) for p, q in ((a, b), (c, d))]
        rectangle = (middles < SAME) & (np.abs(lengths[0] - lengths[1]) < SAME)
        flip = rectangle & _gentler(heights[[c, d]], heights[[a, b]])
        corners[one[flip]] = np.stack([a, d, c], axis=1)[flip]
        corners[other[flip]] = np.stack([d, b, c], axis=1)[flip]
    return corners


def _gentler(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Whether the diagonals with ends of heights `new` [2, Q] are better than the `old` ones; NaN is the worst."""
    jumps = [np.nan_to_num(np.abs(ends[0] - ends[1]), nan=np.inf) for ends in (new, old)]
    higher = old.mean(axis=0) - new.mean(axis=0)
    valley = np.abs(higher) > np.maximum(*jumps)  # each diagonal is level, but not at the same height
    return np.where(valley, higher > 0, jumps[0] < jumps[1])


def sides_of(surface: Surface) -> float:
    """How many times as long as y the range of x is."""
    return float(np.ptp(surface.x) / np.ptp(surface.y))


def is_even(surface: Surface) -> bool:
    """Whether both axes are drawn at the same scale."""
    return 1 / LONGEST_SIDES <= sides_of(surface) <= LONGEST_SIDES


def shows_centre(surface: Surface) -> bool:
    """Whether the centre lies in the picture."""
    return bool(surface.x[0] <= 0 <= surface.x[-1] and surface.y[0] <= 0 <= surface.y[-1])


def has_faces(surface: Surface, heights: np.ndarray) -> bool:
    """Whether there is something to draw: some finite height on a grid, else three that are neighbours."""
    if surface.regular:
        return bool(np.isfinite(heights).any())
    return bool(len(triangulation(surface, heights).get_masked_triangles()))


def draw_contours(
    axes: Axes, surface: Surface, heights: np.ndarray, scale: Scale, *, small: bool = False,
    over: Heights | None = None, star: bool = True,
) -> tuple[ContourSet, ContourSet] | None:  # fmt: skip
    """Filled contours with lines at the scale's levels and a star at the centre, hatched where there is no height.

    heights: as Surface.values shapes them; small: thin lines and a small star; over: what the lines are of, where it is
    something else than the colours; star: whether the centre has one. Returns colours and lines, None where no heights
    make a face.
    """
    heights = surface.drawn_values(heights)
    over = over and (surface.drawn_values(over[0]), over[1])
    surface = surface.drawn
    axes.grid(False)
    look: dict[str, Any] = {"facecolor": "0.9", "edgecolor": "0.6", "hatch": "///", "lw": 0, "zorder": 0}
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **look))
    drawn = None
    if has_faces(surface, heights):
        filled = _contours(axes, surface, heights, filled=True, levels=scale.ticks, cmap=scale.colours, norm=scale.norm)
        look = {"colors": "black", "linestyles": "solid", "linewidths": 0.4 if small else 0.6}
        traced, by = over or (heights, scale)
        levels = by.ticks[: 0 if by.constant else None]
        drawn = filled, _contours(axes, surface, traced, filled=False, levels=levels, **look)
    else:
        words = NOTHING if scale.empty else APART
        axes.text(0.5, 0.4, words, transform=axes.transAxes, ha="center", bbox={"facecolor": "white", "lw": 0})
    if star and shows_centre(surface):
        size, edge = (9, 0.7) if small else (13, 1.0)
        (mark,) = axes.plot(0, 0, "*", markersize=size, markeredgewidth=edge, clip_on=not small, label="centre")
        mark.set(markerfacecolor="white", markeredgecolor="black")
    axes.set_xlim(surface.x[0], surface.x[-1])
    axes.set_ylim(surface.y[0], surface.y[-1])
    axes.set_aspect("equal" if is_even(surface) else "auto")
    return drawn


def draw_solid(axes: Any, surface: Surface, heights: np.ndarray, scale: Scale, *, small: bool = False) -> None:
    """Heights in three dimensions, open where there is none; small: less detail; the rest as for draw_contours."""
    heights, surface = surface.drawn_values(heights), surface.drawn
    look = {"cmap": scale.colours, "norm": scale.norm, "edgecolor": (0, 0, 0, 0.25)}
    look["linewidth"] = 0.15 if small else 0.2
    if not has_faces(surface, heights):
        axes.text2D(0.5, 0.5, NOTHING if scale.empty else APART, transform=axes.transAxes, ha="center")
    elif surface.regular:
        x, y = np.meshgrid(surface.x, surface.y)
        detail = 61 if small else 101
        axes.plot_surface(x, y, heights, rcount=detail, ccount=detail, **look)
    else:
        triangles = triangulation(surface, heights)
        if len(triangles.get_masked_triangles()) > MANY_FACES:
            look |= {"linewidth": 0, "edgecolor": "none", "antialiased": False}
        axes.plot_trisurf(triangles, heights, **look)
    for axis, limits, values in ((axes.xaxis, axes.set_xlim, surface.x), (axes.yaxis, axes.set_ylim, surface.y)):
        numbers(axis, 4 if small else 5)
        margin = 0.04 * np.ptp(values)  # or the numbers of both axes meet in the corner
        limits(values[0] - margin, values[-1] + margin)
    axes.set_zlim(scale.ticks[0], scale.ticks[-1])
    axes.set_zticks([] if scale.empty else scale.marks(5 if small else 7))
    axes.zaxis.set_major_formatter(FuncFormatter(lambda height, _: scale.text(height)))
    axes.view_init(elev=32, azim=-55)


def _contours(axes: Axes, surface: Surface, heights: np.ndarray, *, filled: bool, **look: Any) -> ContourSet:
    if surface.regular:
        draw = axes.contourf if filled else axes.contour
        return draw(surface.x, surface.y, np.ma.masked_invalid(heights), **look)
    any_points = axes.tricontourf if filled else axes.tricontour
    return any_points(triangulation(surface, heights), heights, **look)


def label_contours(
    axes: Axes, drawn: tuple[ContourSet, ContourSet], scale: Scale, label: str, over: Scale | None = None
) -> tuple[list[Text], Colorbar]:
    """Numbers on the lines of contours and a colour bar with this label; returns both.

    over: of the lines, where they are of something else than the colours.
    """
    filled, lines = drawn
    bar = axes.figure.colorbar(
        filled, ax=axes, ticks=scale.marks(MOST_NUMBERS), label=fill(label, label_columns(LABEL)), panchor=(0, 0.5)
    )
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda height, _: scale.text(height)))
    bar.ax.minorticks_off()
    return number_lines(axes, lines, over or scale), bar


def number_lines(axes: Axes, lines: ContourSet, scale: Scale, size: float = 8) -> list[Text]:
    """Numbers on the lines of contours; returns them."""
    if scale.constant:
        return []
    text = FuncFormatter(lambda height, _: scale.text(height))
    axes.clabel(lines, fontsize=size, inline=False, fmt=text, colors="black")
    for number in lines.labelTexts:
        number.set_path_effects([withStroke(linewidth=2.5, foreground="white", alpha=0.85)])
    return list(lines.labelTexts)


def dots(axes: Axes, result: Result) -> None:
    """Show where points were added to the grid, or evaluated and not predicted, between the colours and the lines."""
    if result.predicted.any():
        _dots(axes, result.table[~result.predicted], "evaluated", 1.5)
    _dots(axes, result.table[result.refined], "refined", 2.0)


def _dots(axes: Axes, points: pd.DataFrame, label: str, most: float) -> None:
    """Faint dots, none larger than `most`."""
    root = max(len(points), 1) ** 0.5  # many must not hide the colours
    look: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": "black", "markeredgewidth": 0.25}
    look |= {"markersize": np.clip(60 / root, 1.2, most), "alpha": np.clip(20 / root, 0.2, 0.5), "zorder": 1.5}
    if len(points):
        axes.plot(points["x"], points["y"], "o", linestyle="", label=label, **look)


def thin_out(axes: Axes, labels: list[Text], names: Sequence[Text] = ()) -> None:
    """Hide labels that stick out of the axes, lie on the centre, a name or another label."""
    axes.apply_aspect()
    inside = axes.get_window_extent()
    x, y = axes.transData.transform((0, 0))
    taken = [Bbox.from_extents(x - 20, y - 20, x + 20, y + 20), *(name.get_window_extent() for name in names)]
    for label in labels:
        box = label.get_window_extent().padded(3)
        fits = inside.contains(*box.min) and inside.contains(*box.max) and not box.count_overlaps(taken)
        label.set_visible(bool(fits))
        if fits:
            taken.append(box)


PLACES = tuple(
    (across, up, "left" if across > 0 else "right" if across < 0 else "center")
    for far in (1, 2, 3, 4, 6)
    for across, up in (
        (7, -3),
        (-7, -3),
        (0, 8),
        (0, -14),
        *((side, lift * far) for lift in (9, -12) for side in (7, -7)),
    )
)
"""Where the name of a point may stand, in points from it, the nearest first."""


def place(axes: Axes, names: Sequence[Text]) -> None:
    """Put the names of points where they lie in the axes and on no other one, as far as there is such a place."""
    axes.apply_aspect()
    inside = axes.get_window_extent()
    taken: list[Bbox] = []
    for name in names:
        assert isinstance(name, Annotation)
        own: Any = (*name.xyann, name.get_horizontalalignment())
        best: tuple[float, Any] = (np.inf, own)
        for choice in [own, *PLACES]:
            name.xyann = choice[:2]
            name.set_horizontalalignment(choice[2])
            box = name.get_window_extent()
            covered = sum(_area(Bbox.intersection(box, other)) for other in taken)
            cut = box.width * box.height - _area(Bbox.intersection(box, inside))
            best = min(best, (covered + 2 * cut, choice), key=lambda each: each[0])
            if best[0] <= 1:
                break
        name.xyann = best[1][:2]
        name.set_horizontalalignment(best[1][2])
        taken.append(name.get_window_extent())


def _area(box: Bbox | None) -> float:
    return 0.0 if box is None else float(box.width * box.height)


def fit_bar(figure: Figure, axes: Axes, bar: Colorbar, scale: Scale) -> None:
    """Put a colour bar beside the axes, once these are laid out, as high and with as many numbers as there is room."""
    room, box, beside = axes.get_position(original=True), axes.get_position(), bar.ax.get_position()
    bar.ax.set_position((beside.x0 - (room.x1 - box.x1), box.y0, beside.width, box.height))
    inches = axes.get_window_extent().height / figure.dpi
    bar.set_ticks(list(scale.marks(min(MOST_NUMBERS, int(5 * inches)))))

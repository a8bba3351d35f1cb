"""Descent paths: drawn over a surface, and their losses and distances against the epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke, withStroke
from matplotlib.text import Text

from lossscape.directions import sentence
from lossscape.figures import phrases
from lossscape.figures.captions import outside, path_words, when
from lossscape.figures.levels import Scale
from lossscape.figures.style import loss_axis, numbers, sheet, style
from lossscape.figures.text import finite, shortened
from lossscape.results import Surface, Trail

COLOURS = ("#D55E00", "#CC79A7", "#000000", "#E69F00", "#0072B2")
"""Of several paths, that stand out on the colours of a surface with a white edge."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)))
MARKS = 10
"""Epochs that are marked on a path, about."""
_EDGE = withStroke(linewidth=2.5, foreground="white")


@style()
def build_path(surface: Surface, *, split: str | None = None, captioned: bool = True) -> Figure:
    """Losses and distances of the paths over a plane against the epoch: the checkpoints' own, and the plane's below."""
    split = split or surface.splits[0]
    title = f"Paths over the plane around {phrases.point_name(surface.settings['centre'])} ({split} data)"
    kinds: list[Artist] = [
        Line2D([], [], color="0.35", label="true loss; off the plane"),
        Line2D([], [], color="0.35", linestyle=(0, (2, 1.4)), label="plane's loss; within it, from the centre"),
    ]
    caption = path_caption(surface, split) if captioned else None
    figure, panel = sheet(10, 4.2, title, caption, [*(key(surface.trails) if len(surface.trails) > 1 else []), *kinds])
    left, right = panel.subplots(1, 2)
    drawn = []
    for index, trail in enumerate(surface.trails):
        time = _time(surface.trails, trail)
        look = {"color": COLOURS[index % len(COLOURS)], "marker": "" if len(time) > 1 else "o"}
        for axes, solid, dashed in ((left, f"{split}_loss", f"plane_{split}_loss"), (right, "off_plane", "in_plane")):
            for column, dash in ((solid, "-"), (dashed, (0, (2, 1.4)))):
                values = finite(trail.table[column].to_numpy())
                drawn += [values] if axes is left else []
                axes.plot(time, values, linestyle=dash, label=f"{trail.name} {column}", **look)
    every = np.concatenate(drawn)
    every = every[np.isfinite(every)]
    loss_axis(left, drawn, bool(every.size and every.min() > 0 and every.max() > 100 * every.min()))
    left.set_ylabel(phrases.loss_label([surface.settings], split))
    right.set_ylabel("distance between parameters")
    right.set_ylim(bottom=0)
    numbers(right.yaxis)
    for axes in (left, right):
        axes.set_xlabel("epoch" if _by_epoch(surface.trails) else "step")
        numbers(axes.xaxis)
    return figure


def path_caption(surface: Surface, split: str) -> str:
    """The caption of build_path's figure."""
    words = [
        "Left: the loss of each checkpoint and that of the plane at its projection. Right: how far it lies off the "
        "plane, and its projection from the centre.",
        *path_words(surface, split),
        sentence(surface.settings, 2),
        *phrases.conditions(surface, [split], "the centre"),
    ]
    return " ".join([*phrases.failure_words(surface), *words])


def key(trails: Sequence[Trail]) -> list[Artist]:
    """Legend entries, one for each path."""
    return [
        Line2D([], [], label=f"path of {shortened(trail.name)}", linewidth=1.8, **_look(index))
        for index, trail in enumerate(trails)
    ]


def over_contour(axes: Axes, surface: Surface) -> list[Text]:
    """Draw the paths over contours, a line with dots at some epochs, and the points of the plane.

    Returns the names of the first and last checkpoints and of the points.
    """
    names: list[Text] = []
    taken: list[tuple[float, float]] = []
    for index, trail in enumerate(surface.trails):
        x, y = (trail.table[axis].to_numpy() for axis in ("x", "y"))
        look = _look(index)
        axes.plot(
            x, y, linewidth=1.8, zorder=3, label=f"path of {trail.name}",
            path_effects=[Stroke(linewidth=3.4, foreground="white"), withStroke(linewidth=1.8)], **look,
        )  # fmt: skip
        marks = _marks(trail)
        axes.plot(
            x[marks], y[marks], "o", markersize=4, markerfacecolor=look["color"], markeredgecolor="white",
            markeredgewidth=0.7, zorder=3.1, label=f"_{trail.name} epochs",
        )  # fmt: skip
        colour = look["color"] if len(surface.trails) > 1 else "black"
        for row in dict.fromkeys((0, len(x) - 1)):
            if not outside(surface, trail)[row] and not _near(surface, (x[row], y[row]), taken):
                taken.append((x[row], y[row]))
                names.append(_write(axes, surface, taken[-1], when(trail, row), colour))
    diamond: dict[str, Any] = {"markersize": 7, "markerfacecolor": "white", "markeredgecolor": "black"}
    for letter, spot in points_of(surface).items():
        if letter != "A":  # which is the centre
            axes.plot(*spot, "D", label=letter, zorder=3.2, **diamond)
        if _inside(surface, spot):
            names.append(_write(axes, surface, spot, letter, above=True))
    return names


def over_solid(axes: Any, surface: Surface, scale: Scale, split: str) -> None:
    """Draw the paths over a surface in three dimensions: on it as a line, with stems to the true losses."""
    axes.computed_zorder = False  # which would hide lines behind faces that they lie on
    for index, trail in enumerate(surface.trails):
        gone = outside(surface, trail)
        x, y = (np.where(gone, np.nan, trail.table[axis].to_numpy()) for axis in ("x", "y"))
        plane, true = (
            scale.heights(np.where(gone, np.nan, trail.table[f"{which}{split}_loss"].to_numpy()))
            for which in ("plane_", "")
        )
        look = _look(index)
        axes.plot(x, y, plane, linewidth=1.8, zorder=5, label=f"path of {trail.name}", path_effects=[_EDGE], **look)
        for row in _marks(trail):
            axes.plot([x[row]] * 2, [y[row]] * 2, [plane[row], true[row]], color=look["color"], lw=0.9, zorder=6)
        marks = _marks(trail)
        axes.plot(
            x[marks], y[marks], true[marks], "o", linestyle="", markersize=4, markerfacecolor="white",
            markeredgecolor=look["color"], zorder=7, label=f"_{trail.name} true",
        )  # fmt: skip


def solid_words(surface: Surface) -> list[str]:
    """What over_solid's marks are."""
    stems = "Circles on stems: true losses of some checkpoints (at the end of the scale where they are beyond it)."
    return [stems] if surface.trails else []


def points_of(surface: Surface) -> dict[str, tuple[float, float]]:
    """The points A, B and C that a plane goes through, by letter; none of other planes."""
    found = surface.settings["directions"].get("coordinates") or []
    return {letter: (spot[0], spot[1]) for letter, spot in zip("ABC", found, strict=False) if len(spot) == 2}


def _look(index: int) -> dict[str, Any]:
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index // len(COLOURS) % len(DASHES)]}


def _marks(trail: Trail) -> list[int]:
    """Rows of about MARKS checkpoints after whole epochs, evenly spaced, the first and the last among them."""
    epochs = trail.table["epoch"].to_numpy()
    whole = [row for row, epoch in enumerate(epochs) if epoch == np.round(epoch)] or [*range(len(epochs))]
    every = -(-len(whole) // MARKS)
    return sorted({0, *whole[::every], len(epochs) - 1})


def _by_epoch(trails: Sequence[Trail]) -> bool:
    return all(np.isfinite(trail.table["epoch"]).all() for trail in trails)


def _time(trails: Sequence[Trail], trail: Trail) -> np.ndarray:
    return trail.table["epoch" if _by_epoch(trails) else "step"].to_numpy()


def _inside(surface: Surface, spot: tuple[float, float]) -> bool:
    return bool(surface.x[0] <= spot[0] <= surface.x[-1] and surface.y[0] <= spot[1] <= surface.y[-1])


def _near(surface: Surface, spot: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    """Whether a name would lie on another one."""
    width, height = np.ptp(surface.x), np.ptp(surface.y)
    return any(abs(spot[0] - x) < 0.12 * width and abs(spot[1] - y) < 0.05 * height for x, y in others)


def _write(
    axes: Axes, surface: Surface, spot: tuple[float, float], text: str, colour: str = "black", *, above: bool = False
) -> Text:
    """A name beside a spot, towards the middle of the picture; or above it."""
    left = spot[0] < surface.x.mean()
    shift = (0, 8) if above else (7, -3) if left else (-7, -3)
    return axes.annotate(
        text, spot, xytext=shift, textcoords="offset points", fontsize=9, zorder=4, path_effects=[_EDGE], color=colour,
        ha="center" if above else "left" if left else "right", weight="bold" if above else "normal",
    )  # fmt: skip

"""Races as figures: paths over contours and in three dimensions, losses by step; and their part of the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from lossscape.analyses.race.animation import animate
from lossscape.analyses.race.chart import losses_data, paths_data
from lossscape.analyses.race.looks import EDGE, handles, look_of, scale_of
from lossscape.analyses.race.request import Drawing
from lossscape.analyses.race.result import OUTCOMES_CSV, PATHS_CSV, Race
from lossscape.directions import axis_label, sentence
from lossscape.errors import BadInput
from lossscape.figures import captions, meshes
from lossscape.figures.contours import solid_box
from lossscape.figures.movies import files_of
from lossscape.figures.panels import colour_bar, contours
from lossscape.figures.section import Chart, Page, Section, Sentences, Table
from lossscape.figures.style import loss_axis, new_axes, numbers, save, sheet, style
from lossscape.figures.text import beyond_words, finite, shortened
from lossscape.text import counted, number

CONTOUR, SOLID, LOSSES, FILM = "contour.png", "surface.png", "losses.png", "race"
SIDE, LEFT, BOTTOM, LONGEST = 4.6, 0.75, 0.55, 5.6
"""Of contours, and where they stand, in inches."""
FAINT = 6
"""Lines of one method beyond which they are drawn thin."""
WIDE = 5e-3
"""Of a line, as a part of the window."""


def draw(result: Race, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures and the animation of a race beside it; returns what lies where. Raises as write_movie."""
    folder = result.folder
    drawn: dict[str, Path | str] = {"outcomes": folder / OUTCOMES_CSV, "paths": folder / PATHS_CSV}
    losses = save(build_losses(result), folder / LOSSES)
    if not result.whole:
        drawn["contour"] = save(build_contour(result), folder / CONTOUR)
        drawn["figure"] = save(build_solid(result), folder / SOLID)
        drawn["animation"] = "\n".join(map(str, animate(result, drawing, folder / FILM, quiet)))
    return drawn | {"losses": losses}


@style()
def build_contour(race: Race, *, captioned: bool = True) -> Figure:
    """The paths of all methods over contours; rings where they begin, dots where they end."""
    surface, _ = race.surface
    sides = meshes.sides_of(surface) if meshes.is_even(surface) else 1.0
    wide = min(SIDE * sides, LONGEST)
    high = wide / sides
    below = caption(race) if captioned else None
    figure, panel = sheet(LEFT + wide + 1.35, BOTTOM + high + 0.55, title(race), below, handles(race), inches=True)
    figure.set_layout_engine("none")
    bottom = panel.bbox.height / figure.dpi - high - 0.5
    axes = plane_axes(race, panel, (LEFT, bottom, wide, high))
    _draw_paths(axes, race)
    return figure


@style()
def paths_axes(race: Race, ax: Axes | None = None) -> Axes:
    """Draw the paths over contours into axes, by default new ones; returns the axes. Raises BadInput of whole nets."""
    if race.whole:
        raise BadInput("plot: a race in all parameters has no surface; use what='losses'")
    axes: Axes = new_axes() if ax is None else ax
    surface, column = race.surface
    scale = scale_of(race)
    meshes.draw_contours(axes, surface, scale.heights(surface.values(column)), scale, small=True, star=False)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    _draw_paths(axes, race)
    return axes


def _draw_paths(axes: Axes, race: Race) -> None:
    for method, _, path in _backwards(race):
        look = look_of(race, method)
        x, y = path["x"].to_numpy(), path["y"].to_numpy()
        axes.plot(x, y, linewidth=1.6, zorder=3, path_effects=EDGE, label=method, **look)
        axes.plot(x[-1:], y[-1:], "o", color=look["color"], markersize=5, markeredgecolor="white", zorder=4)
    marks(axes, race)


def plane_axes(race: Race, panel: Any, box: tuple[float, float, float, float]) -> Axes:
    """The surface as contours with its colour bar, in a box in inches."""
    surface, column = race.surface
    scale = scale_of(race)
    heights = scale.heights(surface.values(column))
    axes = contours(panel, box, surface, heights, scale, star=False)
    formula = "landscape" not in race.settings
    axes.set_xlabel("x" if formula else axis_label(surface.settings, "x", 1), size=9)
    axes.set_ylabel("y" if formula else axis_label(surface.settings, "y", 2), size=9)
    bar = (box[0] + box[2] + 0.12, box[1], 0.15, box[3])
    colour_bar(panel, bar, scale, ("f(x, y)" if formula else f"{column.removesuffix('_loss')} loss") + scale.suffix)
    return axes


def marks(axes: Axes, race: Race) -> None:
    """Minima as stars, other critical points as crosses, starts as rings."""
    look: dict[str, Any] = {"linestyle": "", "markeredgecolor": "black", "markerfacecolor": "white", "clip_on": True}
    for spots, mark, size in ((race.goal.minima, "*", 13), (race.goal.others, "X", 9)):
        if len(spots):
            axes.plot(spots[:, 0], spots[:, 1], mark, markersize=size, zorder=2.5, label="_spots", **look)
    starts = np.array(race.settings["starts"])
    axes.plot(starts[:, 0], starts[:, 1], "o", markersize=7, markeredgewidth=1.6, zorder=5, label="_starts", **look)


@style()
def build_solid(race: Race, *, captioned: bool = True) -> Figure:
    """The same in three dimensions, each path at the heights of its losses."""
    surface, column = race.surface
    scale = scale_of(race)
    figure, panel = sheet(7.2, 5.2, title(race), caption(race) if captioned else None, handles(race))
    figure.set_layout_engine("none")
    axes: Any = panel.add_axes(solid_box(figure, panel), axes_class=Axes3D)
    meshes.draw_solid(axes, surface, scale.heights(surface.values(column)), scale)
    axes.computed_zorder = False
    for method, _, path in _backwards(race):
        x, y = path["x"].to_numpy(), path["y"].to_numpy()
        inside = (surface.x[0] <= x) & (x <= surface.x[-1]) & (surface.y[0] <= y) & (y <= surface.y[-1])
        height = np.where(inside, scale.heights(path["loss"].to_numpy()), np.nan)
        axes.plot(x, y, height, linewidth=1.6, zorder=5, path_effects=EDGE, label=method, **look_of(race, method))
    axes.set_xlabel("x", labelpad=6)
    axes.set_ylabel("y", labelpad=6)
    axes.set_zlabel(("f(x, y)" if column == "loss" else "loss") + scale.suffix, labelpad=12)
    axes.tick_params(axis="z", pad=6)
    axes.set_box_aspect((1, 1, 0.75), zoom=0.95)
    return figure


@style()
def build_losses(race: Race, *, captioned: bool = True) -> Figure:
    """Loss and distance, from the nearest minimum or from the saddle, against the step."""
    figure, panel = sheet(10, 4.2, title(race), caption(race) if captioned else None, handles(race))
    left, right = panel.subplots(1, 2)
    losses_axes(race, left)
    away = []
    for method, start, path in _backwards(race):
        distances = race.distances(start, path)
        away.append(np.where(distances > 0, distances, np.nan))
        right.plot(path["step"], away[-1], linewidth=_width(race), label=method, **look_of(race, method))
    loss_axis(right, away, log=True)
    right.set_ylabel(
        "‖θ − θ₀‖ / ‖θ₀‖ from the saddle θ₀, log scale" if race.whole
        else f"distance from the {'saddle' if race.goal.leave else 'nearest minimum'}, log scale"
    )  # fmt: skip
    right.axhline(race.level, color="0.4", linewidth=0.9, linestyle=(0, (2, 1.4)), label="_goal")
    for axes in (left, right):
        axes.set_xlabel("step")
        numbers(axes.xaxis)
    return figure


@style()
def losses_axes(race: Race, ax: Axes | None = None) -> Axes:
    """Draw the losses by step into axes, by default new ones; returns the axes."""
    axes: Axes = new_axes() if ax is None else ax
    drawn = []
    for method, start, path in _backwards(race):
        loss = path["loss"].to_numpy()
        drawn.append(finite(loss - race.goal.levels[start] if race.whole else loss))
        axes.plot(path["step"], drawn[-1], linewidth=_width(race), label=method, **look_of(race, method))
    loss_axis(axes, drawn, log=all((values > 0).all() for values in drawn))
    axes.set_ylabel(
        "loss above the saddle's" if race.whole else "loss" + (", log scale" if axes.get_yscale() == "log" else "")
    )
    axes.set_xlabel("step")
    return axes


def _width(race: Race) -> float:
    return 1.6 if len(race.settings["starts"]) < FAINT else 0.7


def _backwards(race: Race) -> list[Any]:
    """Descents from the last method to the first, which then lies on top."""
    return list(race.paths())[::-1]


def title(race: Race) -> str:
    """What the methods descend on."""
    if "name" in race.settings["surface"]:
        return f"Descent on {race.title}: {race.settings['surface']['formula'].partition(':')[0]}"
    where = "from saddles of" if race.whole else "in a plane around"
    return f"Descent {where} {shortened(race.title)}"


def caption(race: Race) -> str:
    """What is drawn, from where and with which noise, and what counts as arrived."""
    settings = race.settings
    starts, steps = len(settings["starts"]), settings["steps"]
    words = [f"{counted(len(race.methods), 'method')} from {counted(starts, 'start')}, {counted(steps, 'step')} each."]
    if not race.whole and starts < FAINT and (below := hidden(race)):
        words.append(f"Paths below those of others: {', '.join(below)}.")
    words.append(
        f"Each number of a gradient has normal noise of standard deviation {number(settings['noise'])}, the same for "
        f"all first-order methods (seed {settings['seed']})." if settings["noise"] else "Gradients are exact."
    )  # fmt: skip
    if settings["clip_norm"]:
        words.append(f"Gradients of first-order methods are clipped to the norm {number(settings['clip_norm'])}.")
    words += [race.rule(), *beyond_words(*(path["loss"] for *_, path in race.paths()))]
    if not race.whole:
        known = {"★ minima": race.goal.minima, "crosses: other critical points": race.goal.others}
        spots = [name for name, spots in known.items() if len(spots)]
        words.append(f"{'; '.join(['Rings: starts', 'dots: ends', *spots])}.")
    if "landscape" in settings:
        surface, column = race.surface
        words += [
            sentence(surface.settings, 2),
            *captions.conditions(surface, [column.removesuffix("_loss")], "the centre"),
        ]
    return " ".join(words)


def hidden(race: Race) -> list[str]:
    """Methods whose paths lie all along below those of the methods before them, which are drawn above."""
    from scipy.spatial import KDTree

    surface, _ = race.surface
    wide = WIDE * max(np.ptp(surface.x), np.ptp(surface.y))
    ends = [(axis[0], axis[-1]) for axis in (surface.x, surface.y)]
    above, found = np.empty((0, 2)), []
    for method in race.methods:
        own = np.concatenate([_along(path, ends, wide / 2) for name, _, path in race.paths() if name == method])
        if len(above) and (KDTree(above).query(own)[0] <= wide).all():
            found.append(method)
        above = np.concatenate([above, own])
    return found


def _along(path: pd.DataFrame, ends: Sequence[tuple[float, float]], step: float) -> np.ndarray:
    """Points of a path [N, 2], not much farther apart than a step; beyond the window, at its edge."""
    x, y = (np.clip(path[name].to_numpy(), *own) for name, own in zip("xy", ends, strict=True))
    length = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
    at = np.linspace(0, length[-1], int(length[-1] / step) + 2)
    return np.stack([np.interp(at, length, each) for each in (x, y)], axis=1)


def section(result: Race, page: Page) -> Section:
    """Its part of the page: the paths and their losses as charts, the table of methods, and its files."""
    parts: list[Any] = []
    files = []
    if not result.whole:
        files = [page.copy(file) for file in files_of(result.folder, FILM)]
        alt = f"{title(result)}. " + "; ".join(f"{row[0]}: {row[1]}" for row in result.summary())
        still = page.draw(build_contour(result, captioned=False), CONTOUR, alt, caption(result))
        parts.append(Chart("paths", "surfaces", paths_data(result), still))
    words = "Loss and distance by step; dashed: what counts as reached, or as left."
    still = page.draw(build_losses(result, captioned=False), LOSSES, words, words)
    parts.append(Chart("losses", "lines", losses_data(result), still))
    words = "Numbers are medians over the starts that arrived."
    columns = range(1, len(result.head) - 4 if result.few else 2)
    parts += [Table(result.summary(), result.head, words, words=columns), Sentences([result.rule()])]
    noise = [f"noise {number(result.settings['noise'])}"] if result.settings["noise"] else []
    return Section(", ".join([title(result), *noise]), parts, [*files, *page.copy_result(result.folder)])

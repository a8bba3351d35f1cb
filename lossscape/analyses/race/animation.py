"""The animation of a race: all methods at the same step, with what has become of each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lossscape.analyses.race.looks import EDGE, look_of, name_of
from lossscape.analyses.race.request import Drawing
from lossscape.analyses.race.result import ARRIVED, DIVERGED, Race
from lossscape.figures import meshes
from lossscape.figures.movies import write_movie
from lossscape.figures.style import sheet, style

WIDTH, HEIGHT, SIDE, LEFT, BOTTOM = 9.6, 5.3, 4.1, 0.75, 0.6
LONGEST = 4.6
RIGHT = 6.45
"""Of the list of methods, in inches."""
TOP = HEIGHT - 0.75


def animate(race: Race, drawing: Drawing, path: Path, quiet: bool) -> list[Path]:
    """Write the animation; returns its files. Raises as write_movie."""
    steps = race.settings["steps"]
    shown = np.unique(np.linspace(0, steps, min(drawing.frames, steps + 1)).round().astype(int)).tolist()
    frame = frames_of(race, captioned=False)
    colours = list(dict.fromkeys(look_of(race, method)["color"] for method in race.methods))
    return write_movie(lambda index: frame(shown[index]), len(shown), path, drawing.movies, drawing.fps, quiet, colours)


@style()
def frames_of(race: Race, *, captioned: bool = True) -> Callable[[int], Figure]:
    """Gives the figure of a step; it is one figure, which the next call changes."""
    from lossscape.analyses.race.figure import caption, marks, plane_axes, title

    surface, _ = race.surface
    sides = meshes.sides_of(surface) if meshes.is_even(surface) else 1.0
    wide = min(SIDE * sides, LONGEST)
    high = wide / sides
    figure, panel = sheet(WIDTH, HEIGHT, title(race), caption(race) if captioned else None, inches=True)
    figure.set_layout_engine("none")
    axes = plane_axes(race, panel, (LEFT, BOTTOM + (SIDE - high) / 2, wide, high))
    marks(axes, race)
    lines = []
    for method, _, path in list(race.paths())[::-1]:
        look = look_of(race, method)
        (line,) = axes.plot([], [], linewidth=1.6, zorder=3, path_effects=EDGE, **look)
        (head,) = axes.plot([], [], "o", color=look["color"], markersize=8, markeredgecolor="white", zorder=6)
        lines.append((line, head, path["x"].to_numpy(), path["y"].to_numpy()))

    def write(left: float, bottom: float, text: str, **kind: Any) -> Any:
        return panel.text(left / WIDTH, bottom / HEIGHT, text, va="center", **kind)

    counter = write(RIGHT, TOP, "", size=14, weight="bold")
    said = {}
    gap = min(0.42, (TOP - BOTTOM) / (len(race.methods) + 1))
    for index, method in enumerate(race.methods):
        height, look = TOP - 0.2 - gap * (index + 0.7), look_of(race, method)
        axes_of_line = panel.add_axes(((RIGHT - 0.02) / WIDTH, (height + 0.02) / HEIGHT, 0.3 / WIDTH, 0.1 / HEIGHT))
        axes_of_line.set_axis_off()
        axes_of_line.plot([0, 1], [0, 0], linewidth=2.4, **look)
        write(RIGHT + 0.36, height + 0.08, name_of(race, method), size=9)
        said[method] = write(RIGHT + 0.36, height - 0.09, "", size=7.5, color="0.35")

    def frame(step: int) -> Figure:
        counter.set_text(f"step {step:,}")
        for line, head, x, y in lines:
            line.set_data(x[: step + 1], y[: step + 1])
            at = min(step, len(x) - 1)
            head.set_data(x[at : at + 1], y[at : at + 1])
        for method, text in said.items():
            text.set_text(_standing(race, method, step))
        return figure

    return frame


def _standing(race: Race, method: str, step: int) -> str:
    """What has become of a method by a step."""
    own = race.outcomes[race.outcomes["method"] == method]
    one, words = len(own) == 1, []
    for word, rows in own.groupby("outcome", sort=False):
        if word in ARRIVED:
            there = rows[rows["steps"] <= step]
            when = f"after {there['steps'].median():,.0f} steps{'' if len(there) == 1 else ' (median)'}"
        else:
            there = rows[rows["last_step"] < step] if word == DIVERGED else rows[rows["last_step"] <= step]
            when = ""
        if len(there):
            words.append(f"{'' if one else f'{len(there):,} '}{word} {when}".strip())
    return ", ".join(words)

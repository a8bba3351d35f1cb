"""Races as figures that move: the paths over the surface with a slider of steps, losses and distances by step."""

from typing import Any

import numpy as np
import pandas as pd

from lossscape.analyses.race.looks import Pale, look_of, name_of, scale_of
from lossscape.analyses.race.result import Race
from lossscape.figures import meshes
from lossscape.figures.charts import scales
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.charts.plain import chosen, rounded
from lossscape.figures.charts.surfaces import Layer, frame_data, most_of, panel_data
from lossscape.figures.levels import choose_scale
from lossscape.text import number

MOST_MOMENTS = 121
"""Of the slider."""
MOST_PATHS, MOST_LINES = 60, 200
"""Over a surface, and by step in a panel."""
MOST_STEPS = 12_000
"""Of all lines of a panel together, of which each keeps LEAST."""
LEAST = 20
NEAR = 2e-3
"""Steps that lead less far than this part of the window are drawn as one: about a pixel."""
MOST_POINTS = 6_000
"""Of all paths together, each with its words."""


class Height(Layer):
    """What lies below the paths."""

    @property
    def name(self) -> str:
        """f(x, y), or the loss of a split."""
        return "f(x, y)" if self.key == "loss" else super().name

    @property
    def metric(self) -> str:
        """It is a loss."""
        return "loss"


def paths_data(race: Race) -> dict[str, Any]:
    """The paths over the surface with a slider of steps. Not of a race in all parameters of a net, which has none."""
    surface, column = race.surface
    layer = Height(column)
    moments = chosen(np.arange(race.settings["steps"] + 1), MOST_MOMENTS)
    starts, notes = _starts(race, MOST_PATHS)
    near = NEAR * max(np.ptp(surface.x), np.ptp(surface.y))
    paths = [(method, start, path.iloc[_far(path, near)]) for method, start, path in race.paths() if start < starts]
    most = max(MOST_POINTS // len(paths), LEAST)
    if sum(len(path) for *_, path in paths) < sum(len(path) for _, start, path in race.paths() if start < starts):
        notes.append("Steps that lead less than a pixel away are drawn as one; paths.csv has all.")
    if any(len(path) > most for *_, path in paths):
        notes.append(f"Of each path at most {most:,} steps, evenly; paths.csv has all.")
    trails = [
        _trail(race, (method, start), path.iloc[chosen(np.arange(len(path)), most)], moments)
        for method, start, path in reversed(paths)  # the first lies on top
    ]
    below = panel_data(surface, "", [layer], most_of(1))
    axes = {"xlabel": "x", "ylabel": "y", "even": meshes.is_even(surface)}
    return (frame_data(surface) if "landscape" in race.settings else axes) | {
        "layers": [layer.data], "scales": {column: _scales(race)},
        "panels": [below | {"marks": _marks(race, starts), "trails": trails, "notes": [*below["notes"], *notes]}],
        "times": [f"step {step:,}" for step in moments.tolist()], "time": "Until",
    }  # fmt: skip


def _starts(race: Race, paths: int) -> tuple[int, list[str]]:
    """From how many starts methods are drawn, so that there are no more paths than these; a sentence where not all."""
    every = len(race.settings["starts"])
    starts = min(every, max(paths // len(race.methods), 1))
    return starts, [f"From the first {starts:,} of {every:,} starts; paths.csv has all."] if starts < every else []


def _far(path: pd.DataFrame, near: float) -> list[int]:
    """Rows of a path, each so far from the one kept before it; both ends are among them."""
    points = path[["x", "y"]].to_numpy()
    kept = [0]
    for row in range(1, len(points)):
        if np.hypot(*(points[row] - points[kept[-1]])) >= near:
            kept.append(row)
    return kept if kept[-1] == len(points) - 1 else [*kept, len(points) - 1]


def _trail(race: Race, of: tuple[str, int], path: pd.DataFrame, moments: np.ndarray) -> dict[str, Any]:
    """A path; of: its method and start."""
    method, start = of
    layer = Height(race.surface[1])
    name, steps, losses = name_of(race, method), path["step"].to_numpy().astype(int), path["loss"]
    where = ", ".join(number(value) for value in race.settings["starts"][start])
    whence = f" from ({where})" if len(race.settings["starts"]) > 1 else ""
    words = [
        f"{name}{whence}, step {step:,}: {layer.name} {number(loss)}" for step, loss in zip(steps, losses, strict=True)
    ]
    return {
        "run": name, "label": "", "bare": True, **_look(race, method), "x": rounded(path["x"]), "y": rounded(path["y"]),
        "when": [""] * len(path), "moment": np.searchsorted(moments, steps).tolist(), "words": words,
        "real": {}, "plane": {layer.key: rounded(losses)},
    }  # fmt: skip


def _look(race: Race, method: str) -> dict[str, Any]:
    """Colour and dash of a method as in its figures."""
    look = look_of(race, method)
    dash = look["linestyle"]
    return {
        "colour": look["color"],
        "dash": "solid" if dash == "-" else ",".join(f"{2 * each:g}px" for each in dash[1]),
    }


def _scales(race: Race) -> dict[str, Any]:
    """The scale of the figures, and the other kind where there is one, in the same light greys."""
    surface, column = race.surface
    values, first = surface.values(column), scale_of(race)
    found = {"log" if each.log else "linear": each for each in (scales.of_values(values), choose_scale(values, True))}
    found["log" if first.log else "linear"] = first
    made: dict[str, Any] = {kind: scales.scale_data(Pale(**vars(each))) for kind, each in found.items()}
    return made | {"first": "log" if first.log else "linear"}


def _marks(race: Race, starts: int) -> list[dict[str, Any]]:
    """Minima as stars, other critical points as crosses, so many starts as rings."""
    begun = np.array(race.settings["starts"][:starts], dtype=float)
    kinds = ((race.goal.minima, "star", 15), (race.goal.others, "x", 9), (begun, "circle", 9))
    look = {"text": "", "colour": "black"}
    return [
        {
            "x": rounded(spots[:, 0]),
            "y": rounded(spots[:, 1]),
            "symbol": symbol,
            "size": size,
            "below": spots is not begun,
            **look,
        }
        for spots, symbol, size in kinds
        if len(spots)
    ]


def losses_data(race: Race) -> dict[str, Any]:
    """Loss, and distance from the nearest minimum or from the saddle, by step."""
    starts, notes = _starts(race, MOST_LINES)
    most = max(MOST_STEPS // (len(race.methods) * starts), LEAST)
    if most <= race.settings["steps"]:
        notes.append(f"Of each line at most {most:,} steps, evenly; paths.csv has all.")
    lines, positive = [], True
    for method, start, path in race.paths():
        if start >= starts:
            continue
        kept = chosen(np.arange(len(path)), most)
        steps, look = path["step"].iloc[kept], _look(race, method)
        look |= {"run": name_of(race, method), "width": 2 if starts < LEAST else 1}
        loss = path["loss"].to_numpy() - (race.goal.levels[start] if race.whole else 0.0)
        positive &= bool((loss > 0).all())
        away = race.distances(start, path)
        values = {"loss": loss, "distance": np.where(away > 0, away, np.nan)}
        lines += [line(key, x=steps, y=each[kept], **look) for key, each in values.items()]
    label = "loss above the saddle's" if race.whole else "f(x, y)" if "name" in race.settings["surface"] else "loss"
    distance = (
        "‖θ − θ₀‖ / ‖θ₀‖ from the saddle θ₀" if race.whole
        else f"distance from the {'saddle' if race.goal.leave else 'nearest minimum'}"
    )  # fmt: skip
    panels = [panel("loss", label, log=positive, name="loss")]
    rules = []
    if any(value is not None for each in lines if each["panel"] == "distance" for value in each["y"]):
        panels.append(panel("distance", distance, log=True, name="distance"))
        rules.append({"panel": "distance", "y": race.level, "text": "left" if race.goal.leave else "reached"})
    return {"x": "step", "panels": panels, "lines": lines, "rules": rules, "log": True, "notes": notes}

"""How methods look: one colour each, in every figure; and the surface below them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patheffects import Stroke, withStroke

from lossscape.analyses.race.result import Race
from lossscape.figures.how import how
from lossscape.figures.levels import WIDE, Scale, choose_scale
from lossscape.figures.text import shortened
from lossscape.text import number

COLOURS = {
    "sgd": "#000000", "momentum": "#D55E00", "nesterov": "#CC79A7", "nesterov_lookahead": "#882255",
    "adagrad": "#E69F00", "rmsprop": "#009E73", "adadelta": "#56B4E9", "adam": "#0072B2", "adamw": "#332288",
    "newton": "#AA0000", "saddle_free_newton": "#7A3FBF", "lbfgs": "#7F7F00", "bfgs": "#8C564B",
    "newton_cg": "#FF6F91", "conjugate_gradient": "#00A0A0", "trust_region": "#5C5C8A", "coordinate_descent": "#B8860B",
}  # fmt: skip
"""By the name of the optimizer."""
SECOND_ORDER = {"newton", "saddle_free_newton", "newton_cg", "trust_region", "lbfgs", "bfgs", "conjugate_gradient"}
OTHERS = ("#666666", "#1B9E77", "#A6761D", "#E7298A", "#66A61E", "#7570B3")
"""Of functions of one's own, in their order."""
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.2)), (0, (1.5, 1)), (0, (4, 1, 1, 1)))
EDGE = [Stroke(linewidth=3.0, foreground="white"), withStroke(linewidth=1.6)]


@dataclass(frozen=True)
class Pale(Scale):
    """A scale in light greys, before which the colours of many paths stand out."""

    colours: ClassVar[Any] = LinearSegmentedColormap.from_list("pale", ["#9C9C9C", "#F4F4F4"])


def scale_of(race: Race) -> Pale:
    """The heights of the surface below the paths."""
    surface, column = race.surface
    values = surface.values(column)
    if race.settings["surface"].get("scale") != "linear" or values.min() < 0:
        return Pale(**vars(choose_scale(values, False)))
    shown = np.maximum(values, values.max() / WIDE)  # else values near 0 would ask for a logarithmic scale
    scale = choose_scale(shown, False)
    return Pale(**vars(scale) | ({"low": float(values.min())} if how().vmin is None else {}))


def look_of(race: Race, method: str) -> dict[str, Any]:
    """Colour and dash of a method: several of one name share the colour."""
    named = {each["label"]: str(each["name"]) for each in race.settings["methods"]}
    name = named[method]
    own = [label for label, other in named.items() if other == name]
    strange = [other for other in dict.fromkeys(named.values()) if other not in COLOURS]
    colour = COLOURS.get(name) or OTHERS[strange.index(name) % len(OTHERS)]
    shift = 1 if name in SECOND_ORDER else 0
    return {"color": colour, "linestyle": DASHES[(own.index(method) + shift) % len(DASHES)]}


def handles(race: Race) -> list[Line2D]:
    """Legend entries, one for each method."""
    return [Line2D([], [], label=name_of(race, each), linewidth=1.8, **look_of(race, each)) for each in race.methods]


def name_of(race: Race, method: str) -> str:
    """A method with its learning rate, where it has one that matters."""
    spec = next(each for each in race.settings["methods"] if each["label"] == method)
    rate = spec.get("lr")
    said = "lr=" in method or rate is None or spec["name"] in SECOND_ORDER
    return shortened(method, 30) if said else f"{shortened(method, 30)}, η {number(rate)}"

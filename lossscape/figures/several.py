"""Surfaces of several runs side by side, on one scale."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from lossscape.figures import captions
from lossscape.figures.levels import choose_scale
from lossscape.figures.pairs import BAR, BAR_ROOM, GAP, LEFT, SIDE, TOP
from lossscape.figures.panels import colour_bar, contours
from lossscape.figures.style import sheet, style
from lossscape.figures.text import shortened
from lossscape.results import Surface

ACROSS = 4
"""Surfaces in a row."""
LABEL = 36
"""Characters in a line of the colour bar's label."""


@style()
def build_several(shown: Mapping[str, Surface], split: str, *, log: bool = False) -> Figure:
    """Contours of surfaces by the names above them; all are over planes of equal ranges with losses of the split."""
    columns, rows = min(len(shown), ACROSS), -(-len(shown) // ACROSS)
    losses = {name: surface.values(f"{split}_loss") for name, surface in shown.items()}
    scale = choose_scale(np.concatenate([each.ravel() for each in losses.values()]), log)
    height = TOP + rows * (SIDE + GAP)
    figure, panel = sheet(LEFT + columns * (SIDE + GAP) + BAR_ROOM, height, f"Loss around {len(shown)} nets", None)
    figure.set_layout_engine("none")
    for place, (name, surface) in enumerate(shown.items()):
        row, column = divmod(place, ACROSS)
        left, bottom = LEFT + column * (SIDE + GAP), height - TOP - SIDE - row * (SIDE + GAP)
        axes = contours(panel, (left, bottom, SIDE, SIDE), surface, scale.heights(losses[name]), scale)
        axes.set_title(shortened(name, 26), size=10, loc="center")
    label = captions.loss_label([captions.loss_name(each.settings) for each in shown.values()], split) + scale.suffix
    bar = (LEFT + columns * (SIDE + GAP) - GAP + 0.12, height - TOP - SIDE, BAR, SIDE)
    colour_bar(panel, bar, scale, fill(label, LABEL))
    return figure


def several_caption(shown: Mapping[str, Surface], split: str, log: bool) -> str:
    """The caption of build_several's figure: what all share, then what each has alone."""
    every = [
        [*captions.failure_words(surface), *captions.conditions(surface, [split], "the centre")]
        for surface in shown.values()
    ]
    shared, *own = captions.with_shared_first(every)
    losses = np.concatenate([surface.table[f"{split}_loss"].to_numpy() for surface in shown.values()])
    scale = choose_scale(losses, log)
    first = "The planes around the nets in random directions of one seed; all share one colour scale and its levels."
    lines = [" ".join([first, *shared, *scale.lost_words("Hatched"), *scale.notes])]
    return "\n".join([*lines, *(f"{name}: {' '.join(words)}" for name, words in zip(shown, own, strict=True) if words)])

"""Two surfaces over one plane and their difference, of one net or of several side by side, on shared scales."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lossscape.figures import captions
from lossscape.figures.levels import Diverging, Scale, choose_diverging, choose_scale
from lossscape.figures.panels import Box, blank, colour_bar, contours, solid
from lossscape.figures.style import sheet, style
from lossscape.figures.text import shortened
from lossscape.results import Pair
from lossscape.text import columns_of

SIDE, GAP, BAR = 2.35, 0.5, 0.16
"""Of a panel, between panels, and the width of a colour bar, in inches."""
LEFT, TOP, BAR_ROOM = 0.85, 0.75, 1.1
SOLID_MARGIN = 0.4
"""A view in three dimensions reaches beyond its box: its corners are empty."""


def row_names(targets: str) -> tuple[str, str, str]:
    """Names of original, relabelled and difference."""
    return "labels", f"{targets} targets", f"{targets} targets − labels"


@dataclass(frozen=True)
class Shared:
    """The scales that all panels of a figure share."""

    losses: Scale
    differences: Diverging

    def of(self, pair: Pair, row: int) -> tuple[np.ndarray, Scale]:
        """Heights and scale of a pair's original (0), relabelled (1) or difference (2)."""
        if row == 2:
            return self.differences.heights(pair.difference), self.differences
        surface = (pair.original, pair.relabelled)[row]
        return self.losses.heights(surface.values("train_loss")), self.losses


def shared_scales(pairs: Sequence[Pair], log: bool = False) -> Shared:
    """Scales for all surfaces of several pairs together.

    That of the losses spans all points but the centres: around soft targets the loss there is 0 to rounding, and a
    logarithmic scale down to it would show nothing else.
    """
    losses = []
    for pair in pairs:
        for surface in (pair.original, pair.relabelled):
            away = (surface.table["x"] != 0) | (surface.table["y"] != 0)
            losses.append(surface.table.loc[away, "train_loss"].to_numpy())
    return Shared(choose_scale(np.concatenate(losses), log), choose_diverging([pair.difference for pair in pairs]))


@style()
def build_pair(pair: Pair, scales: Shared, caption: str | None = None) -> Figure:
    """One net: labels, relabelled and difference as columns, as contours above and in three dimensions below.

    scales: of shared_scales; caption: small print below.
    """
    title = f"Loss around {shortened(pair.net)}: labels, {pair.targets} targets, and their difference"
    lefts = [LEFT, LEFT + SIDE + GAP, LEFT + 2 * SIDE + 2 * GAP + BAR_ROOM]
    height = 2 * SIDE + TOP + GAP + 0.2
    figure, panel = sheet(lefts[2] + SIDE + BAR_ROOM + 0.15, height, title, caption, inches=True)
    figure.set_layout_engine("none")
    bottom = height - TOP - SIDE
    for column, name in enumerate(row_names(pair.targets)):
        heights, scale = scales.of(pair, column)
        box = (lefts[column], bottom, SIDE, SIDE)
        axes = contours(panel, box, pair.original, heights, scale)
        axes.set_title(name, size=10, loc="center")
        axes.set_xlabel("x", size=9, labelpad=1)
        if column == 0:
            axes.set_ylabel("y", size=9, labelpad=1)
        solid(panel, _wider((lefts[column], 0.2, SIDE, SIDE)), pair.original, heights, scale)
    bars = ((1, scales.losses, loss_label([pair], scales.losses)), (2, scales.differences, "difference"))
    for column, scale, label in bars:
        colour_bar(panel, (lefts[column] + SIDE + 0.12, bottom, BAR, SIDE), scale, label)
    return figure


@style()
def build_nets(shown: Sequence[Pair], scales: Shared, caption: str | None = None, *, solids: bool = False) -> Figure:
    """Several nets as columns; labels, relabelled and difference as rows, all on one scale with equal levels.

    solids: in three dimensions, not as contours; the rest as for build_pair.
    """
    title = f"Loss around {len(shown)} nets: labels, {shown[0].targets} targets, and their difference"
    across, up = SIDE + (0.4 if solids else 0.25), SIDE + (0.15 if solids else 0.25)
    # numbers of the last heights stand before the bar
    right = LEFT + len(shown) * across - 0.11 + 0.4 * solids
    width, height = max(right + BAR_ROOM, 6.5), TOP + 3 * up + 0.35
    figure, panel = sheet(width, height, title, caption, inches=True)
    figure.set_layout_engine("none")
    sheet_axes = blank(panel, width, height)
    draw: Callable[..., Any] = solid if solids else contours
    for column, pair in enumerate(shown):
        for row in range(3):
            heights, scale = scales.of(pair, row)
            box = (LEFT + column * across, height - TOP - SIDE - row * up, SIDE, SIDE)
            axes = draw(panel, _wider(box) if solids else box, pair.original, heights, scale)
            if solids:
                continue
            axes.tick_params(labelbottom=row == 2, labelleft=column == 0)
            if row == 2:
                axes.set_xlabel("x", size=9, labelpad=1)
            if column == 0:
                axes.set_ylabel("y", size=9, labelpad=1)
        sheet_axes.text(LEFT + column * across + SIDE / 2, height - TOP + 0.06, _fitting(pair.net), ha="center")
    for row, name in enumerate(row_names(shown[0].targets)):
        middle = height - TOP - SIDE / 2 - row * up
        sheet_axes.text(0.24, middle, name, ha="center", va="center", rotation=90)
    base = height - TOP - SIDE
    label = loss_label(shown, scales.losses)
    colour_bar(panel, (right, base - up, BAR, SIDE + up), scales.losses, label)
    differences = (right, base - 2 * up, BAR, SIDE)
    colour_bar(panel, differences, scales.differences, "difference")
    return figure


def _wider(box: Box) -> Box:
    left, bottom, wide, high = box
    return (left - SOLID_MARGIN, bottom - SOLID_MARGIN / 2, wide + 2 * SOLID_MARGIN, high + SOLID_MARGIN)


def _fitting(name: str) -> str:
    """A net's name as the title of a column, in two lines where it is long."""
    run, at, checkpoint = name.rpartition("@")
    if columns_of(name) <= 30:
        return shortened(name, 30)
    return f"{shortened(run, 30)}\n{at}{shortened(checkpoint, 28)}"


def loss_label(pairs: Sequence[Pair], scale: Scale) -> str:
    """What the colours of the losses mean."""
    settings = [pair.original.settings for pair in pairs]
    names = list(dict.fromkeys(captions.loss_name(each) for each in settings))
    relabelled = [pair.relabelled.settings for pair in pairs if pair.targets == "soft"]
    soft = "; KL" if any(each.get("soft") != "numbers" for each in relabelled) else ""
    return f"train loss ({', '.join(names)}{soft}){scale.suffix}"

"""Paired landscapes as figures: labels, relabelled and difference of one net, or of several nets side by side."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from lossscape.analyses.pair import words as pair_words
from lossscape.analyses.pair.result import Pair, Pairs
from lossscape.figures import diverging, meshes
from lossscape.figures.diverging import Diverging, choose_diverging
from lossscape.figures.levels import Scale, choose_scale
from lossscape.figures.panels import add, colour_bar, contours, solid
from lossscape.figures.style import save, sheet, style
from lossscape.figures.text import shortened
from lossscape.text import columns_of

CONTOURS, SOLIDS = "contours.png", "surfaces.png"
"""Of several nets."""
SIDE, GAP, BAR = 2.35, 0.5, 0.16
"""Of a panel, between panels, and the width of a colour bar, in inches."""
LEFT, TOP, BAR_ROOM = 0.85, 0.75, 1.1
SOLID_MARGIN = 0.4
"""A view in three dimensions reaches beyond its place: its corners are empty."""


@dataclass(frozen=True)
class Shared:
    """The scales that all panels of a figure share."""

    losses: Scale
    differences: Diverging

    def of(self, pair: Pair, row: int) -> tuple[np.ndarray, Any, str]:
        """Heights, scale and colour map of a pair's original (0), relabelled (1) or difference (2)."""
        if row == 2:
            return self.differences.heights(pair.difference), self.differences, diverging.COLOURS
        surface = (pair.original, pair.relabelled)[row]
        return self.losses.heights(surface.values("train_loss")), self.losses, meshes.COLOURS


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
    return Shared(
        choose_scale(np.concatenate(losses), log), choose_diverging([pair.difference for pair in pairs])
    )


def draw_pairs(pairs: Pairs, *, log: bool = False) -> list[Path]:
    """Write every figure of a study into its folder; returns their places.

    One net: pair.png. Several: contours.png and surfaces.png with all of them, and a pair-….png of each.
    """
    written = []
    for name, _, figure in build_pairs(pairs, log=log):
        save(figure, pairs.folder / name)
        written.append(pairs.folder / name)
    return written


def build_pairs(
    pairs: Pairs, *, log: bool = False, captioned: bool = True
) -> Iterator[tuple[str, list[str], Figure]]:
    """Every figure of a study, one after the other: its file's name, the nets that it shows, and itself."""
    several = len(pairs.nets) > 1
    if several:
        for name, solids in ((CONTOURS, False), (SOLIDS, True)):
            yield name, pairs.nets, build_nets(pairs, solids=solids, log=log, captioned=captioned)
    for number, net in enumerate(pairs.nets, start=1):
        file = f"pair-{number}.png" if several else "pair.png"
        yield file, [net], build_pair(pairs, net, log=log, captioned=captioned)


def pair_caption(pairs: Pairs, nets: Sequence[str], *, log: bool = False) -> str:
    """The caption of a figure of these nets, where it does not stand in the figure. Raises BadInput as build_pair."""
    shown = [pairs.pair(net) for net in nets]
    scales = shared_scales(shown, log)
    return pair_words.caption(pairs, shown, scales.losses, scales.differences)


@style()
def build_pair(pairs: Pairs, net: str, *, log: bool = False, captioned: bool = True) -> Figure:
    """One net: labels, relabelled and difference as columns, as contours above and in three dimensions below.

    log: a logarithmic scale, which is taken in any case where losses span more than two decades; captioned: with
    small print below. Raises BadInput where a surface is missing.
    """
    pair = pairs.pair(net)
    scales = shared_scales([pair], log)
    title = f"Loss around {shortened(net)}: labels, {pairs.targets} targets, and their difference"
    caption = pair_words.caption(pairs, [pair], scales.losses, scales.differences) if captioned else None
    lefts = [LEFT, LEFT + SIDE + GAP, LEFT + 2 * SIDE + 2 * GAP + BAR_ROOM]
    height = 2 * SIDE + TOP + GAP + 0.2
    figure, panel = sheet(lefts[2] + SIDE + BAR_ROOM + 0.15, height, title, caption)
    figure.set_layout_engine("none")
    bottom = height - TOP - SIDE
    for column, name in enumerate(pair_words.rows(pairs.targets)):
        heights, scale, colours = scales.of(pair, column)
        place = (lefts[column], bottom, SIDE, SIDE)
        axes = contours(panel, place, pair.original, heights, scale, colours)
        axes.set_title(name, size=10, loc="center")
        axes.set_xlabel("x", size=9, labelpad=1)
        if column == 0:
            axes.set_ylabel("y", size=9, labelpad=1)
        solid(panel, _wider((lefts[column], 0.2, SIDE, SIDE)), pair.original, heights, scale, colours)
    bars = ((1, scales.losses, meshes.COLOURS, pair_words.loss_label([pair], scales.losses)),
            (2, scales.differences, diverging.COLOURS, "difference"))  # fmt: skip
    for column, scale, colours, label in bars:
        colour_bar(panel, (lefts[column] + SIDE + 0.12, bottom, BAR, SIDE), scale, colours, label)
    return figure


@style()
def build_nets(pairs: Pairs, *, solids: bool = False, log: bool = False, captioned: bool = True) -> Figure:
    """Several nets as columns; labels, relabelled and difference as rows, all on one scale with equal levels.

    solids: in three dimensions, not as contours; the rest as for build_pair.
    """
    shown = [pairs.pair(net) for net in pairs.nets]
    scales = shared_scales(shown, log)
    title = f"Loss around {len(shown)} nets: labels, {pairs.targets} targets, and their difference"
    caption = pair_words.caption(pairs, shown, scales.losses, scales.differences) if captioned else None
    across, up = SIDE + (0.4 if solids else 0.25), SIDE + (0.15 if solids else 0.25)
    right = (
        LEFT + len(shown) * across - 0.11 + 0.4 * solids
    )  # numbers of the last heights stand before the bar
    width, height = max(right + BAR_ROOM, 6.5), TOP + 3 * up + 0.35
    figure, panel = sheet(width, height, title, caption)
    figure.set_layout_engine("none")
    page = _page(panel, width, height)
    draw: Callable[..., Any] = solid if solids else contours
    for column, pair in enumerate(shown):
        for row in range(3):
            heights, scale, colours = scales.of(pair, row)
            place = (LEFT + column * across, height - TOP - SIDE - row * up, SIDE, SIDE)
            axes = draw(panel, _wider(place) if solids else place, pair.original, heights, scale, colours)
            if solids:
                continue
            axes.tick_params(labelbottom=row == 2, labelleft=column == 0)
            if row == 2:
                axes.set_xlabel("x", size=9, labelpad=1)
            if column == 0:
                axes.set_ylabel("y", size=9, labelpad=1)
        page.text(LEFT + column * across + SIDE / 2, height - TOP + 0.06, _fitting(pair.net), ha="center")
    for row, name in enumerate(pair_words.rows(pairs.targets)):
        middle = height - TOP - SIDE / 2 - row * up
        page.text(0.24, middle, name, ha="center", va="center", rotation=90)
    base = height - TOP - SIDE
    label = pair_words.loss_label(shown, scales.losses)
    colour_bar(panel, (right, base - up, BAR, SIDE + up), scales.losses, meshes.COLOURS, label)
    differences = (right, base - 2 * up, BAR, SIDE)
    colour_bar(panel, differences, scales.differences, diverging.COLOURS, "difference")
    return figure


def _wider(place: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, bottom, wide, high = place
    return (left - SOLID_MARGIN, bottom - SOLID_MARGIN / 2, wide + 2 * SOLID_MARGIN, high + SOLID_MARGIN)


def _fitting(name: str) -> str:
    """A net's name as the title of a column, in two lines where it is long."""
    run, at, checkpoint = name.rpartition("@")
    if columns_of(name) <= 30:
        return shortened(name, 30)
    return f"{shortened(run, 30)}\n{at}{shortened(checkpoint, 28)}"


def _page(panel: SubFigure, width: float, height: float) -> Axes:
    """Axes without marks over the whole of a part, whose coordinates are inches."""
    axes: Axes = add(panel, (0, 0, width, height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    return axes

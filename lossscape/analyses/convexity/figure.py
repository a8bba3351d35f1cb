"""Convexity maps as figures: the ratio of the extreme eigenvalues and both of them, under lines of the loss."""

from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.analyses.convexity.chart import DECADES, map_data
from lossscape.analyses.convexity.request import Drawing
from lossscape.analyses.convexity.result import CSV, Convexity
from lossscape.certificate.summary import summary
from lossscape.directions import axis_label, sentence
from lossscape.errors import BadInput, one_of
from lossscape.figures import captions, certificates, meshes
from lossscape.figures.how import AS_USUAL
from lossscape.figures.levels import Scale, choose_diverging, choose_scale
from lossscape.figures.panels import colour_bar, contours
from lossscape.figures.section import Chart, Page, Section, Sentences
from lossscape.figures.style import new_axes, save, sheet, style
from lossscape.text import number

PNG = "convexity.png"
SIDE, LONGEST = 2.9, 1.2
"""Of a panel in inches, and how many times as high it is at most."""
LEFT, BOTTOM, TOP, BAR_GAP, BAR, ROOM = 0.9, 0.7, 0.5, 0.1, 0.14, 1.3
"""Around panels, in inches: ROOM from the right side of one to the left of the next."""
LABEL = 44
"""Characters in a line of an axis' label."""
EIGENVALUES = AS_USUAL
"""Their scales, which are not those of losses, that the drawing options are of."""
LABELS = {"ratio": "|λmin| / λmax", "largest": "largest eigenvalue λmax", "smallest": "smallest eigenvalue λmin"}
MARKS: dict[str, dict[str, Any]] = {
    "an eigenvalue has not converged": {"marker": "x", "markersize": 5, "markeredgewidth": 1.4, "color": "#D55E00"},
    "no eigenvalue is negative": {
        "marker": "o", "markersize": 3.5, "markeredgewidth": 0.7, "color": "black", "markerfacecolor": "white",
    },
}  # fmt: skip


def draw(result: Convexity, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the map beside a result; returns what lies where."""
    figure = save(build_convexity(result, log=drawing.log), result.folder / PNG)
    return {
        "eigenvalues": result.folder / CSV, "figure": figure, "landscape": result.surface.folder,
        "certificate": summary(result.folder),
    }  # fmt: skip


@style()
def build_convexity(result: Convexity, *, log: bool = False, captioned: bool = True) -> Figure:
    """|λmin|/λmax, λmax and λmin as colours under lines of the loss; crosses where one has not converged.

    log: lines of the loss on a logarithmic scale, which is taken in any case for losses that span two decades.
    """
    surface, (split,) = result.surface, result.surface.splits
    sides = meshes.sides_of(surface) if meshes.is_even(surface) else 1.0
    wide = min(SIDE, SIDE * LONGEST * sides)
    high = wide / sides
    caption = _caption(result, log) if captioned else None
    step, height = wide + ROOM, BOTTOM + high + TOP
    title = f"Convexity around {captions.point_name(surface.settings['centre'])} ({split} data)"
    figure, panel = sheet(LEFT + 3 * step - 0.2, height, title, caption, _key(result), inches=True)
    figure.set_layout_engine("none")
    bottom = panel.bbox.height / figure.dpi - TOP - high  # above a legend
    losses = surface.values(f"{split}_loss")
    lines = choose_scale(losses, log)
    for column, what in enumerate(LABELS):
        values, scale, label = _shown(result, what)
        box = (LEFT + column * step, bottom, wide, high)
        axes = contours(panel, box, surface, scale.heights(values), scale, (lines.heights(losses), lines))
        _mark(axes, result)
        axes.set_xlabel(fill(axis_label(surface.settings, "x", 1), LABEL), size=8)
        if column == 0:
            axes.set_ylabel(fill(axis_label(surface.settings, "y", 2), LABEL), size=8)
        bar = (box[0] + wide + BAR_GAP, bottom, BAR, high)
        colour_bar(panel, bar, scale, label)
    return figure


@style()
def convexity_axes(result: Convexity, ax: Axes | None = None, *, what: str = "ratio", log: bool = False) -> Axes:
    """Draw one of the maps into axes, by default new ones; returns the axes. Raises BadInput for an unknown one.

    what: ratio, largest or smallest; log: as for build_convexity.
    """
    if what not in LABELS:
        raise BadInput(one_of("what", what, LABELS))
    axes = new_axes() if ax is None else ax
    surface, (values, scale, label) = result.surface, _shown(result, what)
    losses = surface.values(f"{surface.splits[0]}_loss")
    lines = choose_scale(losses, log)
    drawn = meshes.draw_contours(axes, surface, scale.heights(values), scale, over=(lines.heights(losses), lines))
    if drawn:
        texts, _ = meshes.label_contours(axes, drawn, scale, label, lines)
        meshes.thin_out(axes, texts)
    _mark(axes, result)
    axes.set_xlabel(axis_label(surface.settings, "x", 1))
    axes.set_ylabel(axis_label(surface.settings, "y", 2))
    return axes


def _mark(axes: Axes, result: Convexity) -> None:
    meshes.dots(axes, result)
    for rows, look in zip((result.rough, result.convex), MARKS.values(), strict=True):
        axes.plot(rows["x"], rows["y"], linestyle="", clip_on=False, zorder=4, label="_marks", **look)


def _shown(result: Convexity, what: str) -> tuple[np.ndarray, Scale, str]:
    """What is drawn of one of the maps, its scale and its label; λmin with its sign where it has both."""
    values, label = result.values(what), LABELS[what]
    known = values[np.isfinite(values)]
    if what == "ratio":
        floor = float(known.max()) / 10**DECADES if known.size else 0.0
        scale = choose_scale(np.clip(values, floor, None), True, EIGENVALUES)
    elif what == "smallest" and (known > 0).any():
        scale = choose_diverging([values])
    elif what == "smallest":
        values, label = -values, f"−1 × {label}"
        scale = choose_scale(values, False, EIGENVALUES)
    else:
        scale = choose_scale(values, False, EIGENVALUES)
    return values, scale, label + scale.suffix


def _key(result: Convexity) -> list[Artist]:
    shown = zip((result.rough, result.convex), MARKS.items(), strict=True)
    return [Line2D([], [], linestyle="", label=name, **look) for rows, (name, look) in shown if len(rows)]


def _caption(result: Convexity, log: bool) -> str:
    surface, settings = result.surface, result.settings
    (split,) = surface.splits
    lines = choose_scale(surface.values(f"{split}_loss"), log)
    words = [
        *(captions.failure_words(result) or captions.failure_words(surface)),
        f"Eigenvalues of the Hessian of the mean {split} loss, without weight decay, at θ + x·d₁ + y·d₂ around "
        f"θ = {captions.point_name(surface.settings['centre'])}, {captions.grid_words(surface)}; lines: the loss"
        f"{lines.suffix}.",
        *captions.range_words(surface),
        sentence(surface.settings, 2),
        f"Lanczos' method: residuals at most {number(settings['tolerance'])} |λ|, or rounding.",
        *result.notes(),
        *captions.conditions(surface, [split], "the centre"),
        *(["Faint dots: the points whose eigenvalues were computed."] if result.predicted.any() else []),
        "★ marks the centre. Values beyond the ends of a scale are drawn there.",
    ]
    return " ".join(words)


def section(result: Convexity, page: Page) -> Section:
    """Its part of the page: the map, what it says in words, and its files."""
    figure = build_convexity(result, log=page.log, captioned=False)
    alt = f"The ratio of the Hessian's extreme eigenvalues over a plane. {result.lines()[0]}."
    still = page.draw(figure, PNG, alt, _caption(result, page.log))
    settings = result.surface.settings
    extras = [captions.grid_words(result.surface), *captions.targets_extra(settings), *captions.title_extras(settings)]
    return Section(
        title=", ".join([f"{settings['directions']['kind']} plane around {settings['centre']['checkpoint']}", *extras]),
        parts=[Chart("map", "surfaces", map_data(result), still), Sentences([f"{result.lines()[0]}."])],
        files=page.copy_result(result.folder),
        failures=[*certificates.failures(result.certificate), *certificates.failures(result.surface.certificate)],
        warning="The certificate, or that of the landscape below, FAILED: do not rely on this result.",
        certificate=certificates.certificate_of(result.certificate, {}),
    )

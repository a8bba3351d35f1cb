"""Films: their frames, what is written into them, and their section of the page."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from lossscape.analyses.film.chart import descent_data, frames_data
from lossscape.analyses.film.request import Drawing
from lossscape.analyses.film.result import Film
from lossscape.directions import axis_label, sentence
from lossscape.errors import BadInput
from lossscape.figures import captions, certificates, meshes
from lossscape.figures.levels import Scale, choose_scale
from lossscape.figures.metrics import value_words
from lossscape.figures.movies import files_of, write_movie
from lossscape.figures.panels import add, colour_bar, contours, solid
from lossscape.figures.paths import LINE, path_words, spans_decades, when
from lossscape.figures.section import Chart, Page, Picture, Section, Sentences
from lossscape.figures.style import RUNS, loss_axis, numbers, sheet, style
from lossscape.figures.text import finite, shortened
from lossscape.files import read_json
from lossscape.results import Surface
from lossscape.results.folder import CERTIFICATE, FILMS
from lossscape.text import counted, number

LEFT, BOTTOM, TITLE = 0.75, 0.55, 0.5
"""Where the contours stand, in inches, and what the title takes above them."""
SIDE, LONGEST = 3.4, 4.9
"""Of contours of equal sides, and the longest side of others."""
BAR_GAP, BAR, GAP = 0.12, 0.15, 1.4
"""Of the colour bar, and from it to what stands beside the contours."""
RIGHT_WIDTH, MARGIN, LOW, WORDS = 3.2, 0.25, 2.9, 0.85
"""Of what stands beside the contours, the least height of both, and what words take above the losses."""
RING: dict[str, Any] = {
    "markersize": 8, "markerfacecolor": "white", "markeredgecolor": RUNS[0], "markeredgewidth": 2.2,
}  # fmt: skip
QUANTILE = 0.005
"""Of all losses of a film's frames, what the scale leaves out at either end."""


def scale_of(film: Film, kind: str, log: bool = False) -> Scale:
    """The scale of all frames of a film.

    Of many surfaces it leaves out the least and greatest QUANTILE of their losses, so that a few extreme ones do not
    decide what can be seen of all others.
    """
    split = f"{film.split}_loss"
    if kind == "descent":
        return choose_scale(film.surface(kind, 0).values(split), log)
    drawn = finite(np.concatenate([surface.table[split].to_numpy() for surface in film.surfaces(kind)]))
    if not np.isfinite(drawn).any():
        return choose_scale(drawn, log)
    low = np.nanquantile(drawn, QUANTILE, method="higher")  # a loss that is there, not one between
    high = np.nanquantile(drawn, 1 - QUANTILE, method="lower")
    scale = choose_scale(np.clip(drawn, low, high), log)
    values = drawn[np.isfinite(drawn)]
    note = "One scale for all frames"
    if share := 100 * float(((values < scale.low) | (values > scale.high)).mean()):
        note += f", from {number(scale.low, 3)} to {number(scale.high, 3)}: {number(share, 2)} % of all losses lie "
        note += "beyond it and are drawn at its ends"
    scale.notes.append(f"{note}.")
    return scale


@style()
def build_descent(
    film: Film, frame: int, *, scale: Scale | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """The path up to a frame's checkpoint over the surface, and its true losses beside those of the plane below.

    frame: from 0, or from the end below 0; scale: of scale_of, where it is known. Raises BadInput.
    """
    scale = scale or scale_of(film, "descent", log)
    surface, row = film.surface("descent", 0), film.rows("descent").iloc[frame]
    reached = film.reached(frame)
    panel, figure = _sheet(film, "descent", surface, scale, captioned)
    axes = _contours(panel, surface, film, scale)
    x, y = (film.trail.table[axis].to_numpy()[: reached + 1] for axis in ("x", "y"))
    axes.plot(x, y, color=RUNS[0], label="path", **LINE)
    axes.plot(x[-1:], y[-1:], "o", zorder=4, label="checkpoint", **RING)
    at = Places.of(surface, words=False)
    beside = add(panel, (at.right, BOTTOM, RIGHT_WIDTH, at.height - TITLE - WORDS - BOTTOM))
    _draw_losses(beside, film, reached)
    write, top = _writer(panel, at), at.height - TITLE - 0.15
    write(at.right - 0.05, top, when(row), size=14, weight="bold")
    write(at.right - 0.05, top - 0.24, loss_words(film, row), size=10)
    below = f"plane below {number(row[f'plane_{film.split}_loss'])}, checkpoint {number(row['off_plane'], 3)} off it"
    write(at.right - 0.05, top - 0.44, below, size=9, color="0.3")
    return figure


@style()
def build_plane(
    film: Film, frame: int, *, scale: Scale | None = None, log: bool = False, captioned: bool = True
) -> Figure:
    """The plane around a frame's checkpoint as contours and in three dimensions; arguments as for build_descent."""
    scale = scale or scale_of(film, "plane", log)
    surface, row = film.surface("plane", frame), film.rows("plane").iloc[frame]
    panel, figure = _sheet(film, "plane", surface, scale, captioned)
    _contours(panel, surface, film, scale)
    heights = scale.heights(surface.values(f"{film.split}_loss"))
    at = Places.of(surface, words=True)
    solid(
        panel, (at.right - 0.9, BOTTOM - 0.35, RIGHT_WIDTH + 0.9, at.height - TITLE - BOTTOM), surface, heights, scale
    )
    write, top = _writer(panel, at), at.height - TITLE - 0.15
    write(LEFT, top, when(row), size=14, weight="bold")
    write(LEFT + 1.4, top, f"{loss_words(film, row)} at the checkpoint", size=10)
    return figure


BUILDERS: dict[str, Callable[..., Figure]] = {"descent": build_descent, "plane": build_plane}


@dataclass(frozen=True)
class Places:
    """Where things stand in a frame, in inches: as large a surface as there is room for, whatever its sides are."""

    wide: float
    """Of the contours."""
    high: float
    height: float
    """Of the frame without its caption."""

    @classmethod
    def of(cls, surface: Surface, *, words: bool) -> "Places":
        """For a surface; words: whether words stand above the contours."""
        sides = meshes.sides_of(surface) if meshes.is_even(surface) else 1.0
        wide = min(SIDE * max(sides, 1.0), LONGEST) if sides >= 1 else min(SIDE / sides, LONGEST) * sides
        above = TITLE + (0.45 if words else 0.0)
        return cls(wide, wide / sides, BOTTOM + max(wide / sides, LOW) + above)

    @property
    def right(self) -> float:
        """Where what is beside the contours begins."""
        return LEFT + self.wide + BAR_GAP + BAR + GAP

    @property
    def width(self) -> float:
        """Of the frame."""
        return self.right + RIGHT_WIDTH + MARGIN


def _sheet(film: Film, kind: str, surface: Surface, scale: Scale, captioned: bool) -> tuple[SubFigure, Figure]:
    below = CAPTIONS[kind](film, scale) if captioned else None
    at = Places.of(surface, words=kind == "plane")
    figure, panel = sheet(at.width, at.height, title(film, kind), below, inches=True)
    figure.set_layout_engine("none")
    return panel, figure


def _writer(panel: SubFigure, at: Places) -> Callable[..., Any]:

    def write(left: float, bottom: float, text: str, **look: Any) -> None:
        panel.text(left / at.width, bottom / at.height, text, va="center", **look)

    return write


def _contours(panel: SubFigure, surface: Surface, film: Film, scale: Scale) -> Axes:
    at = Places.of(surface, words=False)
    box = (LEFT, BOTTOM + max(LOW - at.high, 0) / 2, at.wide, at.high)
    heights = scale.heights(surface.values(f"{film.split}_loss"))
    axes = contours(panel, box, surface, heights, scale)
    axes.set_xlabel(axis_label(surface.settings, "x", 1), size=8)
    axes.set_ylabel(axis_label(surface.settings, "y", 2), size=8)
    label = f"{film.split} loss{scale.suffix}"
    colour_bar(panel, (LEFT + at.wide + BAR_GAP, box[1], BAR, at.high), scale, label)
    return axes


def _draw_losses(axes: Axes, film: Film, reached: int) -> None:
    table, split = film.trail.table, film.split
    by = "epoch" if np.isfinite(table["epoch"]).all() else "step"
    time = table[by].to_numpy()
    lines = {"true": (f"{split}_loss", "-", RUNS[0]), "plane below": (f"plane_{split}_loss", (0, (2, 1.4)), "0.35")}
    drawn = [finite(table[column].to_numpy()) for column, _, _ in lines.values()]
    shown = [
        axes.plot(time, values, linestyle=dash, color=colour, label=name)[0]
        for values, (name, (_, dash, colour)) in zip(drawn, lines.items(), strict=True)
    ]
    axes.plot(time[reached], drawn[0][reached], "o", **RING, label="_now", clip_on=False, zorder=4)
    loss_axis(axes, drawn, spans_decades(drawn))
    for line, values in zip(shown, drawn, strict=True):  # the axes are those of the whole path
        line.set_data(time[: reached + 1], values[: reached + 1])
    axes.set_xlabel(by, size=8)
    numbers(axes.xaxis)
    axes.set_ylabel(f"{split} loss", size=8)
    axes.tick_params(labelsize=8)
    axes.legend(loc="upper right", fontsize=8)


def title(film: Film, kind: str) -> str:
    """One line that says what a film shows."""
    run = shortened(film.run, 34)
    if kind == "descent":
        centre = captions.point_name(film.settings["centre"])
        return f"Descent of {run} over the plane around {centre} ({film.split} data)"
    return f"Loss around every checkpoint of {run} in one fixed plane ({film.split} data)"


def loss_words(film: Film, row: pd.Series) -> str:
    """The loss and other metrics of a frame's checkpoint."""
    others = value_words(row.to_dict(), film.split, film.metrics)
    return ", ".join(filter(None, [f"{film.split} loss {number(row[f'{film.split}_loss'])}", others]))


def descent_caption(film: Film, scale: Scale) -> str:
    """What the surface is, how true the path is to it, and what is drawn."""
    surface = film.surface("descent", 0)
    return captions.surface_caption(
        surface,
        film.split,
        "★ marks the centre, the ring the checkpoint of the frame.",
        *path_words(surface, film.split),
        *scale.lost_words("Hatched"),
        *scale.notes,
    )


def plane_caption(film: Film, scale: Scale) -> str:
    """What all frames share: directions, axes, scale, data."""
    surfaces, rows = film.surfaces("plane"), film.rows("plane")
    first, last = surfaces[0], surfaces[-1]
    failed = [words for surface in surfaces for words in captions.failure_words(surface)][:1]
    span = f"{counted(len(rows), 'frame')}, {when(rows.iloc[0])} to {when(rows.iloc[-1]).removeprefix('epoch ')}"
    words = [
        *failed,
        f"Loss at θₖ + x·d₁ + y·d₂, θₖ a checkpoint of {shortened(film.run)} (★): {span}, {captions.grid_words(last)} "
        "each.",
        sentence(first.settings, 2),
        "Directions, axes and scale are those of all frames.",
        *captions.conditions(last, [film.split], "each frame's checkpoint"),
    ]
    if captions.sampled(last, film.split) or "precision_check" in last.certificate:
        words.append("Errors are those of the last frame.")
    return " ".join([*words, *scale.lost_words("Hatched, or left open"), *scale.notes])


CAPTIONS = {"descent": descent_caption, "plane": plane_caption}


def alt(film: Film, kind: str) -> str:
    """What a reader who cannot see a film should know."""
    rows = film.rows(kind)
    first, last = (loss_words(film, rows.iloc[frame]) for frame in (0, -1))
    return (
        f"{title(film, kind)}, {counted(len(rows), 'frame')}: from {first} at {when(rows.iloc[0])} to {last} at "
        f"{when(rows.iloc[-1])}."
    )


def draw(result: Film, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write each kind of film and its last frame beside it; returns what lies where. Raises as write_movie."""
    drawn: dict[str, Path | str] = {}
    for kind in result.kinds:
        build = partial(BUILDERS[kind], result, scale=scale_of(result, kind, drawing.log))
        count, path = len(result.rows(kind)), result.folder / kind
        written = write_movie(build, count, path, drawing.movies, drawing.fps, quiet)
        drawn[kind] = "\n".join(map(str, written))
    return {**drawn, "frames": result.folder / FILMS}


def section(result: Film, page: Page) -> Section:
    """Its part of the page: the films as they were drawn, with the table of their frames."""
    charts, files = [], []
    for kind in result.kinds:
        copies = [page.copy(file) for file in files_of(result.folder, kind)]
        shown = [address for name, address in copies if not name.endswith(".mp4")]
        if not shown:
            raise BadInput(f"{kind} is not drawn: run the command again")
        # of GIF and PNG the one that stands still: the chart plays
        still = Picture(shown[-1], alt(result, kind), _short_caption(result, kind), panels=2)
        charts.append(Chart(kind, "surfaces", DATA[kind](result, page), still))
        files += copies
    links = result.table.drop_duplicates("landscape").to_dict("records")
    own = Sentences(
        [
            f"{len(result.shown)} of the frames are landscapes of their own in the run's folder, each with its "
            "certificate, and are not shown once more."
        ]
    )
    return Section(
        title=_section_title(result),
        parts=[*charts, own] if result.shown else charts,
        files=[*files, *page.copy_result(result.folder)],
        failures=[
            f"{row['film']}, {row['checkpoint']}"
            for row in links
            if certificates.failures(read_json(result.folder / str(row["landscape"]) / CERTIFICATE))
        ],
        warning="The certificates of these frames FAILED: do not rely on them.",
    )


DATA: dict[str, Callable[[Film, Page], dict[str, Any]]] = {
    "descent": lambda film, page: descent_data(film, page.log, page.looks),
    "plane": lambda film, page: frames_data(film, scale_of(film, "plane", page.log)),
}


def _section_title(film: Film) -> str:
    """The centre, the frames, and what tells the film from others."""
    settings = film.settings
    extras = [" and ".join(f"{counted(len(film.rows(kind)), 'frame')} of {kind}" for kind in film.kinds)]
    extras += [f"{film.split} data"] if film.split != "train" else []
    extras += captions.targets_extra(settings)
    return ", ".join([str(settings["centre"]["checkpoint"]), *extras, *captions.title_extras(settings)])


def _short_caption(film: Film, kind: str) -> str:
    """Its first and last frame; the rest stands below the frames themselves."""
    ends = [f"{when(row)}: {loss_words(film, row)}" for _, row in film.rows(kind).iloc[[0, -1]].iterrows()]
    return f"{title(film, kind)}. {'; '.join(ends)}. What it is of stands below the frames."

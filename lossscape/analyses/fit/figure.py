"""A fit as figures: panels over training, a film; its part of the page."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.analyses.fit.chart import MOST_LINES, fit_data, limits
from lossscape.analyses.fit.request import Drawing
from lossscape.analyses.fit.result import FIT, Fit
from lossscape.certificate.summary import summary
from lossscape.figures import captions
from lossscape.figures.certificates import certificate_of, failures
from lossscape.figures.movies import files_of, write_movie
from lossscape.figures.section import Chart, Page, Section
from lossscape.figures.style import COLOURS, new_axes, numbers, save, sheet, style
from lossscape.figures.text import finite, shortened
from lossscape.figures.times import ends_words, times_of
from lossscape.text import number

PNG, FILM = "fit.png", "film"
PANELS = 6
PALE = 0.6
"""How much of white is in the colour of a class where its probability is 1."""


def draw(result: Fit, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write panels and, of several checkpoints, the film beside the table; returns what lies where."""
    folder = result.folder
    figure = save(build_fit(result), folder / PNG)
    drawn: dict[str, Path | str] = {"outputs": folder / f"{FIT}.csv", "figure": figure}
    if len(result.moments) > 1:
        build = partial(build_frame, result)
        films = write_movie(build, len(result.moments), folder / FILM, drawing.movies, drawing.fps, quiet)
        drawn["film"] = "\n".join(map(str, films))
    return {**drawn, "certificate": summary(folder)}


@style()
def build_fit(result: Fit, *, captioned: bool = True) -> Figure:
    """Panels of at most six checkpoints, evenly over training."""
    count = len(result.moments)
    frames = np.unique(np.linspace(0, count - 1, min(count, PANELS)).round().astype(int)).tolist()
    columns = min(len(frames), 3)
    rows = -(-len(frames) // columns)
    caption = _caption(result) if captioned else None
    width = 3.4 * columns if columns > 1 else 5.0
    figure, panel = sheet(width, 3.1 * rows + 0.4, f"Fit of {shortened(result.run)}", caption, _key(result))
    grid = panel.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= len(frames):
            axes.set_axis_off()
            continue
        fit_axes(result, frames[place], axes)
        axes.set_title(_when(result, frames[place]), size=10)
        axes.label_outer()
    return figure


@style()
def build_frame(result: Fit, frame: int) -> Figure:
    """A frame of the film."""
    figure, panel = sheet(5.2, 4.4, f"Fit of {shortened(result.run)}, {_when(result, frame)}", None, _key(result))
    fit_axes(result, frame, panel.subplots())
    return figure


@style()
def fit_axes(result: Fit, frame: int = -1, ax: Axes | None = None) -> Axes:
    """Draw what the net of a checkpoint gives into axes, by default new ones, with the samples; returns the axes.

    frame: number of the checkpoint, the last by default.
    """
    axes = new_axes() if ax is None else ax
    frame = range(len(result.moments))[frame]
    axes.grid(False)
    if len(result.coordinates) == 1:
        _line(axes, result, frame)
    elif result.classes:
        _classes(axes, result, frame)
    else:
        _heights(axes, result, frame)
    axes.set_xlabel("x")
    axes.set_ylabel("y" if len(result.coordinates) == 2 else "probability" if result.classes else "output")
    numbers(axes.xaxis)
    numbers(axes.yaxis)
    return axes


def _line(axes: Axes, result: Fit, frame: int) -> None:
    """Outputs over one input."""
    x, samples = result.axis("x"), result.samples
    values = result.values(frame)
    if result.classes:
        for label in samples["target"].unique():
            own = samples[samples["target"] == label]
            axes.plot(own["x"], np.full(len(own), -0.04), "|", color=_colour(int(label)), label=f"_class {label}")
    else:
        axes.plot(samples["x"], samples["target"], ".", color="0.55", markersize=4, label="_samples")
    for index, own in enumerate(values[:MOST_LINES]):
        axes.plot(x, finite(own), color=_colour(index), label=f"_output {index}")
    low, high = limits(result)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))


def _classes(axes: Axes, result: Fit, frame: int) -> None:
    """Colours of classes mixed by their probabilities, their borders, and the samples."""
    x, y = result.axis("x"), result.axis("y")
    shares = np.nan_to_num(result.values(frame))
    pale = np.array([[1 - (1 - PALE) * (1 - part) for part in to_rgb(_colour(c))] for c in range(len(shares))])
    axes.imshow(
        np.einsum("cxy,ck->yxk", shares, pale).clip(0, 1), origin="lower", extent=_extent(x, y), aspect="auto",
        interpolation="bilinear", label="_probabilities",
    )  # fmt: skip
    borders = range(1 if len(shares) == 2 else 0, len(shares))
    for index in borders:
        others = np.delete(shares, index, axis=0).max(0)
        ahead = shares[index] - others
        if ahead.min() < 0 < ahead.max():
            axes.contour(x, y, ahead.T, levels=[0.0], colors="0.2", linewidths=1.2)
    for label in result.samples["target"].unique():
        own = result.samples[result.samples["target"] == label]
        colour = _colour(int(label))
        axes.plot(
            own["x"], own["y"], "o", color=colour, markersize=3.5, markeredgecolor="white", markeredgewidth=0.4,
            label=f"_class {label}",
        )  # fmt: skip


def _heights(axes: Axes, result: Fit, frame: int) -> None:
    """The first output by colour, and the samples' targets in the same colours."""
    x, y, samples = result.axis("x"), result.axis("y"), result.samples
    every = finite(result.table[result.outputs[0]].to_numpy())
    scale: dict[str, Any] = {
        "vmin": float(min(np.nanmin(every), samples["target"].min())),
        "vmax": float(max(np.nanmax(every), samples["target"].max())), "cmap": "viridis",
    }  # fmt: skip
    mesh = axes.imshow(
        result.values(frame)[0].T, origin="lower", extent=_extent(x, y), aspect="auto", label="_output", **scale
    )
    axes.scatter(
        samples["x"], samples["y"], c=samples["target"], s=14, edgecolors="white", linewidths=0.5, label="_samples",
        **scale,
    )  # fmt: skip
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.02)
    bar.set_label("output")


def _extent(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Of a picture whose pixels are around the inputs."""
    half = [(axis[1] - axis[0]) / 2 for axis in (x, y)]
    return x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1]


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _key(result: Fit) -> list[Line2D]:
    outputs = range(min(len(result.outputs), MOST_LINES))
    if result.classes:
        found = [Line2D([], [], color=_colour(c), marker="o", linestyle="", label=f"class {c}") for c in outputs]
        if len(result.coordinates) == 2:
            found.append(Line2D([], [], color="0.2", linewidth=1.2, label="border"))
        return found
    if len(result.coordinates) == 2:
        return []
    names = ["net"] if len(result.outputs) == 1 else [f"output {index}" for index in outputs]
    found = [Line2D([], [], color=_colour(index), label=name) for index, name in enumerate(names)]
    return [*found, Line2D([], [], color="0.55", marker=".", linestyle="", label="training samples")]


def _when(result: Fit, frame: int) -> str:
    times = times_of(result.moments)
    return times.names[frame] if times.names else f"{times.label} {number(times.values[frame], 9)}"


def _caption(result: Fit) -> str:
    settings = result.settings
    sizes = " × ".join(f"{size:,}" for size in settings["grid"])
    what = {
        (1, True): "Probability of each class; training samples below.",
        (2, True): "Colours of the classes, mixed by their probabilities; the border is where two are equal.",
        (1, False): "Outputs of the net and targets of training samples.",
        (2, False): "The net's output by colour, and training samples with their targets in the same colours.",
    }[len(result.coordinates), result.classes]
    shown, whole = len(result.samples), settings["samples"]["train"]
    marked = f"{shown:,} of {whole:,}" if shown < whole else f"{shown:,}"
    return " ".join([
        what, f"{sizes} inputs, in the units of the data set; {marked} training samples are marked. In eval mode.",
        *captions.conditions(result, ["train"], "each checkpoint"),
    ])  # fmt: skip


def section(result: Fit, page: Page) -> Section:
    """Its part of the page: outputs at each checkpoint, certificate and files."""
    checkpoints = list(result.moments["checkpoint"])
    alt = " ".join(f"{line}." for line in result.lines())
    caption = _caption(result)
    if len(result.coordinates) == 2 and result.classes:
        caption = f"Probabilities by colour, 0 to 100 %. In the still picture: {caption}"
    still = page.draw(build_fit(result, captioned=False), PNG, alt, caption)
    chart = Chart(FIT, "lines" if len(result.coordinates) == 1 else "surfaces", fit_data(result), still)
    copies = [page.copy(file) for file in files_of(result.folder, FILM)]
    title = ", ".join([ends_words(checkpoints), *captions.title_extras(result.settings)])
    return Section(
        title, [chart], [*copies, *page.copy_result(result.folder)],
        failures=failures(result.certificate), certificate=certificate_of(result.certificate, {}),
    )  # fmt: skip

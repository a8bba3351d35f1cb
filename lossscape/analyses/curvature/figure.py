"""Curvature as figures: eigenvalues by rank or over training, spectral densities; and its part of the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.analyses.curvature.chart import ORDINALS, WIDTH, density_data, drawn_at, spectrum_data
from lossscape.analyses.curvature.request import Drawing
from lossscape.analyses.curvature.result import (
    DENSITY,
    EIGENVALUES,
    TRACE,
    Curvature,
    estimate_words,
    index_words,
    kind_words,
)
from lossscape.figures import captions
from lossscape.figures.captions import BAND
from lossscape.figures.section import Chart, Page, Part, Section, Sentences, Table
from lossscape.figures.style import COLOURS, line_style, loss_axis, new_axes, numbers, save, sheet, style
from lossscape.figures.text import beyond_words, finite, shortened
from lossscape.figures.times import Times, ends_words, times_of
from lossscape.text import counted, number

SPECTRUM_PNG, DENSITY_PNG = "spectrum.png", "density.png"
PANELS, CURVES = 6, 4
"""Blocks and checkpoints of the densities that are drawn; the tables have all."""
LIMIT: dict[str, Any] = {"color": "0.25", "linestyle": (0, (5, 2)), "linewidth": 1.2}


def draw(result: Curvature, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figures of curvature beside it; returns what lies where."""
    folder = result.folder
    found: dict[str, Path | str] = {name: folder / f"{name}.csv" for name in (EIGENVALUES, TRACE)}
    figures = [save(build_spectrum(result), folder / SPECTRUM_PNG)]
    if len(result.densities):
        found[DENSITY] = folder / f"{DENSITY}.csv"
        figures.append(save(build_density(result), folder / DENSITY_PNG))
    return found | {"figures": "\n".join(figures)}


@style()
def build_spectrum(result: Curvature, *, captioned: bool = True) -> Figure:
    """Eigenvalues by rank and the trace of each block; of several checkpoints, eigenvalues, trace, gradient over time.

    With the limit of stability where there is one; with the loss where one end of the spectrum was not asked for.
    """
    caption = _spectrum_caption(result) if captioned else None
    if len(result.checkpoints) == 1:
        several = len(result.blocks) > 1
        figure, panel = sheet(10 if several else 6.5, 4.2, _title(result), caption, _known_key(result))
        axes = panel.subplots(1, 2 if several else 1, squeeze=False).flat
        _ranks(axes[0], result)
        if several:
            _by_block(axes[1], result)
        return figure
    signs = [sign for sign in (1, -1) if (result.table["rank"] * sign > 0).any()]
    figure, panel = sheet(10, 6.6, _title(result), caption, _over_key(result))
    grid = list(panel.subplots(2, 2).flat)
    for axes, sign in zip(grid, signs, strict=False):
        _eigenvalues_over(axes, result, sign)
    _traces_over(grid[len(signs)], result)
    _logarithmic_over(grid[len(signs) + 1], result, "gradient_norm", "gradient norm")
    for axes in grid[len(signs) + 2 :]:
        _logarithmic_over(axes, result, "loss", captions.loss_label([captions.loss_name(result.settings)]))
    times = _times(result)
    for axes in grid:
        times.name(axes)
    return figure


@style()
def build_density(result: Curvature, *, captioned: bool = True) -> Figure:
    """The spectral density on a logarithmic scale, a panel for each block, with the eigenvalues as marks."""
    blocks = result.blocks[:PANELS]
    columns = min(len(blocks), 2)
    rows = -(-len(blocks) // columns)
    shown = _shown(result)
    key = [Line2D([], [], color=COLOURS[i], label=name) for i, name in enumerate(shown)] if len(shown) > 1 else []
    caption = _density_caption(result) if captioned else None
    title = f"Spectral density of the {result.matrix} of {shortened(result.run)}"
    title += f"@{shown[0]}" if len(result.checkpoints) == 1 else ""
    figure, panel = sheet(6.5 if columns == 1 else 10, 0.6 + 3.4 * rows, title, caption, key)
    grid = list(panel.subplots(rows, columns, squeeze=False).flat)
    for axes, block in zip(grid, blocks, strict=False):
        density_axes(result, axes, block=block)
        if len(blocks) > 1:
            axes.set_title(shortened(block), size=10)
    for axes in grid[len(blocks) :]:
        axes.remove()
    return figure


@style()
def density_axes(result: Curvature, ax: Axes | None = None, *, block: str | None = None) -> Axes:
    """Draw the spectral density of a block, by default the first, into axes, by default new ones; returns the axes."""
    axes = new_axes() if ax is None else ax
    block = result.blocks[0] if block is None else block
    shown = _shown(result)
    densities = [result.density(checkpoint, block) for checkpoint in shown]
    at, width, floor = drawn_at(densities, 1000)
    drawn: list[np.ndarray] = []
    for index, (checkpoint, density) in enumerate(zip(shown, densities, strict=True)):
        colour = COLOURS[index]
        curve, error = density.smoothed(at, width)
        drawn.append(np.maximum(curve, floor))
        axes.plot(at, drawn[-1], color=colour, label=checkpoint, linewidth=1.3)
        if len(density.nodes) > 1:
            band = [np.maximum(curve + sign * BAND * error, floor) for sign in (-1, 1)]
            axes.fill_between(at, *band, color=colour, alpha=0.2, linewidth=0, label=f"_{checkpoint} band")
        values = result.of(result.table, checkpoint, block)["eigenvalue"].to_numpy()
        base = 0.02 + 0.05 * index
        axes.vlines(
            values, base, base + 0.04, transform=axes.get_xaxis_transform(), color=colour, linewidth=0.9,
            label=f"_{checkpoint} eigenvalues",
        )  # fmt: skip
    loss_axis(axes, drawn, log=True)
    axes.set_ylim(bottom=floor)
    axes.set_xlabel("eigenvalue")
    axes.set_ylabel("density")
    numbers(axes.xaxis)
    return axes


def _shown(result: Curvature) -> list[str]:
    """The checkpoints whose densities are drawn: as many as can be told apart, the first and the last among them."""
    every = result.checkpoints
    chosen = np.linspace(0, len(every) - 1, min(len(every), CURVES)).round().astype(int)
    return [every[index] for index in dict.fromkeys(chosen.tolist())]


def _ranks(axes: Axes, result: Curvature) -> None:
    """Eigenvalues from the largest to the smallest with their residuals; open marks have not converged."""
    (checkpoint,) = result.checkpoints
    for index, block in enumerate(result.blocks[:PANELS]):
        rows = result.of(result.table, checkpoint, block)
        place = np.arange(len(rows))
        values, error = rows["eigenvalue"].to_numpy(), rows["residual"].to_numpy()
        known = rows["converged"].to_numpy() == 1
        colour = COLOURS[index]
        axes.errorbar(place, values, error, fmt="none", ecolor=colour, elinewidth=1, label=f"_{block} residuals")
        for mask, fill in ((known, colour), (~known, "white")):
            axes.plot(
                place[mask], values[mask], "o", color=colour, markerfacecolor=fill, markersize=4.5, label=f"_{block}"
            )
    rows = result.of(result.table, checkpoint, result.blocks[0])
    ranks = rows["rank"].astype(int)
    longest = max(len(result.of(result.table, checkpoint, block)) for block in result.blocks)
    if longest == len(rows):
        step = -(-len(rows) // 16)
        axes.set_xticks(range(0, len(rows), step), [str(rank).replace("-", "−") for rank in ranks[::step]])
    axes.set_xlabel("rank, from the largest; −1 is the smallest")
    axes.set_ylabel("eigenvalue")
    axes.axhline(0, color="0.6", linewidth=0.8)
    _limit(axes, result)
    numbers(axes.yaxis)


def _by_block(axes: Axes, result: Curvature) -> None:
    """Trace of each block with its standard errors."""
    blocks = result.blocks[: 4 * PANELS]
    rows = [result.row(result.checkpoints[0], block) for block in blocks]
    place = np.arange(len(blocks))
    values = finite([row["trace"] for row in rows])
    error = BAND * finite([row["trace_stderr"] for row in rows])
    axes.errorbar(values, place, xerr=error, fmt="o", color=COLOURS[0], markersize=4.5, capsize=2, label="_trace")
    axes.set_yticks(place, [shortened(block, 24) for block in blocks])
    axes.invert_yaxis()
    axes.set_xlabel(f"trace (± {BAND} standard errors)")
    numbers(axes.xaxis)


def _times(result: Curvature) -> Times:
    """Where the checkpoints lie on the axis of time."""
    return times_of(result.traces[result.traces["block"] == result.blocks[0]])


def _eigenvalues_over(axes: Axes, result: Curvature, sign: int) -> None:
    """The largest (sign 1) or smallest (−1) eigenvalues over training; open marks have not converged."""
    times = dict(zip(result.checkpoints, _times(result).values, strict=True))
    rows = result.table[result.table["block"] == result.blocks[0]]
    for index in range(len(ORDINALS)):
        of_rank = rows[rows["rank"] == sign * (index + 1)]
        if of_rank.empty:
            continue
        place = of_rank["checkpoint"].map(times).to_numpy()
        values, known = of_rank["eigenvalue"].to_numpy(), of_rank["converged"].to_numpy() == 1
        look = line_style(index, len(of_rank)) | {"marker": ""}
        axes.plot(place, values, label=f"_rank {sign * (index + 1)}", **look)
        axes.plot(
            place[~known], values[~known], "o", markersize=4, color=look["color"], markerfacecolor="white",
            label=f"_rank {sign * (index + 1)} not converged",
        )  # fmt: skip
    axes.set_ylabel("largest eigenvalues" if sign > 0 else "smallest eigenvalues")
    numbers(axes.yaxis)
    if sign > 0:
        _limit(axes, result)
    else:
        axes.axhline(0, color="0.6", linewidth=0.8)


def _traces_over(axes: Axes, result: Curvature) -> None:
    rows = [result.row(checkpoint, result.blocks[0]) for checkpoint in result.checkpoints]
    times, values = _times(result).values, finite([row["trace"] for row in rows])
    error = BAND * finite([row["trace_stderr"] for row in rows])
    look = line_style(0, len(rows)) | {"marker": "", "markevery": None}
    axes.errorbar(times, values, error, elinewidth=0.8, capsize=1.5, label="_trace", **look)
    axes.set_ylabel(f"trace (± {BAND} standard errors)")
    numbers(axes.yaxis)


def _logarithmic_over(axes: Axes, result: Curvature, column: str, label: str) -> None:
    """A column of trace.csv over training, on a logarithmic scale."""
    values = finite([result.row(checkpoint, result.blocks[0])[column] for checkpoint in result.checkpoints])
    axes.plot(_times(result).values, values, label=f"_{column}", **(line_style(0, len(values)) | {"marker": ""}))
    axes.set_ylabel(label)
    loss_axis(axes, [values], log=True)


def _limit(axes: Axes, result: Curvature) -> None:
    """The limit of stability as a line."""
    if found := result.settings.get("stability"):
        axes.axhline(found["limit"], label="_limit of stability", **LIMIT)


def _limit_key(result: Curvature) -> list[Artist]:
    if not (found := result.settings.get("stability")):
        return []
    name = f"stability of {found['rule']} = {number(found['limit'])} (a guide: of a quadratic)"
    return [Line2D([], [], label=name, **LIMIT)]


def _known_key(result: Curvature) -> list[Artist]:
    shown = result.blocks[:PANELS]
    marks = [Line2D([], [], marker="o", linestyle="", color=COLOURS[i], label=name) for i, name in enumerate(shown)]
    return [*(marks if len(shown) > 1 else []), *_limit_key(result)]


def _over_key(result: Curvature) -> list[Artist]:
    ranks = set(result.table["rank"].abs().astype(int))
    lines = [
        Line2D([], [], color=line_style(index, 99)["color"], label=name)
        for index, name in enumerate(ORDINALS)
        if index + 1 in ranks
    ]
    return [*lines, *_limit_key(result)]


def _title(result: Curvature) -> str:
    at = f"@{result.checkpoints[0]}" if len(result.checkpoints) == 1 else ""
    over = " over training" if not at else ""
    return f"Curvature of {shortened(result.run)}{at}{over}: {result.matrix}"


def _objective_words(result: Curvature) -> str:
    """What the matrix is of, weight decay included or not."""
    what = {
        "hessian": "Second derivatives of the mean loss",
        "ggn": "Gauss–Newton matrix of the mean loss",
        "gradient_covariance": "Covariance of the gradients of the samples' losses",
    }[result.settings["matrix"]]
    if result.settings["weight_decay"] == "include":
        rates = " and ".join(number(rate) for rate in result.settings["lambda"]) or "0"
        return f"{what} plus weight decay λ/2·‖θ‖², λ = {rates}."
    return f"{what}, weight decay not included." if result.settings["matrix"] != "gradient_covariance" else f"{what}."


def _conditions(result: Curvature) -> list[str]:
    return captions.conditions(result, [result.settings["split"]], "each checkpoint")


def _converged_words(result: Curvature) -> str:
    lost = int((result.table["converged"] != 1).sum())
    words = f"Residual ‖Hx − λx‖ of all at most {number(result.settings['tolerance'])} |λ|, or rounding."
    if not lost:
        return words
    return (
        f"{lost:,} of {counted(len(result.table), 'eigenvalue')} with a residual above "
        f"{number(result.settings['tolerance'])} |λ| (open marks): within their residual of an eigenvalue."
    )


def _spectrum_caption(result: Curvature) -> str:
    return " ".join([
        _objective_words(result), _converged_words(result), *result.thresholds(), *_stability_words(result),
        *beyond_words(result.table["eigenvalue"], result.traces["trace"]), *_conditions(result),
    ])  # fmt: skip


def _stability_words(result: Curvature) -> list[str]:
    if not (found := result.settings.get("stability")):
        return []
    return [
        f"Stability of {found['rule']}: above {number(found['limit'])} the steps of training on a quadratic would "
        "grow; a net is none, so this is a guide."
    ]


def _density_caption(result: Curvature) -> str:
    settings = result.settings
    words = [
        _objective_words(result),
        f"Stochastic Lanczos quadrature, {counted(settings['vectors'], 'random vector')} of "
        f"{counted(settings['steps'], 'step')}, seed {settings['seed']}; each eigenvalue as a Gaussian of standard "
        f"deviation {WIDTH:.0%} of the axis' range.",
    ]
    if settings["vectors"] > 1:
        words.append(f"Bands: ± {BAND} standard errors over the vectors.")
    words.append("Marks at the bottom: the eigenvalues of the table. An estimate: the index is not taken from it.")
    if left := len(result.blocks) - PANELS:
        words += [f"{counted(left, 'more block')} in {DENSITY}.csv."] if left > 0 else []
    return " ".join([*words, *_conditions(result)])


def section(result: Curvature, page: Page) -> Section:
    """Its part of the page: figures, the table of checkpoints and blocks, what it says in words, and its files."""
    still = page.draw(build_spectrum(result, captioned=False), SPECTRUM_PNG, _alt(result), _spectrum_caption(result))
    parts: list[Part] = [Chart("spectrum", "lines", spectrum_data(result), still)]
    if len(result.densities):
        alt = f"Spectral density of {', '.join(_shown(result))}; the table has the ends of the spectrum."
        figure = build_density(result, captioned=False)
        still = page.draw(figure, DENSITY_PNG, alt, _density_caption(result))
        parts.append(Chart("density", "lines", density_data(result, _shown(result)), still))
    parts.append(_table(result))
    if words := result.thresholds():
        parts.append(Sentences(words))
    return Section(title=_section_title(result), parts=parts, files=page.copy_result(result.folder))


def _section_title(result: Curvature) -> str:
    settings = result.settings
    extras = [result.matrix, *(["with weight decay"] if settings["weight_decay"] == "include" else [])]
    return ", ".join(
        [ends_words(result.checkpoints), *extras, *captions.targets_extra(settings), *captions.title_extras(settings)]
    )


def _alt(result: Curvature) -> str:
    every = result.checkpoints
    ends = every if len(every) == 1 else [every[0], every[-1]]
    return " ".join(f"{result.line(checkpoint)}." for checkpoint in ends)


def _table(result: Curvature) -> Table:
    """A row for each checkpoint and block."""
    rows = []
    several = len(result.blocks) > 1
    for checkpoint in result.checkpoints:
        for block in result.blocks:
            row, values = result.row(checkpoint, block), result.of(result.table, checkpoint, block)
            ends = [_end(values, rank) for rank in (1, -1)]
            name = checkpoint if not several else f"{checkpoint}: {block}"
            rows.append([
                name, number(row["loss"]), number(row["gradient_norm"], 3), *ends,
                estimate_words(row["trace"], row["trace_stderr"]),
                estimate_words(row["frobenius"], row["frobenius_stderr"]), index_words(row), kind_words(row),
            ])  # fmt: skip
    head = [
        "checkpoint", "loss", "gradient norm", "largest", "smallest", "trace", "Frobenius norm", "negative", "kind",
    ]  # fmt: skip
    empty = [index for index in (7, 8) if not any(row[index] for row in rows)]
    kept = [index for index in range(len(head)) if index not in empty]
    shown = [[row[index] for index in kept] for row in rows]
    caption = "± one standard error; of eigenvalues that have not converged the residual."
    words = [kept.index(8)] if 8 in kept else []
    return Table(shown, [head[index] for index in kept], caption, words=words)


def _end(values: pd.DataFrame, rank: int) -> str:
    """An eigenvalue in words; empty where it was not computed."""
    for row in values[values["rank"] == rank].to_dict("records"):
        return number(row["eigenvalue"]) if row["converged"] else estimate_words(row["eigenvalue"], row["residual"])
    return ""

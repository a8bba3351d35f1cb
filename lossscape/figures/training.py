"""Training curves: loss and accuracy by epoch, of one run or of several in one figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.errors import BadInput
from lossscape.figures.facts import Facts, facts_of, names_of
from lossscape.figures.phrases import LOSSES
from lossscape.figures.style import (
    COLOURS,
    DASHES,
    line_style,
    loss_axis,
    numbers,
    save,
    sheet,
    split_key,
    steady,
    style,
)
from lossscape.figures.text import finite, shortened
from lossscape.text import number

if TYPE_CHECKING:
    from lossscape.runs import Run

SPLITS = ("train", "test")


def draw_training(runs: "Sequence[Run]", path: Path, *, log: bool = False) -> None:
    """Write the figure of build_training as PNG."""
    save(build_training(runs, log=log), path)


@style()
def build_training(runs: "Sequence[Run]", *, log: bool = False, captioned: bool = True) -> Figure:
    """Loss and accuracy by epoch, train solid and test dashed; of a single run learning rate and gradient norm too,
    where it knows them.

    log: a logarithmic loss axis; captioned: with data, net and optimizer in small print below. Raises BadInput where
    there is nothing to draw or a run cannot be read.
    """
    if not runs:
        raise BadInput("no run to draw")
    facts, names = [facts_of(run) for run in runs], names_of(runs)
    caption = training_caption(facts, names) if captioned else None
    alone = len(runs) == 1
    title = f"Training of {names[0]}" if alone else f"Training of {len(runs)} runs"
    metrics = facts[0].metrics
    stepped = alone and (metrics.empty or bool(metrics[["lr", "grad_norm"]].notna().any(axis=None)))
    figure, panel = sheet(10, 7.0 if stepped else 4.0, title, caption, _key(facts, names))
    grid = panel.subplots(2 if stepped else 1, 2, squeeze=False)
    _losses(grid[0, 0], grid[0, 1], facts, log)
    if stepped:
        _steps(grid[1, 0], grid[1, 1], facts[0])
    for axes in grid.flat:
        axes.set_xlabel("epoch")
        numbers(axes.xaxis, 8, digits=9, integer=True)
    if all(each.metrics.empty for each in facts):
        grid[0, 0].text(0.5, 0.5, "no epoch yet", transform=grid[0, 0].transAxes, ha="center")
    return figure


def training_caption(facts: Sequence[Facts], names: Sequence[str]) -> str:
    """Data, net, optimizer and epochs of each run, and what the values are."""
    parts = ["Means over whole splits in eval mode, epoch 0 before training."]
    for each, name in zip(facts, names, strict=True):
        planned = "" if each.epochs is None else f" of {each.epochs}"
        parts.append(f"{name}: {each.words}; {each.epochs_done}{planned} epochs.")
    return (" " if len(facts) == 1 else "\n").join(parts)


def training_alt(facts: Facts) -> str:
    """What a reader who cannot see the figure of one run should know."""
    last = facts.last
    if not last:
        return "Empty axes: the run has no epoch yet."
    words = [
        f"The {split} loss is {number(last[f'{split}_loss'])} and the accuracy {last[f'{split}_accuracy']:.2%} after "
        f"epoch {facts.epochs_done}."
        for split in SPLITS
    ]
    stepped = facts.metrics[["lr", "grad_norm"]].notna().any(axis=None)
    what = "Loss, accuracy, learning rate and gradient norm" if stepped else "Loss and accuracy"
    return " ".join([f"{what} by epoch.", *words])


def _losses(left: Axes, right: Axes, facts: Sequence[Facts], log: bool) -> None:
    losses, accuracies = [], []
    for index, each in enumerate(facts):
        if each.metrics.empty:
            continue
        look = line_style(index, len(each.metrics))
        for number_of, split in enumerate(SPLITS):
            if len(facts) == 1:
                look["color"] = COLOURS[number_of]
            epoch = each.metrics["epoch"].to_numpy()
            loss = finite(each.metrics[f"{split}_loss"].to_numpy())
            accuracy = 100 * each.metrics[f"{split}_accuracy"].to_numpy()
            left.plot(epoch, loss, linestyle=DASHES[split], label=f"{each.name} {split}", **look)
            right.plot(epoch, accuracy, linestyle=DASHES[split], label=f"{each.name} {split}", **look)
            losses.append(loss)
            accuracies.append(accuracy[np.isfinite(accuracy)])
    names = {LOSSES.get(each.loss, shortened(each.loss)) for each in facts}
    left.set_ylabel(f"loss ({names.pop()}, mean per sample)" if len(names) == 1 else "loss (mean per sample)")
    right.set_ylabel("accuracy (%)")
    loss_axis(left, losses, log)
    numbers(right.yaxis)
    if accuracies:
        steady(right, np.concatenate(accuracies))


def _steps(rate: Axes, norm: Axes, facts: Facts) -> None:
    """Learning rate at the end of each epoch, and the mean gradient norm of its steps."""
    rate.set_ylabel("learning rate\n(last step of the epoch)")
    norm.set_ylabel("gradient norm (before clipping,\nmean over the epoch's steps)")
    for axes in (rate, norm):
        numbers(axes.yaxis)
    trained = facts.metrics[facts.metrics["epoch"] > 0] if len(facts.metrics) else facts.metrics
    for axes, column in ((rate, "lr"), (norm, "grad_norm")):
        if len(trained):
            values = finite(trained[column].to_numpy())
            axes.plot(trained["epoch"], values, label=column, **line_style(6, len(trained)))
            axes.set_ylim(0, 1.08 * max(float(np.nanmax(values, initial=0)), 1e-12))


def _key(facts: Sequence[Facts], names: Sequence[str]) -> list[Line2D]:
    if len(facts) == 1:
        return split_key(SPLITS, COLOURS[:2])
    lines = [
        Line2D([], [], label=name, **line_style(index, len(each.metrics)))
        for index, (each, name) in enumerate(zip(facts, names, strict=True))
    ]
    return lines + split_key(SPLITS, ["0.35"] * 2)

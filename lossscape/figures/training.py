"""Training curves: loss and another metric by epoch, of one run or of several in one figure."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lossscape.errors import BadInput
from lossscape.figures.captions import loss_label
from lossscape.figures.facts import Facts, epochs_words, facts_of, full_names, names_of
from lossscape.figures.metrics import metric, value_words
from lossscape.figures.section import Chart, Page, Picture
from lossscape.figures.style import (
    ALONE,
    COLOURS,
    DASHES,
    Looks,
    line_key,
    line_style,
    loss_axis,
    numbers,
    sheet,
    style,
    symbol_of,
    value_axis,
)
from lossscape.figures.text import beyond_words, finite
from lossscape.results import evaluated
from lossscape.runfiles import RunFiles
from lossscape.text import number

SPLITS = ("train", "test")


@style()
def build_training(
    runs: Sequence[RunFiles], *, log: bool = False, captioned: bool = True, looks: Looks = ALONE
) -> Figure:
    """Loss and the first other metric by epoch, train solid and test dashed; of one run its steps too.

    log: a logarithmic loss axis; captioned: with data, net and optimizer in small print below; looks: those of the
    page's runs. Raises BadInput where there is nothing to draw or a run cannot be read.
    """
    if not runs:
        raise BadInput("no run to draw")
    facts, names = [facts_of(run) for run in runs], names_of(runs)
    caption = training_caption(facts, names) if captioned else None
    alone = len(runs) == 1
    title = f"Training of {names[0]}" if alone else f"Training of {len(runs)} runs"
    others = list(dict.fromkeys(name for each in facts for name in each.others))[:1]
    steps = _steps(facts[0]) if alone else []
    panels = 1 + len(others) + len(steps)
    rows = -(-panels // 2)
    lines = looks.lines([run.path for run in runs], [len(each.metrics) for each in facts])
    own = lines[0]["color"] if alone else None
    key = line_key({} if alone else dict(zip(names, lines, strict=True)), SPLITS, own)
    figure, panel = sheet(10, 1 + 3.0 * rows, title, caption, key)
    grid = panel.subplots(rows, min(panels, 2), squeeze=False)
    axes = list(grid.flat)
    loss_axis(axes[0], _draw(axes[0], facts, "loss", lines), log)
    axes[0].set_ylabel(loss_label(each.loss for each in facts))
    for name in others:
        values = _draw(axes[1], facts, name, lines)
        axes[1].set_ylabel(metric(name).axis())
        value_axis(axes[1], values)
    for each, draw in zip(axes[1 + len(others) :], steps, strict=False):
        draw(each, facts[0], own)
    for each in axes[panels:]:
        each.remove()
    for each in axes[:panels]:
        each.set_xlabel("epoch")
        numbers(each.xaxis, 8, digits=9, integer=True)
    if all(each.metrics.empty for each in facts):
        axes[0].text(0.5, 0.5, "no epoch yet", transform=axes[0].transAxes, ha="center")
    return figure


def training_picture(runs: Sequence[RunFiles], page: Page, alt: str) -> Picture:
    """The figure of build_training on the page."""
    caption = training_caption([facts_of(run) for run in runs], names_of(runs))
    return page.draw(
        build_training(runs, log=page.log, captioned=False, looks=page.looks), "training.png", alt, caption
    )


PLAIN_STEPS = {"lr": "learning rate", "grad_norm": "gradient norm"}


def training_chart(runs: Sequence[RunFiles], page: Page, alt: str) -> Chart:
    """The same as lines that move: all metrics of both splits, learning rate and gradient norm, of every run."""
    facts, names = [facts_of(run) for run in runs], full_names(runs)
    looks = page.looks.lines([run.path for run in runs], [1] * len(runs))
    lines: list[dict[str, Any]] = []
    for each, name, look in zip(facts, names, looks, strict=True):
        shown, trained = evaluated(each.metrics), _trained(each)
        for split, colour in zip(SPLITS, COLOURS, strict=False):
            for key in ("loss", *each.others):
                if f"{split}_{key}" in shown:
                    values = metric(key).scale * shown[f"{split}_{key}"].to_numpy(dtype=float)
                    line = {"run": name, "split": split, "panel": key, "colour": look["color"] or colour}
                    line |= symbol_of(look["marker"])
                    lines.append(line | {"x": shown["epoch"].to_numpy(dtype=int), "y": values})
        for key in PLAIN_STEPS:
            if key in trained and np.isfinite(values := trained[key].to_numpy(dtype=float)).any():
                line = {"run": name, "split": "", "panel": key, "colour": look["color"] or COLOURS[0]}
                line |= symbol_of(look["marker"])
                lines.append(line | {"x": trained["epoch"].to_numpy(dtype=int), "y": values})
    others = dict.fromkeys(name for each in facts for name in each.others)
    labels = {"loss": loss_label(each.loss for each in facts), **{key: metric(key).axis() for key in others}}
    panels = [
        {"key": key, "label": label, "log": key in ("loss", *PLAIN_STEPS), "shown": key not in PLAIN_STEPS}
        for key, label in (labels | PLAIN_STEPS).items()
        if any(line["panel"] == key for line in lines)
    ]
    data = {"x": "epoch", "panels": panels, "lines": lines, "log": page.log}
    return Chart("training", "lines", data, training_picture(runs, page, alt))


def shown_words(facts: Sequence[Facts]) -> str:
    """What a figure of training shows beside the loss: Loss and accuracy."""
    others = list(dict.fromkeys(metric(name).label for each in facts for name in each.others))
    return " and ".join(["Loss", *others[:1]])


def training_caption(facts: Sequence[Facts], names: Sequence[str]) -> str:
    """Data, net, optimizer and epochs of each run, and what the values are."""
    parts = ["Means over whole splits in eval mode, epoch 0 before training."]
    for each, name in zip(facts, names, strict=True):
        parts.append(f"{name}: {each.words}; {epochs_words(each.epochs_done, each.epochs)}{_evaluated(each)}.")
        shown = [f"{split}_{key}" for split in SPLITS for key in ("loss", *each.others)]
        left = beyond_words(*(each.metrics[column] for column in (*shown, *PLAIN_STEPS) if column in each.metrics))
        parts[-1] = " ".join([parts[-1], *left])
    return (" " if len(facts) == 1 else "\n").join(parts)


def _evaluated(facts: Facts) -> str:
    epochs = evaluated(facts.metrics)["epoch"].to_numpy() if len(facts.metrics) else np.empty(0)
    apart = int(np.diff(epochs).max(initial=1))
    return f", evaluated every {apart} epochs" if apart > 1 else ""


def training_alt(facts: Facts) -> str:
    """What a reader who cannot see the figure of one run should know."""
    last = facts.last
    if not last:
        return "Empty axes: the run has no epoch yet."
    words = []
    for split in SPLITS:
        parts = [f"loss {number(last[f'{split}_loss'])}", value_words(last, split, facts.others)]
        words.append(f"{split} {', '.join(filter(None, parts))}")
    return f"{shown_words([facts])} by epoch; after epoch {facts.epochs_done}: {'; '.join(words)}."


def _draw(axes: Axes, facts: Sequence[Facts], name: str, lines: Sequence[Mapping[str, Any]]) -> list[np.ndarray]:
    """Draw a metric of both splits of every run that has it; returns what is drawn, NaN for gaps.

    lines: how each run is drawn; without a colour, each split has one
    """
    drawn = []
    for each, line in zip(facts, lines, strict=True):
        for number_of, split in enumerate(SPLITS):
            if f"{split}_{name}" not in each.metrics:
                continue
            look = {**line, "color": line["color"] or COLOURS[number_of]}
            shown = evaluated(each.metrics)
            values = metric(name).scale * finite(shown[f"{split}_{name}"].to_numpy())
            label = f"{each.name} {split}"
            axes.plot(shown["epoch"], values, linestyle=DASHES[split], label=label, **look)
            drawn.append(values)
    return drawn


STEPS = {
    "lr": "learning rate\n(last step of the epoch)",
    "grad_norm": "gradient norm (before clipping,\nmean over the epoch's steps)",
}
COST = {
    "function_evaluations": "values",
    "gradient_evaluations": "gradients",
    "hessian_products": "Hessian-vector products",
}
"""By column: what a full-batch method asks for."""
Draw = Callable[[Axes, Facts, str | None], None]


def _steps(facts: Facts) -> list[Draw]:
    """What is drawn of the steps of one run: learning rate and gradient; of a full-batch method cost and gradient."""
    trained = _trained(facts)
    if not trained.empty and not np.isfinite(trained[[*STEPS]].to_numpy()).any():
        return []
    if COST.keys() <= set(facts.metrics):
        return [_draw_cost, _draw_start]
    return [partial(_draw_steps, "lr"), partial(_draw_steps, "grad_norm")]


def _trained(facts: Facts) -> pd.DataFrame:
    return facts.metrics[facts.metrics["epoch"] > 0] if len(facts.metrics) else facts.metrics


def _look(points: int, own: str | None) -> dict[str, Any]:
    return line_style(6, points) | ({"color": own} if own else {})


def _draw_steps(column: str, axes: Axes, facts: Facts, own: str | None) -> None:
    axes.set_ylabel(STEPS[column])
    numbers(axes.yaxis)
    trained = _trained(facts)
    if len(trained):
        values = finite(trained[column].to_numpy())
        axes.plot(trained["epoch"], values, label=column, **_look(len(trained), own))
        axes.set_ylim(0, 1.08 * max(float(np.nanmax(values, initial=0)), 1e-12))


def _draw_cost(axes: Axes, facts: Facts, own: str | None) -> None:
    """What the method has asked for since the start."""
    axes.set_ylabel("evaluations of the whole\ntraining split so far")
    trained = _trained(facts)
    drawn = []
    for column, dash in zip(COST, ("-", "--", ":"), strict=True):
        if len(trained) and trained[column].any():
            drawn.append(trained[column].to_numpy(dtype=float))
            axes.plot(trained["epoch"], drawn[-1], dash, label=COST[column], **_look(len(trained), own))
    loss_axis(axes, drawn, log=True)
    if drawn:
        axes.legend()


def _draw_start(axes: Axes, facts: Facts, own: str | None) -> None:
    """The gradient that its steps began with, which falls to rounding where it converges."""
    axes.set_ylabel("gradient norm\n(where the epoch's step began)")
    trained = _trained(facts)
    values = finite(trained["grad_norm"].to_numpy()) if len(trained) else np.empty(0)
    axes.plot(trained["epoch"] if len(trained) else [], values, label="grad_norm", **_look(len(trained), own))
    loss_axis(axes, [values], log=True)

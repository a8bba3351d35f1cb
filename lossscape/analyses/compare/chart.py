"""A comparison as figures that move: curves with bands, and the metric against the learning rate."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lossscape.analyses.compare.result import Comparison, unit_of
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.metrics import metric as shown_metric
from lossscape.figures.style import COLOURS
from lossscape.text import number


def curves_data(result: Comparison, colours: Mapping[str, str], log: bool = False) -> dict[str, Any]:
    """Training loss, and the metric, by epoch: means over seeds with bands of one standard deviation.

    colours: of the groups that are drawn
    """
    shown = list(dict.fromkeys(["train_loss", result.metric]))
    panels = [panel(name, unit_of(name), log=name.endswith("_loss")) for name in shown]
    lines = []
    for group, colour in colours.items():
        own = result.curves[result.curves["group"] == group]
        for name in shown:
            if f"{name}_mean" in own and len(own):
                factor = shown_metric(name.partition("_")[2]).scale
                mean, std = (factor * own[f"{name}_{what}"].to_numpy(dtype=float) for what in ("mean", "std"))
                ends = {"low": mean - std, "high": mean + std} if np.isfinite(std).any() else {}
                lines.append(line(name, colour, own["epoch"], mean, run=group, **ends))
    return {"x": "epoch", "panels": panels, "lines": lines, "log": log}


def rates_data(result: Comparison, log: bool = False) -> dict[str, Any]:
    """The final metric against the learning rate, a line for each method, bars of one standard deviation."""
    lines, name = [], result.metric
    factor = shown_metric(name.partition("_")[2]).scale
    for place, method in enumerate(result.several_rates):
        rows = result.table[(result.table["method"] == method) & result.table["lr"].notna()].sort_values("lr")
        mean, std = (factor * rows[f"final_{name}_{what}"].to_numpy(dtype=float) for what in ("mean", "std"))
        said = [
            f"{number(value)} ± {number(spread, 2)}" if np.isfinite(value) else "no run finished"
            for value, spread in zip(mean, std, strict=True)
        ]
        words = [f"{group}: {value}" for group, value in zip(rows["group"], said, strict=True)]
        lines.append(line("final", COLOURS[place % len(COLOURS)], rows["lr"], mean, run=method, error=std, text=words))
    shown = panel("final", f"final {unit_of(name)}", log=name.endswith("_loss"), x="learning rate", xlog=True)
    return {"x": "learning rate", "panels": [shown], "lines": lines, "log": log}

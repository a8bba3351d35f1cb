"""A comparison as figures that move: curves with bands, and the metric against the learning rate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossscape.analyses.compare.result import Comparison
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.metrics import metric as shown_metric
from lossscape.figures.style import COLOURS, marker_of, symbol_of
from lossscape.text import number, shortened


def curves_data(result: Comparison, looks: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Training loss, and the metric, by epoch: means over seeds with bands of one standard deviation.

    looks: of the groups that are drawn, their `color` and `marker`
    """
    shown = list(dict.fromkeys(["train_loss", result.metric]))
    panels = [panel(name, result.axis(name), log=name.endswith("_loss")) for name in shown]
    lines = []
    for group, look in looks.items():
        own = result.curves[result.curves["group"] == group]
        for name in shown:
            if f"{name}_mean" in own and len(own):
                factor = shown_metric(name.partition("_")[2]).scale
                mean, std = (factor * own[f"{name}_{what}"].to_numpy(dtype=float) for what in ("mean", "std"))
                ends = {"low": mean - std, "high": mean + std} if np.isfinite(std).any() else {}
                more = {"run": group, **symbol_of(look["marker"]), **ends}
                lines.append(line(name, look["color"], own["epoch"], mean, **more))
    drawn = {each["run"] for each in lines}
    notes = _lost([group for group in looks if group not in drawn])
    return {"x": "epoch", "panels": panels, "lines": lines, "log": True, "notes": notes}


def _lost(groups: Sequence[str]) -> list[str]:
    """A sentence of groups that have no line, where there are any."""
    return [f"No run finished of {', '.join(map(shortened, groups))}."] if groups else []


def rates_data(result: Comparison, log: bool = False) -> dict[str, Any]:
    """The final metric against the learning rate, a line for each method, bars of one standard deviation."""
    lines, lost, name = [], [], result.metric
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(result.several_rates))]
    factor = shown_metric(name.partition("_")[2]).scale
    for place, (method, colour) in enumerate(zip(result.several_rates, colours, strict=True)):
        rows = result.table[(result.table["method"] == method) & result.table["lr"].notna()].sort_values("lr")
        mean, std = (factor * rows[f"final_{name}_{what}"].to_numpy(dtype=float) for what in ("mean", "std"))
        said = [
            f"{number(value)} ± {number(spread, 2)}" if np.isfinite(value) else "no run finished"
            for value, spread in zip(mean, std, strict=True)
        ]
        words = [f"{group}: {value}" for group, value in zip(rows["group"], said, strict=True)]
        look = {"run": method, **symbol_of(marker_of(place)), "error": std, "text": words}
        look["open"] = [False] * len(words)  # with a dot at each
        lines.append(line("final", colour, rows["lr"], mean, **look))
        lost += rows["group"][~np.isfinite(mean)].tolist()
    shown = panel("final", f"final {result.axis(name)}", log=name.endswith("_loss"), x="learning rate", xlog=True)
    return {"x": "learning rate", "panels": [shown], "lines": lines, "log": log, "notes": _lost(lost)}

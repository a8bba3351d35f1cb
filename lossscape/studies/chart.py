"""Figures of studies that move: eigenvalues over 2/η, critical points of several runs, test errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lossscape.analyses.curvature.result import Curvature
from lossscape.analyses.saddles.figure import INDEX_LABEL, loss_words
from lossscape.analyses.saddles.result import Saddles
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.style import COLOURS
from lossscape.studies.errors import errors_of
from lossscape.studies.stability import ratios
from lossscape.text import counted, number, percent, shortened

GREY = "#8c959f"


def stability_data(groups: Mapping[str, Sequence[tuple[str, Curvature]]], band: float, late: float) -> dict[str, Any]:
    """λmax over 2/η by epoch, a panel for each group of runs; the second dotted; shaded the band that is judged.

    groups: names of runs and their results by title; band, late: as for build_stability.
    """
    names = list(dict.fromkeys(name for group in groups.values() for name, _ in group))
    panels, lines, rules = [], [], []
    for key, (title, group) in enumerate(groups.items()):
        panels.append(panel(str(key), f"λ / (2/η)\n{shortened(title)}", name=title))
        rules.append({"panel": str(key), "y": 1.0, "text": "2/η"})
        last = 0.0
        for name, result in group:
            colour = COLOURS[names.index(name) % len(COLOURS)]
            for rank, dash, what in ((1, "solid", "largest"), (2, "dot", "second")):
                if (result.table["rank"] == rank).any():
                    epochs, values = ratios(result, rank)
                    last = max(last, float(np.nanmax(epochs)))
                    lines.append(line(str(key), colour, epochs, values, run=name, split=what, dash=dash))
        ends = {"low": [1 - band] * 2, "high": [1 + band] * 2, "width": 1}
        text = [f"within {percent(band)} of 2/η over the last {percent(late)} of the epochs"] * 2
        lines.append(line(str(key), GREY, [(1 - late) * last, last], [1.0, 1.0], text=text, symbol="line-ns", **ends))
    return {"x": "epoch, one step each", "panels": panels, "lines": lines, "rules": rules, "log": False}


def points_data(runs: Sequence[tuple[str, Saddles]]) -> dict[str, Any]:
    """Index fraction against loss of the distinct critical points of several runs. runs: by name."""
    lines = []
    for place, (name, result) in enumerate(runs):
        points = result.distinct
        words = [
            f"{name}, {row['checkpoint']}: loss {number(row['loss'])}, index fraction "
            f"{number(row['index_fraction'], 3)}, gradient norm {number(row['gradient_norm'], 2)}"
            for row in points.to_dict("records")
        ]
        look: dict[str, Any] = {"run": name, "marks": True, "symbol": "circle", "text": words}
        colour = COLOURS[place % len(COLOURS)]
        lines.append(line("index", colour, points["loss"], points["index_fraction"], **look))
    shown = panel("index", INDEX_LABEL.replace(": ", ":\n"), name="index fraction")
    return {"x": loss_words(runs[0][1]), "panels": [shown], "lines": lines, "log": False}


def errors_data(measures: pd.DataFrame) -> dict[str, Any]:
    """Test errors in %, a panel for each net that learned alone and from the large one, a line a seed and the means.

    measures: as for build_errors.
    """
    large, *small = list(dict.fromkeys(measures["net"]))
    panels, lines = [], []
    for net in small:
        table = errors_of(measures, large, net)
        ways = [[place, shortened(str(way), 20)] for place, way in enumerate(table)]
        panels.append(panel(net, f"test errors of net {net} in %", name=f"net {net}", x="", names=ways))
        places = range(table.shape[1])
        for seed, row in table.iterrows():
            words = [f"seed {seed}, {way}: {number(value)} %" for way, value in row.items()]
            lines.append(line(net, GREY, places, row, run="seeds", open=[True] * len(row), width=1, text=words))
        for place, (way, values) in enumerate(table.items()):
            spread = f" ± {number(values.std(), 2)}" if len(values) > 1 else ""
            words = [f"{way}: mean {number(values.mean())}{spread} % of {counted(len(values), 'seed')}"] * 2
            ends: dict[str, Any] = {"run": "means", "width": 3, "symbol": "line-ns", "text": words}
            lines.append(line(net, COLOURS[0], [place - 0.2, place + 0.2], [values.mean()] * 2, **ends))
    return {"x": "", "panels": panels, "lines": lines, "log": False}

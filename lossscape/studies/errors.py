"""Test errors of nets that learned in several ways as a figure, a line for each seed."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.figures.style import COLOURS, numbers, sheet, style

ERRORS_CAPTION = (
    "Errors on the test split after the last epoch. A thin line joins the runs of one seed; the small nets of a seed "
    "begin with the same values and see the same batches. Bars: the means. Each panel has its own scale."
)


@style()
def build_errors(measures: pd.DataFrame, *, captioned: bool = True) -> Figure:
    """Test errors in %, a panel for each net that learned alone and from the large one.

    measures: a row for each run, with net, way, seed and test_errors; those of the large net first.
    """
    large, *small = list(dict.fromkeys(measures["net"]))
    key = [
        Line2D([], [], color="0.6", marker="o", markersize=4, linewidth=0.8, label="one seed"),
        Line2D([], [], color=COLOURS[0], linewidth=3, label="mean"),
    ]
    caption = ERRORS_CAPTION if captioned else None
    figure, panel = sheet(max(4.5 * len(small), 6.0), 3.6, "Test errors", caption, key)
    for axes, net in zip(panel.subplots(1, len(small), squeeze=False).flat, small, strict=True):
        table = errors_of(measures, large, net)
        places = np.arange(table.shape[1])
        for seed, row in table.iterrows():
            look: dict[str, Any] = {"color": "0.6", "marker": "o", "markersize": 4, "linewidth": 0.8}
            axes.plot(places, row.to_numpy(), label=f"_seed {seed}", **look)
        axes.hlines(table.mean().to_numpy(), places - 0.2, places + 0.2, color=COLOURS[0], linewidth=3, label="_mean")
        axes.set_xticks(places, list(table))
        axes.set_xlim(-0.5, len(places) - 0.5)
        axes.set_title(f"net {net}", size=10)
        axes.set_ylabel("test errors in %")
        numbers(axes.yaxis)
    return figure


def errors_of(measures: pd.DataFrame, large: str, net: str) -> pd.DataFrame:
    """Test errors in % by seed and by way of learning, that of the large net first."""
    own = measures[measures["net"].isin([large, net])]
    names = own["way"].where(own["net"] != large, f"{large} net")
    table = own.assign(name=names).pivot(index="seed", columns="name", values="test_errors")
    return 100 * table[list(dict.fromkeys(names))]

"""Test errors of nets that learned in several ways as a figure, a line for each seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lossscape.figures.style import COLOURS, numbers, sheet, style

ERRORS_CAPTION = (
    "Errors on the test split after the last epoch. A thin line joins the runs of one seed; the small nets of a seed "
    "begin with the same values and see the same batches. Bars: the means."
)


@style()
def build_errors(measures: pd.DataFrame, learners: Sequence[str], *, captioned: bool = True) -> Figure:
    """Test errors in % by learner.

    measures: a row for each run, with learner, seed and test_errors; learners: from left to right.
    """
    table = measures.pivot(index="seed", columns="learner", values="test_errors")[list(learners)] * 100
    key = [
        Line2D([], [], color="0.6", marker="o", markersize=4, linewidth=0.8, label="one seed"),
        Line2D([], [], color=COLOURS[0], linewidth=3, label="mean"),
    ]
    figure, panel = sheet(6.5, 3.6, "Test errors", ERRORS_CAPTION if captioned else None, key)
    axes = panel.subplots()
    places = np.arange(len(learners))
    for seed, row in table.iterrows():
        axes.plot(places, row.to_numpy(), color="0.6", marker="o", markersize=4, linewidth=0.8, label=f"_seed {seed}")
    axes.hlines(table.mean().to_numpy(), places - 0.2, places + 0.2, color=COLOURS[0], linewidth=3, label="_mean")
    axes.set_xticks(places, list(learners))
    axes.set_xlim(-0.5, len(learners) - 0.5)
    axes.set_ylabel("test errors in %")
    axes.set_ylim(bottom=0)
    numbers(axes.yaxis)
    return figure

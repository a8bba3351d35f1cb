"""Several checkpoints of a run along an axis of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lossscape.figures.style import numbers
from lossscape.figures.text import shortened
from lossscape.text import counted


@dataclass(frozen=True)
class Times:
    """Where checkpoints lie on the axis."""

    values: np.ndarray
    """[T]"""
    label: str
    """epoch, step, or checkpoint where neither is known of all."""
    names: Sequence[str] = ()
    """In place of numbers."""

    def name(self, axes: Axes) -> None:
        """Label the axis and its ticks."""
        axes.set_xlabel(self.label)
        numbers(axes.xaxis, 8, digits=9)
        if self.names:
            axes.set_xticks(self.values, self.names, rotation=30, ha="right")


def times_of(rows: pd.DataFrame) -> Times:
    """Of a table with a row for each checkpoint and the columns checkpoint, epoch and step."""
    for column in ("epoch", "step"):
        values = rows[column].to_numpy(dtype=float)
        if np.isfinite(values).all():
            return Times(values, column)
    return Times(np.arange(len(rows), dtype=float), "checkpoint", [shortened(name, 16) for name in rows["checkpoint"]])


def ends_words(checkpoints: Sequence[str]) -> str:
    """A checkpoint, or several from the first to the last, in a title."""
    if len(checkpoints) == 1:
        return checkpoints[0]
    return f"{counted(len(checkpoints), 'checkpoint')}, {checkpoints[0]} to {checkpoints[-1]}"

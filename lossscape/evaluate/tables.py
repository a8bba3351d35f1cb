"""An objective on a line or plane as a table."""

from collections.abc import Iterable

import pandas as pd

from lossscape.evaluate.engine import evaluate
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.objective import Objective

AXES = ("x", "y", "z")


def table(objective: Objective, subspace: Subspace, points: Iterable[Coordinates]) -> pd.DataFrame:
    """Loss and accuracy at points of a line or plane: columns x (, y), loss, accuracy, one row a point."""
    rows = [
        (*coordinates, *values["data"])
        for coordinates, values in evaluate({"data": objective}, subspace, points)
    ]
    return pd.DataFrame(rows, columns=[*AXES[: len(subspace.directions)], "loss", "accuracy"])

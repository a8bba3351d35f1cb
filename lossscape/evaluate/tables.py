"""An objective on a line or plane as a table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lossscape.evaluate.calibration import calibrate
from lossscape.evaluate.engine import evaluate
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.objective import Objective

if TYPE_CHECKING:
    import pandas as pd

AXES = ("x", "y", "z")


def table(objective: Objective, subspace: Subspace, points: Iterable[Coordinates]) -> "pd.DataFrame":
    """The metrics at points of a line, plane or any subspace, one row a point, under the fastest exact plan.

    Columns: x, y, z (or c0, c1, … where there are more directions), those of the objective.
    """
    import pandas as pd  # which takes as long to load as all the rest that a worker of a cluster needs

    points = list(points)
    plan = calibrate({"data": objective}, subspace, len(points)).plan
    rows = [
        (*coordinates, *values.values())
        for coordinates, values in evaluate({"data": objective}, subspace, points, plan=plan)
    ]
    count = len(subspace.directions)
    names = AXES[:count] if count <= len(AXES) else [f"c{number}" for number in range(count)]
    return pd.DataFrame(rows, columns=[*names, *objective.columns])

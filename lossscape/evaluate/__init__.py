"""The engine: losses at many points of a subspace, appended as they finish, never lost."""

from lossscape.evaluate.calibration import Budget, calibrate
from lossscape.evaluate.engine import Outputs, Work, evaluate
from lossscape.evaluate.statistics import RecomputedStatistics
from lossscape.evaluate.subspace import Subspace, grid_points, line_points
from lossscape.evaluate.tables import table

__all__ = [
    "Budget", "Outputs", "RecomputedStatistics", "Subspace", "Work", "calibrate", "evaluate", "grid_points",
    "line_points", "table",
]  # fmt: skip

"""The engine: losses at many points of a subspace, appended as they finish, never lost."""

from lossscape.evaluate.engine import evaluate
from lossscape.evaluate.statistics import recomputed_statistics
from lossscape.evaluate.subspace import Subspace, grid_points, line_points
from lossscape.evaluate.table import table

__all__ = ["Subspace", "evaluate", "grid_points", "line_points", "recomputed_statistics", "table"]

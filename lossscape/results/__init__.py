"""Results: their folders and files, and what is read back from them without torch."""

from lossscape.results.curve import Curve, Result, check_begun, check_whole, metrics_of, read_curve, read_points
from lossscape.results.folder import finished, read_settings
from lossscape.results.surface import Pair, Surface, Trail, read_surface, read_trails
from lossscape.results.tables import evaluated, read_csv, write_csv

__all__ = [
    "Curve", "Pair", "Result", "Surface", "Trail", "check_begun", "check_whole", "evaluated", "finished", "metrics_of",
    "read_csv", "read_curve", "read_points", "read_settings", "read_surface", "read_trails", "write_csv",
]  # fmt: skip

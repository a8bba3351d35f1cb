"""Sweeps: one config with values varied, a run for each combination, and one table of them all."""

from lossscape.sweeps.config import Cell, Opened
from lossscape.sweeps.run import run_sweep

__all__ = ["Cell", "Opened", "run_sweep"]

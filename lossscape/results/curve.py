"""Results as read back from their folders, and those along a line."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.files import read_json
from lossscape.results.folder import CERTIFICATE, ENGINE, MEASURES, RANGE, read_settings
from lossscape.results.tables import read_csv

SAME_STEP = 1e-6
"""Within this part of a grid's step, a point lies on the grid."""


@dataclass(frozen=True)
class Result:
    """A finished result: a table whose first columns are coordinates, and its settings."""

    folder: Path
    settings: dict[str, Any]
    table: pd.DataFrame

    @cached_property
    def certificate(self) -> dict[str, Any]:
        """What certificate.json says; empty where there is none."""
        return read_json(self.folder / CERTIFICATE)

    @cached_property
    def measures(self) -> dict[str, Any]:
        """What measures.json says; empty where there is none."""
        return read_json(self.folder / MEASURES)

    @cached_property
    def engine(self) -> dict[str, Any]:
        """What engine.json says; empty where there is none."""
        return read_json(self.folder / ENGINE)

    @cached_property
    def found_range(self) -> dict[str, Any]:
        """What range.json says: the loss that a range was chosen to reach; empty where the range was given."""
        return read_json(self.folder / RANGE)

    @property
    def splits(self) -> list[str]:
        """The splits whose loss was computed, train first."""
        return [split for split in ("train", "test") if f"{split}_loss" in self.table]

    @property
    def axes(self) -> list[str]:
        """The columns that are coordinates."""
        return [name for name in ("alpha", "x", "y") if name in self.table]

    @property
    def grid(self) -> list[int]:
        """How many evenly spaced values each coordinate was given."""
        settings = self.settings
        return [int(count) for count in settings.get("grid", [settings.get("points", len(self.table))])]

    @cached_property
    def refined(self) -> np.ndarray:
        """Which points [N] do not lie on the grid but were added where the losses bend."""
        if not self.settings.get("refine"):
            return np.zeros(len(self.table), dtype=bool)
        on_grid = np.ones(len(self.table), dtype=bool)
        for axis, count in zip(self.axes, self.grid, strict=True):
            values = self.table[axis].to_numpy()
            given = self.settings.get("range" if axis == "alpha" else f"{axis}_range")
            low, high = given or (values.min(), values.max())
            steps = (values - low) / (high - low) * (count - 1)
            on_grid &= np.abs(steps - np.round(steps)) < SAME_STEP
        return ~on_grid


class Curve(Result):
    """Losses along a line: coordinate `alpha` between two points, or `x` along a random direction."""

    @property
    def coordinate(self) -> str:
        """alpha or x."""
        return "alpha" if "alpha" in self.table else "x"

    @property
    def positions(self) -> np.ndarray:
        """Its values, ascending."""
        return self.table[self.coordinate].to_numpy()


def read_curve(folder: Path) -> Curve:
    """A finished interpolation or random line. Raises BadInput where it is unfinished or torn."""
    name = "curve.csv" if (folder / "curve.csv").exists() else "line.csv"
    return Curve(folder, read_settings(folder), read_csv(folder / name))

"""Results as read back from their folders: curves, lines and surfaces with the settings that made them."""

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.files import read_json

SETTINGS, ENGINE, CERTIFICATE = "settings.yaml", "engine.json", "certificate.json"
POINTS = "points.csv"
"""Finished points of a result under way, in the order of their evaluation."""
DIRECTIONS = "directions.pt"
MEASURES = "measures.json"


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

    @property
    def splits(self) -> list[str]:
        """The splits whose loss was computed, train first."""
        return [split for split in ("train", "test") if f"{split}_loss" in self.table]


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


class Surface(Result):
    """Losses over a plane, on a grid of x and y."""

    @cached_property
    def x(self) -> np.ndarray:
        """Values of x, ascending."""
        return np.unique(self.table["x"].to_numpy())

    @cached_property
    def y(self) -> np.ndarray:
        """Values of y, ascending."""
        return np.unique(self.table["y"].to_numpy())

    def values(self, column: str) -> np.ndarray:
        """A column as [len(y), len(x)]: rows are y, as matplotlib and meshgrid have it."""
        return self.table.pivot(index="y", columns="x", values=column).to_numpy()


def read_curve(folder: Path) -> Curve:
    """A finished interpolation or random line. Raises BadInput where it is unfinished or torn."""
    name = "curve.csv" if (folder / "curve.csv").exists() else "line.csv"
    return Curve(folder, read_settings(folder), read_table(folder / name))


def read_surface(folder: Path) -> Surface:
    """A finished landscape over a plane. Raises BadInput where it is unfinished or torn."""
    return Surface(folder, read_settings(folder), read_table(folder / "surface.csv"))


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a result. Raises BadInput."""
    settings = yamlfile.read(folder / SETTINGS).data
    if not isinstance(settings, dict):
        raise BadInput(f"{folder / SETTINGS}: not the settings of a result")
    return settings


def finished(folder: Path, file: str) -> list[Path]:
    """The results below a folder whose final CSV is there, oldest first."""
    return sorted(
        (path.parent for path in folder.glob(f"*/{file}")), key=lambda p: ((p / file).stat().st_mtime, p)
    )


def read_table(path: Path, *, live: bool = False) -> pd.DataFrame:
    """A CSV of numbers, exactly as they were written, in float64; NaN for empty cells.

    live: a file that is still appended to, of which a torn last line is left out. Raises BadInput where it is
    missing, torn or holds other than numbers.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = list(csv.reader(lines))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; the result is not finished, run the command again") from None
    except (ValueError, OSError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as CSV: {error}") from None
    torn = not rows or len(rows[-1]) != len(rows[0]) or not lines[-1].endswith("\n")
    if torn and not live:
        raise BadInput(f"{path}: torn in its last line; run the command again")
    if torn:
        rows = rows[:-1]
    if not rows:
        return pd.DataFrame()
    try:
        # not pandas' own parser: before version 3.1 its default is off in the last digit
        numbers = [[float(cell) if cell else np.nan for cell in row] for row in rows[1:]]
        return pd.DataFrame(numbers, columns=rows[0], dtype=float)
    except ValueError as error:
        raise BadInput(f"{path}: not a table of numbers: {error}") from None

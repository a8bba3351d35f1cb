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
RANGE = "range.json"
MEASURES = "measures.json"
FILMS = "films.csv"
PATH, PATH_FACTS, PATHS = "path.csv", "path.json", "paths"
"""Checkpoints projected onto a plane, what is known of each path, and the folder of the runs' own live files."""
PLACES = ("epoch", "step", "x", "y", "off_plane", "in_plane", "moved")
"""Columns of a path before its losses."""
TEXT = ("run", "config", "other", "kind", "relation")
"""Columns of kinds of solution that hold words."""
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


@dataclass(frozen=True)
class Trail:
    """The checkpoints of a run over a plane."""

    name: str
    checkpoints: list[str]
    table: pd.DataFrame
    """PLACES, then losses of the checkpoints and, after plane_, of the plane below them."""
    facts: dict[str, Any]
    """What path.json says of the run."""


class Surface(Result):
    """Losses over a plane: on a full grid of x and y, or at any points (a refined result)."""

    @cached_property
    def trails(self) -> list[Trail]:
        """The paths that were drawn over it. Raises BadInput where path.csv is torn."""
        return read_trails(self.folder)

    @cached_property
    def regular(self) -> bool:
        """Whether the points make a full grid: every x with every y."""
        return len(self.table) == len(self.x) * len(self.y)

    @cached_property
    def x(self) -> np.ndarray:
        """Values of x, ascending."""
        return np.unique(self.table["x"].to_numpy())

    @cached_property
    def y(self) -> np.ndarray:
        """Values of y, ascending."""
        return np.unique(self.table["y"].to_numpy())

    def values(self, column: str) -> np.ndarray:
        """A column as [len(y), len(x)] (rows are y, as matplotlib and meshgrid have it); [N] without a full grid."""
        if not self.regular:
            return self.table[column].to_numpy()
        return self.table.pivot(index="y", columns="x", values=column).to_numpy()


def read_curve(folder: Path) -> Curve:
    """A finished interpolation or random line. Raises BadInput where it is unfinished or torn."""
    name = "curve.csv" if (folder / "curve.csv").exists() else "line.csv"
    return Curve(folder, read_settings(folder), read_table(folder / name))


def read_surface(folder: Path) -> Surface:
    """A finished landscape over a plane. Raises BadInput where it is unfinished or torn, or has a point twice."""
    file = folder / "surface.csv"
    surface = Surface(folder, read_settings(folder), read_table(file))
    places = surface.table.reindex(columns=["x", "y"])
    if not np.isfinite(places).all(axis=None) or places.duplicated().any():
        raise BadInput(f"{file}: a point is there twice or without its place; begin anew with --overwrite")
    return surface


@dataclass(frozen=True)
class Solutions:
    """Kinds of solution of one run or several: their settings and tables."""

    folder: Path
    settings: dict[str, Any]
    epochs: pd.DataFrame
    """run, epoch, losses, relative_change, kind."""
    summary: pd.DataFrame
    """A row for each run, with its first epoch of each kind."""
    configs: pd.DataFrame
    """A row for each config: mean and standard deviation over its runs. Empty for a single run."""
    ratios: pd.DataFrame
    """A row for each kind and pair of configs. Empty for a single run."""


def read_solutions(folder: Path) -> Solutions:
    """What `lossscape solutions` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    names = ("epochs", "summary", *(("configs", "ratios") if len(settings.get("runs", [])) > 1 else ()))
    tables = {name: _read_mixed(folder / f"{name}.csv") for name in names}
    if any(len(tables[name]) == 0 for name in ("epochs", "summary")):
        raise BadInput(f"{folder}: holds no epochs; run the command again")
    return Solutions(folder, settings, **{"configs": pd.DataFrame(), "ratios": pd.DataFrame(), **tables})


def _read_mixed(path: Path) -> pd.DataFrame:
    """A CSV with text in the columns of TEXT and numbers, exactly as they were written, in the others."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in [name for name in table if name not in TEXT]:
            table[column] = [float(cell) if cell else np.nan for cell in table[column]]
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the command again") from None
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise BadInput(f"{path}: cannot be read: {error}") from None
    return table


def read_trails(folder: Path) -> list[Trail]:
    """The paths over a plane by run, in the order in which they were asked for; none where there is no path.csv.

    Raises BadInput where it is torn or holds other than numbers behind the names.
    """
    file = folder / PATH
    if not file.exists():
        return []
    facts = read_json(folder / PATH_FACTS).get("runs", [])
    with file.open(encoding="utf-8", newline="") as lines:
        names, *rows = list(csv.reader(lines)) or [[]]
    try:
        numbers = [[float(cell) if cell else np.nan for cell in row[2:]] for row in rows]
        table = pd.DataFrame(numbers, columns=names[2:], dtype=float)
    except ValueError as error:
        raise BadInput(f"{file}: not a path: {error}; run the command again") from None
    runs = [row[0] for row in rows]
    return [
        Trail(
            name,
            [row[1] for row in rows if row[0] == name],
            table[[run == name for run in runs]].reset_index(drop=True),
            next((fact for fact in facts if fact.get("run") == name), {}),
        )
        for name in dict.fromkeys(runs)
    ]


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

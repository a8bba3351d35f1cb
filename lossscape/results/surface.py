"""Results over a plane, and the paths that were drawn over it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.files import read_json
from lossscape.results.curve import Result, read_points
from lossscape.results.folder import PATH, PATH_FACTS, read_settings
from lossscape.results.tables import read_csv

DRAWN = 201
"""Values of an axis that a figure is drawn from; more are finer than it can show."""


@dataclass(frozen=True)
class Trail:
    """The checkpoints of a run over a plane."""

    name: str
    checkpoints: list[str]
    table: pd.DataFrame
    """PATH_COORDINATES, then losses of the checkpoints and, after plane_, of the plane below them."""
    facts: dict[str, Any]


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

    @cached_property
    def in_figures(self) -> np.ndarray:
        """Which points [N] figures are drawn from: of a grid of more than DRAWN values an axis so many, evenly spaced.

        The ends, a 0 and all refined points are among them.
        """
        kept = np.ones(len(self.table), dtype=bool)
        for axis in ("x", "y"):
            given = self.table[axis].to_numpy()
            values = np.unique(given[~self.refined])
            if len(values) > DRAWN:
                places = np.round(np.linspace(0, len(values) - 1, DRAWN)).astype(int)
                kept &= np.isin(given, [*values[places], 0.0])
        return kept | self.refined

    @cached_property
    def drawn(self) -> "Surface":
        """The points that figures are drawn from as a surface of their own; this one where that is all of them."""
        return self if self.in_figures.all() else Surface(self.folder, self.settings, self.table[self.in_figures])

    def drawn_values(self, values: np.ndarray) -> np.ndarray:
        """Values of all points, as `values` shapes them, at those that are drawn."""
        if not self.regular or self.drawn is self:
            return values[self.in_figures] if not self.regular else values
        return values[np.ix_(np.isin(self.y, self.drawn.y), np.isin(self.x, self.drawn.x))]

    def values(self, column: str) -> np.ndarray:
        """A column as [len(y), len(x)] (rows are y, as matplotlib and meshgrid have it); [N] without a full grid."""
        if not self.regular:
            return self.table[column].to_numpy()
        return self.table.pivot(index="y", columns="x", values=column).to_numpy()


@dataclass(frozen=True)
class Pair:
    """Two surfaces over the same plane around the same net."""

    net: str
    original: Surface
    relabelled: Surface

    @property
    def targets(self) -> str:
        """soft or hard."""
        return str(self.relabelled.settings["targets"])

    @property
    def difference(self) -> np.ndarray:
        """Relabelled − original [len(y), len(x)]; NaN where one of them is not finite."""
        a, b = self.original.values("train_loss"), self.relabelled.values("train_loss")
        with np.errstate(invalid="ignore"):
            apart = b - a
        return np.where(np.isfinite(a) & np.isfinite(b), apart, np.nan)

    def together(self) -> Surface:
        """Both and their difference as columns of one table, to be exported."""
        columns = {
            f"{surface.settings['targets']}_{str(name).removeprefix('train_')}": surface.table[name]
            for surface in (self.original, self.relabelled)
            for name in surface.table
            if name not in surface.axes
        }
        apart = {"difference": self.relabelled.table["train_loss"] - self.original.table["train_loss"]}
        table = pd.DataFrame({name: self.original.table[name] for name in ("x", "y")} | columns | apart)
        settings = {
            name: surface.settings for name, surface in (("original", self.original), ("relabelled", self.relabelled))
        }
        return Surface(self.original.folder, settings, table)


def read_surface(folder: Path) -> Surface:
    """A finished landscape over a plane. Raises BadInput where it is unfinished or torn, or has a point twice."""
    file = folder / "surface.csv"
    surface = Surface(folder, read_settings(folder), read_points(file))
    coordinates = surface.table.reindex(columns=["x", "y"])
    if not np.isfinite(coordinates).all(axis=None) or coordinates.duplicated().any():
        raise BadInput(f"{file}: a point is there twice or without coordinates; begin anew with --overwrite")
    return surface


def read_trails(folder: Path) -> list[Trail]:
    """The paths over a plane by run, in the order in which they were asked for; none where there is no path.csv.

    Raises BadInput where it is torn or holds other than numbers behind the names.
    """
    file = folder / PATH
    if not file.exists():
        return []
    facts = read_json(folder / PATH_FACTS).get("runs", [])
    table = read_csv(file, text=("run", "checkpoint"))
    return [
        Trail(
            str(name),
            rows["checkpoint"].tolist(),
            rows.drop(columns=["run", "checkpoint"]).reset_index(drop=True),
            next((fact for fact in facts if fact.get("run") == name), {}),
        )
        for name, rows in table.groupby("run", sort=False)
    ]

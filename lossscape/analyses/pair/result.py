"""Paired landscapes as read back from their folder: surfaces of several nets, and their measures over planes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import Surface, read_csv, read_settings, read_surface

ORIGINAL = "labels"
TEXT = ("net", "targets", "surface", "measure")
"""Columns that hold words."""


@dataclass(frozen=True)
class Pair:
    """Two surfaces over the same plane around the same net."""

    net: str
    original: Surface
    """Against the data's labels."""
    relabelled: Surface

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
        settings = {name: surface.settings for name, surface in
                    (("original", self.original), ("relabelled", self.relabelled))}  # fmt: skip
        return Surface(self.original.folder, settings, table)


@dataclass(frozen=True)
class Pairs:
    """A finished study of paired landscapes."""

    folder: Path
    settings: dict[str, Any]
    measures: pd.DataFrame
    """net, targets, seed, surface (its folder, from this one), then one column a measure: a row for each surface."""
    summary: pd.DataFrame
    """net, targets, measure, mean, std, planes."""

    @property
    def nets(self) -> list[str]:
        """Their names, in the order that they were given in."""
        return [net["name"] for net in self.settings["nets"]]

    @property
    def runs(self) -> set[Path]:
        """The resolved folders of their runs, which the surfaces lie in."""
        return {(self.folder / surface).resolve().parents[1] for surface in self.measures["surface"]}

    @property
    def targets(self) -> str:
        """soft or hard."""
        return str(self.settings["targets"])

    @property
    def planes(self) -> int:
        """Of each net and targets."""
        return int(self.settings["repeats"])

    @cached_property
    def means(self) -> dict[tuple[str, str, str], tuple[float, float, int]]:
        """Mean, standard deviation and number of planes, by net, targets and measure."""
        rows = self.summary.to_dict("records")
        return {
            (str(row["net"]), str(row["targets"]), str(row["measure"])):
            (float(row["mean"]), float(row["std"]), int(row["planes"]))
            for row in rows
        }  # fmt: skip

    def pair(self, net: str, seed: int = 0) -> Pair:
        """The surfaces of a net on one plane. Raises BadInput where one is missing or does not fit the other."""
        rows = self.measures[(self.measures["net"] == net) & (self.measures["seed"] == seed)]
        places = dict(zip(rows["targets"], rows["surface"], strict=True))
        try:
            original, relabelled = (
                read_surface(self.folder / places[kind]) for kind in (ORIGINAL, self.targets)
            )
        except KeyError:
            raise BadInput(f"{self.folder}: has no plane {seed} of {net}; run the command again") from None
        for surface in (original, relabelled):
            alike = surface.table[["x", "y"]].equals(original.table[["x", "y"]])
            if not surface.regular or not alike or "train_loss" not in surface.table:
                raise BadInput(f"{surface.folder}: not the same full grid as {original.folder.name}")
        return Pair(net, original, relabelled)


def read_pairs(folder: Path) -> Pairs:
    """What `lossscape pair` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    return Pairs(
        folder, settings, *(read_csv(folder / name, TEXT) for name in ("measures.csv", "summary.csv"))
    )

"""Paired landscapes as read back from their folder: surfaces of several nets, and their measures over planes."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import Pair, Result, read_csv, read_settings, read_surface
from lossscape.results.resolution import ROUGH, ROUGH_NOTE, UNRESOLVED
from lossscape.text import number

ORIGINAL = "labels"
TEXT = ("net", "targets", "surface", "measure", UNRESOLVED)


class Mean(NamedTuple):
    """A measure over several planes."""

    mean: float
    std: float
    planes: int
    """On which it is defined."""
    resolved: int
    """Of them, those whose grid resolves it; none of a result that was written before this was looked at."""


@dataclass(frozen=True)
class Pairs(Result):
    """A finished study of paired landscapes.

    Its table is measures.csv: net, targets, seed, surface (its folder, from this one), then one column a measure, and
    the names of those that the grid does not resolve; a row for each surface.
    """

    summary: pd.DataFrame

    @property
    def nets(self) -> list[str]:
        """Their names, in the order that they were given in."""
        return [net["name"] for net in self.settings["nets"]]

    @property
    def shown(self) -> frozenset[Path]:
        """Its surfaces, which are landscapes of their runs."""
        return frozenset((self.folder / surface).resolve() for surface in self.table["surface"])

    @property
    def targets(self) -> str:
        """soft or hard."""
        return str(self.settings["targets"])

    @property
    def planes(self) -> int:
        """Of each net and targets."""
        return int(self.settings["repeats"])

    @cached_property
    def means(self) -> dict[tuple[str, str, str], Mean]:
        """Over the planes, by net, targets and measure."""
        rows = self.summary.to_dict("records")
        return {
            (str(row["net"]), str(row["targets"]), str(row["measure"])):
            Mean(float(row["mean"]), float(row["std"]), int(row["planes"]), int(row.get("resolved", 0)))
            for row in rows
        }  # fmt: skip

    def pair(self, net: str, seed: int = 0) -> Pair:
        """The surfaces of a net on one plane. Raises BadInput where one is missing or does not fit the other."""
        rows = self.table[(self.table["net"] == net) & (self.table["seed"] == seed)]
        surfaces = dict(zip(rows["targets"], rows["surface"], strict=True))
        try:
            original, relabelled = (read_surface(self.folder / surfaces[kind]) for kind in (ORIGINAL, self.targets))
        except KeyError:
            raise BadInput(f"{self.folder}: has no plane {seed} of {net}; run the command again") from None
        for surface in (original, relabelled):
            alike = surface.table[["x", "y"]].equals(original.table[["x", "y"]])
            if not surface.regular or not alike or "train_loss" not in surface.table:
                raise BadInput(f"{surface.folder}: not the same full grid as {original.folder.name}")
        return Pair(net, original, relabelled)


def read(folder: Path) -> Pairs:
    """What `lossscape pair` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    return Pairs(folder, settings, *(read_csv(folder / name, TEXT) for name in ("measures.csv", "summary.csv")))


def runs_of(folder: Path) -> set[Path]:
    """The resolved folders of the runs that a study is of; by their names where its measures cannot be read."""
    names = {net["run"] for net in read_settings(folder)["nets"]}
    try:
        surfaces = read_csv(folder / "measures.csv", TEXT)["surface"]
    except (BadInput, LookupError):
        return {(folder.parents[1] / name).resolve() for name in names}
    return {(folder / surface).resolve().parents[1] for surface in surfaces}


MEASURE_NAMES = {
    "centre_loss": "loss at the centre",
    "mean_slope": "mean slope (loss per unit)",
    "max_slope": "greatest slope",
    "asymmetry": "asymmetry of opposite sides (0 to 2)",
    "convex_fraction": "convex share of the inner points",
}
EDGE, NONE, SOME = "≥", "–", "("
MARKS = {
    EDGE: "≥: on some plane the region reaches the edge of the grid and may go on beyond.",
    ROUGH: f"{ROUGH_NOTE[:-1]} on some plane.",
    NONE: "–: not defined (a level that is not above the centre's loss, a grid without opposite sides).",
    SOME: "In brackets: the planes on which it is defined.",
}


def level_words(level: str) -> str:
    """A level as a loss: centre + 0.1, 2 × centre, a loss of 0.5."""
    return {"+": f"centre + {level[1:]}", "x": f"{level[1:]} × centre"}.get(level[0], f"a loss of {level}")


def columns_of(pairs: Pairs) -> list[tuple[str, str]]:
    """The columns of the table of measures: net and targets."""
    return [(net, targets) for net in pairs.nets for targets in (ORIGINAL, pairs.targets)]


def measure_rows(pairs: Pairs) -> list[list[str]]:
    """The measures of all surfaces in words, a row each: its name, then mean ± standard deviation over the planes."""
    columns = columns_of(pairs)
    rows = [[name, *(_cell(pairs, column, key) for column in columns)] for key, name in MEASURE_NAMES.items()]
    for level in pairs.settings["levels"]:
        for key in ("diameter", "share"):
            cells = [_width_cell(pairs, column, key, level) for column in columns]
            rows.append([f"{key} under {level_words(level)}", *cells])
    if any(pairs.means[(*column, "missing")].mean > 0 for column in columns):
        rows.append(["points without a finite loss", *(_cell(pairs, column, "missing") for column in columns)])
    return rows


def _width_cell(pairs: Pairs, column: tuple[str, str], key: str, level: str) -> str:
    """A width under a level with the mark that tells whether it is a bound."""
    words = _cell(pairs, column, f"{key}_{level}")
    bound = words != NONE and pairs.means[(*column, f"touches_edge_{level}")].mean > 0
    return f"{EDGE} {words}" if bound else words


def _cell(pairs: Pairs, column: tuple[str, str], key: str) -> str:
    mean, spread, count, resolved = pairs.means[(*column, key)]
    if count == 0:
        return NONE
    alike = math.isnan(spread) or spread == 0
    words = number(mean, 3) if alike else f"{number(mean, 3)} ± {number(spread, 2)}"
    words = words if count == pairs.planes else f"{words} {SOME}{count} of {pairs.planes})"
    return words if resolved == count else f"{words} {ROUGH}"

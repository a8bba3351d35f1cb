"""A convexity map as read back from its folder: eigenvalues at the points of a landscape."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import Result, Surface, check_begun, read_points, read_settings, read_surface
from lossscape.text import number

CSV = "convexity.csv"
ENDS = ("largest", "smallest")
COLUMNS = (*(f"{end}{what}" for end in ENDS for what in ("", "_residual", "_converged")), "products")


@dataclass(frozen=True)
class Convexity(Result):
    """Eigenvalues over a plane; its table is convexity.csv."""

    surface: Surface
    """The landscape with the losses at the same points."""

    @property
    def ratio(self) -> pd.Series:
        """|λmin|/|λmax| of each row; NaN where the loss is not finite."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.table["smallest"].abs() / self.table["largest"].abs()

    @property
    def rough(self) -> pd.DataFrame:
        """The rows of which an eigenvalue has not converged, though there is one."""
        table = self.table
        known = np.isfinite(table["largest"]) & np.isfinite(table["smallest"])
        return table[known & ~self.predicted & ((table["largest_converged"] != 1) | (table["smallest_converged"] != 1))]

    @property
    def convex(self) -> pd.DataFrame:
        """The rows at which no eigenvalue is negative, as far as the smallest is known.

        Where it was predicted it is above what it may be off.
        """
        table = self.table
        known = (table["smallest_converged"] == 1) | self.predicted
        allowed = float(self.settings.get("map_tolerance", 0.0)) * float(table[list(ENDS)].abs().max().max())
        return table[known & (table["smallest"] > table["smallest_residual"].where(~self.predicted, allowed))]

    def values(self, what: str) -> np.ndarray:
        """largest, smallest or ratio over the plane, as Surface.values has it."""
        columns = self.table[["x", "y"]].assign(value=self.ratio if what == "ratio" else self.table[what])
        return Surface(self.folder, self.settings, columns).values("value")

    def lines(self) -> list[str]:
        """The eigenvalues at the centre, the span of the ratio, and how far both are known."""
        known = self.table.assign(ratio=self.ratio)[np.isfinite(self.ratio)]
        if known.empty:
            return ["no point has finite eigenvalues"]
        least, most = known.loc[known["ratio"].idxmin()], known.loc[known["ratio"].idxmax()]
        ends = [f"{number(row['ratio'], 3)} at ({number(row['x'], 2)}, {number(row['y'], 2)})" for row in (least, most)]
        words = f"|λmin|/λmax from {ends[0]} to {ends[1]}"
        for row in known[(known["x"] == 0) & (known["y"] == 0)].to_dict("records"):
            values = f"λmax {number(row['largest'])}, λmin {number(row['smallest'])}"
            words += f"; at the centre {number(row['ratio'], 3)} ({values})"
        return [words, *self.notes()]

    def notes(self) -> list[str]:
        """Sentences about points that have not converged, have no eigenvalue, or at which the loss is convex."""
        of = f"of {len(self.table):,} points"
        words = []
        if predicted := int(self.predicted.sum()):
            part = f"{100 * self.settings['map_tolerance']:g} % of the largest eigenvalue"
            words.append(f"At {predicted:,} {of} both eigenvalues are predicted, to {part}.")
        if rough := len(self.rough):
            words.append(
                f"At {rough:,} {of} an eigenvalue has not converged: it is within its residual of one, and --products "
                "or --tolerance may be too small."
            )
        if convex := len(self.convex):
            words.append(f"At {convex:,} {of} no eigenvalue is negative.")
        if lost := int((~np.isfinite(self.ratio)).sum()):
            words.append(f"At {lost:,} {of} the second derivatives are not finite.")
        return words


def read(folder: Path) -> Convexity:
    """What `lossscape convexity` wrote. Raises BadInput where it or the landscape is missing, torn, or of others."""
    settings = read_settings(folder)
    check_begun(folder, CSV, math.prod(int(points) for points in settings["grid"]))
    table = read_points(folder / CSV)
    surface = read_surface(folder.parents[1] / "landscape" / str(settings["surface"]))
    if not {"x", "y", *COLUMNS} <= set(table) or not table[["x", "y"]].equals(surface.table[["x", "y"]]):
        raise BadInput(f"{folder / CSV}: has other points than {surface.folder.name}; run the command again")
    return Convexity(folder, settings, table, surface)

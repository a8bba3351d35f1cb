"""Critical points as read back from their folder: which of them are one point, and how index goes with loss."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.results import Result, read_csv, read_settings
from lossscape.text import counted, number

FILE, SUMMARY, POINTS = "saddles.csv", "summary.json", "points"
KEYS = ("checkpoint", "size", "displacement")
"""Columns that name a start."""
WORDS = ("checkpoint", "kind")
MEASURED = ("loss", "gradient_norm", "gradient_curvature", "converged", "index_fraction", "smallest", "largest", "kind")
SAME = 1e-5
"""Two points are one where loss and both ends of the spectrum differ by no more than this part of their scale."""
GRADIENT_FLAT = 1e-3
"""‖H∇L‖ / (‖H‖ ‖∇L‖) at most, where ‖∇L‖² is all but stationary though ∇L is not 0."""
RESAMPLES = 9_999
LEAST = 4
"""Points of which a correlation is told."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of index fraction and loss over critical points."""

    rho: float
    p_value: float
    """Two-sided, of permutations: the share of them whose correlation is as large in size."""


@dataclass(frozen=True)
class Saddles(Result):
    """Critical points near checkpoints; its table has a row for each start."""

    @property
    def run(self) -> str:
        """The name of the run."""
        return str((self.settings.get("path") or self.settings["points"][0])["run"])

    @property
    def converged(self) -> pd.DataFrame:
        """The rows that ended at a critical point."""
        return self.table[self.table["converged"] == 1]

    @property
    def lost(self) -> pd.DataFrame:
        """The rows that did not."""
        return self.table[self.table["converged"] != 1]

    @property
    def gradient_flat(self) -> pd.DataFrame:
        """Of these, the rows that ended where ‖∇L‖² is all but stationary though ∇L is not 0."""
        return self.lost[self.lost["gradient_curvature"] <= GRADIENT_FLAT]

    @cached_property
    def distinct(self) -> pd.DataFrame:
        """The first row of each critical point: those that symmetries of the net make of one another are one."""
        rows = self.converged.sort_values("loss", kind="stable")
        columns = [rows[name].to_numpy() for name in ("loss", "smallest", "largest", "index_fraction")]
        loss, smallest, largest, index = columns
        bent = np.maximum(np.abs(smallest), np.abs(largest))
        kept: list[int] = []
        for row in range(len(rows)):
            near = [k for k in reversed(kept) if loss[row] - loss[k] <= SAME * abs(loss[row])]
            same = (
                max(abs(smallest[row] - smallest[k]), abs(largest[row] - largest[k])) <= SAME * bent[row]
                and index[row] == index[k]
                for k in near
            )
            if not any(same):
                kept.append(row)
        return rows.iloc[kept].sort_index()

    def files(self) -> Iterator[tuple[dict[str, Any], Path]]:
        """The row of each distinct critical point, and the checkpoint file that `--keep` writes of it."""
        for row in self.distinct.to_dict("records"):
            name = f"{row['checkpoint']}-{row['size']:g}-{row['displacement']:g}.pt"
            yield {str(key): value for key, value in row.items()}, self.folder / POINTS / name

    @cached_property
    def correlation(self) -> Correlation | None:
        """Of the distinct points; None where they are too few, or all of the same loss or index."""
        points = self.distinct
        if len(points) < LEAST or points["loss"].nunique() < 2 or points["index_fraction"].nunique() < 2:
            return None
        from scipy.stats import rankdata

        loss, index = (rankdata(points[name]) for name in ("loss", "index_fraction"))
        loss, index = (ranks - ranks.mean() for ranks in (loss, index))
        scale = float(np.linalg.norm(loss) * np.linalg.norm(index))
        rho = float(loss @ index) / scale
        generator = np.random.default_rng(0)
        drawn = np.array([loss @ generator.permutation(index) for _ in range(RESAMPLES)]) / scale
        as_large = int((np.abs(drawn) >= abs(rho) * (1 - 1e-12)).sum())
        return Correlation(rho, (as_large + 1) / (RESAMPLES + 1))

    def lines(self) -> list[str]:
        """How many points there are, of what loss and index, and how these go together."""
        lines = [self.counts()]
        if len(self.converged):
            loss, index = self.converged["loss"], self.converged["index_fraction"]
            kinds = self.distinct["kind"].value_counts()
            lines.append(
                f"loss {number(loss.min())} to {number(loss.max())}, index fraction {number(index.min(), 3)} to "
                f"{number(index.max(), 3)}; " + ", ".join(f"{kind}: {count:,}" for kind, count in kinds.items())
            )
        return [*lines, self.correlation_words(), self.threshold()]

    def counts(self) -> str:
        """Starts, critical points, and starts that led to none."""
        return (
            f"{counted(len(self.table), 'start')}: {counted(len(self.converged), 'critical point')}, "
            f"{len(self.distinct):,} of them distinct; {len(self.lost):,} not converged, "
            f"{len(self.gradient_flat):,} of these gradient-flat (∇L along directions with hardly any curvature)"
        )

    def correlation_words(self) -> str:
        """The rank correlation as a sentence."""
        if self.correlation is None:
            return "No rank correlation of index fraction and loss: too few distinct points, or all alike."
        rho, p_value = self.correlation.rho, self.correlation.p_value
        return (
            f"Spearman's rank correlation of index fraction and loss over the {len(self.distinct):,} distinct points: "
            f"ρ = {number(rho, 3)}, p {'≤' if p_value <= 1 / RESAMPLES else '='} {number(p_value, 2)} "
            f"({RESAMPLES:,} permutations)."
        )

    def threshold(self) -> str:
        """When a point counts as critical, as a sentence."""
        tolerance = number(self.settings["tolerance"])
        return (
            f"Critical: the Newton step is at most {tolerance} ‖θ‖ and changes the loss by at most {tolerance} of that "
            f"of outputs that are all 0. Negative: an eigenvalue below −{tolerance} of the largest in size."
        )


def summary_of(result: Saddles) -> dict[str, Any]:
    """What summary.json says."""
    correlation, points = result.correlation, result.distinct
    ends = {
        name: [float(points[name].min()), float(points[name].max())] if len(points) else None
        for name in ("loss", "index_fraction")
    }
    return {
        "starts": len(result.table),
        "critical": len(result.converged),
        "distinct": len(points),
        "not_converged": len(result.lost),
        "gradient_flat": len(result.gradient_flat),
        **ends,
        "kinds": {str(kind): int(count) for kind, count in points["kind"].value_counts().items()},
        "spearman": correlation and {
            "rho": correlation.rho, "p_value": correlation.p_value, "permutations": RESAMPLES, "points": len(points),
        },
    }  # fmt: skip


def read(folder: Path) -> Saddles:
    """What `lossscape saddles` wrote. Raises BadInput where it is missing or torn."""
    found = Saddles(folder, read_settings(folder), read_csv(folder / FILE, WORDS))
    if found.table.empty or not {*KEYS, *MEASURED} <= set(found.table):
        raise BadInput(f"{folder / FILE}: holds no critical points; run the command again")
    return found

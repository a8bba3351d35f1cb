"""Curvature as read back from its folder: eigenvalues, traces and densities at the checkpoints of a run."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape.densities import Density
from lossscape.errors import BadInput
from lossscape.results import Result, read_csv, read_settings
from lossscape.text import number

EIGENVALUES, TRACE, DENSITY = "eigenvalues", "trace", "density"
WHOLE = "whole"
MATRIX = ("checkpoint", "matrix", "block")
KEYS = {EIGENVALUES: (*MATRIX, "rank"), TRACE: MATRIX, DENSITY: (*MATRIX, "vector", "step")}
"""Columns of each table that name its rows."""
WORDS = (*MATRIX, "kind")
MOST_LINES = 12
NAMES = {"hessian": "Hessian", "ggn": "Gauss–Newton matrix", "gradient_covariance": "gradient covariance"}


@dataclass(frozen=True)
class Curvature(Result):
    """Curvature at one checkpoint or several; its table is eigenvalues.csv."""

    traces: pd.DataFrame
    """trace.csv: a row for each checkpoint and block."""
    densities: pd.DataFrame
    """density.csv: nodes and weights; empty where none were asked for."""

    @property
    def matrix(self) -> str:
        """Hessian, Gauss–Newton matrix or gradient covariance."""
        return NAMES[self.settings["matrix"]]

    @property
    def checkpoints(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(self.traces["checkpoint"]))

    @property
    def blocks(self) -> list[str]:
        """The whole first, where it is among them."""
        return sorted(dict.fromkeys(self.traces["block"]), key=lambda block: block != WHOLE)

    @property
    def run(self) -> str:
        """The name of the run."""
        return str((self.settings.get("path") or self.settings["points"][0])["run"])

    def row(self, checkpoint: str, block: str) -> dict[str, Any]:
        """The row of trace.csv of a checkpoint."""
        (row,) = self.of(self.traces, checkpoint, block).to_dict("records")
        return {str(name): value for name, value in row.items()}

    def of(self, table: pd.DataFrame, checkpoint: str, block: str) -> pd.DataFrame:
        """The rows of a table of a checkpoint and block."""
        return table[(table["checkpoint"] == checkpoint) & (table["block"] == block)]

    def density(self, checkpoint: str, block: str) -> Density:
        """The spectral density of a matrix."""
        rows = self.of(self.densities, checkpoint, block)
        nodes, weights = (rows.pivot(index="vector", columns="step", values=name) for name in ("node", "weight"))
        size = int(self.row(checkpoint, block)["parameters"])
        return Density(nodes.to_numpy(), weights.to_numpy(), size, len(rows))

    def lines(self) -> list[str]:
        """What kind of point each checkpoint is, and the thresholds that say so."""
        shown = self.checkpoints
        if len(shown) > MOST_LINES:
            shown = [*shown[: MOST_LINES - 2], shown[-1]]
        lines = [self.line(checkpoint) for checkpoint in shown]
        if left := len(self.checkpoints) - len(shown):
            lines.insert(-1, f"… {left:,} more in {TRACE}.csv")
        return [*lines, *self.thresholds()]

    def line(self, checkpoint: str) -> str:
        """A checkpoint: loss, gradient norm, extreme eigenvalues, trace, kind of point."""
        block = self.blocks[0]
        row, values = self.row(checkpoint, block), self.of(self.table, checkpoint, block)
        words = [f"loss {number(row['loss'])}", f"gradient norm {number(row['gradient_norm'], 3)}"]
        ends = [("largest", 1), ("smallest", -1)]
        for name, rank in ends:
            for each in values[values["rank"] == rank].to_dict("records"):
                known = "" if each["converged"] else f" (not converged, ± {number(each['residual'], 2)})"
                words.append(f"{name} eigenvalue {number(each['eigenvalue'])}{known}")
        words.append(f"trace {estimate_words(row['trace'], row['trace_stderr'])}")
        of = "" if block == WHOLE else f" ({block})"
        return f"{checkpoint}{of}: {', '.join(words)}{f'; {kind}' if (kind := kind_words(row)) else ''}"

    def thresholds(self) -> list[str]:
        """The thresholds of the kinds of point, as sentences."""
        if self.settings["matrix"] != "hessian" or WHOLE not in self.blocks:
            return []
        sizes = [self.row(checkpoint, WHOLE)["sign_tolerance"] for checkpoint in self.checkpoints]
        critical = number(self.settings["critical"])
        low, high = number(min(sizes), 2), number(max(sizes), 2)
        return [
            f"Not critical: the Newton step is at least ‖∇L‖²/‖H∇L‖ > {critical} ‖θ‖, or what it changes the loss by "
            f"at least ½‖∇L‖³/‖H∇L‖ > {critical} of that of outputs that are all 0.",
            f"Negative: an eigenvalue below −{low if low == high else f'{low} to −{high}'}.",
        ]


def estimate_words(value: float, error: float) -> str:
    """45.1 ± 0.3, or the value alone where it is exact."""
    return number(value) if not error else f"{number(value)} ± {number(error, 2)}"


def index_words(row: dict[str, Any]) -> str:
    """How many eigenvalues are negative: 5, or at least 5; empty where it is not known of the matrix."""
    negative = row["negative"]
    if negative is None or math.isnan(negative):
        return ""
    return f"{'' if row['negative_exact'] else 'at least '}{negative:,.0f}"


def kind_words(row: dict[str, Any]) -> str:
    """The kind of a point with its index: saddle of index at least 2."""
    kind = str(row["kind"])
    if kind == "saddle":
        return f"saddle of index {index_words(row)}"
    if kind == "not critical":
        words = [f"{number(row['newton_step'], 2)} ‖θ‖", f"{number(row['newton_gain'], 2)} of the loss scale"]
        return f"not critical (a Newton step of {' and '.join(words)} or more)"
    return {"unknown": "kind of point unknown: no smallest eigenvalue converged"}.get(kind, kind)


def read(folder: Path) -> Curvature:
    """What `lossscape curvature` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    names = [EIGENVALUES, TRACE, *([DENSITY] if settings["vectors"] else [])]
    tables = {name: read_csv(folder / f"{name}.csv", WORDS) for name in names}
    for name, table in tables.items():
        if table.empty or not set(KEYS[name]) <= set(table):
            raise BadInput(f"{folder / name}.csv: holds no {name}; run the command again")
    return Curvature(folder, settings, tables[EIGENVALUES], tables[TRACE], tables.get(DENSITY, pd.DataFrame()))

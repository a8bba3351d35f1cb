"""How nets begin, and how their short trainings go, as read back from their folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.figures.metrics import metric
from lossscape.results import Result, evaluated, read_csv, read_settings
from lossscape.runfiles import RunFiles
from lossscape.text import number

LAYERS, UNITS, TRAININGS, SUMMARY = "layers.csv", "units.csv", "trainings.csv", "summary.csv"
KEYS = ("activation", "scheme", "seed", "layer")
OF_GROUP = 2
"""Of these, activation and scheme."""
WORDS = ("activation", "scheme", "layer", "run", "state", "counts", "gradient_counts")
MEASURED = (
    "units", "equal", "mean", "std", "zeros", "saturated", "not_finite", "gradient_std", "gradient_zeros",
    "gradient_not_finite", "low", "high", "counts", "gradient_low", "gradient_high", "gradient_counts",
)  # fmt: skip
FINISHED = "finished"


@dataclass(frozen=True)
class InitialValues(Result):
    """Activations and gradients at the start; its table is layers.csv, a row for each layer, scheme and seed."""

    units: pd.DataFrame
    """Units that started equal and still are, by layer and training; empty without trainings."""
    trainings: pd.DataFrame
    summary: pd.DataFrame
    """Last metrics of the trainings, mean and standard deviation over seeds."""

    @cached_property
    def activations(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(self.table["activation"]))

    @cached_property
    def schemes(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(self.table["scheme"]))

    @cached_property
    def layers(self) -> list[str]:
        """In the order of the net."""
        return list(dict.fromkeys(self.table["layer"]))

    def of(self, activation: str, scheme: str, layer: str) -> pd.DataFrame:
        """The rows of a layer, one for each seed."""
        rows = self.table
        return rows[(rows["activation"] == activation) & (rows["scheme"] == scheme) & (rows["layer"] == layer)]

    def histogram(self, activation: str, scheme: str, layer: str, prefix: str = "") -> tuple[np.ndarray, np.ndarray]:
        """Edges [B + 1] and counts [B] over all seeds of what is not 0; empty where nothing is.

        prefix: "gradient_" of gradients
        """
        rows = self.of(activation, scheme, layer)
        rows = rows[rows[f"{prefix}counts"] != ""]
        if rows.empty:
            return np.empty(0), np.empty(0)
        counts = np.sum([np.array(text.split(), dtype=float) for text in rows[f"{prefix}counts"]], axis=0)
        low, high = float(rows[f"{prefix}low"].iloc[0]), float(rows[f"{prefix}high"].iloc[0])
        return np.linspace(low, high if high > low else low + abs(low), len(counts) + 1), counts

    @property
    def runs(self) -> list[RunFiles]:
        """The short trainings, in the order of their table."""
        home = self.folder.parents[1]
        return [RunFiles(home / name) for name in self.trainings.get("run", [])]

    def lines(self) -> list[str]:
        """For each activation and scheme how the last hidden layer begins, and how trainings end."""
        return [" ".join(self.words(activation, scheme)) for activation in self.activations for scheme in self.schemes]

    def words(self, activation: str, scheme: str) -> list[str]:
        """What the terminal says of one."""
        hidden = self.layers[:-1] or self.layers
        rows = self.of(activation, scheme, hidden[-1])
        parts = [f"{hidden[-1]} begins with std {number(rows['std'].mean(), 3)}"]
        for column, what in (("zeros", "0"), ("saturated", "saturated")):
            if (share := rows[column].mean()) > 0:
                parts.append(f"{percent(share)} {what}")
        equal = self.equal_words(activation, scheme)
        if equal:
            parts.append(equal)
        if ended := self.ended_words(activation, scheme):
            parts.append(ended)
        name = scheme if len(self.activations) == 1 else f"{activation}, {scheme}"
        return [f"{name}:", "; ".join(parts)]

    def equal_words(self, activation: str, scheme: str) -> str:
        """Of the units of hidden layers: how many begin equal, and how many of them still are after training."""
        hidden = self.layers[:-1] or self.layers
        rows = self.table[(self.table["activation"] == activation) & (self.table["scheme"] == scheme)]
        rows = rows[rows["layer"].isin(hidden)]
        begun = int(rows["equal"].sum())
        if not begun:
            return ""
        words = f"{begun:,} of {int(rows['units'].sum()):,} hidden units begin equal"
        if self.units.empty:
            return words
        ended = self.units[(self.units["activation"] == activation) & (self.units["scheme"] == scheme)]
        ended = ended[ended["layer"].isin(hidden)]
        if ended.empty:
            return f"{words}; no training finished"
        begun, still, moved = (int(ended[name].sum()) for name in ("equal_start", "equal_end", "moved"))
        return f"{words}, {still:,} of {begun:,} end so ({moved:,} moved)"

    def ended_words(self, activation: str, scheme: str) -> str:
        """Last metrics of the test split, mean ± std over seeds, and how many diverged; nothing without trainings."""
        if self.summary.empty:
            return ""
        row = self.summary[(self.summary["activation"] == activation) & (self.summary["scheme"] == scheme)].iloc[0]
        names = [str(name).removesuffix("_mean") for name in row.index if str(name).endswith("_mean")]
        words = [
            f"{name.replace('_', ' ')} {spread_words(name, row[f'{name}_mean'], row[f'{name}_std'])}"
            for name in names
            if name.startswith("test_") and np.isfinite(row[f"{name}_mean"])
        ]
        n, lost = int(row["n"]), int(row["diverged"])
        return "; ".join([*words, *([f"{lost} of {n + lost} trainings diverged"] if lost else [])])


def curves_of(result: InitialValues, activation: str, scheme: str, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [E] and values [runs, E] of the trainings that finished."""
    rows = result.trainings
    chosen = (rows["activation"] == activation) & (rows["scheme"] == scheme) & (rows["state"] == FINISHED)
    tables = [evaluated(read_csv(run.metrics_file)) for run, own in zip(result.runs, chosen, strict=True) if own]
    if not tables:
        return np.empty(0), np.empty((0, 0))
    shortest = min(len(table) for table in tables)  # of those that stopped early
    return tables[0]["epoch"].to_numpy()[:shortest], np.stack([table[column].to_numpy()[:shortest] for table in tables])


def percent(share: float) -> str:
    """A share in words, of two digits."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{number(100 * share, 2)} %"


def spread_words(name: str, mean: float, std: float) -> str:
    """mean ± std, or the mean alone of one, of a column such as test_accuracy; shares as per cent."""
    shown = metric(name.partition("_")[2])
    words = number(shown.scale * mean, 4)
    words += f" ± {number(shown.scale * std, 2)}" if np.isfinite(std) else ""
    return f"{words} %" if shown.unit == "%" else words


def summary_of(trainings: pd.DataFrame) -> pd.DataFrame:
    """By activation and scheme: trainings that finished and that did not, and mean and std (n − 1) of last metrics."""
    metrics = [name for name in trainings if str(name).startswith(("train_", "test_"))]
    rows = []
    for (activation, scheme), own in trainings.groupby(["activation", "scheme"], sort=False):
        known = own[own["state"] == FINISHED]
        row = {"activation": activation, "scheme": scheme, "n": len(known), "diverged": len(own) - len(known)}
        for name in metrics:
            values = known[name].to_numpy(dtype=float)
            row[f"{name}_mean"] = float(values.mean()) if len(values) else None
            spread = values.std(ddof=1) if len(values) > 1 and np.ptp(values) else 0.0  # no rounding of equal ones
            row[f"{name}_std"] = float(spread) if len(values) > 1 else None
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def read(folder: Path) -> InitialValues:
    """What `lossscape initial-values` wrote. Raises BadInput where it is missing or torn."""
    settings, table = read_settings(folder), read_csv(folder / LAYERS, WORDS)
    if table.empty or not {*KEYS, *MEASURED} <= set(table):
        raise BadInput(f"{folder}: holds no layers; run the command again")
    names = (UNITS, TRAININGS, SUMMARY)
    if not settings["epochs"]:
        return InitialValues(folder, settings, table, *(pd.DataFrame() for _ in names))
    return InitialValues(folder, settings, table, *(read_csv(folder / name, WORDS) for name in names))


def runs_of(folder: Path) -> set[Path]:
    """The resolved folders of the trainings of a result."""
    return {run.path.resolve() for run in read(folder).runs}

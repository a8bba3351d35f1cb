"""Kinds of solution as read back from their folder, and in words and rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lossscape.errors import BadInput
from lossscape.files import read_json
from lossscape.results import Result, read_csv, read_settings
from lossscape.runfiles import RunFiles
from lossscape.text import aligned, number

RUNS = "runs.json"
"""The way from the folder that the result's own lies in to each run, by the name that the tables give it."""
FOUND = ("LM", "GM", "TM")
NEVER = "–"
MOST_LINES = 12
TEXT = ("run", "config", "other", "kind", "relation")


@dataclass(frozen=True)
class Solutions(Result):
    """Kinds of solution of one run or several; its table is epochs.csv: run, epoch, losses, relative_change, kind."""

    summary: pd.DataFrame
    configs: pd.DataFrame
    """A row for each config: mean and standard deviation over its runs. Empty for a single run."""
    ratios: pd.DataFrame
    """A row for each kind and pair of configs. Empty for a single run."""

    @property
    def runs(self) -> list[RunFiles]:
        """The runs, in the order of the summary."""
        return _runs(self.folder, self.settings["runs"])

    def lines(self) -> list[str]:
        """The first epochs of each run and config, and how many times those of another a config takes."""
        lines = aligned([["run", "epochs", *(f"first {kind}" for kind in FOUND)], *first_rows(self)])
        if means := mean_rows(self):
            lines += ["", *aligned([["config (mean ± std)", "runs", *FOUND], *means])]
        ratios = ratio_words(self)
        more = ["more of them in ratios.csv"] if len(ratios) > MOST_LINES else []
        return [*lines, "", *ratios[:MOST_LINES], *more, *([""] if ratios else [])]


def read(folder: Path) -> Solutions:
    """What `lossscape solutions` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    several = len(settings["runs"]) > 1
    epochs, summary = (read_csv(folder / f"{name}.csv", TEXT) for name in ("epochs", "summary"))
    configs, ratios = (
        read_csv(folder / f"{name}.csv", TEXT) if several else pd.DataFrame() for name in ("configs", "ratios")
    )
    if epochs.empty or summary.empty:
        raise BadInput(f"{folder}: holds no epochs; run the command again")
    return Solutions(folder, settings, epochs, summary, configs, ratios)


def runs_of(folder: Path) -> set[Path]:
    """The resolved folders of the runs that a result is of."""
    return {run.path.resolve() for run in _runs(folder, read_settings(folder)["runs"])}


def _runs(folder: Path, names: Sequence[str]) -> list[RunFiles]:
    """The runs of a result: the one that it lies in, or those that it lies beside."""
    home = folder.parents[1]
    if len(names) == 1:
        return [RunFiles(home)]
    ways = read_json(folder / RUNS)
    return [RunFiles(home / (ways.get(name) or _guessed(home, name))) for name in names]


def _guessed(home: Path, name: str) -> str:
    """The way to a run from its name, which may begin with the folder that it lies in, in results of before."""
    return name if (home / name).exists() else f"../{name}"


def mean_words(row: "pd.Series[float]", kind: str) -> str:
    """37 ± 4, with how many runs it is the mean of where others did not reach the kind."""
    reached, middle, spread = (row[f"{kind.lower()}_{what}"] for what in ("reached", "mean", "std"))
    if not reached:
        return NEVER
    words = f"{middle:,.1f}" if np.isnan(spread) else f"{middle:,.1f} ± {spread:,.1f}"
    return words if reached == row["runs"] else f"{words} ({int(reached)} of {int(row['runs'])})"


def first_words(row: "pd.Series[float]", kind: str) -> str:
    """A run's first epoch of a kind."""
    first = row[f"{kind.lower()}_epoch"]
    return NEVER if np.isnan(first) else f"{int(first):,}"


def first_rows(solutions: Solutions) -> list[list[str]]:
    """Run, epochs and first epoch of each of FOUND, a row for each run."""
    return [
        [row["run"], f"{row['epochs']:,.0f}", *(first_words(row, kind) for kind in FOUND)]
        for _, row in solutions.summary.iterrows()
    ]


def mean_rows(solutions: Solutions) -> list[list[str]]:
    """Config, number of runs and mean ± standard deviation for each of FOUND, a row for each with several runs."""
    return [
        [row["config"], f"{row['runs']:.0f}", *(mean_words(row, kind) for kind in FOUND)]
        for _, row in solutions.configs.iterrows()
        if row["runs"] > 1
    ]


def ratio_words(solutions: Solutions) -> list[str]:
    """A sentence for each kind and pair of configs, the slower one first, as far as it is known which that is."""
    lines = []
    said = set()
    for _, row in solutions.ratios.iterrows():
        pair = (row["kind"], frozenset((row["config"], row["other"])))
        slower = row["relation"] in ("equal", "at least") and row["ratio"] >= 1
        if slower and pair not in said:
            said.add(pair)
            size = number(row["ratio"], 3)
            size += "" if np.isnan(row["ratio_std"]) else f" ± {number(row['ratio_std'], 2)}"
            bound = "at least " if row["relation"] == "at least" else ""
            lines.append(f"{row['kind']}: {row['config']} takes {bound}{size} times the epochs of {row['other']}")
    return lines

"""A comparison as read back from its folder, and in words and rows."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape.errors import BadInput
from lossscape.figures.captions import loss_label
from lossscape.figures.facts import facts_of
from lossscape.figures.metrics import metric as shown_metric
from lossscape.files import read_json
from lossscape.results import Result, read_csv, read_settings
from lossscape.runfiles import RunFiles
from lossscape.text import aligned, number

RUNS = "runs.json"
"""The way from the folder that the result's own lies in to each run."""
FILES = {"runs": "runs.csv", "groups": "groups.csv", "curves": "curves.csv", "differences": "differences.csv"}
TEXT = ("run", "group", "method", "state", "baseline")
COSTS = ("epoch", "step", "gradient_evaluations", "hessian_products", "seconds")
"""What it takes to reach a value, as columns of a run's metrics."""
SHOWN = {"epoch": "epochs", "step": "steps", "gradient_evaluations": "gradients", "hessian_products": "Hv products",
         "seconds": "seconds"}  # fmt: skip
FEW = 3
"""Pairs below which no interval is given."""
NEVER = "never"
MOST_LINES = 30


@dataclass(frozen=True)
class Comparison(Result):
    """Runs compared; its table is groups.csv, a row for each group of runs that differ by their seed only."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    differences: pd.DataFrame
    """Of the final values of each group to the baseline's, pairs by seed. Empty for a single group."""

    @property
    def metric(self) -> str:
        """What is ranked and drawn, a column of metrics.csv."""
        return str(self.settings["metric"])

    @property
    def until(self) -> list[str]:
        """What is to be reached, as in test_accuracy=0.97."""
        return [str(each) for each in self.settings["until"]]

    @property
    def higher(self) -> bool:
        """Whether larger values of the metric are better."""
        return self.metric in self.settings["maximised"]

    @property
    def baseline(self) -> str:
        """The group that the others are held against."""
        return str(self.differences["baseline"].iloc[0]) if len(self.differences) else str(self.table["group"].iloc[0])

    @property
    def products(self) -> bool:
        """Whether a run has taken products with the Hessian."""
        return bool((self.table["hessian_products_mean"] > 0).any())

    @cached_property
    def losses(self) -> list[str]:
        """Names of the losses of the runs, of those that still lie there."""
        found = []
        for path in sorted(runs_of(self.folder)) if (self.folder / RUNS).exists() else ():
            with suppress(BadInput):
                found.append(facts_of(RunFiles(path)).loss)
        return found

    def axis(self, name: str) -> str:
        """The label of an axis of a column of metrics.csv."""
        return axis_of(name, self.losses)

    @property
    def several_rates(self) -> list[str]:
        """The methods of several learning rates."""
        counts = self.table.groupby("method", sort=False)["lr"].nunique()
        return [str(method) for method in counts.index[counts > 1]]

    def best_of_methods(self) -> pd.DataFrame:
        """The row of each method's best learning rate: no failed run, then the best mean of the final metric."""
        rows = self.table.assign(whole=self.table["failed"] == 0)
        order = ["whole", f"final_{self.metric}_mean"]
        rows = rows.sort_values(order, ascending=[False, not self.higher], kind="stable", na_position="last")
        first = rows.drop_duplicates("method")
        return first.loc[sorted(first.index)].drop(columns="whole")

    def chosen(self, first: str) -> pd.DataFrame:
        """Rows of groups.csv: of `method` each at its best learning rate, of `group` all."""
        return self.best_of_methods() if first == "method" else self.table

    def lines(self) -> list[str]:
        """Each method at its best learning rate, or every group, and how far these are from the baseline."""
        first = "method" if self.several_rates else "group"
        lines = ["each method at its learning rate with the best mean:", ""] if self.several_rates else []
        lines += aligned([value_head(self, first), *value_rows(self, first)[:MOST_LINES]])
        for until in self.until:
            rows = reach_rows(self, first, until)[:MOST_LINES]
            lines += ["", f"until {until}", *aligned([reach_head(self, first), *rows])]
        more = len(self.chosen(first)) - MOST_LINES
        lines += [f"{more} more in {FILES['groups']}"] * (more > 0)
        if len(self.differences):
            shown = [row for row in difference_rows(self) if row[0] in set(self.chosen(first)["group"])]
            lines += ["", *aligned([DIFFERENCE_HEAD, *shown[:MOST_LINES]])] if shown else []
        return [*lines, ""]


DIFFERENCE_HEAD = ["group", "minus", "pairs", "difference", "interval"]


def read(folder: Path) -> Comparison:
    """What `lossscape compare` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    tables = {name: read_csv(folder / file, TEXT) for name, file in FILES.items()}
    if tables["groups"].empty or tables["runs"].empty or "metric" not in settings:
        raise BadInput(f"{folder}: holds no groups; run the command again")
    return Comparison(folder, settings, tables["groups"], tables["runs"], tables["curves"], tables["differences"])


def runs_of(folder: Path) -> set[Path]:
    """The resolved folders of the runs that a result is of."""
    return {(folder.parents[1] / way).resolve() for way in read_json(folder / RUNS).values()}


def value_words(name: str, mean: float, std: float) -> str:
    """95.12 ± 0.31 (%), or 0.123 ± 0.004, of a column such as test_accuracy."""
    if mean != mean:
        return "–"
    known = shown_metric(name.partition("_")[2])
    if known.unit == "%":
        return f"{100 * mean:.2f}" + ("" if std != std else f" ± {100 * std:.2f}")
    return count_words(mean) + ("" if std != std else f" ± {count_words(std, 2)}")


def count_words(value: float, digits: int = 3) -> str:
    """A number to so many digits, a larger one whole: 0.0612, 12.3, 1,240."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else number(value, digits)


def unit_of(name: str) -> str:
    """test accuracy (%)"""
    split, _, metric = name.partition("_")
    return f"{split} loss" if metric == "loss" else shown_metric(metric).axis(split)


def axis_of(name: str, losses: Iterable[str]) -> str:
    """As `unit_of`, of a loss also which one it is: train loss (cross-entropy, mean per sample); losses: by name."""
    split, _, metric = name.partition("_")
    return loss_label(losses, split) if metric == "loss" else unit_of(name)


def costs_of(comparison: Comparison) -> list[str]:
    """The costs that are shown: products with the Hessian only where there were any."""
    return [cost for cost in COSTS if cost != "hessian_products" or comparison.products]


def _named(row: "pd.Series[Any]", first: str) -> list[str]:
    rate = "–" if row["lr"] != row["lr"] else f"{row['lr']:g}"
    return [row[first], *([rate] if first == "method" else [])]


def value_head(comparison: Comparison, first: str) -> list[str]:
    """The heads of `value_rows`."""
    shown, rate = unit_of(comparison.metric), ["lr"] if first == "method" else []
    return [first, *rate, "runs", "failed", f"final {shown}", f"best {shown}", "final train loss", "seconds"]


def value_rows(comparison: Comparison, first: str) -> list[list[str]]:
    """Final and best values in words, of each `group`, or of each `method` at its best learning rate."""
    rows = []
    for _, row in comparison.chosen(first).iterrows():
        own = [
            value_words(name, row[f"{what}_{name}_mean"], row[f"{what}_{name}_std"])
            for what, name in (("final", comparison.metric), ("best", comparison.metric), ("final", "train_loss"))
        ]
        seconds = value_words("seconds", row["seconds_mean"], row["seconds_std"])
        rows.append([*_named(row, first), f"{row['runs']:.0f}", f"{row['failed']:.0f}", *own, seconds])
    return rows


def reach_head(comparison: Comparison, first: str) -> list[str]:
    """The heads of `reach_rows`."""
    rate = ["lr"] if first == "method" else []
    return [first, *rate, "reached", *(SHOWN[cost] for cost in costs_of(comparison))]


def reach_rows(comparison: Comparison, first: str, until: str) -> list[list[str]]:
    """What it took to reach a value: means over the runs that did, and how many these are."""
    rows = []
    for _, row in comparison.chosen(first).iterrows():
        reached, runs = int(row[f"{until} reached"]), int(row["runs"])
        counted = f"{reached} of {runs}" if reached else f"{NEVER} (0 of {runs})"
        costs = [
            value_words(cost, row[f"{until} {cost}_mean"], row[f"{until} {cost}_std"]) for cost in costs_of(comparison)
        ]
        rows.append([*_named(row, first), counted, *costs])
    return rows


def difference_rows(comparison: Comparison) -> list[list[str]]:
    """Differences in words, marked where there are too few pairs for an interval."""
    scale = shown_metric(comparison.metric.partition("_")[2]).scale
    rows = []
    for _, row in comparison.differences.iterrows():
        interval = f"{number(scale * row['low'], 3)} to {number(scale * row['high'], 3)}"
        if row["pairs"] < FEW:
            interval = f"none: fewer than {FEW} pairs"
        difference = "–" if row["difference"] != row["difference"] else number(scale * row["difference"], 3)
        rows.append([row["group"], row["baseline"], f"{row['pairs']:.0f}", difference, interval])
    return rows


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"

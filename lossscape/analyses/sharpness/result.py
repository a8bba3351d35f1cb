"""Sharpness as read back from its folder: rises of the loss, and widths, with their intervals."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lossscape.certificate.check import RELATIVE
from lossscape.errors import BadInput
from lossscape.results import Result, read_csv, read_settings
from lossscape.text import counted, number

SHARPNESS, SUMMARY = "sharpness", "summary"
KEYS = ("checkpoint", "measure", "rho", "seed")
"""Columns that name a row of sharpness.csv; rho is empty of a width."""
WORDS = ("checkpoint", "measure")
SUMMARY_COLUMNS = (
    "checkpoint", "measure", "rho", "epoch", "step", "seeds", "loss", "mean", "low", "high", "quartile1", "median",
    "quartile3", "largest", "converged",
)  # fmt: skip
CONFIDENCE = 0.95
WIDTH = "width"
WORST = ("worst", "adaptive_worst")
NAMES = {
    "worst": "worst rise",
    "average": "average rise",
    "adaptive_worst": "adaptive worst rise",
    "adaptive_average": "adaptive average rise",
    WIDTH: "width",
}
MOST_LINES = 12


@dataclass(frozen=True)
class Sharpness(Result):
    """Sharpness at one checkpoint or several; its table is sharpness.csv."""

    summary: pd.DataFrame
    """summary.csv: a row for each checkpoint, measure and radius."""

    @property
    def checkpoints(self) -> list[str]:
        """In their order."""
        return list(dict.fromkeys(self.summary["checkpoint"]))

    @property
    def kinds(self) -> list[str]:
        """The measures that were asked for."""
        return list(dict.fromkeys(self.summary["measure"]))

    @property
    def run(self) -> str:
        """The name of the run."""
        return str((self.settings.get("path") or self.settings["points"][0])["run"])

    def of(self, measure: str, checkpoint: str | None = None) -> pd.DataFrame:
        """The rows of the summary of a measure, by radius."""
        rows = self.summary[self.summary["measure"] == measure]
        return rows if checkpoint is None else rows[rows["checkpoint"] == checkpoint]

    def lines(self) -> list[str]:
        """The measures of each checkpoint at their greatest radius, and what is not to be relied on."""
        shown = self.checkpoints
        if len(shown) > MOST_LINES:
            shown = [*shown[: MOST_LINES - 2], shown[-1]]
        lines = [self.line(checkpoint) for checkpoint in shown]
        if left := len(self.checkpoints) - len(shown):
            lines.insert(-1, f"… {left:,} more in {SUMMARY}.csv")
        return [*lines, *self.doubts()]

    def line(self, checkpoint: str) -> str:
        """A checkpoint: its loss, and each measure at its greatest radius."""
        words = []
        for measure in self.kinds:
            row = self.of(measure, checkpoint).iloc[-1].to_dict()
            at = (
                f" at ρ = {number(row['rho'])}"
                if measure != WIDTH
                else f" to a rise of {number(self.settings['rise'])}"
            )
            words.append(f"{NAMES[measure]}{at} {measured_words(row)}")
        loss = self.summary[self.summary["checkpoint"] == checkpoint]["loss"].iloc[0]
        return f"{checkpoint}: loss {number(loss)}; {', '.join(words)}"

    def doubts(self) -> list[str]:
        """What is not to be relied on, as sentences."""
        table, words = self.table, []
        worst = table[table["measure"].isin(WORST)]
        if lost := int((worst["converged"] == 0).sum()):
            words.append(
                f"{lost:,} of {len(worst):,} ascents still rose in their last steps: take more --ascent-steps."
            )
        rises = table[table["measure"] != WIDTH]
        rounding = RELATIVE[self.settings["precision"]] * rises["loss"].abs()
        if lost := int((rises["value"].abs() < rounding).sum()):
            words.append(
                f"{lost:,} of {len(rises):,} rises are below {number(RELATIVE[self.settings['precision']])} of the "
                "loss, which may be rounding: take a greater ρ or --precision fp64."
            )
        widths = table[table["measure"] == WIDTH]
        if lost := int((widths["converged"] == 0).sum()):
            words.append(
                f"Along {lost:,} of {counted(len(widths), 'direction')} the loss does not rise so far, or at once."
            )
        return words


def measured_words(row: Mapping[Any, Any]) -> str:
    """The greatest rise of all starts, or a mean, with the mean's confidence interval; a median with its quartiles."""
    if row["measure"] == WIDTH:
        spread = f" (quartiles {number(row['quartile1'], 3)} to {number(row['quartile3'], 3)})"
        return f"{number(row['median'], 3)}{spread if row['seeds'] > 1 else ''}"
    worst = row["measure"] in WORST
    value = number(row["largest" if worst else "mean"], 3)
    if math.isnan(row["low"]):
        return value
    mean = f"mean of the starts {number(row['mean'], 3)}, " if worst else ""
    return f"{value} ({mean}{CONFIDENCE:.0%} {number(row['low'], 3)} to {number(row['high'], 3)})"


def read(folder: Path) -> Sharpness:
    """What `lossscape sharpness` wrote. Raises BadInput where it is missing or torn."""
    settings = read_settings(folder)
    table, summary = (read_csv(folder / f"{name}.csv", WORDS) for name in (SHARPNESS, SUMMARY))
    if table.empty or summary.empty or not {*KEYS, "value"} <= set(table) or not {*SUMMARY_COLUMNS} <= set(summary):
        raise BadInput(f"{folder}: holds no measures of sharpness; run the command again")
    return Sharpness(folder, settings, table, summary)

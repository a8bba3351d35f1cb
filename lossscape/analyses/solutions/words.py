"""Kinds of solution in words: captions, tables, and how many times the epochs of another a config takes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lossscape.analyses.solutions.result import Solutions
from lossscape.figures.facts import Facts
from lossscape.figures.text import finite, shortened
from lossscape.figures.words import LOSS_UNIT
from lossscape.text import number

FOUND = ("LM", "GM", "TM")
NEVER = "–"


def solutions_caption(solutions: Solutions, facts: Sequence[Facts]) -> str:
    """The definitions with their tolerances, the spread over seeds, and data, net and optimizer of each run."""
    rule = solutions.settings
    unit = LOSS_UNIT.get(facts[0].loss, "") if len({each.loss for each in facts}) == 1 else ""
    window = f"Each must hold for {rule['window']} epochs in succession; of the last {rule['window']} it is not known."
    zero = f"{number(rule['zero'])} {unit}".strip()
    together = [
        "T, V: training and test loss after each epoch, means over whole splits in eval mode.",
        "LM (local minimum): T(i+1) ≈ T(i); GM (global): also T(i) ≈ 0; TM (true): also V(i) ≈ 0; a stronger kind "
        "includes the weaker.",
        f"≈ 0: at most {zero}. T(i+1) ≈ T(i): they differ by at most {number(100 * rule['tolerance'])} % of the "
        "greater, or both are ≈ 0.",
        window if rule["window"] > 1 else "Of the last epoch it is not known.",
        f"Dots above and numbers on the right: the first epoch of each kind; {NEVER}: not reached so far.",
        *_gaps(solutions),
    ]
    parts = [" ".join(together)]
    for config, runs, *means in mean_rows(solutions):
        cells = "; ".join(f"{kind} {words}" for kind, words in zip(FOUND, means, strict=True))
        parts.append(f"{shortened(config)}, mean ± std over its {runs} runs: {cells}.")
    same: dict[str, list[str]] = {}
    for (_, row), each in zip(solutions.summary.iterrows(), facts, strict=True):
        planned = "" if each.epochs is None else f" of {each.epochs}"
        same.setdefault(f"{each.words}; {row['epochs']:.0f}{planned} epochs.", []).append(
            shortened(row["run"])
        )
    parts += [f"{', '.join(names)}: {words}" for words, names in same.items()]
    return "\n".join(parts)


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


def _gaps(solutions: Solutions) -> list[str]:
    losses = finite(solutions.epochs[["train_loss", "test_loss"]].to_numpy())
    words = []
    if lost := int(np.isnan(losses).sum()):
        words.append(f"Gaps: {lost:,} losses are infinite, undefined or above 1e30.")
    if (low := int((losses <= 0).sum())) and (losses > 0).any():
        words.append(f"{low:,} losses are not positive and have no place on the logarithmic axis.")
    return words


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
    told = set()
    for _, row in solutions.ratios.iterrows():
        pair = (row["kind"], frozenset((row["config"], row["other"])))
        slower = row["relation"] in ("equal", "at least") and row["ratio"] >= 1
        if slower and pair not in told:
            told.add(pair)
            size = number(row["ratio"], 3)
            size += "" if np.isnan(row["ratio_std"]) else f" ± {number(row['ratio_std'], 2)}"
            bound = "at least " if row["relation"] == "at least" else ""
            lines.append(
                f"{row['kind']}: {row['config']} takes {bound}{size} times the epochs of {row['other']}"
            )
    return lines


def solutions_alt(solutions: Solutions) -> str:
    """What a reader who cannot see the figure should know."""
    words = [
        f"{row['run']}: " + ", ".join(f"{kind} {first_words(row, kind)}" for kind in FOUND)
        for _, row in solutions.summary.iterrows()
    ]
    return f"Losses and kinds of solution by epoch. First epochs: {'; '.join(words)}."

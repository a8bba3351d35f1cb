"""How far the numbers of a result may be off, in words: fewer samples, less precision, a failed certificate."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lossscape.figures.text import finite
from lossscape.results import Result
from lossscape.text import number

BAND = 2
"""Standard errors on either side of a curve that its band shows."""


def sampled(result: Result, split: str) -> bool:
    """Whether the losses of a split are estimates from a subset, with standard errors."""
    return f"{split}_loss_stderr" in result.table


def standard_errors(result: Result, splits: Sequence[str]) -> list[str]:
    """Standard errors of the losses and of their differences to the reference point, as sentences.

    That point is the centre, or α = 0.
    """
    reference = np.asarray((result.table[result.axes] == 0).all(axis=1))
    name = "α = 0" if "alpha" in result.table else "the centre"
    words, smaller = [], []
    for split in splits:
        if not sampled(result, split):
            continue
        own = finite(result.table[f"{split}_loss_stderr"].to_numpy())
        apart = finite(result.table[f"{split}_loss_difference_stderr"].to_numpy())
        there = own[reference & np.isfinite(own)]
        elsewhere = np.isfinite(own) & np.isfinite(apart) & ~reference
        parts = [f"{number(float(there[0]), 2)} at {name}"] if there.size else []
        if elsewhere.any():
            parts.append(
                f"{_middle(own[elsewhere])}; of its difference to {name}: {_middle(apart[elsewhere])}"
            )
            separate = np.hypot(own[elsewhere], there.sum())
            smaller.append(np.median(apart[elsewhere]) < np.median(separate))
        if parts:
            words.append(f"Standard error of the {split} loss: {', '.join(parts)}.")
    if smaller and all(smaller):
        words.append(
            "All points see the same samples, so differences between them are more accurate than their own errors "
            "suggest."
        )
    return words


def _middle(errors: np.ndarray) -> str:
    return f"{number(float(np.median(errors)), 2)} in the median, {number(float(errors.max()), 2)} at most"


def precision_words(result: Result) -> str:
    """The precision of the arithmetic, with its measured error where it is below fp32, as a sentence."""
    check, precision = result.certificate.get("precision_check"), result.settings["precision"]
    if not isinstance(check, dict) or not check.get("points"):
        return f"Precision: {precision}."
    worst, mean = (_error(check.get(f"{which}_relative_error")) for which in ("largest", "mean"))
    points = f"{check['points']:,} point{'s'[: check['points'] != 1]}"
    return f"Precision: {precision}; against fp32 at {points}: largest relative error {worst}, mean {mean}."


def _error(value: Any) -> str:
    return number(float(value), 2) if isinstance(value, int | float) and np.isfinite(value) else "undefined"


def failure_words(result: Result) -> list[str]:
    """A sentence where the result's certificate failed."""
    failed = bool(result.certificate) and not result.certificate.get("passed")
    return ["The certificate of this result FAILED: do not rely on these losses."] if failed else []

"""What a result's settings say in words: data, samples, points, range, policy; and how far its numbers may be off."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossscape.figures.text import finite, shortened
from lossscape.results import Result, Surface
from lossscape.text import code_name, number

Settings = Mapping[str, Any]

LOSSES = {"cross_entropy": "cross-entropy", "mse": "squared error"}
LOSS_UNITS = {"cross_entropy": "nats"}
BATCH_NORM = {
    "recompute": "recomputed on the training inputs at every point",
    "interpolated": "interpolated along with the weights",
    "frozen": "held at those of {anchor}",
}

BAND = 2
"""Standard errors on either side of a curve that its band shows."""


def point_name(point: Settings, columns: int = 44) -> str:
    """run@checkpoint of a point in settings."""
    return shortened(f"{point['run']}@{point['checkpoint']}", columns)


def loss_name(settings: Settings) -> str:
    """The loss in words; what it is held against where that is not the data's labels."""
    name = LOSSES.get(settings["loss"], shortened(code_name(str(settings["loss"]))))
    targets = settings.get("targets", "labels")
    if targets == "soft":
        return "KL divergence from soft targets"
    return name if targets == "labels" else f"{name} against {targets} targets"


def loss_label(results: Sequence[Settings], split: str = "") -> str:
    """An axis label: what the loss is, where it is the same for all, and its unit."""
    names = list(dict.fromkeys(loss_name(settings) for settings in results))
    what = f"{names[0]}, mean per sample" if len(names) == 1 else "mean per sample"
    return f"{split} loss ({what})".strip()


def data_words(settings: Settings) -> str:
    """The data set, its note and what was done to its labels."""
    dataset = settings["dataset"]
    words = [shortened(code_name(str(dataset["name"])))]
    if note := settings.get("data_note"):
        words.append(f"({shortened(str(note), 80)})")
    if dataset.get("label_noise"):
        words.append(f"with {dataset['label_noise']:.0%} of the training labels redrawn")
    return " ".join(words)


def sample_words(settings: Settings, splits: Sequence[str]) -> str:
    """Numbers of samples: 60,000 train and 10,000 test samples; of a subset, how it was chosen."""
    whole = settings.get("population") or {}
    counts, parts = [], 0
    for split in splits:
        count = settings["samples"][split]
        part = whole.get(split, count) != count
        parts += part
        counts.append(f"{count:,} of {whole[split]:,} {split}" if part else f"{count:,} {split}")
    words = f"{' and '.join(counts)} samples"
    if not parts:
        return words
    each = "of each split" if parts > 1 else f"of {splits[0]}" if len(splits) > 1 else ""
    subset = f"one stratified subset {each}".strip()
    return f"{words} ({subset}, seed {settings.get('subset_seed', 0)}, the same at every point)"


def targets_extra(settings: Settings) -> list[str]:
    """What training inputs are held against, where that is not the data's labels."""
    targets = settings.get("targets", "labels")
    return [] if targets == "labels" else [f"{targets} targets"]


def title_extras(settings: Settings) -> list[str]:
    """What tells a result from others of the same points: a subset, another precision."""
    extras = []
    if settings.get("population"):
        extras.append(f"{max(settings['samples'].values()):,} samples")
    return extras + ([str(settings["precision"])] if settings["precision"] != "fp32" else [])


def grid_words(result: Result) -> str:
    """How many points there are: 9 × 7 points, 1,001 points, or those of the grid and those added."""
    if added := int(result.refined.sum()):
        shape = "surface" if isinstance(result, Surface) else "curve"
        return f"{len(result.table) - added:,} grid points and {added:,} refined where the {shape} bends"
    if isinstance(result, Surface) and result.regular:
        return f"{len(result.x)} × {len(result.y)} points"
    return f"{len(result.table):,} points"


def range_words(result: Result) -> list[str]:
    """A sentence where the range was found, not given."""
    if not (factor := result.settings.get("auto_range")):
        return []
    level = result.found_range.get("level")
    to = f", to {number(level)}," if isinstance(level, int | float) else ""
    rises = f"the {result.splits[0]} loss rises at least by the factor {number(factor)}{to} on every side"
    return [f"The range was chosen so that {rises}."]


def conditions(result: Result, splits: Sequence[str], anchor: str) -> list[str]:
    """Data, samples, net, loss, BatchNorm policy and precision of a result and their errors, as sentences."""
    settings = result.settings
    words = [
        f"Data: {data_words(settings)}, {sample_words(settings, splits)}.",
        *standard_errors(result, splits),
        f"Net: {shortened(code_name(str(settings['model'])))}.",
        f"Loss: {loss_name(settings)}.",
    ]
    if policy := settings.get("batch_norm"):
        words.append(f"BatchNorm statistics {BATCH_NORM.get(policy, str(policy)).format(anchor=anchor)}.")
    if dropout := settings.get("dropout"):
        words.append(f"Dropout stays on, with masks of seed {dropout['seed']} that are the same at every point.")
    return [*words, precision_words(result)]


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
            parts.append(f"{_middle(own[elsewhere])}; of its difference to {name}: {_middle(apart[elsewhere])}")
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

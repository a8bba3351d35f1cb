"""What a result's settings say, in words: units, data, samples, points, range, policy, precision."""

from collections.abc import Mapping, Sequence
from typing import Any

from lossscape.figures.text import shortened
from lossscape.figures.uncertainty import precision_words, standard_errors
from lossscape.results import Result, Surface
from lossscape.text import number

Settings = Mapping[str, Any]

LOSSES = {"cross_entropy": "cross-entropy", "mse": "squared error"}
BATCH_NORM = {
    "recompute": "recomputed on the training inputs at every point",
    "interpolated": "interpolated along with the weights",
    "frozen": "held at those of {anchor}",
}


def place(point: Settings, columns: int = 44) -> str:
    """run@checkpoint of a point in settings."""
    return shortened(f"{point['run']}@{point['checkpoint']}", columns)


def loss_name(settings: Settings) -> str:
    """The loss in words; what it is held against where that is not the data's labels."""
    name = LOSSES.get(settings["loss"], shortened(str(settings["loss"])))
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
    words = [shortened(str(dataset["name"]))]
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


def point_words(result: Result) -> str:
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
        f"Net: {shortened(str(settings['model']))}.",
        f"Loss: {loss_name(settings)}.",
    ]
    if policy := settings.get("batch_norm"):
        words.append(f"BatchNorm statistics {BATCH_NORM.get(policy, str(policy)).format(anchor=anchor)}.")
    if dropout := settings.get("dropout"):
        words.append(
            f"Dropout stays on, with masks of seed {dropout['seed']} that are the same at every point."
        )
    return [*words, precision_words(result)]

"""What figures show, in words: names, units, data, split, ends or centre, directions, policy, precision, samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossscape.report.text import finite, number, shortened
from lossscape.results import Curve, Surface

Settings = Mapping[str, Any]

LOSSES = {"cross_entropy": "cross-entropy", "mse": "squared error"}
BATCH_NORM = {
    "recompute": "recomputed on the training inputs at every point",
    "interpolated": "interpolated along with the weights",
    "frozen": "held at those of {anchor}",
}
NORMALIZATIONS = {
    "filter": ("filter-normalised", "each filter of a direction has the norm of the filter it moves"),
    "layer": ("layer-normalised", "each tensor of a direction has the norm of the tensor it moves"),
    "global": ("scaled to ‖θ‖", "each direction has the norm of the centre"),
    "unit": ("of norm 1", "each direction has norm 1"),
    "none": ("not normalised", "each direction is left as drawn"),
}
IGNORED = {"bias": "biases", "norm": "normalisation layers"}


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
    """Numbers of samples: 60,000 train and 10,000 test samples."""
    counts = [f"{settings['samples'][split]:,} {split}" for split in splits]
    return f"{' and '.join(counts)} samples"


def conditions(settings: Settings, splits: Sequence[str], anchor: str) -> list[str]:
    """Data, samples, net, loss, BatchNorm policy and precision of a result, as sentences."""
    words = [
        f"Data: {data_words(settings)}, {sample_words(settings, splits)}.",
        f"Net: {shortened(str(settings['model']))}.",
        f"Loss: {loss_name(settings)}.",
    ]
    if policy := settings.get("batch_norm"):
        words.append(f"BatchNorm statistics {BATCH_NORM.get(policy, str(policy)).format(anchor=anchor)}.")
    words.append(f"Precision: {settings['precision']}.")
    return words


def direction_words(settings: Settings, count: int) -> str:
    """How the directions were made, as sentences."""
    made = settings["directions"]
    how = NORMALIZATIONS.get(made["normalize"], (made["normalize"], made["normalize"]))[1]
    words = [
        f"{str(made['kind']).capitalize()} direction{'s'[: count - 1]}, seed {made['seed']}: normal numbers"
    ]
    if count > 1:
        words.append(", the second orthogonal to the first filter by filter")
    words.append(f"; {how}")
    if ignored := [IGNORED.get(kind, kind) for kind in made["ignore"]]:
        words.append(f"; {' and '.join(ignored)} stay put")
    return "".join(words) + "."


def axis_label(settings: Settings, axis: str, number_of: int | None = None) -> str:
    """x (filter-normalised random direction 1)."""
    made = settings["directions"]
    scaled = NORMALIZATIONS.get(made["normalize"], (made["normalize"],))[0]
    which = "" if number_of is None else f" {number_of}"
    if made["normalize"] in ("filter", "layer"):
        return f"{axis} ({scaled} {made['kind']} direction{which})"
    return f"{axis} ({made['kind']} direction{which}, {scaled})"


def curve_title(curves: Sequence[Curve]) -> str:
    """One line that says what a figure of curves shows."""
    settings = curves[0].settings
    if curves[0].coordinate == "x":
        return f"Along a random direction from {place(settings['centre'])}"
    if len(curves) == 1:
        return f"On the line from {place(settings['start'], 34)} to {place(settings['end'], 34)}"
    return f"On the line between two checkpoints, {len(curves)} curves"


def curve_caption(curves: Sequence[Curve], names: Sequence[str], log: bool) -> str:
    """The caption of a figure of curves; what they share is said once."""
    told = [_of_curve(curve, alone=len(curves) == 1) for curve in curves]
    shared = (
        [sentence for sentence in told[0] if all(sentence in other for other in told)]
        if len(told) > 1
        else []
    )
    parts = [
        f"{name}: {' '.join(own)}" if len(curves) > 1 else " ".join(own)
        for name, sentences in zip(names, told, strict=True)
        if (own := [sentence for sentence in sentences if sentence not in shared])
    ]
    together = " ".join([*shared, *_gaps(curves, log)])
    return "\n".join([together, *parts]) if len(curves) > 1 else f"{parts[0]} {together}".strip()


def _of_curve(curve: Curve, *, alone: bool) -> list[str]:
    settings = curve.settings
    size = f"{len(curve.table):,} points."
    if curve.coordinate == "x":
        centre = place(settings["centre"])
        return [
            f"Loss at θ + x·d around θ = {centre}.", size, direction_words(settings, 1),
            *conditions(settings, curve.splits, "the centre"),
        ]  # fmt: skip
    both = [settings["start"], settings["end"]]
    named = alone or both[0]["run"] != both[1]["run"]
    ends = [place(end) if named else shortened(str(end["checkpoint"])) for end in both]
    of = "" if named else " of the run"
    return [
        "θ(α) = (1 − α)·A + α·B.",
        f"A = {ends[0]}, B = {ends[1]}{of}.",
        size,
        *conditions(settings, curve.splits, "A"),
    ]


def _gaps(curves: Sequence[Curve], log: bool) -> list[str]:
    drawn = [curve.table[f"{split}_loss"].to_numpy() for curve in curves for split in curve.splits]
    losses = finite(np.concatenate(drawn))
    words = []
    if lost := int(np.isnan(losses).sum()):
        words.append(f"Gaps: {lost:,} losses are infinite, undefined or above 1e30.")
    if log and (below := int((losses <= 0).sum())) and (losses > 0).any():
        words.append(f"{below:,} losses are not positive and have no place on the logarithmic axis.")
    return words


def surface_caption(surface: Surface, split: str, *notes: str) -> str:
    """The caption of a landscape over a plane."""
    settings = surface.settings
    grid = f"{len(surface.x)} × {len(surface.y)} points"
    words = [
        f"Loss at θ + x·d₁ + y·d₂ around θ = {place(settings['centre'])}, {grid}.",
        direction_words(settings, 2),
        *conditions(settings, [split], "the centre"),
        extremes(surface, split),
        *notes,
    ]
    return " ".join(word for word in words if word)


def extremes(surface: Surface, split: str) -> str:
    """Loss at the centre, and the least and greatest on the grid with their places."""
    table = surface.table[np.isfinite(surface.table[f"{split}_loss"])]
    if table.empty:
        return ""
    loss = table[f"{split}_loss"]
    if loss.min() == loss.max():
        return ""
    least, most = table.loc[loss.idxmin()], table.loc[loss.idxmax()]
    centre = table[(table["x"] == 0) & (table["y"] == 0)]
    words = [f"Loss {number(centre.iloc[0][f'{split}_loss'])} at the centre;"] if len(centre) else ["Loss"]
    for word, row in (("least", least), ("greatest", most)):
        where = f"({number(row['x'], 2)}, {number(row['y'], 2)})"
        words.append(f"{word} {number(row[f'{split}_loss'])} at {where}" + (";" if word == "least" else "."))
    return " ".join(words)


def curve_alt(curve: Curve) -> str:
    """What a reader who cannot see the figure of one curve should know."""
    sign = "α" if curve.coordinate == "alpha" else curve.coordinate
    words = []
    for split in curve.splits:
        table = curve.table[np.isfinite(curve.table[f"{split}_loss"])]
        if len(table):
            loss = table[f"{split}_loss"]
            at = [
                f"{number(row[f'{split}_loss'])} at {sign} = {number(row[curve.coordinate])}"
                for row in (table.iloc[0], table.iloc[-1], table.loc[loss.idxmax()])
            ]
            words.append(f"The {split} loss goes from {at[0]} to {at[1]}; the greatest is {at[2]}.")
    return " ".join([f"Loss and accuracy against {sign}.", *words])

"""What a result and its settings say in words: titles, captions, alternative texts, and how far numbers may be off."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from lossscape.directions import line_words, sentence
from lossscape.figures.metrics import metric
from lossscape.figures.predictions import off_the_line
from lossscape.figures.text import finite, shortened
from lossscape.results import Curve, Result, Surface
from lossscape.text import code_name, counted, number

Settings = Mapping[str, Any]

LOSSES = {"cross_entropy": "cross-entropy", "mse": "squared error"}
LOSS_UNITS = {"cross_entropy": "nats"}
POLICIES = {"recompute": "recomputed"}
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
        numbers = settings.get("soft") == "numbers"
        return f"{name} from the net's own outputs" if numbers else "KL divergence from soft targets"
    return name if targets == "labels" else f"{name} against {targets} targets"


def loss_label(names: Iterable[str], split: str = "") -> str:
    """An axis label from the names of losses: what the loss is, where it is the same for all, and its unit."""
    distinct = {LOSSES.get(name, shortened(code_name(name))) for name in names}
    what = f"{distinct.pop()}, mean per sample" if len(distinct) == 1 else "mean per sample"
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
    """What training inputs are held against, and whose outputs these are, where that is not the data's labels."""
    targets, teacher = settings.get("targets", "labels"), settings.get("teacher")
    if targets == "labels":
        return []
    if teacher is None or teacher == settings.get("centre", settings.get("start")):
        return [f"{targets} targets"]
    return [f"{targets} targets of {point_name(teacher, 30)}"]


def title_extras(settings: Settings) -> list[str]:
    """What tells a result from others of the same points: a subset, another precision."""
    extras = []
    if settings.get("population"):
        extras.append(f"{counted(max(settings['samples'].values()), 'sample')}")
    return extras + ([str(settings["precision"])] if settings["precision"] != "fp32" else [])


def grid_words(result: Result) -> str:
    """How many points there are: 9 × 7 points, 1,001 points, or those of the grid and those added."""
    if added := int(result.refined.sum()):
        shape = "surface" if isinstance(result, Surface) else "curve"
        return f"{len(result.table) - added:,} grid points and {added:,} refined where the {shape} bends"
    if isinstance(result, Surface) and result.regular:
        return f"{len(result.x)} × {len(result.y)} points"
    return counted(len(result.table), "point")


def range_words(result: Result) -> list[str]:
    """A sentence where the range was found, not given."""
    if not (factor := result.settings.get("auto_range")):
        return []
    level = result.found_range.get("level")
    to = f", to {number(level)}," if isinstance(level, int | float) else ""
    rises = f"the {result.splits[0]} loss rises at least by the factor {number(factor)}{to} on every side"
    return [f"The range was chosen so that {rises}."]


def conditions(result: Result, splits: Sequence[str], anchor: str) -> list[str]:
    """How much was predicted, data, samples, net, loss, BatchNorm policy, precision and their errors, as sentences."""
    settings = result.settings
    words = [
        *result.predictions(),
        f"Data: {data_words(settings)}, {sample_words(settings, splits)}.",
        *standard_errors(result, splits),
        f"Net: {shortened(code_name(str(settings['model'])))}.",
        f"Loss: {loss_name(settings)}.",
    ]
    if policy := settings.get("batch_norm"):
        words.append(f"BatchNorm statistics {BATCH_NORM.get(policy, str(policy)).format(anchor=anchor)}.")
    if dropout := settings.get("dropout"):
        words.append(f"Dropout stays on, with masks of seed {dropout['seed']} that are the same at every point.")
    return [*words, precision_words(result), *lost_words(result), *drawn_words(result)]


def drawn_words(result: Result) -> list[str]:
    """A sentence where a figure is drawn from some of a surface's points only."""
    if not isinstance(result, Surface) or result.drawn is result:
        return []
    return [f"Drawn from {grid_words(result.drawn)} of these; {result.folder.name}/surface.csv has all."]


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
    errors = (check.get(f"{which}_relative_error") for which in ("largest", "mean"))
    worst, mean = (
        number(each, 2) if isinstance(each, int | float) and np.isfinite(each) else "undefined" for each in errors
    )
    points = counted(check["points"], "point")
    return f"Precision: {precision}; against fp32 at {points}: largest relative error {worst}, mean {mean}."


def lost_words(result: Result) -> list[str]:
    """A sentence where the certificate says that losses are not finite."""
    lost = str(result.certificate.get("not_finite", {}).get("words", ""))
    return [f"{lost[:1].upper()}{lost[1:]}."] if lost else []


def failure_words(result: Result) -> list[str]:
    """A sentence where the result's certificate failed."""
    failed = bool(result.certificate) and not result.certificate.get("passed")
    return ["The certificate of this result FAILED: do not rely on these losses."] if failed else []


def curve_title(curves: Sequence[Curve]) -> str:
    """One line that says what a figure of curves shows."""
    settings = curves[0].settings
    _, *own = with_shared_first([differing(curve.settings) for curve in curves])
    shared = [] if any(own) else differing(settings)
    if curves[0].coordinate == "x":
        return with_extras(f"Along {line_words(settings)} from {point_name(settings['centre'])}", shared)
    if len(curves) == 1:
        ends = f"{point_name(settings['start'], 34)} to {point_name(settings['end'], 34)}"
        return with_extras(f"On the line from {ends}", shared)
    return with_extras(f"On the line between two checkpoints, {len(curves)} curves", shared)


def differing(settings: Settings) -> list[str]:
    """What tells a figure from others of the same points, by what it was computed with."""
    policy = settings.get("batch_norm")
    statistics = [f"BatchNorm {POLICIES.get(policy, policy)}"] if policy else []
    dropout = ["dropout on"] if settings.get("dropout") else []
    return [*targets_extra(settings), *statistics, *dropout, *title_extras(settings)]


def with_extras(title: str, extras: Sequence[str]) -> str:
    """A title of a figure with what tells it from others in brackets."""
    return f"{title} ({', '.join(extras)})" if extras else title


def curve_caption(curves: Sequence[Curve], names: Sequence[str], log: bool) -> str:
    """The caption of a figure of curves; what they share is said once."""
    sentences = [_of_curve(curve, alone=len(curves) == 1) for curve in curves]
    if len(curves) == 1:
        return " ".join([*sentences[0], *_marks(curves, log)])
    shared, *own = with_shared_first(sentences)
    parts = [f"{name}: {' '.join(words)}" for name, words in zip(names, own, strict=True) if words]
    return "\n".join([" ".join([*shared, *_marks(curves, log)]), *parts])


def with_shared_first(lists: Sequence[Sequence[str]]) -> list[list[str]]:
    """The sentences that all lists share, then what is left of each list."""
    shared = [words for words in lists[0] if all(words in other for other in lists)]
    return [shared, *([words for words in own if words not in shared] for own in lists)]


def _of_curve(curve: Curve, *, alone: bool) -> list[str]:
    settings = curve.settings
    size = f"{grid_words(curve)}."
    if curve.coordinate == "x":
        centre = point_name(settings["centre"])
        return [
            *failure_words(curve),
            f"Loss at θ + x·d around θ = {centre}.",
            size,
            *range_words(curve),
            sentence(settings, 1),
            *conditions(curve, curve.splits, "the centre"),
        ]
    both = [settings["start"], settings["end"]]
    named = alone or both[0]["run"] != both[1]["run"]
    ends = [point_name(end) if named else shortened(str(end["checkpoint"])) for end in both]
    of = "" if named else " of the run"
    return [
        *failure_words(curve),
        "θ(α) = (1 − α)·A + α·B.",
        f"A = {ends[0]}, B = {ends[1]}{of}.",
        size,
        *conditions(curve, curve.splits, "A"),
    ]


def _marks(curves: Sequence[Curve], log: bool) -> list[str]:
    bands = any(sampled(curve, split) for curve in curves for split in curve.splits)
    words = [f"Bands: ± {BAND} standard errors of each value."] if bands else []
    if any(curve.predicted.any() for curve in curves):
        words.append("Small dots: the points that were evaluated; all others were predicted.")
    if any(_leaves_points_out(curve) for curve in curves):
        words.append("Open dots: evaluated points off the line of the predictions around them, which they check.")
    drawn = [curve.table[f"{split}_loss"].to_numpy() for curve in curves for split in curve.splits]
    return [*words, *gap_words(np.concatenate(drawn), log)]


def _leaves_points_out(curve: Curve) -> bool:
    columns = [f"{split}_{name}" for split in curve.splits for name in ("loss", *curve.metrics)]
    shown = [curve.table[column].to_numpy() for column in columns if column in curve.table]
    return any(off_the_line(values, curve.predicted).any() for values in shown)


def gap_words(losses: np.ndarray, log: bool) -> list[str]:
    """Sentences about the losses that lines leave out, on a logarithmic axis those that are not positive too."""
    losses, words = finite(losses), []
    if lost := int(np.isnan(losses).sum()):
        words.append(f"Gaps: {counted(lost, 'loss is', 'losses are')} infinite, undefined or above 1e30.")
    if log and (below := int((losses <= 0).sum())) and (losses > 0).any():
        are = counted(below, "loss is", "losses are")
        words.append(f"{are} not positive and cannot be shown on the logarithmic axis.")
    return words


def surface_caption(surface: Surface, split: str, *notes: str) -> str:
    """The caption of a landscape over a plane."""
    settings = surface.settings
    words = [
        *failure_words(surface),
        f"Loss at θ + x·d₁ + y·d₂ around θ = {point_name(settings['centre'])}, {grid_words(surface)}.",
        *range_words(surface),
        sentence(settings, 2),
        *conditions(surface, [split], "the centre"),
        extremes(surface, split),
        *notes,
    ]
    return " ".join(word for word in words if word)


def extremes(surface: Surface, split: str) -> str:
    """Loss at the centre, and the least and greatest of all points and where they are."""
    table = surface.table[np.isfinite(surface.table[f"{split}_loss"])]
    if table.empty:
        return ""
    loss = table[f"{split}_loss"]
    if loss.min() == loss.max():
        return ""
    least, most = table.loc[loss.idxmin()], table.loc[loss.idxmax()]
    centre = table[(table["x"] == 0) & (table["y"] == 0)]
    words = [f"Loss {number(centre.iloc[0][f'{split}_loss'])} at the centre;"] if len(centre) else ["Loss"]
    ends = [
        f"{number(row[f'{split}_loss'])} at ({number(row['x'], 2)}, {number(row['y'], 2)})" for row in (least, most)
    ]
    return " ".join([*words, f"least {ends[0]}; greatest {ends[1]}."])


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
    shown = " and ".join(["loss", *(metric(name).label for name in curve.metrics[:1])])
    return " ".join([f"{shown.capitalize()} against {sign}.", *words])

"""Titles, captions and alternative texts of figures of curves and surfaces."""

from collections.abc import Sequence

import numpy as np

from lossscape.directions import line_words, sentence
from lossscape.figures.metrics import metric
from lossscape.figures.phrases import BAND, conditions, failure_words, grid_words, point_name, range_words, sampled
from lossscape.figures.text import finite, shortened
from lossscape.results import Curve, Surface, Trail
from lossscape.text import number

UNLIKE = 1.5
"""Losses that differ by more than this factor are not the same to a reader."""


def curve_title(curves: Sequence[Curve]) -> str:
    """One line that says what a figure of curves shows."""
    settings = curves[0].settings
    if curves[0].coordinate == "x":
        return f"Along {line_words(settings)} from {point_name(settings['centre'])}"
    if len(curves) == 1:
        return f"On the line from {point_name(settings['start'], 34)} to {point_name(settings['end'], 34)}"
    return f"On the line between two checkpoints, {len(curves)} curves"


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
    drawn = [curve.table[f"{split}_loss"].to_numpy() for curve in curves for split in curve.splits]
    losses = finite(np.concatenate(drawn))
    words = []
    if any(sampled(curve, split) for curve in curves for split in curve.splits):
        words.append(f"Bands: ± {BAND} standard errors of each value.")
    if lost := int(np.isnan(losses).sum()):
        words.append(f"Gaps: {lost:,} losses are infinite, undefined or above 1e30.")
    if log and (below := int((losses <= 0).sum())) and (losses > 0).any():
        words.append(f"{below:,} losses are not positive and have no place on the logarithmic axis.")
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
    shown = " and ".join(["loss", *(metric(name).label for name in curve.metrics[:1])])
    return " ".join([f"{shown.capitalize()} against {sign}.", *words])


def path_words(surface: Surface, split: str) -> list[str]:
    """What a reader of a picture with paths has to know of them, as sentences; none where there are no paths."""
    words = []
    for trail in surface.trails:
        words += _of_trail(surface, trail, split)
    if surface.trails:
        words.append("Paths are drawn where their checkpoints are projected to.")
        if surface.settings.get("batch_norm"):
            words.append("True losses are those with the checkpoints' own BatchNorm statistics.")
    return words


def when(trail: Trail, row: int) -> str:
    """The moment of a checkpoint: epoch 3, or step 120."""
    epoch, step = trail.table["epoch"].iloc[row], trail.table["step"].iloc[row]
    return f"epoch {number(epoch, 3)}" if np.isfinite(epoch) else f"step {step:.0f}"


def outside(surface: Surface, trail: Trail) -> np.ndarray:
    """Which checkpoints [K] lie beyond the edges of the picture."""
    found = np.zeros(len(trail.table), dtype=bool)
    for axis, values in (("x", surface.x), ("y", surface.y)):
        spots = trail.table[axis].to_numpy()
        found |= (spots < values[0]) | (spots > values[-1])
    return found


def _of_trail(surface: Surface, trail: Trail, split: str) -> list[str]:
    table, last = trail.table, len(trail.table) - 1
    size = f"{len(table):,} checkpoints, {when(trail, 0)} to {when(trail, last).removeprefix('epoch ')}"
    words = [f"Path of {shortened(trail.name)}: {size}"]
    length, squares = (trail.facts.get(f"share_of_{what}") for what in ("length", "squares"))
    if length is not None and squares is not None:
        part = f"{_percent(length)} of its length and {_percent(squares)} of its squared distances from the centre"
        words.append(f"; {part} lie in the plane")
    off = table["off_plane"].to_numpy()
    extent = float(trail.facts.get("extent", np.nan))
    if off.max() > 1e-6 * max(extent, table["in_plane"].max()):
        words.append(
            f"; at most {number(off.max(), 3)} off it ({when(trail, int(off.argmax()))}), against the "
            f"{number(extent, 3)} that it spans within"
        )
    found = ["".join(words) + "."]
    if lost := int(outside(surface, trail).sum()):
        found.append(f"{lost:,} of them lie outside the picture.")
    if unlike := trail.facts.get("unlike"):
        found.append(
            f"It was trained with other {' and '.join(unlike)}; its losses here are those of the plane's data."
        )
    return found + _warnings(trail, split, off, extent)


def _percent(share: float) -> str:
    """A share that is not rounded to all or nothing."""
    if share > 0.999 and share < 1 - 1e-9:
        return "more than 99.9 %"
    return f"{number(100 * share, 3)} %"


def _warnings(trail: Trail, split: str, off: np.ndarray, extent: float) -> list[str]:
    """Where a picture flatters: the path is far off the plane, or its losses are not the plane's."""
    true, plane = trail.table[f"{split}_loss"].to_numpy(), trail.table[f"plane_{split}_loss"].to_numpy()
    words = []
    if off.max() > extent:
        words.append(
            f"This path does not lie in the plane: it is up to {number(off.max() / max(extent, 1e-300), 3)} times as "
            "far off as it spans within, so the line is its shadow."
        )
    with np.errstate(all="ignore"):
        ratios = np.abs(np.log(true / plane))
    finite = np.isfinite(ratios)
    if finite.any():
        worst = int(np.where(finite, ratios, -1).argmax())
        pair = f"{number(true[worst], 3)} against {number(plane[worst], 3)} in the plane ({when(trail, worst)})"
        unlike = int((ratios[finite] > np.log(UNLIKE)).sum())
        if unlike:
            words.append(
                f"The surface does not have the path's height at {unlike:,} of {len(true):,} checkpoints, where the "
                f"true {split} loss differs from the plane's by more than a factor {UNLIKE:g}, most at {pair}."
            )
        elif ratios[worst] > 1e-4:
            words.append(f"Its true {split} losses are the plane's within a factor {UNLIKE:g}, at worst {pair}.")
    if lost := int((~np.isfinite(true) | ~np.isfinite(plane)).sum()):
        words.append(f"At {lost:,} of its checkpoints a loss is infinite or undefined.")
    return words

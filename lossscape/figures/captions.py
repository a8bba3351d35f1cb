"""Titles, captions and alternative texts of figures of curves and surfaces."""

from collections.abc import Sequence

import numpy as np

from lossscape.directions import line_words, sentence
from lossscape.figures.phrases import conditions, place, point_words, range_words
from lossscape.figures.text import finite, shortened
from lossscape.figures.uncertainty import BAND, failure_words, sampled
from lossscape.results import Curve, Surface
from lossscape.text import number


def curve_title(curves: Sequence[Curve]) -> str:
    """One line that says what a figure of curves shows."""
    settings = curves[0].settings
    if curves[0].coordinate == "x":
        return f"Along {line_words(settings)} from {place(settings['centre'])}"
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
    together = " ".join([*shared, *_marks(curves, log)])
    return "\n".join([together, *parts]) if len(curves) > 1 else f"{parts[0]} {together}".strip()


def _of_curve(curve: Curve, *, alone: bool) -> list[str]:
    settings = curve.settings
    size = f"{point_words(curve)}."
    if curve.coordinate == "x":
        centre = place(settings["centre"])
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
    ends = [place(end) if named else shortened(str(end["checkpoint"])) for end in both]
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
        f"Loss at θ + x·d₁ + y·d₂ around θ = {place(settings['centre'])}, {point_words(surface)}.",
        *range_words(surface),
        sentence(settings, 2),
        *conditions(surface, [split], "the centre"),
        extremes(surface, split),
        *notes,
    ]
    return " ".join(word for word in words if word)


def extremes(surface: Surface, split: str) -> str:
    """Loss at the centre, and the least and greatest of all points with their places."""
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

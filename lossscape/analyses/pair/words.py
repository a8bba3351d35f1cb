"""Paired landscapes in words: titles of panels and captions."""

from collections.abc import Sequence

import numpy as np

from lossscape.analyses.pair.result import Pair, Pairs
from lossscape.directions import sentence
from lossscape.figures import phrases
from lossscape.figures.diverging import Diverging
from lossscape.figures.levels import Scale
from lossscape.figures.text import finite
from lossscape.figures.uncertainty import failure_words, standard_errors
from lossscape.text import number

RELABELLED = {"hard": "its classes", "soft": "its probabilities"}


def rows(targets: str) -> tuple[str, str, str]:
    """Names of original, relabelled and difference."""
    return "labels", f"{targets} targets", f"{targets} targets − labels"


def loss_label(pairs: Sequence[Pair], scale: Scale) -> str:
    """What the colours of the losses mean."""
    settings = [pair.original.settings for pair in pairs]
    names = list(dict.fromkeys(phrases.loss_name(each) for each in settings))
    unit = ", log scale" if scale.log else ""
    return f"train loss ({', '.join(names)}{'; KL' if _is_soft(pairs) else ''}){unit}"


def _is_soft(pairs: Sequence[Pair]) -> bool:
    return any(pair.relabelled.settings["targets"] == "soft" for pair in pairs)


def caption(pairs: Pairs, shown: Sequence[Pair], losses: Scale, differences: Diverging) -> str:
    """The caption of a figure of pairs: what all nets share first, then a line for each."""
    settings = shown[0].original.settings
    words = [
        f"Loss of the training data at θ + x·d₁ + y·d₂ around {_around(shown)}, "
        f"{phrases.point_words(shown[0].original)}: against the data's labels, against what the net at θ itself "
        f"says ({RELABELLED[pairs.targets]}), and the second minus the first.",
        sentence(settings, 2),
    ]
    if (planes := int(pairs.settings["repeats"])) > 1:
        seed = settings["directions"]["seed"]
        words.append(f"This is the plane of seed {seed}, one of {planes} that the measures are taken over.")
    words += _marks(shown, losses, differences)
    told = told_apart([of_net(pair) for pair in shown])
    lines = [" ".join([*words, *told[0]])]
    for pair, own in zip(shown, told[1:], strict=True):
        lines.append(" ".join([f"{phrases.place(pair.original.settings['centre'])}:", at_centre(pair), *own]))
    return "\n".join(lines)


def told_apart(told: Sequence[Sequence[str]]) -> list[list[str]]:
    """The sentences that all lists share, then what is left of each list."""
    shared = [sentence for sentence in told[0] if all(sentence in other for other in told)]
    return [shared, *([sentence for sentence in own if sentence not in shared] for own in told)]


def _around(shown: Sequence[Pair]) -> str:
    return f"θ = {phrases.place(shown[0].original.settings['centre'])}" if len(shown) == 1 else "each net's θ"


def of_net(pair: Pair, *, errors: bool = True) -> list[str]:
    """What a net's two surfaces were made under, what holds of both once; errors: with their standard errors."""
    sentences: list[str] = []
    for surface in (pair.original, pair.relabelled):
        found = [*failure_words(surface), *phrases.conditions(surface, ["train"], "the centre")]
        left_out = [] if errors else standard_errors(surface, ["train"])
        own = f"Loss: {phrases.loss_name(surface.settings)}."
        if surface is pair.original:
            sentences += [
                _both_losses(pair) if word == own else word for word in found if word not in left_out
            ]
            continue
        targets = surface.settings["targets"]
        new = [word for word in found if word not in {own, *left_out, *sentences}]
        sentences += [f"With {targets} targets: {word[:1].lower()}{word[1:]}" for word in new]
    return sentences


def _both_losses(pair: Pair) -> str:
    names = [phrases.loss_name(surface.settings) for surface in (pair.original, pair.relabelled)]
    return f"Loss: {names[0]} (labels), {names[1]}."


def at_centre(pair: Pair) -> str:
    """The losses at the centre, where it is on the grid."""
    found = []
    for surface in (pair.original, pair.relabelled):
        table = surface.table
        here = table[(table["x"] == 0) & (table["y"] == 0)]["train_loss"]
        found.append(number(float(here.iloc[0]), 3) if len(here) else "not on the grid")
    targets = pair.relabelled.settings["targets"]
    return f"loss at the centre {found[0]} against labels, {found[1]} against {targets} targets."


def _marks(shown: Sequence[Pair], losses: Scale, differences: Diverging) -> list[str]:
    """What a reader has to know of the scales and of points that are missing or beyond them."""
    lost = points = below = 0
    for pair in shown:
        for surface in (pair.original, pair.relabelled):
            values = finite(surface.table["train_loss"].to_numpy())
            lost, points = lost + int(np.isnan(values).sum()), points + values.size
            centre = values[((surface.table["x"] == 0) & (surface.table["y"] == 0)).to_numpy()]
            below += int((centre < losses.low).sum())
    words = ["★ marks the centre; all losses share one colour scale and its levels, all differences another."]
    if lost:
        words.append(f"Hatched or open: {lost:,} of {points:,} losses are infinite, undefined or above 1e30.")
    if below:
        of = "The loss at the centre" if below == 1 else f"{below} losses at centres"
        words.append(
            f"{of}, below {number(losses.low, 3)}, {'is' if below == 1 else 'are'} drawn at that value."
        )
    return [*words, *losses.notes, *differences.notes]

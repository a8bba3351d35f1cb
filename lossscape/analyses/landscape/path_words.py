"""Descent paths over a plane in words: how much of them the plane shows, and how far it is from the truth."""

import numpy as np

from lossscape.figures.text import shortened
from lossscape.results import Surface, Trail
from lossscape.text import number

UNLIKE = 1.5
"""Losses that differ by more than this factor are not the same to a reader."""


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
        places = trail.table[axis].to_numpy()
        found |= (places < values[0]) | (places > values[-1])
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
        pair = (
            f"{number(true[worst], 3)} against {number(plane[worst], 3)} in the plane ({when(trail, worst)})"
        )
        unlike = int((ratios[finite] > np.log(UNLIKE)).sum())
        if unlike:
            words.append(
                f"The surface does not have the path's height at {unlike:,} of {len(true):,} checkpoints, where the "
                f"true {split} loss differs from the plane's by more than a factor {UNLIKE:g}, most at {pair}."
            )
        elif ratios[worst] > 1e-4:
            words.append(
                f"Its true {split} losses are the plane's within a factor {UNLIKE:g}, at worst {pair}."
            )
    if lost := int((~np.isfinite(true) | ~np.isfinite(plane)).sum()):
        words.append(f"At {lost:,} of its checkpoints a loss is infinite or undefined.")
    return words

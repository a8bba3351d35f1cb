"""Films in words: titles, what is written into a frame, and captions."""

import numpy as np
import pandas as pd

from lossscape.analyses.film.result import Film
from lossscape.analyses.landscape.path_words import path_words
from lossscape.directions import sentence
from lossscape.figures import captions, phrases
from lossscape.figures.levels import Scale
from lossscape.figures.text import finite, shortened
from lossscape.figures.uncertainty import failure_words, sampled
from lossscape.text import number


def title(film: Film, kind: str) -> str:
    """One line that says what a film shows."""
    run = shortened(film.run, 34)
    if kind == "descent":
        return f"Descent of {run} over the plane around {phrases.place(film.settings['centre'])} ({film.split} data)"
    return f"Loss around every checkpoint of {run} in one fixed plane ({film.split} data)"


def when(row: pd.Series) -> str:
    """The moment of a frame: epoch 3, or step 120."""
    return f"epoch {number(row['epoch'], 5)}" if np.isfinite(row["epoch"]) else f"step {row['step']:.0f}"


def loss_words(film: Film, row: pd.Series) -> str:
    """The loss and accuracy of a frame's checkpoint."""
    loss, accuracy = row[f"{film.split}_loss"], row[f"{film.split}_accuracy"]
    return f"{film.split} loss {number(loss)}, accuracy {100 * accuracy:.2f} %"


def shadow_words(film: Film, frame: int) -> str:
    """What the surface has where a checkpoint is drawn, and how far off it lies."""
    row = film.rows("descent").iloc[frame]
    below, off = row[f"plane_{film.split}_loss"], row["off_plane"]
    return f"plane below {number(below)}, checkpoint {number(off, 3)} off it"


def caption(film: Film, kind: str, scale: Scale) -> str:
    """The caption of a film, the same in every frame."""
    return descent_caption(film, scale) if kind == "descent" else plane_caption(film, scale)


def descent_caption(film: Film, scale: Scale) -> str:
    """What the surface is, how true the path is to it, and what is drawn."""
    surface = film.surface("descent", 0)
    return captions.surface_caption(
        surface,
        film.split,
        "★ marks the centre, the ring the checkpoint of the frame.",
        *path_words(surface, film.split),
        *_missing(scale, "Hatched"),
        *scale.notes,
    )


def plane_caption(film: Film, scale: Scale) -> str:
    """What all frames share: directions, axes, scale, data."""
    surfaces, rows = film.surfaces("plane"), film.rows("plane")
    first, last = surfaces[0], surfaces[-1]
    failed = [words for surface in surfaces for words in failure_words(surface)][:1]
    span = f"{len(rows):,} frames, {when(rows.iloc[0])} to {when(rows.iloc[-1]).removeprefix('epoch ')}"
    words = [
        *failed,
        f"Loss at θₖ + x·d₁ + y·d₂, θₖ a checkpoint of {shortened(film.run)} (★): {span}, {phrases.point_words(last)} "
        "each.",
        sentence(first.settings, 2),
        "Directions, axes and scale are those of all frames.",
        *phrases.conditions(last, [film.split], "each frame's checkpoint"),
    ]
    if sampled(last, film.split) or "precision_check" in last.certificate:
        words.append("Errors are those of the last frame.")
    return " ".join([*words, *_missing(scale, "Hatched, or left open"), *scale.notes])


def alt(film: Film, kind: str) -> str:
    """What a reader who cannot see a film should know."""
    rows = film.rows(kind)
    first, last = (loss_words(film, rows.iloc[frame]) for frame in (0, -1))
    return (
        f"{title(film, kind)}, {len(rows):,} frames: from {first} at {when(rows.iloc[0])} to {last} at "
        f"{when(rows.iloc[-1])}."
    )


def beyond(losses: np.ndarray, low: float, high: float) -> list[str]:
    """What is to be said of losses that a scale for many frames leaves out."""
    values = finite(losses)
    out = int((values < low).sum() + (values > high).sum())
    if not out:
        return ["One scale for all frames."]
    share = 100 * out / max(int(np.isfinite(values).sum()), 1)
    return [
        f"One scale for all frames, from {number(low, 3)} to {number(high, 3)}: {number(share, 2)} % of all losses lie "
        "beyond it and are drawn at its ends."
    ]


def _missing(scale: Scale, where: str) -> list[str]:
    if not scale.missing:
        return []
    return [f"{where}: {scale.missing:,} of {scale.points:,} losses, infinite, undefined or above 1e30."]

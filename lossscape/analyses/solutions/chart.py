"""Kinds of solution as a figure that moves: the losses by epoch, and what kind each epoch is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossscape.analyses.solutions.result import FOUND, Solutions, first_words
from lossscape.figures.captions import loss_label
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.facts import facts_of
from lossscape.figures.style import COLOURS, symbol_of
from lossscape.figures.text import numbered
from lossscape.text import number, shortened

WIDE = 12
"""Pixels of a bar of epochs."""
UNKNOWN = "#8c959f"
KINDS = "pale: no minimum; light to dark green: LM, GM, TM; grey: not known"


def solutions_data(
    solutions: Solutions, looks: Sequence[Mapping[str, Any]], shades: Mapping[str, str], words: Mapping[str, str]
) -> dict[str, Any]:
    """Training and test loss by epoch with the first epochs of each kind, and a row of epochs for each run below.

    looks: of the runs, as Looks.lines gives them; shades, words: of kinds, "" where the kind is not known
    """
    names = numbered([shortened(str(run), 26) for run in solutions.summary["run"]])
    lines: list[dict[str, Any]] = []
    for place, (_, row) in enumerate(solutions.summary.iterrows()):
        epochs = solutions.table[solutions.table["run"] == row["run"]]
        several = len(names) > 1
        for split, own in zip(("train", "test"), COLOURS, strict=False):
            look = {"run": names[place] if several else "", "split": split, **symbol_of(looks[place]["marker"])}
            lines.append(line("loss", looks[place]["color"] or own, epochs["epoch"], epochs[f"{split}_loss"], **look))
        lines += [_first(row, kind, shades[kind], names[place], several) for kind in FOUND]
        for kind, shade in shades.items():
            held = epochs["epoch"].to_numpy()[(epochs["kind"] == kind).to_numpy()]
            text = f"{names[place]}: {words.get(kind, kind)}"
            run = {"run": names[place] if several else ""}
            lines += [_bar(held, place, shade if kind else UNKNOWN, text) | run] if len(held) else []
    panels = [
        panel("loss", loss_label(each.loss for each in map(facts_of, solutions.runs)), log=True),
        panel("kind", "", name="kinds", rows=names, x=f"epoch ({KINDS})"),
    ]
    zero = solutions.settings["zero"]
    rules = [{"panel": "loss", "y": zero, "text": f"≈ 0: at most {number(zero)}"}] if zero > 0 else []
    return {"x": "epoch", "panels": panels, "lines": lines, "rules": rules, "log": True}


def _first(row: Any, kind: str, shade: str, name: str, several: bool) -> dict[str, Any]:
    """The first epoch of a kind as a point on the training loss."""
    at, loss = (float(row[f"{kind.lower()}_{what}"]) for what in ("epoch", "train_loss"))
    text = [f"{name}: first {kind} after epoch {first_words(row, kind)}, train loss {number(loss)}"]
    more = {"run": name if several else "", "marks": True, "symbol": "circle", "text": text}
    return line("loss", shade, [at] if np.isfinite(at) else [], [loss] if np.isfinite(at) else [], **more)


def _bar(epochs: np.ndarray, place: int, shade: str, text: str) -> dict[str, Any]:
    """Stretches of successive epochs as thick strokes half an epoch longer on either side."""
    parts = np.split(epochs, np.nonzero(np.diff(epochs) > 1)[0] + 1)
    x = [value for part in parts for value in (part[0] - 0.5, part[-1] + 0.5, np.nan)]
    y = [value for _ in parts for value in (place, place, np.nan)]
    said = [f"{text}, epochs {part[0]:.0f} to {part[-1]:.0f}" for part in parts for _ in range(3)]
    return line("kind", shade, x, y, width=WIDE, text=said)

"""Critical points as figures that move: index fraction, ends of the spectrum and gradient against the loss."""

from typing import Any

import pandas as pd

from lossscape.analyses.saddles.result import Saddles
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.charts.plain import chosen
from lossscape.figures.style import COLOURS, marker_of, symbol_of
from lossscape.text import number, shortened

LOST_COLOUR = "#7f7f7f"
MOST_POINTS = 4_000
"""That are drawn, each with its words."""
QUANTITIES = {
    "smallest": "smallest eigenvalue", "largest": "largest eigenvalue", "gradient_norm": "gradient norm reached, ‖∇L‖",
}  # fmt: skip
"""Columns with a panel beside that of the index fraction."""


def saddles_data(result: Saddles, lost: pd.DataFrame, labels: tuple[str, str]) -> dict[str, Any]:
    """A point for each start, a colour for each length of displacement; open and grey where it did not converge.

    lost: those of the points that did not converge that are drawn; labels: of the axes of loss and index fraction
    """
    found = result.converged
    groups: list[tuple[str, pd.DataFrame, dict[str, Any]]] = []
    for place, size in enumerate(sorted(set(found["size"].tolist()))):
        name = f"{number(size)} ‖θ‖ away" if size else "the checkpoint itself"
        look: dict[str, Any] = {"colour": COLOURS[place % len(COLOURS)], **symbol_of(marker_of(place))}
        groups.append((name, found[found["size"] == size], look))
    groups.append(("not converged", lost, {"colour": LOST_COLOUR, "symbol": "circle-open"}))
    every = sum(len(rows) for _, rows, _ in groups)
    lines: list[dict[str, Any]] = []
    for name, rows, look in groups:
        if len(rows):
            kept = rows.iloc[chosen(rows.index.to_numpy(), max(MOST_POINTS * len(rows) // every, 1))]
            more = {"run": name, "marks": True, "text": [_words(row) for row in kept.to_dict("records")], **look}
            lines += [line(key, x=kept["loss"], y=kept[key], **more) for key in ("index_fraction", *QUANTITIES)]
    loss, index = labels
    panels = [panel("index_fraction", index.replace(": ", ":\n"), name="index fraction")]
    panels += [panel(key, label, key == "gradient_norm", key == "smallest") for key, label in QUANTITIES.items()]
    notes = [f"Drawn from {MOST_POINTS:,} of {every:,} points; saddles.csv has all."] if every > MOST_POINTS else []
    rules = [{"panel": key, "y": 0.0} for key in ("smallest", "largest")]
    return {"x": loss, "panels": panels, "lines": lines, "rules": rules, "log": True, "notes": notes}


def _words(row: dict[Any, Any]) -> str:
    """What is known of a point."""
    start = f"displacement {row['displacement']:.0f} of {number(row['size'])} ‖θ‖" if row["size"] else "itself"
    kind = row["kind"] if row["converged"] == 1 else "not converged"
    return (
        f"{shortened(str(row['checkpoint']), 24)}, {start}: {kind}, loss {number(row['loss'])}, index fraction "
        f"{number(row['index_fraction'], 3)}, λ from {number(row['smallest'], 3)} to {number(row['largest'], 3)}, "
        f"‖∇L‖ {number(row['gradient_norm'], 2)}"
    )

"""Paired landscapes as figures that move: labels, relabelled and difference side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lossscape.figures.charts import scales
from lossscape.figures.charts.surfaces import Layer, frame_data, marks_of, most_of, panel_data
from lossscape.figures.pairs import row_names, shared_scales
from lossscape.results import Pair, Surface

LOSS = Layer("train_loss")


def pairs_data(shown: Sequence[Pair], log: bool = False) -> dict[str, Any]:
    """Each net's losses against labels and relabelled on one scale for all, and their differences on another."""
    names = row_names(shown[0].targets)
    most = most_of(3 * len(shown))
    panels = []
    for pair in shown:
        surfaces = (pair.original, pair.relabelled, _apart(pair))
        for name, surface, scale in zip(names, surfaces, ("losses", "losses", "differences"), strict=True):
            panel = panel_data(surface, name if len(shown) == 1 else f"{pair.net}: {name}", [LOSS], most)
            panel["values"][LOSS.key]["scale"] = scale
            panels.append(panel | {"marks": marks_of(surface)})
    apart = np.concatenate([pair.difference.ravel() for pair in shown])
    first, logarithmic = (shared_scales(shown, which).losses for which in (log, True))
    losses = scales.as_chosen(first, logarithmic, _all(shown))
    return frame_data(shown[0].original) | {
        "layers": [LOSS.data | {"name": "loss", "short": "train loss"}],
        "scales": {"losses": losses, "differences": scales.of_differences(apart)},
        "panels": panels, "columns": 3, "times": [], "time": "",
    }  # fmt: skip


def _all(shown: Sequence[Pair]) -> np.ndarray:
    return np.concatenate([s.table["train_loss"].to_numpy() for p in shown for s in (p.original, p.relabelled)])


def _apart(pair: Pair) -> Surface:
    """The difference as a surface."""
    table = pair.together().table.rename(columns={"difference": LOSS.key})
    return Surface(pair.original.folder, pair.original.settings, table[["x", "y", LOSS.key]])

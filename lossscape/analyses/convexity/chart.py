"""Convexity maps as figures that move: the ratio of the extreme eigenvalues, both of them, and the loss."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from lossscape.analyses.convexity.result import Convexity
from lossscape.figures.charts import scales
from lossscape.figures.charts.surfaces import Layer, frame_data, marks_of, panel_data
from lossscape.results import Surface

DECADES = 4
"""That a scale of ratios shows below the greatest."""
NAMES = {"ratio": "|λmin|/λmax", "largest": "λmax", "smallest": "λmin"}


def map_data(result: Convexity) -> dict[str, Any]:
    """Eigenvalues and loss at every point; crosses where an eigenvalue has not converged, rings where all are ≥ 0."""
    surface = result.surface
    (split,) = surface.splits
    table = surface.table.assign(
        ratio=result.ratio.to_numpy(), **{key: result.table[key] for key in ("largest", "smallest")}
    )
    loss = Layer(f"{split}_loss")
    layers = [*(Named(key) for key in NAMES), loss]
    marks = [
        {"x": row["x"], "y": row["y"], "text": "", **look}
        for rows, look in ((result.rough, ROUGH), (result.convex, CONVEX))
        for row in rows.to_dict("records")
    ]
    shown = Surface(surface.folder, surface.settings, table)
    return frame_data(surface) | {
        "layers": [layer.data for layer in layers],
        "scales": {**_scales(result), loss.key: scales.of_losses(table[loss.key].to_numpy())},
        "panels": [panel_data(shown, "", layers) | {"marks": [*marks, *marks_of(surface)]}], "times": [], "time": "",
    }  # fmt: skip


ROUGH = {"symbol": "x-thin", "size": 6, "colour": "#D55E00"}
CONVEX = {"symbol": "circle", "size": 5, "colour": "black"}


@dataclass(frozen=True)
class Named(Layer):
    """A column of eigenvalues."""

    @property
    def name(self) -> str:
        """As it is written."""
        return NAMES[self.key]


def _scales(result: Convexity) -> dict[str, Any]:
    ratio, largest, smallest = (np.asarray(result.values(key), dtype=float) for key in NAMES)
    known = ratio[np.isfinite(ratio)]
    floor = float(known.max()) / 10**DECADES if known.size else 0.0
    signs = (smallest > 0).any() and (smallest < 0).any()
    return {
        "ratio": scales.of_losses(np.clip(ratio, floor, None), log=True),
        "largest": scales.of_losses(largest),
        "smallest": scales.of_differences(smallest) if signs else scales.of_metric(smallest),
    }

"""Films as figures that move: the descent over its surface, and the plane around every checkpoint, moment by moment."""

from typing import Any

from lossscape.analyses.film.result import Film
from lossscape.figures.charts import scales
from lossscape.figures.charts.surfaces import Layer, frame_data, marks_of, most_of, panel_data, surface_data
from lossscape.figures.levels import Scale
from lossscape.figures.paths import when
from lossscape.figures.style import ALONE, Looks


def descent_data(film: Film, log: bool = False, looks: Looks = ALONE) -> dict[str, Any]:
    """The run's path over the surface with a slider."""
    return surface_data(film.surface("descent", 0), log, looks)


def frames_data(film: Film, scale: Scale) -> dict[str, Any]:
    """The planes around all checkpoints on one scale, a moment of the slider each."""
    shown, layer = film.surfaces("plane"), Layer(f"{film.split}_loss")
    panels = [panel_data(surface, "", [layer], most_of(len(shown))) for surface in shown]
    values = {layer.key: {"scale": layer.key, "frames": [panel["values"][layer.key]["z"] for panel in panels]}}
    kind = "log" if scale.log else "linear"
    return frame_data(shown[-1]) | {
        "layers": [layer.data], "scales": {layer.key: {kind: scales.scale_data(scale), "first": kind}},
        "panels": [panels[-1] | {"values": values, "marks": marks_of(shown[-1])}],
        "times": [when(row) for _, row in film.rows("plane").iterrows()], "time": "At",
    }  # fmt: skip

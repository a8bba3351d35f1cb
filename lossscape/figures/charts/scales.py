"""Colour scales as charts carry them: those of the static figures, and the linear one beside a logarithmic one."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator

from lossscape.figures.charts.plain import rounded
from lossscape.figures.levels import MOST_LEVELS, Diverging, Scale, choose_diverging, choose_scale
from lossscape.figures.text import finite


def of_losses(losses: np.ndarray, log: bool = False) -> dict[str, Any]:
    """`linear` and, where losses are positive, `log`: scales as scale_data gives them; `first`: the one to begin with.

    losses: of all panels that share it, of any shape, NaN where there is none; log: as for choose_scale, whose scale is
    the first.
    """
    return as_chosen(choose_scale(losses, log), choose_scale(losses, True), losses)


def as_chosen(first: Scale, logarithmic: Scale, losses: np.ndarray) -> dict[str, Any]:
    """The same of scales that were chosen for the losses: the one to begin with, and the logarithmic one."""
    linear = of_values(losses) if first.log else first
    both = logarithmic.log and not linear.constant
    if not both:
        return {"linear": scale_data(linear), "first": "linear"}
    return {"linear": scale_data(linear), "log": scale_data(logarithmic), "first": "log" if first.log else "linear"}


def of_metric(values: np.ndarray) -> dict[str, Any]:
    """The linear scale of values that are no losses, as of_losses gives it."""
    return {"linear": scale_data(of_values(values)), "first": "linear"}


def of_differences(values: np.ndarray) -> dict[str, Any]:
    """The diverging scale of differences, white at 0, as of_losses gives it; logarithmic where few are large."""
    scale = choose_diverging([values])
    return {"log" if scale.log else "linear": scale_data(scale), "first": "log" if scale.log else "linear"}


def of_values(values: np.ndarray) -> Scale:
    """A linear scale over all values, however far they span."""
    drawn = finite(values)
    known = drawn[np.isfinite(drawn)]
    if not known.size or np.ptp(known) <= 1e-9 * np.abs(known).max():
        return choose_scale(drawn, False)
    low, high = float(known.min()), float(known.max())
    levels = MaxNLocator(MOST_LEVELS - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return Scale(
        [float(each) for each in levels], low=low, high=high, missing=drawn.size - known.size, points=drawn.size
    )


def scale_data(scale: Scale) -> dict[str, Any]:
    """A scale as the page's script reads it.

    ticks: heights of its levels [L], ascending; texts: what stands at them [L]; colours: of the bands between them
    [L − 1]; low, high: where losses are clipped; log; unit: of differences, below which their logarithmic scale is all
    but linear; notes: sentences.
    """
    ticks = scale.ticks
    middles = (ticks[1:] + ticks[:-1]) / 2
    colours = matplotlib.colormaps.get_cmap(scale.colours)(scale.norm(middles))
    found: dict[str, Any] = {
        "ticks": rounded(ticks, 9),
        "texts": [scale.text(tick) for tick in ticks],
        "colours": [to_hex(colour) for colour in colours],
        "low": scale.low, "high": scale.high, "log": scale.log,
        "notes": [*scale.lost_words("Left open"), *scale.notes],
    }  # fmt: skip
    return found | ({"unit": scale.unit} if isinstance(scale, Diverging) else {})

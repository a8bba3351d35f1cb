"""Sharpness as figures that move: rises against the radius and widths, or all of them over training."""

from typing import Any

import numpy as np

from lossscape.analyses.sharpness.result import NAMES, WIDTH, WORST, Sharpness
from lossscape.figures import captions
from lossscape.figures.charts.lines import line, panel
from lossscape.figures.style import COLOURS, marker_of, symbol_of
from lossscape.figures.times import times_of
from lossscape.text import number


def sharpness_data(result: Sharpness) -> dict[str, Any]:
    """At one checkpoint rises against ρ and widths; at several each measure over training."""
    return _at_one(result) if len(result.checkpoints) == 1 else _over_training(result)


def _value(measure: str) -> str:
    """Of what ascent found the greatest of all starts, of noise the mean, of widths the median."""
    return "largest" if measure in WORST else "median" if measure == WIDTH else "mean"


def _ends(measure: str) -> tuple[str, str]:
    return ("quartile1", "quartile3") if measure == WIDTH else ("low", "high")


def _at_one(result: Sharpness) -> dict[str, Any]:
    lines: list[dict[str, Any]] = []
    panels, rules = [], []
    for place, measure in enumerate(result.kinds):
        rows, each = result.of(measure), result.table[result.table["measure"] == measure]
        if measure == WIDTH:
            label = f"distance to a rise of {number(result.settings['rise'])},\n1 = ‖θ‖ filter by filter"
            panels.append(panel(WIDTH, label, name="widths", x="random direction"))
            lines.append(line(WIDTH, COLOURS[2], range(len(each)), each["value"], marks=True))
            ends = [
                ("median", rows["median"]),
                ("1st quartile", rows["quartile1"]),
                ("3rd quartile", rows["quartile3"]),
            ]
            known = [(name, float(value.iloc[0])) for name, value in ends if value.notna().all()]
            rules += [{"panel": WIDTH, "y": value, "text": name} for name, value in known]
            continue
        adaptive = measure.startswith("adaptive_")
        key = "adaptive" if adaptive else "plain"
        if key not in [each["key"] for each in panels]:
            x = "ρ of u, displacement |θ|·u" if adaptive else "ρ of the displacement"
            label = f"rise of the loss ({key})"
            panels.append(panel(key, label, log=True, name=f"{key} rises", x=x, xlog=True))
        low, high = (rows[end] for end in _ends(measure))
        look = {"run": NAMES[measure], "low": low, "high": high}
        colour = COLOURS[place % len(COLOURS)]
        lines.append(line(key, colour, rows["rho"], rows[_value(measure)], **look))
        lines.append(
            line(key, colour, each["rho"], each["value"], run=NAMES[measure], marks=True, symbol="circle-open")
        )
    return {"x": "ρ", "panels": panels, "lines": lines, "rules": rules, "log": True}


def _over_training(result: Sharpness) -> dict[str, Any]:
    first = result.of(result.kinds[0])
    times = times_of(first[first["rho"].isna() | (first["rho"] == first["rho"].min())])
    lines, panels = [], []
    for measure in result.kinds:
        rows = result.of(measure)
        panels.append(panel(measure, NAMES[measure], log=measure != WIDTH, name=NAMES[measure]))
        radii = [None] if measure == WIDTH else sorted(rows["rho"].unique())
        for place, radius in enumerate(radii):
            own = rows if radius is None else rows[rows["rho"] == radius]
            low, high = (own[end] for end in _ends(measure))
            look = {"run": "" if radius is None else f"ρ = {number(radius)}", "low": low, "high": high}
            look |= symbol_of(marker_of(place))
            lines.append(line(measure, COLOURS[place % len(COLOURS)], times.values, own[_value(measure)], **look))
    losses = np.asarray(result.summary.groupby("checkpoint", sort=False)["loss"].first(), dtype=float)
    panels.append(panel("loss", captions.loss_label([captions.loss_name(result.settings)]), log=True))
    lines.append(line("loss", COLOURS[0], times.values, losses))
    if times.names:
        names = list(zip(times.values.tolist(), times.names, strict=True))
        panels = [each | {"names": names} for each in panels]
    return {"x": times.label, "panels": panels, "lines": lines, "log": True}

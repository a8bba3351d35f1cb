"""Lines for the page: those of several runs and splits in panels, with bands, marks and rules.

Chart type "lines"; its data are documented in report/charts.js, above the function that draws them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from lossscape.figures import captions
from lossscape.figures.captions import BAND
from lossscape.figures.charts.plain import ERROR, ERRORS, rounded
from lossscape.figures.curves import curve_picture, lines_of, names_of
from lossscape.figures.metrics import metric
from lossscape.figures.predictions import off_the_line
from lossscape.figures.section import Chart, Page
from lossscape.figures.style import ALONE, COLOURS, Looks, symbol_of
from lossscape.figures.text import numbered
from lossscape.results import Curve
from lossscape.text import number, shortened

SPLITS = ("train", "test")
DOT = 4
"""Pixels of an evaluated point among predicted ones."""
SMALL = 0.05
"""A rise above the chord of less than this part of what a curve spans is not marked."""


def line(panel: str, colour: str, x: Iterable[float], y: Iterable[float], **more: Any) -> dict[str, Any]:
    """A line of a panel; more: other keys of lines in report/charts.js, lists of numbers among them rounded."""
    ends = [key for key in ("low", "high", "error") if key in more]
    numbers: dict[str, Any] = {key: rounded(more.pop(key), ERROR + 1) for key in ends}
    points = {"x": rounded(x, 9), "y": rounded(y)}
    return {"run": "", "split": "", "panel": panel, "colour": colour, **points, **numbers, **more}


def panel(key: str, label: str, log: bool = False, shown: bool = True, **more: Any) -> dict[str, Any]:
    """A panel; log: whether a logarithmic scale makes sense; more: other keys of panels in report/charts.js."""
    return {"key": key, "label": label, "log": log, "shown": shown, **more}


def curve_chart(curves: Sequence[Curve], page: Page, name: str, alt: str) -> Chart:
    """The figure of build_curve on the page, as lines that move; name: of its picture's file."""
    data = curves_data(curves, page.log, page.looks)
    return Chart(name.removesuffix(".png"), "lines", data, curve_picture(curves, page, name, alt))


def curves_data(curves: Sequence[Curve], log: bool = False, looks: Looks = ALONE) -> dict[str, Any]:
    """Losses and metrics along lines with bands of standard errors and the barriers between the ends."""
    lines: list[dict[str, Any]] = []
    marks: list[dict[str, Any]] = []
    names = [str(curve.settings[_ends(curve)[0]]["run"]) for curve in curves]
    names = numbered([shortened(name) for name in (names if len({*names}) == len(names) else names_of(curves))])
    for curve, name, look in zip(curves, names, lines_of(curves, looks), strict=True):
        for split in curve.splits:
            own = {"run": name if len(curves) > 1 else "", "split": split}
            colour = look["color"] or COLOURS[SPLITS.index(split)]
            for key in ("loss", *curve.metrics):
                if f"{split}_{key}" in curve.table:
                    whole, *dots = _of_curve(curve, split, key, colour)
                    lines += [whole | own | symbol_of(look["marker"]), *(each | own for each in dots)]
            marks += [mark | own | {"colour": colour} for mark in _barrier(curve, split)]
    others = list(dict.fromkeys(key for curve in curves for key in curve.metrics))
    labels = {"loss": captions.loss_label([captions.loss_name(curve.settings) for curve in curves])}
    labels |= {key: metric(key).axis() for key in others}
    panels = [panel(key, label, key == "loss", key in ("loss", *others[:1])) for key, label in labels.items()]
    label = "α" if curves[0].coordinate == "alpha" else "x"
    return {
        "x": label, "panels": panels, "lines": lines, "marks": marks, "log": log,
        "rules": [rule | {"panel": key} for key in labels for rule in _places(curves)],
    }  # fmt: skip


def _ends(curve: Curve) -> tuple[str, ...]:
    return ("start", "end") if curve.coordinate == "alpha" else ("centre",)


def _of_curve(curve: Curve, split: str, key: str, colour: str) -> list[dict[str, Any]]:
    """A column as a line, with dots where it was evaluated if other points were predicted, open ones off the line."""
    scale, values = metric(key).scale, curve.table[f"{split}_{key}"].to_numpy()
    off = off_the_line(values, curve.predicted)
    found = line(key, colour, curve.positions[~off], scale * values[~off])
    if (error := f"{split}_{key}_stderr") in curve.table:
        reach = BAND * curve.table[error].to_numpy()
        low, high = (scale * (values + end)[~off] for end in (-reach, reach))
        found |= {"low": rounded(low), "high": rounded(high)}
    if not curve.predicted.any():
        return [found]
    words, known = np.array(_predicted_words(curve, key, scale * values)), ~curve.predicted
    found["text"] = words[~off].tolist()
    more: dict[str, Any] = {"marks": True, "symbol": "circle", "size": DOT, "text": words[known].tolist()}
    more |= {"open": off[known].tolist()} if off.any() else {}
    return [found, line(key, colour, curve.positions[known], scale * values[known], **more)]


def _predicted_words(curve: Curve, key: str, values: np.ndarray) -> list[str]:
    """What stands at each point: its value, whether it was evaluated, and else how far it may be off."""
    unit, label = metric(key).unit, "α" if curve.coordinate == "alpha" else "x"
    errors = curve.table[ERRORS].to_numpy() if key == "loss" and ERRORS in curve.table else np.full(len(values), np.nan)
    words = []
    for at, value, error, predicted in zip(curve.positions, values, errors, curve.predicted, strict=True):
        off = f" ± {number(100 * error, 2)} % of it (estimated)" if np.isfinite(error) else ""
        how = f"predicted{off}" if predicted else "evaluated"
        words.append(f"{label} {number(float(at))}: {f'{number(float(value), 5)} {unit}'.strip()}, {how}")
    return words


def _barrier(curve: Curve, split: str) -> list[dict[str, Any]]:
    """The greatest rise of the loss above the chord between the ends as a mark; none where there is no such rise."""
    x, loss = curve.positions, curve.table[f"{split}_loss"].to_numpy()
    inside = (x >= 0) & (x <= 1) & np.isfinite(loss)
    if curve.coordinate != "alpha" or not {0.0, 1.0} <= {*x[inside].tolist()}:
        return []
    x, loss = x[inside], loss[inside]
    chord = (1 - x) * loss[0] + x * loss[-1]
    at = int((loss - chord).argmax())
    high = float(loss[at] - chord[at])
    if high <= SMALL * np.ptp(loss):
        return []
    words = f"barrier {number(high, 3)}"
    text = f"{words} above the chord at α = {number(float(x[at]), 3)} ({split} loss)"
    low, top = rounded([float(chord[at]), float(loss[at])])
    return [{"panel": "loss", "x": float(x[at]), "low": low, "high": top, "short": words, "text": text}]


def _places(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Rules at the ends of the line, or at the centre, with the names of the points that lie there."""
    rules = []
    for place, end in enumerate(_ends(curves[0])):
        points = [curve.settings[end] for curve in curves]
        whole = {f"{point['run']}@{point['checkpoint']}" for point in points}
        short = {str(point["checkpoint"]) for point in points}
        name = min(whole) if len(whole) == 1 else min(short) if len(short) == 1 else "AB"[place]
        anchor = ("left", "right")[place] if len(_ends(curves[0])) == 2 else "center"
        rules.append({"x": float(place), "text": shortened(name, 24), "anchor": anchor})
    return rules

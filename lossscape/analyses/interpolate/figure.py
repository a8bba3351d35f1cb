"""Lines between checkpoints as figures, as sections of the page with their measures, and those of several runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossscape.analyses.interpolate.request import Drawing
from lossscape.certificate.summary import summary
from lossscape.figures import captions, certificates
from lossscape.figures.charts.lines import curve_chart
from lossscape.figures.curves import build_curve
from lossscape.figures.section import Chart, Page, Section, Sentences, Table, value_text
from lossscape.figures.style import save
from lossscape.results import Curve
from lossscape.results.resolution import ROUGH, ROUGH_NOTE, UNRESOLVED
from lossscape.text import number

CURVE_MEASURES = {
    "monotone": ("monotone", "", "whether the loss never rises from one point to the next"),
    "bump_height": ("largest rise", "loss", "max over α₁ < α₂ of L(α₂) − L(α₁); 0 for a monotone curve"),
    "bump_start": ("beginning of the rise", "α", "α₁ of the largest rise"),
    "bump_peak": ("top of the rise", "α", "α₂ of the largest rise"),
    "bump_width": ("width of the rise", "α", "from α₁ until the loss is back at L(α₁), or to the end"),
    "convex_fraction": ("convex fraction", "", "share of inner points with second difference ≥ 0; 1 if convex"),
    "barrier_chord": (
        "barrier against the chord",
        "loss",
        "max over α of L(α) − ((1 − α)·L(0) + α·L(1)) (Entezari et al., arXiv:2110.06296)",
    ),
    "barrier_mean": (
        "barrier against the mean of the ends",
        "loss",
        "max over α of L(α) − (L(0) + L(1))/2 (Frankle et al., arXiv:1912.05671)",
    ),
}
"""Of the loss of one split: name, unit, meaning."""

LINE_MEASURES = {
    "distance": ("distance", "", "‖B − A‖ between the parameters of the two checkpoints"),
    "distance_moved": ("normalised distance moved", "", "‖B − A‖ / ‖A‖ (Lucas et al., arXiv:2104.11044)"),
    "gauss_length": (
        "Gauss length",
        "radians",
        "how much the path of the outputs turns on the way, mean over training samples (Lucas et al.); 0 if straight",
    ),
}
UNDEFINED = {"gauss_length": "not defined with recomputed BatchNorm statistics"}


def draw(result: Curve, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figure of a line beside it; returns what lies where."""
    folder = result.folder
    return {
        "curve": folder / "curve.csv",
        "figure": save(build_curve([result], log=drawing.log), folder / "curve.png"),
        "measures": folder / "measures.json",
        "certificate": summary(folder),
    }


def section(result: Curve, page: Page) -> Section:
    """Its part of the page: the figure, the measures, the certificate, and its files."""
    chart = curve_chart([result], page, "curve.png", captions.curve_alt(result))
    lost = [Sentences([f"The {why}." for why in found])] if (found := result.without_measures()) else []
    return Section(
        title=_title(result.settings),
        parts=[chart, *measure_tables(result), *lost],
        files=page.copy_result(result.folder),
        failures=certificates.failures(result.certificate),
        certificate=certificates.certificate_of(result.certificate, result.engine),
    )


def _title(settings: Mapping[str, Any]) -> str:
    """The ends, and what tells the line from others of the same ends."""
    ends = [settings[end] for end in ("start", "end")]
    same = ends[0]["run"] == ends[1]["run"]
    names = [str(end["checkpoint"]) if same else f"{end['run']}@{end['checkpoint']}" for end in ends]
    low, high = settings["range"]
    extras = [] if [low, high] == [0, 1] else [f"α from {number(low)} to {number(high)}"]
    extras += captions.targets_extra(settings)
    return ", ".join([" to ".join(names), *extras, *captions.title_extras(settings)])


def measure_tables(curve: Curve) -> list[Table]:
    """The measures of each split's losses, and those of the whole line; none where none were stored."""
    found, unit = curve.measures, captions.LOSS_UNITS.get(str(curve.settings["loss"]), "loss")
    splits = [split for split in curve.splits if isinstance(found.get(split), dict)]
    rows = [
        [name, *(_cell(found[split], key) for split in splits), unit if of == "loss" else of, meaning]
        for key, (name, of, meaning) in CURVE_MEASURES.items()
        if splits and all(key in found[split] for split in splits)
    ]
    note = ROUGH_NOTE if any(found[split].get(UNRESOLVED) for split in splits) else ""
    whole = [
        [name, value_text(found[key], UNDEFINED.get(key, "none")), of, meaning]
        for key, (name, of, meaning) in LINE_MEASURES.items()
        if key in found
    ]
    head, last = ["measure", *splits, "unit", "meaning"], len(splits) + 1
    tables = [
        Table(rows, head, note, title="Measures of the curve on 0 ≤ α ≤ 1:", words=(last, last + 1)),
        Table(whole, ["measure", "value", "unit", "meaning"], title="Of the whole line:", words=(2, 3)),
    ]
    return [table for table in tables if table.rows]


def _cell(measures: Mapping[str, Any], key: str) -> str:
    """A measure of a split, marked where its points do not resolve it."""
    words = value_text(measures[key])
    return f"{words} {ROUGH}" if key in measures.get(UNRESOLVED, ()) else words


def compare(results: Mapping[str, Sequence[Curve]], page: Page) -> list[Chart]:
    """One figure for each pair of checkpoints that several runs have a line between; results: by run."""
    charts = []
    for index, curves in enumerate(grouped(results), 1):
        alt = " ".join(map(captions.curve_alt, curves))
        alt = alt.replace("against α.", f"against α of {len(curves)} curves.", 1)
        charts.append(curve_chart(curves, page, f"curve-{index}.png", alt))
    return charts


def grouped(results: Mapping[str, Sequence[Curve]]) -> list[list[Curve]]:
    """Groups of curves between equal checkpoints, one of each run.

    Where no two runs have such a pair: one group with a curve of every run. A curve between the checkpoints only, and
    one of many points, stands for its run.
    """

    def standing(curve: Curve) -> tuple[bool, int]:
        return curve.settings["range"] == [0, 1], len(curve.table)

    groups: dict[tuple[Any, ...], dict[str, Curve]] = {}
    best: dict[str, Curve] = {}
    for run, curves in results.items():
        for curve in curves:
            ends = (curve.settings["start"]["checkpoint"], curve.settings["end"]["checkpoint"])
            for chosen in (groups.setdefault((*ends, *curve.settings["range"]), {}), best):
                chosen[run] = max(chosen.get(run, curve), curve, key=standing)
    several = [list(group.values()) for group in groups.values() if len(group) > 1]
    return several or ([list(best.values())] if len(best) > 1 else [])

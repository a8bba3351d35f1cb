"""What the numbers of a result mean: measures with their units, and nested facts in rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossscape.results import Curve
from lossscape.text import number

LOSS_UNIT = {"cross_entropy": "nats"}

CURVE_MEASURES = {
    "monotone": ("monotone", "", "whether the loss never rises from one point to the next"),
    "bump_height": ("largest rise", "loss", "max over α₁ < α₂ of L(α₂) − L(α₁); 0 for a monotone curve"),
    "bump_start": ("beginning of the rise", "α", "α₁ of the largest rise"),
    "bump_peak": ("top of the rise", "α", "α₂ of the largest rise"),
    "bump_width": ("width of the rise", "α", "from α₁ until the loss is back at L(α₁), or to the end"),
    "convex_fraction": (
        "convex fraction",
        "",
        "share of inner points with second difference ≥ 0; 1 if convex",
    ),
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
    "distance_moved": (
        "normalised distance moved",
        "",
        "‖B − A‖ / ‖A‖ (Lucas et al., arXiv:2104.11044)",
    ),
    "gauss_length": (
        "Gauss length",
        "radians",
        "how much the path of the outputs turns on the way, mean over training samples (Lucas et al.); 0 if straight",
    ),
}
"""Of the whole line."""


@dataclass(frozen=True)
class Row:
    """A line of a table of measures."""

    name: str
    values: list[str]
    """One for each split, or a single one for all."""
    unit: str
    meaning: str


def measure_rows(curve: Curve) -> list[Row]:
    """The measures of a curve, those of each split first; empty where none were stored."""
    found = curve.measures
    unit = LOSS_UNIT.get(str(curve.settings["loss"]), "loss")
    splits = [split for split in curve.splits if isinstance(found.get(split), dict)]
    rows = []
    for key, (name, of, meaning) in CURVE_MEASURES.items():
        if splits and all(key in found[split] for split in splits):
            values = [value_text(found[split][key]) for split in splits]
            rows.append(Row(name, values, unit if of == "loss" else of, meaning))
    for key, (name, of, meaning) in LINE_MEASURES.items():
        if key in found:
            missing = "not defined with recomputed BatchNorm statistics" if key == "gauss_length" else "none"
            rows.append(Row(name, [value_text(found[key], missing)], of, meaning))
    return rows


def measured_splits(curve: Curve) -> list[str]:
    """The splits that measure_rows has a value for."""
    return [split for split in curve.splits if isinstance(curve.measures.get(split), dict)]


def value_text(value: Any, missing: str = "none") -> str:
    """A value of a JSON file in a table."""
    if value is None:
        return missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value, 5) if isinstance(value, float) else str(value)


def flat_rows(value: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Nested facts as rows of a dotted key and a value."""
    rows: list[list[str]] = []
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            rows += flat_rows(inner, f"{prefix}{key}.")
        elif isinstance(inner, list):
            rows.append([f"{prefix}{key}", ", ".join(value_text(each) for each in inner)])
        else:
            rows.append([f"{prefix}{key}", str(inner) if isinstance(inner, int) else value_text(inner)])
    return rows

"""What the numbers of a result mean: measures with their units, checks of a certificate, settings in rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossscape.report.text import number
from lossscape.results import Curve

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


def verdict(certificate: Mapping[str, Any]) -> str:
    """Whether a result was checked, and how it came out."""
    if not certificate:
        return "none: the result was not checked"
    if not certificate.get("passed"):
        return "FAILED"
    checked = [check for check in certificate.get("checks", []) if check.get("passed")]
    if not checked:
        return "passed: the model is unchanged; no loss could be compared with metrics.csv"
    return f"passed: the model is unchanged; losses that agree with metrics.csv: {len(checked)}"


def check_rows(certificate: Mapping[str, Any]) -> list[list[str]]:
    """Name, value, reference and outcome of each check."""
    outcome = {True: "agrees", False: "differs", None: "for comparison only: other BatchNorm statistics"}
    return [
        [
            str(check["name"]),
            number(float(check["value"]), 8),
            number(float(check["reference"]), 8),
            outcome.get(check["passed"], str(check["passed"])),
        ]
        for check in certificate.get("checks", [])
    ]


def geometry_rows(certificate: Mapping[str, Any]) -> list[list[str]]:
    """Lengths of centre and directions and the cosine between these, where the certificate has them."""
    rows = []
    if "centre_norm" in certificate:
        rows.append(["‖θ‖ of the centre", number(certificate["centre_norm"], 6)])
    for index, value in enumerate(certificate.get("direction_norms", []), 1):
        rows.append([f"‖d{'₁₂'[index - 1 : index]}‖ of direction {index}", number(value, 6)])
    if "cosine" in certificate:
        rows.append(["cosine between the directions", number(certificate["cosine"], 3)])
    return rows


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

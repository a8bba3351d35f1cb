"""What a certificate and engine.json say, in words and rows: checks, lengths, errors, and how it was computed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lossscape.certificate.by_hand import BY_HAND
from lossscape.figures.section import Certificate, Table, flat_rows, value_text
from lossscape.progress import duration
from lossscape.text import counted, number, percent, shortened

OUTCOMES = {True: "passed", False: "FAILED", None: "for comparison only: other BatchNorm statistics"}
UNDEFINED = "not compared: not finite"
PLANS = {
    "dense": "a forward pass of the module as it is",
    "folded": "BatchNorm folded into the layers in front of it",
    "factored": "the first layer's products with the inputs made once for all points",
    "stacked": "many points in one product of stacked matrices",
}
CHOSEN = {
    "timed": "the fastest of those that were timed",
    "cached": "the fastest of those timed for a net of this shape on this machine before",
    "rule": "the one that usually is the fastest: the work is too short to time others",
    "asked for": "asked for with --plan",
}
SHOWN = (
    "passed", "checks", "model_unchanged", "samples_checked", "centre_norm", "direction_norms", "cosine",
    "precision_check", "points_checked", "rows_checked", "not_checked", "not_finite", "explained_variance",
    "explained_variance_of_each", "held_out", "estimated_error",
)  # fmt: skip
"""Keys of a certificate that have rows and words of their own."""
CHECK_HEAD = ("check", "value", "reference", "relative difference", "difference", "tolerance", "outcome")


def certificate_of(certificate: Mapping[str, Any], engine: Mapping[str, Any]) -> Certificate:
    """What the page shows of a certificate and of engine.json."""
    tables = [
        check_table(certificate),
        Table(fact_rows(certificate)),
        Table(engine_rows(engine), title="How it was computed:"),
    ]
    shown = [table for table in tables if table.rows]
    return Certificate(verdict(certificate), not failures(certificate), shown, checked=bool(certificate))


def verdict(certificate: Mapping[str, Any]) -> str:
    """Whether a result was checked, and how it came out."""
    if not certificate:
        return "none: the result was not checked"
    if not certificate.get("passed"):
        return "FAILED"
    count = sum(1 for check in certificate.get("checks", []) if check.get("passed"))
    lost = f"; {found['words']}" if (found := certificate.get("not_finite")) else ""
    if not count:
        return "passed: the model is unchanged; there was nothing to compare the losses with" + lost
    since = "; but files were changed by hand" if certificate.get(BY_HAND) else ""
    return f"passed: {counted(count, 'check')}, and the model is unchanged{lost}{since}"


def failures(certificate: Mapping[str, Any]) -> list[str]:
    """What failed, a sentence each; empty for a certificate that passed."""
    if not certificate or certificate.get("passed"):
        return []
    changed = certificate.get("model_unchanged") is False
    words = ["The evaluation changed the model."] if changed else []
    for check in certificate.get("checks", []):
        if check["passed"] is False:
            value, reference = _value(check["value"]), _value(check["reference"])
            words.append(f"{_name(check)}: {value}, but the reference is {reference}.")
    return words or ["It does not say which check."]


def check_table(certificate: Mapping[str, Any]) -> Table:
    """A row for each check; what older certificates do not say is left empty."""
    rows, checks = [], certificate.get("checks", [])
    for check in checks:
        difference, relative = _differences(check["value"], check["reference"])
        tolerance = _value(check["tolerance"], 3) if "tolerance" in check else ""
        outcome = OUTCOMES.get(check["passed"], str(check["passed"]))
        value = check["value"]
        if check["passed"] is None and isinstance(value, float) and not math.isfinite(value):
            outcome = UNDEFINED
        numbers = [_value(check["value"]), _value(check["reference"]), relative, difference, tolerance]
        rows.append([_name(check), *numbers, outcome])
    failed = [index for index, check in enumerate(checks) if check["passed"] is False]
    return Table(rows, CHECK_HEAD, words=(6,), failed=failed)


def _name(check: Mapping[str, Any]) -> str:
    return f"{check['name']}, at {check['at']}" if check.get("at") else str(check["name"])


def _percents(shares: Sequence[float]) -> str:
    return ", ".join(f"{100 * share:.1f} %" for share in shares)


def _value(value: Any, digits: int = 8) -> str:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return number(float(value), digits) if plain else value_text(value)


def _differences(value: Any, reference: Any) -> tuple[str, str]:
    """The difference of two numbers and the same relative to the second, in words; empty where there is none."""
    if not all(isinstance(each, int | float) for each in (value, reference)):
        return "", ""
    distance = abs(float(value) - float(reference))
    if value == reference:
        return "0", "0"
    if not math.isfinite(distance):
        return "", ""
    return number(distance, 2), number(distance / abs(reference), 2) if reference else ""


def fact_rows(certificate: Mapping[str, Any]) -> list[list[str]]:
    """Samples checked, lengths of centre and directions, their cosine, error of the precision, and all else it says."""
    rows = []
    if samples := certificate.get("samples_checked"):
        counts = " and ".join(f"{count:,} {split}" for split, count in samples.items())
        rows.append(["samples checked, the same on both sides", counts])
    if "points_checked" in certificate:
        rows.append(["points checked by dense forward passes in fp64", value_text(certificate["points_checked"])])
    if checked := certificate.get("rows_checked"):
        rows.append(["stored rows recomputed whole, drawn by chance", value_text(checked.get("drawn"))])
        if (many := checked.get("standing_out")) is not None:
            text = f"{value_text(many)}, {value_text(checked.get('of_these'))} of them recomputed"
            rows.append(["stored rows that stand out from their neighbours", text])
    rows += held_out_rows(certificate)
    rows += [[f"not checked: {name}", str(why)] for name, why in (certificate.get("not_checked") or {}).items()]
    if "centre_norm" in certificate:
        rows.append(["‖θ‖ of the centre", number(certificate["centre_norm"], 6)])
    norms = certificate.get("direction_norms", [])
    for index, value in enumerate(norms, 1):
        name = f"‖d{'₁₂'[index - 1 : index]}‖ of direction {index}" if len(norms) > 1 else "‖d‖ of the direction"
        rows.append([name, number(value, 6)])
    if "cosine" in certificate:
        rows.append(["cosine between the directions", number(certificate["cosine"], 3)])
    if shares := certificate.get("explained_variance"):
        rows.append(["share of the variance along each direction", _percents(shares)])
    for each in certificate.get("explained_variance_of_each") or []:
        rows.append([f"the same of {shortened(each['run'])} alone", _percents(each["shares"])])
    if check := certificate.get("precision_check"):
        rows.append(["points evaluated again in fp32", value_text(check.get("points"))])
        for which in ("largest", "mean"):
            error = check.get(f"{which}_relative_error")
            rows.append([f"{which} relative error of the loss there", _value(error, 2)])
    return rows + flat_rows({key: value for key, value in certificate.items() if key not in SHOWN})


def held_out_rows(certificate: Mapping[str, Any]) -> list[list[str]]:
    """How much was predicted, and how far predictions were off that were held against what was evaluated after them."""
    held = certificate.get("held_out") or {}
    rows = []
    if "evaluated" in held:
        rows.append(["points evaluated, the others predicted", f"{held['evaluated']:,} of {held['of']:,}"])
    if "points" in held:
        over = f", {held['over']:,} of them over the tolerance" if "over" in held else ""
        rows.append(["predictions held out, and evaluated after", f"{held['points']:,}{over}"])
    for name, errors in (held.get("errors") or {}).items():
        scale = (held.get("scales") or {}).get(name) or {}
        relative, floor = scale.get("relative", True), scale.get("floor", 1.0)
        median, most = (errors[which] * (1.0 if relative else floor) for which in ("median", "largest"))
        of = f" of it, or of {number(floor, 2)} where that is more" if relative else ""
        shown = [percent(each) if relative else number(each, 2) for each in (median, most)]
        words = name.replace("_", " ")
        rows.append([f"held-out errors of the {words}", f"{shown[0]} in the median, {shown[1]} at most{of}"])
    if estimated := certificate.get("estimated_error"):
        median, most = percent(estimated["median"]), percent(estimated["largest"])
        rows.append(["estimated errors of predictions", f"{median} in the median, {most} at most"])
    return rows


def engine_rows(engine: Mapping[str, Any]) -> list[list[str]]:
    """How a result was computed: plan, time, threads and device, as far as engine.json says."""
    rows = []
    if plan := engine.get("plan"):
        rows.append(["plan", plan_words(plan)])
    if chosen := engine.get("chosen"):
        tried = len(engine.get("tried") or [])
        chosen = "rule" if chosen == "timed" and tried == 1 else chosen
        many = f" ({tried:,})" if chosen in ("timed", "cached") and tried else ""
        rows.append(["chosen as", CHOSEN.get(str(chosen), str(chosen)) + many])
    for key, name in (("predicted_seconds", "predicted time"), ("seconds_per_point", "of it per point")):
        if isinstance(seconds := engine.get(key), int | float):
            rows.append([name, duration(seconds)])
    if threads := engine.get("threads"):
        rows.append(["threads", value_text(threads)])
    device = engine.get("device") or {}
    if isinstance(device, Mapping) and device:
        kind = str(device.get("type", "unknown"))
        rows.append(["device", f"{device['name']} ({kind})" if device.get("name") else kind])
    return rows


def plan_words(plan: Mapping[str, Any]) -> str:
    """A plan in words: factored: the first layer's products …; chunks of 1,024 samples; 8 points together."""
    name = str(plan.get("name", "dense"))
    words = [f"{name}: {PLANS[name]}"]
    if chunk := plan.get("chunk"):
        words.append(f"chunks of {value_text(chunk)} samples")
    if (points := plan.get("points") or 1) > 1:
        words.append(f"{value_text(points)} points together")
    added = {
        "channels_last": "channels last in memory", "compiled": "compiled", "graphed": "as a CUDA graph",
        "onednn": "multiplied by oneDNN", "by_class": "losses class by class", "packed": "weights packed",
        "lowered": "convolutions as products of matrices",
    }  # fmt: skip
    words += [text for key, text in added.items() if plan.get(key)]
    return "; ".join(words)

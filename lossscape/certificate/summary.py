"""What a result's certificate.json says, for the terminal."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossscape.certificate.by_hand import BY_HAND
from lossscape.certificate.check import SMALLEST
from lossscape.files import read_json
from lossscape.results.folder import CERTIFICATE
from lossscape.text import counted


def is_done(folder: Path) -> bool:
    """Whether a result has a certificate that passed, so that nothing needs to be checked again."""
    return bool(read_json(folder / CERTIFICATE).get("passed"))


def summary(folder: Path) -> str:
    """What a result's certificate says, in a line or two for the terminal; empty where there is none."""
    content = read_json(folder / CERTIFICATE)
    if not content:
        return ""
    checks = [check for check in content.get("checks", []) if check["passed"]]
    shown = [check for check in checks if " loss at " in check["name"] or "dᵀHd" in check["name"]]
    shown = [check for check in shown if math.isfinite(check["value"])]  # older certificates passed what is not
    errors: dict[str, float] = {}
    for check in shown:
        if against := check.get("against", check.get("kind")):  # older certificates have the kind alone
            errors[against] = max(errors.get(against, 0.0), _relative(check))
    words = [f"{against} {error:.0e}" for against, error in errors.items()]
    verdict = f"{counted(len(checks), 'check')} passed" if content.get("passed") else "FAILED"
    lines = [f"{verdict}; largest relative differences: {', '.join(words)}" if words else verdict]
    if (cosine := content.get("cosine")) is not None:
        lines[0] += f"; cosine {cosine:.0e}"
    if error := content.get("precision_check"):
        lines.append(
            f"{counted(error['points'], 'point')} in fp32 again: relative error "
            f"{error['largest_relative_error']:.1e} at most, {error['mean_relative_error']:.1e} in the mean"
        )
    if lost := content.get("not_finite"):
        lines.append(lost["words"])
    if changed := content.get(BY_HAND):
        lines.append(f"changed by hand: {', '.join(changed)}")
    lines += [f"not checked: {name}: {reason}" for name, reason in content.get("not_checked", {}).items()]
    return "\n".join(lines)


def _relative(check: Mapping[str, Any]) -> float:
    return abs(check["value"] - check["reference"]) / max(abs(check["reference"]), SMALLEST)

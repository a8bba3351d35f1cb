"""What was checked of a result, so that a figure can be defended."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lossscape.errors import RunFailed
from lossscape.files import write_text
from lossscape.objective import Metrics, Precision
from lossscape.results import CERTIFICATE, read_table
from lossscape.runs import Point

RELATIVE = {"fp64": 1e-5, "fp32": 1e-5, "bf16": 5e-2}
"""Against rows of metrics.csv, which are fp32; bf16 keeps 8 bits, so a loss is good to a few per cent."""
ABSOLUTE = 1e-9


@dataclass(frozen=True)
class Check:
    """One comparison: passed is None where it is shown only, because the two are not the same quantity."""

    name: str
    value: float
    reference: float
    passed: bool | None


def against_metrics(
    point: Point, metrics: dict[str, Metrics], precision: Precision, *, same_policy: bool
) -> list[Check]:
    """Compare losses at a checkpoint with its row of metrics.csv, where there is one.

    same_policy: whether both used the checkpoint's own BatchNorm statistics; else the stored loss is shown only.
    """
    if point.checkpoint.epoch is None or not point.run.metrics_file.exists():
        return []
    table = read_table(point.run.metrics_file, live=True)
    rows = table[table["epoch"] == point.checkpoint.epoch] if len(table) else table
    if rows.empty:
        return []
    checks = []
    for split, value in metrics.items():
        stored = float(rows.iloc[-1][f"{split}_loss"])
        close = math.isclose(value.loss, stored, rel_tol=RELATIVE[precision], abs_tol=ABSOLUTE)
        checks.append(Check(f"{split} loss at {point}", value.loss, stored, close if same_policy else None))
    return checks


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the bytes of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def write(folder: Path, checks: list[Check], *, unchanged: bool, **facts: Any) -> None:
    """Write certificate.json, whatever it says. Raises RunFailed where a check fails or the model was changed.

    unchanged: whether the module's bytes are those before the evaluation; facts: shown beside the checks.
    """
    failed = [check for check in checks if check.passed is False]
    content = {
        "passed": unchanged and not failed,
        "checks": [asdict(check) for check in checks],
        "model_unchanged": unchanged,
        **facts,
    }
    write_text(folder / CERTIFICATE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if not unchanged:
        raise RunFailed(f"{folder}: the evaluation changed the model, so the result cannot be trusted")
    if failed:
        check = failed[0]
        raise RunFailed(
            f"{folder}: the certificate fails: {check.name} is {check.value!r}, metrics.csv has {check.reference!r}; "
            "the data or the library differs from those of the training (see environment.json), or the "
            "checkpoint was changed"
        )

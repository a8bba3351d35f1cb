"""What was checked of a result, so that a figure can be defended."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lossscape.errors import RunFailed
from lossscape.files import read_json, write_text
from lossscape.objective import Metrics, Objective
from lossscape.results import CERTIFICATE, read_table
from lossscape.runs import Point
from lossscape.vectors import Params

RELATIVE = {"fp64": 1e-5, "fp32": 1e-5, "bf16": 5e-2}
"""Against rows of metrics.csv, which are fp32; bf16 keeps 8 bits, so a loss is good to a few per cent."""
ABSOLUTE = 1e-9


@dataclass(frozen=True)
class Check:
    """One comparison of a loss at a checkpoint."""

    name: str
    value: float
    reference: float
    """Of metrics.csv, or where it has no row of the checkpoint, a forward pass of the checkpoint itself."""
    passed: bool


def check_point(
    point: Point,
    objectives: Mapping[str, Objective],
    values: tuple[Params, Params],
    found: Mapping[str, Metrics] | None,
    done: Callable[[int], None] | None = None,
) -> list[Check]:
    """Compare losses at a checkpoint with its row of metrics.csv.

    values: its parameters and own buffers; found: the result's losses there, where it has the point under the
    checkpoint's own BatchNorm statistics. Without them the checkpoint is evaluated here, by plain forward passes.
    """
    stored = _stored(point)
    own: dict[str, Metrics] = {}
    if found is None or stored is None:
        own = {split: objective.metrics(*values, done) for split, objective in objectives.items()}
    if found is None and stored is None:
        return []
    checks = []
    for split, objective in objectives.items():
        value = (own if found is None else found)[split].loss
        reference = own[split].loss if stored is None else float(stored[f"{split}_loss"])
        close = math.isclose(value, reference, rel_tol=RELATIVE[objective.precision], abs_tol=ABSOLUTE)
        both_nan = math.isnan(value) and math.isnan(reference)
        name = f"{split} loss at {point}" + ("" if found is not None else " with its own statistics")
        checks.append(Check(name, value, reference, close or both_nan))
    return checks


def _stored(point: Point) -> Any:
    """The row of metrics.csv of a checkpoint after an epoch, or None."""
    if point.checkpoint.epoch is None or not point.run.metrics_file.exists():
        return None
    table = read_table(point.run.metrics_file, live=True)
    rows = table[table["epoch"] == point.checkpoint.epoch] if len(table) else table
    return None if rows.empty else rows.iloc[-1]


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
    failed = [check for check in checks if not check.passed]
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
            f"{folder}: the certificate fails: {check.name} is {check.value!r}, it was {check.reference!r}; "
            "the data or the library differs from those of the training (see environment.json), or the "
            "checkpoint was changed"
        )


def is_done(folder: Path) -> bool:
    """Whether a result has a certificate that passed, so that nothing needs to be checked again."""
    return bool(read_json(folder / CERTIFICATE).get("passed"))

"""Certifying a result.

Each way to be wrong has its own check: the data or library of the training (metrics.csv), the checkpoint and the
BatchNorm policy (the checkpoint's own module), the engine's plan and precision (dense float64), what is stored (rows
recomputed whole, drawn or because they stand out), the directions (as what they are called), the derivatives (dᵀH d),
and a model that was changed (its bytes).
"""

import json
import math
from pathlib import Path
from typing import Any

from torch import nn

from lossscape.certificate import by_hand, curvature, dense, directions, finite, metrics_csv, module, predicted, rows
from lossscape.certificate.check import Certified, Check
from lossscape.certificate.reference import SAMPLES, Reference, digest
from lossscape.errors import Page, RunFailed, see
from lossscape.evaluate.pool import pooled
from lossscape.files import write_text
from lossscape.results.folder import CERTIFICATE
from lossscape.results.table import watched

CHECKS = (rows.check, predicted.check, metrics_csv.check, module.check, dense.check, directions.check, curvature.check)
"""What is stored comes first, for what fails first is told: a wrong row is no fault of the training's data."""


def certify(result: Certified, before: str, *, samples: int = SAMPLES, quiet: bool = True, **facts: Any) -> list[Check]:
    """Check a finished result and write its certificate.json.

    before: the model's fingerprint from before the evaluation
    samples: of each split that are checked, at most
    facts: written beside the checks

    Raises RunFailed where a check fails (the certificate is written all the same), or Interrupted.
    """
    reference = Reference(result, samples)
    whole = result.work.cost(())
    cost = reference.samples + whole - result.work.samples
    points = 2 * len(reference.both) + math.ceil(rows.most(result, reference) * whole / cost)
    checks: list[Check] = []
    with pooled(reference.small) as pool, watched("certificate", points, cost, quiet=quiet) as done:
        reference.pool, reference.done = pool if reference.small else None, done
        for check in CHECKS:
            found, more = check(result, reference)
            checks += found
            facts |= more
    facts |= finite.facts(result, checks)
    facts |= by_hand.changed(result.folder, result.problem.run.path)
    facts["samples_checked"] = {split: len(part) for split, part in reference.objectives.items()}
    write(result.folder, checks, model_unchanged=fingerprint(result.problem.model) == before, **facts)
    return checks


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the bytes of a module's parameters and buffers."""
    return digest(model.state_dict())


def write(folder: Path, checks: list[Check], *, model_unchanged: bool, **facts: Any) -> None:
    """Write certificate.json, whatever it says. Raises RunFailed where a check fails or the model was changed."""
    failed = [check for check in checks if check.passed is False]
    content = {
        "passed": model_unchanged and not failed,
        "checks": [check.row() for check in checks],
        "model_unchanged": model_unchanged,
        **facts,
    }
    write_text(folder / CERTIFICATE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if not model_unchanged:
        raise RunFailed(f"{folder}: the evaluation changed the model, so the result cannot be trusted")
    for check in failed:
        raise RunFailed(
            f"{folder}: the certificate fails: {check.words}, is {check.value!r}, the reference is "
            f"{check.reference!r}; {check.kind.remedy}{see(Page.ENGINE)}"
        )

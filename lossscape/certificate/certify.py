"""The certificate of a result: what was checked of it, so that a figure can be defended.

Each way to be wrong has its own check: the data or library of the training (metrics.csv), the checkpoint and the
BatchNorm policy (the checkpoint's own module), the engine's plan and precision (dense float64), the directions
(lengths, cosine), the derivatives (dᵀH d), and a model that was changed (its bytes).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lossscape.certificate.check import Anchor, Check, check_dense, check_modules
from lossscape.certificate.directions import check_curvature, check_directions
from lossscape.certificate.metrics_csv import check_rows
from lossscape.certificate.reference import Done, Sides, digest
from lossscape.directions import Direction
from lossscape.errors import RunFailed
from lossscape.evaluate import Work
from lossscape.evaluate.engine import Values, blocks_of
from lossscape.evaluate.subspace import Coordinates
from lossscape.files import read_json, write_text
from lossscape.objective import Objective, Plan
from lossscape.problem import Problem
from lossscape.results import CERTIFICATE
from lossscape.results.table import watched
from lossscape.seeds import generator
from lossscape.vectors import Params, cosine, norm

POINTS, AGAIN = 5, 10
"""Points that are evaluated densely in fp64, and again in fp32 where the result has less."""
SMALLEST = 1e-9
"""Losses below this have no relative error."""
OTHERS = {"stored": "metrics.csv", "module": "own module", "dense": "dense fp64", "curvature": "dᵀHd"}
REMEDIES = {
    "stored": "the data or the library differs from those of the training (see environment.json), or the "
    "checkpoint was changed",
    "module": "run it again with --overwrite --plan dense; if that fails too, the net's forward is not a fixed "
    "function of its parameters, buffers and inputs",
    "dense": "run it again with --overwrite --plan dense, or --precision fp64",
    "directions": "run it again with --overwrite",
    "curvature": "the second derivatives of this net are not to be trusted; if it has a backward pass of its own, "
    "that cannot be differentiated",
}
"""What to do when a check fails, by its kind."""


def certify(
    problem: Problem,
    folder: Path,
    work: Work,
    plan: Plan,
    values: Mapping[Coordinates, Values],
    anchors: Sequence[Anchor],
    *,
    axes: Sequence[str],
    policy: str | None,
    before: str,
    direction: Direction | None = None,
    scaled_to: Params | None = None,
    quiet: bool = True,
    **facts: Any,
) -> list[Check]:
    """Check a finished result and write its certificate.json.

    work, plan, values: what was evaluated, how, and what came out; anchors: the checkpoints that lie in the
    subspace and where, the origin first; axes: names of the coordinates; policy: of BatchNorm; before: the model's
    fingerprint from before the evaluation; direction, scaled_to: as for `check_directions`; facts: written beside the
    checks.
    Raises RunFailed where a check fails (the certificate is written all the same), or Interrupted.
    """
    places = [place for _, place in anchors]
    points = drawn(sorted(set(values) - set(places)), AGAIN)
    few = points[:POINTS]
    sides = Sides(problem.model, work, plan, values)
    samples = sides.samples + work.cost(()) - work.samples
    with watched("certificate", 2 * len([*places, *few]), samples, quiet=quiet) as done:
        sides.done = done
        found = sides.engine([*places, *few])
        checks = check_rows(problem, work, values, anchors, sides)
        checks += check_modules(sides, anchors, found, policy)
        checks += check_dense(sides, few, found)
        checks += check_directions(folder, work.subspace, axes, direction, scaled_to)
        curvatures, missing = check_curvature(sides, anchors[0], axes)
        if sides.precision in ("tf32", "bf16"):
            facts["precision_check"] = _precision_check(problem, work, plan, values, points or places, done)
    facts |= {"samples_checked": {split: len(part) for split, part in sides.objectives.items()}}
    facts |= {"points_checked": len(few), **_lengths(work, centred=direction is not None)}
    if missing:
        facts["not_checked"] = missing
    write(folder, checks + curvatures, unchanged=fingerprint(problem.model) == before, **facts)
    return checks + curvatures


def drawn(points: Sequence[Coordinates], number: int) -> list[Coordinates]:
    """`number` of some points, the same ones at every call."""
    order = torch.randperm(len(points), generator=generator(0, "certificate", "points"))
    return [points[place] for place in order[:number].tolist()]


def _precision_check(
    problem: Problem,
    work: Work,
    plan: Plan,
    values: Mapping[Coordinates, Values],
    points: Sequence[Coordinates],
    done: Done,
) -> dict[str, float]:
    """How far losses of a result below fp32 are from those of fp32, at some of its points, on all its samples."""
    exact = Work(
        {
            split: Objective(
                problem.model,
                part.loss,
                part.inputs,
                part.targets,
                precision="fp32",
                sample=part.sample,
                dropout=part.dropout,
            )
            for split, part in work.objectives.items()
        },
        work.subspace,
        work.statistics,
    )
    plan = replace(plan, compiled=False)
    errors = []
    for block in blocks_of([point for point in points if point in values], plan):
        for point, again in zip(block, exact.rows(block, plan, done), strict=True):
            for name in (f"{split}_loss" for split in work.objectives):
                error = abs(values[point][name] - again[name]) / max(abs(again[name]), SMALLEST)
                errors += [error] if math.isfinite(error) else []
    return {
        "points": len(points),
        "largest_relative_error": max(errors, default=math.nan),
        "mean_relative_error": sum(errors) / len(errors) if errors else math.nan,
    }


def _lengths(work: Work, *, centred: bool) -> dict[str, Any]:
    """Lengths of the directions and, around a centre, of that, and the cosine of two directions."""
    directions = work.subspace.directions
    facts: dict[str, Any] = {"direction_norms": [norm(direction) for direction in directions]}
    if centred:
        facts = {"centre_norm": norm(work.subspace.origin), **facts}
    if len(directions) == 2:
        facts["cosine"] = cosine(*directions)
    return facts


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over the bytes of a module's parameters and buffers."""
    return digest(model.state_dict())


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
            f"{folder}: the certificate fails: {check.name}, is {check.value!r}, the reference is "
            f"{check.reference!r}; {REMEDIES[check.kind]}"
        )


def is_done(folder: Path) -> bool:
    """Whether a result has a certificate that passed, so that nothing needs to be checked again."""
    return bool(read_json(folder / CERTIFICATE).get("passed"))


def summary(folder: Path) -> str:
    """What a result's certificate says, in a line or two for the terminal; empty where there is none."""
    content = read_json(folder / CERTIFICATE)
    if not content:
        return ""
    checks = [check for check in content.get("checks", []) if check["passed"]]
    losses = [check for check in checks if "accuracy" not in check["name"]]
    words = []
    for kind, other in OTHERS.items():
        errors = [_relative(check) for check in losses if check.get("kind") == kind]
        words += [f"{other} {max(errors):.0e}"] if errors else []
    verdict = f"{len(checks)} checks passed" if content.get("passed") else "FAILED"
    lines = [f"{verdict}; largest relative differences: {', '.join(words)}" if words else verdict]
    if (cosine := content.get("cosine")) is not None:
        lines[0] += f"; cosine {cosine:.0e}"
    if error := content.get("precision_check"):
        lines.append(
            f"{error['points']} points in fp32 again: relative error {error['largest_relative_error']:.1e} at most, "
            f"{error['mean_relative_error']:.1e} in the mean"
        )
    lines += [f"not checked: {name}: {reason}" for name, reason in content.get("not_checked", {}).items()]
    return "\n".join(lines)


def _relative(check: Mapping[str, Any]) -> float:
    difference = abs(check["value"] - check["reference"])
    return difference / max(abs(check["reference"]), SMALLEST) if math.isfinite(difference) else 0.0

"""The directions of a result: lengths, angles, and the stored file."""

from typing import Any

import torch

from lossscape.certificate.check import Certified, Check, Findings, Kind, compare
from lossscape.certificate.reference import Reference
from lossscape.results.folder import DIRECTIONS
from lossscape.vectors import Params, cosine, dot, norm

KIND = Kind("directions", "", "run it again with --overwrite")
ORTHOGONAL = 1e-5
"""Largest cosine of random directions in fp32, and relative error of their lengths."""


def check(result: Certified, reference: Reference) -> Findings:
    """Check that directions have the lengths they should, are orthogonal, and are those in directions.pt."""
    checks = []
    origin, directions = result.work.subspace.origin, result.work.subspace.directions
    facts: dict[str, Any] = {"direction_norms": [norm(used) for used in directions]}
    if result.direction is not None:
        facts = {"centre_norm": norm(origin), **facts}
        for axis, used, length in zip(result.axes, directions, facts["direction_norms"], strict=True):
            expected = result.direction.length(result.made_at or origin, used)
            if expected is not None:
                name = f"‖d‖ along {axis} ({result.direction.scaling})"
                checks.append(compare(KIND, name, length, expected, ORTHOGONAL * expected))
        if len(directions) == 2:
            checks.append(_orthogonal(*directions, filters=result.direction.by_filter))
    if len(directions) == 2:
        facts["cosine"] = cosine(*directions)
    if (result.folder / DIRECTIONS).exists():
        stored = torch.load(result.folder / DIRECTIONS, weights_only=True)
        for axis, used in zip(result.axes, directions, strict=True):
            off = sum(_distance(value.cpu(), stored[axis][name]) for name, value in used.items())
            checks.append(compare(KIND, f"the direction {axis} in directions.pt, distance", off, 0.0, 0.0))
    return checks, facts


def _distance(used: torch.Tensor, kept: torch.Tensor) -> float:
    return 0.0 if torch.equal(used, kept) else float((used.double() - kept.double()).norm())


def _orthogonal(a: Params, b: Params, *, filters: bool) -> Check:
    """filters: whether it is filter by filter that they are; filters of one number have nothing orthogonal to them."""
    wide = [n for n, v in a.items() if not filters or (v[0] if v.ndim > 1 else v).numel() > 1]
    name = "cosine between the directions"
    if len(wide) < len(a):
        name += " (without filters of one number)"
    share = dot({n: a[n] for n in wide}, b) / (norm(a) * norm(b))
    return compare(KIND, name, share, 0.0, ORTHOGONAL)

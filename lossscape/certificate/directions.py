"""What is checked of the directions of a result: lengths, angles, the stored file, curvature along them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lossscape.certificate.check import Check, compare
from lossscape.certificate.curvature import compare_along
from lossscape.certificate.reference import Sides
from lossscape.evaluate import Subspace
from lossscape.evaluate.subspace import Coordinates
from lossscape.results import DIRECTIONS
from lossscape.runs import Point
from lossscape.vectors import Params, dot, norm

ORTHONORMAL = "orthonormal"
"""How directions are scaled that are not random."""
ORTHOGONAL = 1e-5
"""Largest cosine of random directions in fp32, and relative error of their lengths."""


def check_directions(
    folder: Path,
    subspace: Subspace,
    axes: Sequence[str],
    normalize: str | None,
    scaled_to: Params | None = None,
) -> list[Check]:
    """Check that directions have the lengths they should, are orthogonal, and are those in directions.pt.

    normalize: how random directions were scaled; orthonormal for others around a centre; None on a line between ends.
    scaled_to: the parameters that random ones were scaled to, by default the origin.
    """
    checks = []
    origin, directions = scaled_to or subspace.origin, subspace.directions
    for axis, direction in zip(axes, directions, strict=True):
        if normalize is not None and (expected := _length(origin, direction, normalize)) is not None:
            name = f"‖d‖ along {axis} ({_way(normalize)})"
            checks.append(compare("directions", name, norm(direction), expected, ORTHOGONAL * expected))
    if normalize is not None and len(directions) == 2:
        checks.append(_orthogonal(*directions, filters=normalize != ORTHONORMAL))
    if (folder / DIRECTIONS).exists():
        stored = torch.load(folder / DIRECTIONS, weights_only=True)
        for axis, direction in zip(axes, directions, strict=True):
            pairs = [(value.cpu(), stored[axis][name]) for name, value in direction.items()]
            off = sum(
                float((used.double() - kept.double()).norm())
                for used, kept in pairs
                if not torch.equal(used, kept)
            )
            checks.append(
                compare("directions", f"the direction {axis} in directions.pt, distance", off, 0.0, 0.0)
            )
    return checks


def _length(origin: Params, direction: Params, normalize: str) -> float | None:
    """‖d‖ as a normalisation makes it; None where that leaves it open."""
    if normalize in ("filter", "layer"):
        return norm({name: value for name, value in origin.items() if direction[name].any()})
    return {"global": norm(origin), "unit": 1.0, ORTHONORMAL: 1.0}.get(normalize)


def _way(normalize: str) -> str:
    return normalize if normalize == ORTHONORMAL else f"{normalize} normalisation"


def _orthogonal(a: Params, b: Params, *, filters: bool) -> Check:
    """filters: whether it is filter by filter that they are; filters of one number have nothing orthogonal to them."""
    wide = [n for n, v in a.items() if not filters or (v[0] if v.ndim > 1 else v).numel() > 1]
    name = "cosine between the directions"
    if len(wide) < len(a):
        name += " (without filters of one number)"
    share = dot({n: a[n] for n in wide}, b) / (norm(a) * norm(b))
    return compare("directions", name, share, 0.0, ORTHOGONAL)


def check_curvature(
    sides: Sides, anchor: tuple[Point, Coordinates], axes: Sequence[str]
) -> tuple[list[Check], dict[str, str]]:
    """Compare dᵀH d at a checkpoint along each direction with differences of the gradient, in float64.

    Returns the checks, and the reasons where there is none. BatchNorm's statistics stay those of the checkpoint.
    """
    point, place = anchor
    parameters, buffers = sides.exact.at(place)
    if sides.statistics is not None:
        buffers = sides.statistics(*sides.subspace.at(place), sides.done)
    samples = sum(map(len, sides.groups))
    checks, reasons = [], {}
    for axis, direction in zip(axes, sides.exact.directions, strict=True):
        found = compare_along(sides.groups, parameters, direction, buffers, sides.done)
        name = f"dᵀHd along {axis} at {point}"
        if isinstance(found, str):
            reasons[name] = found
            continue
        name += f" (float64, {samples} samples), against differences of the gradient"
        checks.append(
            Check("curvature", name, found.curvature, found.quotient, found.tolerance, found.passed)
        )
    return checks, reasons

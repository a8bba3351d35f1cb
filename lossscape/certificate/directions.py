"""What is checked of the directions of a result: lengths, angles, the stored file, curvature along them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lossscape.certificate.check import Check, compare
from lossscape.certificate.curvature import compare_along
from lossscape.certificate.reference import Sides
from lossscape.directions import Direction
from lossscape.evaluate import Subspace
from lossscape.evaluate.subspace import Coordinates
from lossscape.results import DIRECTIONS
from lossscape.runs import Point
from lossscape.vectors import Params, dot, norm

ORTHOGONAL = 1e-5
"""Largest cosine of random directions in fp32, and relative error of their lengths."""


def check_directions(
    folder: Path,
    subspace: Subspace,
    axes: Sequence[str],
    direction: Direction | None,
    scaled_to: Params | None = None,
) -> list[Check]:
    """Check that directions have the lengths they should, are orthogonal, and are those in directions.pt.

    direction: how they were made around a centre; None on a line between ends
    scaled_to: the parameters where they were made, by default the origin
    """
    checks = []
    origin, directions = scaled_to or subspace.origin, subspace.directions
    if direction is not None:
        for axis, used in zip(axes, directions, strict=True):
            if (expected := direction.length(origin, used)) is not None:
                name = f"‖d‖ along {axis} ({direction.scaling})"
                checks.append(compare("directions", name, norm(used), expected, ORTHOGONAL * expected))
        if len(directions) == 2:
            checks.append(_orthogonal(*directions, filters=direction.filter_by_filter))
    if (folder / DIRECTIONS).exists():
        stored = torch.load(folder / DIRECTIONS, weights_only=True)
        for axis, used in zip(axes, directions, strict=True):
            pairs = [(value.cpu(), stored[axis][name]) for name, value in used.items()]
            off = sum(
                float((value.double() - kept.double()).norm())
                for value, kept in pairs
                if not torch.equal(value, kept)
            )
            checks.append(
                compare("directions", f"the direction {axis} in directions.pt, distance", off, 0.0, 0.0)
            )
    return checks


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

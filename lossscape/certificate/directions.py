"""The directions of a result: each held, as it lies in the file, against what it is called.

Lengths are those of the filters, layers or all parameters that it should have, filters are orthogonal each to its like,
numbers are drawn again from the seed, and points are made from the file by sums of tensors, whatever the engine does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lossscape.certificate.check import Certified, Check, Findings, Kind, allowed, compare
from lossscape.certificate.chosen import off_axes
from lossscape.certificate.reference import Reference, words
from lossscape.directions import Direction
from lossscape.evaluate.subspace import Coordinates
from lossscape.results.folder import DIRECTIONS
from lossscape.runs import Point
from lossscape.vectors import Params, cosine, norm, subtract

REMEDY = "run it again with --overwrite"
KIND = Kind("directions", "", REMEDY)
PLACE = Kind("directions", "θ(c) of directions.pt", REMEDY)
ORTHOGONAL = 1e-5
"""Largest cosine of random directions in fp32, and relative error of their lengths."""
DRAWN = 1e-12
"""Of the largest number: what the order of sums may change in float64. Numbers in fp32 may differ in their last bit."""
NEAR = 1e-9
"""Relative error of a point that is made from the file in float64."""
TINIEST = 1e-30
"""A filter that is shorter has numbers that fp32 rounds without a bound."""


def check(result: Certified, reference: Reference) -> Findings:
    """Check the directions in directions.pt, that they are those that were used, and where points of theirs lie."""
    used = [_on_cpu(each) for each in result.work.subspace.directions]
    checks: list[Check] = []
    facts: dict[str, Any] = {"direction_norms": [norm(each) for each in used]}
    if len(used) == 2:
        facts["cosine"] = cosine(*used)
    if result.direction is None:
        return checks, facts
    origin = _on_cpu(result.work.subspace.origin)
    facts = {"centre_norm": norm(origin), **facts}
    stored = torch.load(result.folder / DIRECTIONS, weights_only=True)
    made = [stored[axis] for axis in result.axes]
    checks += _as_called(result, result.direction, origin, made)
    for axis, ours, kept in zip(result.axes, used, made, strict=True):
        off = sum(_distance(value, kept[name]) for name, value in ours.items())
        checks.append(compare(KIND, f"the direction {axis} in directions.pt, distance", off, 0.0, 0.0))
    return [*checks, *_places(result, reference, made)], facts


def _as_called(result: Certified, direction: Direction, centre: Params, made: Sequence[Params]) -> list[Check]:
    """centre: of the result; what it was scaled to is another point where it was made there."""
    model = result.problem.model
    origin = centre if result.made_at is None else _on_cpu(result.made_at)
    lengths = direction.lengths(origin, model)
    checks = [
        _longest(f"‖d‖ along {axis} ({direction.scaling})", each, lengths)
        for axis, each in zip(result.axes, made, strict=True)
        if lengths
    ]
    if len(made) == 2:
        checks += _orthogonal(*made, filters=direction.by_filter)
    again = direction.again(origin, made, model)
    checks += [
        _unlike(f"numbers of {axis} that differ from those drawn again", each, drawn)
        for axis, each, drawn in zip(result.axes, made, again, strict=True)
        if drawn is not None
    ]
    for claim in direction.claims(result.problem, origin, made):
        tolerance = ORTHOGONAL * abs(claim.said) + NEAR + claim.slack
        checks.append(compare(KIND, claim.words, claim.found, claim.said, tolerance))
    return checks


def _longest(name: str, made: Params, lengths: Mapping[str, Tensor]) -> Check:
    """The part whose length is farthest off, relatively; lengths: as `Direction.lengths` gives them."""
    checks = []
    for part, expected in lengths.items():
        rows = _rows(made[part], len(expected)) if part else torch.tensor([[norm(made)]], dtype=torch.float64)
        found = rows.norm(dim=1)
        off = (found - expected).abs() / expected.clamp(min=TINIEST)
        worst = int(off.nan_to_num(torch.inf).argmax())
        value, length = float(found[worst]), float(expected[worst])
        one = compare(KIND, name, value, length, ORTHOGONAL * max(length, TINIEST))
        checks.append((float(off[worst]), replace(one, at=_part(part, worst, len(expected)))))
    return max(checks, key=lambda each: (each[1].passed is False, each[0]))[1]


def _orthogonal(a: Params, b: Params, *, filters: bool) -> list[Check]:
    """The cosine of both; of filters the greatest too, where those of one number have nothing orthogonal to them."""
    name = "cosine between the directions"
    if not filters:
        return [compare(KIND, name, cosine(a, b), 0.0, ORTHOGONAL)]
    found, share, wide = [], 0.0, True
    for part, value in a.items():
        rows, others = (_rows(each[part], len(value) if value.ndim > 1 else 1) for each in (a, b))
        if rows.shape[1] == 1:
            wide = False
            continue
        lengths, products = rows.norm(dim=1) * others.norm(dim=1), (rows * others).sum(1)
        cosines = torch.where(lengths > TINIEST, products / lengths.clamp(min=TINIEST), 0.0)
        worst = int(cosines.abs().argmax())
        found.append((float(cosines[worst]), _part(part, worst, len(rows))))
        share += float(products.sum())
    most, where = max(found, key=lambda each: abs(each[0]), default=(0.0, ""))
    whole = name if wide else f"{name} (without filters of one number)"
    return [
        compare(KIND, whole, share / (norm(a) * norm(b)), 0.0, ORTHOGONAL),
        replace(compare(KIND, f"{name}, filter by filter", most, 0.0, ORTHOGONAL), at=where),
    ]


def _unlike(name: str, made: Params, drawn: Params) -> Check:
    """How many numbers are not those that were drawn, but for their last bit."""
    most = max(float(value.abs().max()) for value in drawn.values())
    counts = {}
    for part, value in made.items():
        wanted = drawn[part].to(value.dtype)
        slack = torch.finfo(value.dtype).eps * wanted.double().abs() + DRAWN * most
        counts[part] = int((~((value.double() - wanted.double()).abs() <= slack)).sum())
    first = next((part for part, count in counts.items() if count), "")
    return replace(compare(KIND, name, float(sum(counts.values())), 0.0, 0.0), at=first)


def _places(result: Certified, reference: Reference, made: Sequence[Params]) -> list[Check]:
    """Points whose parameters are made here, of the checkpoint and the directions as they lie in their files."""
    start = _of_checkpoint(result, result.anchors[0][0])

    def place(coordinates: Coordinates) -> Params:
        found = start
        for each, coordinate in zip(made, coordinates, strict=True):
            found = {name: value + coordinate * each[name].double() for name, value in found.items()}
        return found

    def distance(name: str, found: Params, point: Params) -> Check:
        way = norm(subtract(found, start)) or 1.0
        return compare(PLACE, f"{name}, relative distance", norm(subtract(found, point)) / way, 0.0, NEAR)

    checks = [
        distance(f"θ(c) at {point} from it", place(coordinates), _of_checkpoint(result, point))
        for point, coordinates in result.anchors[1:]  # that the plane was laid through
    ]
    spot = off_axes(reference.both, result.values)
    where, here = words(spot), place(spot)
    checks.append(distance(f"θ(c) at {where} from the engine's", here, _on_cpu(reference.exact.at(spot)[0])))
    for split, objective in reference.objectives.items():
        parameters = {name: value.to(objective.device) for name, value in here.items()}
        buffers = reference.exact.buffers
        if reference.statistics is not None:
            rounded = {name: value.to(result.work.subspace.origin[name]) for name, value in parameters.items()}
            buffers = reference.statistics(rounded, result.work.subspace.buffers, reference.done)
        loss = reference.plain(split, "fp64").metrics(parameters, buffers, reference.done)["loss"]
        name, value = (
            f"{split} loss at {where}, against θ(c){reference.subset(split)}",
            reference.engine[spot][f"{split}_loss"],
        )
        rough = reference.rough(split, spot, result.precision, loss)
        checks.append(compare(PLACE, name, value, loss, allowed(loss, result.precision), rough))
    return checks


def _of_checkpoint(result: Certified, point: Point) -> Params:
    """The parameters of a checkpoint's file, in float64."""
    state, model = point.checkpoint.state(), result.problem.model
    return {name: state[name].to(parameter.dtype).double() for name, parameter in model.named_parameters()}


def _on_cpu(vector: Params) -> Params:
    return {name: value.cpu() for name, value in vector.items()}


def _rows(value: Tensor, parts: int) -> Tensor:
    """A tensor's parts as rows, in float64."""
    return value.double().reshape(parts, -1)


def _part(name: str, index: int, parts: int) -> str:
    return f"{name}[{index}]" if parts > 1 else name


def _distance(used: Tensor, kept: Tensor) -> float:
    return 0.0 if torch.equal(used, kept) else float((used.double() - kept.double()).norm())

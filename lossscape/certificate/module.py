"""Losses at the checkpoints of a result against the checkpoints' own modules, called plainly in float64."""

import torch
from torch import nn

from lossscape.batches import called, cast
from lossscape.certificate.check import Certified, Findings, Kind, allowed, compare
from lossscape.certificate.reference import Done, Reference
from lossscape.dropout import applied
from lossscape.evaluate.statistics import statistics_of
from lossscape.objective import Objective
from lossscape.runs import split_state
from lossscape.scoring import joined
from lossscape.vectors import Params

KIND = Kind(
    "module",
    "own module",
    "run it again with --overwrite --plan dense; if that fails too, the net's forward is not a fixed function of its "
    "parameters, buffers and inputs",
)


def check(result: Certified, reference: Reference) -> Findings:
    """Compare under the result's BatchNorm policy.

    Around a centre a module is given the centre's buffers. On a line it keeps its own, BatchNorm's statistics those of
    the first checkpoint under `frozen`, and recomputed ones under `recompute`.
    """
    checks = []
    first: Params = {}
    device = next(iter(reference.objectives.values())).device
    for point, coordinates in result.anchors:
        module = point.run.model(point.checkpoint).to(device)
        parameters, buffers = split_state(module)
        first = first or buffers
        if result.direction is not None:
            buffers = first
        elif result.problem.policy != "interpolated":
            buffers |= {name: first[name] for name in statistics_of(module)}
        if reference.statistics is not None:
            buffers = reference.statistics(parameters, buffers, reference.done)
        module.double()
        for name, value in module.named_buffers():
            value.copy_(buffers[name])
        for split, objective in reference.objectives.items():
            loss, plain = (
                reference.engine[coordinates][f"{split}_loss"],
                plain_loss(module, objective, reference.chunk, reference.done),
            )
            rough = reference.rough(split, coordinates, result.precision, plain)
            name = f"{split} loss at {point}, against its own module{reference.subset(split)}"
            checks.append(compare(KIND, name, loss, plain, allowed(plain, result.precision), rough))
    return checks, {}


@torch.no_grad()
def plain_loss(module: nn.Module, objective: Objective, chunk: int, done: Done) -> float:
    """The loss of a float64 module in eval mode as anyone would compute it, in chunks of so many samples."""
    parts = []
    for start in range(0, len(objective), chunk):
        span = slice(start, start + chunk)
        inputs, targets = objective.inputs[span], objective.targets[span]
        with applied(module, objective.masks_of(span)):
            outputs = objective.logits(called(module, cast(inputs, torch.float64)), len(inputs))
        parts.append(objective.per_sample(outputs.double(), targets))
        done(len(inputs))
    return objective.means(joined(parts))["loss"]

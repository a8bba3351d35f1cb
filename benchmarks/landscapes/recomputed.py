"""The usual way to a line with BatchNorm statistics of each point: a pass that updates them, and one that evaluates."""

import copy
import time
from typing import Any

import torch
from torch import nn

from benchmarks.landscapes.coordinates import Coordinates, visited
from benchmarks.landscapes.problem import Problem

BATCH = 1_000
"""Samples of a batch, in file order: as lossscape's, since other batches have other statistics."""


class Recomputed:
    """A loop by hand, as `torch.optim.swa_utils.update_bn` and people's own code do it."""

    def __init__(self, problem: Problem, precision: str) -> None:
        """precision: fp32."""
        if precision == "fp32":
            torch.backends.cudnn.allow_tf32 = False
        self.problem, self.net = problem, copy.deepcopy(problem.centre)
        self.norms = [module for module in self.net.modules() if isinstance(module, nn.BatchNorm2d)]
        inputs, targets = problem.data
        self.batches = list(zip(inputs.split(BATCH), targets.split(BATCH), strict=True))

    def prepare(self) -> None:
        """Evaluate a point that nobody times."""
        self.loss((0.0,))

    def measure(self, steps: int) -> dict[str, Any]:
        """Seconds per point, and the loss at every point in the order of `visited`."""
        begin = time.perf_counter()
        values = [self.loss(point) for point in visited(self.problem.row.kind, steps)]
        return {"seconds": (time.perf_counter() - begin) / len(values), "values": values}

    @torch.no_grad()
    def loss(self, coordinates: Coordinates) -> float:
        """The mean loss of all samples at a point, under the statistics of all samples there."""
        (alpha,) = coordinates
        nets = (self.net, self.problem.centre, self.problem.ends[0])
        for value, start, end in zip(*(net.parameters() for net in nets), strict=True):
            value.copy_(torch.lerp(start, end, alpha))
        self.net.train()
        for norm in self.norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch: None is the cumulative average
        for inputs, _ in self.batches:
            self.net(inputs)
        self.net.eval()
        losses = [nn.functional.cross_entropy(self.net(x), y, reduction="sum").item() for x, y in self.batches]
        return sum(losses) / len(self.problem.data[0])

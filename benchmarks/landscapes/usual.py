"""The way most people do it: a DataLoader with a transform per sample, and a pass through it for every point."""

import time
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from benchmarks.landscapes.problem import Problem
from benchmarks.landscapes.rows import MEAN, STD
from benchmarks.pictures import random_pictures, usual_set, usual_transform

BATCH = 128


class Usual:
    """A pass through the loader at the first end of a problem."""

    def __init__(self, problem: Problem, precision: str) -> None:
        """precision: fp32, as people do it."""
        self.problem = problem
        channels = problem.row.shape[0]
        transform = usual_transform([MEAN] * channels, [STD] * channels)
        self.set = usual_set(random_pictures(problem.row.shape, problem.row.samples), transform)

    @torch.no_grad()
    def measure(self, workers: int, samples: int) -> dict[str, Any]:
        """Seconds that a pass takes, and the mean loss. workers: of the loader; samples: the first so many.

        A pass over fewer than all samples is scaled up to all.
        """
        begin = time.perf_counter()
        net, device = self.problem.ends[0], self.problem.device
        total = 0.0
        for inputs, targets in DataLoader(Subset(self.set, range(samples)), batch_size=BATCH, num_workers=workers):
            losses = nn.functional.cross_entropy(net(inputs.to(device)), targets.to(device), reduction="sum")
            total += losses.item()
        seconds = (time.perf_counter() - begin) * self.problem.row.samples / samples
        return {"seconds": seconds, "value": total / samples}

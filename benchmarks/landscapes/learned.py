"""A net that has learned something, and its data, for the picture of a row: as the nets that users draw have.

At its initial values a deep net with BatchNorm changes its loss by per cents within a thousandth of a direction: there
is nothing to predict on a grid. Nor does such a net tell pictures of white noise apart, but by what BatchNorm enlarges.
"""

from collections.abc import Collection, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from benchmarks.landscapes.problem import CLASSES, Problem, give_statistics
from lossscape.vectors.random import kinds_of_parameters

RATE, BATCH = 1e-3, 32
"""Of Adam, which takes the samples in turn."""
SEEN = 512
"""Samples whose statistics BatchNorm is given in the end."""
OWN, NOISE = 0.5, 0.1
"""Size of what a picture has of its own beside what its class has, a smooth field, and of white noise."""
COARSE, FINE = 4, 8
"""Pixels a side of both fields, before they are enlarged."""
DOUBTED = 0.1
"""Part of the labels drawn anew, so that the least loss of what can be learned is about 0.5, not 0."""


class Learned(Problem):
    """Smooth pictures of classes, a net after `row.learned` steps on them, and directions as `landscape` has them."""

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs [N, C, H, W] in float32 and class numbers [N]."""
        inputs, targets = class_pictures(self.row.shape, self.row.samples)
        return inputs.to(self.device), targets.to(self.device)

    @cached_property
    def centre(self) -> nn.Module:
        """The net, in eval mode, with BatchNorm statistics of what it has learned from."""
        net = super().centre.requires_grad_(True).train()
        batches = list(zip(*(tensor.split(BATCH) for tensor in self.data), strict=True))
        whole = max(1, self.row.samples // BATCH)  # one of a single sample has no statistics
        optimizer = torch.optim.Adam(net.parameters(), RATE)
        for step in range(self.row.learned):
            inputs, targets = batches[step % whole]
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs), targets).backward()
            optimizer.step()
        net.requires_grad_(False)
        give_statistics(net, self.data[0][:SEEN])
        return net.eval()

    @property
    def still(self) -> Collection[str]:
        """Biases and what BatchNorm has, as by default."""
        return [name for name, kind in kinds_of_parameters(self.centre).items() if kind != "weight"]


def class_pictures(shape: Sequence[int], samples: int) -> tuple[Tensor, Tensor]:
    """Inputs [N, C, H, W] of variance 1, smooth fields with noise, and class numbers [N], by which they differ."""
    generator = torch.Generator().manual_seed(samples)
    channels, *size = shape

    def fields(number: int, pixels: int) -> Tensor:
        values = torch.randn(number, channels, pixels, pixels, generator=generator)
        return nn.functional.interpolate(values, size=size, mode="bicubic")

    classes, others = torch.randint(CLASSES, (2, samples), generator=generator)
    inputs = fields(CLASSES, COARSE)[classes] + OWN * fields(samples, FINE)
    inputs += NOISE * torch.randn(inputs.shape, generator=generator)
    doubted = torch.rand(samples, generator=generator) < DOUBTED
    return inputs / inputs.std(), torch.where(doubted, others, classes)

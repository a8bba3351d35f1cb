"""The same data, weights and directions for every side of a row."""

import copy
import hashlib
from collections.abc import Collection, Iterator
from functools import cached_property

import torch
from torch import Tensor, nn

from benchmarks.landscapes.rows import MEAN, STD, Row
from benchmarks.pictures import random_pictures
from lossscape.models import MODELS
from lossscape.vectors import Params, combine, subtract
from lossscape.vectors.random import random_directions

CLASSES = 10
SEEN = 64
"""Samples whose statistics BatchNorm is given."""
CAST = 1_000
"""Pictures made into numbers at a time."""


class Problem:
    """A row's data, its net with seeded initial values, and nets a filter-normalised random direction away."""

    def __init__(self, row: Row, device: str = "cpu") -> None:
        """device: where the data and the nets lie."""
        self.row = row
        self.device = torch.device(device)

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs [N, C, H, W] in float32 and class numbers [N]."""
        pictures, targets = random_pictures(self.row.shape, self.row.samples)
        inputs = torch.empty(pictures.shape, device=self.device)
        for given, made in zip(pictures.split(CAST), inputs.split(CAST), strict=True):
            made.copy_(given).div_(255).sub_(MEAN).div_(STD)
        return inputs, targets.to(self.device)

    @property
    def data_bytes(self) -> int:
        """What the data takes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.data)

    @cached_property
    def centre(self) -> nn.Module:
        """The net, in eval mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = MODELS[self.row.model](self.row.shape, CLASSES, **self.row.options)
        give_statistics(net, self.data[0][:SEEN].cpu())
        return net.to(self.device).requires_grad_(False).eval()

    @property
    def origin(self) -> Params:
        """The centre's parameters."""
        return values_of(self.centre)

    @property
    def still(self) -> Collection[str]:
        """Names of parameters that the directions leave."""
        return ()

    @cached_property
    def ends(self) -> list[nn.Module]:
        """The nets at centre + direction, one for each axis."""
        directions = random_directions(self.origin, self.row.axes, ignored=self.still)
        return [self.at(combine(self.origin, [direction], [1.0])) for direction in directions]

    def at(self, parameters: Params) -> nn.Module:
        """A net like the centre with other parameters, rounded to float32."""
        net = copy.deepcopy(self.centre)
        for name, value in net.named_parameters():
            value.copy_(parameters[name])
        return net

    @cached_property
    def directions(self) -> list[Params]:
        """end − centre in float32, to the bit what the peer moves along."""
        return [subtract(values_of(end), self.origin) for end in self.ends]

    def digest(self) -> str:
        """SHA-256 of data, weights, statistics and ends: sides with the same one have the same problem."""
        summed = hashlib.sha256()
        for tensor in self._tensors():
            summed.update(tensor.cpu().contiguous().numpy().data)
        return summed.hexdigest()

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.data
        for net in (self.centre, *self.ends):
            yield from net.state_dict().values()


def values_of(net: nn.Module) -> Params:
    """A net's parameters, as they are and not copied."""
    return {name: value.detach() for name, value in net.named_parameters()}


@torch.no_grad()
def give_statistics(net: nn.Module, inputs: Tensor) -> None:
    """Let BatchNorm's running statistics be those of some inputs, as a trained net's would be of its own."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # torch: None is the cumulative average
            module.reset_running_stats()
    net.train()(inputs)

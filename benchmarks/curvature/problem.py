"""The same data and weights for every side of a row."""

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.curvature.rows import Row
from benchmarks.landscapes.rows import MEAN, STD
from benchmarks.pictures import random_pictures
from lossscape.data.prepare import where_data_is
from lossscape.data.synthetic import synthetic
from lossscape.models import MODELS, summarise

CLASSES = 10
BATCH, LR, MOMENTUM = 100, 0.05, 0.9
"""Of the training."""


class Problem:
    """A row's data and net: trained on MNIST (clusters of noise where it is not there), or with initial weights."""

    def __init__(self, row: Row, root: str | None = None) -> None:
        """root: the folder that holds MNIST/raw, if not the usual one."""
        self.row, self.root = row, root

    @cached_property
    def folder(self) -> Path | None:
        """The folder of data files where the row is of MNIST and MNIST is there."""
        place = next(place for place in where_data_is(self.root) if place.name == "mnist")
        return place.folder.parents[1] if self.row.epochs and place.there else None

    @property
    def source(self) -> str:
        """What the data is."""
        return "MNIST" if self.folder else "clusters of noise" if self.row.epochs else "pictures of noise"

    @cached_property
    def data(self) -> tuple[Tensor, Tensor]:
        """Inputs [N, C, H, W] in float32 and class numbers [N]."""
        samples = self.row.samples
        if self.folder is not None:
            from lossscape.data.vision import torchvision

            stored = torchvision().datasets.MNIST(str(self.folder))
            pictures, targets = stored.data[:samples, None], stored.targets[:samples]
        elif self.row.epochs:
            found = synthetic(Path(), shape=list(self.row.shape), train=samples, test=CLASSES).train
            return found.inputs, found.targets
        else:
            pictures, targets = random_pictures(self.row.shape, samples)
        return pictures.float().div_(255).sub_(MEAN).div_(STD), targets

    @property
    def data_bytes(self) -> int:
        """What the data takes."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.data)

    @cached_property
    def net(self) -> nn.Module:
        """The net, in eval mode, after its epochs."""
        inputs, targets = self.data
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            net = MODELS[self.row.model](self.row.shape, CLASSES, **self.row.options)
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = None  # torch: None is the cumulative average
            optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM)
            for _ in range(self.row.epochs):
                for chosen in torch.randperm(len(inputs)).split(BATCH):
                    optimizer.zero_grad(set_to_none=True)
                    nn.functional.cross_entropy(net(inputs[chosen]), targets[chosen]).backward()
                    optimizer.step()
            if not self.row.epochs:
                with torch.no_grad():
                    net.train()(inputs)  # statistics of BatchNorm, as a trained net's would be
        net.zero_grad(set_to_none=True)
        return net.eval()

    @cached_property
    def vector(self) -> Tensor:
        """What products are taken with [n]."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(sum(value.numel() for value in self.net.parameters()), generator=generator)

    @property
    def flop(self) -> int:
        """Of a product at least, where the graph of first derivatives is kept.

        Layer by layer, each as much as the layer takes forwards: the vector's share times what comes in and what comes
        back, the weights times the change of both, and for the layer's own part of the product the change of what
        comes in and of what comes back. What comes into the first layer does not change, and nothing is passed on
        below it: two of these six.
        """
        lowest = next(module for module in self.net.modules() if isinstance(module, nn.Linear | nn.Conv2d))
        flat = (math.prod(self.row.shape),)
        first = summarise(lowest, flat if isinstance(lowest, nn.Linear) else self.row.shape).multiply_adds
        every = summarise(self.net, self.row.shape).multiply_adds
        return 2 * self.row.samples * (6 * every - 4 * first)

    def pieces(self, vector: Tensor) -> Sequence[Tensor]:
        """A flat vector in the shapes of the parameters."""
        values = list(self.net.parameters())
        parts = vector.split([value.numel() for value in values])
        return [part.view(value.shape) for part, value in zip(parts, values, strict=True)]

    def digest(self) -> str:
        """SHA-256 of data and weights: sides with the same one have the same problem."""
        summed = hashlib.sha256()
        for tensor in (*self.data, *self.net.state_dict().values()):
            summed.update(tensor.contiguous().numpy().data)
        return summed.hexdigest()

"""Small models of every kind that any evaluation of a net must get right; one table for all tests.

`MODEL_CASES` maps an id to a ModelCase; `case.model()` builds it, `case.inputs(n)` and `case.targets(n)` fit it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lossscape.models.cnn import cnn
from lossscape.models.mlp import mlp
from lossscape.models.resnet import resnet18, resnet50

CLASSES = 5
FLAT = (12,)
PICTURE = (2, 8, 8)


@dataclass(frozen=True)
class ModelCase:
    """A model to be built, and what it takes."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    classes: int = CLASSES

    def model(self, seed: int = 0) -> nn.Module:
        """The model in training mode; its norm layers hold statistics and scales that are not 0 and 1."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.build()
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    nn.init.normal_(module.running_mean, 0.0, 0.1)
                    nn.init.uniform_(module.running_var, 0.5, 1.5)
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.normal_(module.bias, 0.0, 0.1)
        return model

    def inputs(self, n: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normal numbers [n, *shape]; the same samples in every dtype, and a larger n only adds to them."""
        values = torch.randn(n, math.prod(self.shape), generator=torch.Generator().manual_seed(seed))
        return values.to(dtype).reshape(n, *self.shape)

    def targets(self, n: int, seed: int = 2) -> Tensor:
        """Class numbers [n]."""
        return torch.randint(self.classes, (n,), generator=torch.Generator().manual_seed(seed))


class SharedWeights(nn.Module):
    """Two layers that hold one and the same weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, CLASSES)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.second(torch.tanh(self.first(x)))))


class UsedTwice(nn.Module):
    """One layer that is called twice in a pass, the second time on what it gave the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(12, 12), nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.inner(torch.relu(self.inner(x)))))


class OwnBuffers(nn.Module):
    """A parameter outside any layer, and buffers (one of them integer) that only training mode changes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, CLASSES))
        self.register_buffer("peak", torch.ones(12))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.peak.copy_(torch.maximum(self.peak, x.detach().abs().amax(0).to(self.peak.dtype)))
            self.calls += 1
        return (x / self.peak) @ self.weight


class Branches(nn.Module):
    """Convolutions on two paths that are added, with a residual of the picture: no chain of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(2, 4, 1)
        self.norm, self.out = nn.BatchNorm2d(4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.left(x) + self.right(x))).mean((2, 3)))


MODEL_CASES: dict[str, ModelCase] = {
    "softmax_regression": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[]), FLAT),
    "mlp": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10, 8]), FLAT),
    "mlp_of_pictures": ModelCase(lambda: mlp(PICTURE, CLASSES, hidden=[9], activation="tanh"), PICTURE),
    "mlp_no_bias": ModelCase(
        lambda: mlp(FLAT, CLASSES, hidden=[10], activation="leaky_relu", bias=False), FLAT
    ),
    "mlp_dropout": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10, 8], dropout=0.5), FLAT),
    "mlp_batch_norm_prelu": ModelCase(
        lambda: mlp(FLAT, CLASSES, hidden=[10, 8], activation="prelu", batch_norm=True), FLAT
    ),
    "mlp_sigmoid": ModelCase(lambda: mlp(FLAT, CLASSES, hidden=[10], activation="sigmoid"), FLAT),
    "cnn": ModelCase(lambda: cnn(PICTURE, CLASSES, channels=[8, 6, CLASSES]), PICTURE),
    "cnn_max_batch_norm_dropout": ModelCase(
        lambda: cnn(PICTURE, CLASSES, channels=[6, 8], pooling="max", batch_norm=True, dropout=0.2), PICTURE
    ),
    "cnn_avg_gelu": ModelCase(
        lambda: cnn(
            PICTURE,
            CLASSES,
            channels=[6, 4, CLASSES],
            kernel_size=5,
            pooling="avg",
            activation="gelu",
            bias=False,
        ),
        PICTURE,
    ),
    "resnet18": ModelCase(lambda: resnet18((3, 8, 8), CLASSES, stem="cifar"), (3, 8, 8)),
    "resnet18_no_shortcuts": ModelCase(
        lambda: resnet18((1, 8, 8), CLASSES, stem="cifar", shortcuts=False), (1, 8, 8)
    ),
    "resnet50": ModelCase(lambda: resnet50((3, 16, 16), CLASSES), (3, 16, 16)),
    "shared_weights": ModelCase(SharedWeights, FLAT),
    "used_twice": ModelCase(UsedTwice, FLAT),
    "own_buffers": ModelCase(OwnBuffers, FLAT),
    "branches": ModelCase(Branches, PICTURE),
}

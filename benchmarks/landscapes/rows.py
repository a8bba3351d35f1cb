"""What is evaluated in each row of the benchmark: net, samples, line or plane, and the ratios asked for."""

from dataclasses import dataclass
from typing import Any, Literal

PLANE = 51
"""Points a side of the plane whose cold total is told."""
LINE = 1_001
"""Points of such a line."""
MEAN, STD = 0.5, 0.25
"""Of every channel, by which pictures in [0, 1] are normalised."""
Kind = Literal["line", "plane"]


@dataclass(frozen=True)
class Row:
    """One net on so many pictures."""

    name: str
    what: str
    model: str
    """Of lossscape's MODELS."""
    options: dict[str, Any]
    shape: tuple[int, int, int]
    """(C, H, W) of one picture."""
    samples: int
    steps: int
    """Of the peer's interpolation: so many points of a line, its square of a plane."""
    at_least: dict[str, float]
    """By precision: the least ratio of the peer's time per point over lossscape's, on 2 cores."""
    kind: Kind = "plane"

    @property
    def points(self) -> int:
        """Points of the whole work."""
        return LINE if self.kind == "line" else PLANE**2

    @property
    def axes(self) -> int:
        """Directions."""
        return 1 if self.kind == "line" else 2


_COLOUR = (3, 32, 32)
_DNN: dict[str, Any] = {
    "what": "MLP 3072-128-64-32-16-10",
    "model": "mlp",
    "options": {"hidden": [128, 64, 32, 16]},
    "shape": _COLOUR,
}
_CNN: dict[str, Any] = {
    "what": "CNN 128-64-32-16-10",
    "model": "cnn",
    "options": {"channels": [128, 64, 32, 16, 10]},
    "shape": _COLOUR,
}
_CIFAR: dict[str, Any] = {
    "what": "ResNet-50, CIFAR stem",
    "model": "resnet50",
    "options": {"stem": "cifar"},
    "shape": _COLOUR,
}
_IMAGENET = _CIFAR | {"what": "ResNet-50, ImageNet stem", "options": {"stem": "imagenet"}}
_MNIST: dict[str, Any] = {
    "what": "MLP 784-100-100-10",
    "model": "mlp",
    "options": {"hidden": [100, 100]},
    "shape": (1, 28, 28),
}

ROWS = {
    row.name: row
    for row in (
        Row(name="mlp-plane", samples=50_000, steps=4, at_least={"fp32": 15, "bf16": 35}, **_DNN),
        Row(name="mlp-line", samples=60_000, steps=20, at_least={"fp32": 6, "bf16": 12}, kind="line", **_MNIST),
        Row(name="cnn-plane", samples=2_000, steps=2, at_least={"fp32": 3, "bf16": 12}, **_CNN),
        Row(name="resnet-cifar-plane", samples=512, steps=2, at_least={"fp32": 2, "bf16": 6}, **_CIFAR),
        Row(name="resnet-imagenet-plane", samples=2_000, steps=2, at_least={"fp32": 1.1, "bf16": 1.8}, **_IMAGENET),
    )
}
FULL = {
    row.name: row
    for row in (
        Row(name="dnn-full", samples=50_000, steps=2, at_least={}, **_DNN),
        Row(name="cnn-full", samples=50_000, steps=2, at_least={}, **_CNN),
        Row(name="resnet-cifar-full", samples=50_000, steps=2, at_least={}, **_CIFAR),
        Row(name="resnet-imagenet-full", samples=50_000, steps=2, at_least={}, **_IMAGENET),
    )
}
"""Planes over as many pictures as CIFAR-10 has for training, which take a GPU."""
EVERY = ROWS | FULL
USUAL = "mlp-plane"
"""The row that is also held against a DataLoader with a transform per sample."""
PLANE_SIDES = (2, 3, 5, 7, 11, 25, 51)
LINE_SIDES = (51, 201, 1_001)
"""Sizes of grids in the table of cost against them."""

"""What is evaluated in each row of the benchmark: net, samples, line or plane, and the ratios asked for."""

from dataclasses import dataclass, field
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
    tuned_at_least: dict[str, float] = field(default_factory=dict)
    """Likewise of the tuned loop's, the peer's best case."""
    kind: Kind = "plane"
    avoids: bool = False
    """Whether a plan avoids arithmetic of a plain forward pass, so that a matrix product's rate is no roof."""
    loaded: bool = False
    """Whether all cores but one are kept busy by others meanwhile."""
    recomputed: bool = False
    """Whether BatchNorm statistics are recomputed at every point, which takes a second pass."""
    pictured: int = 0
    """Samples of the whole picture to a stated error; 0: none is made."""
    learned: int = 0
    """Steps of training before that picture is drawn (`Learned`); 0: of the row's own net and data."""
    span: float = 1.0
    """Farthest coordinate of a plane's picture."""
    within: float | None = None
    """Seconds that the whole work may take on a GPU, and ten times what its picture to a stated error may."""

    @property
    def points(self) -> int:
        """Points of the whole work."""
        return LINE if self.kind == "line" else PLANE**2

    @property
    def single(self) -> bool:
        """Whether it has no tuned loop, small tables or bf16 beside it: a row's other case."""
        return self.loaded or self.recomputed

    @property
    def passes(self) -> int:
        """Forward passes of a plain evaluation of a point."""
        return 2 if self.recomputed else 1

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
_CIFAR_LEARNED: dict[str, Any] = {"learned": 24, "span": 0.1}
_IMAGENET_LEARNED: dict[str, Any] = {"learned": 60, "span": 0.1}
_MNIST: dict[str, Any] = {
    "what": "MLP 784-100-100-10",
    "model": "mlp",
    "options": {"hidden": [100, 100]},
    "shape": (1, 28, 28),
}

_FULL: dict[str, Any] = {"samples": 50_000, "steps": 2, "at_least": {}}
_PLANE: dict[str, Any] = {"samples": 50_000, "steps": 4, "avoids": True, **_DNN}
_LINE: dict[str, Any] = {"samples": 60_000, "steps": 20, "avoids": True, "kind": "line", **_MNIST}

ROWS = {
    row.name: row
    for row in (
        Row("mlp-plane", at_least={"fp32": 15, "bf16": 35}, tuned_at_least={"fp32": 4}, pictured=50_000, **_PLANE),
        Row("mlp-line", at_least={"fp32": 6, "bf16": 12}, tuned_at_least={"fp32": 3}, pictured=60_000, **_LINE),
        Row(
            "cnn-plane", samples=2_000, steps=2, at_least={"fp32": 3, "bf16": 12}, tuned_at_least={"fp32": 1.1},
            pictured=100, **_CNN,
        ),
        Row(
            "resnet-cifar-plane", samples=512, steps=2, at_least={"fp32": 2, "bf16": 6}, tuned_at_least={"fp32": 1.3},
            pictured=128, **_CIFAR_LEARNED, **_CIFAR,
        ),
        Row(
            "resnet-imagenet-plane", samples=2_000, steps=2, at_least={"fp32": 1.1, "bf16": 1.8},
            tuned_at_least={"fp32": 1.3}, pictured=250, **_IMAGENET_LEARNED, **_IMAGENET,
        ),
        Row(
            "resnet-recompute-line", samples=1_000, steps=2, at_least={"fp32": 1.1}, kind="line", recomputed=True,
            **_IMAGENET,
        ),
        Row("mlp-plane-load", at_least={"fp32": 10}, loaded=True, **_PLANE),
        Row("mlp-line-load", at_least={"fp32": 5}, loaded=True, **_LINE),
    )
}  # fmt: skip
"""Whole pictures take as many samples as end within minutes, `pictured`; of few samples the kinks of each one show."""
FULL = {
    row.name: row
    for row in (
        Row("dnn-full", within=5, avoids=True, **_FULL, **_DNN),
        Row("cnn-full", **_FULL, **_CNN),
        Row("resnet-cifar-full", within=600, **_FULL, **_CIFAR_LEARNED, **_CIFAR),
        Row("resnet-imagenet-full", within=120, **_FULL, **_IMAGENET_LEARNED, **_IMAGENET),
    )
}
"""Planes over as many pictures as CIFAR-10 has for training, which take a GPU."""
EVERY = ROWS | FULL
USUAL = "mlp-plane"
"""The row that is also held against a DataLoader with a transform per sample."""
PLANE_SIDES = (2, 3, 5, 7, 11, 25, 51)
LINE_SIDES = (51, 201, 1_001)
"""Sizes of grids in the table of cost against them."""

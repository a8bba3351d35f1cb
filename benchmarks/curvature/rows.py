"""What is computed in each row of the benchmark: net, samples, how many eigenvalues, and the ratios asked for."""

from dataclasses import dataclass, field
from typing import Any

TOLERANCE = 1e-3
"""Largest residual relative to the eigenvalue."""


@dataclass(frozen=True)
class Row:
    """The Hessian of one net on so many pictures."""

    name: str
    what: str
    model: str
    """Of lossscape's MODELS."""
    options: dict[str, Any]
    shape: tuple[int, int, int]
    """(C, H, W) of one picture."""
    samples: int
    peers: tuple[str, ...]
    epochs: int = 0
    """That the net is trained; 0: noise, and the initial weights."""
    largest: int = 0
    """Eigenvalues that are computed; 0: products alone are."""
    eigenvalues_at_least: dict[str, float] = field(default_factory=dict)
    """By peer: the least ratio of its time over lossscape's."""
    product_at_least: dict[str, float] = field(default_factory=dict)
    """Likewise of a product with a vector."""
    differs: float = 1e-5
    """How far products may lie from those in float64, relative: deep nets in float32 have kinks on the other side."""


ROWS = {
    row.name: row
    for row in (
        Row(
            "mlp-eigenvalues", "MLP 784-100-100-10", "mlp", {"hidden": [100, 100]}, (1, 28, 28), 2_000,
            ("pyhessian", "curvlinops"), epochs=5, largest=10, eigenvalues_at_least={"pyhessian": 4, "curvlinops": 2},
        ),
        Row(
            "resnet-product", "ResNet-50, ImageNet stem", "resnet50", {"stem": "imagenet"}, (3, 224, 224), 4,
            ("curvlinops",), product_at_least={"curvlinops": 1}, differs=5e-2,
        ),
    )
}  # fmt: skip
SIDES = ("ours", "pyhessian", "curvlinops", "judge")

"""What is trained in each row of the benchmark: pictures, net, batch, precision, and the ratio asked for."""

from dataclasses import dataclass
from typing import Any

BATCH = 100
LR, MOMENTUM = 0.01, 0.9
EVERY = 5
"""Epochs between evaluations, `training.evaluate_every`, with which these take at most `EVALUATION` of the time."""
EVALUATION = 0.1
WORKERS = 2


@dataclass(frozen=True)
class Row:
    """One net on one kind of pictures."""

    name: str
    what: str
    model: dict[str, Any]
    """The `model` section of a config."""
    shape: tuple[int, int, int]
    """(C, H, W) of one picture."""
    train: int
    test: int
    mean: tuple[float, ...]
    """Per channel, after division by 255, as examples of this kind of picture write it."""
    std: tuple[float, ...]
    precision: str
    sides: tuple[str, ...] = ("lossscape",)
    """What is measured; of lossscape alone nothing is judged but what evaluating takes."""
    at_least: float = 0.0
    """The least ratio of samples/s, lossscape over the usual loop, on 2 cores."""
    of_roof: float = 0.0
    """Share of the ratio's roof that does where less is possible: the roof is the rate of the bare products of the
    net's shapes over the usual loop's."""


_COLOUR: dict[str, Any] = {"shape": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
_CNN: dict[str, Any] = {
    "what": "convolutions of 128-64-32-16-10 channels on 32×32 colour pictures",
    "model": {"name": "cnn", "channels": [128, 64, 32, 16, 10]},
    "train": 5_000,
    "test": 100,
    "of_roof": 0.6,
    "sides": ("peer", "lossscape"),
    **_COLOUR,
}
ROWS = {
    row.name: row
    for row in (
        Row(
            name="mlp",
            what="784-100-100-10 on MNIST",
            model={"name": "mlp", "hidden": [100, 100]},
            shape=(1, 28, 28),
            train=60_000,
            test=10_000,
            mean=(0.1307,),
            std=(0.3081,),
            precision="fp32",
            at_least=20,
            of_roof=0.55,
            sides=("peer", "peer-workers", "lossscape", "products"),
        ),
        Row(name="cnn", precision="fp32", at_least=1.8, **_CNN),
        Row(name="cnn-bf16", precision="bf16", at_least=6, **_CNN),
        Row(
            name="resnet",
            what="ResNet-18 with the CIFAR stem on 32×32 colour pictures",
            model={"name": "resnet18", "stem": "cifar"},
            train=300,
            test=60,
            precision="fp32",
            **_COLOUR,
        ),
    )
}
SIDES = {
    "peer": "usual loop",
    "peer-workers": f"usual loop, {WORKERS} workers",
    "lossscape": "lossscape",
    "products": "a step's products alone",
}

"""Whole exact surfaces of small trained nets, kept in a folder; a second call finds what is there or goes on."""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossscape.analyses.grids import Ranges
from lossscape.analyses.landscape.compute import compute
from lossscape.analyses.landscape.request import Request
from lossscape.config import read_experiment
from lossscape.execution import Execution
from lossscape.measured import Measured, Targets
from lossscape.runs import Run
from lossscape.train import train

CHANNELS = [24, 24, 24]
ADAM = {"name": "adam", "lr": 0.003}


@dataclass(frozen=True)
class Net:
    """A net as a config has it, and its training."""

    model: Mapping[str, Any]
    pictures: str
    """mnist or cifar10"""
    train_size: int
    epochs: int


NETS = {
    "mlp": Net({"name": "mlp", "hidden": [100, 100]}, "mnist", 20_000, 5),
    "cnn": Net({"name": "cnn", "channels": CHANNELS}, "cifar10", 2_500, 8),
    "cnn-bn": Net({"name": "cnn", "channels": CHANNELS, "batch_norm": True}, "cifar10", 2_500, 8),
    "resnet18": Net({"name": "resnet18"}, "cifar10", 2_500, 8),
    "resnet18-plain": Net({"name": "resnet18", "shortcuts": False}, "cifar10", 2_500, 8),
}


@dataclass(frozen=True)
class Case:
    """A surface: what is drawn around which net, from −span to span on both axes."""

    net: str
    targets: Targets
    span: float
    grid: int
    samples: int | None
    """None: all of the training data."""

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.net}-{self.targets}-{self.span:g}"


CASES = [
    Case("mlp", "labels", 1.0, 51, None),
    Case("mlp", "soft", 0.3, 51, None),
    Case("mlp", "soft", 2.5, 51, None),
    Case("cnn", "labels", 1.0, 41, 500),
    Case("cnn-bn", "labels", 1.0, 41, 200),
    Case("resnet18", "labels", 1.0, 31, 100),
    Case("resnet18-plain", "labels", 1.0, 31, 100),
    Case("cnn", "soft", 2.5, 41, 200),
    Case("cnn-bn", "soft", 0.3, 41, 200),
    Case("resnet18", "soft", 0.3, 31, 100),
    Case("resnet18-plain", "soft", 2.5, 31, 100),
    Case("cnn-bn", "labels", 2.5, 41, 200),
]
QUICK = {"epochs": 1, "train_size": 500, "samples": 100, "grid": 17}


@dataclass(frozen=True)
class Place:
    """Where surfaces are kept, and where pictures are."""

    folder: Path
    mnist: Path | None
    """The folder that holds MNIST/raw; None: that of the environment."""
    cifar: Path | None
    """One of pictures in train/CLASS and test/CLASS in place of torchvision's CIFAR-10."""
    quick: bool

    def dataset(self, net: Net) -> dict[str, Any]:
        """The section of a config."""
        size = QUICK["train_size"] if self.quick else net.train_size
        sizes = {"train_size": size, "test_size": 500}
        if net.pictures == "mnist":
            return {"name": "mnist", "root": str(self.mnist) if self.mnist else None, **sizes}
        if self.cifar:
            return {"name": "image_folder", "root": str(self.cifar), "note": "JPEG copy", **sizes}
        return {"name": "cifar10", **sizes}


def trained(place: Place, name: str) -> Run:
    """The run of a net, trained where it is not."""
    net = NETS[name]
    config = {
        "name": name,
        "device": "cpu",
        "dataset": place.dataset(net),
        "model": dict(net.model),
        "optimizer": ADAM,
        "training": {"epochs": QUICK["epochs"] if place.quick else net.epochs, "checkpoint_every": 0},
    }
    place.folder.mkdir(parents=True, exist_ok=True)
    file = place.folder / f"{name}.yaml"
    file.write_text(json.dumps(config))
    return train(read_experiment(file), place.folder, quiet=True)


def samples_of(place: Place, case: Case) -> int:
    """How many a surface is over."""
    if place.quick:
        return QUICK["samples"]
    return NETS[case.net].train_size if case.samples is None else case.samples


def request(place: Place, case: Case, **more: Any) -> Request:
    """What is asked for of a surface; more: fields of the request."""
    samples = None if case.samples is None and not place.quick else samples_of(place, case)
    grid = QUICK["grid"] if place.quick else case.grid
    measured = Measured(targets=case.targets, samples=samples)
    ranges = Ranges(range=(-case.span, case.span))
    return Request(str(trained(place, case.net).path), grid=(grid, grid), ranges=ranges, measured=measured, **more)


def exact(place: Place, case: Case) -> Path:
    """The CSV of a whole surface, made where it is not there."""
    table = place.folder / f"{case.name}.csv"
    if not table.exists():
        shutil.copyfile(compute(request(place, case), Execution("cpu", quiet=True)) / "surface.csv", table)
    return table


def whole_command(place: Place, case: Case, tolerance: float | str) -> float:
    """Seconds of the landscape, from its start to its certificate, begun anew."""
    asked = request(place, case, tolerance=tolerance)
    begun = time.perf_counter()
    compute(asked, Execution("cpu", overwrite=True, quiet=True))
    return time.perf_counter() - begun

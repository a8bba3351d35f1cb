"""The two sides that are measured: the loop of the usual PyTorch example, and lossscape's own."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate

from benchmarks.pictures import Pictures, random_pictures, usual_set, usual_transform
from benchmarks.training.rows import BATCH, LR, MOMENTUM, WORKERS, Row
from lossscape.config import experiment_from
from lossscape.data import where_data_is
from lossscape.data.vision import torchvision
from lossscape.progress import Progress
from lossscape.runs import Run
from lossscape.train import loop, parallel, start
from lossscape.train.loop import Setup
from lossscape.train.state import State
from lossscape.train.watch import Watch


def mnist_folder(row: Row, root: str | None) -> Path | None:
    """The folder of data files where the row is of MNIST and MNIST is there; None: random pictures stand in."""
    place = next(place for place in where_data_is(root) if place.name == "mnist")
    return place.folder.parents[1] if row.name == "mlp" and place.there else None


def ours(row: Row, root: Path | None, folder: Path) -> tuple[Setup, State]:
    """lossscape, ready to train. folder: of a run, which is not written."""
    dataset: dict[str, Any] = {"name": "mnist", "root": str(root)}
    if root is None:
        sizes = {"shape": list(row.shape), "train": row.train, "test": row.test}
        dataset = {"name": "benchmarks.pictures:random_set", **sizes}
    experiment = experiment_from(
        {
            "name": "benchmark",
            "device": "cpu",
            "precision": row.precision,
            "dataset": dataset,
            "model": row.model,
            "optimizer": {"name": "momentum", "lr": LR, "momentum": MOMENTUM},
            "training": {"epochs": 1_000, "batch_size": BATCH},
        }
    )
    return start.prepare(experiment, Run(folder), torch.device("cpu"), parallel.World())


def our_steps(setup: Setup, state: State) -> Iterator[int]:
    """Train for ever as run_epochs does between evaluations, quietly; yields the samples of each step."""
    watch = Watch(Progress("benchmark", 0, "samples", quiet=True))
    while True:
        loop.begin_epoch(setup, state)
        for batch in loop.remaining_batches(setup, state):
            loop.take_step(setup, state, batch)
            watch.step(setup, state, len(batch))
            yield len(batch)
        state.epoch += 1


def usual_net(row: Row) -> nn.Sequential:
    """The row's net as one writes it down in torch."""
    if row.model["name"] == "mlp":
        widths = [28 * 28, *row.model["hidden"]]
        hidden = [m for pair in pairwise(widths) for m in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], 10))
    widths = [row.shape[0], *row.model["channels"]]
    blocks = [m for pair in pairwise(widths) for m in (nn.Conv2d(*pair, 3, padding=1), nn.ReLU())]
    return nn.Sequential(*blocks[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())


def usual_data(row: Row, root: Path | None, train: bool, mean: Sequence[float], std: Sequence[float]) -> Dataset[Any]:
    """A torchvision data set whose pictures pass PIL, ToTensor and Normalize one by one."""
    transform = usual_transform(mean, std)
    if root is not None:
        return torchvision().datasets.MNIST(str(root), train=train, transform=transform)
    return usual_set(random_pictures(row.shape, row.train if train else row.test), transform)


def usual_batch(row: Row, root: Path | None, facts: dict[str, Any], batch: Tensor) -> Pictures:
    """Training samples by number as the loader stacks them, normalised by the mean and std of `facts`."""
    data = usual_data(row, root, True, facts["mean"], facts["std"])
    inputs, targets = default_collate([data[int(index)] for index in batch])
    return inputs, targets


def usual_steps(row: Row, root: Path | None, workers: int) -> Iterator[int]:
    """Train for ever as the usual example does; yields the samples of each step."""
    data, _test = (usual_data(row, root, train, row.mean, row.std) for train in (True, False))
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=workers)
    model = usual_net(row)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)
    model.train()
    while True:
        for inputs, targets in loader:
            optimizer.zero_grad()
            usual_loss(model, inputs, targets, row.precision).backward()
            optimizer.step()
            yield len(inputs)


def usual_loss(model: nn.Module, inputs: Tensor, targets: Tensor, precision: str) -> Tensor:
    """The mean cross entropy of a batch, in mixed precision as torch's documentation writes it."""
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        return nn.functional.cross_entropy(model(inputs), targets)


def steps(row: Row, side: str, root: Path | None, folder: Path) -> Iterator[int]:
    """The training steps of one side of a row."""
    if side == "lossscape":
        return our_steps(*ours(row, root, folder))
    return usual_steps(row, root, WORKERS if side == "peer-workers" else 0)

"""Every data set by name, with how to make a small one of it on disk, and what must then come out."""

import gzip
import hashlib
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from lossscape.data import torchvision_sets
from lossscape.data.vision import torchvision

Bytes = NDArray[np.uint8]


def nothing(root: Path, patch: pytest.MonkeyPatch) -> None:
    """A data set that needs no files."""


def random_bytes(*shape: int, seed: int = 0) -> Bytes:
    """Pixels of every value."""
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def idx(values: Bytes) -> bytes:
    """An IDX file of bytes."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.tobytes()


def idx_files(folder: Path, train: int = 40, test: int = 20) -> dict[str, Bytes]:
    """The four files of a small MNIST; returns what is in them."""
    content = {
        "train-images-idx3-ubyte": random_bytes(train, 28, 28),
        "train-labels-idx1-ubyte": (np.arange(train) % 10).astype(np.uint8),
        "t10k-images-idx3-ubyte": random_bytes(test, 28, 28, seed=1),
        "t10k-labels-idx1-ubyte": (np.arange(test) % 10).astype(np.uint8),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in content.items():
        (folder / name).write_bytes(idx(values))
    return content


def published_idx_files(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Bytes]:
    """The same, which are then taken for the published ones."""
    content = idx_files(folder)
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in content}
    others = torchvision_sets.published
    patch.setattr(torchvision_sets, "published", lambda name: others(name) if "cifar" in name else sums)
    return content


def packed_idx_files(folder: Path, patch: pytest.MonkeyPatch, kind: str = "MNIST") -> dict[str, Bytes]:
    """The same as they are published, .gz; torchvision is made to know their MD5 sums."""
    content = published_idx_files(folder, patch)
    for name in content:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))
        (folder / name).unlink()
    resources = [(f"{name}.gz", md5(folder / f"{name}.gz")) for name in content]
    patch.setattr(getattr(torchvision().datasets, kind), "resources", resources)
    return content


def cifar_files(root: Path, patch: pytest.MonkeyPatch, kind: str = "CIFAR10") -> dict[str, Any]:
    """A small CIFAR; torchvision is made to know its MD5 sums. Returns what is in its files."""
    cifar = getattr(torchvision().datasets, kind)
    label, classes = ("labels", 10) if kind == "CIFAR10" else ("fine_labels", 100)
    size = 20 if kind == "CIFAR10" else 200
    content: dict[str, Any] = {}
    for seed, (name, _) in enumerate([*cifar.train_list, *cifar.test_list]):
        pixels = random_bytes(size, 3072, seed=seed)
        content[name] = {"data": pixels, label: [i % classes for i in range(size)]}
    content[cifar.meta["filename"]] = {cifar.meta["key"]: [f"class {i}" for i in range(classes)]}
    folder = root / cifar.base_folder
    folder.mkdir(parents=True)
    for name, values in content.items():
        (folder / name).write_bytes(pickle.dumps(values))
    patch.setattr(cifar, "train_list", [[name, md5(folder / name)] for name, _ in cifar.train_list])
    patch.setattr(cifar, "test_list", [[name, md5(folder / name)] for name, _ in cifar.test_list])
    meta_name = cifar.meta["filename"]
    patch.setattr(cifar, "meta", {**cifar.meta, "md5": md5(folder / meta_name)})
    return content


def packed_cifar_files(root: Path, patch: pytest.MonkeyPatch) -> None:
    """CIFAR-10 as it is published, one .tar.gz, with no unpacked files."""
    cifar_files(root, patch)
    cifar = torchvision().datasets.CIFAR10
    with tarfile.open(root / cifar.filename, "w:gz") as archive:
        archive.add(root / cifar.base_folder, cifar.base_folder)
    for file in (root / cifar.base_folder).iterdir():
        file.unlink()
    patch.setattr(cifar, "tgz_md5", md5(root / cifar.filename))


def picture_files(root: Path, mode: str = "RGB", size: tuple[int, int] = (7, 5)) -> None:
    """Class folders with PNG pictures of a width and height: 12 to train and 6 to test."""
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    for split, each in (("train", 4), ("test", 2)):
        for number, name in enumerate(("bee", "ant", "cat")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(each):
                pixels = random_bytes(size[1], size[0], *channels, seed=100 * number + 10 * each + i)
                Image.fromarray(pixels).save(folder / f"{i}.png")


def tensor_file(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Pictures in a file of torch.save, in the working directory."""
    patch.chdir(root)
    content: dict[str, Any] = {"classes": 5}
    for split, size in (("train", 40), ("test", 10)):
        content[f"{split}_inputs"] = torch.from_numpy(random_bytes(size, 2, 4, 3, seed=size))
        content[f"{split}_targets"] = torch.arange(size) % 4
    torch.save(content, "mine.pt")


def md5(path: Path) -> str:
    """The MD5 sum of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class DataCase:
    """A data set, its options, how to lay its files, and the facts about it."""

    name: str
    shape: tuple[int, ...]
    classes: int
    train: int
    test: int
    options: dict[str, Any] = field(default_factory=dict)
    lay: Callable[[Path, pytest.MonkeyPatch], object] = nothing


DATA_CASES = [
    DataCase("digits", (1, 8, 8), 10, 1437, 360),
    DataCase("mnist", (1, 28, 28), 10, 40, 20, lay=lambda root, patch: published_idx_files(root / "MNIST/raw", patch)),
    DataCase(
        "fashion_mnist",
        (1, 28, 28),
        10,
        40,
        20,
        lay=lambda root, patch: published_idx_files(root / "FashionMNIST/raw", patch),
    ),
    DataCase("idx", (1, 28, 28), 10, 40, 20, {"note": "ours"}, lambda root, _: idx_files(root)),
    DataCase("cifar10", (3, 32, 32), 10, 100, 20, lay=cifar_files),
    DataCase("cifar100", (3, 32, 32), 100, 200, 200, lay=lambda root, patch: cifar_files(root, patch, "CIFAR100")),
    DataCase("image_folder", (3, 5, 7), 3, 12, 6, {"note": "PNG copy"}, lambda root, _: picture_files(root)),
    DataCase("synthetic", (2, 3), 4, 50, 30, {"shape": [2, 3], "classes": 4, "train": 50, "test": 30}),
    DataCase("tensors", (2, 4, 3), 5, 40, 10, {"file": "mine.pt"}, tensor_file),
    DataCase("regression_1d", (1,), 0, 50, 30, {"function": "step", "train": 50, "test": 30}),
    DataCase("two_moons", (2,), 2, 50, 30, {"train": 50, "test": 30}),
    DataCase("spirals", (2,), 3, 50, 30, {"arms": 3, "train": 50, "test": 30}),
    DataCase("circles", (2,), 2, 50, 30, {"train": 50, "test": 30}),
    DataCase("xor", (2,), 2, 50, 30, {"train": 50, "test": 30}),
    DataCase("synthetic_regression", (3,), 0, 50, 30, {"inputs": 3, "outputs": 2, "train": 50, "test": 30}),
]

"""Public data sets, as torchvision publishes them: read where they lie, fetched and checked on first use."""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossscape.data.download import Archive, NotFetched, corrupt, fetch, md5
from lossscape.data.folders import DataFolder
from lossscape.data.split import RawData, Split
from lossscape.data.vision import torchvision
from lossscape.errors import BadInput

_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_CLOTHES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


@dataclass(frozen=True)
class Stored:
    """A data set of torchvision: its class there, and its files in a folder under the data root."""

    kind: str
    folder: str
    files: tuple[str, ...]


STORED = {
    "mnist": Stored("MNIST", "MNIST/raw", _IDX),
    "fashion_mnist": Stored("FashionMNIST", "FashionMNIST/raw", _IDX),
    "cifar10": Stored("CIFAR10", "cifar-10-batches-py", _BATCHES),
    "cifar100": Stored("CIFAR100", "cifar-100-python", ("train", "test", "meta")),
}


def mnist(root: Path) -> RawData:
    """MNIST: 28×28 grey pictures of handwritten digits, 60,000 and 10,000 (LeCun et al. 1998)."""
    return _idx_set("mnist", root, [str(digit) for digit in range(10)])


def fashion_mnist(root: Path) -> RawData:
    """Fashion-MNIST: 28×28 grey pictures of clothes, 60,000 and 10,000 (Xiao et al. 2017)."""
    return _idx_set("fashion_mnist", root, _CLOTHES)


def cifar10(root: Path) -> RawData:
    """CIFAR-10: 32×32 colour pictures of 10 classes, 50,000 and 10,000 (Krizhevsky 2009)."""
    return _cifar_set("cifar10", root)


def cifar100(root: Path) -> RawData:
    """CIFAR-100: 32×32 colour pictures of 100 fine classes, 50,000 and 10,000 (Krizhevsky 2009)."""
    return _cifar_set("cifar100", root)


def folder_of(name: str, root: Path) -> DataFolder:
    """The folder that a data set is looked for in, and the files it lacks."""
    folder, files = root / STORED[name].folder, STORED[name].files
    return DataFolder(name, folder, [file for file in files if not (folder / file).is_file()])


def _idx_set(name: str, root: Path, classes: list[str]) -> RawData:
    folder = _fetched(name, root)
    images, labels, test_images, test_labels = (_read_idx(folder / file, name) for file in _IDX)
    return RawData(
        train=Split(images.unsqueeze(1), labels.long()),
        test=Split(test_images.unsqueeze(1), test_labels.long()),
        classes=classes,
    )


def _read_idx(path: Path, name: str) -> Tensor:
    """The bytes of an IDX file as a tensor of its dimensions.

    Format: two zero bytes, the type (8: bytes), the number of dimensions, each as a big-endian 32-bit
    integer, then the values. Read here and not by torchvision, whose import takes longer than the reading.
    """
    content = np.fromfile(path, np.uint8)
    dimensions = 3 if "idx3" in path.name else 1
    start = 4 + 4 * dimensions
    header, values = content[:start].tobytes(), content[start:]
    shape = struct.unpack(f">{dimensions}I", header[4:]) if len(header) == start else ()
    if header[:4] != bytes([0, 0, 8, dimensions]) or len(values) != math.prod(shape):
        raise corrupt(f"dataset {name}", path, f"{len(content)} bytes that are no whole IDX file")
    return torch.from_numpy(values.reshape(shape))


def _cifar_set(name: str, root: Path) -> RawData:
    folder = _fetched(name, root)
    kind: Any = getattr(torchvision().datasets, STORED[name].kind)
    published = [*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])]
    for file, expected in published:
        if md5(folder / file) != expected:
            raise corrupt(f"dataset {name}", folder / file, "its MD5 sum is not the published one")

    class Checked(kind):
        def _check_integrity(self) -> bool:  # done above, naming the file; each split would do it again
            return True

    splits = []
    for train in (True, False):
        data = Checked(root, train=train)
        pictures = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        splits.append(Split(pictures, torch.tensor(data.targets)))
    return RawData(splits[0], splits[1], list(data.classes))


def _fetched(name: str, root: Path) -> Path:
    """The folder of a data set, all files in place; they are fetched where one is missing."""
    looked = folder_of(name, root)
    if looked.there:
        return looked.folder
    needed = [archive for archive in _archives(name, root) if set(archive.files) & set(looked.missing)]
    try:
        fetch(needed, f"dataset {name}")
    except NotFetched as error:
        packed = ", ".join(archive.path.name for archive in needed if not archive.path.is_file())
        raise BadInput(
            f"dataset {name}: {looked.folder} lacks {', '.join(looked.missing)}, and downloading failed "
            f"({error}); put them there, or as published {packed} into {needed[0].path.parent}, "
            f"or give the folder that holds {STORED[name].folder} as dataset.root or LOSSSCAPE_DATA"
        ) from error
    return looked.folder


def _archives(name: str, root: Path) -> list[Archive]:
    """The published archives of a data set, as torchvision's class knows them."""
    stored, folder = STORED[name], root / STORED[name].folder
    kind: Any = getattr(torchvision().datasets, stored.kind)
    if stored.files is _IDX:
        return [
            Archive(folder / packed, [mirror + packed for mirror in kind.mirrors], sum_, folder, (file,))
            for file, (packed, sum_) in zip(_IDX, kind.resources, strict=True)
        ]
    return [Archive(root / kind.filename, [kind.url], kind.tgz_md5, folder, stored.files)]

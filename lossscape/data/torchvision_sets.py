"""Public data sets, as torchvision publishes them: read where they lie, fetched and checked on first use."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossscape.data.download import Archive, NotFetched, corrupt, digest, fetch
from lossscape.data.folders import DataFolder
from lossscape.data.idx import IDX, of_idx, read_idx
from lossscape.data.split import RawData, Split
from lossscape.data.vision import torchvision
from lossscape.errors import BadInput, Page, see

_BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
_CLOTHES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
_IDX_SUMS = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion_mnist": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
"""Of the unpacked files, in the order of IDX: SHA-256, which takes a third of the time of MD5, where it is known."""


@dataclass(frozen=True)
class Stored:
    """A data set of torchvision: its class there, and its files in a folder under the data root."""

    kind: str
    folder: str
    files: tuple[str, ...]


STORED = {
    "mnist": Stored("MNIST", "MNIST/raw", IDX),
    "fashion_mnist": Stored("FashionMNIST", "FashionMNIST/raw", IDX),
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


def published(name: str) -> Mapping[str, str]:
    """The MD5 or SHA-256 sums of the unpacked files of a data set, by their names."""
    if name in _IDX_SUMS:
        return dict(zip(IDX, _IDX_SUMS[name], strict=True))
    kind: Any = getattr(torchvision().datasets, STORED[name].kind)
    return dict([*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"])])


def _check_published(name: str, folder: Path, way_out: str) -> None:
    """Raise BadInput that names a file which is not the published one; way_out: for those who have changed it."""
    sums = published(name)
    with ThreadPoolExecutor() as pool:  # reading and hashing let other threads go on
        found = pool.map(lambda file: digest(folder / file, like=sums[file]), sums)
        wrong = [file for file, own in zip(sums, found, strict=True) if own != sums[file]]
    if wrong:
        others = f", nor are {', '.join(wrong[1:])}" if wrong[1:] else ""
        why = f"its checksum is not that of the published file{others}"
        raise corrupt(f"dataset {name}", folder / wrong[0], why, f"; {way_out}")


def _idx_set(name: str, root: Path, classes: list[str]) -> RawData:
    folder = _fetched(name, root)
    tensors: list[Tensor] = []
    for path in (folder / file for file in IDX):
        try:
            tensors.append(read_idx(path))
        except ValueError as error:
            raise corrupt(f"dataset {name}", path, str(error)) from None
    own = f"files of your own in this form are read by dataset: {{name: idx, root: {folder}}}"
    _check_published(name, folder, own)
    return of_idx(tensors, classes)


def _cifar_set(name: str, root: Path) -> RawData:
    folder = _fetched(name, root)
    kind: Any = getattr(torchvision().datasets, STORED[name].kind)
    _check_published(name, folder, "pictures of your own are read by dataset image_folder or tensors")

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
            f"or give the folder that holds {STORED[name].folder} as dataset.root or LOSSSCAPE_DATA{see(Page.DATA)}"
        ) from error
    return looked.folder


def _archives(name: str, root: Path) -> list[Archive]:
    """The published archives of a data set, as torchvision's class knows them."""
    stored, folder = STORED[name], root / STORED[name].folder
    kind: Any = getattr(torchvision().datasets, stored.kind)
    if stored.files is IDX:
        return [
            Archive(folder / packed, [mirror + packed for mirror in kind.mirrors], sum_, folder, (file,))
            for file, (packed, sum_) in zip(IDX, kind.resources, strict=True)
        ]
    return [Archive(root / kind.filename, [kind.url], kind.tgz_md5, folder, stored.files)]

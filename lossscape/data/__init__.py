"""Data sets by name. A new one is a function that returns RawData and a line in DATASETS."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lossscape.data.digits import digits
from lossscape.data.folders import data_root
from lossscape.data.idx import files_of_idx, idx
from lossscape.data.image_folder import folders_of_splits, image_folder
from lossscape.data.options import DataOptions
from lossscape.data.prepare import prepare, where_data_is
from lossscape.data.split import Data, RawData, Split
from lossscape.data.synthetic import synthetic, synthetic_regression
from lossscape.data.tensors import tensors
from lossscape.data.torchvision_sets import STORED, cifar10, cifar100, fashion_mnist, folder_of, mnist
from lossscape.data.toys import circles, regression_1d, spirals, two_moons, xor
from lossscape.families import Family

__all__ = ["DATASETS", "FAMILY", "Data", "DataOptions", "RawData", "Split", "load", "sources", "where_data_is"]

DATASETS: dict[str, Callable[..., RawData]] = {
    each.__name__: each
    for each in (
        digits,
        mnist,
        fashion_mnist,
        cifar10,
        cifar100,
        idx,
        image_folder,
        synthetic,
        synthetic_regression,
        regression_1d,
        two_moons,
        spirals,
        circles,
        xor,
        tensors,
    )
}
FAMILY = Family(DATASETS, DataOptions, given=("root",))
FILES: dict[str, Callable[[Path, Any], list[Path]]] = {
    **{name: partial(lambda name, root, spec: [folder_of(name, root).folder], name) for name in STORED},
    "idx": lambda root, spec: files_of_idx(root),
    "image_folder": lambda root, spec: folders_of_splits(root),
    "tensors": lambda root, spec: [Path(FAMILY.arguments(spec)["file"])],
    **{
        each.__name__: lambda root, spec: []
        for each in (digits, synthetic, synthetic_regression, regression_1d, two_moons, spirals, circles, xor)
    },
}
"""Of the data root and the options of a data set: the files that it is read from."""


def load(spec: DataOptions, device: torch.device | str = "cpu") -> Data:
    """The data set that a config's `dataset` section names, as tensors on `device`.

    Raises BadInput where files are missing or corrupt, or a user's function returns something else.
    """
    read = FAMILY.bound(spec, root=data_root(spec.root), seed=spec.seed, mmap=spec.mmap)
    return prepare(read, spec, torch.device(device))


def sources(spec: DataOptions) -> list[Path] | None:
    """The files and folders that a data set is read from; None of one that may be read from anywhere."""
    found = FILES.get(spec.name)
    return None if found is None else found(data_root(spec.root), spec)

"""IDX files, the form in which MNIST is published: how they are read, and the data set of those of one's own."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossscape.data.folders import DataFolder
from lossscape.data.split import RawData, Split
from lossscape.errors import BadInput

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
"""The four files of MNIST, and of every data set in its form."""


def idx(root: Path, *, note: str = "") -> RawData:
    """Grey pictures in four IDX files of one's own, named as those of MNIST, in root itself, unpacked or .gz.

    note: said wherever a figure comes from this data. Raises BadInput for a file that is missing or no whole IDX file.
    """
    if missing := folder_of_idx(root).missing:
        raise BadInput(f"dataset idx: {root} lacks {', '.join(missing)}; put them there, unpacked or .gz")
    tensors = []
    for path in files_of_idx(root):
        try:
            tensors.append(read_idx(path))
        except ValueError as error:
            raise BadInput(f"dataset idx: {path} is corrupt ({error}); put a whole copy there") from None
    highest = max((int(labels.max()) for labels in tensors[1::2] if len(labels)), default=0)
    return of_idx(tensors, [str(label) for label in range(highest + 1)], note)


def of_idx(tensors: list[Tensor], classes: list[str], note: str = "") -> RawData:
    """The data set of the four files' contents: pictures [N, H, W] and labels [N], to train and to test."""
    images, labels, test_images, test_labels = tensors
    return RawData(
        train=Split(images.unsqueeze(1), labels.long()),
        test=Split(test_images.unsqueeze(1), test_labels.long()),
        classes=classes,
        note=note,
    )


def folder_of_idx(root: Path) -> DataFolder:
    """The folder that idx looks at when a config gives no root, and the files it lacks."""
    return DataFolder("idx", root, [path.stem for path in files_of_idx(root) if not path.is_file()])


def files_of_idx(root: Path) -> list[Path]:
    """The four files of idx, each unpacked where it lies so, else .gz."""
    return [_as_it_lies(root / file) for file in IDX]


def _as_it_lies(path: Path) -> Path:
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def read_idx(path: Path) -> Tensor:
    """The bytes of an IDX file, unpacked or .gz, as a tensor of its dimensions.

    Format: two zero bytes, the type (8: bytes), the number of dimensions, each as a big-endian 32-bit
    integer, then the values. Read here and not by torchvision, whose import takes longer than the reading.
    Raises ValueError that says why where it is no whole one.
    """
    if path.suffix == ".gz":
        try:
            content = np.frombuffer(bytearray(gzip.decompress(path.read_bytes())), np.uint8)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"cannot be unpacked: {error}") from None
    else:
        content = np.fromfile(path, np.uint8)
    dimensions = 3 if "idx3" in path.name else 1
    start = 4 + 4 * dimensions
    header, values = content[:start].tobytes(), content[start:]
    shape = struct.unpack(f">{dimensions}I", header[4:]) if len(header) == start else ()
    if header[:4] != bytes([0, 0, 8, dimensions]) or len(values) != math.prod(shape):
        raise ValueError(f"{len(content)} bytes that are no whole IDX file")
    return torch.from_numpy(values.reshape(shape))

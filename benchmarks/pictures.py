"""Pictures of noise, and torchvision's data sets of them, where real files would change nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lossscape.data.vision import torchvision

Pictures = tuple[Tensor, Tensor]
"""[N, C, H, W], uint8 or as the net sees them, and class numbers [N]."""


def random_pictures(shape: Sequence[int], samples: int) -> Pictures:
    """Pictures of noise, the same at every call. shape: (C, H, W) of one."""
    generator = torch.Generator().manual_seed(samples)
    pictures = torch.randint(256, (samples, *shape), dtype=torch.uint8, generator=generator)
    return pictures, torch.randint(10, (samples,), generator=generator)


def random_set(*, shape: list[int], train: int, test: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Such pictures as a data set of the user's own, which a config names `benchmarks.pictures:random_set`."""
    return (*random_pictures(shape, train), *random_pictures(shape, test))


def usual_transform(mean: Sequence[float], std: Sequence[float]) -> Any:
    """PIL picture -> tensor, as the usual examples write it: ToTensor and Normalize, one picture at a time."""
    transforms = torchvision().transforms
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])


def usual_set(data: Pictures, transform: Any) -> Dataset[Any]:
    """torchvision's MNIST (grey) or CIFAR-10 (colour) with the given uint8 pictures in the place of its files'."""
    pictures, targets = data
    datasets = torchvision().datasets
    grey = pictures.shape[1] == 1
    kind: Any = datasets.MNIST if grey else datasets.CIFAR10

    class InMemory(kind):
        def __init__(self) -> None:
            datasets.VisionDataset.__init__(self, transform=transform)
            self.data: Tensor | np.ndarray = (
                pictures[:, 0] if grey else pictures.permute(0, 2, 3, 1).contiguous().numpy()
            )
            self.targets = targets if grey else targets.tolist()

    return InMemory()

"""From a data set as it was read to the tensors that a net sees: checked, subset, noised, normalised."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossscape.batches import Batch, Inputs, tensors_of
from lossscape.data.check import checked
from lossscape.data.folders import DataFolder, data_root
from lossscape.data.idx import folder_of_idx
from lossscape.data.image_folder import folder_of_pictures
from lossscape.data.labels import noisy, stratified
from lossscape.data.options import DataOptions
from lossscape.data.split import Data, RawData, Split
from lossscape.data.torchvision_sets import STORED, folder_of
from lossscape.errors import BadInput
from lossscape.families import is_custom
from lossscape.usercode import blamed

TRAIN_SUBSET, TEST_SUBSET, LABEL_NOISE = 1, 2, 3
"""Second seeds, so that no two choices share a random stream."""
SCALED = (torch.uint8, torch.float32)
"""Inputs that are numbers; others are tokens."""
CHUNK = 1 << 19
"""Numbers turned into 64 bits at a time: 4 MB, which stay in the cache."""


def prepare(read: Callable[[], Any], spec: DataOptions, device: torch.device) -> Data:
    """The data set that `read` returns, as the options of `spec` want it, on `device`.

    read: returns RawData or (train_inputs, train_targets, test_inputs, test_targets).
    Raises BadInput where files are missing or corrupt, they are no data set, or an option does not fit.
    """
    with blamed(f"dataset {spec.name}: it raised", is_custom(spec.name)):
        returned = read()
    raw = checked(returned, spec.name)
    _check_augmentation(raw, spec)
    train = _subset(raw.train, spec.train_size, "train_size", spec, TRAIN_SUBSET)
    test = _subset(raw.test, spec.test_size, "test_size", spec, TEST_SUBSET)
    targets, redrawn = train.targets, 0
    if spec.label_noise:
        if not raw.classes or targets.dim() > 1:
            raise BadInput(f"dataset.label_noise: {spec.name} has no class for each sample to draw anew; leave it out")
        targets, redrawn = noisy(targets, spec.label_noise, len(raw.classes), spec.seed, LABEL_NOISE)
    changed = int((targets != train.targets).sum())
    train = Split(train.inputs, targets)
    mean, std = None, None
    if spec.normalize and isinstance(train.inputs, Tensor) and train.inputs.dtype in SCALED:
        mean, std = statistics(train.inputs)
    facts = {
        "name": spec.name,
        "shape": list(train.inputs.shape[1:]),
        "classes": len(raw.classes),
        **({} if raw.classes else {"outputs": train.targets[0].numel()}),
        "train_size": len(train),
        "test_size": len(test),
        "mean": mean,
        "std": std,
        "labels_redrawn": redrawn,
        "labels_changed": changed,
        "note": raw.note,
        "sha256": fingerprint(train, test),
    }
    return Data(
        train=Split(_as_seen(train.inputs, mean, std, device), train.targets.to(device)),
        test=Split(_as_seen(test.inputs, mean, std, device), test.targets.to(device)),
        classes=raw.classes,
        facts=facts,
    )


def where_data_is(root: str | None = None) -> list[DataFolder]:
    """For each data set of files: the folder looked at, and what is missing there. Nothing is downloaded."""
    folder = data_root(root)
    return [folder_of(name, folder) for name in STORED] + [folder_of_idx(folder), folder_of_pictures(folder)]


def statistics(inputs: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (of the population) per channel; of pictures, after division by 255.

    inputs: [N, C, ...], one mean per channel, or vectors [N, D], one mean for all. Sums are exact for
    pictures and in float64 for floats. A deviation below what float32 resolves at that mean is given as 1.
    """
    rows = inputs.reshape(len(inputs), inputs.shape[1] if inputs.dim() > 2 else 1, -1)
    parts = rows.split(max(1, CHUNK // rows[0].numel()))
    if inputs.dtype == torch.uint8:
        counts = np.sum([_histograms(part) for part in parts], axis=0)
        shares, values = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
        mean = shares @ values
        variance = (shares * (values - mean[:, None]) ** 2).sum(1)
    else:
        size = rows.shape[0] * rows.shape[2]
        mean = sum(part.double().sum((0, 2)) for part in parts).numpy() / size
        centred = (part.double().sub_(torch.from_numpy(mean)[:, None]) for part in parts)
        variance = sum(part.square_().sum((0, 2)) for part in centred).numpy() / size
    std = np.sqrt(variance)
    resolved = std > np.abs(mean) * np.finfo(np.float32).eps
    return mean.tolist(), np.where(resolved, std, 1.0).tolist()


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256 over dtype, shape and bytes of inputs (before normalisation) and targets of both splits."""
    digest = hashlib.sha256()
    for tensor in (each for part in (*train, *test) for each in tensors_of(part).values()):
        digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _histograms(rows: Tensor) -> NDArray[np.int64]:
    """How often each value occurs in each channel [C, 256] of rows [N, C, ...]."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in rows.numpy().swapaxes(0, 1)])


def _as_seen(inputs: Inputs, mean: list[float] | None, std: list[float] | None, device: torch.device) -> Inputs:
    """A float32 copy on the device: pictures divided by 255, then (x − mean) / std per channel; tokens as they are."""
    if isinstance(inputs, Batch) or inputs.dtype not in SCALED:
        return inputs.to(device)
    seen = inputs.to(device=device, dtype=torch.float32, copy=True)
    if inputs.dtype == torch.uint8:
        seen.div_(255)
    if mean is not None and std is not None:
        per_channel = [1, len(mean)] + [1] * (inputs.dim() - 2)
        seen.sub_(torch.tensor(mean, device=device).reshape(per_channel))
        seen.div_(torch.tensor(std, device=device).reshape(per_channel))
    return seen


def _subset(split: Split, size: int | None, key: str, spec: DataOptions, stream: int) -> Split:
    if size is None:
        return split
    if size > len(split):
        raise BadInput(
            f"dataset.{key}: {size} samples asked for, {spec.name} has {len(split)}; "
            f"give at most {len(split)}, or null for all"
        )
    classes = split.targets.dim() == 1 and not split.targets.is_floating_point()
    labels = split.targets if classes else torch.zeros(len(split), dtype=torch.int64)
    chosen = stratified(labels, size, spec.seed, stream)
    return Split(split.inputs[chosen], split.targets[chosen])


def _check_augmentation(raw: RawData, spec: DataOptions) -> None:
    if spec.augment == "none":
        return
    shape = list(raw.train.inputs.shape[1:])
    if isinstance(raw.train.inputs, Batch):
        raise BadInput("dataset.augment: needs pictures, and the inputs are several tensors by name; leave it out")
    if len(shape) != 3:
        raise BadInput(f"dataset.augment: needs pictures [C, H, W]; inputs of {spec.name} are {shape}")
    if spec.augment.crop >= min(shape[1:]):
        raise BadInput(
            f"dataset.augment.crop: {spec.augment.crop} pixels of padding could leave nothing of pictures of "
            f"{shape[1]}×{shape[2]}; give less than {min(shape[1:])}"
        )

"""From a data set as it was read to the tensors that a net sees: checked, subset, noised, normalised."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossscape.batches import Batch, Inputs, part, tensors_of
from lossscape.data.check import checked
from lossscape.data.folders import DataFolder, data_root
from lossscape.data.idx import folder_of_idx
from lossscape.data.image_folder import folder_of_pictures
from lossscape.data.labels import noisy, stratified
from lossscape.data.mapped import remembered
from lossscape.data.options import DataOptions
from lossscape.data.split import Data, RawData, Split
from lossscape.data.torchvision_sets import STORED, folder_of
from lossscape.errors import BadInput
from lossscape.families import is_custom
from lossscape.held import LARGE, Held, raw_parts, seen
from lossscape.usercode import blamed

TRAIN_SUBSET, TEST_SUBSET, LABEL_NOISE = 1, 2, 3
"""Second seeds, so that no two choices share a random stream."""
SCALED = (torch.uint8, torch.float32)
"""Inputs that are numbers; others are tokens."""
CHUNK = 1 << 19
"""Numbers turned into 64 bits at a time: 4 MB, which stay in the cache."""


def prepare(read: Callable[[], Any], spec: DataOptions, device: torch.device, large: int = LARGE) -> Data:
    """The data set that `read` returns, as the options of `spec` want it, on `device`.

    read: returns RawData or (train_inputs, train_targets, test_inputs, test_targets); large: bytes of float32 inputs
    from which pictures stay uint8, and are normalised when they are used.
    Raises BadInput where files are missing or corrupt, they are no data set, or an option does not fit.
    """
    with blamed(f"dataset {spec.name}: it raised", is_custom(spec.name)):
        returned = read()
    raw = checked(returned, spec.name)
    _check_augmentation(raw, spec)
    train = _subset(_as_read(raw.train, spec), spec.train_size, "train_size", spec, TRAIN_SUBSET)
    test = _subset(_as_read(raw.test, spec), spec.test_size, "test_size", spec, TEST_SUBSET)
    targets, redrawn = train.targets, 0
    if spec.label_noise:
        if not raw.classes or targets.dim() > 1:
            raise BadInput(f"dataset.label_noise: {spec.name} has no class for each sample to draw anew; leave it out")
        targets, redrawn = noisy(targets, spec.label_noise, len(raw.classes), spec.seed, LABEL_NOISE)
    changed = int((targets != train.targets).sum())
    train = Split(train.inputs, targets)
    known = remembered(train, test, lambda: _measured(train, test, spec), spec.normalize)
    mean, std, sha256 = known["mean"], known["std"], known["sha256"]
    held = _are_held(train, test, large)
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
        "sha256": sha256,
    }
    return Data(
        train=Split(_as_seen(train.inputs, mean, std, device, held=held), train.targets.to(device)),
        test=Split(_as_seen(test.inputs, mean, std, device, held=held), test.targets.to(device)),
        classes=raw.classes,
        facts=facts,
    )


def where_data_is(root: str | None = None) -> list[DataFolder]:
    """For each data set of files: the folder looked at, and what is missing there. Nothing is downloaded."""
    folder = data_root(root)
    return [folder_of(name, folder) for name in STORED] + [folder_of_idx(folder), folder_of_pictures(folder)]


def _measured(train: Split, test: Split, spec: DataOptions) -> dict[str, Any]:
    """What all inputs have to be read for."""
    mean, std = None, None
    if spec.normalize and not isinstance(train.inputs, Batch) and _kind(train.inputs) in SCALED:
        mean, std = statistics(train.inputs)
    return {"mean": mean, "std": std, "sha256": fingerprint(train, test)}


def statistics(inputs: Tensor | Held) -> tuple[list[float], list[float]]:
    """Mean and standard deviation (of the population) per channel; of pictures, after division by 255.

    inputs: [N, C, ...], one mean per channel, or vectors [N, D], one mean for all. Sums are exact for
    pictures and in float64 for floats. A deviation below what float32 resolves at that mean is given as 1.
    """
    channels, numbers = inputs.shape[1] if inputs.ndim > 2 else 1, math.prod(inputs.shape[1:])

    def parts() -> Iterator[Tensor]:
        for values in raw_parts(inputs, max(1, CHUNK // numbers)):
            yield values.reshape(len(values), channels, -1)

    if _kind(inputs) == torch.uint8:
        counts = np.sum([_histograms(values) for values in parts()], axis=0)
        shares, values = counts / counts.sum(1, keepdims=True), np.arange(256) / 255
        mean = shares @ values
        variance = (shares * (values - mean[:, None]) ** 2).sum(1)
    else:
        size = len(inputs) * (numbers // channels)
        mean = np.asarray(sum(values.double().sum((0, 2)) for values in parts())) / size
        centred = (values.double().sub_(torch.from_numpy(mean)[:, None]) for values in parts())
        variance = np.asarray(sum(values.square_().sum((0, 2)) for values in centred)) / size
    std = np.sqrt(variance)
    resolved = std > np.abs(mean) * np.finfo(np.float32).eps
    return mean.tolist(), np.where(resolved, std, 1.0).tolist()


def fingerprint(train: Split, test: Split) -> str:
    """SHA-256 over dtype, shape and bytes of inputs (before normalisation) and targets of both splits."""
    digest = hashlib.sha256()
    for tensor in (each for inputs in (*train, *test) for each in tensors_of(inputs).values()):
        digest.update(f"{_kind(tensor)}{list(tensor.shape)}".encode())
        if isinstance(tensor, Held):
            for values in raw_parts(tensor):
                digest.update(values.contiguous().numpy().data)
        else:
            digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _histograms(rows: Tensor) -> NDArray[np.int64]:
    """How often each value occurs in each channel [C, 256] of rows [N, C, ...]."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in rows.numpy().swapaxes(0, 1)])


def _as_seen(
    inputs: Inputs, mean: list[float] | None, std: list[float] | None, device: torch.device, *, held: bool
) -> Inputs:
    """Inputs as the net sees them, float32 on the device (see `held.seen`); tokens as they are.

    held: as they were read, and made into these when they are asked for.
    """
    if isinstance(inputs, Batch) or _kind(inputs) not in SCALED:
        return inputs.to(device)
    if not held and isinstance(inputs, Tensor):
        return seen(inputs, mean, std, device)
    whole = inputs if isinstance(inputs, Held) else Held(inputs)
    if mean is None or std is None:
        return whole.to(device)
    return replace(whole.to(device), mean=tuple(mean), std=tuple(std))


def _kind(inputs: Tensor | Held) -> torch.dtype:
    """Of inputs as they were read."""
    return inputs.values.dtype if isinstance(inputs, Held) else inputs.dtype


def _are_held(train: Split, test: Split, large: int) -> bool:
    """Whether inputs stay as they were read: those that already do, and pictures that are large as float32."""
    if isinstance(train.inputs, Held):
        return True
    size = sum(4 * each.inputs.numel() for each in (train, test) if isinstance(each.inputs, Tensor))
    return size >= large and isinstance(train.inputs, Tensor) and train.inputs.dtype == torch.uint8


def _as_read(split: Split, spec: DataOptions) -> Split:
    """A split whose inputs stay as they are where that is asked for, and are chosen from without a copy."""
    inputs = split.inputs
    held = spec.mmap and isinstance(inputs, Tensor) and inputs.dtype in SCALED
    return Split(Held(inputs), split.targets) if held and isinstance(inputs, Tensor) else split


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
    return Split(part(split.inputs, chosen), split.targets[chosen])


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

"""Data sets of torch's as tensors: read once, in order, and refused where a sample is another one each time."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, default_collate

from lossscape.batches import Batch, Inputs, batch_of
from lossscape.errors import BadInput
from lossscape.progress import Progress
from lossscape.scoring import checked

TARGETS = ("labels", "label", "targets", "target")
"""Keys of the targets where a sample is a mapping, as Hugging Face's data sets have them."""
BATCH = 256
Source = Dataset[Any] | DataLoader[Any]


def samples_of(inputs: Any, targets: Any = None) -> tuple[Inputs, Tensor]:
    """Inputs and targets as tensors, from tensors, a mapping of tensors, or a Dataset or DataLoader that has both.

    Raises BadInput where they are none, or do not belong together.
    """
    if isinstance(inputs, Dataset | DataLoader):
        if targets is not None:
            raise BadInput("targets come with a Dataset or DataLoader: leave them out")
        inputs, targets = read(inputs)
    inputs = batch_of(inputs)
    targets = checked(targets, len(inputs))
    if targets.device != inputs.device:
        raise BadInput(f"inputs on {inputs.device} and targets on {targets.device}: move both to one device")
    return inputs, targets


def read(source: Source, *, quiet: bool = False) -> tuple[Inputs, Tensor]:
    """All samples of a Dataset or DataLoader in the order of the data set: inputs and targets.

    A sample is (inputs, targets), or a mapping of inputs that has the targets under one of TARGETS. Of a loader its
    collate function and workers are used, not its order: shuffling and the batch size do not matter. quiet: without a
    progress bar. Raises BadInput where there is no sample, samples have no targets, or one differs from one reading to
    the next.
    """
    inputs: list[Inputs] = []
    targets: list[Tensor] = []
    loader = _in_order(source)
    _check_twice(source, loader)
    total = len(loader.dataset) if hasattr(loader.dataset, "__len__") else 0
    with Progress("reading", max(total, 1), "samples", quiet=quiet) as progress:
        for batch in _batches(source, loader):
            x, y = _pair(batch)
            inputs.append(x)
            targets.append(y)
            progress.advance(len(y))
    if not targets:
        raise BadInput(f"{_name(source)} has no samples")
    return _joined(inputs), _catenated(targets, "targets")


def _in_order(source: Source) -> DataLoader[Any]:
    """A loader of all samples in the order of the data set. Raises BadInput where a sampler chooses other ones."""
    if not isinstance(source, DataLoader):
        return DataLoader(source, batch_size=BATCH, shuffle=False)
    if isinstance(source.dataset, IterableDataset):
        return source
    sampler = source.sampler
    if not isinstance(sampler, SequentialSampler | RandomSampler) or getattr(sampler, "replacement", False):
        raise BadInput(
            f"the DataLoader chooses samples by a {type(sampler).__name__}: give the data set, or a Subset of it, so "
            "that each sample counts once"
        )
    return DataLoader(
        source.dataset,
        batch_size=source.batch_size or BATCH,
        collate_fn=source.collate_fn if source.batch_size else default_collate,
        num_workers=source.num_workers,
    )


def _check_twice(source: Source, loader: DataLoader[Any]) -> None:
    """Read two samples twice. Raises BadInput where they differ, as with random transforms."""
    data = loader.dataset
    readings = [list(islice(iter(_samples(data)), 2)) for _ in range(2)]
    if not same(*readings):
        raise BadInput(
            f"{_name(source)}: a sample read twice is not the same; a loss over data needs fixed samples: leave random "
            "transforms (crops, flips, noise) out, as for a test split"
        )


def _samples(data: Any) -> Iterator[Any]:
    """The first and the last sample, or the first ones where there is only an order."""
    if isinstance(data, IterableDataset):
        return iter(data)
    return (data[index] for index in sorted({0, len(data) - 1}) if len(data))


def same(one: Any, other: Any) -> bool:
    """Whether two samples, or mappings or lists of such, hold the same values."""
    if isinstance(one, Tensor):
        alike = isinstance(other, Tensor) and one.dtype == other.dtype
        return alike and torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__array__"):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return bool(one == other)


def _batches(source: Source, loader: DataLoader[Any]) -> Iterator[Any]:
    try:
        yield from loader
    except (TypeError, RuntimeError) as error:  # of torch's collate function, for what it cannot stack
        reason = (str(error).splitlines() or [""])[0]
        raise BadInput(
            f"{_name(source)}: its samples do not make batches ({reason}): let it give tensors of one shape, or give a "
            "DataLoader with a collate_fn"
        ) from error


def _pair(batch: Any) -> tuple[Inputs, Tensor]:
    if isinstance(batch, Mapping):
        key = next((key for key in TARGETS if key in batch), None)
        if key is None:
            raise BadInput(
                f"a sample has {', '.join(map(str, batch))}, and no targets: they stand under one of "
                f"{', '.join(TARGETS)}"
            )
        batch = {name: value for name, value in batch.items() if name != key}, batch[key]
    if not isinstance(batch, Sequence) or isinstance(batch, str) or len(batch) != 2:
        what = f"{len(batch)} parts" if isinstance(batch, Sequence) else f"a {type(batch).__name__}"
        raise BadInput(f"a sample is {what}: (inputs, targets) or a mapping with targets is needed")
    inputs = batch_of(batch[0])
    return inputs, torch.as_tensor(batch[1])


def _joined(parts: Sequence[Inputs]) -> Inputs:
    if isinstance(parts[0], Batch):
        names = list(parts[0].tensors)
        return Batch(
            {name: _catenated([part.tensors[name] for part in parts], name) for name in names}  # type: ignore[union-attr]
        )
    return _catenated(parts, "inputs")


def _catenated(parts: Sequence[Any], what: str) -> Tensor:
    shapes = {tuple(part.shape[1:]) for part in parts}
    if len(shapes) > 1:
        some = " and ".join(str(list(shape)) for shape in sorted(shapes)[:2])
        raise BadInput(f"{what} of different batches have different shapes, {some}: pad or cut all to one")
    return torch.cat(list(parts))


def _name(source: Source) -> str:
    data = source.dataset if isinstance(source, DataLoader) else source
    return f"the data set {type(data).__name__}"

"""Random data of any shape, for trials where no real data is needed."""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from lossscape.data.check import check_memory
from lossscape.data.mapped import in_files
from lossscape.data.split import RawData, Split
from lossscape.families import Count, NonNegative, Size

HIDDEN = 32
TOGETHER = 256
"""Samples drawn at a time, the last of them with those that are left: torch draws normal numbers in blocks of 16, and
so they are the same as those of one draw."""


def synthetic(
    root: Path,
    seed: int = 0,
    mmap: bool = False,
    *,
    shape: Annotated[list[Size], Field(min_length=1, max_length=8)],
    classes: Size = 10,
    train: Count = 1000,
    test: Count = 200,
    separation: NonNegative = 4.0,
) -> RawData:
    """Normal noise of standard deviation 1 around one random mean per class, in turn, shuffled.

    shape: of one input; separation: ‖mean‖₂ of each class, in standard deviations of the noise, so two
    classes lie about √2 · separation apart whatever the shape; 0 gives labels that cannot be learned.
    `root` is not looked at; `seed` is that of the config's dataset section.
    """
    numbers = 2 * (train + test + classes) * math.prod(shape)  # as they are made, and as the net sees them
    if not mmap:
        check_memory(4 * numbers, "dataset synthetic: this shape and these sizes")
    generator = torch.Generator().manual_seed(seed % 2**63)
    means = torch.randn(classes, *shape, generator=generator)
    norms = means.flatten(1).norm(dim=1).clamp_min(torch.finfo(means.dtype).tiny)
    means *= (separation / norms).reshape(-1, *[1] * len(shape))

    def split(size: int, inputs: Tensor | None = None) -> Split:
        targets = (torch.arange(size) % classes)[torch.randperm(size, generator=generator)]
        inputs = torch.empty(size, *shape) if inputs is None else inputs
        for span in _spans(size):
            inputs[span] = torch.randn(len(targets[span]), *shape, generator=generator).add_(means[targets[span]])
        return Split(inputs, targets)

    names = [str(label) for label in range(classes)]
    if not mmap:
        return RawData(split(train), split(test), names)
    key = f"synthetic {seed} {shape} {classes} {train} {test} {separation!r}"
    sizes = [(train, *shape), (test, *shape)]
    kept = in_files("synthetic", key, sizes, lambda files: [split(len(each), each).targets for each in files])
    return RawData(Split(*kept[0]), Split(*kept[1]), names)


def _spans(size: int) -> Iterator[slice]:
    """Samples that are drawn together: TOGETHER, and the last ones with what is left."""
    starts = list(range(0, max(size - TOGETHER, 0) + 1, TOGETHER))
    return (slice(start, end) for start, end in pairwise([*starts, size]))


def synthetic_regression(
    root: Path,
    seed: int = 0,
    *,
    inputs: Size = 8,
    outputs: Size = 1,
    train: Count = 1000,
    test: Count = 200,
    noise: NonNegative = 0.1,
) -> RawData:
    """Numbers to be learned: targets [N, outputs] of a fixed random net of standard normal inputs [N, inputs].

    t = W₂ tanh(W₁ x) + noise · ε with 32 hidden units, W₁ of variance 1/inputs, W₂ of 1/32, and normal ε. `root` is
    not looked at; `seed` is that of the config's dataset section.
    """
    check_memory(4 * 2 * (train + test) * (inputs + outputs), "dataset synthetic_regression: these sizes")
    generator = torch.Generator().manual_seed(seed % 2**63)
    first = torch.randn(inputs, HIDDEN, generator=generator) / inputs**0.5
    second = torch.randn(HIDDEN, outputs, generator=generator) / HIDDEN**0.5

    def split(size: int) -> Split:
        x = torch.randn(size, inputs, generator=generator)
        errors = noise * torch.randn(size, outputs, generator=generator)
        return Split(x, torch.tanh(x @ first) @ second + errors)

    return RawData(split(train), split(test), [])

"""Targets of several positions a sample: tokens of a text, pixels of a picture. Some positions may not count."""

import torch
from torch import Tensor

from lossscape.errors import BadInput

IGNORED = -100
"""The target of a position that does not count, as torch and Hugging Face have it."""


def are_tokens(targets: Tensor) -> bool:
    """Whether targets are class numbers of several positions a sample, [N, T, ...]."""
    return targets.ndim > 1 and not targets.is_floating_point()


def by_position(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs [n·T, C] and targets [n·T] of every position, those that do not count with the class 0.

    outputs: [n, T, C] as language models give them, or [n, C, T, ...] as torch's losses take them; where both fit,
    the former for one axis of positions and the latter for more. Raises BadInput where neither fits.
    """
    last = outputs.shape[:-1] == targets.shape
    second = outputs.ndim == targets.ndim + 1 and outputs.shape[2:] == targets.shape[1:]
    if not last and not second:
        raise BadInput(
            f"outputs {list(outputs.shape)} do not fit targets {list(targets.shape)}: a number for each class is "
            "needed at every position, [N, T, C] or [N, C, T]"
        )
    if not last or (second and targets.ndim > 2):
        outputs = outputs.movedim(1, -1)
    return outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1).clamp(min=0)


def counts(targets: Tensor) -> Tensor:
    """How many positions of each sample count, [n]."""
    return (targets.flatten(1) != IGNORED).sum(1)


def by_sample(values: Tensor, targets: Tensor, tokens: float | None = None) -> Tensor:
    """The mean of values [n·T] over the positions of each sample that count, [n] in float64.

    tokens: what the sums are divided by in place of each sample's own number of positions.
    """
    counted = targets.flatten(1) != IGNORED
    sums = torch.where(counted, values.reshape(counted.shape).double(), 0.0).sum(1)
    return sums / (counted.sum(1) if tokens is None else tokens)

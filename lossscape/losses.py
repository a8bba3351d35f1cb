"""Losses: functions of outputs and targets that return one loss per sample.

Targets are class numbers (int64 [N]) or a distribution over the classes (float [N, C]). Everything is
computed in the precision of `outputs`; an Objective hands over float64, since log-softmax of float32 logits
in float32 leaves a loss of 1e-5 wrong by several per cent.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lossscape.families import Component, Family, Probability

Loss = Callable[..., Tensor]


class LossOptions(Component):
    """What every loss shares."""

    label_smoothing: Probability = 0.0
    """In training steps only: targets become (1 − ε)·one-hot + ε/C. Reported losses are without it."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """−Σ_c t_c log softmax(outputs)_c, per sample [N]."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_c (outputs_c − t_c)² / C with one-hot targets t, per sample [N]."""
    if not targets.is_floating_point():
        targets = nn.functional.one_hot(targets, outputs.shape[1])
    return torch.mean((outputs - targets.to(outputs.dtype)) ** 2, dim=1)


def kl_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_c p_c (log p_c − log softmax(outputs)_c) with log p the targets, per sample [N].

    The loss against soft targets, which are stored as log-probabilities [N, C]: 0 where outputs equal them.
    """
    return nn.functional.kl_div(
        nn.functional.log_softmax(outputs, 1), targets.to(outputs.dtype), reduction="none", log_target=True
    ).sum(1)


def smooth(targets: Tensor, classes: int, epsilon: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Class numbers [N] as the smoothed distribution (1 − ε)·one-hot + ε/C, [N, C]."""
    return (1 - epsilon) * nn.functional.one_hot(targets, classes).to(dtype) + epsilon / classes


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": mse}
FAMILY = Family(LOSSES, LossOptions, given=("outputs", "targets"))

"""Losses: functions of outputs and targets that return one loss per sample.

Targets are class numbers (int64 [N]), a distribution over the classes (float [N, C]), class numbers of several
positions (int64 [N, T, …], −100 where one does not count), or for mse any numbers (float [N, …]). Everything is
computed in the precision of `outputs`; an Objective hands over float64, since log-softmax of float32 logits in float32
leaves a loss of 1e-5 wrong by several per cent.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lossscape import tokens
from lossscape.errors import BadInput
from lossscape.families import Component, Family, Probability

Loss = Callable[..., Tensor]


class LossOptions(Component):
    """What every loss shares."""

    label_smoothing: Probability = 0.0
    """In training steps only: targets become (1 − ε)·one-hot + ε/C. Reported losses are without it."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """−Σ_c t_c log softmax(outputs)_c, per sample [N]; of several positions the mean over those that count."""
    if not tokens.are_tokens(targets):
        return nn.functional.cross_entropy(outputs, targets, reduction="none")
    return tokens.by_sample(_at_positions(outputs, targets), targets)


def cross_entropy_by_class(outputs: Tensor, targets: Tensor) -> Tensor:
    """`cross_entropy` of class numbers, per sample [N], of outputs [N, C] that lie class by class in memory.

    Of a few classes torch takes the softmax of rows number by number, and of columns eight samples at a time.
    """
    return -nn.functional.log_softmax(outputs.t(), 0).gather(0, targets[None])[0]


def token_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of texts whose mean over samples is that over all positions that count, each of the same weight.

    Per sample [N]: the sum over its positions, divided by the mean number of positions of a sample of `targets`.
    """
    return _weighted(outputs, targets, float(tokens.counts(targets).double().mean()))


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_c (outputs_c − t_c)² / C with t the targets, one-hot of class numbers, per sample [N]."""
    outputs, wanted = aligned(outputs, targets)
    return torch.mean((outputs - wanted) ** 2, dim=1)


def kl_divergence(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_c p_c (log p_c − log softmax(outputs)_c) with log p the targets, per sample [N].

    The loss against soft targets, which are stored as log-probabilities [N, C]: 0 where outputs equal them.
    """
    return nn.functional.kl_div(
        nn.functional.log_softmax(outputs, 1), targets.to(outputs.dtype), reduction="none", log_target=True
    ).sum(1)


def aligned(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and what they should be, both [n, K]; class numbers as one-hot.

    Raises BadInput where their shapes differ by more than axes of length 1.
    """
    if not targets.is_floating_point():
        if targets.ndim > 1 or outputs.ndim != 2:
            raise BadInput(
                f"outputs {list(outputs.shape)} and class numbers {list(targets.shape)}: differences are taken to "
                "class numbers [N] or to floats of the outputs' own shape (targets.float())"
            )
        targets = nn.functional.one_hot(targets, outputs.shape[1])
    if [n for n in outputs.shape[1:] if n != 1] != [n for n in targets.shape[1:] if n != 1]:
        raise BadInput(
            f"outputs {list(outputs.shape)} and targets {list(targets.shape)}: differences need the same shapes, up "
            "to axes of length 1"
        )
    return outputs.reshape(len(outputs), -1), targets.to(outputs.dtype).reshape(len(targets), -1)


def smooth(targets: Tensor, classes: int, epsilon: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Class numbers [N] as the smoothed distribution (1 − ε)·one-hot + ε/C, [N, C]."""
    return (1 - epsilon) * nn.functional.one_hot(targets, classes).to(dtype) + epsilon / classes


def plain(loss: Loss) -> Any:
    """The function that a loss is, without arguments that were given already."""
    while isinstance(loss, partial):
        loss = loss.func
    return loss


def positions(loss: Loss, targets: Tensor) -> float | None:
    """What sums over a sample's positions are divided by: None for their own number.

    For token_cross_entropy the mean number of all samples, so that a chunk's values are those of the whole.
    """
    return float(tokens.counts(targets).double().mean()) if plain(loss) is token_cross_entropy else None


def over(loss: Loss, number: float | None) -> Loss:
    """The loss with sums over a sample's positions divided by a number from `positions`."""
    return loss if number is None else partial(_weighted, number=number)


def _weighted(outputs: Tensor, targets: Tensor, number: float) -> Tensor:
    return tokens.by_sample(_at_positions(outputs, targets), targets, number)


def _at_positions(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(*tokens.by_position(outputs, targets), reduction="none")


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "token_cross_entropy": token_cross_entropy, "mse": mse}
OF_CLASSES = (cross_entropy, token_cross_entropy, kl_divergence)
"""Losses whose outputs are one number for each class."""
FAMILY = Family(LOSSES, LossOptions, given=("outputs", "targets"))

"""What makes the products of matrices in training steps, and the loss behind them: torch's own, or oneDNN's.

Sums are taken in another order by each, so a run keeps to the one that it began with.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lossscape import onednn

_ATEN = torch.ops.aten
EACH, IGNORED = 0, -100
"""For torch's nll_loss: a loss for each sample, and the class that it leaves out by default."""


class Products(NamedTuple):
    """How matrices are multiplied."""

    affine: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Of inputs [n, i], weight [o, i] and bias [o]: [n, o]."""
    product: Callable[[Tensor, Tensor], Tensor]
    """[m, k] · [k, n]."""
    cross_entropy: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]
    """Of outputs [n, classes] and class numbers [n] `weight` times the sum over samples, and its slope."""


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, inputs, weight.t())


def _affine_by_onednn(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if len(inputs) * weight.numel() < onednn.ENOUGH:
        return _affine(inputs, weight, bias)
    return onednn.linear(inputs, weight, bias)


def _product_by_onednn(left: Tensor, right: Tensor) -> Tensor:
    if len(left) * right.numel() < onednn.ENOUGH:
        return left.mm(right)
    return onednn.linear(left.contiguous(), right.t(), None)  # of what lies across it takes longer than to lay it out


def _cross_entropy(outputs: Tensor, targets: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """What autograd calls."""
    logs = torch.log_softmax(outputs, 1)
    each, count = _ATEN.nll_loss_forward.default(logs, targets, None, EACH, IGNORED)
    summed = each.sum()
    slope = torch.full_like(summed, weight).expand_as(each)
    slope = _ATEN.nll_loss_backward.default(slope, logs, targets, None, EACH, IGNORED, count)
    return summed * weight, _ATEN._log_softmax_backward_data.default(slope, logs, 1, torch.float32)


def _cross_entropy_across(outputs: Tensor, targets: Tensor, weight: float) -> tuple[Tensor, Tensor]:
    """Classes as rows: torch goes through ten numbers in a row one by one, but through rows of samples at once."""
    logs = torch.log_softmax(outputs.t().contiguous(), 0)
    chosen = targets.unsqueeze(0)
    loss = logs.gather(0, chosen).sum().mul_(-weight)
    slope = logs.exp_().mul_(weight).scatter_(0, chosen, -weight, reduce="add")
    return loss, slope.t().contiguous()


TORCH, ONEDNN = "torch", "onednn"
PRODUCTS = {
    TORCH: Products(_affine, Tensor.mm, _cross_entropy),
    ONEDNN: Products(_affine_by_onednn, _product_by_onednn, _cross_entropy_across),
}
"""By the name that resume.pt and environment.json have."""


def products_here(device: torch.device) -> str:
    """What new runs take: by rule and not by a race, so that one config gives the same bytes."""
    return ONEDNN if onednn.pays(device) else TORCH

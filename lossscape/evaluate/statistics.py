"""BatchNorm statistics at a point that training never visited."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lossscape.vectors import Params

BATCH = 1_000
"""Samples a batch, in file order: part of what is computed, not of how."""


def tracks_statistics(model: nn.Module) -> bool:
    """Whether a model has BatchNorm layers with running statistics."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in model.modules())


def recomputed_statistics(
    model: nn.Module, inputs: Tensor, dtype: torch.dtype = torch.float32
) -> Callable[[Params, Params], Params]:
    """A function (parameters, buffers) -> buffers whose BatchNorm statistics are those of `inputs`.

    inputs: [N, ...]; dtype: of the arithmetic. The statistics are the cumulative average over batches of 1,000
    in file order, with dropout off, as in Izmailov et al. 2018 (arXiv:1803.05407, §3.2). The model is left as it is.
    """
    private = copy.deepcopy(model).to(inputs.device).requires_grad_(False).eval()
    for module in private.modules():
        if isinstance(module, _BatchNorm):
            module.train()
            module.momentum = None  # torch: None is the cumulative average

    @torch.no_grad()
    def statistics(parameters: Params, buffers: Params) -> Params:
        values = {name: value.to(dtype) for name, value in parameters.items()}
        fresh = {name: _reset(name, _in(value, dtype).clone()) for name, value in buffers.items()}
        for batch in inputs.split(BATCH):
            # BatchNorm updates the buffers it is given in place
            torch.func.functional_call(private, values | fresh, (_in(batch, dtype),))
        return fresh

    return statistics


def _in(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.detach().to(dtype) if value.is_floating_point() else value


def _reset(name: str, value: Tensor) -> Tensor:
    last = name.rpartition(".")[2]
    if last in ("running_mean", "num_batches_tracked"):
        return value.zero_()
    return value.fill_(1) if last == "running_var" else value

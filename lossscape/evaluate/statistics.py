"""BatchNorm statistics at a point that training never visited."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lossscape.objective import exact_fp32, has_convolutions
from lossscape.vectors import Params

BATCH = 1_000
"""Samples a batch, in file order: part of what is computed, not of how."""


def tracks_statistics(model: nn.Module) -> bool:
    """Whether a model has BatchNorm layers with running statistics."""
    return any(isinstance(module, _BatchNorm) and module.track_running_stats for module in model.modules())


def recomputed_statistics(
    model: nn.Module, inputs: Tensor, dtype: torch.dtype = torch.float32
) -> Callable[[Params, Params, Callable[[int], None] | None], Params]:
    """A function (parameters, buffers, done) -> buffers whose BatchNorm statistics are those of `inputs`.

    inputs: [N, ...]; dtype: of the arithmetic; done: called after each batch with its samples. The statistics are
    the cumulative average over batches of 1,000 in file order, a lone last sample joining the batch before it, with
    dropout off, as in Izmailov et al. 2018 (arXiv:1803.05407, §3.2). The model is left as it is.
    """
    private = copy.deepcopy(model).to(inputs.device, dtype).requires_grad_(False).eval()
    layout = torch.channels_last if has_convolutions(model) and inputs.ndim == 4 else torch.preserve_format
    estimated = set()
    for name, module in private.named_modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            module.train()
            module.momentum = None  # torch: None is the cumulative average
            module.reset_running_stats()
            estimated |= {f"{name}.{key}".lstrip(".") for key, _ in module.named_buffers(recurse=False)}

    @torch.no_grad()
    def statistics(parameters: Params, buffers: Params, done: Callable[[int], None] | None = None) -> Params:
        values = {name: _in(value, dtype) for name, value in parameters.items()}
        fresh = {name: value.clone() for name, value in private.named_buffers()}
        fresh |= {name: _in(value, dtype).clone() for name, value in buffers.items() if name not in estimated}
        for batch in _batches(inputs):
            # BatchNorm updates the buffers it is given in place
            with exact_fp32(inputs.device):
                batch = _in(batch, dtype).contiguous(memory_format=layout)
                torch.func.functional_call(private, values | fresh, (batch,))
            if done is not None:
                done(len(batch))
        return fresh

    return statistics


def _batches(inputs: Tensor) -> list[Tensor]:
    """Batches of 1,000 in file order; a single sample has no variance, so it is never alone at the end."""
    if len(inputs) > BATCH and len(inputs) % BATCH == 1:
        whole = len(inputs) - BATCH - 1
        return [*inputs[:whole].split(BATCH), inputs[whole:]] if whole else [inputs]
    return list(inputs.split(BATCH))


def _in(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.detach().to(dtype) if value.is_floating_point() else value

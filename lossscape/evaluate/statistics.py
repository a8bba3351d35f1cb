"""BatchNorm statistics at a point that training never visited."""

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lossscape.batches import Inputs, batch_of, cast, has_floats
from lossscape.evaluate.pool import SMALL_PASS
from lossscape.models.summary import summarise
from lossscape.modules import called_with, habits_of, laid_out, ties_of
from lossscape.objective import arithmetic, private
from lossscape.vectors import Params

BATCH = 1_000
"""Samples a batch, in file order: part of what is computed, not of how."""


def statistics_of(model: nn.Module) -> set[str]:
    """The names of the running statistics of a model's BatchNorm layers, those of a shared layer once."""
    return {
        f"{name}.{key}".lstrip(".")
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
        for key, _ in module.named_buffers(recurse=False)
    }


def tracks_statistics(model: nn.Module) -> bool:
    """Whether a model has BatchNorm layers with running statistics."""
    return bool(statistics_of(model))


class RecomputedStatistics:
    """A function (parameters, buffers, done) -> buffers whose BatchNorm statistics are those of some inputs.

    The statistics are the cumulative average over batches of 1,000 in file order, a lone last sample joining the
    batch before it, with dropout off, as in Izmailov et al. 2018 (arXiv:1803.05407, §3.2).
    """

    def __init__(self, model: nn.Module, inputs: Any, dtype: torch.dtype = torch.float32) -> None:
        """model: left as it is; inputs: [N, ...], or a mapping of such tensors; dtype: of the arithmetic."""
        self.inputs, self.dtype, self.samples = batch_of(inputs), dtype, len(inputs)
        self.model = private(model, self.inputs.device, dtype)
        self.estimated = statistics_of(self.model)
        for module in self.model.modules():
            if isinstance(module, _BatchNorm) and module.track_running_stats:
                module.train()
                module.momentum = None  # torch: None is the cumulative average
                module.reset_running_stats()
        self.ties = ties_of(self.model)
        self.habits = habits_of(self.model, cast(self.inputs[:2], dtype))

    @cached_property
    def small(self) -> bool:
        """Whether a batch is over before threads of torch could help."""
        if self.inputs.device.type != "cpu" or not has_floats(self.inputs):
            return False
        return summarise(self.model, self.inputs).multiply_adds * min(BATCH, self.samples) <= SMALL_PASS

    def __call__(self, parameters: Params, buffers: Params, done: Callable[[int], None] | None = None) -> Params:
        """The buffers at a point; done: called after each batch with its samples."""
        values = {name: _in(value, self.dtype) for name, value in parameters.items()}
        fresh = {name: value.clone() for name, value in self.model.named_buffers()}
        fresh |= {name: _in(value, self.dtype).clone() for name, value in buffers.items() if name not in self.estimated}
        for batch in _batches(self.inputs):
            # BatchNorm updates the buffers it is given in place
            with arithmetic(self.inputs.device, "fp32"):
                batch = cast(batch, self.dtype)
                if isinstance(batch, Tensor):
                    batch = laid_out(batch, self.habits.channels_last)
                called_with(self.model, self.ties, values | fresh, self.habits.spared(batch))
            if done is not None:
                done(len(batch))
        return fresh

    def on(self, device: torch.device) -> "RecomputedStatistics":
        """The same function on another device."""
        return RecomputedStatistics(self.model, self.inputs.to(device), self.dtype)


def _batches(inputs: Inputs) -> Iterator[Inputs]:
    """Batches of 1,000 in file order; a single sample has no variance, so it is never alone at the end."""
    ends = list(range(BATCH, len(inputs), BATCH))
    if ends and len(inputs) % BATCH == 1:
        ends.pop()
    for start, end in pairwise([0, *ends, len(inputs)]):
        yield inputs[start:end]


def _in(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.detach().to(dtype) if value.is_floating_point() else value

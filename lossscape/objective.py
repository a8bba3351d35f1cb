"""An objective: fixed data, a model's structure and a loss, as a function of the parameters.

The model that is handed over is never changed: an Objective works on a private copy in eval mode, and every
evaluation is given the parameters and buffers to use (`torch.func.functional_call`). Losses are computed in
float64 from the net's outputs and summed in float64, so the mean is that of all samples and not of batches.
"""

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lossscape.errors import BadInput, one_of
from lossscape.losses import LOSSES, Loss
from lossscape.models.summary import summarise
from lossscape.vectors import Params

Precision = Literal["fp64", "fp32", "bf16"]
CACHE_BYTES = 4 * 2**20
"""Activations of a chunk that stay in a CPU core's cache: convolutions then run 2 to 3 times faster."""
CUDA_BYTES = 2**30
INTEGER_CHUNK = 256
"""For nets that take integers (tokens), whose activations are not measured."""


class Metrics(NamedTuple):
    """Means over all samples."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Plan:
    """How an objective is evaluated: results under the same plan and threads have the same bits."""

    chunk: int
    """Samples that pass through the net at once."""
    channels_last: bool
    name: Literal["dense", "factored"] = "dense"
    """dense: a forward pass a point; factored: the first layer's products once, then one multiply-add a point."""


def exact_fp32(device: torch.device) -> AbstractContextManager[None]:
    """A context in which convolutions of float32 are float32: cuDNN rounds their inputs to TF32 by default."""
    return torch.backends.cudnn.flags(allow_tf32=False) if device.type == "cuda" else nullcontext()


def has_convolutions(model: nn.Module) -> bool:
    """Whether a model has 2-D convolutions, which run fastest in small chunks and channels_last."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def cache_chunk(model: nn.Module, shape: tuple[int, ...], device: torch.device) -> int:
    """How many samples to push through a net at once so that the largest activation stays in the cache."""
    sizes = [torch.Size(shape).numel(), summarise(model, shape).largest_activation]
    budget = CACHE_BYTES if device.type == "cpu" else CUDA_BYTES
    power = max(budget // (4 * max(sizes)), 8).bit_length() - 1
    return int(min(2**power, 2**14))


def choose_plan(model: nn.Module, inputs: Tensor) -> Plan:
    """The plan for a model on inputs [N, ...] and their device, the same one on every start."""
    chunk = INTEGER_CHUNK
    if inputs.is_floating_point():
        chunk = cache_chunk(model, tuple(inputs.shape[1:]), inputs.device)
    return Plan(chunk=chunk, channels_last=has_convolutions(model))


class Objective:
    """Loss and accuracy of a model structure on fixed data, as a function of parameters and buffers."""

    def __init__(
        self,
        model: nn.Module,
        loss: str | Loss,
        inputs: Tensor,
        targets: Tensor,
        *,
        precision: Precision = "fp32",
        plan: Plan | None = None,
    ) -> None:
        """model: any module, left as it is; loss: a name of LOSSES or a function (outputs, targets) -> [N] losses.

        inputs: [N, ...]; targets: class numbers [N] or distributions [N, C]; both stay on their device, where
        all is computed. Raises BadInput where the lengths differ or the loss is unknown.
        """
        if len(inputs) != len(targets) or not len(inputs):
            raise BadInput(
                f"{len(inputs)} inputs and {len(targets)} targets: both need the same length, at least 1"
            )
        if targets.ndim > 2 or (targets.ndim == 2) != targets.is_floating_point():
            raise BadInput(
                f"targets of {targets.dtype} with shape {list(targets.shape)}: class numbers are integers [N], "
                "distributions over classes are floats [N, C]"
            )
        if isinstance(loss, str) and loss not in LOSSES:
            raise BadInput(one_of("loss", loss, LOSSES))
        self.loss: Loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.device = inputs.device
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        self.precision = precision
        self.inputs, self.targets = inputs, targets
        # a private copy: nothing may change it, and calls override its values
        self.model = copy.deepcopy(model).to(self.device, self.dtype).requires_grad_(False).eval()
        self.plan = plan or choose_plan(self.model, inputs)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    def parameters(self) -> Params:
        """The values that the model had when it was handed over, in the objective's precision."""
        return dict(self.model.named_parameters())

    def buffers(self) -> Params:
        """Likewise its buffers (BatchNorm's statistics among them)."""
        return dict(self.model.named_buffers())

    def metrics(
        self,
        parameters: Params | None = None,
        buffers: Params | None = None,
        done: Callable[[int], None] | None = None,
    ) -> Metrics:
        """Mean loss and accuracy at the given parameters and buffers (default: the model's own).

        done: called after each chunk with its number of samples. Without class targets accuracy is that of the
        largest target. A loss that is not finite is returned as it is.
        """
        values = self.prepared(parameters, buffers)
        return self.mean(
            (self.forward(values, inputs) for inputs in self.inputs.split(self.plan.chunk)), done
        )

    def mean(self, outputs: Iterable[Tensor], done: Callable[[int], None] | None = None) -> Metrics:
        """Mean loss and accuracy of the net's outputs, given chunk by chunk of the plan's size."""
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        for z, targets in zip(outputs, self.targets.split(self.plan.chunk), strict=True):
            losses = self.loss(z, targets)
            if losses.shape != (len(z),):
                raise BadInput(
                    f"the loss gives shape {list(losses.shape)} for {len(z)} samples; one loss each is needed "
                    "(of torch's losses: reduction='none')"
                )
            loss += losses.sum(dtype=torch.float64)
            labels = targets if targets.ndim == 1 else targets.argmax(1)
            right += (z.argmax(1) == labels).sum()
            if done is not None:
                done(len(z))
        return Metrics(float(loss) / len(self), float(right) / len(self))

    def outputs(
        self,
        parameters: Params | None = None,
        buffers: Params | None = None,
        done: Callable[[int], None] | None = None,
    ) -> Tensor:
        """The net's outputs for all samples, [N, C] in float64."""
        values = self.prepared(parameters, buffers)
        parts = []
        for inputs in self.inputs.split(self.plan.chunk):
            parts.append(self.forward(values, inputs))
            if done is not None:
                done(len(inputs))
        return torch.cat(parts)

    def prepared(self, parameters: Params | None, buffers: Params | None) -> Params:
        """Parameters and buffers on the objective's device, in its precision and memory layout."""
        given = (parameters or {}) | (buffers or {})
        values = {
            name: value.to(self.device, self.dtype if value.is_floating_point() else None)
            for name, value in given.items()
        }
        if self.plan.channels_last:
            values = {
                name: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
                for name, value in values.items()
            }
        return values

    @torch.no_grad()
    def forward(self, values: Params, inputs: Tensor, module: nn.Module | None = None) -> Tensor:
        """Outputs in float64 for one chunk, with values from `prepared`; module: a part of the model in its place."""
        inputs = inputs.to(self.dtype) if inputs.is_floating_point() else inputs
        if self.plan.channels_last and inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with (
            exact_fp32(self.device),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"),
        ):
            outputs: Tensor = torch.func.functional_call(module or self.model, values, (inputs,))
        return outputs.double()

"""How large a model is: before it is built, and once it stands."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossscape.batches import Batch, Inputs, called, tensors_of
from lossscape.devices import memory
from lossscape.errors import BadInput
from lossscape.modules import copied

COPIES = 4
"""Numbers held for each parameter in training: value, gradient and up to two of an optimizer's state."""


@dataclass(frozen=True)
class Summary:
    """What a model costs, for one sample."""

    parameters: int
    """A shared parameter counts once."""
    layers: int
    """Linear and convolution modules."""
    multiply_adds: int
    """Of linear and convolution modules, biases aside; a module used twice counts twice."""
    largest_activation: int
    """Elements of the largest output of any module."""
    outputs: tuple[int, ...]
    """Shape of the model's output; () where it is no tensor."""
    has_batch_norm: bool
    has_dropout: bool


def check_size(build: Callable[[], Any], name: str) -> None:
    """Build on torch's meta device, which holds no numbers, and refuse what this machine cannot hold.

    build: makes the model; name: of the model, for the message. torch's random state stays as it was.
    A builder that fails there is not judged: it may need numbers, and says for itself what is wrong with it.
    Raises BadInput where parameters, gradients and optimizer state exceed the machine's memory.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            with torch.device("meta"):
                model = build()
        except BadInput:
            raise
        except Exception:  # a user's builder may raise anything where tensors hold no numbers
            return
    if not isinstance(model, nn.Module):
        return
    values = [value for value in model.parameters() if not nn.parameter.is_lazy(value)]
    needed = COPIES * sum(value.numel() * value.element_size() for value in values)
    if needed > memory():
        count = sum(value.numel() for value in values)
        raise BadInput(
            f"model {name!r} would have {count:,} parameters; with gradients "
            f"and optimizer state they take {needed / 1e9:,.0f} GB, this machine has {memory() / 1e9:,.0f} GB: "
            "choose smaller sizes"
        )


def has_batch_norm(model: nn.Module) -> bool:
    """Whether the samples of a batch pass through a model together, in training."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())


def summarise(model: nn.Module, example: tuple[int, ...] | Inputs) -> Summary:
    """Count a model's parameters, layers and work by passing two samples through a copy of it in eval mode.

    example: the shape of one input of floats, or inputs [N, ...]. The model, its buffers and its training
    flags stay as they are. Raises BadInput where the model does not take inputs of this shape.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            # not on the meta device: what that imports takes longer than such a pass
            work, output = _pass(copied(model), example)
        except Exception as error:  # whatever the user's forward raises is the user's to read
            reason = (str(error).strip().splitlines() or [""])[0]
            kinds = {str(value.dtype).removeprefix("torch.") for value in model.parameters()} - {"float32"}
            given = f"{_shown(example)}{''.join(f' in {kind}' for kind in sorted(kinds))}"
            raise BadInput(
                f"the model does not take inputs of shape {given}: {type(error).__name__}: {reason}"
            ) from error
    modules = list(model.modules())
    return Summary(
        parameters=sum(value.numel() for value in model.parameters()),
        layers=sum(isinstance(module, nn.Linear | nn.modules.conv._ConvNd) for module in modules),
        multiply_adds=work.multiply_adds,
        largest_activation=work.largest,
        outputs=tuple(output.shape[1:]) if isinstance(output, Tensor) else (),
        has_batch_norm=has_batch_norm(model),
        has_dropout=any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in modules),
    )


class _Work:
    """A forward hook that adds up what it sees; `SAMPLES` pass at once, the sums are for one."""

    SAMPLES = 2

    def __init__(self) -> None:
        self.multiply_adds = 0
        self.largest = 0

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            self.largest = max(self.largest, output.numel() // self.SAMPLES)
            self.multiply_adds += _multiply_adds(module, inputs[0] if inputs else output, output) // self.SAMPLES


def _multiply_adds(module: nn.Module, given: Tensor, output: Tensor) -> int:
    """Multiply-adds of a linear or convolution module in one call; 0 of any other."""
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return given.numel() * module.out_channels // module.groups * math.prod(module.kernel_size)
    if isinstance(module, nn.modules.conv._ConvNd):
        return output.numel() * (module.in_channels // module.groups) * math.prod(module.kernel_size)
    return 0


def _pass(model: nn.Module, example: tuple[int, ...] | Inputs) -> tuple[_Work, Any]:
    """Pass two samples through `model`, which is changed, and return the work counted and the output."""
    value = next((value for value in model.parameters() if value.is_floating_point()), torch.zeros(()))
    work = _Work()
    for module in model.modules():
        module.register_forward_hook(work)
    with torch.no_grad():
        return work, called(model.eval(), _samples(example, value.dtype, value.device))


def _samples(example: tuple[int, ...] | Inputs, dtype: torch.dtype, device: torch.device) -> Inputs:
    """Two samples: zeros of a shape, or of an example (zeros would be a mask in which nothing counts)."""
    if isinstance(example, tuple):
        return torch.zeros(_Work.SAMPLES, *example, dtype=dtype, device=device)
    made = {
        name: each[[0, -1]].to(device, dtype if each.is_floating_point() else each.dtype)
        for name, each in tensors_of(example).items()
    }
    return Batch(made) if isinstance(example, Batch) else made["inputs"]


def _shown(example: tuple[int, ...] | Inputs) -> str:
    if isinstance(example, Batch):
        return ", ".join(f"{name} {_shown(tuple(each.shape[1:]))}" for name, each in example.tensors.items())
    shape = example if isinstance(example, tuple) else example.shape[1:]
    return f"[N, {', '.join(map(str, shape))}]"

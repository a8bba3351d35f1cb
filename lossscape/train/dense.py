"""A training pass of a plain MLP by the operations that autograd would call, without its graph: the same bits."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lossscape import losses

if TYPE_CHECKING:
    from lossscape.train.loop import Setup

_ATEN = torch.ops.aten
ACTIVATIONS: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    nn.ReLU: (torch.relu_, lambda slope, value: _ATEN.threshold_backward.default(slope, value, 0)),
    nn.Tanh: (torch.tanh_, _ATEN.tanh_backward.default),
    nn.Sigmoid: (torch.sigmoid_, _ATEN.sigmoid_backward.default),
}
"""By module: in place, and the slope before it of the slope behind it and its value."""
EACH, IGNORED = 0, -100
"""For torch's nll_loss: a loss for each sample, and the class that it leaves out by default."""


class Dense:
    """The cross-entropy of Linear layers with activations between them, and its gradient."""

    def __init__(self, linear: list[nn.Linear], activations: list[type[nn.Module]]) -> None:
        """activations: of all linear layers but the last."""
        self._weights = [layer.weight for layer in linear]
        self._biases = [layer.bias for layer in linear]
        self._activations = [ACTIVATIONS[kind] for kind in activations]

    @torch.no_grad()
    def backward(self, inputs: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Leave the gradient of `weight` times the sum of the losses in the parameters; returns what it is the one of.

        inputs: [n, …]; targets: class numbers [n].
        """
        values = [inputs.flatten(1)]
        for matrix, bias, (forwards, _) in zip(self._weights, self._biases, self._activations, strict=False):
            values.append(forwards(torch.addmm(bias, values[-1], matrix.t())))
        outputs = torch.addmm(self._biases[-1], values[-1], self._weights[-1].t())
        logs = torch.log_softmax(outputs, 1)
        each, count = _ATEN.nll_loss_forward.default(logs, targets, None, EACH, IGNORED)
        summed = each.sum()
        slope = _ATEN.nll_loss_backward.default(
            torch.full_like(summed, weight).expand_as(each), logs, targets, None, EACH, IGNORED, count
        )
        slope = _ATEN._log_softmax_backward_data.default(slope, logs, 1, torch.float32)
        for index in reversed(range(len(values))):
            matrix, value = self._weights[index], values[index]
            matrix.grad, self._biases[index].grad = slope.t().mm(value), slope.sum(0)
            if index:
                slope = self._activations[index - 1][1](slope.mm(matrix), value)
        return summed * weight


def dense_of(setup: "Setup") -> Dense | None:
    """The pass of a setup's net; None where it is none of these, or has other bits here than autograd."""
    layers = list(setup.module) if type(setup.module) is nn.Sequential else []
    layers = layers[1:] if layers and type(layers[0]) is nn.Flatten else layers
    linear, between = layers[::2], [type(layer) for layer in layers[1::2]]
    inputs, targets = setup.data.train
    values = list(setup.module.parameters())
    plain = (
        len(layers) % 2 == 1
        and all(type(layer) is nn.Linear and layer.bias is not None for layer in linear)
        and all(kind in ACTIVATIONS for kind in between)
        and all(value.requires_grad and value.dtype == torch.float32 for value in values)
        and losses.plain(setup.loss) is losses.cross_entropy
        and not _hooked(setup.module)
    )
    config = setup.experiment
    simple = setup.device.type == "cpu" and config.precision == "fp32" and setup.output is None and not setup.held
    if not (plain and simple and targets.dtype == torch.int64 and targets.ndim == 1):
        return None
    if not isinstance(inputs, Tensor) or inputs.dtype != torch.float32 or config.loss.label_smoothing:
        return None
    found = Dense([layer for layer in linear if isinstance(layer, nn.Linear)], between)
    some = slice(min(setup.step_size, setup.micro_batch))
    return found if _same(setup, found, (inputs[some], targets[some])) else None


def _hooked(module: nn.Module) -> bool:
    """Whether anything else is to be called in a pass: a hook may do something of its own at every call."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    of_values = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(each, name) for each in module.modules() for name in hooks) or any(
        getattr(value, name) for value in module.parameters() for name in of_values
    )


def _same(setup: "Setup", found: Dense, part: tuple[Tensor, Tensor]) -> bool:
    """Whether a pass has autograd's bits: the operations depend on the shapes only, so on other samples too."""
    inputs, targets = part
    values, weight = list(setup.module.parameters()), 1 / len(inputs)
    summed = setup.loss(setup.module(inputs), targets).sum()
    expected = torch.autograd.grad(summed, values, torch.full_like(summed, weight))
    total = found.backward(inputs, targets, weight)
    same = torch.equal(total, summed.detach() * weight) and all(
        value.grad is not None and torch.equal(value.grad, wanted)
        for value, wanted in zip(values, expected, strict=True)
    )
    for value in values:
        value.grad = None
    return same

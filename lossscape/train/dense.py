"""A training pass of a plain MLP by the operations that autograd would call, without its graph: the same bits.

With oneDNN's products in place of torch's the bits are others.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lossscape import losses, onednn
from lossscape.held import Held
from lossscape.train.products import ONEDNN, PRODUCTS, TORCH, Products

if TYPE_CHECKING:
    from lossscape.train.loop import Setup

_ATEN = torch.ops.aten
ACTIVATIONS: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    nn.ReLU: (torch.relu_, lambda slope, value: _ATEN.threshold_backward.default(slope, value, 0)),
    nn.Tanh: (torch.tanh_, _ATEN.tanh_backward.default),
    nn.Sigmoid: (torch.sigmoid_, _ATEN.sigmoid_backward.default),
}
"""By module: in place, and the slope before it of the slope behind it and its value."""
NEAR = 0.02
"""Relative difference of a gradient from autograd's where products are summed in another order.

That turns the sign of a value before a ReLU now and then, which is up to a hundredth of the gradient of a batch.
"""


class Dense:
    """The cross-entropy of Linear layers with activations between them, and its gradient."""

    def __init__(self, linear: list[nn.Linear], activations: list[type[nn.Module]], products: Products) -> None:
        """activations: of all linear layers but the last."""
        self._affine, self._product, self._cross_entropy = products
        self._weights = [layer.weight for layer in linear]
        self._biases = [layer.bias for layer in linear]
        self._activations = [ACTIVATIONS[kind] for kind in activations]

    @torch.no_grad()
    def backward(self, inputs: Tensor, targets: Tensor, weight: float) -> Tensor:
        """Leave the gradient of `weight` times the sum of the losses in the parameters; returns what it is the one of.

        inputs: [n, …]; targets: class numbers [n].
        """
        values = [inputs.flatten(1) if inputs.ndim > 2 else inputs]
        for matrix, bias, (forwards, _) in zip(self._weights, self._biases, self._activations, strict=False):
            values.append(forwards(self._affine(values[-1], matrix, bias)))
        outputs = self._affine(values[-1], self._weights[-1], self._biases[-1])
        loss, slope = self._cross_entropy(outputs, targets, weight)
        for index in reversed(range(len(values))):
            matrix, value = self._weights[index], values[index]
            matrix.grad, self._biases[index].grad = self._product(slope.t(), value), slope.sum(0)
            if index:
                slope = self._activations[index - 1][1](self._product(slope, matrix), value)
        return loss


def dense_of(setup: "Setup") -> dict[str, Dense]:
    """The passes of a setup's net, by what makes their products; empty where the net is none of these.

    With torch's products it is there where it has autograd's bits here; whether one has its values `agrees` tells.
    """
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
        return {}
    if not isinstance(inputs, Tensor | Held) or config.loss.label_smoothing:
        return {}
    if _first(setup)[0].dtype != torch.float32:
        return {}
    of = [layer for layer in linear if isinstance(layer, nn.Linear)]
    there = [TORCH, ONEDNN] if onednn.has_onednn() else [TORCH]
    found = {name: Dense(of, between, PRODUCTS[name]) for name in there}
    return {name: each for name, each in found.items() if name != TORCH or agrees(setup, each, 0.0)}


def _hooked(module: nn.Module) -> bool:
    """Whether anything else is to be called in a pass: a hook may do something of its own at every call."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    of_values = ("_backward_hooks", "_post_accumulate_grad_hooks")
    return any(getattr(each, name) for each in module.modules() for name in hooks) or any(
        getattr(value, name) for value in module.parameters() for name in of_values
    )


def _first(setup: "Setup") -> tuple[Any, Tensor]:
    """As many samples as go through the net at once."""
    inputs, targets = setup.data.train
    some = slice(min(setup.step_size, setup.micro_batch))
    return inputs[some], targets[some]


def agrees(setup: "Setup", found: Dense, within: float = NEAR) -> bool:
    """Whether a pass gives what autograd does: the operations depend on the shapes only, so on other samples too.

    within: relative to the norm of each gradient; 0: to the bit. A gradient that is all but 0 is mostly rounding, so
    that this is to be asked of new weights, and once.
    """
    inputs, targets = _first(setup)
    values, weight = list(setup.module.parameters()), 1 / len(inputs)
    summed = setup.loss(setup.module(inputs), targets).sum()
    expected = torch.autograd.grad(summed, values, torch.full_like(summed, weight))
    total = found.backward(inputs, targets, weight)
    pairs = [(total, summed.detach() * weight), *zip((value.grad for value in values), expected, strict=True)]
    for value in values:
        value.grad = None
    return all(one is not None and _near(one, other, within) for one, other in pairs)


def _near(value: Tensor, expected: Tensor, within: float) -> bool:
    if within == 0:
        return torch.equal(value, expected)
    return float((value - expected).norm()) <= within * float(expected.norm())

"""Initial values: functions that fill a model in place.

They set linear and convolution layers. The layers of normalisation and activation keep torch's values
(scale 1, shift 0, slope of prelu 0.25), as does every parameter that a model holds in some other way.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lossscape.families import Component, Family, Number, Rate


class InitOptions(Component):
    """What all initial values share: nothing but the name."""


def default(module: nn.Module) -> None:
    """The values that the layers themselves draw: for linear and convolution U(±1/√n_in), biases too."""


def constant(module: nn.Module, *, value: Number) -> None:
    """Every weight and bias is `value`: all units of a layer are equal, and stay so in training."""
    for layer in layers_of(module).values():
        nn.init.constant_(layer.weight, value)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, value)


def normal(module: nn.Module, *, std: Rate) -> None:
    """Weights N(0, std²), biases 0."""
    _normal(module, lambda n_in, n_out: std)


def xavier(module: nn.Module) -> None:
    """Weights N(0, 2/(n_in + n_out)), biases 0; for tanh and sigmoid (Glorot and Bengio, AISTATS 2010)."""
    _normal(module, lambda n_in, n_out: math.sqrt(2 / (n_in + n_out)))


def he(module: nn.Module) -> None:
    """Weights N(0, 2/n_in), biases 0; for ReLU (He et al., arXiv:1502.01852)."""
    _normal(module, lambda n_in, n_out: math.sqrt(2 / n_in))


def lecun(module: nn.Module) -> None:
    """Weights N(0, 1/n_in), biases 0 (LeCun et al., Efficient BackProp, 1998)."""
    _normal(module, lambda n_in, n_out: math.sqrt(1 / n_in))


Layer = nn.Linear | nn.modules.conv._ConvNd


def layers_of(module: nn.Module) -> dict[str, Layer]:
    """The layers that initial values set, by name, in the module's order."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, Layer)}


def units_of(layer: Layer) -> Tensor:
    """The weights that lead into each unit of a layer, and its bias: [units, weights]."""
    weight = layer.weight.detach()
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):  # [inputs, units of a group, ...]
        weight = torch.cat([part.transpose(0, 1) for part in weight.chunk(layer.groups)])
    rows = weight.flatten(1)
    return rows if layer.bias is None else torch.cat([rows, layer.bias.detach()[:, None]], dim=1)


def _normal(module: nn.Module, spread: Callable[[int, int], float]) -> None:
    """Normal weights with σ = spread(n_in, n_out), and zero biases."""
    for layer in layers_of(module).values():
        nn.init.normal_(layer.weight, 0.0, spread(*_fans(layer)))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _fans(layer: Layer) -> tuple[int, int]:
    """How many inputs a unit of the layer sums, and how many units one of its inputs reaches (stride 1)."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    window = math.prod(layer.kernel_size)
    return layer.in_channels // layer.groups * window, layer.out_channels // layer.groups * window


INITIAL: dict[str, Callable[..., None]] = {
    each.__name__: each for each in (default, constant, normal, xavier, he, lecun)
}
FAMILY = Family(INITIAL, InitOptions, given=("module",))


def initialise(model: nn.Module, spec: Component) -> None:
    """Fill `model` in place with the initial values that `spec` names, from torch's global generator."""
    with torch.no_grad():
        FAMILY.bound(spec)(model)

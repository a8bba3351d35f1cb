"""oneDNN's products of matrices, which come with torch beside its own, and its convolutions of packed weights.

Torch makes those of float32 with MKL, which does without AVX-512 on processors that are not Intel's: there oneDNN
takes half the time for all but the smallest. Sums are taken in another order by each. Its convolutions are oneDNN's
too, but bring the weight into oneDNN's layout at every call, which for the deep layers of a large net takes as long as
the convolution of a few samples.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossscape import devices

ENOUGH = 2_000_000
"""Multiply-adds of a product from which on oneDNN makes it: what it does beside multiplying takes about 15 µs.

Another number would change the bits of runs and results that are continued.
"""


def has_onednn() -> bool:
    """Whether this torch has oneDNN and its product."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def pays(device: torch.device) -> bool:
    """Whether it should be faster than torch's own products there: by rule, so that the same work has the same bits."""
    wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    slow = wide and "Intel" not in devices.name_of(torch.device("cpu"))
    return device.type == "cpu" and slow and has_onednn()


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Of inputs [..., i], weight [o, i] and bias [o], all float32: [..., o], however small it is."""
    made: Tensor = torch.ops.mkldnn._linear_pointwise.default(inputs, weight, bias, "none", [], "")
    return made


def linear_where_large(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same, by oneDNN where that is `ENOUGH`."""
    if inputs.numel() * len(weight) < ENOUGH:
        return nn.functional.linear(inputs, weight, bias)
    return linear(inputs, weight, bias)


class Linear(nn.Module):
    """A linear layer with the values of another, multiplied by oneDNN where that is `ENOUGH`."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., inputs] to [..., outputs]."""
        return linear_where_large(inputs, self.weight, self.bias)


def by_onednn(layer: nn.Module) -> nn.Module:
    """A layer of the same values by oneDNN where it is a linear one, else itself."""
    return Linear(layer) if type(layer) is nn.Linear else layer


def has_packing() -> bool:
    """Whether this torch has oneDNN's convolutions of weights in its own layout."""
    packs = hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    return torch.backends.mkldnn.is_available() and packs and hasattr(torch.ops.mkldnn, "_convolution_pointwise")


def both_of(option: int | Sequence[int]) -> tuple[int, int]:
    """A 2-D convolution's option for rows and columns, of which torch takes one number too (`layer.stride = 1`)."""
    numbers = (option,) if isinstance(option, int) else tuple(option)
    return numbers[0], numbers[-1]


def can_pack(layer: nn.Conv2d) -> bool:
    """Whether a convolution pads with zeros, so many as it says."""
    return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


class Convolution(nn.Module):
    """A convolution with the values of another, made by oneDNN of a weight that `packed` has laid out.

    What follows stays torch's: oneDNN's ReLU in the same pass makes 0 of NaN.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        assert not isinstance(layer.padding, str)
        self.how = (both_of(layer.padding), both_of(layer.stride), both_of(layer.dilation), layer.groups)

    def packed(self, weight: Tensor, inputs: tuple[int, ...]) -> Tensor:
        """A weight [o, i, h, w] as oneDNN wants it for inputs [N, C, H, W] of this shape, which only oneDNN reads.

        It is right for inputs of any other shape too, but may be laid out anew for each.
        """
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # whose stub knows fewer arguments
        made: Tensor = reorder(weight.to_mkldnn(), *self.how, inputs)
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, C, H, W] to [N, o, H', W'], in channels_last."""
        made: Tensor = torch.ops.mkldnn._convolution_pointwise.default(
            inputs, self.weight, self.bias, *self.how, "none", [], ""
        )
        return made

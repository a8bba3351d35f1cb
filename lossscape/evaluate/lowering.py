"""Convolutions as products of matrices, where they are nothing else.

A kernel of one pixel multiplies every pixel by its weight; one whose windows all cover the whole of a small map has a
weight for every pair of pixels, in and out. oneDNN's convolutions of maps of a few pixels take up to ten times as
long as the product of the pixels of all pictures. (Chellapilla, Puri and Simard, "High performance convolutional
neural networks for document processing", 2006, call this unrolling.)
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lossscape.onednn import both_of

Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Of inputs [N, i], weight [o, i] and bias [o] or None: [N, o]."""
Taps = list[list[int]]
"""By the pixels out and in along a dimension: which number of the kernel is between them."""
GROWTH = 2
"""Times the numbers of a weight that the matrix in its place may have at most."""


class Pointwise(nn.Module):
    """A convolution with a kernel of one pixel, with the values of another."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d, multiply: Product) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, self.multiply = both_of(layer.stride), multiply

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, C, H, W] to [N, o, H', W'], in channels_last."""
        pixels = inputs.permute(0, 2, 3, 1)[:, :: self.stride[0], :: self.stride[1]]
        made = self.multiply(pixels.flatten(0, 2), self.weight.flatten(1), self.bias)
        return made.unflatten(0, pixels.shape[:3]).permute(0, 3, 1, 2)


class Covering(nn.Module):
    """A convolution whose windows all cover the whole map, with the values of another and a weight made by `matrix`."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d, multiply: Product, taps: tuple[Taps, Taps]) -> None:
        """taps: of rows and of columns."""
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.multiply, self.taps = multiply, [torch.tensor(each) for each in taps]
        self.size = (len(taps[0]), len(taps[1]))

    def matrix(self, weight: Tensor) -> Tensor:
        """A weight [o, C, h, w] as [H' · W' · o, H · W · C]."""
        down, right = self.taps
        spread = weight.permute(2, 3, 0, 1).contiguous()[down[:, :, None, None], right]  # [H', H, W', W, o, C]
        return spread.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)

    def repeated(self, bias: Tensor) -> Tensor:
        """A bias [o] as [H' · W' · o]."""
        return bias.repeat(self.size[0] * self.size[1])

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, C, H, W] to [N, o, H', W'], in channels_last."""
        made = self.multiply(inputs.permute(0, 2, 3, 1).flatten(1), self.weight, self.bias)
        return made.unflatten(1, (*self.size, -1)).permute(0, 3, 1, 2)


def lowered(layer: nn.Conv2d, shape: tuple[int, ...], multiply: Product) -> Pointwise | Covering | None:
    """A convolution of pictures [C, H, W] as a product of matrices; None where it is more than one."""
    if layer.groups > 1 or isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        return None
    kernel, padding = tuple(layer.weight.shape[2:]), both_of(layer.padding)
    if kernel == (1, 1) and padding == (0, 0):
        return Pointwise(layer, multiply)
    along = zip(shape[1:], kernel, both_of(layer.stride), padding, both_of(layer.dilation), strict=True)
    rows, columns = (_taps(*each) for each in along)
    if rows is None or columns is None:
        return None
    matrix = len(rows) * len(rows[0]) * len(columns) * len(columns[0])
    return Covering(layer, multiply, (rows, columns)) if matrix <= GROWTH * layer.weight[0, 0].numel() else None


def _taps(pixels: int, kernel: int, stride: int, padding: int, dilation: int) -> Taps | None:
    """Along a dimension of so many pixels; None where a window leaves a pixel out."""
    made = (pixels + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    apart = [[pixel + padding - stride * out for pixel in range(pixels)] for out in range(made)]
    met = all(each % dilation == 0 and 0 <= each < dilation * kernel for row in apart for each in row)
    return [[each // dilation for each in row] for row in apart] if met else None

"""The plain convolutional net."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import nn

from lossscape.errors import BadInput
from lossscape.families import SPARSE, Fraction, Size
from lossscape.models.activations import ACTIVATIONS, Activation
from lossscape.models.contrast import LocalContrast
from lossscape.models.recognised import recognised


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError(f"{size} is even; allowed: odd sizes, which keep the size of the maps")
    return size


KernelSize = Annotated[int, Field(ge=1, le=99), AfterValidator(_odd)]
CHANNELS = [128, 64, 32, 16, 10]
POOLINGS = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


@recognised
def cnn(
    shape: tuple[int, ...],
    classes: int,
    *,
    channels: Annotated[list[Size], Field(min_length=1, max_length=1000)] = CHANNELS,
    kernel_size: KernelSize = 3,
    pooling: Literal["none", "max", "avg"] = "none",
    activation: Activation = "relu",
    batch_norm: bool = False,
    dropout: Fraction = 0.0,
    bias: bool = True,
    local_contrast: Annotated[bool, SPARSE] = False,
) -> nn.Module:
    """Blocks of convolution [– batch norm] – activation [– local contrast] [– pooling] [– dropout], then an average.

    shape: (C, H, W) of one picture; classes: outputs; padding: kernel_size // 2; pooling: 2×2 between blocks;
    local_contrast: subtractive and divisive normalisation of each block's maps (Jarrett et al., ICCV 2009).
    Where channels[-1] == classes, the last convolution is followed by the average alone, which is then the
    output (the form of Wang and Thawonmas); otherwise the last block is like the others and a linear layer
    follows the average. Returns a flat nn.Sequential, [N, C, H, W] to [N, classes].
    Raises BadInput where inputs are no pictures or pooling leaves nothing of the map.
    """
    check_picture("cnn", shape)
    if pooling != "none" and min(shape[1:]) >> (len(channels) - 1) == 0:
        raise BadInput(
            f"model 'cnn': pictures of {shape[1]}×{shape[2]} are too small to be halved {len(channels) - 1} "
            "times; use fewer channels or pooling: none"
        )
    net = nn.Sequential()
    width = shape[0]
    for number, size in enumerate(channels, start=1):
        last = number == len(channels)
        conv = nn.Conv2d(width, size, kernel_size, padding=kernel_size // 2, bias=bias)
        net.add_module(f"conv{number}", conv)
        width = size
        if last and size == classes:
            break
        if batch_norm:
            net.add_module(f"norm{number}", nn.BatchNorm2d(size))
        net.add_module(f"activation{number}", ACTIVATIONS[activation]())
        if local_contrast:
            net.add_module(f"contrast{number}", LocalContrast())
        if pooling != "none" and not last:
            net.add_module(f"pool{number}", POOLINGS[pooling](2))
        if dropout:
            net.add_module(f"dropout{number}", nn.Dropout(dropout))
    net.add_module("average", nn.AdaptiveAvgPool2d(1))
    net.add_module("flatten", nn.Flatten())
    if width != classes:
        net.add_module("output", nn.Linear(width, classes, bias=bias))
    return net


def check_picture(model: str, shape: tuple[int, ...]) -> None:
    """Raise BadInput unless `shape` is (channels, height, width)."""
    if len(shape) != 3:
        raise BadInput(
            f"model {model!r} takes pictures of shape [C, H, W], and the inputs of this data set have the "
            f"shape {list(shape)}; use model 'mlp' or a data set of pictures"
        )

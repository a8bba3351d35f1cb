"""The multilayer perceptron."""

import math
from typing import Annotated

from pydantic import Field
from torch import nn

from lossscape.families import Fraction, Size
from lossscape.models.activations import ACTIVATIONS, Activation
from lossscape.models.recognised import recognised

HIDDEN = [100, 100]


@recognised
def mlp(
    shape: tuple[int, ...],
    classes: int,
    *,
    hidden: Annotated[list[Size], Field(max_length=1000)] = HIDDEN,
    activation: Activation = "relu",
    dropout: Fraction = 0.0,
    batch_norm: bool = False,
    bias: bool = True,
) -> nn.Module:
    """Flatten, then linear [– batch norm] – activation [– dropout] for each hidden size, then a linear layer.

    shape: of one input, any number of axes; classes: outputs. `hidden: []` is softmax regression.
    bias: of every linear layer, the last too. Returns a flat nn.Sequential, [N, *shape] to [N, classes].
    """
    net = nn.Sequential()
    net.add_module("flatten", nn.Flatten())
    width = math.prod(shape)
    for number, size in enumerate(hidden, start=1):
        net.add_module(f"linear{number}", nn.Linear(width, size, bias=bias))
        if batch_norm:
            net.add_module(f"norm{number}", nn.BatchNorm1d(size))
        net.add_module(f"activation{number}", ACTIVATIONS[activation]())
        if dropout:
            net.add_module(f"dropout{number}", nn.Dropout(dropout))
        width = size
    net.add_module("output", nn.Linear(width, classes, bias=bias))
    return net

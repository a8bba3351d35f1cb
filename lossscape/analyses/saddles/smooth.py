"""Whether a loss is smooth in the parameters, so that critical points can be looked for by second derivatives."""

import re

from lossscape.derivatives import operations
from lossscape.errors import BadInput
from lossscape.objective import Objective

KINKS = {
    "Relu": "relu",
    "LeakyRelu": "leaky_relu",
    "PreluKernel": "prelu",
    "RreluWithNoise": "rrelu",
    "Hardtanh": "hardtanh or relu6",
    "Hardswish": "hardswish",
    "Hardsigmoid": "hardsigmoid",
    "Hardshrink": "hardshrink",
    "Softshrink": "softshrink",
    "Threshold": "threshold",
    "Elu": "elu, selu or celu",
    "MaxPool2DWithIndices": "max-pooling",
    "MaxPool3DWithIndices": "max-pooling",
    "AdaptiveMaxPool2D": "max-pooling",
    "AdaptiveMaxPool3D": "max-pooling",
    "Amax": "amax",
    "Amin": "amin",
    "Max": "max",
    "Min": "min",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "Sort": "sort",
    "Topk": "topk",
    "Median": "median",
    "Abs": "abs",
    "Clamp": "clamp",
    "ClampMin": "clamp",
    "ClampMax": "clamp",
    "Sign": "sign",
    "Round": "round",
    "Floor": "floor",
    "Ceil": "ceil",
    "SmoothL1Loss": "smooth_l1_loss",
    "HuberLoss": "huber_loss",
}
"""By the name of autograd's node: operations whose first or second derivative jumps somewhere."""


def check_smooth(objective: Objective) -> None:
    """Raise BadInput that names what is not smooth in a net and its loss."""
    names = {re.sub(r"Backward\d*$", "", type(node).__name__) for node in operations(objective, objective.parameters())}
    if found := sorted({KINKS[name] for name in names & KINKS.keys()}):
        raise BadInput(
            f"saddles: the loss has kinks in the parameters ({', '.join(found)}), where its derivatives jump: it can "
            "have minima at which ∇L is not 0, and Newton's steps, made of second derivatives, do not see the jumps. "
            "Critical points are looked for of nets with smooth activations: tanh, sigmoid, gelu, silu, softplus"
        )

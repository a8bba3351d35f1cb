"""Training inputs relabelled by a trained net: the data of which that net is a true minimum.

Algorithm 1 of Wang and Thawonmas: for every training input x with trained parameters θ, ỹ = f(x; θ). `hard` targets
are the classes argmax ỹ: the accuracy at θ is then 1, while loss and gradient are small. `soft` targets are the whole
distribution, as log-probabilities: the Kullback–Leibler loss and its gradient at θ are then 0.
"""

import torch
from torch import Tensor

from lossscape.batches import Inputs
from lossscape.errors import BadInput
from lossscape.measured import Precision, Targets
from lossscape.objective import Objective, Plan
from lossscape.runs import Point, split_state


def relabelled(
    teacher: Point, inputs: Inputs, kind: Targets, precision: Precision = "fp32", temperature: float = 1.0
) -> Tensor:
    """What a checkpoint says of inputs [N, ...]: classes [N], or log-probabilities [N, C] in float64.

    temperature: that the outputs are divided by before they become probabilities (Hinton et al., arXiv:1503.02531).
    On the inputs' device, by plain forward passes. Raises BadInput where the checkpoint is of another model or its
    outputs are NaN.
    """
    outputs = outputs_of(teacher, inputs, precision)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise BadInput(
            f"{kind} targets are what a net says of classes, and {teacher} gives outputs {list(outputs.shape)}: "
            "take the data's own, --targets labels"
        )
    return targets_of(outputs, kind, temperature)


def outputs_of(teacher: Point, inputs: Inputs, precision: Precision = "fp32") -> Tensor:
    """A checkpoint's outputs for inputs [N, ...], in float64, in eval mode with its own BatchNorm statistics.

    Raises BadInput where one is NaN.
    """
    model = teacher.run.model(teacher.checkpoint)
    nothing = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
    exact: Precision = "fp64" if precision == "fp64" else "fp32"
    one = Plan(chunk=1, channels_last=False) if len(inputs) == 1 else None  # for its form: nothing is measured
    objective = Objective(
        model, "cross_entropy", inputs, nothing, metrics=(), output=teacher.run.output, precision=exact, plan=one
    )
    outputs = objective.outputs(*split_state(objective.model))
    lost = outputs.reshape(len(outputs), -1).isnan().any(1)
    if bool(lost.any()):
        raise BadInput(
            f"{teacher}: its outputs for sample {int(lost.nonzero()[0])} are NaN, so they are no targets; take another "
            "checkpoint, or the data's own, --targets labels"
        )
    return outputs


def targets_of(outputs: Tensor, kind: Targets, temperature: float = 1.0) -> Tensor:
    """Classes [N], or log-probabilities, from outputs [N, C] of a net."""
    return outputs.argmax(1) if kind == "hard" else torch.log_softmax(outputs / temperature, 1)

"""Metrics: functions of outputs and targets that return one value per sample, beside the loss.

Outputs are [n, C] in float64; targets are class numbers [n], distributions over the classes [n, C], or numbers.
A metric that says yes or no of each sample returns bool, which is averaged as 1 and 0.
"""

from collections.abc import Callable

from torch import Tensor

Metric = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> [n]"""


def labels_of(targets: Tensor) -> Tensor:
    """Class numbers [n]: of distributions [n, C], the class with the largest share."""
    return targets if targets.ndim == 1 else targets.argmax(1)


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest output is that of the right class."""
    return outputs.argmax(1) == labels_of(targets)


METRICS: dict[str, Metric] = {"accuracy": accuracy}

"""Metrics: functions of outputs and targets that return one value per sample, beside the loss.

Outputs are [n, C] in float64 (of numbers: of any shape); targets are class numbers [n], distributions over the classes
[n, C] (negative ones are logarithms), or numbers. Of several positions a sample, a metric is given each position as a
sample, and its values are averaged as the loss averages its own. A new metric is a function and a line in METRICS.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lossscape.errors import BadInput, one_of
from lossscape.families import is_custom
from lossscape.losses import OF_CLASSES, Loss, aligned, plain
from lossscape.usercode import Guard, find_file, load, parts

Metric = Callable[[Tensor, Tensor], Tensor]
"""(outputs, targets) -> [n]"""


def labels_of(targets: Tensor) -> Tensor:
    """Class numbers [n]: of distributions [n, C], the class with the largest share."""
    return targets if targets.ndim == 1 else targets.argmax(1)


def shares_of(targets: Tensor, classes: int) -> Tensor:
    """Distributions over the classes [n, C] in float64, one-hot of class numbers."""
    if not targets.is_floating_point():
        return nn.functional.one_hot(targets, classes).double()
    targets = targets.double()
    return targets.exp() if bool((targets < 0).any()) else targets


def are_distributions(targets: Tensor) -> bool:
    """Whether the shares of each row [n, C], or what its logarithms stand for, make 1."""
    return bool(((shares_of(targets, targets.shape[1]).sum(1) - 1).abs() <= 1e-3).all())


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest output, the first of several alike, is that of the right class."""
    labels = labels_of(targets)
    if outputs.stride(0) == 1 < outputs.stride(1):  # class by class in memory, where torch's argmax is slow
        by_class = outputs.t()
        largest = by_class.amax(0)
        if int((by_class < largest).count_nonzero()) == outputs.numel() - len(outputs):  # none alike, and no NaN
            return by_class.gather(0, labels[None])[0] == largest
    return outputs.argmax(1) == labels


def error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest output is that of a wrong class."""
    return ~accuracy(outputs, targets)


def top5(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether fewer than five outputs are larger than that of the right class."""
    right = outputs.gather(1, labels_of(targets)[:, None])
    return (outputs > right).sum(1) < 5


def margin(outputs: Tensor, targets: Tensor) -> Tensor:
    """The output of the right class less the largest of the others."""
    labels = labels_of(targets)[:, None]
    others = outputs.scatter(1, labels, -torch.inf).amax(1)
    return outputs.gather(1, labels)[:, 0] - others


def entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """−Σ_c p_c log p_c of p = softmax(outputs), in nats."""
    logs = torch.log_softmax(outputs, 1)
    return torch.special.entr(logs.exp()).sum(1)


def brier(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_c (softmax(outputs)_c − t_c)² with t the right distribution (Brier, 1950)."""
    return (torch.softmax(outputs, 1) - shares_of(targets, outputs.shape[1])).square().sum(1)


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Σ_c |outputs_c − t_c| / C with t the targets, one-hot of class numbers."""
    outputs, wanted = aligned(outputs, targets)
    return (outputs - wanted).abs().mean(1)


METRICS: dict[str, Metric] = {each.__name__: each for each in (accuracy, top5, error, margin, entropy, brier, mae)}
MAXIMISED = ("accuracy", "top5", "margin")
"""Metrics of which larger values are better."""
RANKS = {"accuracy": 1, "error": 1, "top5": 5}
"""Metrics that say yes or no, by whether the right output is among this many largest."""
BY_ROW = ("accuracy", "error", "top5", "margin")
"""Metrics that compare and subtract within a row, which has the same bits whatever rows stand beside it."""
BY_CLASS = ("accuracy", "error")
"""Metrics that are as fast where outputs lie class by class in memory."""
_OF_CLASSES = tuple(metric for name, metric in METRICS.items() if name != "mae")


def usual(loss: Loss, targets: Tensor) -> tuple[str, ...]:
    """The metrics where none are named: accuracy where the targets are classes, which floats are for some losses."""
    classes = not targets.is_floating_point() or plain(loss) in OF_CLASSES
    return ("accuracy",) if classes else ()


def chosen(
    metrics: Sequence[str] | Mapping[str, Metric], folder: Path | None = None, guard: Guard | None = None
) -> dict[str, Metric]:
    """Metrics by the names of their columns.

    metrics: names of METRICS or `module:function` of the user's own, whose column is the function's name; or functions
    by the names of their columns. folder: where files are looked for first; guard: of
    `usercode.load`. Raises BadInput.
    """
    if isinstance(metrics, str):
        raise BadInput(f"metrics: {metrics!r} is one text: give a list of names")
    if isinstance(metrics, Mapping):
        functions = dict(metrics)
    else:
        names = [name.rpartition(":")[2] for name in metrics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise BadInput(f"metrics: {twice[0]!r} stands there twice")
        functions = {name: _function(given, folder, guard) for name, given in zip(names, metrics, strict=True)}
    for name in functions:
        if name == "loss" or name.endswith("_stderr"):
            raise BadInput(f"metrics: {name!r} is the name of another column; give it another one")
    return functions


def code_of(metrics: Iterable[str], folder: Path | None = None) -> list[tuple[str, Path | None]]:
    """The user's code that names of metrics point to: (name, file), the file None for a module. Raises BadInput."""
    files = {name: parts(name)[0] for name in metrics if is_custom(name)}
    return [(name, find_file(file, folder) if file.endswith(".py") else None) for name, file in files.items()]


def of_classes(metrics: Mapping[str, Metric]) -> list[str]:
    """The names of those that need an output for each class."""
    return [name for name, metric in metrics.items() if metric in _OF_CLASSES]


def _function(name: str, folder: Path | None, guard: Guard | None) -> Metric:
    if is_custom(name):
        return load(name, folder, guard)
    if name not in METRICS:
        raise BadInput(one_of("metric", name, [*METRICS, "module:function"]))
    return METRICS[name]

"""From a net's outputs and the targets to the loss and the metrics of each sample."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from lossscape import losses, tokens
from lossscape.errors import BadInput, one_of
from lossscape.losses import LOSSES, Loss
from lossscape.metrics import BY_CLASS, BY_ROW, METRICS, RANKS, Metric, are_distributions, chosen, of_classes, usual
from lossscape.usercode import blamed

STACK_BYTES = 2**19
"""Of outputs at several points that are scored together."""
FEW_CLASSES, ENOUGH = 32, 4096
"""Classes at most, and outputs of a chunk at a point at least, that are scored class by class: there it is faster.

Other numbers would change the bits of results that are continued.
"""
ALIKE = 64
"""Samples of which a multiple is scored class by class: what is over of eight at a time has other last bits."""
PerSample = dict[str, Tensor]
"""The loss and the other metrics of each sample, [n] each, by name."""


class Scoring:
    """A loss and metrics, with what they need to know of all targets."""

    def __init__(self, loss: str | Loss, metrics: Sequence[str] | Mapping[str, Metric] | None, targets: Tensor) -> None:
        """loss: a name of LOSSES or a function; metrics: as for `metrics.chosen`, None for the usual ones.

        targets: as from `checked`. Raises BadInput where they do not fit the loss or the metrics.
        """
        if isinstance(loss, str) and loss not in LOSSES:
            raise BadInput(one_of("loss", loss, LOSSES))
        given: Loss = LOSSES[loss] if isinstance(loss, str) else loss
        self.metrics = chosen(usual(given, targets) if metrics is None else metrics)
        _check(given, of_classes(self.metrics), targets)
        self.positions = losses.positions(given, targets)
        """What sums over a sample's positions are divided by, where not by their own number."""
        self.loss = losses.over(given, self.positions)
        self._is_own = losses.plain(self.loss) is losses.cross_entropy  # whose options are of training alone
        function, floats = losses.plain(given), targets.is_floating_point()
        classed = function in losses.OF_CLASSES or (function is losses.mse and not floats)
        self.of_classes = ["the loss"] * classed + of_classes(self.metrics)
        """What needs an output for each class."""
        self.highest = -1 if floats else int(targets.max())
        self.floats, self.several = floats, tokens.are_tokens(targets)

    @property
    def shares(self) -> list[str]:
        """The metrics that say yes or no, of which means are shares of the samples."""
        return [name for name in self.metrics if self._rank(name) is not None]

    def per_sample(self, outputs: Tensor, targets: Tensor) -> PerSample:
        """Loss (float64) and metrics of each sample, from outputs [n, …] in float64.

        Metrics of a sample with an output that is NaN are NaN: an argmax would call it of the class 0. So are yes and
        no where that rests on which of several infinite outputs is the larger.
        """
        return self._scored(outputs, targets, self.loss)

    def _scored(self, outputs: Tensor, targets: Tensor, score: Loss) -> PerSample:
        """`per_sample` with a loss that has the values of its own."""
        if self.floats or self.several or outputs.ndim != 2 or outputs.shape[1] <= self.highest:
            self._check_outputs(outputs, targets)
        loss = score(outputs, targets)
        if loss.shape != targets.shape[:1]:
            raise BadInput(
                f"the loss gives shape {list(loss.shape)} for {len(outputs)} samples; one loss each is needed "
                "(of torch's losses: reduction='none')"
            )
        found = {"loss": loss.double()}
        samples = outputs, targets
        if self.several and self.metrics:
            samples = tokens.by_position(outputs, targets)
        finite = not self.metrics or math.isfinite(float(outputs.sum()))  # a mask takes ten times the time
        for name, metric in self.metrics.items():
            with blamed(f"metric {name} failed:", METRICS.get(name) is not metric):
                values = metric(*samples)
            if not isinstance(values, Tensor):
                raise BadInput(f"metric {name} gives a {type(values).__name__}, not a tensor of a value each sample")
            if values.shape != samples[1].shape[:1]:
                raise BadInput(
                    f"metric {name} gives shape {list(values.shape)} for {len(samples[1])} samples; one value each is "
                    "needed"
                )
            if not finite:
                values = torch.where(_undefined(samples[0], self._rank(name)), torch.nan, values.double())
            found[name] = tokens.by_sample(values, targets, self.positions) if self.several else values
        return found

    @property
    def may_by_class(self) -> bool:
        """Whether outputs may be scored class by class: under cross-entropy with class numbers and metrics that may."""
        own = all(METRICS.get(name) is metric and name in BY_CLASS for name, metric in self.metrics.items())
        return own and self._is_own and not self.floats and not self.several

    def at_points(self, outputs: Iterable[Tensor], targets: Tensor, by_class: bool = False) -> Iterator[PerSample]:
        """`per_sample` of the outputs of the same samples at several points, each [n, …], as they come from a net.

        Several at once where that gives the same bits: those of a small net take as long to be handed to torch as to
        be computed. by_class: whether they are scored class by class where they may and are enough.
        """
        outputs = iter(outputs)
        for one in outputs:
            some = [one, *islice(outputs, self.together(one) - 1)]
            if by_class and self._is_by_class(one):
                yield from self._by_class(some, targets)
                continue
            if len(some) == 1:
                yield self.per_sample(one.double(), targets)
                continue
            stack = one.new_empty(len(some), *one.shape, dtype=torch.float64)
            for place, each in zip(stack, some, strict=True):
                place.copy_(each)
            values = self.per_sample(stack.flatten(0, 1), targets.repeat(len(some)))
            columns = {name: each.chunk(len(some)) for name, each in values.items()}
            yield from ({name: column[index] for name, column in columns.items()} for index in range(len(some)))

    def _is_by_class(self, outputs: Tensor) -> bool:
        few = outputs.ndim == 2 and 1 < outputs.shape[1] <= FEW_CLASSES and outputs.device.type == "cpu"
        return few and outputs.numel() >= ENOUGH and self.may_by_class

    def _by_class(self, some: Sequence[Tensor], targets: Tensor) -> Iterator[PerSample]:
        """`per_sample` of outputs [n, C] at several points, the same bits however many."""
        number, width = len(targets), -(-len(targets) // ALIKE) * ALIKE
        stack = some[0].new_empty(some[0].shape[1], len(some), width, dtype=torch.float64)
        labels = targets.new_zeros(len(some), width)
        stack[:, :, number:] = 0
        stack[0, :, number:] = 1  # no two largest are alike where there is no sample
        for place, each in zip(stack.unbind(1), some, strict=True):
            place[:, :number].copy_(each.t())
        labels[:, :number] = targets
        values = self._scored(stack.flatten(1).t(), labels.flatten(), losses.cross_entropy_by_class)
        columns = {name: each.view(len(some), width)[:, :number] for name, each in values.items()}
        yield from ({name: column[index] for name, column in columns.items()} for index in range(len(some)))

    def together(self, outputs: Tensor) -> int:
        """How many points are scored at once whose outputs are such, [n, …]; 1 where a row's bits may hang on others.

        The loss and the metrics are our own that look at each row for itself, on a CPU, and a stack stays in the cache.
        """
        by_row = not self.floats and not self.several and outputs.ndim == 2 and outputs.device.type == "cpu"
        if not by_row or not self._is_own:
            return 1
        if any(METRICS.get(name) is not metric or name not in BY_ROW for name, metric in self.metrics.items()):
            return 1
        return max(1, STACK_BYTES // (8 * max(outputs.numel(), 1)))

    def undecided(self, name: str, outputs: Tensor, targets: Tensor, lead: float) -> Tensor | None:
        """Whether rounding may turn what a metric says of each sample, [n]; None for a metric that is a number.

        lead: of an output over the next smaller one, relative to the largest in size, that rounding cannot turn. The
        outputs compared are the last that would be right and the first that would not. Of several positions, the share
        of them.
        """
        rank = self._rank(name)
        if rank is None:
            return None
        if self.several:
            outputs, _ = tokens.by_position(outputs, targets)
        unsure = torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
        if outputs.shape[1] > rank:
            largest = outputs.topk(rank + 1, dim=1).values
            unsure = ~(largest[:, -2] - largest[:, -1] > lead * outputs.abs().amax(1))
        return tokens.by_sample(unsure, targets, self.positions) if self.several else unsure

    def _rank(self, name: str) -> int | None:
        """Of a metric that says yes or no: RANKS'; None for others, and for functions that have taken its name."""
        return RANKS.get(name) if self.metrics.get(name) is METRICS.get(name) else None

    def _check_outputs(self, outputs: Tensor, targets: Tensor) -> None:
        """Raise BadInput where outputs are not a number for each class, and the loss or a metric needs that."""
        if not self.of_classes:
            return
        first = self.of_classes[0]
        remedy = "" if first == "the loss" else f" (for {first}; other metrics, or none, can be given)"
        if self.several:
            classes = max(outputs.shape[1:], default=0)
        elif outputs.ndim == 2:
            classes = outputs.shape[1]
        else:
            raise BadInput(
                f"the net gives outputs {list(outputs.shape)}: a number for each class is needed, [N, C]{remedy}"
            )
        if self.floats and outputs.shape != targets.shape:
            raise BadInput(
                f"the net gives outputs {list(outputs.shape)}, the targets are {list(targets.shape)}: distributions "
                "over the classes have the outputs' shape"
            )
        if classes <= self.highest:
            raise BadInput(
                f"the net gives outputs {list(outputs.shape)}, and the targets have the class {self.highest}: classes "
                f"count from 0, and each needs an output{remedy}"
            )


def checked(targets: Any, samples: int) -> Tensor:
    """Targets of some samples: class numbers as int64, or floats. Raises BadInput where they are neither."""
    if not isinstance(targets, Tensor):
        raise BadInput(f"targets are a {type(targets).__name__}: give a tensor (torch.as_tensor makes one of numbers)")
    count = len(targets) if targets.ndim else 0
    if count != samples or not samples:
        raise BadInput(f"{samples} inputs and {count} targets: both need the same length, at least 1")
    if targets.is_complex() or targets.dtype == torch.bool:
        raise BadInput(f"targets of {targets.dtype}: give class numbers (targets.long()) or floats (targets.float())")
    if not targets.is_floating_point():
        return targets.long()
    if bool(targets.isnan().any()):
        where = int(targets.reshape(samples, -1).isnan().any(1).nonzero()[0])
        raise BadInput(f"targets: that of sample {where} is NaN; leave such samples out")
    return targets


def _check(loss: Loss, metrics: Sequence[str], targets: Tensor) -> None:
    """Raise BadInput where targets do not fit a loss or metrics of classes."""
    shape = f"targets of {targets.dtype} with shape {list(targets.shape)}"
    if targets.is_floating_point():
        who = "the loss" if losses.plain(loss) in losses.OF_CLASSES else next(iter(metrics), None)
        if who and targets.ndim != 2:
            raise BadInput(
                f"{shape}: {who} is of classes: class numbers are integers [N] (targets.long()), distributions over "
                "classes are floats [N, C]"
            )
        if metrics and who != "the loss" and not are_distributions(targets):
            raise BadInput(f"{shape}: {who} is of classes, and these are numbers: take mae, or none")
        return
    several = tokens.are_tokens(targets)
    if losses.plain(loss) is losses.token_cross_entropy and not several:
        raise BadInput(f"{shape}: token_cross_entropy is of class numbers of several positions, [N, T]")
    least = int(targets.min())
    if least < 0 and not (several and bool((targets[targets < 0] == tokens.IGNORED).all())):
        more = f", and {tokens.IGNORED} is for positions that do not count" if several else ""
        raise BadInput(f"{shape}: has the class {least}; classes count from 0{more}")
    if several and not bool((tokens.counts(targets) > 0).all()):
        where = int((tokens.counts(targets) == 0).nonzero()[0])
        raise BadInput(f"{shape}: no position of sample {where} counts; leave such samples out")


def _undefined(outputs: Tensor, rank: int | None) -> Tensor:
    """Of which samples a metric says nothing, [n]; rank: as `Scoring._rank` has it."""
    undefined = outputs.reshape(len(outputs), -1).isnan().any(1)
    if rank is not None and outputs.shape[1] > rank:
        last, first = outputs.topk(rank + 1, dim=1).values[:, -2:].unbind(1)
        undefined |= (last == first) & last.isinf()
    return undefined


def blank(outputs: Tensor, samples: int) -> Tensor:
    """Outputs of zeros for all samples, from those of one."""
    return torch.zeros_like(outputs).expand(samples, *[-1] * (outputs.ndim - 1))


def joined(parts: Sequence[PerSample]) -> PerSample:
    """The values of chunks of samples as those of all of them."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

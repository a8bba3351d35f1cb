"""What passes through a net's layers, and comes back as gradients, as numbers of their distributions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lossscape.batches import Inputs, called
from lossscape.dropout import LAYERS as DROPOUT
from lossscape.losses import Loss
from lossscape.models import has_batch_norm
from lossscape.models.initial import layers_of
from lossscape.modules import tensor_in
from lossscape.outputs import logits_of

BINS = 50
EDGE = 0.01
"""An activation is saturated within this part of its range of an end of it."""
RANGES: dict[type[nn.Module], tuple[float, float]] = {
    nn.Tanh: (-1.0, 1.0), nn.Sigmoid: (0.0, 1.0), nn.Hardtanh: (-1.0, 1.0), nn.Hardsigmoid: (0.0, 1.0),
    nn.Softsign: (-1.0, 1.0),
}  # fmt: skip
"""Of activations that have two ends."""
ACTIVATIONS = tuple(
    kind
    for kind in vars(nn.modules.activation).values()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind not in (nn.Module, nn.MultiheadAttention)
)


@dataclass
class Tally:
    """Numbers of values that come in parts, all of them twice: moments and range first, then spread and histogram.

    Sums are in float64; what is not finite is counted, and left out of the rest.
    """

    ends: tuple[float, float] | None = None
    """Of the range of the activation that gave them."""
    count: int = 0
    lost: int = 0
    """That are not finite."""
    zeros: int = 0
    saturated: int = 0
    total: float = 0.0
    low: float = float("inf")
    """The least that is not 0."""
    high: float = float("-inf")
    squares: float = 0.0
    """Σ(value − mean)²"""
    bins: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))
    """Of what is not 0, between low and high."""

    def first(self, values: Tensor) -> None:
        """A part of the first round."""
        values = self._finite(values)
        self.count += len(values)
        self.total += float(values.sum())
        self.zeros += int((values == 0).sum())
        if self.ends is not None:
            near = EDGE * (self.ends[1] - self.ends[0])
            self.saturated += int(((values < self.ends[0] + near) | (values > self.ends[1] - near)).sum())
        if len(rest := values[values != 0]):
            self.low, self.high = min(self.low, float(rest.min())), max(self.high, float(rest.max()))

    def second(self, values: Tensor, low: float, high: float) -> None:
        """The same part in the second round, with the range of the histogram."""
        again = self.lost
        values = self._finite(values)
        self.lost = again
        self.squares += float((values - self.mean).square().sum())
        if low <= high:
            wide = high - low or abs(low)
            places = ((values[values != 0] - low) / wide * BINS).long().clamp(0, BINS - 1)
            self.bins += torch.bincount(places.cpu(), minlength=BINS)

    def _finite(self, values: Tensor) -> Tensor:
        values = values.detach().flatten().double()
        known = values[values.isfinite()]
        self.lost += len(values) - len(known)
        return known

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        return self.total / self.count if self.count else float("nan")

    @property
    def std(self) -> float:
        """With n in the denominator."""
        return (self.squares / self.count) ** 0.5 if self.count else float("nan")

    def share(self, number: int) -> float:
        """Of all finite values."""
        return number / self.count if self.count else float("nan")


@dataclass
class Layer:
    """A layer in one pass: its activations, and the gradients of what it gives itself."""

    values: list[Tensor] = field(default_factory=list)
    """Of the activation behind it, or of the layer where no module is seen there; a part for each time it is called."""
    slopes: list[Tensor] = field(default_factory=list)
    ends: tuple[float, float] | None = None


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, Layer]]:
    """What passes through each layer with initial values within the context, by name."""
    layers = layers_of(model)
    seen = {name: Layer() for name in layers}
    last: list[Layer] = []
    """The layer that was called last, while no activation has followed."""

    def after_layer(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: object, output: object) -> None:
            tensor = tensor_in(output)
            if tensor is not None:
                last[:] = [seen[name]]
                seen[name].values.append(tensor.detach().clone())  # before what follows changes it in place
                if tensor.requires_grad:
                    tensor.register_hook(seen[name].slopes.append)

        return hook

    def after_activation(module: nn.Module, given: object, output: object) -> None:
        tensor = tensor_in(output)
        if last and tensor is not None:
            last[0].values[-1] = tensor.detach().clone()
            last[0].ends = RANGES.get(type(module))
            last.clear()

    hooks = [layer.register_forward_hook(after_layer(name)) for name, layer in layers.items()]
    hooks += [m.register_forward_hook(after_activation) for m in model.modules() if isinstance(m, ACTIVATIONS)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Batches:
    """Samples, and what they are held against."""

    inputs: Inputs
    targets: Tensor
    loss: Loss
    size: int
    """Samples that pass at once."""
    output: str | None = None

    def passes(self, model: nn.Module) -> Iterator[tuple[int, Mapping[str, Layer]]]:
        """Each batch's number of samples, and what its pass showed; gradients are of the sum of the samples' losses.

        With the mode that training begins in, but without dropout: BatchNorm has the batch's statistics.
        """
        model.train(has_batch_norm(model))
        for module in model.modules():
            if isinstance(module, DROPOUT):
                module.eval()
        parts = zip(self.inputs.split(self.size), self.targets.split(self.size), strict=True)
        for inputs, targets in parts:
            with watched(model) as seen, torch.enable_grad():
                outputs = logits_of(called(model, inputs), len(inputs), self.output)
                self.loss(outputs, targets).sum().backward()
            model.zero_grad(set_to_none=True)
            yield len(inputs), seen


def tallied(
    models: Mapping[int, nn.Module], batches: Batches, done: Callable[[int], None]
) -> dict[int, dict[str, tuple[Tally, Tally]]]:
    """Of each model, by its number, tallies of every layer's activations and gradients.

    The histograms of a layer have the same range in all models. done: is given the samples that have passed.
    """
    found = {number: {name: (Tally(), Tally()) for name in layers_of(model)} for number, model in models.items()}
    for number, model in models.items():
        for count, seen in batches.passes(model):
            for name, layer in seen.items():
                values, slopes = found[number][name]
                values.ends = layer.ends
                for tally, parts in ((values, layer.values), (slopes, layer.slopes)):
                    for part in parts:
                        tally.first(part)
            done(count)
    ranges = {
        (name, which): (
            min(found[number][name][which].low for number in models),
            max(found[number][name][which].high for number in models),
        )
        for name in found[next(iter(models))]
        for which in (0, 1)
    }
    for number, model in models.items():
        for count, seen in batches.passes(model):
            for name, layer in seen.items():
                for which, parts in enumerate((layer.values, layer.slopes)):
                    for part in parts:
                        found[number][name][which].second(part, *ranges[name, which])
            done(count)
    for tallies in found.values():
        for name, pair in tallies.items():
            for which, tally in enumerate(pair):
                tally.low, tally.high = ranges[name, which]
    return found

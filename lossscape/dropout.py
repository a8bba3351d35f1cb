"""Dropout that stays on while losses are evaluated: masks that are a function of seed, layer and sample alone.

So a loss is a function of the parameters as without dropout: the same at every call, in chunks of any size, on every
device, and along a line every point has the same masks.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lossscape.batches import Inputs, called
from lossscape.errors import BadInput
from lossscape.seeds import generator
from lossscape.vectors import Params

LAYERS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
BLOCK = 1024
"""Samples whose masks are drawn together: those of one sample follow from its block's."""
KEPT_BYTES = 2**30
"""Masks kept, a byte for each number; those of nets that need more are drawn anew at every pass."""
_DRAWING = threading.Lock()
"""Several threads may ask for masks."""


@dataclass(frozen=True)
class Dropout:
    """That dropout stays on, and which masks it has."""

    seed: int
    rows: Tensor
    """[N] number of each sample, by which its masks go; ascending."""


@dataclass(frozen=True)
class _Layer:
    probability: float
    shape: tuple[int, ...]


class Masked(nn.Module):
    """In the place of a dropout layer: multiplies by its buffer `mask`, which calls are given for their samples."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(()), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """The inputs [n, ...] times the mask."""
        return inputs * self.mask


class Masks:
    """The masks of a model's dropout layers."""

    def __init__(self, model: nn.Module, inputs: Inputs, seed: int, room: int = KEPT_BYTES) -> None:
        """Put Masked layers into `model`, in its place; inputs: of a few samples, which it takes.

        room: bytes of masks that may be kept. Raises BadInput where the model has no dropout, or one whose masks do
        not go by samples.
        """
        layers = _layers(model)
        self.seed, self.room, self.device = seed, room, inputs.device
        self.layers: dict[str, _Layer] = {}
        shapes: dict[str, list[tuple[int, ...]]] = {name: [] for name in layers}
        with torch.no_grad(), ExitStack() as hooks:
            for name, module in layers.items():
                hook = partial(_note, shapes[name])
                hooks.enter_context(module.register_forward_pre_hook(hook))
            called(model, inputs)
        for name, module in layers.items():
            seen = shapes[name]
            if len(seen) != 1 or len(shape := seen[0]) < 2 or shape[0] != len(inputs):
                raise BadInput(
                    f"--dropout keep: layer {name} is not called once, with [samples, features, ...], as its masks need"
                )
            whole = type(module) is nn.Dropout
            sample = shape[1:] if whole else (shape[1], *[1] * (len(shape) - 2))
            self.layers[name] = _Layer(float(module.p), sample)
            parent, _, key = name.rpartition(".")
            setattr(model.get_submodule(parent), key, Masked())
        self._kept: dict[tuple[str, int], Tensor] = {}

    @property
    def kept_bytes(self) -> int:
        """Bytes of the masks that are kept now."""
        return sum(block.numel() for block in self._kept.values())

    def of(self, rows: Tensor, dtype: torch.dtype) -> Params:
        """The buffers for samples of these numbers [n], ascending: 0 or 1/(1 − p)."""
        numbers = rows.cpu()
        blocks, counts = numbers.div(BLOCK, rounding_mode="floor").unique_consecutive(return_counts=True)
        found = {}
        for name, layer in self.layers.items():
            parts = [
                self._block(name, block)[inside.to(self.device)]
                for block, inside in zip(blocks.tolist(), (numbers % BLOCK).split(counts.tolist()), strict=True)
            ]
            scale = 1 / (1 - layer.probability) if layer.probability < 1 else 0.0
            found[f"{name}.mask"] = torch.cat(parts).to(dtype).mul_(scale)
        return found

    def _block(self, name: str, block: int) -> Tensor:
        """Where the samples of a block keep their numbers, [BLOCK, ...]."""
        with _DRAWING:
            if (name, block) not in self._kept:
                layer = self.layers[name]
                # by the CPU's generator, which draws the same numbers for all devices
                numbers = torch.rand(BLOCK, *layer.shape, generator=generator(self.seed, "kept dropout", name, block))
                if self.kept_bytes + numbers.numel() > self.room:
                    self._forget(name)
                self._kept[name, block] = (numbers >= layer.probability).to(self.device)
            return self._kept[name, block]

    def _forget(self, name: str) -> None:
        """Make room by the blocks of a layer, which a pass over the samples needs once each."""
        self._kept = {key: block for key, block in self._kept.items() if key[0] != name}

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be drawn again."""
        return self.__dict__ | {"_kept": {}}


def _layers(model: nn.Module) -> dict[str, Any]:
    """The dropout layers of a model by their names. Raises BadInput where there is none, or one that is not known."""
    layers: dict[str, Any] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        inside = isinstance(module, nn.MultiheadAttention | nn.RNNBase) and module.dropout > 0
        other = isinstance(module, nn.modules.dropout._DropoutNd) and not isinstance(module, LAYERS)
        if inside or other:
            kind = type(module).__name__
            raise BadInput(f"--dropout keep: layer {name} is a {kind}, whose masks are not kept on")
        if isinstance(module, LAYERS) and module.p > 0:
            if any(module is known for known in layers.values()):
                raise BadInput(f"--dropout keep: layer {name} has another name too, and would have its masks")
            layers[name] = module
    if not layers:
        raise BadInput("--dropout keep: the net has no dropout; leave the option out")
    return layers


def _note(shapes: list[tuple[int, ...]], module: nn.Module, given: Any) -> None:
    shapes.append(tuple(given[0].shape))


@contextmanager
def applied(model: nn.Module, masks: Params) -> Iterator[None]:
    """Let the dropout layers of a model, in eval mode, multiply what they are given by masks of `Masks.of`."""
    with ExitStack() as hooks:
        for name, mask in masks.items():
            layer = model.get_submodule(name.removesuffix(".mask"))
            hooks.enter_context(layer.register_forward_hook(lambda _, given, output, mask=mask: output * mask))
        yield

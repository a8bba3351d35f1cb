"""A batch of inputs: a tensor [N, ...], or named tensors [N, ...] that a net takes as keyword arguments.

`Batch` is the latter, and behaves like a tensor where samples are counted, chosen, split and moved.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossscape.errors import BadInput
from lossscape.held import Held


@dataclass(frozen=True, eq=False)
class Batch:
    """Named inputs of the same samples, say token ids and their mask."""

    tensors: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, indices: Any) -> "Batch":
        return Batch({name: value[indices] for name, value in self.tensors.items()})

    @property
    def device(self) -> torch.device:
        """On which all of them lie."""
        return next(iter(self.tensors.values())).device

    @property
    def shape(self) -> torch.Size:
        """Of the first one."""
        return next(iter(self.tensors.values())).shape

    def index_select(self, axis: int, indices: Tensor) -> "Batch":
        """Some of the samples."""
        return Batch({name: value.index_select(axis, indices) for name, value in self.tensors.items()})

    def split(self, size: int) -> Sequence["Batch"]:
        """Batches of `size` samples; the last may have fewer."""
        return [self[start : start + size] for start in range(0, len(self), size)]

    def to(self, *where: Any) -> "Batch":
        """On another device."""
        return Batch({name: value.to(*where) for name, value in self.tensors.items()})

    def cpu(self) -> "Batch":
        """On the CPU."""
        return self.to("cpu")


Inputs = Tensor | Batch | Held


def batch_of(inputs: Any) -> Inputs:
    """Inputs as a tensor or a Batch. Raises BadInput where they are neither, or their lengths or devices differ."""
    if isinstance(inputs, Tensor | Batch | Held):
        if isinstance(inputs, Tensor) and not inputs.ndim:
            raise BadInput("inputs are a single number: give a tensor [N, ...], with a row for each sample")
        return inputs
    if not isinstance(inputs, Mapping):
        raise BadInput(
            f"inputs are a {type(inputs).__name__}: give a tensor [N, ...] (torch.from_numpy makes one of an array), a "
            "mapping of such tensors by the names of the net's arguments, a Dataset or a DataLoader"
        )
    wrong = [str(name) for name, value in inputs.items() if not isinstance(value, Tensor) or not value.ndim]
    if wrong or not inputs:
        raise BadInput(f"inputs: {', '.join(wrong) or 'an empty mapping'}: give a tensor [N, ...] for each name")
    lengths = {name: len(value) for name, value in inputs.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise BadInput(f"inputs have unequal numbers of samples: {found}")
    if len({value.device for value in inputs.values()}) > 1:
        raise BadInput("inputs lie on several devices: move all to one")
    return Batch({str(name): value for name, value in inputs.items()})


def tensors_of(inputs: Inputs) -> "Mapping[str, Tensor | Held]":
    """The tensors of a batch by name; of a tensor, itself under the name inputs."""
    return inputs.tensors if isinstance(inputs, Batch) else {"inputs": inputs}


def part(inputs: Inputs, indices: "slice | Tensor") -> Inputs:
    """Some of the samples, held as all are."""
    return inputs.part(indices) if isinstance(inputs, Held) else inputs[indices]


def has_floats(inputs: Inputs) -> bool:
    """Whether inputs are numbers, and not the numbers of tokens."""
    return isinstance(inputs, Tensor | Held) and inputs.is_floating_point()


def changed(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """Inputs each of whose tensors is changed alike."""
    if isinstance(inputs, Batch):
        return Batch({name: change(value) for name, value in inputs.tensors.items()})
    return change(inputs[:] if isinstance(inputs, Held) else inputs)


def cast(inputs: Inputs, dtype: torch.dtype) -> Inputs:
    """Inputs whose floats have another precision; integers stay."""
    return changed(inputs, lambda value: value.to(dtype) if value.is_floating_point() else value)


def arguments(inputs: Inputs) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """The arguments and keyword arguments that a net is called with."""
    if isinstance(inputs, Batch):
        return (), inputs.tensors
    return (inputs[:] if isinstance(inputs, Held) else inputs,), {}


def called(module: nn.Module, inputs: Inputs) -> Any:
    """What a module gives for inputs."""
    positional, named = arguments(inputs)
    return module(*positional, **named)

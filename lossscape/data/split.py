"""What a data set is: tensors, held whole."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor


class Split(NamedTuple):
    """Inputs [N, ...] and integer class targets [N], in file order."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:  # of samples, not of fields
        return len(self.inputs)


@dataclass(frozen=True)
class RawData:
    """A data set as it was read: pictures as uint8 [N, C, H, W] (0 to 255) or any float inputs [N, ...]."""

    train: Split
    test: Split
    classes: list[str]
    note: str = ""
    """Said wherever a figure comes from this data, e.g. "JPEG copy"."""


@dataclass(frozen=True)
class Data:
    """A data set as the net sees it: float32 inputs on the device, normalised, subset and noise applied."""

    train: Split
    test: Split
    classes: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    """What was done, in plain values: shape, sizes, mean, std, changed labels, note, sha256."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.train.inputs.shape[1:])

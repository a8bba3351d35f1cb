"""What a data set is: tensors, held whole."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from lossscape.batches import Inputs


class Split(NamedTuple):
    """Inputs [N, ...] and targets, in file order: classes [N], or of positions [N, T, ...], or numbers [N, ...]."""

    inputs: Inputs
    targets: Tensor

    def __len__(self) -> int:  # of samples, not of fields
        return len(self.inputs)


@dataclass(frozen=True)
class RawData:
    """A data set as it was read: pictures as uint8 [N, C, H, W] (0 to 255) or any float inputs [N, ...].

    Integer inputs are tokens; several inputs by name are a Batch. Targets that are numbers have no classes.
    """

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
        """The shape of one input, of several by name that of the first."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def outputs(self) -> int:
        """How many outputs a net needs: one for each class, or for each number of a target."""
        return len(self.classes) or self.train.targets[0].numel()

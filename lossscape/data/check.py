"""Whether what a data-set function returned is a data set."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lossscape.batches import Batch, Inputs, batch_of, tensors_of
from lossscape.data.split import RawData, Split
from lossscape.devices import memory
from lossscape.errors import BadInput, Page, see
from lossscape.held import Held
from lossscape.tokens import IGNORED

TENSORS = ("train_inputs", "train_targets", "test_inputs", "test_targets")
FORM = "RawData or (train_inputs, train_targets, test_inputs, test_targets)"


def checked(returned: Any, name: str) -> RawData:
    """What a data-set function returned as RawData on the CPU: uint8, float32 or int64.

    Raises BadInput, naming the data set and the tensor, where it is no data set.
    """
    if isinstance(returned, RawData):
        parts: tuple[Any, ...] = (*returned.train, *returned.test)
    elif isinstance(returned, tuple | list) and len(returned) == 4:
        parts = tuple(returned)
    else:
        raise BadInput(f"dataset {name}: it must return {FORM}, not {_kind(returned)}{see(Page.DATA)}")
    for part, label in zip(parts, TENSORS, strict=True):
        named = label.endswith("inputs") and isinstance(part, Mapping | Batch | Held)
        if not isinstance(part, Tensor) and not named:
            raise BadInput(f"dataset {name}: {label} is {_kind(part)}, not a torch.Tensor")
    train_inputs, test_inputs = (_inputs(parts[i], f"dataset {name}: {TENSORS[i]}") for i in (0, 2))
    train_targets, test_targets = (_targets(parts[i], f"dataset {name}: {TENSORS[i]}") for i in (1, 3))
    train, test = Split(train_inputs, train_targets), Split(test_inputs, test_targets)
    _check_together(train, test, name)
    numbers = train_targets.is_floating_point()
    highest = -1 if numbers else int(max(train_targets.max(), test_targets.max()))
    classes = returned.classes if isinstance(returned, RawData) else [str(i) for i in range(highest + 1)]
    if numbers and classes:
        raise BadInput(f"dataset {name}: targets are numbers, which have no classes; classes are integers")
    if highest >= len(classes):
        raise BadInput(f"dataset {name}: target {highest} is beyond the {len(classes)} classes")
    note = returned.note if isinstance(returned, RawData) else ""
    return RawData(train, test, [str(label) for label in classes], str(note))


def _kind(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__module__}.{type(value).__name__}"


def _inputs(given: Any, what: str) -> Inputs:
    try:
        inputs = batch_of(given)
    except BadInput as error:
        raise BadInput(f"{what}: {error}") from None
    if isinstance(inputs, Held):  # made by this program, or looked at when they are first read through
        return inputs
    if isinstance(inputs, Batch):
        return Batch({name: _floats_or_tokens(each, f"{what}[{name!r}]") for name, each in inputs.tensors.items()})
    return _floats_or_tokens(inputs, what)


def _floats_or_tokens(tensor: Tensor, what: str) -> Tensor:
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.uint8:
        if tensor.dim() != 4:
            raise BadInput(
                f"{what} is uint8 of shape {list(tensor.shape)}; pictures are [N, C, H, W] "
                "(x[:, None] adds a channel), anything else is float"
            )
    elif not tensor.is_floating_point() and tensor.dtype not in (torch.int64, torch.int32, torch.bool):
        raise BadInput(
            f"{what} is {tensor.dtype}; inputs are uint8 pictures (0 to 255), float, or tokens (int64, masks bool)"
        )
    if tensor.dim() < 2 or tensor.numel() == 0:
        raise BadInput(f"{what} has shape {list(tensor.shape)}; it must be [N, ...] with at least one sample")
    if not tensor.is_floating_point():
        return tensor.long() if tensor.dtype == torch.int32 else tensor
    tensor = tensor.to(torch.float32)
    if not all(bool(bound.isfinite()) for bound in torch.aminmax(tensor)):
        raise BadInput(f"{what} has values that are NaN or infinite (in float32)")
    return tensor


def _targets(tensor: Tensor, what: str) -> Tensor:
    tensor = tensor.detach().cpu()
    if tensor.dim() < 1 or tensor.numel() == 0:
        raise BadInput(f"{what} has shape {list(tensor.shape)}; it must be [N], one class per sample, or [N, ...]")
    if tensor.is_floating_point():
        tensor = tensor.to(torch.float32)
        if not bool(tensor.isfinite().all()):
            raise BadInput(f"{what} has values that are NaN or infinite (in float32)")
        return tensor
    if tensor.dtype not in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        raise BadInput(f"{what} is {tensor.dtype}; targets are integer classes from 0 on, or float numbers")
    tensor = tensor.to(torch.int64)
    least = int(tensor.min())
    if least < 0 and not (tensor.dim() > 1 and bool((tensor[tensor < 0] == IGNORED).all())):
        raise BadInput(f"{what} has the class {least}; classes count from 0")
    return tensor


def _check_together(train: Split, test: Split, name: str) -> None:
    for label, split in (("train", train), ("test", test)):
        if len(split.inputs) != len(split.targets):
            raise BadInput(f"dataset {name}: {label} has {len(split.inputs)} inputs and {len(split.targets)} targets")
    for what, one, other in (
        ("inputs", _forms(train.inputs), _forms(test.inputs)),
        ("targets", _forms(train.targets), _forms(test.targets)),
    ):
        if one != other:
            raise BadInput(f"dataset {name}: train {what} are {one}, test {what} {other}; they must be alike")


def _forms(inputs: Inputs) -> str:
    """Type and shape of a sample; of tensors by name, of each."""
    forms = {name: f"{each.dtype} {list(each.shape[1:])}" for name, each in tensors_of(inputs).items()}
    return ", ".join(f"{name} {form}" for name, form in forms.items()) if isinstance(inputs, Batch) else forms["inputs"]


def check_memory(needed: int, what: str) -> None:
    """Refuse what this machine's memory cannot hold, before the system ends the process for it."""
    if needed > memory():
        raise BadInput(f"{what} need {needed / 1e9:.3g} GB, and this machine has {memory() / 1e9:.3g} GB of memory")

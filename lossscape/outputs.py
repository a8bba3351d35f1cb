"""The logits in what a net gives: a tensor, or a mapping, dataclass, named tuple or tuple that holds them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lossscape.errors import BadInput

LOGITS = "logits"


def logits_of(given: Any, samples: int, name: str | None = None) -> Tensor:
    """The outputs of a net for `samples` samples: a tensor [n, ...].

    name: of the entry or attribute (or the number of a tuple's item) that they are; by default `logits`, else the only
    floating-point tensor with a row for each sample. Raises BadInput where there is none, or one of several.
    """
    if isinstance(given, Tensor) and name is None:
        if given.ndim and given.shape[0] == samples and given.is_floating_point():
            return given
        found = given
    else:
        entries = _entries(given)
        named = LOGITS if name is None and LOGITS in entries else name
        if named is not None:
            if named not in entries:
                raise BadInput(f"output: {named}: the net gives no such output; it gives {_shown(entries)}")
            found = entries[named]
        else:
            fitting = [entry for entry in entries.values() if _fits(entry, samples)]
            if len(fitting) != 1:
                what = "several outputs could be" if fitting else "none of the outputs is"
                raise BadInput(
                    f"{what} the logits of {samples} samples: the net gives {_shown(entries)}; name one by "
                    '`output: NAME` (in Python: output="NAME")'
                )
            (found,) = fitting
    if not isinstance(found, Tensor) or not found.is_floating_point() or not found.ndim or len(found) != samples:
        raise BadInput(
            f"the net gives {_form(found)} for {samples} samples: outputs are floats with a row for each sample"
        )
    return found


def _fits(entry: Any, samples: int) -> bool:
    return isinstance(entry, Tensor) and entry.is_floating_point() and entry.ndim > 1 and len(entry) == samples


def _entries(given: Any) -> dict[str, Any]:
    """What a net gives, by name or number. Raises BadInput where it has no parts."""
    if isinstance(given, Mapping):  # Hugging Face's ModelOutput is one
        return {str(key): value for key, value in given.items()}
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        return {field.name: getattr(given, field.name) for field in dataclasses.fields(given)}
    if isinstance(given, tuple | list):
        names = getattr(given, "_fields", range(len(given)))
        return {str(name): value for name, value in zip(names, given, strict=True)}
    if isinstance(given, Tensor):
        raise BadInput(f"the net gives one tensor {_form(given)}, so there is no output to name: leave it out")
    raise BadInput(
        f"the net gives a {type(given).__name__}: a tensor, or a mapping, dataclass or tuple of tensors is needed"
    )


def _shown(entries: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({_form(value)})" for name, value in entries.items()) or "nothing"


def _form(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"

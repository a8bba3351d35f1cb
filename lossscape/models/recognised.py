"""Models of this package say by which options they were made, so that a config can name them again."""

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

_MADE_BY = "_lossscape_made_by"


def recognised(function: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """The same function, whose modules carry its name and options."""

    @functools.wraps(function)
    def made(shape: tuple[int, ...], classes: int, **options: Any) -> nn.Module:
        model = function(shape, classes, **options)
        setattr(model, _MADE_BY, {"name": function.__name__, **options})
        return model

    return made


def section_of(model: nn.Module) -> dict[str, Any] | None:
    """The `model` section of a config that makes such a module; None for one that was made elsewhere."""
    made_by: dict[str, Any] | None = getattr(model, _MADE_BY, None)
    return made_by

"""Models by name. A new one is a function (shape, classes, *, options) -> nn.Module and a line in MODELS."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator
from torch import nn

from lossscape.errors import BadInput
from lossscape.families import Component, Family, is_custom
from lossscape.models.cnn import cnn
from lossscape.models.initial import FAMILY as INITIAL_VALUES
from lossscape.models.initial import InitOptions, initialise
from lossscape.models.mlp import mlp
from lossscape.models.resnet import resnet18, resnet50
from lossscape.models.summary import Summary, check_size, summarise

__all__ = ["FAMILY", "MODELS", "ModelOptions", "Summary", "build", "summarise"]


def _named(value: Any) -> Any:
    """`init: lecun` for `init: {name: lecun}`."""
    return {"name": value} if isinstance(value, str) else value


class ModelOptions(Component):
    """What every model shares."""

    init: Annotated[INITIAL_VALUES.type, BeforeValidator(_named)] = InitOptions(name="default")  # type: ignore[name-defined]
    """Initial values: default, constant, normal, xavier, he, lecun; with options {name: normal, std: 0.1}."""


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn, "resnet18": resnet18, "resnet50": resnet50}
FAMILY = Family(MODELS, ModelOptions, given=("shape", "classes"))


def build(spec: ModelOptions, shape: tuple[int, ...], classes: int, seed: int = 0) -> nn.Module:
    """The model that a config's `model` section names, on the CPU in float32, with its seeded initial values.

    shape: of one input; classes: number of outputs. The caller's random state is left as it was.
    Raises BadInput where the model does not fit the input, this machine's memory, or is not an nn.Module.
    """
    function = FAMILY.function(spec)
    handed = {"shape": shape, "classes": classes}
    wanted = inspect.signature(function).parameters
    arguments = {key: value for key, value in handed.items() if key in wanted} | FAMILY.arguments(spec)
    check_size(lambda: function(**arguments), spec.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model: Any = function(**arguments)
        except Exception as error:  # whatever a user's function raises is the user's to read
            if not is_custom(spec.name):
                raise
            raise BadInput(f"model {spec.name!r} failed: {type(error).__name__}: {error}") from error
        if not isinstance(model, nn.Module):
            raise BadInput(f"model {spec.name!r} returned {type(model).__name__}, not a torch.nn.Module")
        try:
            initialise(model, spec.init)
        except Exception as error:  # likewise
            if isinstance(error, BadInput) or not is_custom(spec.init.name):
                raise
            raise BadInput(f"init {spec.init.name!r} failed: {type(error).__name__}: {error}") from error
    return model

"""Models by name. A new one is a function (shape, classes, *, options) -> nn.Module and a line in MODELS."""

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
from lossscape.models.summary import Summary, check_size, has_batch_norm, summarise
from lossscape.modules import check_module, detach_computed, unwrapped
from lossscape.usercode import blamed

__all__ = ["FAMILY", "MODELS", "ModelOptions", "Summary", "build", "has_batch_norm", "summarise"]


def _named(value: Any) -> Any:
    """`init: lecun` for `init: {name: lecun}`."""
    return {"name": value} if isinstance(value, str) else value


class ModelOptions(Component):
    """What every model shares."""

    init: Annotated[InitOptions, INITIAL_VALUES, BeforeValidator(_named)] = InitOptions(name="default")
    """Initial values: default, constant, normal, xavier, he, lecun; with options {name: normal, std: 0.1}."""


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn, "resnet18": resnet18, "resnet50": resnet50}
FAMILY = Family(MODELS, ModelOptions, given=("shape", "classes"))


def build(spec: ModelOptions, shape: tuple[int, ...], classes: int, seed: int = 0) -> nn.Module:
    """The model that a config's `model` section names, on the CPU in float32, with its seeded initial values.

    shape: of one input; classes: number of outputs. The caller's random state is left as it was.
    What DataParallel or torch.compile wrap around it is left out. Raises BadInput where the model does not fit the
    input or this machine's memory, is not an nn.Module, or cannot be given values.
    """
    make = FAMILY.bound(spec, shape=shape, classes=classes)
    check_size(make, spec.name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with blamed(f"model {spec.name!r} failed:", is_custom(spec.name)):
            model: Any = make()
        if not isinstance(model, nn.Module):
            raise BadInput(f"model {spec.name!r} returned {type(model).__name__}, not a torch.nn.Module")
        model = unwrapped(model)
        check_module(model)
        detach_computed(model)
        with blamed(f"init {spec.init.name!r} failed:", is_custom(spec.init.name)):
            initialise(model, spec.init)
    return model

"""The methods of a race: optimizers as a config names them, with the learning rates that suit a surface."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from lossscape import optimizers, trust
from lossscape.errors import BadInput
from lossscape.families import Component, Section, component_data
from lossscape.refusals import refusal_of

USUAL = (
    "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "newton", "saddle_free_newton", "lbfgs",
)  # fmt: skip
"""Where none are named, of those that there are."""
LONG_AS_GRADIENT = ("sgd", "momentum", "nesterov", "nesterov_lookahead")
"""Whose steps are as long as the gradient, times the learning rate."""
STRIDES = {"adam": 1.0, "adamw": 1.0, "rmsprop": 0.5, "adagrad": 5.0, "adadelta": 100.0}
"""Learning rates of the others, in strides: RMSProp's steps begin ten times as long, AdaGrad's shrink, AdaDelta's begin
at a thousandth of it."""


class _Named(Section):
    """As a section of a config."""

    optimizer: Annotated[optimizers.OptimizerOptions, optimizers.FAMILY]


@dataclass(frozen=True)
class Method:
    """An optimizer with its options."""

    label: str
    """Unlike all others of a race: its name, with the options by which it differs from others of that name."""
    spec: Component


def chosen(given: Sequence[Mapping[str, Any]] | None, rate: float, stride: float) -> list[Method]:
    """The methods that are named, by default the usual ones.

    rate, stride: the learning rates of both kinds of method, of those that name none. Raises BadInput.
    """
    named = given or [{"name": name} for name in USUAL if name in optimizers.OPTIMIZERS]
    specs = [_checked(each, rate, stride) for each in named]
    names = [str(each.get("name")) for each in named]
    found = []
    for name, each, spec in zip(names, named, specs, strict=True):
        options = "".join(f" {key}={_short(value)}" for key, value in each.items() if key != "name")
        found.append(Method(name.rpartition(":")[2] + (options if names.count(name) > 1 else ""), spec))
    labels = [each.label for each in found]
    for label in labels:
        if labels.count(label) > 1:
            raise BadInput(f"--methods: {label} is named twice with the same options")
    return found


def plain(spec: Component) -> dict[str, Any]:
    """A method as settings.yaml has it."""
    return component_data(spec, Path.cwd())


def _checked(given: Mapping[str, Any], rate: float, stride: float) -> Component:
    name = given.get("name")
    usual = {"lr": rate} if name in LONG_AS_GRADIENT else {"lr": stride * STRIDES[name]} if name in STRIDES else {}
    context = {"folder": Path.cwd(), "guard": trust.guard(None)}
    try:
        return _Named.model_validate({"optimizer": usual | dict(given)}, context=context).optimizer
    except ValidationError as error:
        _, *lines = refusal_of(error, _Named, lambda _: f"--methods {name}").args
        raise BadInput("; ".join(lines)) from None


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

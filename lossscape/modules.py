"""Modules as people write them: private copies, calls with other values in them, and what their forward allows."""

import copy
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lossscape.batches import Inputs, arguments, changed, tensors_of
from lossscape.errors import BadInput, one_of
from lossscape.vectors import Params

ROOT = "(net)"
"""The layer of parameters that are the net's own."""
MOST_LISTED = 20
"""Layers that a refusal lists."""
Ties = dict[str, list[str]]
"""From every name of a parameter or buffer to one name for each place in the module that holds it."""


def layer_of(parameter: str) -> str:
    """The name of the module that holds a parameter itself."""
    return parameter.rpartition(".")[0] or ROOT


def names_of(names: Iterable[str], patterns: Sequence[str], key: str) -> list[str]:
    """Those of a state_dict's names that patterns choose: a name, a layer that holds it, or either with * in it.

    key: of the config, said in errors. Raises BadInput where a pattern chooses none.
    """
    known = list(names)
    chosen: set[str] = set()
    for pattern in patterns:
        found = [name for name in known if any(fnmatchcase(each, pattern) for each in _enclosing(name))]
        if not found:
            layers = list(dict.fromkeys(layer_of(name) for name in known))
            more = [f"… ({len(layers)} in all)"] if len(layers) > MOST_LISTED else []
            raise BadInput(one_of(f"{key}: layer", pattern, [*layers[:MOST_LISTED], *more]))
        chosen.update(found)
    return [name for name in known if name in chosen]


def _enclosing(name: str) -> list[str]:
    """a.b.c, a.b and a of a.b.c"""
    steps = name.split(".")
    return [".".join(steps[:end]) for end in range(len(steps), 0, -1)]


def tensor_in(output: Any) -> Tensor | None:
    """The first tensor of floats in what a layer gives."""
    if isinstance(output, Tensor):
        return output if output.is_floating_point() else None
    values = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else ()
    return next((found for each in values if (found := tensor_in(each)) is not None), None)


def unwrapped(model: nn.Module) -> nn.Module:
    """A module without what DataParallel, DistributedDataParallel and torch.compile wrap around it."""
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def check_module(model: nn.Module) -> None:
    """Raise BadInput where a module cannot be given other values: lazy, quantised, TorchScript, of complex numbers."""
    lazy = [name for name, value in model.named_parameters() if nn.parameter.is_lazy(value)]
    if lazy:
        raise BadInput(f"the parameters {', '.join(lazy)} have no size yet; give lazy layers their sizes")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            what = f"its part {name} is" if name else "it is"
            raise BadInput(
                f"the model cannot be called with other parameters, for {what} TorchScript: give the Python module "
                "that it was made of, and its weights as a state_dict"
            )
    packed = [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]
    if packed:
        raise BadInput(
            f"the model holds {packed[0]}, which is no tensor (a quantised layer?), and directions are of parameters: "
            "give the module of floats that it was made of"
        )
    numbers = [name for name, value in model.named_parameters() if value.is_complex()]
    if numbers:
        raise BadInput(
            f"the parameter {numbers[0]} is complex, and directions are of real numbers: hold it as a real parameter "
            "[..., 2] and take torch.view_as_complex of it in forward"
        )


def copied(model: nn.Module) -> nn.Module:
    """A deep copy; tensors that a layer has computed and keeps (weight_norm of old, activations) lose their graph."""
    return copy.deepcopy(model, {id(value): value.detach() for _, _, value in _computed(model)})


def detach_computed(model: nn.Module) -> None:
    """Let go of the graph of tensors that layers have computed and keep, without which torch copies no module."""
    for module, key, value in _computed(model):
        vars(module)[key] = value.detach()


def _computed(model: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    return [
        (module, key, value)
        for module in model.modules()
        for key, value in vars(module).items()
        if isinstance(value, Tensor) and not value.is_leaf
    ]


def ties_of(model: nn.Module) -> Ties:
    """Where each parameter and buffer is held, for `called_with`: tied ones in several places, under a name for each.

    A module that has two names is one place: torch's own functional_call would leave it with the values of the call.
    """
    places: dict[int, list[str]] = {}
    for prefix, module in model.named_modules():
        for key, value in _own(module):
            places.setdefault(id(value), []).append(f"{prefix}.{key}".lstrip("."))
    return {
        f"{prefix}.{key}".lstrip("."): places[id(value)]
        for prefix, module in model.named_modules(remove_duplicate=False)
        for key, value in _own(module)
    }


def _own(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    return (
        (key, value) for s in (module._parameters, module._buffers) for key, value in s.items() if value is not None
    )


def called_with(model: nn.Module, ties: Ties, values: Params, inputs: Inputs) -> Any:
    """What a module gives for inputs with `values` in place of its parameters and buffers.

    ties: `ties_of` the module.
    """
    return torch.func.functional_call(model, _placed(ties, values), *arguments(inputs), tie_weights=False)


def using(model: nn.Module, ties: Ties, values: Params, use: Callable[[nn.Module], Any]) -> Any:
    """What `use(model)` gives while the module has `values`.

    For derivatives: a backward pass may call parts of the module again (torch.utils.checkpoint).
    """
    held = {f"held.{name}": value for name, value in _placed(ties, values).items()}
    return torch.func.functional_call(_Holder(model), held, (use,), tie_weights=False)


class _Holder(nn.Module):
    """Hands the module that it holds to whoever calls."""

    def __init__(self, held: nn.Module) -> None:
        super().__init__()
        self.held = held

    def forward(self, use: Callable[[nn.Module], Any]) -> Any:
        return use(self.held)


def _placed(ties: Ties, values: Params) -> Params:
    return {place: value for name, value in values.items() for place in ties.get(name, [name])}


def has_convolutions(model: nn.Module) -> bool:
    """Whether a model has 2-D convolutions, which run fastest in small chunks and channels_last."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def laid_out(value: Tensor, channels_last: bool) -> Tensor:
    """A tensor in the memory layout of 2-D convolutions, where it has four dimensions."""
    four = channels_last and value.ndim == 4
    return value.contiguous(memory_format=torch.channels_last) if four else value


class Habits(NamedTuple):
    """What a module's forward allows and does, beside giving outputs."""

    channels_last: bool
    """Whether it has 2-D convolutions and may be given this layout: a view of what they give may not fit it."""
    overwrites: bool
    """Whether it writes over its inputs."""

    def spared(self, inputs: Inputs) -> Inputs:
        """Inputs for one call: a copy where they are written over."""
        return changed(inputs, torch.clone) if self.overwrites else inputs


def habits_of(model: nn.Module, inputs: Inputs) -> Habits:
    """Try a module, in the mode it is in, on some inputs in its precision, which stay as they are.

    A forward that fails whatever the layout has none of these habits, and says for itself what is wrong.
    """
    convolutions = has_convolutions(model)
    written = _written(model, inputs, channels_last=True) if convolutions else None
    if written is not None:
        return Habits(True, written)
    return Habits(False, bool(_written(model, inputs, channels_last=False)))


def _written(model: nn.Module, inputs: Inputs, *, channels_last: bool) -> bool | None:
    """Whether a forward pass writes over its inputs; None where it fails."""
    values = {name: laid_out(value.detach(), channels_last) for name, value in model.named_parameters()}
    values |= {name: value.detach().clone() for name, value in model.named_buffers()}
    given = changed(inputs, lambda value: laid_out(value.clone(), channels_last))
    before = _versions(given)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            called_with(model, ties_of(model), values, given)
    except Exception:  # the user's forward may raise anything, of the layout or of all else
        return None
    return _versions(given) != before


def _versions(inputs: Inputs) -> list[int]:
    return [value._version for value in tensors_of(inputs).values() if isinstance(value, Tensor)]

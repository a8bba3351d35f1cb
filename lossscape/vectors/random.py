"""Random directions, and the ways to scale them.

A filter is what makes one output of a layer: θ[i] of a weight with two or more dimensions; a parameter with
one dimension (a bias, BatchNorm's weight) counts as one filter. Filter normalisation is that of Li et al.
(NeurIPS 2018, arXiv:1712.09913, §4): each filter of a direction gets the norm of the filter it displaces.
"""

from collections.abc import Callable, Collection
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.weight_norm import WeightNorm

from lossscape.seeds import generator
from lossscape.vectors import Params, norm, scale

Kind = Literal["weight", "bias", "norm"]
_NORM_LAYERS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def kinds_of_parameters(model: nn.Module) -> dict[str, Kind]:
    """Each parameter's kind: norm for those of a normalisation layer, bias for others of one dimension.

    The lengths g of weight normalisation, W = g·V/‖V‖, are of the kind norm, as BatchNorm's scales; V is a weight.
    """
    kinds: dict[str, Kind] = {}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for module in model.modules():
        lengths = _lengths(module)
        for key, parameter in module.named_parameters(recurse=False):
            if isinstance(module, _NORM_LAYERS) or key in lengths:
                kinds[names[id(parameter)]] = "norm"
            else:
                kinds[names[id(parameter)]] = "weight" if parameter.ndim > 1 else "bias"
    return kinds


def _lengths(module: nn.Module) -> set[str]:
    """The names of weight normalisation's lengths among a module's own parameters."""
    if isinstance(module, ParametrizationList):
        return {"original0"} if type(module[0]).__name__ == "_WeightNorm" else set()
    return {f"{hook.name}_g" for hook in module._forward_pre_hooks.values() if isinstance(hook, WeightNorm)}


def random_directions(
    origin: Params, number: int, *, seed: int = 0, normalize: str = "filter", ignored: Collection[str] = ()
) -> list[Params]:
    """`number` seeded random directions around `origin`, each orthogonal to those before it, then scaled.

    Normal numbers in the shape of the parameters; orthogonal filter by filter (tensor by tensor where a filter is
    a single number). Drawn on the CPU, a stream of its own for each index, so machines agree. ignored: names of
    parameters that stay put. normalize: one of NORMALIZATIONS. Raises KeyError for another.
    """
    rescale = NORMALIZATIONS[normalize]
    raw: list[Params] = []
    for index in range(number):
        direction = {}
        for name, value in origin.items():
            drawn = torch.randn(value.shape, generator=generator(seed, "direction", index, name), dtype=torch.float64)
            drawn = torch.zeros_like(drawn) if name in ignored else drawn
            for earlier in raw:
                drawn = _without(drawn, earlier[name])
            direction[name] = drawn
        raw.append(direction)
    return [{name: value.to(origin[name]) for name, value in rescale(direction, origin).items()} for direction in raw]


def _filters(value: Tensor) -> Tensor:
    return value.flatten(1) if value.ndim > 1 else value.reshape(1, -1)


def _without(value: Tensor, other: Tensor) -> Tensor:
    a, b = _filters(value), _filters(other)
    if a.shape[1] == 1:  # filters of a single number have nothing orthogonal to them
        a, b = a.reshape(1, -1), b.reshape(1, -1)
    if a.shape[1] == 1:
        return value
    square = (b * b).sum(1, keepdim=True)
    share = torch.where(square > 0, (a * b).sum(1, keepdim=True) / square.clamp(min=1e-300), 0.0)
    return (a - share * b).reshape(value.shape)


def _match_filters(direction: Params, origin: Params) -> Params:
    scaled = {}
    for name, value in direction.items():
        filters, target = _filters(value), _filters(origin[name].double().cpu())
        length = filters.norm(dim=1, keepdim=True)
        factor = torch.where(length > 0, target.norm(dim=1, keepdim=True) / length.clamp(min=1e-300), 0.0)
        scaled[name] = (filters * factor).reshape(value.shape)
    return scaled


def _match_layers(direction: Params, origin: Params) -> Params:
    return {
        name: value * (origin[name].double().cpu().norm().item() / length if (length := value.norm().item()) else 0.0)
        for name, value in direction.items()
    }


def _match_whole(direction: Params, origin: Params) -> Params:
    length = norm({name: value.cpu() for name, value in origin.items()})
    return scale(direction, length / norm(direction)) if norm(direction) else direction


def _to_unit(direction: Params, origin: Params) -> Params:
    return scale(direction, 1 / norm(direction)) if norm(direction) else direction


NORMALIZATIONS: dict[str, Callable[[Params, Params], Params]] = {
    "filter": _match_filters,
    "layer": _match_layers,
    "global": _match_whole,
    "unit": _to_unit,
    "none": lambda direction, origin: direction,
}

"""A net's graph rewritten for evaluation: BatchNorm folded, activations in place, layers by what multiplies fastest.

What is rewritten computes the same numbers up to rounding.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn.modules.batchnorm import _BatchNorm

from lossscape.evaluate.graph import (
    AFFINE,
    NOTHING,
    Form,
    copied_graph,
    first_and_node,
    first_of,
    forms_of,
    is_alone,
    is_one_of,
    is_plain,
    traced,
)
from lossscape.evaluate.lowering import Covering, lowered
from lossscape.modules import has_convolutions
from lossscape.objective import Objective
from lossscape.onednn import Convolution, by_onednn, can_pack, has_onednn, has_packing, linear_where_large
from lossscape.vectors import Params

IN_PLACE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.tanh_,
    nn.Sigmoid: torch.sigmoid_,
    nn.SELU: torch.selu_,
}
FUNCTIONS = {
    torch.relu: torch.relu_, nn.functional.relu: torch.relu_, torch.tanh: torch.tanh_, torch.sigmoid: torch.sigmoid_,
}  # fmt: skip
WIDTH = 16
"""Outputs that a matrix product on the CPU should have at least."""
_LOWERS: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], bool]] = WeakKeyDictionary()
"""By a model and the shape of a sample."""
ADDITIONS = (operator.add, torch.add)


@dataclass(frozen=True)
class Net:
    """A rewritten net: a module, and the values it takes made from those of the model."""

    module: nn.Module
    folds: dict[str, "Fold"] = field(default_factory=dict)
    """BatchNorm layers by the name of the layer that they are folded into."""

    padded: dict[str, int] = field(default_factory=dict)
    """Linear layers that get outputs of zeros, up to this number of them, which are cut off again."""

    laid_out: dict[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    """Values of convolutions that are laid out anew at a point, by name, and what does it."""

    @cached_property
    def names(self) -> set[str]:
        """The names of the values that `module` takes."""
        return {name for name, _ in (*self.module.named_parameters(), *self.module.named_buffers())}

    def values(self, given: Params) -> Params:
        """The values for `module` at a point, from the model's parameters and buffers there."""
        values = dict(given)
        for name, fold in self.folds.items():
            scale = given[f"{fold.norm}.running_var"].add(fold.eps).rsqrt_()
            if f"{fold.norm}.weight" in given:
                scale = scale * given[f"{fold.norm}.weight"]
            weight = given[f"{name}.weight"]
            values[f"{name}.weight"] = weight * scale.view(-1, *[1] * (weight.ndim - 1))
            shift = -given[f"{fold.norm}.running_mean"]
            if f"{name}.bias" in given:
                shift = shift + given[f"{name}.bias"]
            shift = shift * scale
            if f"{fold.norm}.bias" in given:
                shift = shift + given[f"{fold.norm}.bias"]
            values[f"{name}.bias"] = shift
        for name, outputs in self.padded.items():
            for key in (f"{name}.weight", f"{name}.bias"):
                if key in values:
                    value = values[key]
                    values[key] = nn.functional.pad(value, (0, 0) * (value.ndim - 1) + (0, outputs - len(value)))
        for name, lay_out in self.laid_out.items():
            values[name] = lay_out(values[name])
        return values


@dataclass(frozen=True)
class Fold:
    """A BatchNorm layer with fixed statistics: y = (x − mean)/√(var + ε)·weight + bias."""

    norm: str
    eps: float


def rewritten(objective: Objective, *, after_first_layer: bool = False) -> Net | None:
    """An objective's model (or what follows its first layer) with BatchNorm folded and activations in place.

    None where the model cannot be traced, or has no first layer to leave out.
    """
    kept = traced(objective.model)
    inputs = objective.laid_out(objective.inputs[:2])
    if kept is None or not isinstance(inputs, Tensor) or (after_first_layer and first_of(objective) is None):
        return None
    module = copied_graph(kept)  # rewriting replaces layers, never values
    if after_first_layer:
        first, node = first_and_node(module)
        assert first is not None
        assert node is not None
        if first.flattened:
            inputs = inputs.flatten(1)
        with torch.no_grad():
            inputs = first.layer(inputs)
        _begin_after(module, node)
    _drop_nothings(module)
    _global_means(module)
    forms = forms_of(module, inputs)
    if forms is None:
        return None
    folds = _fold(module, forms)
    padded = _pad(module, forms) if inputs.device.type == "cpu" else {}
    _in_place(module, forms, owned=after_first_layer)
    if takes_onednn(objective):
        _by_onednn(module)
    laid_out = _lower(module, forms, takes_onednn(objective)) if takes_lowered(objective) else {}
    if takes_packed(objective):
        laid_out |= _pack(module, forms, objective.plan.chunk)
    module.graph.lint()
    module.delete_all_unused_submodules()
    module.recompile()
    return Net(module, folds, padded, laid_out)


def _begin_after(module: GraphModule, node: Node) -> None:
    (old,) = [other for other in module.graph.nodes if other.op == "placeholder"]
    with module.graph.inserting_before(old):
        new = module.graph.placeholder("first")
    node.replace_all_uses_with(new)
    while node is not old:
        before = node.all_input_nodes[0]
        module.graph.erase_node(node)
        node = before
    module.graph.erase_node(old)


def _drop_nothings(module: GraphModule) -> None:
    for node in list(module.graph.nodes):
        if is_one_of(module, node, NOTHING):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)


def _global_means(module: GraphModule) -> None:
    """Pooling to one pixel as the mean that it is, which torch can also take of stacks of pictures."""
    for node in list(module.graph.nodes):
        if is_one_of(module, node, (nn.AdaptiveAvgPool2d,)):
            size = module.get_submodule(str(node.target)).output_size
            if size in (1, (1, 1)):
                with module.graph.inserting_after(node):
                    mean = module.graph.call_method("mean", (node.args[0], (-2, -1)), {"keepdim": True})
                node.replace_all_uses_with(mean)
                module.graph.erase_node(node)


def _fold(module: GraphModule, forms: Mapping[Node, Form]) -> dict[str, Fold]:
    folds: dict[str, Fold] = {}
    for node in list(module.graph.nodes):
        if node.op != "call_module" or not node.args:
            continue
        norm, source = module.get_submodule(str(node.target)), node.args[0]
        if not (
            isinstance(norm, _BatchNorm) and norm.track_running_stats and is_plain(norm)
            and is_one_of(module, source, AFFINE) and len(source.users) == 1
            and is_alone(module, node) and is_alone(module, source)
        ):  # fmt: skip
            continue
        if is_one_of(module, source, (nn.Linear,)) and forms[source][0][1:] != (norm.num_features,):
            continue  # a linear layer over sequences: its features are not the dimension that is normalised
        layer: Any = module.get_submodule(str(source.target))
        if layer.bias is None:
            layer.bias = nn.Parameter(layer.weight.new_zeros(norm.num_features), requires_grad=False)
        folds[str(source.target)] = Fold(str(node.target), norm.eps)
        node.replace_all_uses_with(source)
        module.graph.erase_node(node)
    return folds


def _pad(module: GraphModule, forms: dict[Node, Form]) -> dict[str, int]:
    """Widen linear layers of few outputs: CPU matrix products with 10 columns take 2.5 times as long as with 16."""
    padded: dict[str, int] = {}
    for node in list(module.graph.nodes):
        if is_one_of(module, node, (nn.Linear,)) and is_alone(module, node):
            layer: Any = module.get_submodule(str(node.target))
            outputs: int = layer.out_features
            if 1 < outputs < WIDTH:
                padded[str(node.target)] = WIDTH
                with module.graph.inserting_after(node):
                    cut = module.graph.call_function(torch.narrow, (node, -1, 0, outputs))
                forms[cut] = forms[node]
                for user in set(node.users) - {cut}:
                    user.replace_input_with(node, cut)
    return padded


def _in_place(module: GraphModule, forms: Mapping[Node, Form], *, owned: bool) -> None:
    """Let activations and additions write over what nothing else reads.

    owned: whether the graph's input may be written over.
    """

    def fresh(node: Any, reader: Any) -> bool:
        """Whether a node made a tensor of its own that only `reader` reads."""
        if not isinstance(node, Node) or set(node.users) != {reader}:
            return False
        if node.op == "placeholder":
            return owned
        made = is_one_of(module, node, (*AFFINE, *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)))
        return made or node.target in (*ADDITIONS, operator.iadd, operator.imul, *IN_PLACE.values())

    for node in module.graph.nodes:
        if is_one_of(module, node, tuple(IN_PLACE)) and fresh(node.args[0], node):
            node.target = IN_PLACE[type(module.get_submodule(str(node.target)))]
            node.op = "call_function"
        elif node.op == "call_function" and node.target in FUNCTIONS and len(node.args) == 1:
            if fresh(node.args[0], node) and not any(node.kwargs.values()):
                node.target, node.kwargs = FUNCTIONS[node.target], {}
        elif node.target is operator.mul and fresh(node.args[0], node) and _is_mask(node.args[1]):
            node.target = operator.imul
        elif node.op == "call_function" and node.target in ADDITIONS and len(node.args) == 2:
            a, b = node.args
            same = {forms.get(other) for other in (a, b, node) if isinstance(other, Node)}
            if len(same) == 1 and isinstance(b, Node) and not node.kwargs:
                for one, other in ((a, b), (b, a)):
                    if one is not other and fresh(one, node):
                        node.target, node.args = operator.iadd, (one, other)
                        break


def _is_mask(node: Any) -> bool:
    """Whether a node is the mask of dropout that stays on, which is never larger than what it multiplies."""
    return isinstance(node, Node) and node.op == "get_attr" and str(node.target).endswith(".mask")


def takes_onednn(objective: Objective) -> bool:
    """Whether oneDNN makes the products of an objective's linear layers: its plan says so, and it can.

    torch.func.vmap and torch.compile have no form of its product.
    """
    return objective.plan.onednn and _allows_onednn(objective) and has_onednn()


def takes_packed(objective: Objective) -> bool:
    """Whether the weights of an objective's convolutions are packed for oneDNN: its plan says so, and it can.

    Its convolutions of packed weights give channels_last whatever they are given.
    """
    plan = objective.plan
    return plan.packed and plan.channels_last and _allows_onednn(objective) and has_packing()


def takes_lowered(objective: Objective) -> bool:
    """Whether convolutions of an objective are made as products of matrices: its plan says so, and it can."""
    return objective.plan.lowered and objective.plan.channels_last and _allows_onednn(objective)


def _allows_onednn(objective: Objective) -> bool:
    plan = objective.plan
    written = plan.name != "stacked" and not plan.compiled
    return written and objective.device.type == "cpu" and objective.precision == "fp32"


def lowers(objective: Objective) -> bool:
    """Whether some convolution of an objective's model is a product of matrices that could be made as such."""
    module, inputs = traced(objective.model), objective.inputs[:2]
    if module is None or not isinstance(inputs, Tensor) or not has_convolutions(objective.model):
        return False
    known = _LOWERS.setdefault(objective.model, {})
    shape = tuple(inputs.shape[1:])
    if shape not in known:
        laid_out = objective.laid_out(inputs)
        assert isinstance(laid_out, Tensor)
        forms = forms_of(module, laid_out)
        layers = () if forms is None else _convolutions(module, forms)
        known[shape] = any(lowered(layer, form, nn.functional.linear) for _, layer, form in layers)
    return known[shape]


def _by_onednn(module: GraphModule) -> None:
    for node in module.graph.nodes:
        if is_one_of(module, node, (nn.Linear,)):
            module.set_submodule(str(node.target), by_onednn(module.get_submodule(str(node.target))))


def _lower(module: GraphModule, forms: Mapping[Node, Form], onednn: bool) -> dict[str, Callable[[Tensor], Tensor]]:
    """Make products of matrices of the convolutions that are; how their values are laid out, by name.

    onednn: whether it multiplies.
    """
    laid_out: dict[str, Callable[[Tensor], Tensor]] = {}
    multiply = linear_where_large if onednn else nn.functional.linear
    for name, layer, shape in _convolutions(module, forms):
        made = lowered(layer, shape, multiply)
        if made is not None:
            module.set_submodule(name, made)
        if isinstance(made, Covering):
            laid_out[f"{name}.weight"] = made.matrix
            if made.bias is not None:
                laid_out[f"{name}.bias"] = made.repeated
    return laid_out


def _pack(module: GraphModule, forms: Mapping[Node, Form], chunk: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Let oneDNN make the convolutions of chunks of so many samples; how their weights are packed, by name."""
    laid_out: dict[str, Callable[[Tensor], Tensor]] = {}
    for name, layer, shape in _convolutions(module, forms):
        if can_pack(layer):
            made = Convolution(layer)
            module.set_submodule(name, made)
            laid_out[f"{name}.weight"] = partial(made.packed, inputs=(chunk, *shape))
    return laid_out


def _convolutions(module: GraphModule, forms: Mapping[Node, Form]) -> Iterator[tuple[str, nn.Conv2d, tuple[int, ...]]]:
    """Names, layers and the inputs' shapes [C, H, W] of those whose weights nothing else reads, which it could not
    any more where they are laid out anew.
    """
    for node in module.graph.nodes:
        if is_one_of(module, node, (nn.Conv2d,)) and is_alone(module, node) and len(forms[node][0]) == 4:
            layer = module.get_submodule(str(node.target))
            assert isinstance(layer, nn.Conv2d)
            yield str(node.target), layer, forms[node.args[0]][0][1:]

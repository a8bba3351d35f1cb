"""A net as a graph: what follows its first affine layer, with BatchNorm folded and activations in place.

torch.fx traces a module's forward into a list of operations. What cannot be traced, or is not understood, is left
to the dense plan; what is rewritten computes the same numbers up to rounding.
"""

import copy
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Interpreter, Node, Tracer
from torch.nn.modules.batchnorm import _BatchNorm

from lossscape.evaluate.lowering import Covering, lowered
from lossscape.modules import has_convolutions
from lossscape.objective import Objective
from lossscape.onednn import Convolution, by_onednn, can_pack, has_onednn, has_packing, linear_where_large
from lossscape.vectors import Params

AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
IN_PLACE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ReLU: torch.relu_,
    nn.Tanh: torch.tanh_,
    nn.Sigmoid: torch.sigmoid_,
    nn.SELU: torch.selu_,
}
FUNCTIONS = {
    torch.relu: torch.relu_, nn.functional.relu: torch.relu_, torch.tanh: torch.tanh_, torch.sigmoid: torch.sigmoid_,
}  # fmt: skip
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
"""Modules that return what they are given, in eval mode."""
WIDTH = 16
"""Outputs that a matrix product on the CPU should have at least."""
_TRACED: WeakKeyDictionary[nn.Module, GraphModule | None] = WeakKeyDictionary()
_LOWERS: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], bool]] = WeakKeyDictionary()
"""By a model and the shape of a sample."""
ADDITIONS = (operator.add, torch.add)
Form = tuple[tuple[int, ...], torch.dtype]
"""Shape and type of a tensor."""


@dataclass(frozen=True)
class FirstLayer:
    """The affine layer that alone sees a net's inputs."""

    name: str
    layer: nn.Module
    flattened: bool
    """Whether inputs [N, ...] are flattened to [N, features] in front of it."""

    @property
    def parameters(self) -> list[str]:
        """The names of its parameters in the model."""
        return [f"{self.name}.{key}" for key, _ in self.layer.named_parameters()]


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


def traced(model: nn.Module) -> GraphModule | None:
    """A model in eval mode as a graph that calls torch's own modules; None where it cannot be one.

    The graph is kept as long as the model, which is private to an Objective and does not change.
    """
    if model not in _TRACED:
        _TRACED[model] = _trace(model)
    return _TRACED[model]


def _trace(model: nn.Module) -> GraphModule | None:
    if any(isinstance(module, nn.RNNBase) for module in model.modules()):
        return None  # they keep their weights in a second list, which values set by name do not reach
    if not _plain(model):
        return None  # the trace is of its forward, without the hooks around it
    try:
        graph = _Tracer().trace(model)
        _flatten_inputs(model, graph)
        return GraphModule(model, graph)
    except Exception:  # a forward may do anything that a trace cannot follow
        return None


class _Tracer(Tracer):
    """Traces a forward of one input, as nets are called here: its other arguments keep their defaults."""

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """The forward and its arguments: the module, and what stands for the input."""
        return super().create_args_for_root(lambda module, inputs: root_fn(module, inputs), is_module)


def _flatten_inputs(model: nn.Module, graph: Graph) -> None:
    """Inputs that are viewed as a row for each sample are flattened, which is the same and is understood.

    x.view(x.size(0), -1), or x.view(-1, k) in front of a linear layer of k features: where a sample has more numbers
    than k, that layer refuses them flattened.
    """
    for node in list(graph.nodes):
        if node.op != "call_method" or node.target not in ("view", "reshape") or len(node.args) != 3:
            continue
        inputs, rows, rest = node.args
        if inputs.op != "placeholder" or not (_counts(rows, inputs) if rest == -1 else _fills(model, node)):
            continue
        with graph.inserting_before(node):
            node.replace_all_uses_with(graph.call_function(torch.flatten, (inputs, 1)))
        graph.erase_node(node)
        for unused in [rows, *rows.all_input_nodes] if isinstance(rows, Node) else ():
            if unused is not inputs and not unused.users:  # not all dead code: what writes in place has no reader
                graph.erase_node(unused)


def _fills(model: nn.Module, node: Node) -> bool:
    """Whether a view is x.view(-1, k), for a linear layer of k features alone."""
    readers = [model.get_submodule(str(user.target)) if user.op == "call_module" else None for user in node.users]
    return all(isinstance(each, nn.Linear) and node.args[1:] == (-1, each.in_features) for each in readers)


def _counts(node: Any, inputs: Node) -> bool:
    """Whether a node is the number of samples: x.size(0), x.shape[0] or x.size()[0]."""
    if not isinstance(node, Node):
        return False
    if (node.op, node.target, node.args) == ("call_method", "size", (inputs, 0)):
        return True
    if (node.op, node.target) != ("call_function", operator.getitem) or node.args[1] != 0:
        return False
    sizes: Any = node.args[0]
    return (sizes.op, sizes.target, sizes.args) in (
        ("call_function", getattr, (inputs, "shape")),
        ("call_method", "size", (inputs,)),
    )


def first_layer(model: nn.Module) -> FirstLayer | None:
    """The affine layer that alone sees the inputs of a model; None where there is no such layer."""
    module = traced(model)
    return None if module is None else _first(module)[0]


def first_of(objective: Objective) -> FirstLayer | None:
    """The layer of an objective's model that alone sees its inputs, and takes them flattened where it does."""
    inputs = objective.inputs[:1]
    first = first_layer(objective.model) if isinstance(inputs, Tensor) else None
    if first and first.flattened and isinstance(inputs, Tensor) and isinstance(first.layer, nn.Linear):
        return first if inputs.numel() == first.layer.in_features else None
    return first


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
        first, node = _first(module)
        assert first is not None
        assert node is not None
        if first.flattened:
            inputs = inputs.flatten(1)
        with torch.no_grad():
            inputs = first.layer(inputs)
        _begin_after(module, node)
    _drop_nothings(module)
    _global_means(module)
    forms = _forms(module, inputs)
    if forms is None:
        return None
    folds = _fold(module, forms)
    padded = _pad(module) if inputs.device.type == "cpu" else {}
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


class _Seen(Interpreter):
    """Runs a graph and notes the form of each tensor: torch's own ShapeProp, without its import of sympy (a second)."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False
        self.forms: dict[Node, Form] = {}

    def run_node(self, n: Node) -> Any:
        """What the node gives."""
        found = super().run_node(n)
        if isinstance(found, Tensor):
            self.forms[n] = (tuple(found.shape), found.dtype)
        return found


def _forms(module: GraphModule, inputs: Tensor) -> dict[Node, Form] | None:
    """The form of what each node gives of some inputs that is a tensor; None where the graph does not run."""
    seen = _Seen(module)
    try:
        with torch.no_grad():
            seen.run(inputs.clone())
    except Exception:  # the user's own operations decide what they take; the dense plan calls them as they are
        return None
    return seen.forms


def copied_graph(module: GraphModule) -> GraphModule:
    """A copy of a graph and its modules that shares their tensors."""
    return copy.deepcopy(module, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})


def _calls(module: GraphModule) -> Counter[str]:
    return Counter(str(node.target) for node in module.graph.nodes if node.op == "call_module")


def _owners(module: GraphModule) -> Counter[int]:
    return Counter(id(value) for child in module.modules() for value in child._parameters.values() if value is not None)


def _alone(module: GraphModule, node: Node) -> bool:
    """Whether a node calls a module that is called once, whose parameters nothing else uses."""
    child = module.get_submodule(str(node.target))
    owners = _owners(module)
    reads = {str(other.target) for other in module.graph.nodes if other.op == "get_attr"}
    return (
        _calls(module)[str(node.target)] == 1
        and all(owners[id(value)] == 1 for value in child.parameters())
        and not any(read.startswith(f"{node.target}.") for read in reads)
    )


def _is(module: GraphModule, node: Any, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether a node calls a module of one of these kinds, which does nothing else."""
    if not isinstance(node, Node) or node.op != "call_module":
        return False
    child = module.get_submodule(str(node.target))
    return type(child) in kinds and _plain(child)


def _plain(module: nn.Module) -> bool:
    """Whether a module has no hooks, which change what it gives, or (weight_norm of old, pruning) make its weight."""
    return not module._forward_hooks and not module._forward_pre_hooks


def _first(module: GraphModule) -> tuple[FirstLayer | None, Node | None]:
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        return None, None
    node, flattened = inputs[0], False
    while len(node.users) == 1:
        (node,) = node.users
        if node.args != (node.all_input_nodes[0],) and not _flattens(module, node):
            return None, None
        if _flattens(module, node):
            flattened = True
        elif _is(module, node, NOTHING):
            continue
        elif _is(module, node, AFFINE) and _alone(module, node):
            layer = module.get_submodule(str(node.target))
            if getattr(layer, "padding_mode", "zeros") != "zeros":
                return None, None
            return FirstLayer(str(node.target), layer, flattened), node
        else:
            return None, None
    return None, None


def _flattens(module: GraphModule, node: Node) -> bool:
    if _is(module, node, (nn.Flatten,)):
        flatten = module.get_submodule(str(node.target))
        return (flatten.start_dim, flatten.end_dim) == (1, -1)
    if (node.op, node.target) in (("call_function", torch.flatten), ("call_method", "flatten")):
        return (node.args[1:], node.kwargs) in (((1,), {}), ((), {"start_dim": 1}))
    return False


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
        if _is(module, node, NOTHING):
            node.replace_all_uses_with(node.args[0])
            module.graph.erase_node(node)


def _global_means(module: GraphModule) -> None:
    """Pooling to one pixel as the mean that it is, which torch can also take of stacks of pictures."""
    for node in list(module.graph.nodes):
        if _is(module, node, (nn.AdaptiveAvgPool2d,)):
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
            isinstance(norm, _BatchNorm) and norm.track_running_stats and _plain(norm) and _is(module, source, AFFINE)
            and len(source.users) == 1 and _alone(module, node) and _alone(module, source)
        ):  # fmt: skip
            continue
        if _is(module, source, (nn.Linear,)) and forms[source][0][1:] != (norm.num_features,):
            continue  # a linear layer over sequences: its features are not the dimension that is normalised
        layer: Any = module.get_submodule(str(source.target))
        if layer.bias is None:
            layer.bias = nn.Parameter(layer.weight.new_zeros(norm.num_features), requires_grad=False)
        folds[str(source.target)] = Fold(str(node.target), norm.eps)
        node.replace_all_uses_with(source)
        module.graph.erase_node(node)
    return folds


def _pad(module: GraphModule) -> dict[str, int]:
    """Widen linear layers of few outputs: CPU matrix products with 10 columns take 2.5 times as long as with 16."""
    padded: dict[str, int] = {}
    for node in list(module.graph.nodes):
        if _is(module, node, (nn.Linear,)) and _alone(module, node):
            layer: Any = module.get_submodule(str(node.target))
            outputs: int = layer.out_features
            if 1 < outputs < WIDTH:
                padded[str(node.target)] = WIDTH
                with module.graph.inserting_after(node):
                    cut = module.graph.call_function(torch.narrow, (node, -1, 0, outputs))
                for user in set(node.users) - {cut}:
                    user.replace_input_with(node, cut)
    return padded


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
        forms = _forms(module, laid_out)
        layers = () if forms is None else _convolutions(module, forms)
        known[shape] = any(lowered(layer, form, nn.functional.linear) for _, layer, form in layers)
    return known[shape]


def _allows_onednn(objective: Objective) -> bool:
    plan = objective.plan
    written = plan.name != "stacked" and not plan.compiled
    return written and objective.device.type == "cpu" and objective.precision == "fp32"


def _by_onednn(module: GraphModule) -> None:
    for node in module.graph.nodes:
        if _is(module, node, (nn.Linear,)):
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


def _convolutions(module: GraphModule, forms: Mapping[Node, Form]) -> Iterator[tuple[str, nn.Conv2d, tuple[int, ...]]]:
    """Names, layers and the inputs' shapes [C, H, W] of those whose weights nothing else reads, which it could not
    any more where they are laid out anew.
    """
    for node in module.graph.nodes:
        if _is(module, node, (nn.Conv2d,)) and _alone(module, node) and len(forms[node][0]) == 4:
            layer = module.get_submodule(str(node.target))
            assert isinstance(layer, nn.Conv2d)
            yield str(node.target), layer, forms[node.args[0]][0][1:]


def _pack(module: GraphModule, forms: Mapping[Node, Form], chunk: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Let oneDNN make the convolutions of chunks of so many samples; how their weights are packed, by name."""
    laid_out: dict[str, Callable[[Tensor], Tensor]] = {}
    for name, layer, shape in _convolutions(module, forms):
        if can_pack(layer):
            made = Convolution(layer)
            module.set_submodule(name, made)
            laid_out[f"{name}.weight"] = partial(made.packed, inputs=(chunk, *shape))
    return laid_out


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
        made = _is(module, node, (*AFFINE, *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)))
        return made or node.target in (*ADDITIONS, operator.iadd, operator.imul, *IN_PLACE.values())

    for node in module.graph.nodes:
        if _is(module, node, tuple(IN_PLACE)) and fresh(node.args[0], node):
            node.target = IN_PLACE[type(module.get_submodule(str(node.target)))]
            node.op = "call_function"
        elif node.op == "call_function" and node.target in FUNCTIONS and fresh(node.args[0], node):
            if len(node.args) == 1 and not any(node.kwargs.values()):
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

"""A net as a graph: what torch.fx traces of its forward, and the affine layer that alone sees its inputs.

What cannot be traced, or is not understood, is left to the dense plan.
"""

import copy
import operator
from collections import Counter
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Interpreter, Node, Tracer

from lossscape.objective import Objective

AFFINE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NOTHING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
"""Modules that return what they are given, in eval mode."""
_TRACED: WeakKeyDictionary[nn.Module, GraphModule | None] = WeakKeyDictionary()
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
    if not is_plain(model):
        return None  # the trace is of its forward, without the hooks around it
    try:
        graph = _Tracer().trace(model)
        _position_inputs(graph)
        _flatten_inputs(model, graph)
        return GraphModule(model, graph)
    except Exception:  # a forward may do anything that a trace cannot follow
        return None


class _Tracer(Tracer):
    """Traces a forward of one input, as nets are called here: its other arguments keep their defaults."""

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """The forward and its arguments: the module, and what stands for the input."""
        return super().create_args_for_root(lambda module, inputs: root_fn(module, inputs), is_module)


def _position_inputs(graph: Graph) -> None:
    """Torch's modules that are called by name, layer(input=x), are called as all others are, layer(x)."""
    for node in graph.nodes:
        if node.op == "call_module" and not node.args and "input" in node.kwargs:
            others = dict(node.kwargs)
            node.args = (others.pop("input"),)
            node.kwargs = others


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


def copied_graph(module: GraphModule) -> GraphModule:
    """A copy of a graph and its modules that shares their tensors."""
    return copy.deepcopy(module, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})


def first_layer(model: nn.Module) -> FirstLayer | None:
    """The affine layer that alone sees the inputs of a model; None where there is no such layer."""
    module = traced(model)
    return None if module is None else first_and_node(module)[0]


def first_of(objective: Objective) -> FirstLayer | None:
    """The layer of an objective's model that alone sees its inputs, and takes them flattened where it does."""
    inputs = objective.inputs[:1]
    first = first_layer(objective.model) if isinstance(inputs, Tensor) else None
    if first and first.flattened and isinstance(inputs, Tensor) and isinstance(first.layer, nn.Linear):
        return first if inputs.numel() == first.layer.in_features else None
    return first


def first_and_node(module: GraphModule) -> tuple[FirstLayer | None, Node | None]:
    """The layer that alone sees a graph's inputs, and the node that calls it; None and None without one."""
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
        elif is_one_of(module, node, NOTHING):
            continue
        elif is_one_of(module, node, AFFINE) and is_alone(module, node):
            layer = module.get_submodule(str(node.target))
            if getattr(layer, "padding_mode", "zeros") != "zeros":
                return None, None
            return FirstLayer(str(node.target), layer, flattened), node
        else:
            return None, None
    return None, None


def _flattens(module: GraphModule, node: Node) -> bool:
    if is_one_of(module, node, (nn.Flatten,)):
        flatten = module.get_submodule(str(node.target))
        return (flatten.start_dim, flatten.end_dim) == (1, -1)
    if (node.op, node.target) in (("call_function", torch.flatten), ("call_method", "flatten")):
        return (node.args[1:], node.kwargs) in (((1,), {}), ((), {"start_dim": 1}))
    return False


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


def forms_of(module: GraphModule, inputs: Tensor) -> dict[Node, Form] | None:
    """The form of what each node gives of some inputs that is a tensor; None where the graph does not run."""
    seen = _Seen(module)
    try:
        with torch.no_grad():
            seen.run(inputs.clone())
    except Exception:  # the user's own operations decide what they take; the dense plan calls them as they are
        return None
    return seen.forms


def _calls(module: GraphModule) -> Counter[str]:
    return Counter(str(node.target) for node in module.graph.nodes if node.op == "call_module")


def _owners(module: GraphModule) -> Counter[int]:
    return Counter(id(value) for child in module.modules() for value in child._parameters.values() if value is not None)


def is_alone(module: GraphModule, node: Node) -> bool:
    """Whether a node calls a module that is called once, whose parameters nothing else uses."""
    child = module.get_submodule(str(node.target))
    owners = _owners(module)
    reads = {str(other.target) for other in module.graph.nodes if other.op == "get_attr"}
    return (
        _calls(module)[str(node.target)] == 1
        and all(owners[id(value)] == 1 for value in child.parameters())
        and not any(read.startswith(f"{node.target}.") for read in reads)
    )


def is_one_of(module: GraphModule, node: Any, kinds: tuple[type[nn.Module], ...]) -> bool:
    """Whether a node calls a module of one of these kinds, which does nothing else, with parameters of its own.

    Weights that are buffers or plain tensors are not among the values that layers in its place would be given.
    """
    if not isinstance(node, Node) or node.op != "call_module":
        return False
    child = module.get_submodule(str(node.target))
    own = all(key in child._parameters for key in ("weight", "bias") if hasattr(child, key))
    return type(child) in kinds and is_plain(child) and own


def is_plain(module: nn.Module) -> bool:
    """Whether a module does what its class does: it has no forward of its own, and no hooks, which change what it
    gives, or (weight_norm of old, pruning) make its weight.
    """
    return not module._forward_hooks and not module._forward_pre_hooks and "forward" not in vars(module)

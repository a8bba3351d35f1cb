"""The peer, loss-landscapes 3.0.6: its interpolations with given end models and its Loss metric, as shipped."""

import copy
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from benchmarks.landscapes.coordinates import visited, walked
from benchmarks.landscapes.problem import Problem
from lossscape.vectors import combine


class Peer:
    """loss-landscapes at work on a problem."""

    def __init__(self, problem: Problem, precision: str) -> None:
        """precision: fp32 keeps CUDA from TF32; else the peer computes as torch does by default."""
        try:
            from loss_landscapes import metrics
        except ModuleNotFoundError:
            sys.exit("the peer is not installed: use make bench, or pip install -r benchmarks/requirements.txt")
        if precision == "fp32":
            torch.backends.cudnn.allow_tf32 = False
        self.problem = problem
        self.metric = metrics.Loss(nn.functional.cross_entropy, *problem.data)

    def interpolate(self, metric: Callable[[Any], Any], steps: int, nets: Sequence[nn.Module]) -> list[Any]:
        """What a metric gives at every point, in the order of `visited`; the first of the nets is moved."""
        import loss_landscapes

        kind = self.problem.row.kind
        function = {"line": "linear_interpolation", "plane": "planar_interpolation"}[kind]
        return list(getattr(loss_landscapes, function)(*nets, metric, steps=steps).reshape(-1))

    def nets(self) -> list[nn.Module]:
        """Copies of the centre and the ends."""
        return [copy.deepcopy(net) for net in (self.problem.centre, *self.problem.ends)]

    def prepare(self) -> None:
        """Evaluate a point that nobody times."""
        self.interpolate(self.metric, 1, self.nets())

    def measure(self, steps: int) -> dict[str, Any]:
        """Seconds per point, and the loss at every point in the order of `visited`."""
        nets = self.nets()
        begin = time.perf_counter()
        values = self.interpolate(self.metric, steps, nets)
        seconds = (time.perf_counter() - begin) / len(values)
        return {"seconds": seconds, "values": [float(value) for value in values]}

    def drift(self, steps: int, values: Sequence[float], checked: int) -> dict[str, float]:
        """How far the peer's own weights are from its coordinates, after all the additions before.

        values: that it measured; checked: points at which its metric is asked at the exact weights too, the last one
        and a seeded few before. Returns weights: the largest ‖θ_peer − θ(c)‖ / ‖θ(c)‖ of all points, and loss: the
        largest relative difference of its metric at those checked.
        """
        kind = self.problem.row.kind
        path, found = walked(kind, steps), dict(zip(visited(kind, steps), values, strict=True))
        chosen = {len(path) - 1, *random.Random(0).sample(range(len(path)), min(checked, len(path)) - 1)}
        weights: list[float] = []
        losses: list[float] = []

        def look(wrapper: Any) -> float:
            net, number = wrapper.modules[0], len(weights)
            exact = exact_net(self.problem, path[number])
            weights.append(distance(net, exact))
            if number in chosen:
                truth = self.metric(type(wrapper)(exact))
                losses.append(abs(found[path[number]] - truth) / abs(truth))
            return 0.0

        self.interpolate(look, steps, self.nets())
        return {"weights": max(weights), "loss": max(losses)}


def exact_net(problem: Problem, coordinates: Sequence[float]) -> nn.Module:
    """The net at θ₀ + Σ cᵢ dᵢ, summed in float64 and rounded once."""
    origin = {name: value.double() for name, value in problem.origin.items()}
    return problem.at(combine(origin, problem.directions, coordinates))


def distance(net: nn.Module, exact: nn.Module) -> float:
    """‖θ − θ′‖ / ‖θ′‖ of two nets' parameters, in float64."""
    values, truth = (torch.cat([value.double().flatten() for value in part.parameters()]) for part in (net, exact))
    return float((values - truth).norm() / truth.norm())

"""L-BFGS: torch's, in float64, an iteration at a time, continued exactly."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import nn

from lossscape.families import NonNegative, Rate, Size
from lossscape.optimizers.full_batch import TOLERANCE, FullBatch, Function, Point, Visited

TRIED = 25
"""Points that a line search may try."""


class LimitedMemory(FullBatch):
    """θ ← θ − t B g, B the inverse Hessian that the last `history` steps suggest (Liu and Nocedal 1989)."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        history: int,
        line_search: str | None,
        weight_decay: float,
        tolerance: float,
    ) -> None:
        """line_search: of torch.optim.LBFGS."""
        super().__init__(parameters, lr=lr, weight_decay=weight_decay, tolerance=tolerance)
        self._options: dict[str, Any] = {
            "lr": lr, "history_size": history, "line_search_fn": line_search, "max_iter": 1, "max_eval": TRIED + 1,
            "tolerance_grad": 0.0, "tolerance_change": 0.0,
        }  # fmt: skip

    def advance(self, function: Function, here: Point) -> Point | None:
        """One iteration: a gradient evaluation for every point that the line search tries."""
        leaf = nn.Parameter(here.theta.clone())
        method = torch.optim.LBFGS([leaf], **self._options)
        if "lbfgs" in self.memory:
            method.load_state_dict(_own(self.memory["lbfgs"]))
        visited = Visited(function, here)

        def closure() -> float:
            found = visited.at(leaf.detach().clone())
            leaf.grad = found.gradient.clone()
            return found.value

        method.step(closure)
        self.memory["lbfgs"] = method.state_dict()
        there = visited.at(leaf.detach().clone())
        return None if there is here else there


def lbfgs(
    parameters: Iterable[nn.Parameter],
    *,
    lr: Rate = 1.0,
    history: Size = 10,
    line_search: Literal["strong_wolfe", "none"] = "strong_wolfe",
    weight_decay: NonNegative = 0.0,
    tolerance: NonNegative = TOLERANCE,
) -> FullBatch:
    """θ ← θ − t B g with B from the last `history` steps (Nocedal and Wright, algorithm 7.5), by torch.optim.LBFGS.

    t fulfils the strong Wolfe conditions, tried first with t = η (min(1, 1/‖g‖₁) η in the first step), or is that.
    """
    return LimitedMemory(
        parameters, lr=lr, history=history, line_search=None if line_search == "none" else line_search,
        weight_decay=weight_decay, tolerance=tolerance,
    )  # fmt: skip


def _own(state: dict[str, Any]) -> dict[str, Any]:
    """A state_dict with a tensor of its own where torch's step writes into the one that it was given."""
    kept = {key: value | {"prev_flat_grad": value["prev_flat_grad"].clone()} for key, value in state["state"].items()}
    return {**state, "state": kept}

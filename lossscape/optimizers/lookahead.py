"""Nesterov's momentum as it is defined: the gradient is taken at the point ahead, θ + αv."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Lookahead(Optimizer):
    """v ← α v − η g, θ ← θ + v with g = ∇L(θ + α v) + λ(θ + α v) (Sutskever et al. 2013, equations 3 and 4).

    `look_ahead()` moves the parameters to θ + αv, where the caller then takes the gradient; `step()` leaves them at the
    new θ. The library form carries θ + αv as the parameters instead (arXiv:1212.0901).
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float = 0.0
    ) -> None:
        """lr: η; momentum: α; weight_decay: λ."""
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._behind: dict[nn.Parameter, Tensor] | None = None
        """θ, bit for bit, while the parameters are at θ + αv."""

    @torch.no_grad()
    def look_ahead(self) -> None:
        """Move the parameters to θ + αv, before a gradient is taken; a second call changes nothing."""
        if self._behind is not None:
            return
        self._behind = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                self._behind[parameter] = parameter.clone()
                if "velocity" in self.state[parameter]:
                    parameter.add_(self.state[parameter]["velocity"], alpha=group["momentum"])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # the gradient is there already
        """One step from the gradients at the point ahead. Raises RuntimeError where `look_ahead` was not called."""
        if self._behind is None:
            raise RuntimeError("nesterov_lookahead: look_ahead() is to be called before the gradient is taken")
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad
                if gradient is not None and group["weight_decay"]:
                    gradient = gradient.add(parameter, alpha=group["weight_decay"])
                parameter.copy_(self._behind[parameter])
                if gradient is None:
                    continue
                state = self.state[parameter]
                before = state.get("velocity", torch.zeros_like(parameter))
                state["velocity"] = (group["momentum"] * before).sub_(gradient, alpha=group["lr"])
                parameter.add_(state["velocity"])
        self._behind = None

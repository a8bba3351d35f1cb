"""The adapter to curvlinops: Gauss–Newton matrix and gradient covariance of an objective, `lossscape[curvature]`."""

import warnings
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from lossscape.derivatives import Done, gradient, recorded
from lossscape.errors import BadInput
from lossscape.modules import called_with
from lossscape.objective import Objective
from lossscape.vectors import Params

NEEDED, REMEDY = "curvlinops", "pip install lossscape[curvature]"


def gauss_newton_operator() -> Any:
    """The class of curvlinops' operator. Raises BadInput where it is not installed."""
    try:
        with warnings.catch_warnings():  # torch.jit is deprecated, and what both load is written in it
            warnings.simplefilter("ignore", DeprecationWarning)
            from curvlinops import GGNLinearOperator

            torch.func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))
    except ImportError as error:
        raise BadInput(f"--matrix ggn and gradient_covariance need {NEEDED} ({error}): {REMEDY}") from None
    return GGNLinearOperator


class GaussNewton:
    """G v = (1/N) Σ Jₙᵀ (∇²ℓₙ) Jₙ v at one point: Jₙ of the logits, ∇²ℓₙ of the loss by the logits.

    The Hessian without what the net itself bends; positive semidefinite where the loss is convex in the logits, as
    cross-entropy and squared error are. Buffers stay as they are.
    """

    of_losses = False
    """Whether J is that of the samples' losses, with ½ Σ ℓₙ² / N behind it, not that of the logits."""

    def __init__(
        self,
        objective: Objective,
        parameters: Params | None = None,
        buffers: Params | None = None,
        *,
        names: Collection[str] | None = None,
        done: Done | None = None,
    ) -> None:
        """Arguments as for `Hessian`. Raises BadInput where curvlinops is not there."""
        operator = gauss_newton_operator()
        parameters = objective.parameters() if parameters is None else parameters
        net = _Net(objective, objective.prepared(parameters, buffers), names, self.of_losses)
        self.objective, self.done = objective, done
        self.n = sum(value.numel() for value in net.own)
        starts = [(torch.tensor([span.start]), objective.targets[span]) for span in objective.spans()]
        sizes = {span.start: len(objective.targets[span]) for span in objective.spans()}
        self._product = operator(
            net, _Loss(objective, self.of_losses), list(net.own), starts, check_deterministic=False,
            num_data=len(objective), batch_size_fn=lambda start: sizes[int(start)],
        )  # fmt: skip

    def __matmul__(self, vector: Tensor) -> Tensor:
        """G v, flat [n] in float64, of a vector [n]."""
        with recorded(self.objective), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # it maps over columns, here over one
            product: Tensor = self._product @ vector.to(self.objective.device, self.objective.dtype)
        if self.done is not None:
            self.done(len(self.objective))
        return product.detach().double()


class GradientCovariance(GaussNewton):
    """C v = (1/N) Σ (gₙ − ḡ)(gₙ − ḡ)ᵀ v of the samples' gradients gₙ, whose mean ḡ is ∇L.

    (1/N) Σ gₙgₙᵀ is the Gauss–Newton matrix of ½ Σ ℓₙ² / N as a function of the losses ℓₙ, whatever the loss is.
    """

    of_losses = True

    def __init__(
        self,
        objective: Objective,
        parameters: Params | None = None,
        buffers: Params | None = None,
        *,
        names: Collection[str] | None = None,
        done: Done | None = None,
    ) -> None:
        """Arguments as for `GaussNewton`."""
        super().__init__(objective, parameters, buffers, names=names, done=done)
        parameters = objective.parameters() if parameters is None else parameters
        mean = gradient(objective, parameters, buffers)
        self._mean = torch.cat([value.flatten() for name, value in mean.items() if names is None or name in names])

    def __matmul__(self, vector: Tensor) -> Tensor:
        """C v, flat [n] in float64, of a vector [n]."""
        mean = self._mean
        return super().__matmul__(vector) - mean * (mean @ vector.to(mean))


class _Net(nn.Module):
    """The logits, or the losses, of a chunk of samples, which is named by the number of its first one."""

    def __init__(self, objective: Objective, values: Params, names: Collection[str] | None, of_losses: bool) -> None:
        super().__init__()
        self._objective, self._values, self._of_losses = objective, values, of_losses
        moving = [name for name in objective.parameters() if name in values and (names is None or name in names)]
        self.own = nn.ParameterList([nn.Parameter(values[name]) for name in moving])
        self._moving = moving

    def forward(self, start: Tensor) -> Tensor:
        objective, first = self._objective, int(start)
        inputs, targets, masks = objective.chunk(slice(first, first + objective.plan.chunk))
        values = self._values | dict(zip(self._moving, self.own, strict=True))
        outputs = objective.logits(
            called_with(objective.model, objective.ties, values | masks, objective.habits.spared(inputs)), len(inputs)
        ).double()
        return objective.loss(outputs, targets) if self._of_losses else outputs


class _Loss(nn.Module):
    """The mean loss of a chunk from its logits; or of its losses half the mean of their squares."""

    reduction = "mean"

    def __init__(self, objective: Objective, of_losses: bool) -> None:
        super().__init__()
        self._objective, self._of_losses = objective, of_losses

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.square().mean() / 2 if self._of_losses else self._objective.loss(outputs, targets).mean()

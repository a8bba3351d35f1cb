"""First-order methods by their standard names and arguments; torch.optim does the work.

Weight decay is the L2 term weight_decay·θ added to the gradient, in adamw the decoupled one of
arXiv:1711.05101; it acts on every parameter. In torch's momentum the learning rate multiplies the velocity,
v ← αv + g, θ ← θ − ηv, so a schedule acts on past gradients too.
"""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim import optimizer as of_torch

from lossscape.families import FITS, Fraction, NonNegative, Rate
from lossscape.optimizers.lookahead import Lookahead

Parameters = Iterable[nn.Parameter]
Betas = Annotated[list[Fraction], Field(min_length=2, max_length=2)]
BETAS = [0.9, 0.999]


def sgd(parameters: Parameters, *, lr: Rate, weight_decay: NonNegative = 0.0) -> Optimizer:
    """θ ← θ − η g."""
    return _sgd(parameters, lr=lr, weight_decay=weight_decay)


def momentum(
    parameters: Parameters,
    *,
    lr: Rate,
    momentum: Fraction = 0.9,
    dampening: Fraction = 0.0,
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """v ← α v + (1 − dampening) g (v = g at first), θ ← θ − η v."""
    return _sgd(parameters, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay)


def nesterov(
    parameters: Parameters,
    *,
    lr: Rate,
    momentum: Annotated[float, Field(gt=0.0, lt=1.0), FITS] = 0.9,
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """v ← α v + g, θ ← θ − η (g + α v): Nesterov's momentum on Θ = θ + αv (arXiv:1212.0901)."""
    return _sgd(parameters, lr=lr, momentum=momentum, nesterov=True, weight_decay=weight_decay)


def nesterov_lookahead(
    parameters: Parameters,
    *,
    lr: Rate,
    momentum: Annotated[float, Field(gt=0.0, lt=1.0), FITS] = 0.9,
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """v ← α v − η ∇L(θ + α v), θ ← θ + v: Nesterov's momentum by definition, the gradient taken at the point ahead."""
    return Lookahead(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)


def adagrad(
    parameters: Parameters,
    *,
    lr: Rate = 0.01,
    lr_decay: NonNegative = 0.0,
    weight_decay: NonNegative = 0.0,
    initial_accumulator_value: NonNegative = 0.0,
    eps: NonNegative = 1e-10,
) -> Optimizer:
    """h ← h + g², θ ← θ − η_t g / (√h + ε) with η_t = η / (1 + (t − 1) lr_decay)."""
    return _fused(
        Adagrad,
        parameters,
        lr=lr,
        lr_decay=lr_decay,
        weight_decay=weight_decay,
        initial_accumulator_value=initial_accumulator_value,
        eps=eps,
    )


def adadelta(
    parameters: Parameters,
    *,
    lr: Rate = 1.0,
    rho: Fraction = 0.9,
    eps: NonNegative = 1e-6,
    weight_decay: NonNegative = 0.0,
) -> Optimizer:
    """h ← ρ h + (1 − ρ) g², Δ = g √(u + ε) / √(h + ε), u ← ρ u + (1 − ρ) Δ², θ ← θ − η Δ.

    Source: Zeiler, arXiv:1212.5701.
    """
    return Adadelta(parameters, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)


def rmsprop(
    parameters: Parameters,
    *,
    lr: Rate = 0.01,
    alpha: Fraction = 0.99,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    momentum: Fraction = 0.0,
    centered: bool = False,
) -> Optimizer:
    """h ← α h + (1 − α) g², θ ← θ − η g / (√h + ε). `centered`: h less the square of the mean gradient."""
    return RMSprop(
        parameters, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
    )


def adam(
    parameters: Parameters,
    *,
    lr: Rate = 1e-3,
    betas: Betas = BETAS,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.0,
    amsgrad: bool = False,
) -> Optimizer:
    """m ← β₁ m + (1 − β₁) g, h ← β₂ h + (1 − β₂) g², θ ← θ − η m̂ / (√ĥ + ε) (arXiv:1412.6980)."""
    options = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
    return _fused(Adam, parameters, **options)


def adamw(
    parameters: Parameters,
    *,
    lr: Rate = 1e-3,
    betas: Betas = BETAS,
    eps: NonNegative = 1e-8,
    weight_decay: NonNegative = 0.01,
    amsgrad: bool = False,
) -> Optimizer:
    """θ ← θ − η λ θ in front of Adam's step (arXiv:1711.05101)."""
    options = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
    return _fused(AdamW, parameters, **options)


def _fusible(parameters: list[nn.Parameter]) -> bool | None:
    """True where torch's fused CPU step applies; None leaves the choice to torch.

    On a small net that step takes a third of the time. It reads memory in order, and is wrong without a word
    where the layouts of a parameter and its gradient differ: it is for plain contiguous parameters only.
    """
    plain = (p.device.type == "cpu" and p.is_floating_point() and p.is_contiguous() for p in parameters)
    return True if all(plain) else None


def _fused(kind: Callable[..., Optimizer], parameters: Parameters, **options: Any) -> Optimizer:
    parameters = list(parameters)
    return kind(parameters, fused=_fusible(parameters), **options)


def _sgd(parameters: Parameters, *, lr: float, dampening: float = 0.0, **options: float) -> Optimizer:
    """torch's SGD, fused where that is safe."""
    parameters = list(parameters)
    fused = None if dampening else _fusible(parameters)
    optimizer = SGD(parameters, lr=lr, dampening=dampening, fused=fused, **options)  # type: ignore[arg-type]
    if fused and options.get("momentum"):
        for parameter in parameters:  # v = 0, or a parameter whose first gradient comes late would fail
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


_BARE: dict[type[Optimizer], Callable[..., Any]] = {
    kind: inspect.unwrap(kind.step) for kind in (SGD, Adagrad, Adadelta, RMSprop, Adam, AdamW)
}


def bare_step(optimizer: Optimizer) -> None:
    """`optimizer.step()`: of torch's own classes without what they wrap around it.

    That is for torch's profiler and for hooks on steps, of which it is called where there are any; on a small net it
    takes longer than the step.
    """
    own = _BARE.get(type(optimizer))
    if own is None or _hooked(optimizer):
        optimizer.step()
        return
    with torch.no_grad():
        if type(optimizer) is not SGD or not _step_fused(optimizer):
            own(optimizer)


def _step_fused(optimizer: SGD) -> bool:
    """The step of torch's fused SGD on the CPU without its sorting by device and type; False: it is not for that.

    Where torch has its function, all parameters are in one group and have a gradient of the same kind, and those
    velocities that there are.
    """
    fused: Callable[..., Any] | None = getattr(torch, "_fused_sgd_", None)
    group = optimizer.param_groups[0]
    if not group["fused"] or len(optimizer.param_groups) > 1 or hasattr(optimizer, "grad_scale"):
        return False
    if fused is None or not _is_known(fused):
        return False
    parameters, state, momentum = group["params"], optimizer.state, group["momentum"]
    gradients = [each.grad for each in parameters]
    buffers = [state[each].get("momentum_buffer") for each in parameters] if momentum else []
    if not all(map(_plain, gradients)) or any(each is None for each in buffers):
        return False
    fused(
        parameters, gradients, buffers, weight_decay=group["weight_decay"], momentum=momentum, lr=group["lr"],
        dampening=group["dampening"], nesterov=group["nesterov"], maximize=group["maximize"], is_first_step=False,
    )  # fmt: skip
    return True


@functools.cache
def _is_known(fused: Callable[..., Any]) -> bool:
    """Whether this makes v ← αv + g, θ ← θ − ηv as called above: torch may change a function that is not of its API."""
    value, gradient, velocity = (torch.tensor([number]) for number in (1.0, 2.0, 4.0))
    try:
        fused(
            [value], [gradient], [velocity], weight_decay=0.0, momentum=0.5, lr=0.25, dampening=0.0, nesterov=False,
            maximize=False, is_first_step=False,
        )  # fmt: skip
    except Exception:  # whatever it says: torch's own step calls it as it wants to be called
        return False
    return (value.item(), velocity.item()) == (0.0, 4.0)


def _plain(gradient: Tensor | None) -> bool:
    dtype, layout = torch.float32, torch.strided
    return gradient is not None and gradient.dtype is dtype and gradient.layout is layout and gradient.is_cpu


def _hooked(optimizer: Optimizer) -> bool:
    """Whether a hook on steps is registered, of this optimizer or of all; so too where torch no longer says it so."""
    of_one = [getattr(optimizer, f"_optimizer_step_{when}_hooks", True) for when in ("pre", "post")]
    of_all = [getattr(of_torch, f"_global_optimizer_{when}_hooks", True) for when in ("pre", "post")]
    return any(of_one) or any(of_all)


FIRST_ORDER: dict[str, Callable[..., Optimizer]] = {
    each.__name__: each
    for each in (sgd, momentum, nesterov, nesterov_lookahead, adagrad, adadelta, rmsprop, adam, adamw)
}
"""What one gradient a step is enough for, of a minibatch too."""

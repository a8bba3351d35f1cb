"""What a run's optimizer says of curvature: the weight decay of its objective, and where its steps become unstable."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from lossscape import optimizers
from lossscape.config import RunConfig
from lossscape.errors import BadInput
from lossscape.modules import names_of
from lossscape.problem import Problem
from lossscape.runs import Run
from lossscape.vectors import Params

LIMITS: dict[str, tuple[str, Callable[[Any], float | None]]] = {
    "sgd": ("gradient descent, 2/η", lambda given: 2 / given.lr),
    "momentum": (
        "heavy ball, 2(1+β)/η",
        lambda given: None if given.dampening else 2 * (1 + given.momentum) / given.lr,
    ),
}
"""By optimizer: the curvature above which a quadratic's steps grow (Cohen et al., arXiv:2103.00065, §2)."""


def weight_decay(run: Run, model: nn.Module) -> dict[str, float]:
    """λ of each parameter that the run's optimizer decays as a term λ/2·‖θ‖² of its objective.

    Raises BadInput where the run names no optimizer, or one whose decay is no such term.
    """
    spec = run.config.optimizer if run.config_file.is_file() else None
    if spec is None:
        raise BadInput(f"--weight-decay include: {run.path} names no optimizer, so no λ is known; leave it out")
    optimizer = optimizers.build(spec, model.parameters())
    names = {id(value): name for name, value in model.named_parameters()}
    found: dict[str, float] = {}
    for group in optimizer.param_groups:
        rate = float(group.get("weight_decay", 0.0))
        if rate and (isinstance(optimizer, AdamW) or group.get("decoupled_weight_decay")):
            raise BadInput(
                f"--weight-decay include: {spec.name} decays weights beside the gradient (arXiv:1711.05101), so there "
                "is no objective whose term it is; leave it out"
            )
        found |= {names[id(value)]: rate for value in group["params"] if rate and id(value) in names}
    frozen = None if run.config.training is None else run.config.training.frozen
    kept = names_of(model.state_dict(), frozen, "training.frozen") if frozen else ()
    return {name: rate for name, rate in found.items() if name not in kept}


def rates_of(decay: Mapping[str, float], values: Params) -> Tensor:
    """λ of each number of some parameters [n], in float64 on their device."""
    return torch.cat(
        [torch.full_like(v, decay.get(name, 0.0), dtype=torch.float64).flatten() for name, v in values.items()]
    )


def stability(problem: Problem, included: bool) -> dict[str, Any]:
    """The largest eigenvalue with which the run's steps are stable on a quadratic, where theory says so; else nothing.

    That is where every step has been one of gradient descent or of heavy ball on the whole of what is measured. A
    weight decay λ is part of what is descended: where the matrix is without it (not `included`), the limit is λ less.
    """
    run, measured = problem.run, problem.measured
    config = run.config if run.config_file.is_file() else None
    if config is None or config.optimizer is None or config.optimizer.name not in LIMITS:
        return {}
    whole = measured.split == "train" and measured.targets == "labels" and measured.samples is None
    if not (whole and _is_descent(config, problem)):
        return {}
    rule, limit_of = LIMITS[config.optimizer.name]
    given: Any = config.optimizer
    if (limit := limit_of(given)) is None:
        return {}
    return {"stability": {"rule": rule, "limit": limit - (0.0 if included else given.weight_decay)}}


def _is_descent(config: RunConfig, problem: Problem) -> bool:
    """Whether training took the same steps as descent on the mean loss of all training samples in eval mode."""
    training, schedule, samples = config.training, config.schedule, len(problem.data.train)
    constant = schedule is None or (schedule.name == "constant" and not schedule.warmup_epochs)
    plain = training is not None and training.clip_norm is None and training.clip_value is None
    full = training is not None and training.batch(samples) >= samples and training.accumulate == 1
    random = any(getattr(module, "p", 0) for module in problem.model.modules() if "Dropout" in type(module).__name__)
    own = config.teacher is None and not config.loss.label_smoothing and config.dataset.augment in (None, "none")
    every = training is not None and training.frozen is None
    return constant and plain and full and every and own and not random and problem.policy is None

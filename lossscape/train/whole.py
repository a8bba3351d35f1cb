"""The loss of training as a function of all trained parameters together, for methods that take the data whole."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from lossscape.batches import called, changed
from lossscape.derivatives import loss_and_gradient
from lossscape.errors import BadInput
from lossscape.losses import smooth
from lossscape.modules import copied
from lossscape.objective import Objective
from lossscape.outputs import logits_of
from lossscape.spectra import Hessian

if TYPE_CHECKING:
    from lossscape.train.loop import Setup

FEW, TOLERANCE = 32, 1e-4
"""Samples on which a net in training mode is held against itself in eval mode, and what may differ."""


class TrainingLoss:
    """L(θ), the mean over all training samples of what training steps minimise, in float64: an `optimizers.Function`.

    θ [D] has the parameters that require a gradient, in the order of the model. The graph of the gradient at the last
    point that products were asked at is kept for the next ones.
    """

    def __init__(self, setup: "Setup", model: nn.Module) -> None:
        """Of what training steps minimise; the model is copied."""
        config, (inputs, targets) = setup.experiment, setup.data.train
        if config.loss.label_smoothing:
            targets = smooth(targets, setup.data.outputs, config.loss.label_smoothing, torch.float64)
        objective = Objective(model, setup.loss, inputs, targets, metrics={}, output=setup.output, precision="fp64")
        if config.training.micro_batch is not None:
            objective.plan = replace(objective.plan, chunk=setup.micro_batch)
        self._objective, self._buffers = objective, objective.buffers()
        self._shapes = {name: value.shape for name, value in model.named_parameters() if value.requires_grad}
        self._fixed = {name: value for name, value in objective.parameters().items() if name not in self._shapes}
        self._hessian: Hessian | None = None
        self._at: Tensor | None = None
        self.done: Callable[[int], None] = lambda samples: None
        """Called with the number of samples of each pass through the net; what it raises breaks off the step."""

    def hold(self, model: nn.Module) -> None:
        """Take from a model what does not learn: values of frozen layers, and buffers."""
        self._objective.model.load_state_dict(model.state_dict())
        self._hessian = self._at = None

    def value(self, theta: Tensor) -> float:
        """L(θ)."""
        passes = self._objective.passes(self._named(theta), self._buffers, self.done)
        return sum(float(self._objective.loss(*each).sum()) for each in passes) / len(self._objective)

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """L(θ) and ∇L(θ) [D]."""
        value, found = loss_and_gradient(self._objective, self._named(theta), self._buffers, self.done)
        return value, torch.cat([found[name].flatten() for name in self._shapes])

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """H(θ) v [D]."""
        return self._hessian_at(theta) @ vector

    def matrix(self, theta: Tensor) -> Tensor:
        """H(θ) [D, D]."""
        return self._hessian_at(theta).matrix()

    def _hessian_at(self, theta: Tensor) -> Hessian:
        if self._hessian is None:
            self._hessian = Hessian(
                self._objective, self._named(theta), self._buffers, names=self._shapes,
                done=lambda samples: self.done(samples),  # which may be set after this
            )  # fmt: skip
        elif self._at is None or not torch.equal(theta, self._at):
            self._hessian = self._hessian.at(self._named(theta))
        self._at = theta
        return self._hessian

    def _named(self, theta: Tensor) -> dict[str, Tensor]:
        pieces = theta.split([shape.numel() for shape in self._shapes.values()])
        own = zip(self._shapes.items(), pieces, strict=True)
        return self._fixed | {name: piece.view(shape) for (name, shape), piece in own}


def check_whole(setup: "Setup", model: nn.Module) -> None:
    """Raise BadInput that lists all for which a full-batch method would not have one function to descend."""
    config, samples = setup.experiment, len(setup.data.train)
    training, schedule = config.training, config.schedule
    changing = _unlike_in_training(setup, model)
    refused = {
        f"training.batch_size is {training.batch_size}, of {samples:,} samples: set it to all": (
            training.batch(samples) < samples
        ),
        "training.accumulate: a step has all samples as it is; leave it out": training.accumulate > 1,
        "schedule: the method chooses the length of its steps; take constant, without warm-up": (
            schedule.name != "constant" or schedule.warmup_epochs > 0
        ),
        "training.clip_norm and clip_value: the method needs the gradient as it is; leave them out": (
            training.clip_norm is not None or training.clip_value is not None
        ),
        "precision bf16: the method computes in float64; set precision: fp32": config.precision == "bf16",
        "dataset.augment: the samples would be others every time; set it to none": config.dataset.augment != "none",
        "torchrun: the method takes its steps in one process; start it without": setup.world.size > 1,
        f"{changing}: computes something else in training steps than in eval mode; take a net without": bool(changing),
    }
    if found := [why for why, there in refused.items() if there]:
        name = config.optimizer.name
        raise BadInput(
            f"optimizer {name} descends one function, the loss over all training samples. {'; '.join(found)}"
        )


def _unlike_in_training(setup: "Setup", model: nn.Module) -> str:
    """What makes a net compute something else in training steps than in eval mode; empty where nothing does."""
    held = {name for name, module in model.named_modules() if module in set(setup.held)}
    net, still = copied(model).train(), copied(model).eval()
    for name in held:
        net.get_submodule(name).training = False
    learning = [module for module in net.modules() if module.training]
    found = {type(m).__name__ for m in learning if isinstance(m, _BatchNorm) or (isinstance(m, _DropoutNd) and m.p > 0)}
    if not found:
        few = setup.data.train.inputs[:FEW]
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trained, same = (
                logits_of(called(each, changed(few, torch.clone)), len(few), setup.output) for each in (net, still)
            )
        found = set() if torch.allclose(trained, same, TOLERANCE, TOLERANCE) else {type(model).__name__}
    return ", ".join(sorted(found))

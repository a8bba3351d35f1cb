"""What every analysis of a run begins with: its model, its data as objectives, and the BatchNorm policy."""

import functools
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lossscape import devices, losses
from lossscape.data import Data
from lossscape.dropout import Dropout
from lossscape.errors import BadInput, one_of
from lossscape.evaluate.engine import Statistics
from lossscape.evaluate.sampling import stratified_sample
from lossscape.evaluate.statistics import RecomputedStatistics, tracks_statistics
from lossscape.objective import Objective, Precision
from lossscape.runs import Point, Run, load_state, split_state
from lossscape.targets import KINDS, Targets, relabelled
from lossscape.vectors import Params

BatchNorm = Literal["frozen", "interpolated", "recompute"]
SPLITS = {"train": ("train",), "test": ("test",), "both": ("train", "test")}


class Relabelling:
    """What a checkpoint makes of inputs."""

    def __init__(self, teacher: Point, targets: Targets, precision: Precision) -> None:
        self.teacher, self.targets, self.precision = teacher, targets, precision
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Targets of inputs [N, ...], as `targets.relabelled` has them; the last are kept, for they take a pass."""
        if self._last is None or self._last[0] is not inputs:
            self._last = inputs, relabelled(self.teacher, inputs, self.targets, self.precision)
        return self._last[1]


@dataclass(frozen=True)
class Problem:
    """A run's model structure and data on a device."""

    run: Run
    model: nn.Module
    data: Data
    device: torch.device
    targets: Targets = "labels"
    """What training inputs are held against; test inputs always against the data's labels."""
    teacher: Point | None = None
    """The checkpoint whose outputs hard and soft targets are."""
    relabelled: "Relabelling | None" = None
    """Gives those targets."""

    def values(self, point: Point, precision: Precision) -> tuple[Params, Params]:
        """Parameters (float64 under fp64, so that points between are too) and buffers of a checkpoint, on the device.

        Raises BadInput where it is of another model.
        """
        load_state(self.model, point.checkpoint.state(), str(point.checkpoint.path))
        parameters, buffers = split_state(self.model)
        if precision == "fp64":
            parameters = {name: value.double() for name, value in parameters.items()}
        return parameters, buffers

    def objectives(
        self, split: str, precision: Precision, samples: int | None = None, dropout: int | None = None
    ) -> dict[str, Objective]:
        """One objective per split; samples: of each split, as one stratified subset, or None for all.

        dropout: stays on with masks of this seed, or None for off. Raises BadInput where a split has fewer samples,
        the device lacks the precision or the net dropout.
        """
        spec = self.run.config.loss
        loss: losses.Loss = functools.partial(losses.FAMILY.function(spec), **losses.FAMILY.arguments(spec))
        found = {}
        for name in SPLITS[split]:
            inputs, labels = self.data.train if name == "train" else self.data.test
            made, targets, sample = loss, labels, None
            rows = torch.arange(len(inputs))
            if samples is not None:
                sample = stratified_sample(labels, samples)  # by the data's classes, whatever the targets
                chosen = sample.indices.to(inputs.device)
                inputs, targets, rows = inputs[chosen], targets[chosen], sample.indices.cpu()
            if name == "train" and self.relabelled is not None:
                made, targets = (
                    losses.kl_divergence if self.targets == "soft" else loss,
                    self.relabelled(inputs),
                )
            found[name] = Objective(
                self.model, made, inputs, targets, precision=precision, sample=sample,
                dropout=None if dropout is None else Dropout(dropout, rows),
            )  # fmt: skip
        return found

    def statistics(self, batch_norm: str | None, precision: Precision) -> Statistics | None:
        """The function that gives the buffers at a point under `recompute`, else None."""
        if batch_norm != "recompute":
            return None
        dtype = torch.float64 if precision == "fp64" else torch.float32
        return RecomputedStatistics(self.model, self.data.train.inputs, dtype)

    def settings(
        self, split: str, precision: str, batch_norm: str | None, samples: int | None = None,
        dropout: int | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What is computed, apart from the points: data, split, samples, loss, dropout, policy, precision."""
        config = self.run.config
        population = {name: len(getattr(self.data, name)) for name in SPLITS[split]}
        taken: dict[str, Any] = {"samples": population}
        if samples is not None:
            taken = {
                "samples": dict.fromkeys(population, samples),
                "population": population,
                "subset_seed": 0,
            }
        return {
            "dataset": {key: value for key, value in config.resolved()["dataset"].items() if key != "root"},
            "data_sha256": self.data.facts["sha256"],
            "data_note": self.data.facts["note"],
            **taken,
            "split": split,
            "targets": self.targets,
            **({"teacher": self.teacher.settings()} if self.teacher else {}),
            "model": config.model.name,
            "loss": config.loss.name,
            "batch_norm": batch_norm,
            **({} if dropout is None else {"dropout": {"keep": True, "seed": dropout}}),
            "precision": precision,
        }


def problem_of(
    point: Point,
    device: str,
    *,
    targets: Targets = "labels",
    teacher: Point | None = None,
    precision: Precision = "fp32",
) -> Problem:
    """Load the data and model that a point belongs to.

    targets: labels, or hard or soft ones that are what `teacher` (by default the point itself) makes of the training
    inputs, in `precision`. Raises BadInput.
    """
    if targets not in KINDS:
        raise BadInput(one_of("--targets", targets, KINDS))
    if teacher is not None and targets == "labels":
        raise BadInput(f"--teacher {teacher}: whose outputs are the targets with --targets hard or soft")
    on = devices.pick(device)
    model = point.run.model(point.checkpoint).to(on)
    data = point.run.dataset(on)
    if targets == "labels":
        return Problem(point.run, model, data, on)
    return relabelled_problem(Problem(point.run, model, data, on), targets, teacher or point, precision)


def relabelled_problem(
    problem: Problem, targets: Targets, teacher: Point, precision: Precision = "fp32"
) -> Problem:
    """The same problem with what a checkpoint makes of the training inputs as targets, hard or soft.

    Raises BadInput where it tells other classes apart.
    """
    relabelling = Relabelling(teacher, targets, precision)
    made = relabelling(problem.data.train.inputs[:1])
    if made.ndim == 2 and made.shape[1] != len(problem.data.classes):
        raise BadInput(
            f"--teacher {teacher}: tells {made.shape[1]} classes apart, the data has {len(problem.data.classes)}"
        )
    return replace(problem, targets=targets, teacher=teacher, relabelled=relabelling)


def choose_batch_norm(
    model: nn.Module, given: str | None, default: BatchNorm, allowed: tuple[str, ...]
) -> str | None:
    """The BatchNorm policy: None for a net without running statistics. Raises BadInput for an unknown one."""
    if given is not None and given not in allowed:
        raise BadInput(one_of("--batch-norm", given, allowed))
    return (given or default) if tracks_statistics(model) else None

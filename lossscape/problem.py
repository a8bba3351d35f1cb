"""What every analysis of a run begins with: its model, its data as objectives, and the BatchNorm policy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lossscape import devices, losses, metrics, trust
from lossscape.batches import Inputs, part
from lossscape.data import Data
from lossscape.dropout import Dropout
from lossscape.errors import BadInput, one_of
from lossscape.evaluate.engine import Statistics, Work
from lossscape.evaluate.sampling import stratified_sample
from lossscape.evaluate.statistics import RecomputedStatistics, tracks_statistics
from lossscape.evaluate.subspace import Subspace
from lossscape.measured import Measured, Targets
from lossscape.metrics import Metric
from lossscape.objective import Objective
from lossscape.runs import Point, Run, load_state, point_of, split_state
from lossscape.targets import outputs_of, relabelled
from lossscape.vectors import Params, double

SPLITS = {"train": ("train",), "test": ("test",), "both": ("train", "test")}
AROUND = ("frozen", "recompute")
"""BatchNorm policies around a point, the first by default."""


class Relabelling:
    """What a checkpoint makes of inputs."""

    def __init__(self, teacher: Point, measured: Measured, numbers: bool = False) -> None:
        """numbers: the outputs themselves are the soft targets, since the data's are no classes."""
        self.teacher, self.measured, self.numbers = teacher, measured, numbers
        self._last: tuple[Inputs, Tensor] | None = None

    def __call__(self, inputs: Inputs) -> Tensor:
        """Targets of inputs [N, ...], as `targets.relabelled` has them; the last are kept, for they take a pass."""
        if self._last is None or self._last[0] is not inputs:
            precision = self.measured.precision
            if self.numbers:
                made = outputs_of(self.teacher, inputs, precision)
            else:
                made = relabelled(self.teacher, inputs, self.measured.targets, precision)
            self._last = inputs, made
        return self._last[1]


@dataclass(frozen=True)
class Problem:
    """A run's model structure and data on a device, and what is measured of them."""

    run: Run
    model: nn.Module
    data: Data
    device: torch.device
    measured: Measured
    policy: str | None
    """Of BatchNorm; None for a net without running statistics."""
    usual_policy: str
    relabelled: Relabelling | None = None
    """Gives hard and soft targets of training inputs; test inputs are held against the data's labels."""

    @property
    def teacher(self) -> Point | None:
        """The checkpoint whose outputs hard and soft targets are."""
        return self.relabelled.teacher if self.relabelled else None

    @property
    def targets(self) -> Targets:
        """labels, hard or soft: what training inputs are held against."""
        return self.measured.targets

    def values(self, point: Point) -> tuple[Params, Params]:
        """Parameters (float64 under fp64, so that points between are too) and buffers of a checkpoint, on the device.

        Raises BadInput where it is of another model.
        """
        load_state(self.model, point.checkpoint.state(), str(point.checkpoint.path))
        parameters, buffers = split_state(self.model)
        return (double(parameters) if self.measured.precision == "fp64" else parameters), buffers

    def held_against(self, targets: Targets, teacher: Point) -> "Problem":
        """The same problem with what a checkpoint makes of the training inputs as targets, hard or soft.

        Raises BadInput where it tells other classes apart.
        """
        classes, labels = len(self.data.classes), self.data.train.targets
        numbers = not classes and labels.is_floating_point()
        if numbers and targets == "hard":
            raise BadInput("--targets hard: are classes, and the data's targets are numbers; take soft")
        if not numbers and (not classes or labels.ndim > 1):
            raise BadInput(f"--targets {targets}: the data has no class for each sample; take labels")
        relabelling = Relabelling(teacher, replace(self.measured, targets=targets), numbers)
        made = relabelling(self.data.train.inputs[:1])
        if made.ndim == 2 and made.shape[1] != classes and not numbers:
            raise BadInput(f"--teacher {teacher}: tells {made.shape[1]} classes apart, the data has {classes}")
        return replace(self, measured=relabelling.measured, relabelled=relabelling)

    def objectives(self) -> dict[str, Objective]:
        """One objective per split; with `samples`, each on one stratified subset.

        Raises BadInput where a split has fewer samples, the device lacks the precision or the net dropout.
        """
        measured, masks, loss = self.measured, self.measured.masks, self.run.loss
        found = {}
        for name in SPLITS[measured.split]:
            inputs, labels = self.data.train if name == "train" else self.data.test
            made, targets, sample = losses.over(loss, losses.positions(loss, labels)), labels, None
            rows = torch.arange(len(inputs))
            if measured.samples is not None:
                sample = stratified_sample(labels, measured.samples)  # by the data's classes, whatever the targets
                chosen = sample.indices.to(inputs.device)
                inputs, targets, rows = part(inputs, chosen), targets[chosen], sample.indices.cpu()
            if name == "train" and self.relabelled is not None:
                targets = self.relabelled(inputs)
                distributions = self.targets == "soft" and not self.relabelled.numbers
                made = losses.kl_divergence if distributions else loss
            found[name] = Objective(
                self.model, made, inputs, targets, metrics=self.metrics, output=self.run.output,
                precision=measured.precision,
            ).under(sample=sample, dropout=None if masks is None else Dropout(masks, rows))  # fmt: skip
        return found

    @property
    def metrics(self) -> dict[str, Metric]:
        """What is measured beside the loss, by column: what was asked for, else what the run's config says."""
        asked = self.measured.metrics
        if asked is not None:
            return metrics.chosen(asked, self.run.path, trust.guard(self.run.path, self.run.trust_code, said=True))
        given = self.run.metrics
        return metrics.chosen(self._usual) if given is None else given

    @property
    def _usual(self) -> tuple[str, ...]:
        return metrics.usual(self.run.loss, self.data.test.targets)

    def _metric_code(self) -> dict[str, str]:
        """SHA-256 of the code of the user's own metrics, by column."""
        asked = self.measured.metrics
        code = self.run.metric_code() if asked is None else metrics.code_of(asked, self.run.path)
        return {name.rpartition(":")[2]: trust.digest_of([(name, file)]) for name, file in code}

    def _code(self) -> dict[str, str]:
        """SHA-256 of the user's code that data, net and loss are made by, and another run's net that is the teacher."""
        code = self.run.code_digests()
        if self.teacher is not None and self.teacher.run is not self.run:
            code |= {f"teacher_{key}": each for key, each in self.teacher.run.code_digests().items() if key == "model"}
        return code

    def work(self, subspace: Subspace, **given: Any) -> Work:
        """All that evaluating points of a subspace needs; given: see `Work`."""
        return Work(self.objectives(), subspace, self.statistics(), **given)

    def statistics(self) -> Statistics | None:
        """The function that gives the buffers at a point under `recompute`, else None."""
        if self.policy != "recompute":
            return None
        dtype = torch.float64 if self.measured.precision == "fp64" else torch.float32
        return RecomputedStatistics(self.model, self.data.train.inputs, dtype)

    def settings(self) -> dict[str, Any]:
        """What is computed, apart from the points: data, split, samples, loss, dropout, policy, precision."""
        named, measured = self.run.settings(), self.measured
        population = {name: len(getattr(self.data, name)) for name in SPLITS[measured.split]}
        taken: dict[str, Any] = {"samples": population}
        if measured.samples is not None:
            subset = dict.fromkeys(population, measured.samples)
            taken = {"samples": subset, "population": population, "subset_seed": 0}
        return {
            "dataset": named["dataset"],
            "data_sha256": self.data.facts["sha256"],
            "data_note": self.data.facts["note"],
            **taken,
            "split": measured.split,
            "targets": measured.targets,
            **({"teacher": self.teacher.settings()} if self.teacher else {}),
            **({"soft": "numbers"} if self.relabelled and self.relabelled.numbers else {}),
            "model": named["model"],
            "loss": named["loss"],
            "batch_norm": self.policy,
            **({} if measured.masks is None else {"dropout": {"keep": True, "seed": measured.masks}}),
            **({} if tuple(self.metrics) == self._usual else {"metrics": list(self.metrics)}),
            **({"code": code} if (code := self._code()) else {}),
            **({"metric_code": code} if (code := self._metric_code()) else {}),
            "precision": measured.precision,
        }

    def named(self, centre: Point) -> Measured:
        """What is measured as the name of a folder tells it: without what goes without saying around a centre."""
        own = self.teacher is None or self.teacher.settings() == centre.settings()
        return replace(
            self.measured,
            teacher=None if own else self.teacher,
            batch_norm=None if self.policy in (None, self.usual_policy) else self.policy,
            mask_seed=self.measured.mask_seed or None,
        )


def problem_of(point: Point, measured: Measured, device: str = "auto", policies: Sequence[str] = AROUND) -> Problem:
    """Load the data and model that a point belongs to.

    measured: what is taken of them, hard and soft targets by default from the point itself; policies: the BatchNorm
    policies that are possible, the default first. Raises BadInput.
    """
    if measured.targets not in ("labels", "hard", "soft"):
        raise BadInput(one_of("--targets", measured.targets, ("labels", "hard", "soft")))
    if measured.batch_norm is not None and measured.batch_norm not in policies:
        raise BadInput(one_of("--batch-norm", measured.batch_norm, sorted(policies)))
    on = devices.pick(device)
    model = point.run.model(point.checkpoint).to(on)
    policy = (measured.batch_norm or policies[0]) if tracks_statistics(model) else None
    problem = Problem(point.run, model, point.run.dataset(on), on, measured, policy, policies[0])
    if measured.targets == "labels":
        return problem
    return problem.held_against(measured.targets, point_of(measured.teacher or point))

"""What every analysis of a run begins with: its model, its data as objectives, and the BatchNorm policy."""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from lossscape import devices, losses
from lossscape.data import Data
from lossscape.errors import BadInput, one_of
from lossscape.evaluate.engine import Statistics
from lossscape.evaluate.plans import plan_for
from lossscape.evaluate.statistics import recomputed_statistics, tracks_statistics
from lossscape.evaluate.subspace import Subspace
from lossscape.objective import Objective, Plan, Precision
from lossscape.runs import Point, Run, load_state, split_state
from lossscape.vectors import Params

BatchNorm = Literal["frozen", "interpolated", "recompute"]
SPLITS = {"train": ("train",), "test": ("test",), "both": ("train", "test")}


@dataclass(frozen=True)
class Problem:
    """A run's model structure and data on a device."""

    run: Run
    model: nn.Module
    data: Data
    device: torch.device

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
        self, split: str, precision: Precision, plan: Plan | None, subspace: Subspace
    ) -> dict[str, Objective]:
        """One objective per split, all under one plan; without one the fastest for the subspace is chosen."""
        spec = self.run.config.loss
        loss = functools.partial(losses.FAMILY.function(spec), **losses.FAMILY.arguments(spec))
        parts = {name: self.data.train if name == "train" else self.data.test for name in SPLITS[split]}
        found = {
            name: Objective(self.model, loss, part.inputs, part.targets, precision=precision, plan=plan)
            for name, part in parts.items()
        }
        if plan is None:
            plan = plan_for(next(iter(found.values())), subspace, sum(len(part) for part in parts.values()))
            for objective in found.values():
                objective.plan = plan
        return found

    def statistics(self, batch_norm: str | None, precision: Precision) -> Statistics | None:
        """The function that gives the buffers at a point under `recompute`, else None."""
        if batch_norm != "recompute":
            return None
        dtype = torch.float64 if precision == "fp64" else torch.float32
        return recomputed_statistics(self.model, self.data.train.inputs, dtype)

    def settings(self, split: str, precision: str, batch_norm: str | None) -> dict[str, Any]:
        """What is computed, apart from the points: data, split, loss, policy, precision."""
        config = self.run.config
        return {
            "dataset": {key: value for key, value in config.resolved()["dataset"].items() if key != "root"},
            "data_sha256": self.data.facts["sha256"],
            "data_note": self.data.facts["note"],
            "samples": {name: len(getattr(self.data, name)) for name in SPLITS[split]},
            "split": split,
            "targets": "labels",
            "model": config.model.name,
            "loss": config.loss.name,
            "batch_norm": batch_norm,
            "precision": precision,
        }


def problem_of(point: Point, device: str) -> Problem:
    """Load the data and model that a point belongs to. Raises BadInput."""
    on = devices.pick(device)
    model = point.run.model(point.checkpoint).to(on)
    return Problem(point.run, model, point.run.dataset(on), on)


def choose_batch_norm(
    model: nn.Module, given: str | None, default: BatchNorm, allowed: tuple[str, ...]
) -> str | None:
    """The BatchNorm policy: None for a net without running statistics. Raises BadInput for an unknown one."""
    if given is not None and given not in allowed:
        raise BadInput(one_of("--batch-norm", given, allowed))
    return (given or default) if tracks_statistics(model) else None

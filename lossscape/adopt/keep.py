"""A run directory of weights that were trained elsewhere: checkpoints, and what training would have measured."""

import dataclasses
import json
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from lossscape import models, trust, yamlfile
from lossscape.config import RunConfig
from lossscape.data import Data
from lossscape.errors import BadInput
from lossscape.files import read_rows, save_tensors, sweep, write_text
from lossscape.losses import FAMILY
from lossscape.objective import Objective
from lossscape.results.tables import write_csv
from lossscape.runs import Run, metrics_columns, split_state
from lossscape.train.checks import ADOPTED, check_code, check_outputs, differences, holds_run, refuse_different
from lossscape.train.environment import code_facts, record
from lossscape.train.objectives import columns_of, objectives_of
from lossscape.train.parallel import World
from lossscape.train.start import empty
from lossscape.train.state import on_cpu, say_state
from lossscape.train.teacher import lesson_of

RECORDED = "recorded"
"""State of a run that a recorder writes; of others it is ADOPTED."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """What weights are of, and what they are measured on."""

    run: Run
    config: RunConfig
    data: Data
    model: nn.Module
    objectives: dict[str, Objective]
    device: torch.device
    named: bool = True
    """Whether the config names the model; else another stands in for it there."""

    def resolved(self) -> dict[str, Any]:
        """What config.yaml says."""
        data = self.config.resolved(self.run.path)
        return data if self.named else data | {"model": None}

    @property
    def columns(self) -> list[str]:
        """Of metrics.csv."""
        return metrics_columns(columns_of(self.objectives))


def subject_of(
    run: Run, config: RunConfig, data: Data, model: nn.Module, device: torch.device, *, named: bool = True
) -> Subject:
    """Objectives as training has them. Raises BadInput where data, model and loss do not fit together."""
    loss = FAMILY.bound(config.loss)
    check_outputs(model, loss, config, data)
    lesson = lesson_of(config.teacher, data, loss)
    objectives = objectives_of(model, config, data, loss, lesson, World())
    return Subject(run, config, data, model, objectives, device, named)


def check_folder(run: Run, overwrite: bool) -> bool:
    """Whether there is a run to continue. Raises BadInput where it was trained, or the folder holds something else."""
    if not holds_run(run) or overwrite:
        return False
    if run.environment() and ADOPTED not in run.environment():
        raise BadInput(f"{run.path} was trained, not adopted: choose another --name, or --overwrite to delete it")
    return True


def check_config(run: Run, resolved: dict[str, Any], overwrite: bool) -> None:
    """Raise BadInput where the folder holds a trained run, one of another config, or something else."""
    if not check_folder(run, overwrite):
        return
    before = yamlfile.read(run.config_file).data
    if isinstance(before, dict) and "model" in before and before["model"] is None:
        before |= {"model": resolved["model"]}  # which may be named later
    else:
        before = Run(run.path).config.resolved(run.path)
    refuse_different(run, differences(before, resolved))


def entries(run: Run) -> dict[int, dict[str, Any]]:
    """What environment.json says of each checkpoint that was begun, by epoch."""
    return {each["epoch"]: each for each in run.environment().get(ADOPTED, [])}


def complete(subject: Subject, epoch: int) -> bool:
    """Whether a checkpoint is there with its row of metrics.csv, which is written last."""
    run = subject.run
    rows = read_rows(run.metrics_file, subject.columns)
    return run.epoch_file(epoch).exists() and any(row["epoch"] == str(epoch) for row in rows)


def begin(subject: Subject, state: str, *, overwrite: bool, keeping: tuple[str, ...] = ()) -> None:
    """Write what says that this is a run, and its state. The caller holds the folder.

    overwrite: delete what was there, except the files of `keeping`.
    """
    run = subject.run
    if overwrite:
        empty(run, keeping)
    check_code(run, subject.config)
    summary = models.summarise(subject.model, subject.data.train.inputs)
    facts = {"seed": subject.config.seed, "model": dataclasses.asdict(summary), "data": subject.data.facts, ADOPTED: []}
    facts |= code_facts(subject.config)
    trust.remember(chain(*subject.config.code().values()))
    write_text(run.config_file, yamlfile.dump(subject.resolved()))
    record(run, subject.device, facts)
    sweep(run.path / "checkpoints")
    say_state(run, state)


def add(
    subject: Subject,
    epoch: int,
    state: dict[str, Tensor],
    origin: dict[str, Any],
    done: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Measure a state_dict that fits the model and keep it as the checkpoint of an epoch, in place of an old one.

    origin: where it is from, for environment.json; done: called with the number of samples that have just passed.
    Returns the row of metrics.csv, which is written last: killed before, the same call does it again.
    """
    run = subject.run
    subject.model.load_state_dict(state)
    subject.model.to(subject.device)
    parameters, buffers = split_state(subject.model)
    values = {
        f"{split}_{name}": value
        for split, objective in subject.objectives.items()
        for name, value in objective.metrics(parameters, buffers, done).items()
    }
    rows = {int(row["epoch"]): row for row in read_rows(run.metrics_file, subject.columns)}
    if rows.pop(epoch, None):
        _write_rows(subject, rows)
    save_tensors(run.epoch_file(epoch), on_cpu(subject.model.state_dict()))
    environment = run.environment()
    known = entries(run) | {epoch: {"epoch": epoch, **origin}}
    environment[ADOPTED] = [known[number] for number in sorted(known)]
    write_text(run.environment_file, json.dumps(environment, indent=2, ensure_ascii=False) + "\n")
    _write_rows(subject, rows | {epoch: {"epoch": epoch} | values})
    return values


def _write_rows(subject: Subject, rows: dict[int, dict[str, Any]]) -> None:
    """metrics.csv by epoch; what training alone knows stays empty."""
    columns = subject.columns
    table = [[rows[epoch].get(column) for column in columns] for epoch in sorted(rows)]
    write_csv(subject.run.metrics_file, columns, table)

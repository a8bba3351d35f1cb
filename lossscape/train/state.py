"""Everything that a run carries from step to step, and its files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lossscape import manifest
from lossscape.config import Experiment
from lossscape.errors import BadInput
from lossscape.files import CsvLog, save_tensors, write_text
from lossscape.optimizers import Counted, FullBatch
from lossscape.runs import Run, metrics_columns
from lossscape.train.hint import net_of
from lossscape.train.products import TORCH

STOPPED_EARLY = "stopped early"
"""The message of a run that early stopping has ended."""


@dataclass
class State:
    """Where a run stands: after `step` steps, of which `epoch` whole epochs."""

    model: nn.Module
    """What is trained: the net, or the net with the regressor of a hint."""
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel | None
    epoch: int = 0
    step: int = 0
    losses: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Mean training loss of each step of the epoch under way."""
    norms: Tensor = field(default_factory=lambda: torch.zeros(0))
    """Gradient norm of each of these steps, before clipping."""
    best: list[float] = field(default_factory=list)
    """Highest test accuracy so far, where there is one, and minus the test loss there."""
    watched: float | None = None
    """Best value so far of the metric that early stopping watches (losses with a minus)."""
    stale: int = 0
    """Epochs since that value improved."""
    seconds: float = 0.0
    """Time spent in training and evaluating, over all sessions."""
    stopped_early: bool = False
    products: str = TORCH
    """What makes the products of matrices, of `products.PRODUCTS`: for as long as the run lasts."""
    asked: Counted | None = None
    """What is trained as a function, which counts what a full-batch method asks of it; None for other methods."""

    @cached_property
    def parameters(self) -> list[nn.Parameter]:
        """Of the model, which stay the same tensors: to find them takes a small net a hundredth of a step's time."""
        return list(self.model.parameters())

    @property
    def cost(self) -> dict[str, int]:
        """What a full-batch method has asked for so far, by column of metrics.csv; empty for other methods."""
        return self.asked.counts | self.full_batch.notes if self.asked is not None else {}

    @property
    def ended(self) -> str:
        """Why there is nothing left to train before the last epoch; empty where there is."""
        return STOPPED_EARLY if self.stopped_early else self.full_batch.ended if self.asked is not None else ""

    @property
    def full_batch(self) -> FullBatch:
        """The optimizer, where there is something that it `asked`."""
        return cast(FullBatch, self.optimizer)


def average_of(model: nn.Module, ema: float | str | None) -> AveragedModel | None:
    """torch's AveragedModel: an exponential moving average of the weights, or their mean (Polyak)."""
    if ema is None:
        return None
    return AveragedModel(model, multi_avg_fn=None if ema == "polyak" else get_ema_multi_avg_fn(float(ema)))


def on_cpu(state: dict[str, Any]) -> dict[str, Tensor]:
    """A state_dict as contiguous CPU tensors, so that its bytes depend on the values only."""
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def save_resume(run: Run, state: State) -> None:
    """Write what an exact continuation needs, as tensors and plain values only."""
    content = {
        "model": on_cpu(state.model.state_dict()),
        "optimizer": state.optimizer.state_dict(),
        "averaged": None if state.averaged is None else on_cpu(state.averaged.state_dict()),
        "losses": state.losses.cpu(),
        "norms": state.norms.cpu(),
        **{key: getattr(state, key) for key in _PLAIN},
        **({} if state.asked is None else {"asked": state.asked.counts}),
        **({} if state.products == TORCH else {"products": state.products}),
    }
    save_tensors(run.resume_file, content)


def load_resume(run: Run, state: State) -> None:
    """Continue `state` from the run's resume file. Raises BadInput where it cannot be read."""
    try:
        manifest.check(run.resume_file)
        content = torch.load(run.resume_file, map_location="cpu", weights_only=True)
        state.model.load_state_dict(content["model"])
        state.optimizer.load_state_dict(content["optimizer"])
        if state.averaged is not None:
            state.averaged.load_state_dict(content["averaged"])
        state.losses, state.norms = content["losses"], content["norms"]
        for key in _PLAIN:
            setattr(state, key, content[key])
        state.products = content.get("products", TORCH)
        if state.asked is not None:
            state.asked = Counted(state.asked.function, **content["asked"])
    except BadInput:
        raise
    except Exception as error:  # torch.load has no common error for truncated, foreign and unsafe files
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{run.resume_file}: cannot be continued from ({why}); start anew with --overwrite") from error


_PLAIN = ("epoch", "step", "best", "watched", "stale", "seconds", "stopped_early")


def save_checkpoint(file: Path, state: State) -> None:
    """Write the weights as a checkpoint: a plain state_dict, the same bytes for the same values."""
    save_tensors(file, on_cpu(net_of(state.model).state_dict()))


def save_average(file: Path, state: State) -> None:
    """Write the averaged weights, where an average is kept, as a checkpoint of the same form."""
    if state.averaged is not None:
        save_tensors(file, on_cpu(net_of(state.averaged.module).state_dict()))


def open_metrics(run: Run, state: State, measured: Sequence[str]) -> CsvLog:
    """metrics.csv with the columns that are measured, cut back to the epochs that `state` has behind it."""
    log = CsvLog(run.metrics_file, metrics_columns(measured, state.cost))
    begun = run.resume_file.exists()  # killed before it was first written, epoch 0 is done again
    log.keep(lambda row: begun and int(row["epoch"]) <= state.epoch and int(row["step"]) <= state.step)
    return log


def say_state(run: Run, word: str, state: State | None = None, message: str = "") -> None:
    """Write state.json: running, interrupted, failed or finished; by default with why training ended early."""
    message = message or ("" if state is None else state.ended)
    where = {} if state is None else {"epoch": state.epoch, "step": state.step}
    write_text(run.state_file, json.dumps({"state": word, **where, "message": message}, ensure_ascii=False) + "\n")


def is_finished(experiment: Experiment, state: State) -> bool:
    """Whether nothing is left to train."""
    return bool(state.ended) or state.epoch >= experiment.training.epochs

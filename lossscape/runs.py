"""The run directory: the only code that knows its files' names.

`Run.open(path)` gives the model with a checkpoint's values, the data as the net sees it, and the metrics;
`point("runs/a@12")` reads the command line's notation RUN[@CHECKPOINT].
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lossscape import data, losses, manifest, models, weights, yamlfile
from lossscape.config import RunConfig, read_config
from lossscape.errors import BadInput, Page, see
from lossscape.listing import check_run
from lossscape.metrics import Metric
from lossscape.runfiles import CODE, RunFiles
from lossscape.vectors import Params

_CHECKPOINT = re.compile(r"(epoch|step)-([0-9]+)\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """A file of a run that holds a model's state_dict."""

    path: Path
    epoch: int | None = None
    step: int | None = None

    @property
    def label(self) -> str:
        """Its name without the ending: epoch-0012, step-00001200, best, ema."""
        return self.path.stem

    @cached_property
    def sha256(self) -> str:
        """Of the file's bytes. Raises BadInput where lossscape wrote others."""
        return manifest.check(self.path)

    def state(self, *, mapped: bool = False) -> dict[str, Tensor]:
        """Parameters and buffers, on the CPU, without gradients.

        mapped: what is asked for is read when it is asked for, where the file's format allows that.
        Raises BadInput where the file is truncated, holds code instead of tensors, or is no state_dict.
        """
        state: dict[str, Tensor] = weights.read(self.path, mapped=mapped)
        if why := weights.why_no_state_dict(state):
            raise BadInput(f"{self.path}: {why}")
        return {name: value.detach() for name, value in state.items()}


def load_state(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Put a state_dict into a model. Raises BadInput that names what does not fit or is no finite number."""
    check_state(model, state, source)
    check_finite(model, state, source)
    model.load_state_dict(state)


def check_state(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Raise BadInput that names what of a state_dict does not fit into a model."""
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state]
    extra = [name for name in state if name not in wanted]
    unlike = list(unfitting(wanted, state).values())
    unlike += [f"{a} and {b} differ, which the model ties" for a, b in _tied(wanted) if _apart(state, a, b)]
    what = [f"lacks {name}" for name in missing[:1]] + [f"has an unknown {name}" for name in extra[:1]] + unlike[:1]
    if what:
        raise BadInput(f"{source}: belongs to another model: {', '.join(what)}")


def unfitting(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, str]:
    """By name: what of a state_dict is of another kind or shape than a model's own `wanted`."""
    return {
        name: f"{name} is {_form(state[name])}, the model has {_form(value)}"
        for name, value in wanted.items()
        if name in state and _form(state[name]) != _form(value)
    }


def _tied(state: dict[str, Tensor]) -> list[tuple[str, str]]:
    """Names of one tensor, in pairs."""
    first: dict[tuple[int, torch.Size], str] = {}
    pairs = ((first.setdefault((value.data_ptr(), value.shape), name), name) for name, value in state.items())
    return [(a, b) for a, b in pairs if a != b and state[b].numel() and not state[b].is_meta]


def _apart(state: dict[str, Tensor], a: str, b: str) -> bool:
    if a not in state or b not in state or state[a].shape != state[b].shape:
        return False
    return not bool(torch.isclose(state[a], state[b], rtol=0, atol=0, equal_nan=True).all())


def check_finite(model: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Raise BadInput that names a parameter which is not a finite number everywhere; buffers may be masks of -inf."""
    for name, _ in model.named_parameters():
        if name in state and not state[name].isfinite().all():
            what = "NaN" if state[name].isnan().any() else "infinity"
            raise BadInput(f"{source}: {name} holds {what}: the net had diverged; take another checkpoint")


def _form(value: Tensor) -> str:
    """A tensor's kind of number and shape: floats of any precision fit one another."""
    kind = "complex" if value.is_complex() else "float" if value.is_floating_point() else "integer"
    return f"{kind} {list(value.shape)}"


class Run(RunFiles):
    """A run directory with its config, checkpoints and data."""

    trust_code = False
    """Whether what its config names may be imported without a question: see `trust`."""

    @classmethod
    def open(cls, path: "str | Path | Run", *, trust_code: bool = False) -> "Run":
        """A run that exists, or that is open already.

        trust_code: import the code that its config names, wherever the run came from. Raises BadInput where the folder
        is missing or is no run.
        """
        if isinstance(path, Run):
            return path
        run = cls(path)
        run.trust_code = trust_code
        check_run(run)
        return run

    @cached_property
    def config(self) -> RunConfig:
        """What it was made from. Raises BadInput, which says what to add where a recorder could not name the model."""
        content = yamlfile.read(self.config_file).data
        if isinstance(content, dict) and "model" in content and content["model"] is None:
            raise BadInput(
                f"{self.config_file}: names no model, for the recorder was not told what makes it: put a function "
                'net(shape, classes) that returns it into a file, and add model: {name: "mine.py:net"} here '
                f"(then: lossscape verify --accept-changed {shlex.quote(str(self.path))}), or "
                f'named="mine.py:net" to the recorder{see(Page.RECIPES)}'
            )
        return read_config(RunConfig, self.config_file, run=self.path, trust_code=self.trust_code)

    @property
    def loss(self) -> losses.Loss:
        """What the net's outputs and the targets give for each sample."""
        return losses.FAMILY.bound(self.config.loss)

    @property
    def metrics(self) -> dict[str, Metric] | None:
        """What is measured beside the loss, by column; None for what is usual for the loss and the targets."""
        return self.config.metric_functions()

    def metric_code(self) -> list[tuple[str, Path | None]]:
        """The user's own among them, as of `metrics.code_of`."""
        return self.config.metric_code()

    def code_digests(self) -> dict[str, str]:
        """SHA-256 of the user's code that its data, net and loss are made by, as it is now, by section.

        None where it was not noted yet when the run was begun, so that its results stay what they were called.
        """
        if CODE not in self.environment():
            return {}
        return {key: each for key, each in self.config.code_digests().items() if key in ("dataset", "model", "loss")}

    @property
    def output(self) -> str | None:
        """Which of the net's outputs are the logits, where that is not plain."""
        return self.config.output

    def sections(self) -> dict[str, Any]:
        """What was trained on what, by the sections of a config: dataset, model, loss, teacher; as plain data."""
        return self.config.resolved()

    def settings(self) -> dict[str, Any]:
        """What the settings of a result say of the run's data, net and loss."""
        sections = self.sections()
        dataset = {key: value for key, value in sections["dataset"].items() if key not in ("root", "mmap")}
        return {"dataset": dataset, "model": sections["model"]["name"], "loss": sections["loss"]["name"]}

    def checkpoints(self) -> list[Checkpoint]:
        """Every checkpoint: epochs in order, then steps in order, then best and ema."""
        found = []
        for file in (self.path / "checkpoints").glob("*.pt"):
            if match := _CHECKPOINT.fullmatch(file.name):
                number = int(match[2])
                found.append(Checkpoint(file, epoch=number) if match[1] == "epoch" else Checkpoint(file, step=number))
            elif file.name in ("best.pt", "ema.pt"):
                found.append(Checkpoint(file))
        return sorted(found, key=lambda c: (c.epoch is None, c.step is None, c.epoch or c.step or 0, c.label))

    def checkpoint(self, name: str = "last") -> Checkpoint:
        """first, last, best, ema, an epoch's number, or step-N. Raises BadInput that lists what is there."""
        known = self.checkpoints()
        epochs = [checkpoint for checkpoint in known if checkpoint.epoch is not None]
        named = {checkpoint.label: checkpoint for checkpoint in known}
        named |= {str(checkpoint.epoch): checkpoint for checkpoint in epochs}
        named |= {f"step-{checkpoint.step}": checkpoint for checkpoint in known if checkpoint.step is not None}
        if epochs:
            named |= {"first": epochs[0], "last": epochs[-1]}
        if name in named:
            return named[name]
        have = [str(c.epoch) if c.epoch is not None else c.label for c in known]
        shown = have if len(have) <= 12 else [*have[:5], "…", *have[-5:]]
        raise BadInput(f"{self.path} has no checkpoint {name!r}; it has: {', '.join(shown) or 'none'} (or first, last)")

    def dataset(self, device: torch.device | str = "cpu") -> data.Data:
        """The data set as the net sees it."""
        return data.load(self.config.dataset, device)

    def tensors(self, split: Literal["train", "test"]) -> data.Split:
        """Inputs as the net sees them [N, ...], and targets [N]."""
        return self._data.train if split == "train" else self._data.test

    def model(self, checkpoint: str | Checkpoint = "last") -> nn.Module:
        """A module on the CPU, in eval mode, with a checkpoint's values."""
        if isinstance(checkpoint, str):
            checkpoint = self.checkpoint(checkpoint)
        facts = self.environment().get("data") or self._data.facts
        model = models.build(
            self.config.model, tuple(facts["shape"]), facts["classes"] or facts["outputs"], self.config.seed
        )
        load_state(model, checkpoint.state(), str(checkpoint.path))
        return model.eval()

    @cached_property
    def _data(self) -> data.Data:
        return self.dataset()


@dataclass(frozen=True)
class Point:
    """RUN@CHECKPOINT: a model's parameters."""

    run: Run
    checkpoint: Checkpoint

    def __str__(self) -> str:
        """As on the command line, with the run's name only."""
        return f"{self.run.name}@{self.checkpoint.label}"

    def settings(self) -> dict[str, str]:
        """What a result's settings say of it."""
        return {"run": self.run.name, "checkpoint": self.checkpoint.label, "sha256": self.checkpoint.sha256}


def point_of(given: "str | Point", default: str = "last") -> Point:
    """The point that `RUN[@CHECKPOINT]` names, or one that is open already. Raises BadInput."""
    if isinstance(given, Point):
        return given
    path, checkpoint = str(given), default
    if "@" in path.rpartition("/")[2]:
        path, _, checkpoint = path.rpartition("@")
    run = Run.open(path)
    return Point(run, run.checkpoint(checkpoint))


point = point_of


def metrics_columns(measured: Sequence[str], cost: Iterable[str] = ()) -> list[str]:
    """The columns of metrics.csv.

    measured: those of the splits, train_loss, train_accuracy, test_loss, …; cost: what full-batch methods count.
    """
    return ["epoch", "step", "lr", *measured, "batch_loss", "grad_norm", "seconds", *cost]


def split_state(model: nn.Module) -> tuple[Params, Params]:
    """A module's parameters and its buffers, detached copies."""
    parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
    return parameters, {name: value.detach().clone() for name, value in model.named_buffers()}

"""The names of a run's files, and what its small ones say: all that can be told of a run without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lossscape.errors import BadInput
from lossscape.files import read_json

CODE = "code"
"""What environment.json, and the settings of a result, call SHA-256 of the user's own code by section of the config."""


def names_apart(names: Sequence[str], runs: Sequence["RunFiles"]) -> list[str]:
    """Names of things that lie in runs; with the folder of the run, or the whole path, where others have the same."""
    found = list(names)
    for folder in (lambda run: run.path.resolve().parent.name, lambda run: str(run.path.resolve().parent)):
        longer = [f"{folder(run)}/{name}" for name, run in zip(names, runs, strict=True)]
        found = [long if found.count(name) > 1 else name for name, long in zip(found, longer, strict=True)]
    return found


def check_once(names: Sequence[object], paths: Sequence[Path], what: str) -> None:
    """Raise BadInput for a thing whose path is given twice."""
    real = [path.resolve() for path in paths]
    for name, path in zip(names, real, strict=True):
        if real.count(path) > 1:
            raise BadInput(f"{name}: given twice; name each {what} once")


OF_THE_CALL = ("started", "command", "device", "threads", "platform", "versions", "git_commit", "resumed")
"""Keys of environment.json that belong to the machine and the call; all others belong to the work."""


class RunFiles:
    """A run directory, by name of its files."""

    def __init__(self, path: str | Path) -> None:
        """path: the run directory, which need not exist yet."""
        self.path = Path(path)
        self.config_file = self.path / "config.yaml"
        """The resolved experiment."""
        self.environment_file = self.path / "environment.json"
        """Versions, device, threads, seed, git commit, command, the model's size and the data's facts."""
        self.metrics_file = self.path / "metrics.csv"
        """One row per epoch, epoch 0 first."""
        self.resume_file = self.path / "resume.pt"
        """What an exact continuation needs."""
        self.state_file = self.path / "state.json"
        """Where the run stands: {state, epoch, step, message}."""
        self.tensorboard_folder = self.path / "tensorboard"
        self.report_folder = self.path / "report"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    def epoch_file(self, epoch: int) -> Path:
        """The checkpoint after an epoch; 0: the initial values."""
        return self.path / "checkpoints" / f"epoch-{epoch:04d}.pt"

    def step_file(self, step: int) -> Path:
        """The checkpoint after a step."""
        return self.path / "checkpoints" / f"step-{step:08d}.pt"

    def named_file(self, name: Literal["best", "ema"]) -> Path:
        """The checkpoint with the best test accuracy, or the averaged weights."""
        return self.path / "checkpoints" / f"{name}.pt"

    def results(self, kind: str) -> Path:
        """The folder of an analysis' results."""
        return self.path / kind

    def environment(self) -> dict[str, Any]:
        """What environment.json says; empty where it is missing or torn."""
        return read_json(self.environment_file)

    def state(self) -> dict[str, Any]:
        """What state.json says; empty where it is missing or torn."""
        return read_json(self.state_file)

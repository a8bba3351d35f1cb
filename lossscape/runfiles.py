"""The names of a run's files, and what its small ones say: all that can be told of a run without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lossscape.errors import BadInput
from lossscape.files import read_json


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


class RunFiles:
    """A run directory, by name of its files."""

    def __init__(self, path: str | Path) -> None:
        """path: the run directory, which need not exist yet."""
        self.path = Path(path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def config_file(self) -> Path:
        """The resolved experiment."""
        return self.path / "config.yaml"

    @property
    def environment_file(self) -> Path:
        """Versions, device, threads, seed, git commit, command, the model's size and the data's facts."""
        return self.path / "environment.json"

    @property
    def metrics_file(self) -> Path:
        """One row per epoch, epoch 0 first."""
        return self.path / "metrics.csv"

    @property
    def resume_file(self) -> Path:
        """What an exact continuation needs."""
        return self.path / "resume.pt"

    @property
    def state_file(self) -> Path:
        """Where the run stands: {state, epoch, step, message}."""
        return self.path / "state.json"

    @property
    def tensorboard_folder(self) -> Path:
        """Event files, where TensorBoard is asked for."""
        return self.path / "tensorboard"

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

    @property
    def report_folder(self) -> Path:
        """Where `lossscape report` writes."""
        return self.path / "report"

    def environment(self) -> dict[str, Any]:
        """What environment.json says; empty where it is missing or torn."""
        return read_json(self.environment_file)

    def state(self) -> dict[str, Any]:
        """What state.json says; empty where it is missing or torn."""
        return read_json(self.state_file)

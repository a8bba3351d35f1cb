"""The names of a run's files, and what its small ones say: all that can be told of a run without torch."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.files import read_json

CODE = "code"
"""What environment.json, and the settings of a result, call SHA-256 of the user's own code by section of the config."""


SWEEP, SWEEP_TABLE = "sweep.yaml", "sweep.csv"
"""What a sweep is, and its table, in the folder that its runs lie in."""


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


def files_of_point(given: str) -> list[Path]:
    """What RUN[@CHECKPOINT], or the name of a file of weights, is read from: it may be another once it has changed."""
    before, at, _ = given.rpartition("@")
    run = RunFiles(before if at and "/" not in given[len(before) :] else given)
    return [Path(given)] if Path(given).is_file() else [run.config_file, run.epoch_file(0).parent]


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / SWEEP).is_file()


def cells_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The values that are varied, by the name of each run of a sweep, in their order. Raises BadInput."""
    settings = yamlfile.read(folder / SWEEP).data
    cells = settings.get("cells") if isinstance(settings, dict) else None
    if not isinstance(cells, dict) or not all(isinstance(values, dict) for values in cells.values()):
        raise BadInput(f"{folder / SWEEP}: not what a sweep is; run lossscape sweep again")
    return cells


def with_cells(paths: Iterable[Path]) -> list[Path]:
    """Paths of runs, and those of all runs of a sweep that have begun in place of its own. Raises BadInput."""
    found: list[Path] = []
    for path in paths:
        own = [path / name for name in cells_of(path)] if is_sweep(path) else [path]
        found += [each for each in own if each == path or (each / "config.yaml").is_file()]
    return found


def with_members(paths: Iterable[Path]) -> list[Path]:
    """Paths, and in place of a folder that is neither run nor sweep nor result those of the runs and sweeps in it.

    Each once, runs first as far as they come from one folder.
    """
    found: list[Path] = []
    for path in paths:
        itself = is_sweep(path) or any((path / name).is_file() for name in ("config.yaml", "settings.yaml"))
        inside = [file.parent for name in ("config.yaml", SWEEP) for file in sorted(path.glob(f"*/{name}"))]
        found += [path] if itself else inside or [path]
    return list(dict.fromkeys(found))

"""lossscape train"""

import os
from pathlib import Path

import typer

from lossscape.cli.common import QUIET, say, tell

EXAMPLES = """\b
Examples:
    lossscape train configs/digits_mlp.yaml
    lossscape train configs/mnist_mlp.yaml --set optimizer.lr=0.1 --set seed=1 --name mnist_lr0.1
    lossscape train runs/mnist_mlp/config.yaml --resume
    torchrun --nproc-per-node 2 -m lossscape train configs/cifar10_resnet50.yaml
"""


def command(
    config: Path = typer.Argument(help="YAML file of the experiment."),
    settings: list[str] = typer.Option([], "--set", help="key=value laid over the file, as in optimizer.lr=0.1."),
    name: str | None = typer.Option(None, "--name", help="Name of the run, in place of the file's."),
    folder: Path | None = typer.Option(
        None, "--runs", help="Folder that holds the runs: runs, or where the run lies whose config.yaml is given."
    ),
    device: str | None = typer.Option(None, "--device", help="auto, cpu, cuda or cuda:N, in place of the file's."),
    resume: bool = typer.Option(
        False, "--resume", help="Continue to the same bits; starts a run that is absent. (Also what happens without.)"
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Delete a run of this name and begin anew."),
    tensorboard: bool = typer.Option(False, "--tensorboard", help="Also write TensorBoard event files."),
    quiet: bool = QUIET,
) -> None:
    """Train a net from a YAML file, with a checkpoint per epoch and metrics.csv.

    The same config under the same name continues where it stopped, or does nothing where it is finished; with more
    epochs it goes on. Another config under that name is refused. SIGINT and SIGTERM finish the step, save, and print
    how to continue.
    """
    from lossscape.config import read_experiment
    from lossscape.errors import BadInput
    from lossscape.runs import Run
    from lossscape.train import train

    if resume and overwrite:
        raise BadInput("--resume continues and --overwrite deletes: give one of them")
    experiment = read_experiment(config, settings, name, device)
    folder = folder or _home(config, experiment.name)
    before = Run(folder / experiment.name).state()
    run = train(experiment, folder, overwrite=overwrite, quiet=quiet, tensorboard=tensorboard)
    if before.get("state") == "finished" and before == run.state() and not overwrite:
        say(f"{run.path} is already done")
    if int(os.environ.get("RANK", "0")) > 0:  # one process of several speaks
        return
    tell(run=run.path, metrics=run.metrics_file, checkpoints=run.checkpoint("last").path.parent)


def _home(config: Path, name: str) -> Path:
    """The folder of runs that a run's own config.yaml lies in, else runs."""
    from lossscape.runs import Run

    run = Run(config.resolve().parent)
    if config.name != run.config_file.name or run.name != name or not run.environment_file.exists():
        return Path("runs")
    return config.parent.parent if config.parent.name == name else run.path.parent

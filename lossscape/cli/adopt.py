"""lossscape adopt"""

from pathlib import Path

import typer

from lossscape.cli.common import QUIET, tell

EXAMPLES = """\b
Examples:
    lossscape adopt mine.yaml checkpoints/*.pt
    lossscape adopt mine.yaml init.pth half.pth final.pth --epochs 0,45,90 --name mine
    lossscape adopt mine.yaml 'outputs/checkpoint-*/model.safetensors'
"""


def command(
    config: Path = typer.Argument(help="YAML file that names data, model and loss."),
    checkpoints: list[str] = typer.Argument(
        metavar="CHECKPOINT", help="Files .pt, .pth, .ckpt, .safetensors, or patterns of such."
    ),
    epochs: str | None = typer.Option(
        None, "--epochs", metavar="0,5,10", help="Of the files; else the numbers in their names, else their order."
    ),
    settings: list[str] = typer.Option([], "--set", help="key=value laid over the file, as in model.width=32."),
    name: str | None = typer.Option(None, "--name", help="Name of the run, in place of the file's."),
    folder: Path = typer.Option(Path("runs"), "--runs", help="Folder that holds the runs."),
    device: str | None = typer.Option(None, "--device", help="auto, cpu, cuda or cuda:N, in place of the file's."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Delete a run of this name and begin anew."),
    quiet: bool = QUIET,
) -> None:
    """Make a run of weights that were trained elsewhere, with a row of metrics.csv for each.

    Every other command then works on it. The config may leave out optimizer and training. Adopting again under the same
    name adds the files that are new.
    """
    from lossscape.adopt import adopt
    from lossscape.adopt.files import gather, numbers_from
    from lossscape.config import RunConfig, read_config

    experiment = read_config(RunConfig, config, settings, name, device)
    files = gather(checkpoints)
    numbers = None if epochs is None else numbers_from(epochs)
    run = adopt(experiment, files, folder, epochs=numbers, overwrite=overwrite, quiet=quiet)
    tell(run=run.path, metrics=run.metrics_file, checkpoints=run.checkpoint("last").path.parent)

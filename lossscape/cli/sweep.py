"""lossscape sweep"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lossscape.cli.common import QUIET, say, tell
from lossscape.text import counted

if TYPE_CHECKING:
    from lossscape.unchanged import Made

EXAMPLES = """\b
Examples:
    lossscape sweep configs/sweeps/rates.yaml --dry-run
    lossscape sweep configs/sweeps/rates.yaml --workers 2
    lossscape sweep configs/sweeps/optimizers.yaml --set dataset.root=/data --scheduler scheduler.json
"""
MOST_SHOWN = 10
"""Runs that failed, with their reasons."""


def command(
    file: Path = typer.Argument(metavar="SWEEP", help="YAML file: a base config and lists of values for its keys."),
    settings: list[str] = typer.Option([], "--set", help="key=value laid over every run, as in training.epochs=5."),
    name: str | None = typer.Option(None, "--name", help="Name of the sweep, in place of the file's."),
    folder: Path = typer.Option(Path("runs"), "--runs", help="Folder that the sweep's own is made in."),
    device: str | None = typer.Option(None, "--device", help="auto, cpu, cuda or cuda:N, in place of the file's."),
    workers: int | None = typer.Option(
        None, "--workers", metavar="N", min=1, help="Train N at a time (pip install lossscape[cluster])."
    ),
    scheduler: str | None = typer.Option(
        None,
        "--scheduler",
        metavar="FILE|ADDRESS",
        help="Train on the workers of a Dask cluster (pip install lossscape[cluster]).",
    ),
    dry_run: bool = typer.Option(False, "--dry-run", help="Only list the runs."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Delete the runs that are there and begin anew."),
    quiet: bool = QUIET,
) -> None:
    """Train one config with values varied: a run for each combination, and one table, RUNS/NAME/sweep.csv.

    A second call goes on where the first stopped, and adds the runs of a file that has grown. A run that fails is
    reported in the table and stops no other.
    """
    from lossscape.runfiles import SWEEP_TABLE

    made = _made_by(file, settings, name, folder, device)
    said = made.said() if made is not None and not (dry_run or overwrite) else None
    if made is not None and said is not None:  # without torch, whose import takes longer than all of this
        home = made.home
    else:
        from lossscape.execution import Execution
        from lossscape.sweeps import Opened, run_sweep

        opened = Opened(file, settings, name, device)
        if dry_run:
            for cell in opened.cells:
                say(cell.name)
            return
        home = folder / opened.sweep.name
        execution = Execution(workers=workers, scheduler=scheduler, overwrite=overwrite, quiet=quiet)
        before = None if made is None else made.beside(opened.sources())  # they may change while it runs
        outcomes = run_sweep(opened, home, execution)
        failed = [each for each in outcomes if each.reason]
        said = [f"{each.run.name} {each.state}: {each.why}" for each in failed[:MOST_SHOWN]]
        said += [f"{len(failed) - MOST_SHOWN} more in the table"] if len(failed) > MOST_SHOWN else []
        said += [f"{len(outcomes) - len(failed)} of {counted(len(outcomes), 'run')} finished"]
        if made is not None and before is not None and not failed:
            made.keep(said, before)
    if not quiet:
        for line in said:
            say(line)
    tell(sweep=home, table=home / SWEEP_TABLE)


def _made_by(file: Path, settings: list[str], name: str | None, folder: Path, device: str | None) -> "Made | None":
    """What this call makes, told without loading what the sweep's file names; None where it is no sweep's."""
    from lossscape import yamlfile
    from lossscape.unchanged import Made

    data = yamlfile.read(file).data
    named = name or (data.get("name") if isinstance(data, dict) else None)
    if not isinstance(named, str):
        return None
    home = folder / named
    return Made(home, home, ["sweep", str(file), settings, name, device])

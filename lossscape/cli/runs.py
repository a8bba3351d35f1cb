"""lossscape runs"""

from collections.abc import Sequence
from pathlib import Path

import typer

from lossscape.cli.common import say
from lossscape.text import columns_of, printable

EXAMPLES = """\b
Examples:
    lossscape runs
    lossscape runs --runs /scratch/me/runs
"""
COLUMNS = ("run", "data", "model", "optimizer", "epochs", "train loss", "train acc.", "test loss", "test acc.", "state")


def command(folder: Path = typer.Option(Path("runs"), "--runs", help="Folder that holds the runs.")) -> None:
    """List runs: data, model, optimizer, epochs done, final losses and accuracies, state; and sweeps."""
    from lossscape.errors import BadInput

    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; name one with --runs")
    from lossscape.listing import list_runs, list_sweeps, summary

    found, sweeps = [summary(run) for run in list_runs(folder)], list_sweeps(folder)
    if not found and not sweeps:
        say(f"no runs in {folder}")
        return
    if found:
        _say_runs(found)
    for line in sweeps:
        say(line)


def _say_runs(found: Sequence[tuple[str, ...]]) -> None:
    rows = [COLUMNS, *(tuple(map(printable, row)) for row in found)]
    widths = [max(columns_of(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        say("  ".join(cell + " " * (w - columns_of(cell)) for cell, w in zip(row, widths, strict=True)).rstrip())

"""lossscape runs"""

from pathlib import Path

import typer

EXAMPLES = """\b
Examples:
    lossscape runs
    lossscape runs --runs /scratch/me/runs
"""
COLUMNS = ("run", "data", "model", "optimizer", "epochs", "train loss", "train acc.", "test loss", "test acc.", "state")


def command(folder: Path = typer.Option(Path("runs"), "--runs", help="Folder that holds the runs.")) -> None:
    """List runs: data, model, optimizer, epochs done, final losses and accuracies, state."""
    from lossscape.errors import BadInput

    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; name one with --runs")
    from lossscape.runs import list_runs, summary

    found = [summary(run) for run in list_runs(folder)]
    if not found:
        typer.echo(f"no runs in {folder}")
        return
    rows = [COLUMNS, *found]
    widths = [max(_width(row[i]) for row in rows) for i in range(len(COLUMNS))]
    for row in rows:
        typer.echo("  ".join(cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)).rstrip())


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two."""
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)

"""lossscape solutions"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from lossscape.cli.common import QUIET, tell

if TYPE_CHECKING:
    from lossscape.analyses.solutions.result import Solutions

EXAMPLES = """\b
Examples:
    lossscape solutions runs/mnist_mlp
    lossscape solutions runs/cifar10_dnn runs/cifar10_cnn runs/cifar10_resnet50
    lossscape solutions runs/dnn_s0 runs/dnn_s1 runs/resnet50_s0 runs/resnet50_s1 --tolerance 0.02 --window 5
"""
MOST_LINES = 12
"""Ratios told on the terminal."""


def command(
    runs: list[str] = typer.Argument(metavar="RUN...", help="Run directories."),
    tolerance: float = typer.Option(
        0.01,
        "--tolerance",
        min=0.0,
        help="Greatest relative change of the training loss from one epoch to the next that counts as none.",
    ),
    zero: float = typer.Option(0.01, "--zero", min=0.0, help="Greatest loss that counts as 0."),
    window: int = typer.Option(
        3,
        "--window",
        metavar="N",
        min=1,
        help="Epochs in succession for which a kind's definition must hold.",
    ),
    quiet: bool = QUIET,
) -> None:
    """Which epochs are a local, a global or a true minimum, and how many epochs each run takes to them.

    LM: the training loss T stays the same; GM: and is 0; TM: and the test loss is 0 too. Reads metrics.csv only, so
    also of runs under way. Runs that differ in nothing but their seed are taken together as mean ± std.
    """
    from lossscape.analyses.solutions.compute import solutions
    from lossscape.analyses.solutions.figure import draw_solutions
    from lossscape.analyses.solutions.kinds import Rule
    from lossscape.analyses.solutions.result import read_solutions
    from lossscape.runs import Run

    opened = [Run.open(path) for path in dict.fromkeys(runs)]
    folder = solutions(opened, Rule(tolerance, zero, window))
    found = read_solutions(folder)
    draw_solutions(found, opened, folder / "solutions.png")
    if not quiet:
        _show(found)
    several = {} if found.configs.empty else {n: folder / f"{n}.csv" for n in ("configs", "ratios")}
    tell(
        epochs=folder / "epochs.csv",
        summary=folder / "summary.csv",
        **several,
        figure=folder / "solutions.png",
    )


def _show(found: "Solutions") -> None:
    from lossscape.analyses.solutions.words import FOUND, first_rows, mean_rows, ratio_words

    _table([["run", "epochs", *(f"first {kind}" for kind in FOUND)], *first_rows(found)])
    if means := mean_rows(found):
        typer.echo("")
        _table([["config (mean ± std)", "runs", *FOUND], *means])
    lines = ratio_words(found)
    more = ["more of them in ratios.csv"] if len(lines) > MOST_LINES else []
    for line in ["", *lines[:MOST_LINES], *more, *([""] if lines else [])]:
        typer.echo(line)


def _table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells, the first column flush left and the others flush right."""
    from lossscape.text import columns_of

    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        gaps = [" " * (width - columns_of(cell)) for cell, width in zip(row, widths, strict=True)]
        rest = [gap + cell for gap, cell in zip(gaps[1:], row[1:], strict=True)]
        typer.echo("  ".join([row[0] + gaps[0], *rest]))

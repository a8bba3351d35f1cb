"""lossscape report"""

import sys
from pathlib import Path

import typer

from lossscape.cli.common import tell

EXAMPLES = """\b
Examples:
    lossscape report runs/mnist_mlp
    lossscape report runs/mnist_4nn_100 runs/mnist_3nn_1000 --output both
    lossscape report runs/rates
"""


def command(
    runs: list[str] = typer.Argument(metavar="RUN|SWEEP", help="Run directories, or that of a sweep."),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Folder of the page: RUN/report for one run, runs/reports/NAMES for several."
    ),
) -> None:
    """One folder with a plain index.html: config, environment, curves, surfaces and their CSV."""
    from lossscape.files import check_writable
    from lossscape.report.page import write_report
    from lossscape.report.sweep import write_sweep_report
    from lossscape.results.folder import joined
    from lossscape.runfiles import is_sweep, with_cells
    from lossscape.runs import Run

    def say(words: str) -> None:
        print(words, file=sys.stderr)

    if len(paths := [Path(run) for run in dict.fromkeys(runs)]) == 1 and is_sweep(paths[0]):
        output = output or paths[0] / "report"
        check_writable(output)
        tell(report=write_sweep_report(paths[0], output, say))
        return
    opened = [Run.open(path) for path in with_cells(paths)]
    if output is None and len(opened) == 1:
        output = opened[0].report_folder
    elif output is None:
        output = opened[0].path.parent / "reports" / joined([run.name for run in opened], 200)
    check_writable(output)
    tell(report=write_report(opened, output, say=say))

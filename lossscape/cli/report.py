"""lossscape report"""

import sys
from pathlib import Path

import typer

from lossscape.cli.common import tell

EXAMPLES = """\b
Examples:
    lossscape report runs/mnist_mlp
    lossscape report runs/mnist_4nn_100 runs/mnist_3nn_1000 --output both
"""


def command(
    runs: list[str] = typer.Argument(metavar="RUN", help="Run directories."),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Folder of the page: RUN/report for one run, runs/reports/NAMES for several."
    ),
) -> None:
    """One folder with a plain index.html: config, environment, curves, surfaces and their CSV."""
    from lossscape.files import check_writable
    from lossscape.report.page import write_report
    from lossscape.results.folder import joined
    from lossscape.runs import Run

    opened = [Run.open(path) for path in dict.fromkeys(runs)]
    if output is None and len(opened) == 1:
        output = opened[0].report_folder
    elif output is None:
        output = opened[0].path.parent / "reports" / joined([run.name for run in opened], 200)
    check_writable(output)
    tell(report=write_report(opened, output, say=lambda words: print(words, file=sys.stderr)))

"""lossscape report"""

import sys
from pathlib import Path

import typer

from lossscape.cli.common import tell
from lossscape.cli.complete import points

EXAMPLES = """\b
Examples:
    lossscape report runs/mnist_mlp
    lossscape report runs/mnist_4nn_100 runs/mnist_3nn_1000 --output both
    lossscape report runs/mnist_mlp --single-file
    lossscape report runs/mnist_mlp --format svg,pdf
    lossscape report runs/rates
    lossscape report runs/races/saddle-8aea5425
"""


def command(
    runs: list[str] = typer.Argument(
        metavar="RUN|SWEEP",
        help="Run directories, or that of a sweep; or folders of results, as runs/races/….",
        autocompletion=points,
    ),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Folder of the page: RUN/report for one run, runs/reports/NAMES for several."
    ),
    single_file: bool = typer.Option(
        False, "--single-file", help="Also as one HTML file with all that it shows within it, to mail."
    ),
    formats: str | None = typer.Option(
        None, "--format", metavar="svg,pdf", help="Each figure as SVG or PDF too, which its caption links to."
    ),
    dpi: int | None = typer.Option(None, "--dpi", metavar="N", min=30, max=1200, help="Pixels an inch; 150."),
) -> None:
    """One folder with an index.html to read and explore in a browser: runs, curves, surfaces, certificates, CSV."""
    from lossscape.figures.how import How, drawn, pictures_of
    from lossscape.files import check_writable
    from lossscape.report.page import write_report
    from lossscape.report.single import write_single
    from lossscape.report.sweep import write_sweep_report
    from lossscape.results.folder import SETTINGS, joined
    from lossscape.runfiles import is_sweep, with_cells
    from lossscape.runs import Run

    def say(words: str) -> None:
        print(words, file=sys.stderr)

    as_asked = How(formats=pictures_of(formats) if formats else None, dpi=dpi)
    if len(paths := [Path(run) for run in dict.fromkeys(runs)]) == 1 and is_sweep(paths[0]):
        output = output or paths[0] / "report"
        check_writable(output)
        with drawn(as_asked):
            page = write_sweep_report(paths[0], output, say)
        tell(report=page, single_file=write_single(output) if single_file else "")
        return
    results = [path for path in paths if (path / SETTINGS).is_file()]
    opened = [Run.open(path) for path in with_cells([path for path in paths if path not in results])]
    folders = [*(run.path for run in opened), *results]
    if output is None and len(folders) == 1:
        output = folders[0] / "report"
    elif output is None:
        output = folders[0].parent / "reports" / joined([folder.resolve().name for folder in folders], 200)
    check_writable(output)
    with drawn(as_asked):
        page = write_report(opened, output, beside=results, say=say)
    tell(report=page, single_file=write_single(output) if single_file else "")

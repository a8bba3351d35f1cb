"""lossscape report"""

import sys
from pathlib import Path

import typer

from lossscape.cli.common import QUIET, tell
from lossscape.cli.complete import points
from lossscape.errors import BadInput

EXAMPLES = """\b
Examples:
    lossscape report runs/mnist_mlp
    lossscape report runs/mnist_4nn_100 runs/mnist_3nn_1000 --output both
    lossscape report runs/mnist_mlp --single-file
    lossscape report runs/mnist_mlp --format svg,pdf
    lossscape report runs/rates
    lossscape report runs/mnist_mlp runs/rates
    lossscape report runs
    lossscape report runs/races/saddle-8aea5425
"""


def command(
    runs: list[str] = typer.Argument(
        metavar="RUN|SWEEP|FOLDER",
        help="Run directories, those of sweeps, or a folder with all its runs and sweeps; or results, as runs/races/….",
        autocompletion=points,
    ),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Folder of the page: RUN/report of one folder, runs/reports/NAMES of several."
    ),
    single_file: bool = typer.Option(
        False, "--single-file", help="Also as one HTML file with all that it shows within it, to mail."
    ),
    formats: str | None = typer.Option(
        None, "--format", metavar="svg,pdf", help="Each figure as SVG or PDF too, which its caption links to."
    ),
    dpi: int | None = typer.Option(None, "--dpi", metavar="N", min=30, max=1200, help="Pixels an inch; 150."),
    quiet: bool = QUIET,
) -> None:
    """One folder with an index.html to read and explore in a browser: runs, curves, surfaces, certificates, CSV."""
    from lossscape.figures.how import How, drawn, pictures_of
    from lossscape.files import check_writable
    from lossscape.listing import check_run
    from lossscape.report.page import write_report
    from lossscape.report.single import write_single
    from lossscape.results.folder import SETTINGS, joined
    from lossscape.runfiles import RunFiles, is_sweep, with_members
    from lossscape.studies.statements import STUDY

    def say(words: str) -> None:
        if not quiet:
            print(words, file=sys.stderr)

    as_asked = How(formats=pictures_of(formats) if formats else None, dpi=dpi)
    given = [Path(run) for run in dict.fromkeys(runs)]
    for study in (path for path in given if (path / STUDY / SETTINGS).is_file()):
        raise BadInput(f"{study}: is a study, whose page lossscape study writes: {study / 'report' / 'index.html'}")
    paths = with_members(given)
    beside = [path for path in paths if is_sweep(path) or (path / SETTINGS).is_file()]
    opened = [RunFiles(path) for path in paths if path not in beside]
    for run in opened:
        check_run(run)
    if output is None and len(given) == 1:
        output = given[0] / "report"
    elif output is None:
        output = given[0].parent / "reports" / joined([folder.resolve().name for folder in given], 200)
    check_writable(output)
    with drawn(as_asked):
        page = write_report(opened, output, beside=beside, say=say)
    tell(report=page, single_file=write_single(output) if single_file else "")

"""lossscape study"""

import sys
from pathlib import Path

import typer

from lossscape.cli.common import QUIET, say, tell

EXAMPLES = """\b
Examples:
    lossscape study configs/studies/interpolation.yaml --scale smoke
    lossscape study configs/studies/minimum.yaml --scale laptop
    lossscape study configs/studies/minimum.yaml --scale laptop --set dataset.root=/data
"""


def command(
    file: Path = typer.Argument(metavar="FILE", help="The study's YAML file."),
    scale: str = typer.Option(
        "laptop",
        "--scale",
        help="One of the file's scales: smoke (seconds), laptop (under 30 min), full (as published).",
    ),
    settings: list[str] | None = typer.Option(
        None, "--set", metavar="KEY=VALUE", help="Laid over the config of every net, as in training.epochs=5."
    ),
    runs: Path = typer.Option(Path("runs"), "--runs", metavar="DIR", help="Where the study's folder is made."),
    workers: int | None = typer.Option(
        None, "--workers", metavar="N", min=1, help="Train N runs at a time, where the study has many."
    ),
    device: str = typer.Option("auto", "--device", help="auto, cpu, cuda or cuda:N."),
    quiet: bool = QUIET,
) -> None:
    """Reproduce a published study: train its nets, draw what it drew, and say which of its statements hold.

    All lies in one folder, RUNS/study-NAME-SCALE, its page in report/. A second call goes on where the first stopped.
    """
    from lossscape.files import check_writable
    from lossscape.results.folder import MEASURES_CSV
    from lossscape.studies.again import made_by
    from lossscape.studies.page import write_study_report
    from lossscape.studies.statements import STATEMENTS, STUDY, read_statements

    def announce(words: str) -> None:
        if not quiet:
            print(words, file=sys.stderr, flush=True)

    made = made_by(file, scale, settings or [], runs, device)
    if made is not None and made.said() is not None:  # without torch, whose import takes longer than all of this
        home, statements = made.home, read_statements(made.home)
        check_writable(home)
        announce(f"{home} is finished, and nothing of it has changed")
    else:
        from lossscape.studies.config import Opened
        from lossscape.studies.run import run_study

        opened = Opened(file, scale, settings, workers)
        home = runs / opened.name
        check_writable(home)
        before = None if made is None else made.beside(opened.sources())  # they may change while it runs
        statements = run_study(opened, home, device=device, say=announce, quiet=quiet)
        if made is not None and before is not None:
            made.keep([], before)
    page = write_study_report(home)
    if not quiet:
        for each in statements:
            say(f"{each.verdict}: {each.claim} ({each.source})\n    {each.evidence}")
    tell(statements=home / STUDY / STATEMENTS, measures=home / STUDY / MEASURES_CSV, report=page)

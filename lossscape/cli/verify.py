"""lossscape verify"""

from pathlib import Path

import typer

from lossscape.cli.common import say
from lossscape.cli.complete import points
from lossscape.text import counted

EXAMPLES = """\b
Examples:
    lossscape verify runs/mnist_mlp
    lossscape verify runs/* --quiet
    lossscape verify --accept-changed runs/mnist_mlp/landscape/last-ab12cd34
"""


def command(
    folders: list[Path] = typer.Argument(
        metavar="RUN", help="Run directories, or folders of results.", autocompletion=points
    ),
    accept_changed: bool = typer.Option(
        False, "--accept-changed", help="Take files as they are now: they were changed on purpose."
    ),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="Only files that are not as they were written."),
) -> None:
    """Say of every file of a run and its results whether it is still as lossscape wrote it.

    ok, changed, missing, unknown (written before there were digests) or accepted; exit code 1 where one was changed.
    What is accepted is named by the certificate and on the page.
    """
    from collections import Counter

    from lossscape import manifest
    from lossscape.certificate.by_hand import accept
    from lossscape.errors import BadInput, RunFailed

    for folder in folders:
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder; name a run, or a result's folder")
    counts: Counter[str] = Counter()
    changed = None
    for folder in dict.fromkeys(folders):
        if accept_changed:
            accept(folder)
        for path, state in manifest.states(folder):
            counts[state] += 1
            changed = changed or (folder if state == manifest.CHANGED else None)
            if not quiet or state != manifest.OK:
                say(f"{state:<8}  {path}")
    say(f"{counted(counts.total(), 'file')}: " + (", ".join(f"{n:,} {state}" for state, n in counts.items()) or "none"))
    if changed:
        raise RunFailed(f"{counts[manifest.CHANGED]:,} changed since lossscape wrote them: {manifest.remedy(changed)}")

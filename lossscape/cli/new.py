"""lossscape new"""

import os
from pathlib import Path

import typer

from lossscape.cli.common import say, tell

EXAMPLES = """\b
Examples:
    lossscape new
    lossscape new configs/mine.yaml
    lossscape new --list
    lossscape new mine.yaml --like mnist_mlp
"""


def command(
    path: Path = typer.Argument(Path("experiment.yaml"), help="File to write; one that exists is left alone."),
    like: str | None = typer.Option(None, "--like", metavar="NAME", help="Write one of the shipped configs instead."),
    listed: bool = typer.Option(False, "--list", help="List the shipped configs, sweeps and studies; write nothing."),
) -> None:
    """Write a commented example config, or one of those that are shipped; or list these."""
    from importlib import resources

    from lossscape import shipped
    from lossscape.errors import BadInput
    from lossscape.files import check_writable, write_bytes

    if listed:
        for line in shipped.lines():
            say(line)
        return
    check_writable(path.parent)
    example = (
        shipped.config(like).read_bytes()
        if like is not None
        else (resources.files("lossscape") / "cli" / "example.yaml").read_bytes()
    )
    if not (path.is_file() and path.read_bytes() == example):  # of a call that was killed after it had written
        if os.path.lexists(path):
            raise BadInput(f"{path} exists: choose another name")
        write_bytes(path, example)
    tell(config=path, train=f"lossscape train {path}")

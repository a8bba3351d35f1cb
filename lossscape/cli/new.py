"""lossscape new"""

import os
from pathlib import Path

import typer

from lossscape.cli.common import tell

EXAMPLES = """\b
Examples:
    lossscape new
    lossscape new configs/mine.yaml
"""


def command(
    path: Path = typer.Argument(Path("experiment.yaml"), help="File to write; one that exists is left alone."),
) -> None:
    """Write a commented example config."""
    from importlib import resources

    from lossscape.errors import BadInput
    from lossscape.files import check_writable, write_bytes

    check_writable(path.parent)
    example = (resources.files("lossscape") / "cli" / "example.yaml").read_bytes()
    if not (path.is_file() and path.read_bytes() == example):  # of a call that was killed after it had written
        if os.path.lexists(path):
            raise BadInput(f"{path} exists: choose another name")
        write_bytes(path, example)
    tell(config=path, train=f"lossscape train {path}")

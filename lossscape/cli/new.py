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
    if os.path.lexists(path):
        raise BadInput(f"{path} exists: choose another name")
    write_bytes(path, (resources.files("lossscape") / "cli" / "example.yaml").read_bytes())
    tell(config=path, train=f"lossscape train {path}")

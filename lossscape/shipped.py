"""The configs, sweeps and studies that are shipped: in configs/ of the source, and inside of an installed package."""

import os
import re
import textwrap
from pathlib import Path

from lossscape.errors import BadInput, one_of

_PACKAGE = Path(__file__).parent
_KINDS = {"": "train", "sweeps": "sweep", "studies": "study"}
"""Folders, and the commands that take what lies in them."""


def folder(package: Path = _PACKAGE) -> Path:
    """Where they lie: in a package, or beside it. Raises BadInput where this installation has none."""
    for found in (package / "configs", package.parent / "configs"):
        if (found / "digits_mlp.yaml").is_file():
            return found
    raise BadInput("this installation has no shipped configs; `lossscape new` writes a commented one")


def config(name: str) -> Path:
    """The file of a config by its name. Raises BadInput with the names that there are."""
    found = {file.stem: file for file in sorted(folder().glob("*.yaml"))}
    if name not in found:
        raise BadInput(one_of("--like", name, found))
    return found[name]


def lines() -> list[str]:
    """Each with a line of what it is, behind the command that takes it."""
    home, said = folder(), []
    shown = Path(os.path.relpath(home)) if home.is_relative_to(Path.cwd()) else home
    for kind, command in _KINDS.items():
        files = sorted((home / kind).glob("*.yaml"))
        width = max(len(file.stem) for file in files)
        said.append(f"lossscape {command} {shown / kind}/NAME.yaml")
        said += [f"  {file.stem:<{width}}  {about(file)}" for file in files]
    return said


def about(file: Path) -> str:
    """The first sentence of the comment that a shipped file begins with, as far as a line holds it."""
    comment = re.match(r"(?:# yaml-language-server.*\n)?((?:# .*\n)+)", file.read_text(encoding="utf-8"))
    words = " ".join(line.removeprefix("# ") for line in comment[1].splitlines()) if comment else ""
    return textwrap.shorten(re.split(r"(?<=[^.])\.\s", words + " ", maxsplit=1)[0], 100, placeholder=" …")

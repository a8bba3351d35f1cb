"""Files that a person changed on purpose: they are recorded as they are, and the certificate says so."""

import json
from pathlib import Path

from lossscape import manifest
from lossscape.files import held, read_json, write_text
from lossscape.results.folder import CERTIFICATE

BY_HAND = "changed_by_hand"
"""What a certificate calls such files."""


def accept(folder: Path) -> None:
    """Record the changed files of a folder, and below, as they are now, and forget those that are missing.

    Raises BadInput where another process writes there.
    """
    homes: dict[Path, list[Path]] = {}
    for path, state in manifest.states(folder):
        if state in (manifest.CHANGED, manifest.MISSING) and path.name != manifest.NAME:
            home = manifest.home_of(path) or folder
            homes.setdefault(home, []).append(path)
    for home, paths in homes.items():
        with held(home, "verifying"):
            for path in paths:
                manifest.accept(path)
            if content := read_json(home / CERTIFICATE):
                content |= {BY_HAND: manifest.accepted(home)}
                write_text(home / CERTIFICATE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def changed(folder: Path, run: Path) -> dict[str, list[str]]:
    """What the certificate of a result says of files that were changed on purpose, its own and those of its run."""
    names = [*manifest.accepted(folder), *(f"{run.name}/{name}" for name in manifest.accepted(run))]
    return {BY_HAND: names} if names else {}

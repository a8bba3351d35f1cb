"""The folder of a result: its name, its files' names, and who holds it."""

import glob
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lossscape import usercode, yamlfile
from lossscape.errors import BadInput
from lossscape.files import clear, held, write_text
from lossscape.runfiles import CODE

CODES = (CODE, "metric_code")
"""Settings that are SHA-256 of the user's own code."""
SETTINGS, ENGINE, CERTIFICATE = "settings.yaml", "engine.json", "certificate.json"
POINTS = "points.csv"
"""Finished rows of a result under way, in the order of their computation."""
DIRECTIONS = "directions.pt"
RANGE = "range.json"
MEASURES = "measures.json"
MEASURES_CSV, SUMMARY, TARGETS = "measures.csv", "summary.csv", "targets.pt"
FILMS = "films.csv"
PATH, PATH_FACTS, PATHS = "path.csv", "path.json", "paths"
"""Checkpoints projected onto a plane, what is known of each path, and the folder of the runs' own live files."""
PATH_COORDINATES = ("epoch", "step", "x", "y", "off_plane", "in_plane", "moved")
"""Columns of a path before its losses."""


def label(settings: Mapping[str, Any], words: Sequence[str]) -> str:
    """A folder name: readable words and a short hash of everything that was computed."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    slug = "-".join(re.sub(r"[^\w.+]+", "-", word).strip("-") for word in words)
    return f"{slug[:100]}-{digest}"


def joined(names: Sequence[str], most: int = 60) -> str:
    """Several names as a part of a folder's, of which file systems take 255 bytes."""
    return "+".join(names).encode()[:most].decode(errors="ignore")


@contextmanager
def open_folder(folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Hold a result's folder and write its settings; where it is then refused, a new folder goes again.

    Raises BadInput where another process holds it, or where it was begun under other code of the user's.
    """
    if not overwrite:
        _check_code(folder, settings)
    new = not folder.exists()
    with held(folder, "evaluating"):
        if overwrite:
            # points first: without them, what a kill leaves of the rest is begun anew
            clear(folder, lambda entry: entry.suffix != ".csv")
        write_settings(folder, settings)
        try:
            yield
        except BadInput:
            if new and not any(file.read_bytes().count(b"\n") > 1 for file in folder.glob("*.csv")):
                shutil.rmtree(folder)
                with suppress(OSError):
                    folder.parent.rmdir()  # where it is empty
            raise


def _check_code(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise BadInput where the same result was begun, and not finished, under other code, and is not begun under this.

    The code is part of what a folder is named after, so that result lies in another one.
    """
    if not any(key in settings for key in CODES) or (folder / SETTINGS).exists():
        return
    bare = {key: value for key, value in json.loads(json.dumps(settings)).items() if key not in CODES}
    name = glob.escape(folder.name.rpartition("-")[0])
    for begun in folder.parent.glob(f"{name}-*/{POINTS}"):
        with suppress(BadInput):  # no result
            before = read_settings(begun.parent)
            if all(before.get(key) == value for key, value in bare.items()):
                break
    else:
        return
    codes = [(section, digest) for key in CODES for section, digest in settings.get(key, {}).items()]
    noted = [each for key in CODES if isinstance(each := before.get(key), dict)]
    known = {section: digest for digests in noted for section, digest in digests.items()}
    changed = dict.fromkeys(_source(section, folder, settings) for section, each in codes if known.get(section) != each)
    raise BadInput(
        f"{begun.parent} was begun before {' and '.join(changed)} changed: put back what it was to go on with that "
        "result, or give --overwrite to begin one with the code as it is now"
    )


def _source(section: str, folder: Path, settings: Mapping[str, Any]) -> str:
    """The file, or module, of a section of the config of the run that a result lies in; what others are in words."""
    given = settings.get(section)
    name = str(given["name"] if isinstance(given, dict) else given)
    if ":" not in name:
        return f"the code of {section.replace('_', ' ')}"
    file = usercode.parts(name)[0]
    return str((folder.parents[1] / file).resolve()) if file.endswith(".py") else file


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what a result is."""
    write_text(folder / SETTINGS, yamlfile.dump(dict(settings)))


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a result. Raises BadInput."""
    settings = yamlfile.read(folder / SETTINGS).data
    if not isinstance(settings, dict):
        raise BadInput(f"{folder / SETTINGS}: not the settings of a result")
    return settings


def finished(folder: Path, file: str) -> list[Path]:
    """The results below a folder whose final CSV is there, oldest first."""
    return sorted((path.parent for path in folder.glob(f"*/{file}")), key=lambda p: ((p / file).stat().st_mtime, p))

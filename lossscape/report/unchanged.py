"""Whether a page would be written the same once more, so that it need not be drawn again.

A page is a function of the files that it is made from, of how it was asked for and of the code that makes it. Their
names, sizes and times are kept beside it, and so are its own files'.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib

import lossscape
from lossscape.files import write_text
from lossscape.manifest import REMADE

STAMP = ".made.json"
"""In the folder of a page."""
SMALL = 2**18
"""Bytes of tables and settings that are told by their content: many are written again each time, and stay the same."""
TEXTS = (".csv", ".json", ".jsonl", ".yaml")


def stamp_of(roots: Iterable[Path], words: Sequence[Any]) -> str:
    """SHA-256 of the names, sizes and times of all files below some folders, of the code, and of what was asked for.

    Folders that are linked to are looked into as well, each once.
    """
    digest = hashlib.sha256(repr([matplotlib.__version__, version("plotly"), *words]).encode())
    read = [(Path(lossscape.__file__).parent, ()), *((root, REMADE) for root in dict.fromkeys(roots))]
    for root, but in read:  # a folder of the code has the name of one of pages
        for facts in _files(root, but):
            digest.update(f"{root}{facts}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def unchanged(folder: Path, stamp: str) -> list[str] | None:
    """What was said of a page that would be the same now and lies there as it was written; None of any other."""
    try:
        kept = json.loads((folder / STAMP).read_text())
        same = kept["stamp"] == stamp and kept["files"] == [*_files(folder, but=())]
        return [str(words) for words in kept["said"]] if same else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def keep(folder: Path, stamp: str = "", said: Sequence[str] = ()) -> None:
    """Note beside a page that was written what it was made from and what was said of it.

    Without them, that a file of it was added since.
    """
    kept = {"stamp": stamp, "said": list(said)} if stamp else json.loads((folder / STAMP).read_text())
    facts = {**kept, "files": [*_files(folder, but=())]}
    write_text(folder / STAMP, json.dumps(facts) + "\n")


def _files(root: Path, but: Sequence[str]) -> Iterator[str]:
    """Name, size and times of each file below a folder, in order; but: names of folders that are left out."""
    seen = set[str]()
    for place, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name not in (*but, "__pycache__"))
        for name in sorted(names):
            path = os.path.join(place, name)
            if name not in (".lock", STAMP):
                with suppress(FileNotFoundError):  # a process that writes has moved it
                    yield f"{path[len(str(root)) :]} {_facts(path)}"


def _facts(path: str) -> str:
    try:
        status = os.stat(path)
        if status.st_size <= SMALL and path.endswith(TEXTS) and stat.S_ISREG(status.st_mode):  # a pipe has no end
            with open(path, "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
    except FileNotFoundError:
        raise
    except OSError as error:  # the page says of it that it cannot be read
        return str(error.errno)
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"

"""Whether what was made would be the same once more, so that it is not made again: pages, studies, sweeps.

It is a function of the files that it is made from, of how it was asked for and of the code that makes it. Their
names, sizes and times are kept beside it, and so are its own files'.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lossscape
from lossscape import usercode
from lossscape.files import write_text
from lossscape.manifest import REMADE

STAMP = ".made"
"""In the folder of a page, a result, a study or a sweep."""
SMALL = 2**18
"""Bytes of tables and settings that are told by their content: many are written again each time, and stay the same."""
TEXTS = (".csv", ".json", ".jsonl", ".yaml")
PLACES = ("HOME", "LOSSSCAPE_DATA")
"""Variables of the environment that say where data lie."""


def stamp_of(roots: Iterable[Path], words: Sequence[Any]) -> str:
    """SHA-256 of the names, sizes and times of all files below some folders, of the code, and of what was asked for.

    Folders that are linked to are looked into as well, each once.
    """
    digest = hashlib.sha256(repr([version("matplotlib"), version("plotly"), *words]).encode())
    read = [(Path(lossscape.__file__).parent, ()), *((root, REMADE) for root in dict.fromkeys(roots))]
    for root, but in read:  # a folder of the code has the name of one of pages
        for facts in _files(root, but):
            digest.update(f"{root}{facts}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def unchanged(folder: Path, stamp: str, but: Sequence[str] = ()) -> list[str] | None:
    """What was said of what would be made the same now and lies there as it was written; None of anything else.

    but: names of folders that are left out of what lies there.
    """
    try:
        kept = json.loads((folder / STAMP).read_text())
        same = kept["stamp"] == stamp and kept["files"] == [*_files(folder, but)] and _are_as_before(kept["beside"])
        return [str(words) for words in kept["said"]] if same else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def keep(
    folder: Path,
    stamp: str = "",
    said: Sequence[str] = (),
    *,
    beside: Mapping[str, str] | None = None,
    but: Sequence[str] = (),
) -> None:
    """Note beside what was written what it was made from and what was said of it.

    beside: `facts_of` the files and folders that it was made from too, of before they were read; but: as of
    `unchanged`. Without stamp, only that a file was added since.
    """
    kept = {"stamp": stamp, "said": list(said)} if stamp else json.loads((folder / STAMP).read_text())
    if stamp:
        kept["beside"] = dict(beside or {})
    facts = {**kept, "files": [*_files(folder, but)]}
    write_text(folder / STAMP, json.dumps(facts) + "\n")


@dataclass(frozen=True)
class Made:
    """All that a call makes in a folder, which is done at once where it lies there from before, and nothing changed."""

    home: Path
    """The folder."""
    place: Path
    """The one in it where that is noted."""
    asked: Sequence[Any]
    """What is asked for, in words and numbers."""
    code: str = field(default_factory=lambda: stamp_of([], []))
    """Tells the code that makes it, of before it is made: that may take hours, in which another is installed."""

    def said(self) -> list[str] | None:
        """What was said when it was made; None where it has to be made, or gone on with."""
        return unchanged(self.place, self._stamp(), REMADE) if os.path.exists(self.place / STAMP) else None

    def keep(self, said: Sequence[str], beside: Mapping[str, str]) -> None:
        """Note that it was made; beside: `facts_of` what lies elsewhere and it was made from, of before it was read."""
        keep(self.place, self._stamp(), said, beside=beside, but=REMADE)

    def beside(self, sources: Iterable[Path] | None) -> dict[str, str] | None:
        """`facts_of` what it will be made from, and what code among it imports, but for what lies in its own folder.

        None where that is not known.
        """
        if sources is None:
            return None
        known, home = list(dict.fromkeys(sources)), self.home.absolute()
        every = [*known, *usercode.imported_by(path for path in known if path.suffix == ".py")]
        return facts_of(path for path in every if not path.absolute().is_relative_to(home))

    def _stamp(self) -> str:
        where = [os.getcwd(), *(os.environ.get(name) for name in PLACES)]  # what paths are looked for from
        return stamp_of([self.home], [where, self.code, *self.asked])


def facts_of(paths: Iterable[Path]) -> dict[str, str]:
    """What tells files, and folders with all that they hold, from what they may become, by their absolute paths."""
    return {str(path.absolute()): _facts_of(path) for path in paths}


def _are_as_before(beside: dict[str, str]) -> bool:
    return all(_facts_of(Path(path)) == facts for path, facts in beside.items())


def _facts_of(path: Path) -> str:
    """Of a file, or of all that a folder holds; of what is not there, that it is not."""
    if path.is_dir():
        return hashlib.sha256("\0".join(_files(path, ())).encode("utf-8", "surrogateescape")).hexdigest()
    with suppress(FileNotFoundError):
        return _facts(str(path))
    return ""


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

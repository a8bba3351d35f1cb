"""The digest of every file that lossscape wrote, so that one that was changed since is named and never just read.

A folder that is held for writing has a manifest: lines of JSON, of which the last of a file counts. A file's line is
written before the file is moved to its place; of the last line alone, therefore, two things are right, what it says and
what was said before. Of a file that grows a line gives the digest of its first bytes, after they were written: what
was appended since is taken as it is.
"""

import copy
import hashlib
import io
import json
import os
import shlex
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lossscape.errors import BadInput

T = TypeVar("T")

NAME = "digests.jsonl"
RECORDED = (".pt", ".csv", ".json", ".yaml")
"""Of other files (pictures, pages) nothing is read again; they are made anew."""
SETTLED = {"settled": True}
"""The line that says that all lines before it have come true."""
BLOCK_SECONDS, BLOCK_SHARE = 1.0, 0.01
"""Of a file that grows a block is recorded after this time, or after this share of the time that it has grown for."""
SYNC_SECONDS = 1.0
"""Lines reach the disk within this time: a cut of the power may leave younger files without theirs."""
SPARE_LINES = 20
"""So many lines beside two of each file, and the manifest is written anew."""
FRESH_NS = 100_000_000
"""A file that was changed so recently may change again without a newer time."""


class Entry(NamedTuple):
    """What was written: so many bytes, and their SHA-256."""

    size: int
    sha256: str
    grows: bool | None = None
    """Whether more may follow behind them; None for a file that was written at once."""
    accepted: bool = False
    """Whether a person said that it was changed on purpose."""

    def fits(self, content: bytes) -> bool:
        """Whether a file's content is what was written."""
        within = len(content) >= self.size if self.grows else len(content) == self.size
        return within and _digest(memoryview(content)[: self.size]) == self.sha256


class Manifest:
    """What a folder's manifest says."""

    def __init__(self, entries: Iterable[tuple[str, Entry]] = ()) -> None:
        self.entries = dict(entries)
        self.lines = 0
        self.size = 0
        """Of its whole lines, in bytes; a torn last one says nothing."""
        self.replaced: dict[str, Entry | None] = {}
        """What stood before in the place of what the last line says."""

    def take(self, line: bytes) -> None:
        """Follow one more line. Raises ValueError where it is none."""
        name, entry, settled = _parsed(line)
        self.replaced = {}
        if entry is not None:
            if entry.grows is None and not settled:
                self.replaced = {name: self.entries.get(name)}
            self.entries[name] = entry
        elif not settled:
            self.replaced = {each: self.entries.pop(each) for each in self.below(name)}
        self.lines, self.size = self.lines + 1, self.size + len(line)

    def below(self, name: str) -> list[str]:
        """A file that is known, or those of a folder."""
        return [each for each in self.entries if each == name or each.startswith(f"{name}/")]

    def possible(self, name: str) -> list[Entry]:
        """What a file may be; nothing where it may be anything, because nothing is known of it."""
        now, before = self.entries.get(name), self.replaced.get(name)
        if name in self.replaced and before is None:
            return []  # one from before the manifest may still be in its place
        return [entry for entry in (now, before) if entry is not None]

    def text(self) -> bytes:
        """The shortest manifest that says the same, of files that are in their places."""
        lines = [_line(name, entry) for name, entry in sorted(self.entries.items())]
        return b"".join([*lines, _encoded(SETTLED)])


def _line(name: str, entry: Entry | None) -> bytes:
    if entry is None:
        return _encoded({"file": name, "gone": True})
    facts: dict[str, Any] = {"file": name, "size": entry.size, "sha256": entry.sha256}
    facts |= {} if entry.grows is None else {"grows": entry.grows}
    return _encoded(facts | ({"accepted": True} if entry.accepted else {}))


def _encoded(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def _parsed(line: bytes) -> tuple[str, Entry | None, bool]:
    """A line's file, what it says of it (None: it is gone), and whether it only settles those before it."""
    facts = json.loads(line.decode("utf-8", "surrogateescape"))
    if facts == SETTLED:
        return "", None, True
    if not isinstance(facts, dict) or not isinstance(name := facts.pop("file", None), str):
        raise ValueError("names no file")
    if facts == {"gone": True}:
        return name, None, False
    entry = Entry(**facts) if facts.keys() <= set(Entry._fields) else None
    if entry is None or type(entry.size) is not int or not isinstance(entry.sha256, str) or len(entry.sha256) != 64:
        raise ValueError("no size and SHA-256")
    if entry.grows not in (None, True, False) or entry.accepted not in (True, False):
        raise ValueError("no yes or no")
    return name, entry, False


# --- reading ------------------------------------------------------------------------------------------------


def read_bytes(path: Path) -> bytes:
    """A file's content, held against its folder's manifest where that knows it.

    Raises OSError, or BadInput where it was changed since lossscape wrote it, or is no plain file.
    """
    return _held_against(path, path.read_bytes, Entry.fits)


def check(path: Path) -> str:
    """The SHA-256 of a file, held against its folder's manifest, without keeping its content. Raises as read_bytes."""
    return _held_against(path, lambda: sha256(path), lambda entry, found: entry.sha256 == found)


def is_as_written(path: Path) -> bool:
    """Whether a file is there and what its folder's manifest says of it."""
    try:
        known = _found(path)
        check(path)
    except (OSError, BadInput):
        return False
    return known is not None and bool(known[1].possible(known[2]))


def check_plain(path: Path) -> None:
    """Raise BadInput where something is no file and no folder: a device may have no end, a pipe no begin."""
    with suppress(OSError):  # what reads it says why it cannot
        if not (stat.S_ISREG(mode := path.stat().st_mode) or stat.S_ISDIR(mode)):
            raise BadInput(f"{path}: not a plain file; put its content into one")


@contextmanager
def told(tell: Callable[[Path], None]) -> Iterator[None]:
    """Call `tell` with every file just before it is read within the block, or looked for in vain."""
    _told.append(tell)
    try:
        yield
    finally:
        _told.pop()


_told: list[Callable[[Path], None]] = []


def _held_against(path: Path, read: Callable[[], T], fits: Callable[[Entry, T], bool]) -> T:
    for tell in _told:
        tell(path)
    check_plain(path)
    for _ in range(50):  # a process may be writing: what was read after its manifest is then newer
        known = _found(path)
        lines = known[1].lines if known else 0
        value = read()
        possible = known[1].possible(known[2]) if known else []
        if known is None or not possible or any(fits(entry, value) for entry in possible):
            return value
        folder, manifest, _ = known
        now = _found(path)
        if now and now[1] is manifest and manifest.lines == lines:
            break
    raise BadInput(f"{path}: changed since lossscape wrote it: {remedy(folder)}")


def remedy(folder: Path) -> str:
    """What to do about a file of a folder that was changed."""
    return (
        "restore it, make it again with --overwrite, or, if it was changed on purpose: lossscape verify "
        f"--accept-changed {shlex.quote(str(folder))}"
    )


def _found(path: Path) -> tuple[Path, Manifest, str] | None:
    """The folder with a manifest in which a file lies, or in a folder of which, what it says, and the file's name."""
    if path.suffix not in RECORDED:
        return None
    for folder, name in _homes(path):
        if held := _held.get(folder.resolve()):
            return folder, held.manifest, name
        if manifest := load(folder):
            return folder, manifest, name
    return None


def _homes(path: Path) -> list[tuple[Path, str]]:
    """The folders whose manifest may know a file, the nearest first, with its name there."""
    return [(path.parent, path.name), (path.parent.parent, f"{path.parent.name}/{path.name}")]


def load(folder: Path) -> Manifest | None:
    """What a folder's manifest says; None where it has none. Raises BadInput where it is damaged."""
    path = folder / NAME
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _loaded(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _loaded(path: Path, *identity: int) -> Manifest:
    check_plain(path)
    manifest = Manifest()
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            break
        try:
            manifest.take(line)
        except (ValueError, TypeError, RecursionError):
            raise BadInput(
                f"{path}:{number}: damaged: restore it, or delete it, and what is in {path.parent} is then taken as it "
                "is"
            ) from None
    return manifest


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, computed once a process while the file stays as it is."""
    status = path.stat()
    found = _sha256 if time.time_ns() - status.st_ctime_ns > FRESH_NS else _sha256.__wrapped__
    return found(path, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=65536)
def _sha256(path: Path, *identity: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- telling -------------------------------------------------------------------------------------------------

OK, ACCEPTED, CHANGED, MISSING, UNKNOWN = "ok", "accepted", "changed", "missing", "unknown"
"""States of a file: as it was written; changed on purpose; changed; gone; of before there were manifests."""
REMADE = ("report", "reports", "tensorboard")
"""Folders of files that are never read again."""


def home_of(path: Path) -> Path | None:
    """The folder whose manifest knows a file."""
    known = _found(path)
    return known[0] if known else None


def states(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file in a folder and below that lossscape reads again, and its state."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - set(REMADE))
        paths = [Path(place) / name for name in sorted(names) if Path(name).suffix in RECORDED]
        known = None
        try:
            known = load(Path(place))
        except BadInput:
            yield Path(place) / NAME, CHANGED
        yield from ((path, state_of(path)) for path in paths)
        for name in known.entries if known else ():
            if not (Path(place) / name).exists():
                yield Path(place) / name, MISSING


def state_of(path: Path) -> str:
    """How a file stands to what its folder's manifest says of it."""
    try:
        known = _found(path)
    except BadInput:  # the manifest is damaged
        known = None
    possible = known[1].possible(known[2]) if known else []
    if not possible:
        return UNKNOWN
    try:
        read_bytes(path)
    except BadInput:
        return CHANGED
    return ACCEPTED if possible[0].accepted else OK


def accepted(folder: Path) -> list[str]:
    """The files of a folder that were changed on purpose, as a person said."""
    known = load(folder)
    return sorted(name for name, entry in known.entries.items() if entry.accepted) if known else []


# --- writing ------------------------------------------------------------------------------------------------


def append(file: io.FileIO, content: bytes) -> None:
    """Write at the end of a file, whole or not at all."""
    begin, rest = file.tell(), content
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:  # a full disk may have taken half of it
        with suppress(OSError):
            file.truncate(begin)
        file.seek(begin)
        error.filename = str(file.name)
        raise


class _Held:
    """The manifest of a folder that this process holds for writing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = copy.copy(load(folder) or Manifest())
        self.manifest.entries = dict(self.manifest.entries)
        self.lines = self.manifest.lines
        self.certain = True
        """Whether it is known what of the last line has come true."""
        self._synced = 0.0
        self.settle()

    def say(self, line: bytes) -> None:
        """Append a line, whole or not at all."""
        if self.manifest.lines > 2 * len(self.manifest.entries) + SPARE_LINES:
            with suppress(OSError):  # it stays as long as it is
                self.shorten()
        path, size = self.folder / NAME, self.manifest.size
        with path.open("r+b" if path.exists() else "xb", buffering=0) as file:
            file.truncate(size)  # a kill may have left a torn line
            file.seek(size)
            append(file, line)
            if time.monotonic() - self._synced > SYNC_SECONDS:
                os.fsync(file.fileno())
                self._synced = time.monotonic()
        self.manifest.take(line)

    def shorten(self) -> None:
        """Write the shortest manifest that says the same, where all that was said has come true."""
        if not self.certain:
            return
        path, text = self.folder / NAME, self.manifest.text()
        beside = path.with_name(f".{NAME}.{os.getpid()}.part")
        try:
            with beside.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        self.manifest.lines, self.manifest.size, self.manifest.replaced = text.count(b"\n"), len(text), {}

    def settle(self) -> None:
        """Say anew what the last line took back too early: files that a kill, or an error, has left as they were."""
        for name, before in list(self.manifest.replaced.items()):
            path, now = self.folder / name, self.manifest.entries.get(name)
            content = path.read_bytes() if path.is_file() else None
            if content is not None and before and before.fits(content):
                self.say(_line(name, before))
            elif now and (content is None or (before is None and not now.fits(content))):
                self.say(_line(name, None))


_held: dict[Path, _Held] = {}


def begin(folder: Path) -> None:
    """Record what this process writes into a folder that it holds. Raises BadInput where its manifest is damaged."""
    _held[folder.resolve()] = _Held(folder.resolve())


def end(folder: Path) -> None:
    """Record no more."""
    held = _held.pop(folder.resolve())
    shortest = len(held.manifest.entries) + 1
    if held.manifest.lines not in (0, shortest) or held.manifest.lines != held.lines:
        with suppress(OSError):  # its lines stay as they are
            held.shorten()


def _home(path: Path) -> tuple[_Held, str] | None:
    """The manifest that a file belongs to, where this process holds one, and its name there."""
    for folder, name in _homes(path):
        if held := _held.get(folder.resolve()):
            return held, name
    return None


@contextmanager
def coming(path: Path, content: bytes | None) -> Iterator[None]:
    """Record what a file will be when the block is done, in which it is put there.

    content: None where it will be gone, or the folder will that is meant.
    """
    home = _home(path) if content is None or path.suffix in RECORDED else None
    line = home and _line(home[1], None if content is None else Entry(len(content), _digest(content)))
    if home is None or line is None or (content is None and not home[0].manifest.below(home[1])):
        yield
        return
    home[0].say(line)
    try:
        yield
    except BaseException:
        home[0].certain = False
        with suppress(OSError):
            home[0].settle()
            home[0].certain = True
        raise


def _digest(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()


def accept(path: Path) -> None:
    """Say of a file that was changed, or is gone, that this was on purpose. The caller holds its folder."""
    if home := _home(path):
        held, name = home
        content = path.read_bytes() if path.exists() else None
        entry = None if content is None else Entry(len(content), _digest(content), accepted=True)
        held.say(_line(name, entry))


class Growing:
    """The record of a file that is appended to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, content: bytes) -> None:
        """Say what the file is about to be cut to, or to begin with."""
        self._sum, self._bytes = hashlib.sha256(content), len(content)
        self._begun = self._said = time.monotonic()
        self._say(grows=True)

    def add(self, content: bytes, sync: Callable[[], None]) -> None:
        """Count in what was appended; sync: brings it to the disk, before it is said to be there."""
        self._sum.update(content)
        self._bytes += len(content)
        now = time.monotonic()
        if now - self._said > max(BLOCK_SECONDS, BLOCK_SHARE * (now - self._begun)):
            sync()
            self._say(grows=True)
            self._said = now

    def end(self, size: int) -> None:
        """Say that nothing more follows, where the file has the size of what was counted."""
        if size == self._bytes:
            self._say(grows=False)

    def _say(self, grows: bool) -> None:
        if home := _home(self._path):
            held, name = home
            before = held.manifest.entries.get(name)
            accepted = before is not None and before.accepted and self._bytes > 0
            held.say(_line(name, Entry(self._bytes, self._sum.hexdigest(), grows, accepted)))

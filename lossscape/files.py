"""Files that survive: written beside and moved, appended line by line, held by one process at a time."""

import csv
import fcntl
import hashlib
import io
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lossscape.errors import BadInput


def check_writable(path: Path) -> None:
    """Raise BadInput where a folder at `path` could not be made or written."""
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise BadInput(f"{path}: cannot be written: {nearest} is not a folder that you may write to")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside its place, flushed to the disk, then moved over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Like write_bytes, in UTF-8."""
    write_bytes(path, text.encode())


def save_tensors(path: Path, value: Any) -> None:
    """torch.save of tensors and plain values, the same bytes for the same content.

    Through a buffer, because torch.save writes its file's name into the archive.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_bytes(path, buffer.getvalue())


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def held(folder: Path, doing: str) -> Iterator[None]:
    """Hold a folder for one writer; the lock goes with the process, however it ends.

    Raises BadInput that says who holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BadInput(
                f"{folder} is in use by {file.read().strip() or 'another process'}: wait for it"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} ({doing})\n")
        file.flush()
        yield


def is_held(folder: Path) -> bool:
    """Whether a living process holds a folder for writing."""
    try:
        with (folder / ".lock").open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def text_of(value: Any) -> str:
    """A number as text that reads back exactly."""
    if value is None:
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


class CsvLog:
    """An append-only CSV of numbers: every row is flushed, a torn last line is cut off when it is opened again."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        """Open or begin the file. Raises BadInput where it has other columns."""
        self.columns = list(columns)
        self.rows: list[dict[str, str]] = []
        self._file: IO[str]
        kept = whole_lines(path)
        if kept and kept[0].rstrip("\n").split(",") != self.columns:
            raise BadInput(
                f"{path} has columns {kept[0].strip()}, not {','.join(self.columns)}: move it away"
            )
        if kept:
            self.rows = list(csv.DictReader(kept))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+" if path.exists() else "w", encoding="utf-8", newline="")
        self._file.truncate(sum(len(line.encode()) for line in kept))
        self._file.seek(0, os.SEEK_END)
        if not kept:
            self._file.write(",".join(self.columns) + "\n")
            self._file.flush()

    def keep(self, wanted: Callable[[dict[str, str]], bool]) -> None:
        """Drop all rows from the first unwanted one on."""
        count = next((index for index, row in enumerate(self.rows) if not wanted(row)), len(self.rows))
        if count < len(self.rows):
            self.rows = self.rows[:count]
            self._file.seek(0)
            lines = [self._file.readline() for _ in range(count + 1)]
            self._file.seek(0)
            self._file.truncate(sum(len(line.encode()) for line in lines))
            self._file.seek(0, os.SEEK_END)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row and flush it."""
        self._file.write(",".join(text_of(row.get(column)) for column in self.columns) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def whole_lines(path: Path) -> list[str]:
    """The lines that end in a newline and have as many cells as the header."""
    if not path.exists():
        return []
    lines = path.read_bytes().decode(errors="replace").splitlines(keepends=True)
    cells = lines[0].count(",") if lines else 0
    kept = []
    for line in lines:
        if not line.endswith("\n") or line.count(",") != cells:
            break
        kept.append(line)
    return kept


def csv_text(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A CSV of numbers that read back exactly."""
    lines = [",".join(columns), *(",".join(text_of(value) for value in row) for row in rows)]
    return "\n".join(lines) + "\n"

"""Files that survive: written beside and moved, appended line by line, held by one process at a time."""

import csv
import fcntl
import filecmp
import io
import itertools
import json
import os
import shutil
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lossscape import manifest
from lossscape.errors import BadInput
from lossscape.numerals import is_cell

CACHE = "~/.cache/lossscape"
MOST_BYTES = 1_000_000
"""Of a config; what is larger was not written by a person."""


def cache_folder() -> Path:
    """Where decoded pictures, the fastest plans and what code is trusted are kept: $LOSSSCAPE_CACHE, else CACHE."""
    return expanded(os.environ.get("LOSSSCAPE_CACHE") or CACHE)


def expanded(path: str) -> Path:
    """A path with ~ as the home folder. Raises BadInput where there is none, which names what to set."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadInput(f"{path}: there is no home folder; set LOSSSCAPE_CACHE and LOSSSCAPE_DATA") from None


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
        with manifest.coming(path, content):
            os.replace(beside, path)
    except OSError as error:
        error.filename = str(path)  # the name that the user knows
        raise
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Like write_bytes, in UTF-8."""
    write_bytes(path, text.encode())


def sweep(folder: Path, *, below: bool = False) -> None:
    """Delete what write_bytes had begun in a folder, or below it as well, when its process was killed."""
    for beside in folder.glob("**/.*.part" if below else ".*.part"):
        process = beside.name.split(".")[-2]
        if not process.isdecimal() or not _is_alive(int(process)):
            beside.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def save_tensors(path: Path, value: Any) -> None:
    """torch.save of tensors and plain values, the same bytes for the same content.

    Through a buffer, because torch.save writes its file's name into the archive.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    write_bytes(path, buffer.getvalue())


def share(first: Path, other: Path) -> None:
    """Let two files of the same bytes take the room of one, where the file system has hard links.

    Both stay whole files: what write_bytes writes to one of them later leaves the other as it is.
    """
    beside = other.with_name(f".{other.name}.{os.getpid()}.part")
    with suppress(OSError):
        if os.path.samefile(first, other) or not filecmp.cmp(first, other, shallow=False):
            return
        beside.unlink(missing_ok=True)
        os.link(first, beside)
        os.replace(beside, other)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it; nothing where there is none."""
    with manifest.coming(path, None):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def clear(folder: Path, order: Callable[[Path], Any] | None = None, keeping: Collection[str] = ()) -> None:
    """Delete what is in a folder that is held, except some names. order: a key by which they are sorted."""
    kept = {".lock", manifest.NAME, *keeping}
    for entry in sorted(folder.iterdir(), key=order):
        if entry.name not in kept:
            remove(entry)


@contextmanager
def held(folder: Path, doing: str) -> Iterator[None]:
    """Hold a folder for one writer; the lock goes with the process, however it ends, and its leavings are swept out.

    Raises BadInput that says who holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode().strip() or "another process"
            raise BadInput(f"{folder} is in use by {holder}: wait for it") from None
        file.truncate(0)
        try:
            file.write(f"process {os.getpid()} on {socket.gethostname()} ({doing})\n".encode())
        except OSError as error:
            error.filename = str(file.name)
            raise
        sweep(folder)
        manifest.begin(folder)
        try:
            yield
        finally:
            manifest.end(folder)


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


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file; empty where the file is missing, torn or holds something else.

    Raises BadInput where it was changed since lossscape wrote it, or is not of the structure that its name tells.
    """
    from lossscape import facts  # pydantic takes its time

    try:
        value = json.loads(manifest.read_bytes(path).decode())
    except (OSError, ValueError):
        return {}
    except RecursionError:
        raise BadInput(f"{path}: lists and mappings lie too deep in one another; restore it, or delete it") from None
    if not isinstance(value, dict):
        return {}
    facts.check(path, value)
    return value


def read_plain(path: Path) -> str:
    """A text of at most MOST_BYTES in UTF-8, held against its folder's manifest.

    Raises OSError, UnicodeDecodeError, or BadInput where it is none, or was changed since lossscape wrote it.
    """
    if path.stat().st_size > MOST_BYTES:
        raise BadInput(f"{path}: larger than {MOST_BYTES // 10**6} MB: another file was meant")
    return manifest.read_bytes(path).decode()


class CsvLog:
    """An append-only CSV: every row is on its way to the disk at once, and a torn last line is cut off."""

    def __init__(self, path: Path, columns: Sequence[str], words: Collection[str] = ()) -> None:
        """Open or begin the file. Raises BadInput where it has other columns.

        words: columns that hold words, not numbers.
        """
        self.columns = list(columns)
        self._path, self._words = path, words
        size = max((end for _, end in _whole(path, columns, words)), default=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._record = manifest.Growing(path)
        self._file = path.open("r+b" if path.exists() else "xb", buffering=0)
        if size:
            self._cut(size)
        else:
            self._record.begin(b"")
            self._file.truncate(0)
            self._write(",".join(self.columns) + "\n")

    @property
    def rows(self) -> list[dict[str, str]]:
        """What the file holds, as text."""
        return read_rows(self._path, self.columns, self._words)

    def keep(self, wanted: Callable[[dict[str, str]], bool]) -> None:
        """Drop all rows from the first unwanted one on."""
        rows = _whole(self._path, self.columns, self._words)
        _, size = next(rows)
        for cells, end in rows:
            if not wanted(dict(zip(self.columns, cells, strict=True))):
                break
            size = end
        self._cut(size)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row, whole or not at all."""
        self.extend([row])

    def extend(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write some rows at once; a process that is killed meanwhile leaves the first few, a full disk none."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerows([text_of(row.get(column)) for column in self.columns] for row in rows)
        if lines.tell():
            self._write(lines.getvalue())

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # the disk may be full; what was recorded of it holds
            self._record.end(self._file.tell())
        self._file.close()

    def _cut(self, size: int) -> None:
        self._record.begin(self._path.read_bytes()[:size])
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)

    def _write(self, lines: str) -> None:
        content = lines.encode()
        manifest.append(self._file, content)
        self._record.add(content, lambda: os.fsync(self._file.fileno()))


def read_rows(path: Path, columns: Sequence[str], words: Collection[str] = ()) -> list[dict[str, str]]:
    """The whole rows of a CSV, as text; none where there is no file. Raises BadInput where it has other columns."""
    return [dict(zip(columns, cells, strict=True)) for cells in cells_of(path, columns, words)]


def cells_of(path: Path, columns: Sequence[str], words: Collection[str] = ()) -> Iterator[list[str]]:
    """The whole rows of a CSV as the texts of their cells, one after the other. Raises as read_rows."""
    return (cells for cells, _ in itertools.islice(_whole(path, columns, words), 1, None))


def _whole(path: Path, columns: Sequence[str], words: Collection[str]) -> Iterator[tuple[list[str], int]]:
    """The cells of the header and of each whole line, and where in the file it ends, in bytes."""
    names = list(columns)
    for number, (line, cells, end) in enumerate(_lines(path, words)):
        if not number and cells != names:
            raise BadInput(f"{path} has columns {line.strip()}, not {','.join(columns)}: move it away")
        yield cells, end


def whole_lines(path: Path, words: Collection[str] = ()) -> list[str]:
    """The header and the lines of as many cells as it has names, up to the first that is torn.

    Cells are numbers, or empty; those of the columns `words` are anything. A file that is missing has none.
    """
    return [line for line, _, _ in _lines(path, words)]


def _lines(path: Path, words: Collection[str]) -> Iterator[tuple[str, list[str], int]]:
    """The lines of `whole_lines`, each with its cells and where it ends; the file's bytes are all that is held."""
    if not path.exists():
        return
    numbers: list[bool] | None = None
    end = 0
    for raw in io.BytesIO(manifest.read_bytes(path)):
        line = raw.decode(errors="replace")
        if not line.endswith("\n") or "\r" in line:
            return
        cells = next(csv.reader([line])) if '"' in line else line[:-1].split(",")
        if numbers is None:
            numbers = [name not in words for name in cells]
        elif not _is_row(cells, numbers):
            return
        end += len(raw)
        yield line, cells, end


def _is_row(cells: Sequence[str], numbers: Sequence[bool]) -> bool:
    return len(cells) == len(numbers) and all(
        not number or not cell or is_cell(cell) for number, cell in zip(numbers, cells, strict=True)
    )


def relative_path(target: Path, folder: Path) -> str:
    """The path of a target from a folder, which stays true where both are moved together."""
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()

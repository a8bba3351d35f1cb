"""Faults of one process at its own file operations: a signal, or an error of the disk, at the n-th of them.

Operations are those on files and folders below the one that is watched: opening to write, each write (before it, and
when half of it is done), truncating, flushing to the disk, moving, linking, deleting, making folders.
"""

import builtins
import io
import itertools
import os
import shutil
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

GROWING = {"open", "write", "fsync", "replace", "rename", "link", "mkdir"}
"""Operations that a full disk may refuse; one that is read-only refuses all."""
READ_ONLY = {"EACCES", "EROFS"}


class Faults:
    """Counts the operations of this process below a folder, and strikes at one of them."""

    def __init__(self, below: str, number: int = 0, signal: int = 0, error: str = "", lasting: bool = False) -> None:
        """number: of the operation, 0 for none; signal: sent then; or error: the name of the errno that is raised;
        lasting: also by all operations after it."""
        self.below, self.number, self.signal = os.path.realpath(below), number, signal
        self.error, self.lasting = error, lasting
        self.ticks = itertools.count(1)
        self.count = 0

    def strike(self, what: str, path: str) -> None:
        """Count an operation, and have it struck where it is the one."""
        self.count = next(self.ticks)
        reached = self.count >= self.number if self.lasting else self.count == self.number
        if not self.number or not reached:
            return
        if self.signal:
            os.kill(os.getpid(), self.signal)
        elif what in GROWING or self.error in READ_ONLY:
            import errno

            number = getattr(errno, self.error)
            raise OSError(number, os.strerror(number), path)

    def watches(self, path: Any, folder: int | None = None) -> bool:
        """Whether a path, or one in an open folder, lies below the watched one."""
        return self._where(path, folder).startswith(self.below + os.sep)

    @staticmethod
    def _where(path: Any, folder: int | None) -> str:
        if isinstance(path, int):
            return os.readlink(f"/proc/self/fd/{path}")
        text = os.fsdecode(path)
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}") if folder is not None else os.getcwd(), text)


def arm(**options: Any) -> None:
    """Strike in this process from now on (see Faults); tell their count on stderr at the end where number is 0."""
    faults = Faults(**options)
    plain_open = io.open

    class Watched(io.FileIO):
        def write(self, content: Any) -> int:
            view = memoryview(content).cast("B")
            faults.strike("write", str(self.name))
            done = super().write(view[: len(view) // 2])
            faults.strike("write", str(self.name))
            return done + super().write(view[done:])

        def truncate(self, size: int | None = None) -> int:
            faults.strike("truncate", str(self.name))
            return super().truncate(size)

    def open_watched(
        file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None, newline: Any = None,
        closefd: bool = True, opener: Any = None,
    ) -> Any:  # fmt: skip
        if isinstance(file, int) or opener or not set("wax+") & set(mode) or not faults.watches(file):
            return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        faults.strike("open", os.fsdecode(file))
        raw = Watched(file, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

    def watched(what: str, act: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(act)
        def acting(path: Any, *rest: Any, **options: Any) -> Any:
            if faults.watches(path, options.get("dir_fd")):
                faults.strike(what, path if isinstance(path, int) else os.fsdecode(path))
            return act(path, *rest, **options)

        return acting

    for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink", "remove", "rmdir", "truncate", "ftruncate"):
        setattr(os, name, watched(name, getattr(os, name)))
    builtins.open = io.open = open_watched  # type: ignore[assignment]
    shutil._USE_CP_SENDFILE = False  # type: ignore[attr-defined]  # copies go through write, too
    if not faults.number:
        leave = os._exit

        def tell(code: int) -> None:
            print("operations", faults.count, file=sys.stderr, flush=True)
            leave(code)

        os._exit = tell  # type: ignore[assignment]


def stand(stdout: str = "", home: bool = True) -> None:
    """Have this process be without a home, or with a stdout that is `closed`, `full`, or a `pipe` that none reads."""
    if not home:
        import pwd

        def nobody(user: int) -> Any:
            raise KeyError(f"no user {user}")

        pwd.getpwuid = nobody  # as of a container that runs under any number
        for name in ("HOME", "LOSSSCAPE_CACHE", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
    if stdout == "closed":
        os.close(1)
    elif stdout == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    elif stdout == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)

"""Other processes that keep cores busy."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass"
"""One thread that works for nothing, until the process that began it is gone."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def busy(processes: int) -> Iterator[list[int]]:
    """Keep so many single-threaded processes busy; gives their numbers."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(processes)]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


@contextmanager
def on_cores(wanted: int) -> Iterator[bool]:
    """Let what starts meanwhile use so many cores only; gives whether that could be done, as it can be on Linux."""
    if not hasattr(os, "sched_setaffinity") or cores() < wanted:
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:wanted]))
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)

"""How many threads workers of this machine have, and whether they pay; without Dask."""

import os

import torch

START_SECONDS = 3.0
"""That workers of this machine take to begin: torch and Dask are imported in each, and the work is handed over."""
SLOWER = 1.1
"""Times this process's own time that work with workers may take."""
ALWAYS = "LOSSSCAPE_WORKERS"
"""Set to `always` it has workers compute what is asked of them however short it is."""


def cores() -> int:
    """Of this machine, as many as this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(workers: int, there: int) -> int:
    """Threads of torch in each of some workers on so many cores.

    What OMP_NUM_THREADS says, as for one process, so that the bits are the same; else a share of the cores.
    """
    return torch.get_num_threads() if os.environ.get("OMP_NUM_THREADS") else max(1, there // workers)


def pay(workers: int, seconds: float, *, start: float = START_SECONDS, times: int = 1) -> bool:
    """Whether so many workers of this machine's CPU take at most a tenth longer than this process.

    seconds: that the work takes here, on as many cores as torch has threads; start: that workers need to begin; times:
    that they do it, where this process keeps what it has computed for the next surface and they do not.
    """
    if os.environ.get(ALWAYS) == "always":
        return True
    there = cores()
    own, theirs = (min(number, there) for number in (torch.get_num_threads(), workers * threads_each(workers, there)))
    return start + times * seconds * own / theirs <= SLOWER * seconds

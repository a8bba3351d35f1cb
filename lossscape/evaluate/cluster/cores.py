"""How many threads workers of this machine have, and whether they pay; without Dask."""

import math
import os
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lossscape.evaluate.engine import Work
    from lossscape.objective import Plan

START_SECONDS = 3.0
"""That workers of this machine take to begin: torch and Dask are imported in each, and the work is handed over."""
SLOWER = 1.1
"""Times this process's own time that work with workers may take."""
MOMENT, TURNS = 0.05, 5
"""Seconds of the longest block that is timed to see what threads gain, and times that it is."""
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


def gain(work: "Work", plan: "Plan", seconds: float) -> float:
    """How many times as fast as one thread this process's threads are, timed on a block of a work's points.

    Less than their number where a point is so short that they wait for Python's lock, or torch's own for one another.
    seconds: that a point takes; where a block takes more than a moment none waits, and it is their number.
    """
    threads = min(torch.get_num_threads(), cores())
    if threads == 1 or plan.points * seconds > MOMENT:
        return float(threads)
    block = [tuple(0.1 + 0.01 * index for _ in work.subspace.directions) for index in range(plan.points)]
    before, least = torch.get_num_threads(), {1: math.inf, threads: math.inf}
    work.rows(block, plan)  # makes its products
    try:
        for _ in range(TURNS):
            for number in least:
                torch.set_num_threads(number)
                begin = time.perf_counter()
                work.rows(block, plan)
                least[number] = min(least[number], time.perf_counter() - begin)
    finally:
        torch.set_num_threads(before)
    return min(max(least[1] / least[threads], 1.0), float(threads))


def pay(
    workers: int, seconds: float, *, start: float = START_SECONDS, times: int = 1, gained: float | None = None
) -> bool:
    """Whether so many workers of this machine's CPU take at most a tenth longer than this process.

    seconds: that the work takes here, on as many cores as torch has threads; start: that workers need to begin; times:
    that they do it, where this process keeps what it has computed for the next surface and they do not; gained: as
    `gain` has it, by default the number of this process's threads. Processes do not wait for one another's locks.
    """
    if os.environ.get(ALWAYS) == "always":
        return True
    there, each = cores(), threads_each(workers, cores())
    own = min(torch.get_num_threads(), there)
    here = gained or own
    worker = 1 + (here - 1) * (each - 1) / (own - 1) if own > 1 else each
    theirs = min(workers, there / each) * worker
    return start + times * seconds * here / theirs <= SLOWER * seconds

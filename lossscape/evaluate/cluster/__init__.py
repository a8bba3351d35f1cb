"""Blocks of rows on many worker processes and machines, by Dask: `pip install lossscape[cluster]`.

Dask is imported when a cluster is opened. Workers hold no results: the process that calls is the only one that writes.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lossscape.errors import BadInput

if TYPE_CHECKING:
    from lossscape.evaluate.cluster.blocks import Workers

__all__ = ["open_workers"]

CONNECT_SECONDS = 8.0
"""In which a scheduler is to answer."""


@contextmanager
def open_workers(
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    threads: int | None = None,
    connect_seconds: float = CONNECT_SECONDS,
    stop: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda text: print(f"lossscape: {text}", file=sys.stderr, flush=True),
) -> "Iterator[Workers]":
    """A cluster to evaluate on, closed at once when the context is left.

    workers: processes to start on this machine, reachable from it alone; or scheduler: the file or address of one that
    runs. threads: of torch in each worker (default: OMP_NUM_THREADS or cores // workers; of a scheduler's workers the
    smallest --nthreads that they were started with). connect_seconds: in which the scheduler is to answer. stop: called
    several times a second, to raise what ends the work. tell: given what a user wants to know, a line each. Raises
    BadInput without Dask or where the scheduler cannot be reached.
    """
    if (workers is None) == (scheduler is None):
        raise BadInput("give either --workers N, for this machine, or --scheduler FILE|ADDRESS, for many")
    for option, number in (("--workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise BadInput(f"{option} {number}: needs at least 1")
    try:
        from lossscape.evaluate.cluster import connect
    except ImportError as error:
        raise BadInput(f"--workers and --scheduler need Dask ({error}): pip install lossscape[cluster]") from None
    if workers is not None:
        opened = connect.local(workers, threads, connect_seconds, stop, tell)
    else:
        opened = connect.remote(scheduler or "", threads, connect_seconds, stop, tell)
    with opened as cluster:
        yield cluster

"""Blocks of rows on many worker processes and machines, by Dask: `pip install lossscape[cluster]`.

Dask is imported when a cluster is opened. Workers hold no results: the process that calls is the only one that writes.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from lossscape.errors import BadInput, Page, see

if TYPE_CHECKING:
    from lossscape.evaluate.cluster.blocks import Workers

__all__ = ["kept_open", "open_workers", "some_workers"]

CONNECT_SECONDS = 8.0
"""In which a scheduler is to answer."""


Opened = tuple[ExitStack, dict[tuple[int | None, str | None, int | None], "Workers"]]
_KEPT: ContextVar[Opened | None] = ContextVar("kept", default=None)


@contextmanager
def kept_open() -> Iterator[None]:
    """Workers that `some_workers` opens within stay for those who ask after, until the outermost such context ends."""
    if _KEPT.get() is not None:
        yield
        return
    with ExitStack() as closing:
        before = _KEPT.set((closing, {}))
        try:
            yield
        finally:
            _KEPT.reset(before)


def are_open(workers: int) -> bool:
    """Whether so many workers of this machine have been opened and kept."""
    kept = _KEPT.get()
    return kept is not None and any(number == workers for number, _, _ in kept[1])


@contextmanager
def some_workers(
    workers: int | None, scheduler: str | None, threads: int | None, stop: Callable[[], None]
) -> "Iterator[Workers]":
    """Workers as `open_workers` has them, the same ones again within `kept_open`."""
    kept, which = _KEPT.get(), (workers, scheduler, threads)
    opened = open_workers(workers=workers, scheduler=scheduler, threads=threads, stop=stop)
    if kept is None:
        with opened as cluster:
            yield cluster
        return
    closing, clusters = kept
    if which not in clusters:
        clusters[which] = closing.enter_context(opened)
    clusters[which].stop = stop
    yield clusters[which]


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
        raise BadInput(
            f"--workers and --scheduler need Dask ({error}): pip install lossscape[cluster]{see(Page.CLUSTER)}"
        ) from None
    if workers is not None:
        opened = connect.local(workers, threads, connect_seconds, stop, tell)
    else:
        opened = connect.remote(scheduler or "", threads, connect_seconds, stop, tell)
    with opened as cluster:
        yield cluster

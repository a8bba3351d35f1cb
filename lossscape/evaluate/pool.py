"""Cores as threads of Python with one thread of torch each, in place of torch's own threads.

Torch's threads share every operation and wait for one another by spinning. Where another program takes one of their
cores, all spin until it is given back, and a point takes 20 to 40 times as long. Threads of Python share whole chunks
and points: none waits for another before its own share is done. What each computes is computed by one thread of
torch, so the bits are the same however many there are.
"""

import functools
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch

SMALL_PASS = 1e8
"""Multiply-adds of a pass, up to which it gets one thread of torch: several end no sooner, and on a busy machine far
later."""
T = TypeVar("T")
Item = TypeVar("Item")


class Pool:
    """Threads that share tasks; a pool of one is the thread that calls."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def run(self, tasks: Sequence[Callable[[], T]], landed: Callable[[int], None] | None = None) -> list[T]:
        """What tasks give, in their order.

        landed: told of the index of each as it is done, in the thread that calls. What a task or `landed` raises is
        raised once no other task runs; those that have not begun are dropped.
        """
        if self.threads == 1 or len(tasks) == 1:
            return [_told(task(), index, landed) for index, task in enumerate(tasks)]
        executor = _executor(self.threads, os.getpid())
        futures = {executor.submit(task): index for index, task in enumerate(tasks)}
        try:
            for future in as_completed(futures):
                _told(future.result(), futures[future], landed)
        finally:
            for future in futures:
                future.cancel()
            wait(futures)
        return [future.result() for future in futures]

    def map(self, function: Callable[[Item], T], items: Sequence[Item]) -> list[T]:
        """What a function gives for each item, in their order."""
        tasks = [partial(_each, function, items[group.start : group.stop]) for group in self.shares(len(items))]
        return [found for some in self.run(tasks) for found in some]

    def shares(self, count: int) -> list[range]:
        """The indices of so many things as a range for each thread, which differ by one at most."""
        parts = max(1, min(self.threads, count))
        return [range(count * part // parts, count * (part + 1) // parts) for part in range(parts)]

    def use(self, count: int) -> float:
        """The share of the threads that have work where there are so many tasks alike, in (0, 1]."""
        return count / (self.threads * math.ceil(count / self.threads))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let torch's own threads work meanwhile."""
        if self.threads > 1:
            torch.set_num_threads(self.threads)
        try:
            yield
        finally:
            if self.threads > 1:
                torch.set_num_threads(1)


ALONE = Pool(1)
"""The thread that calls."""


@contextmanager
def pooled(wanted: bool) -> Iterator[Pool]:
    """A pool of as many threads as torch may use here, where it is wanted; torch itself has one meanwhile."""
    threads = torch.get_num_threads() if wanted else 1
    if threads > 1:
        torch.set_num_threads(1)
    try:
        yield Pool(threads)
    finally:
        if threads > 1:
            torch.set_num_threads(threads)


@functools.lru_cache(maxsize=1)
def _executor(threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of a process, made once and all at once.

    What one of them says of torch's threads holds for all others of the process, those that call among them: so none
    may begin when `pooled` has said again how many there are.
    """
    executor, begun = ThreadPoolExecutor(threads, "lossscape", torch.set_num_threads, (1,)), threading.Barrier(threads)
    try:
        wait([executor.submit(begun.wait) for _ in range(threads)])
    except BaseException:  # the system gives no more threads, or a signal came: none is to wait for ever
        begun.abort()
        raise
    return executor


def _told(found: T, index: int, landed: Callable[[int], None] | None) -> T:
    if landed is not None:
        landed(index)
    return found


def _each(function: Callable[[Item], T], items: Sequence[Item]) -> list[T]:
    return [function(item) for item in items]

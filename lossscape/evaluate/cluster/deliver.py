"""Gives the work to every worker that joins, once, while others already evaluate."""

import itertools
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from distributed import Client

from lossscape.evaluate.cluster import worker
from lossscape.evaluate.cluster.payload import Payload

EVERY_SECONDS = 0.2


class Deliverer(threading.Thread):
    """Looks for new workers and delivers to them, in the background."""

    every = EVERY_SECONDS

    def __init__(self, client: Client, payload: Payload, folder: Path | None) -> None:
        """folder: that all workers see, if there is one: the payload then lies there, once for all of them."""
        super().__init__(daemon=True, name="lossscape-deliverer")
        self.ready: Mapping[str, int] = {}
        """Workers that have the work, by address, and their numbers among those of their machine."""
        self.here: frozenset[str] = frozenset()
        """Workers that the scheduler knows."""
        self.refused: dict[str, str] = {}
        """Workers that cannot take it, and why."""
        self.lost: Exception | None = None
        """Why the scheduler no longer answers."""
        self.news: SimpleQueue[str] = SimpleQueue()
        """What a user wants to know."""
        self._client, self._payload, self._folder = client, payload, folder
        self._file: Path | None = None
        self._change = threading.Lock()
        self._end = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        try:
            if self._folder is not None:
                self._file = self._write(self._folder)
            while not self._end.is_set():
                self._visit()
                self._end.wait(self.every)
        except Exception as error:  # of the connection, which takes many forms; the main thread reports it
            if not self._end.is_set():
                self.lost = error

    def end(self) -> None:
        """Look no longer."""
        self._end.set()

    def deliver_again(self, address: str) -> None:
        """A worker no longer has the work: it is not ready from now on, until it has got it."""
        with self._change:
            self.ready = {other: number for other, number in self.ready.items() if other != address}

    def _visit(self) -> None:
        here = frozenset(self._client.nthreads())
        with self._change:
            self.ready = {address: number for address, number in self.ready.items() if address in here}
        self.here = here
        fresh = sorted(here - self.ready.keys() - self.refused.keys())
        if fresh and (lacking := self._shake_hands(fresh)):
            self._deliver(lacking)

    def _shake_hands(self, addresses: list[str]) -> list[str]:
        """The workers, among new ones, that do not have the work yet."""
        ours, lacking = worker.versions(), []
        for address, (theirs, has) in self._run(worker.handshake, self._payload.key, workers=addresses).items():
            if theirs != ours:
                text = [", ".join(f"{name} {each.get(name)}" for name in ours) for each in (theirs, ours)]
                self._refuse(address, f"it has {text[0]}; here is {text[1]}: install the same on both")
            elif has:
                self._welcome({address: free_number(address, self.ready)})
            else:
                lacking.append(address)
        return lacking

    def _deliver(self, addresses: list[str]) -> None:
        """To several at once: the bytes leave this process once, and the scheduler passes them on."""
        key, sizes, gpu = self._payload.key, self._payload.sizes, self._payload.gpu
        numbers = dict(self.ready)
        for address in addresses:
            numbers[address] = free_number(address, numbers)
        if self._file is not None:
            arrived = self._run(worker.fetch, key, str(self._file), sizes, numbers if gpu else None, workers=addresses)
        else:
            delivery = uuid.uuid4().hex
            there = list(self._run(worker.begin, key, delivery, sizes, workers=addresses))
            for offset, piece in self._payload.pieces():
                if self._end.is_set() or not there:
                    return
                there = list(self._run(worker.take, key, delivery, offset, piece, workers=there))
            arrived = self._run(worker.finish, key, delivery, sizes, numbers if gpu else None, workers=there)
        self._welcome({address: numbers[address] for address in arrived})

    def _welcome(self, numbers: Mapping[str, int]) -> None:
        with self._change:
            self.ready = {**self.ready, **numbers}

    def _run(self, function: Callable[..., Any], *arguments: Any, workers: list[str]) -> dict[str, Any]:
        """What each worker answers; those where it raises are refused."""
        good = {}
        for address, answer in self._client.run(function, *arguments, workers=workers, on_error="return").items():
            if not isinstance(answer, Exception):
                good[address] = answer
            elif not isinstance(answer, OSError):  # which is a worker that has left, or is asked again
                self._refuse(address, f"{type(answer).__name__}: {answer}")
        return good

    def _refuse(self, address: str, why: str) -> None:
        self.refused[address] = why
        self.news.put(f"worker {address} is not used: {why}")

    def _write(self, folder: Path) -> Path | None:
        """The payload as a file; None where there is no room for it."""
        file = folder / self._payload.key
        try:
            if not file.exists():
                part = file.with_suffix(".part")
                with part.open("wb") as stream:
                    stream.writelines(piece for _, piece in self._payload.pieces())
                part.rename(file)
        except OSError:
            return None
        return file


def free_number(address: str, numbers: Mapping[str, int]) -> int:
    """The smallest number that no other worker of its machine has: it gets the GPU of that number."""
    host = urlsplit(address).hostname
    taken = {number for other, number in numbers.items() if urlsplit(other).hostname == host}
    return next(number for number in itertools.count() if number not in taken)

"""Rows blocks on a cluster, a bounded number at a time and in their order, until each is done or given up."""

import pickle
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, Future
from distributed.scheduler import KilledWorker

from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate.cluster import worker
from lossscape.evaluate.cluster.deliver import Deliverer
from lossscape.evaluate.cluster.payload import Payload, pack
from lossscape.evaluate.cluster.processes import Processes
from lossscape.evaluate.rows import Key, Row, Rows
from lossscape.objective import Plan

IN_FLIGHT = 2
"""Bundles of blocks a worker: the next one is there when one ends, and the order stays nearly that of the blocks."""
BUNDLE_SECONDS = 0.5
"""That blocks of a bundle take together, where one takes less: Dask needs some 10 ms for each bundle."""
MOST_DEATHS = 3
"""Workers that may die while they compute one block."""
MOST_FAILURES = 4
"""Blocks that may fail before any has succeeded, beside one for each worker."""
PATIENCE_SECONDS = 300.0
"""Without any worker."""
RESULT_SECONDS = 1.0
SHOWN_KEYS = 16
AGAIN = "what is finished is kept: run the same command again"


class Workers:
    """An open cluster."""

    def __init__(
        self,
        client: Client,
        threads: int,
        stop: Callable[[], None],
        tell: Callable[[str], None],
        processes: Processes | None = None,
    ) -> None:
        """processes: the workers, where they are this process's own."""
        self.threads = threads
        """Of torch in each worker: the bits of the rows depend on it."""
        self.client, self.stop, self.tell, self.processes = client, stop, tell, processes
        self._packed: tuple[Rows, Payload] | None = None

    def evaluate(self, work: Rows, plan: Plan, blocks: Sequence[Sequence[Key]]) -> Iterator[tuple[int, list[Row]]]:
        """Yield the index and the rows of each block as it finishes, in any order.

        The work travels to each worker once, also for several calls. A block whose worker dies is done again. Raises
        RunFailed, after all others are done, with the keys of blocks that kill their workers or that raise.
        """
        if self._packed is None or self._packed[0] is not work:
            self.forget()
            self._packed = (work, pack(work))
        payload = self._packed[1]
        deliverer = Deliverer(self.client, payload, self.processes.folder if self.processes else None)
        deliverer.start()
        try:
            yield from _Run(self, deliverer, payload.key, plan, blocks).results()
        finally:
            deliverer.end()

    def forget(self) -> None:
        """Have the workers drop the work."""
        if self._packed is not None:
            key = self._packed[1].key
            self.client.run(worker.forget, key, on_error="ignore")
            if self.processes is not None:
                (self.processes.folder / key).unlink(missing_ok=True)
            self._packed = None


class _Run:
    """One call of `Workers.evaluate`.

    Each bundle of blocks is sent to a worker of our choice, which computes one after the other. So when a worker dies
    it is known which bundle it computed. Blocks of a bundle that failed are done again alone, and no other is blamed.
    """

    def __init__(
        self, cluster: Workers, deliverer: Deliverer, key: str, plan: Plan, blocks: Sequence[Sequence[Key]]
    ) -> None:
        self._cluster, self._deliverer = cluster, deliverer
        self._key, self._plan, self._blocks = key, plan, blocks
        self._todo = deque(range(len(blocks)))
        self._alone: set[int] = set()
        """Blocks that no other shares a bundle with."""
        self._seconds: float | None = None
        """That a block took of late."""
        self._queues: dict[str, dict[Future[Any], list[int]]] = {}
        """The blocks of bundles by worker, in the order of computation."""
        self._landed: SimpleQueue[tuple[str, Future[Any]]] = SimpleQueue()
        self._deaths: Counter[int] = Counter()
        self._failed: dict[int, str] = {}
        self._worked = False
        self._last_worker = time.monotonic()

    def results(self) -> Iterator[tuple[int, list[Row]]]:
        while self._todo or self._queues:
            self._watch()
            self._send()
            try:
                address, future = self._landed.get(timeout=0.1)
            except Empty:
                continue
            if future not in self._queues.get(address, ()):
                continue  # it was taken back when its worker died
            yield from self._land(address, future)
        if self._failed:
            raise RunFailed(self._report("all others are done and kept"))

    def _watch(self) -> None:
        """Stop, start dead processes again, take back what dead workers had; raise where nothing can go on."""
        self._cluster.stop()
        deliverer, processes = self._deliverer, self._cluster.processes
        for end in processes.mend() if processes else ():
            self._cluster.tell(f"{end}; it is started again, and what it had begun is done again")
        if deliverer.lost is not None:
            raise RunFailed(f"the scheduler no longer answers ({first_line(deliverer.lost)}); {AGAIN}")
        for address in self._queues.keys() - deliverer.here:
            self._take_back(address)
        if deliverer.ready:
            self._last_worker = time.monotonic()
        elif deliverer.refused and deliverer.refused.keys() >= deliverer.here:
            address, why = next(iter(deliverer.refused.items()))
            text = f"none of {len(deliverer.refused)} workers can be used; of {address}: {why}"
            raise RunFailed(f"{text}; {AGAIN}") if self._worked else BadInput(text)
        elif time.monotonic() - self._last_worker > PATIENCE_SECONDS:
            raise RunFailed(f"there has been no worker for {PATIENCE_SECONDS:.0f} s; {AGAIN}")
        while not deliverer.news.empty():
            self._cluster.tell(deliverer.news.get())

    def _send(self) -> None:
        for address in self._deliverer.ready:
            queue = self._queues.get(address, {})
            while self._todo and len(queue) < IN_FLIGHT:
                queue = self._queues.setdefault(address, queue)
                bundle = self._bundle()
                packed = pickle.dumps((self._plan, [self._blocks[index] for index in bundle], self._cluster.threads))
                future = self._cluster.client.submit(
                    _task(), self._key, packed, key=f"lossscape-{uuid.uuid4().hex}", workers=[address], pure=False
                )
                queue[future] = bundle
                future.add_done_callback(lambda done, address=address: self._landed.put((address, done)))

    def _bundle(self) -> list[int]:
        """The next blocks, as many as take a moment, and few enough that all workers have some until the end."""
        most = len(self._todo) // (2 * IN_FLIGHT * max(len(self._deliverer.ready), 1))
        wanted = min(most, int(BUNDLE_SECONDS / max(self._seconds, 1e-6))) if self._seconds is not None else 1
        bundle = [self._todo.popleft()]
        while self._todo and len(bundle) < wanted and not self._alone & {bundle[0], self._todo[0]}:
            bundle.append(self._todo.popleft())
        return bundle

    def _land(self, address: str, future: "Future[Any]") -> Iterator[tuple[int, list[Row]]]:
        """The blocks of a bundle and their rows; none where they are done again or have failed."""
        error = future.exception() if future.status == "error" else None
        if future.status == "cancelled":
            raise RunFailed(f"the scheduler was lost or restarted; {AGAIN}")
        gone = future.status in ("lost", "pending")  # the worker died with rows that it had not yet handed over
        try:
            answer: Any = future.result(timeout=RESULT_SECONDS) if error is None and not gone else None
        except TimeoutError:  # the worker is slow, or died before it handed the rows over
            self._landed.put((address, future))
            return
        if isinstance(error, KilledWorker) or (error is None and answer is None):
            # the worker died; at its address is none, or a new one, which knows nothing of the work
            self._deliverer.deliver_again(address)
            self._take_back(address)
            return
        bundle = self._queues[address].pop(future)
        if not self._queues[address]:
            del self._queues[address]
        if isinstance(error, BadInput):
            raise error
        if error is not None and len(bundle) > 1:
            self._alone.update(bundle)
            self._todo.extendleft(reversed(bundle))
        elif error is not None:
            self._failed[bundle[0]] = f"{type(error).__name__}: {first_line(error)}"
            self._give_up_early()
        else:
            self._worked = True
            seconds, found = pickle.loads(answer)
            self._seconds = seconds / len(bundle)
            yield from zip(bundle, found, strict=True)

    def _take_back(self, address: str) -> None:
        """A worker died: the blocks that it computed are done again last, each alone, the others next."""
        computed, *others = self._queues.pop(address).values()
        self._todo.extendleft(reversed([index for bundle in others for index in bundle]))
        if len(computed) == 1:
            self._deaths[computed[0]] += 1
        if self._deaths[computed[0]] < MOST_DEATHS:
            self._alone.update(computed)
            self._todo.extend(computed)
        else:
            self._failed[computed[0]] = f"{self._deaths[computed[0]]} workers died over it"
        if self._cluster.processes is None:
            self._cluster.tell(f"worker {address} is lost; what it had begun is done again")
        self._give_up_early()

    def _give_up_early(self) -> None:
        bad = self._deaths.keys() | self._failed.keys()
        if not self._worked and len(bad) >= MOST_FAILURES + len(self._deliverer.ready):
            self._failed = {index: f"{self._deaths[index]} workers died over it" for index in bad} | self._failed
            raise RunFailed(self._report("none was finished"))

    def _report(self, others: str) -> str:
        parts = [f"{_shown(self._blocks[index])}: {why}" for index, why in sorted(self._failed.items())]
        return (
            f"{len(self._failed)} of {len(self._blocks)} blocks failed, {others}: {'; '.join(parts)}. Where workers "
            "die, memory is often short: take fewer. Without workers the same command shows an error where it arises"
        )


def _task() -> Callable[[str, bytes], bytes | None]:
    """A function that travels by value: a scheduler unpickles what it passes on, and may know nothing but Dask."""

    def task(key: str, packed: bytes) -> bytes | None:
        from lossscape.evaluate.cluster import worker

        return worker.evaluate(key, packed)

    return task


def first_line(error: BaseException) -> str:
    """What an error says, or its name where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _shown(block: Sequence[Key]) -> str:
    keys = [f"({', '.join(map(_text, key))})" for key in block[:SHOWN_KEYS]]
    more = f" and {len(block) - SHOWN_KEYS} more" if len(block) > SHOWN_KEYS else ""
    return f"at {' '.join(keys)}{more}"


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)

"""Rows by key that survive: appended as they are computed, resumed, watched, interrupted, spread over workers.

A table is filled by `Rows`, whatever these are: points of a plane, checkpoints of a path, frames of a film. Every
block of rows is appended to a live file as it finishes; the CSV is written when all are there.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossscape.execution import Execution
from lossscape.files import CsvLog, cells_of, remove
from lossscape.progress import Progress, duration
from lossscape.results.folder import POINTS
from lossscape.results.stored import Stored
from lossscape.results.tables import write_csv
from lossscape.signals import Interrupted, StopRequest, stop_on_signals
from lossscape.text import counted

if TYPE_CHECKING:
    from lossscape.evaluate.engine import Work
    from lossscape.evaluate.rows import Done, Key, Row, Rows
    from lossscape.objective import Plan
    from lossscape.results.engine import PlannedEngine

More = Callable[["Mapping[Key, Row]"], "Sequence[Key]"]
"""Gives the keys of the next round from the rows of those before, none when all are there."""
Compute = Callable[["Sequence[Sequence[Key]]"], "Iterator[tuple[int, list[Row]]]"]
"""Gives the rows of blocks of keys, each with the index of its block."""
AGAIN = "the same command once more (what is finished is kept)"


@dataclass(frozen=True)
class Table:
    """A CSV of rows by key in a result's folder."""

    folder: Path
    file: str
    keys: Sequence[str]
    words: Sequence[str] = ()
    live: str = POINTS
    unit: str = "point"
    title: str = ""
    by_key: bool = True
    """Whether rows stand in the order of their keys in the end, not in that in which they were asked for."""

    def read(self, file: str, columns: Sequence[str], known: Stored | None = None) -> Stored:
        """The rows of a file by key, added to those that are known. Raises BadInput where it has other columns.

        An empty cell is None, and so is an undefined number of a key.
        """
        known, names = Stored(columns) if known is None else known, [*self.keys, *columns]
        count, parse = len(self.keys), self.parsers(names)
        for cells in cells_of(self.folder / file, names, self.words):
            row = [each(cell) for each, cell in zip(parse, cells, strict=True)]
            known.add(tuple(row[:count]), row[count:])
        return known

    def parsers(self, names: Sequence[str]) -> list[Callable[[str], Any]]:
        """What makes values of the cells of columns, those of the key first."""
        count = len(self.keys)
        return [str if name in self.words else _coordinate if i < count else _number for i, name in enumerate(names)]

    def reopen(self, columns: Sequence[str], still: Callable[[Row], bool]) -> None:
        """Take up a finished table again with the rows that still hold."""
        known = self.read(self.file, columns)
        if not all(map(still, known.values())):
            self.write(self.live, columns, {key: row for key, row in known.items() if still(row)})
            remove(self.folder / self.file)

    def write(
        self, file: str, columns: Sequence[str], rows: Mapping[Key, Row], order: Iterable[Key] | None = None
    ) -> None:
        """Write rows whole or not at all, by default in their own order."""
        found = ((key, rows[key]) for key in (rows if order is None else order))
        lines = ([*key, *map(row.__getitem__, columns)] for key, row in found)
        write_csv(self.folder / file, [*self.keys, *columns], lines)

    def line(self, key: Key, row: Row) -> Row:
        """A row with its key."""
        return dict(zip(self.keys, key, strict=True)) | row


def fill(
    table: Table, source: Rows, more: More, *, total: int, execution: Execution, plan: Any = None,
    engine: PlannedEngine | None = None, among: int | None = None,
) -> Mapping[Key, Row]:  # fmt: skip
    """Compute the rows that a table lacks, then write its CSV, in the order of its keys; returns all rows.

    more: gives the keys round by round; total: keys of all rounds, as far as it is foreseen; plan: how rows are
    computed, or engine: what chooses and remembers that; among: how many rows the table has in the end, where not all
    are computed. Raises BadInput where the table was begun with other columns or another plan, Interrupted on SIGINT or
    SIGTERM, within a row.
    """
    rounds, seconds, columns = Rounds(more), None, tuple(source.columns)
    known = table.read(table.file, columns)
    if rounds.missing(known) is None:
        remove(table.folder / table.live)  # a process that was killed may have left it
        if engine:
            engine.check()
        return rounds.all(known)
    log = CsvLog(table.folder / table.live, [*table.keys, *columns], table.words)
    try:
        table.read(table.live, columns, known)
        if engine:
            plan, seconds = engine.choose(max(total - len(known), 1), bool(known))
        words = getattr(plan, "words", "")
        each = seconds or math.inf
        if engine and not engine.begun_by_workers and not pays(execution, engine.work, total * each, plan, each):
            words += f"; in this process: {execution.workers} workers would take longer"
            execution = execution.here
        cost = source.cost(next(iter(rounds.missing(known) or known), ()))
        with (
            watched(
                table.title or table.folder.parent.name,
                lambda: total,
                cost,
                quiet=execution.quiet,
                unit=table.unit,
                foreseen=Foreseen(len(known), seconds, words, among),
            ) as done,
            computed(source, plan, engine, execution, done) as compute,
        ):
            while (keys := rounds.missing(known)) is not None:
                total = max(total, len(known) + sum(key not in known for key in keys))
                blocks = _blocks(source, keys, known, plan)
                for index, rows in compute(blocks):
                    fresh = [pair for pair in zip(blocks[index], rows, strict=True) if pair[0] not in known]
                    log.extend(table.line(key, row) for key, row in fresh)
                    for key, row in fresh:
                        known.add(key, [row.get(column) for column in columns])
    finally:
        log.close()
    known = rounds.all(known)
    table.write(table.file, columns, known, sorted(known) if table.by_key else None)
    remove(table.folder / table.live)
    return known


def _number(text: str) -> float | None:
    """A number as it was written: whole ones without a point stay whole."""
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else float(text)


@lru_cache(maxsize=2**14)
def _coordinate(text: str) -> float | None:
    """A number of a key, one object for the same text: the points of a grid share their coordinates."""
    value = _number(text)
    return value if value == value else None


def once(keys: Sequence[Key]) -> More:
    """All keys in one round."""
    return lambda known: [] if known else keys


class Rounds:
    """The rounds of keys that follow from the rows before them, each found once; rows are only ever added to."""

    def __init__(self, more: More) -> None:
        self._more = more
        self._found: list[Sequence[Key]] = []
        self._whole = self._keys = 0
        """Rounds that are known whole, and keys of these."""

    def missing(self, known: Stored) -> Sequence[Key] | None:
        """The keys of the first round that is not known whole, all of them; None where all are known."""
        while True:
            if self._whole == len(self._found):
                before = known if len(known) == self._keys else known.only(chain(*self._found))
                self._found.append(self._more(before))
            keys = self._found[self._whole]
            if not keys:
                return None
            if not all(key in known for key in keys):
                return keys
            self._whole, self._keys = self._whole + 1, self._keys + len(keys)

    def all(self, known: Stored) -> Stored:
        """The rows of all keys, in the order in which they are asked for."""
        return known.only(chain(*self._found))


class Blocks(Sequence["Sequence[Key]"]):
    """Keys in blocks of one size, each made when it is asked for."""

    def __init__(self, keys: Sequence[Key], size: int, chosen: Sequence[int] | None = None) -> None:
        """chosen: the numbers of the blocks that are meant, by default all."""
        self._keys, self._size = keys, size
        self._chosen = range(-(-len(keys) // size)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Blocks(self._keys, self._size, self._chosen[index])
        start = self._chosen[index] * self._size
        return self._keys[start : start + self._size]


def _blocks(source: Rows, keys: Sequence[Key], known: Stored, plan: Any) -> Sequence[Sequence[Key]]:
    """The blocks with a key that is missing: of stacks all keys, whose bits depend on their block.

    So it is with a source whose `together` says of a key what it shares with those that are computed with it.
    """
    size, together = getattr(plan, "points", 1), getattr(source, "together", None)
    if together is not None:
        blocks = [list(block) for _, block in groupby(keys, together)]
        return [block for block in blocks if not all(key in known for key in block)]
    if getattr(plan, "name", "") != "stacked":
        return Blocks([key for key in keys if key not in known], size)
    every = Blocks(keys, size)
    lacking = (number for number, block in enumerate(every) if not all(key in known for key in block))
    return Blocks(keys, size, array("L", lacking))


def pays(execution: Execution, work: Work, seconds: float, plan: Plan, each: float) -> bool:
    """Whether what is to compute work of so many seconds pays: workers of this machine's CPU do not for what is short.

    seconds, each: that it and a point of it take in this process, under a plan.
    """
    device = next(iter(work.objectives.values())).device
    if execution.workers is None or device.type != "cpu":
        return True
    from lossscape.evaluate.cluster import are_open
    from lossscape.evaluate.cluster.cores import START_SECONDS, gain, pay

    start, times = 0.0 if are_open(execution.workers) else START_SECONDS, 1 if work.outputs is None else 2
    return pay(execution.workers, seconds, start=start, times=times, gained=gain(work, plan, each))


@contextmanager
def computed(
    source: Rows, plan: Any, engine: PlannedEngine | None, execution: Execution, done: Done, threads: int | None = None
) -> Iterator[Compute]:
    """What computes blocks of rows and gives those of each with its index: this process, or workers.

    threads: of torch in each worker, by default as `open_workers` has it.
    """
    if execution.workers is None and execution.scheduler is None:
        yield lambda blocks: ((index, source.rows(block, plan, done)) for index, block in enumerate(blocks))
        return
    from lossscape.evaluate.cluster import some_workers

    workers, scheduler = execution.workers, execution.scheduler
    with some_workers(workers, scheduler, threads, lambda: done(0)) as cluster:
        # the bits depend on the threads of those that compute
        if engine:
            engine.note(threads=cluster.threads, workers=workers or scheduler)

        def compute(blocks: Sequence[Sequence[Key]]) -> Iterator[tuple[int, list[Row]]]:
            for index, rows in cluster.evaluate(source, plan, blocks):
                done(sum(map(source.cost, blocks[index])))
                yield index, rows

        yield compute


@dataclass(frozen=True)
class Foreseen:
    """What is known of units before they are looked at."""

    begun: int = 0
    """Units that are done."""
    seconds: float | None = None
    """Expected for a unit."""
    words: str = ""
    """Announced with what is to do."""
    among: int | None = None
    """Units of which about so many are looked at."""


NOTHING_FORESEEN = Foreseen()


@contextmanager
def watched(
    title: str,
    total: int | Callable[[], int],
    cost: int,
    *,
    quiet: bool,
    unit: str = "point",
    foreseen: Foreseen = NOTHING_FORESEEN,
) -> Iterator[Done]:
    """Show the progress of `total` units of `cost` samples each; gives the function to call as samples pass.

    total: or what gives their number as far as it is known by then. The function raises Interrupted once SIGINT or
    SIGTERM has come.
    """
    begun, seconds = foreseen.begun, foreseen.seconds
    rate = cost / seconds if seconds else None
    number = (lambda: total) if isinstance(total, int) else total
    with (
        stop_on_signals() as stop,
        Progress(title, number() * cost, "samples", done=begun * cost, rate=rate, quiet=quiet) as progress,
    ):
        if foreseen.words:
            left = max(number() - begun, 0)
            about = f", about {duration(left * seconds)}" if seconds else ""
            count = f"{left:,} of {number():,}" if foreseen.among is None else f"about {left:,} of {foreseen.among:,}"
            units = unit if count == "1 of 1" else f"{unit}s"
            progress.announce(f"{count} {units} x {counted(cost, 'sample')} to evaluate{about} ({foreseen.words})")

        def text() -> str:
            where = max(1, min(-(-progress.done // cost), number()))
            return f"{unit} {where}/{number()}, {progress.rate / cost:.3g} {unit}s/s"

        def done(amount: int) -> None:
            raise_if_stopped(stop)
            progress.total = number() * cost
            progress.advance(amount)

        progress.say(text)
        yield done
        raise_if_stopped(stop)  # of a signal since the last chunk


def raise_if_stopped(stop: StopRequest) -> None:
    """Raise Interrupted once SIGINT or SIGTERM has come."""
    if stop.number is not None:
        raise Interrupted(stop.number, AGAIN)

"""Rows by key that survive: appended as they are computed, resumed, watched, interrupted, spread over workers.

A table is filled by `Rows`, whatever these are: points of a plane, checkpoints of a path, frames of a film. Every
block of rows is appended to a live file as it finishes; the CSV is written when all are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossscape.execution import Execution
from lossscape.files import CsvLog, read_rows, remove
from lossscape.progress import Progress, duration
from lossscape.results.folder import POINTS
from lossscape.results.tables import write_csv
from lossscape.signals import Interrupted, StopRequest, stop_on_signals

if TYPE_CHECKING:
    from lossscape.evaluate.rows import Done, Key, Row, Rows
    from lossscape.results.engine import PlannedEngine

More = Callable[["dict[Key, Row]"], "list[Key]"]
"""Gives the keys of the next round from the rows of those before, none when all are there."""
Compute = Callable[["list[list[Key]]"], "Iterator[tuple[int, list[Row]]]"]
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

    def read(self, file: str, columns: Sequence[str]) -> dict[Key, Row]:
        """The rows of a file by key. Raises BadInput where it has other columns."""
        rows = read_rows(self.folder / file, [*self.keys, *columns], self.words)
        return dict(self.parsed(row) for row in rows)

    def parsed(self, row: dict[str, str]) -> tuple[Key, Row]:
        """Key and values of a row of text; an empty cell is None, and so is an undefined number of a key."""
        values = {name: text if name in self.words else _number(text) for name, text in row.items()}
        key = tuple(None if (value := values.pop(name)) != value else value for name in self.keys)
        return key, values

    def reopen(self, columns: Sequence[str], still: Callable[[Row], bool]) -> None:
        """Take up a finished table again with the rows that still hold."""
        known = self.read(self.file, columns)
        if not all(map(still, known.values())):
            self.write(self.live, columns, {key: row for key, row in known.items() if still(row)})
            remove(self.folder / self.file)

    def write(self, file: str, columns: Sequence[str], rows: dict[Key, Row]) -> None:
        """Write rows whole or not at all."""
        names = [*self.keys, *columns]
        lines = [self.line(key, row) for key, row in rows.items()]
        write_csv(self.folder / file, names, [[line[name] for name in names] for line in lines])

    def line(self, key: Key, row: Row) -> Row:
        """A row with its key."""
        return dict(zip(self.keys, key, strict=True)) | row


def fill(
    table: Table, source: Rows, more: More, *, total: int, execution: Execution, plan: Any = None,
    engine: PlannedEngine | None = None,
) -> dict[Key, Row]:  # fmt: skip
    """Compute the rows that a table lacks, then write its CSV, in the order of its keys; returns all rows.

    more: gives the keys round by round; total: keys of all rounds, as far as it is foreseen; plan: how rows are
    computed, or engine: what chooses and remembers that. Raises BadInput where the table was begun with other columns
    or another plan, Interrupted on SIGINT or SIGTERM, within a row.
    """
    rounds, seconds = Rounds(more), None
    known = table.read(table.file, source.columns)
    if rounds.missing(known) is None:
        remove(table.folder / table.live)  # a process that was killed may have left it
        if engine:
            engine.check()
        return rounds.all(known)
    log = CsvLog(table.folder / table.live, [*table.keys, *source.columns], table.words)
    try:
        known |= dict(map(table.parsed, log.rows))
        if engine:
            plan, seconds = engine.choose(total - len(known), bool(known))
        cost = source.cost(next(iter(rounds.missing(known) or known), ()))
        with (
            watched(
                table.title or table.folder.parent.name, total, cost, quiet=execution.quiet, unit=table.unit,
                begun=len(known), seconds=seconds, words=getattr(plan, "words", ""),
            ) as done,
            computed(source, plan, engine, execution, done) as compute,
        ):  # fmt: skip
            while (keys := rounds.missing(known)) is not None:
                blocks = _blocks(source, keys, known, plan)
                for index, rows in compute(blocks):
                    for key, row in zip(blocks[index], rows, strict=True):
                        if key not in known:
                            log.append(table.line(key, row))
                            known[key] = row
    finally:
        log.close()
    known = rounds.all(known)
    table.write(table.file, source.columns, {key: known[key] for key in (sorted(known) if table.by_key else known)})
    remove(table.folder / table.live)
    return known


def _number(text: str) -> float | None:
    """A number as it was written: whole ones without a point stay whole."""
    if not text:
        return None
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def once(keys: list[Key]) -> More:
    """All keys in one round."""
    return lambda known: [] if known else keys


class Rounds:
    """The rounds of keys that follow from the rows before them, each found once."""

    def __init__(self, more: More) -> None:
        self._more = more
        self._found: dict[int, list[Key]] = {}

    def missing(self, known: dict[Key, Row]) -> list[Key] | None:
        """The keys of the first round that is not known whole, all of them; None where all are known."""
        *_, last = self._rounds(known)
        return None if all(key in known for key in last) else last

    def all(self, known: dict[Key, Row]) -> dict[Key, Row]:
        """The rows of all keys, in the order in which they are asked for."""
        return {key: known[key] for keys in self._rounds(known) for key in keys}

    def _rounds(self, known: dict[Key, Row]) -> Iterator[list[Key]]:
        before: dict[Key, Row] = {}
        while True:
            if len(before) not in self._found:
                self._found[len(before)] = self._more(before)
            if not (keys := self._found[len(before)]):
                return
            yield keys
            if not all(key in known for key in keys):
                return
            before |= {key: known[key] for key in keys}


def _blocks(source: Rows, keys: Sequence[Key], known: dict[Key, Row], plan: Any) -> list[list[Key]]:
    """The blocks with a key that is missing: of stacks all keys, whose bits depend on their block.

    So it is with a source whose `together` says of a key what it shares with those that are computed with it.
    """
    size, together = getattr(plan, "points", 1), getattr(source, "together", None)
    if together is not None:
        blocks = [list(block) for _, block in groupby(keys, together)]
    else:
        blocks = [list(keys[start : start + size]) for start in range(0, len(keys), size)]
    blocks = [block for block in blocks if not all(key in known for key in block)]
    if together is not None or getattr(plan, "name", "") == "stacked":
        return blocks
    return [[key for key in block if key not in known] for block in blocks]


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
    from lossscape.evaluate.cluster import open_workers

    workers, scheduler = execution.workers, execution.scheduler
    with open_workers(workers=workers, scheduler=scheduler, threads=threads, stop=lambda: done(0)) as cluster:
        # the bits depend on the threads of those that compute
        if engine:
            engine.note(threads=cluster.threads, workers=workers or scheduler)

        def compute(blocks: list[list[Key]]) -> Iterator[tuple[int, list[Row]]]:
            for index, rows in cluster.evaluate(source, plan, blocks):
                done(sum(map(source.cost, blocks[index])))
                yield index, rows

        yield compute


@contextmanager
def watched(
    title: str,
    total: int,
    cost: int,
    *,
    quiet: bool,
    unit: str = "point",
    begun: int = 0,
    seconds: float | None = None,
    words: str = "",
) -> Iterator[Done]:
    """Show the progress of `total` units of `cost` samples each; gives the function to call as samples pass.

    begun: units that are done; seconds: expected for a unit; words: announced with what is to do. The function raises
    Interrupted once SIGINT or SIGTERM has come.
    """
    rate = cost / seconds if seconds else None
    with (
        stop_on_signals() as stop,
        Progress(title, total * cost, "samples", done=begun * cost, rate=rate, quiet=quiet) as progress,
    ):
        if words:
            about = f", about {duration((total - begun) * seconds)}" if seconds else ""
            progress.announce(f"{total - begun:,} of {total:,} {unit}s x {cost:,} samples to evaluate{about} ({words})")

        def done(amount: int) -> None:
            raise_if_stopped(stop)
            where = min(progress.done // cost + 1, total)
            progress.say(f"{unit} {where}/{total}, {progress.rate / cost:.3g} {unit}s/s")
            progress.advance(amount)

        yield done
        raise_if_stopped(stop)  # of a signal since the last chunk


def raise_if_stopped(stop: StopRequest) -> None:
    """Raise Interrupted once SIGINT or SIGTERM has come."""
    if stop.number is not None:
        raise Interrupted(stop.number, AGAIN)

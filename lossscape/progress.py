"""How far long work has come: a bar on a terminal, plain lines elsewhere, nothing when quiet.

Everything goes to stderr, so that stdout holds results only.
"""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from lossscape.text import printable

PLAIN_EVERY_SECONDS, BAR_EVERY_SECONDS = 10.0, 0.1
"""Small nets pass several thousand times a second: making the text each time would take as long as they."""


def duration(seconds: float) -> str:
    """Seconds for people: 88 µs, 2.1 ms, 0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1e6:.3g} µs" if seconds < 0.9995e-3 else f"{seconds * 1e3:.3g} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progress:
    """Counts work done out of a total, with a rate, the time left and a changing text."""

    def __init__(
        self, title: str, total: int, unit: str, *, done: int = 0, rate: float | None = None, quiet: bool = False
    ) -> None:
        """total, done: in `unit`s (samples, points, epochs), total as far as it is foreseen.

        rate: expected, units a second, until one is measured.
        """
        self.title, self.total, self.unit, self.done = title, total, unit, done
        self.text: str | Callable[[], str] = ""
        self._expected = rate
        self._rate_from: tuple[float, int] | None = None
        self._start = time.monotonic()
        self._last_line = self._start
        self._quiet = quiet
        self._bar: Any = None
        self._lines = 0

    def __enter__(self) -> "Progress":
        """Show the bar where stderr is a terminal."""
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f}%"),
                TextColumn("{task.fields[text]}"),
                TimeElapsedColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True), refresh_per_second=4, transient=True)
            text = self._summary() if self._expected else ""
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, text=text)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away; the last plain line stays."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, amount: int) -> None:
        """Count work that has just been done."""
        now = time.monotonic()
        self.done += amount
        if self._rate_from is None:  # what came before the first piece of work says nothing about its rate
            self._rate_from = (now, self.done)
        if self._bar is not None:
            if now - self._last_line > BAR_EVERY_SECONDS:
                self._bar.update(self._task, total=self.total, completed=self.done, text=self._summary())
                self._last_line = now
        elif not self._quiet and self._line_is_due(now):
            share = 0.99 if self.done > self.total else self.done / max(self.total, 1)
            self.line(f"{self.title}: {100 * share:.0f} %, {self._summary()}")
            self._last_line = now

    def say(self, text: str | Callable[[], str]) -> None:
        """The text shown beside the bar and in plain lines, or what gives it when it is shown."""
        self.text = text

    def line(self, text: str) -> None:
        """A line for logs: printed where there is no bar, which shows the same while it changes."""
        if self._bar is None:
            self.announce(text)
            self._lines += 1

    def announce(self, text: str) -> None:
        """Print a line that stays, above the bar where there is one."""
        text = printable(text)
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def _line_is_due(self, now: float) -> bool:
        """The first line comes within a third of a second of work, so that the time left is known at once."""
        first = self._lines == 0 and self._rate_from is not None and now - self._rate_from[0] > 0.3
        return first or now - self._last_line > PLAIN_EVERY_SECONDS

    @property
    def rate(self) -> float:
        """Units a second: measured, and until that means something the expected ones."""
        start, before = self._rate_from or (self._start, self.done)
        took = time.monotonic() - start
        if self._expected and (self.done == before or took < 0.3):
            return self._expected
        return (self.done - before) / max(took, 1e-9)

    def _summary(self) -> str:
        rate = self.rate
        left = f"{duration((self.total - self.done) / rate)} left" if rate > 0 else "? left"
        if self.done > self.total:  # it was more than could be foreseen
            left = "little left"
        text = self.text if isinstance(self.text, str) else self.text()
        parts = [text, f"{rate:{',.0f' if rate >= 10 else '.2g'}} {self.unit}/s", left]
        return ", ".join(part for part in parts if part)

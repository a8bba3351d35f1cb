"""SIGINT and SIGTERM ask for a stop: a loop finishes its step and saves before it stops; elsewhere the program ends."""

import atexit
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """The work was stopped by a signal and everything done is saved."""

    def __init__(self, number: int, remedy: str) -> None:
        """number: of the signal; remedy: the command that continues."""
        super().__init__(remedy)
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


class Stopped(BaseException):
    """A signal came where nothing waits for one. It is no Exception, so that nobody takes it for an error."""

    def __init__(self, number: int) -> None:
        """number: of the signal."""
        super().__init__(number)
        self.number, self.exit_code = number, 128 + number


def stop_behind(error: BaseException) -> Stopped | None:
    """The Stopped that an error was made of by a library which takes whatever its callbacks raise for an error.

    Where callbacks are within one another, what such a library keeps of it may be its words alone.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Stopped):
        cause = cause.__cause__
    words = re.search(rf"\b{Stopped.__name__}: (\d+)", str(error))
    return cause or (Stopped(int(words[1])) if words else None)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise Stopped on SIGINT and SIGTERM, wherever the main thread then is and does not wait for them itself.

    Afterwards they are answered as before, and by nothing once the interpreter ends: all is done by then.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    def again(ignored: Any) -> None:
        if isinstance(ignored.exc_value, Stopped):  # it came in a callback, which cannot end the program
            later = threading.Timer(0.05, os.kill, (os.getpid(), ignored.exc_value.number))
            later.daemon = True
            later.start()
        else:
            others(ignored)

    others, sys.unraisablehook = sys.unraisablehook, again
    try:
        with _answered(stop):
            yield
    finally:
        sys.unraisablehook = others
        atexit.unregister(_ignore)
        atexit.register(_ignore)  # the last to be registered comes first


def _ignore() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


class StopRequest:
    """The signal that was received, if any."""

    number: int | None = None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM instead of dying of it; a second one is taken as usual.

    Signals reach the main thread only, so elsewhere nothing is noted.
    """
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        request.number = number
        for each, handler in before.items():
            signal.signal(each, handler)

    with _answered(note) as before:
        yield request


@contextmanager
def _answered(handler: Callable[[int, FrameType | None], None]) -> Iterator[dict[signal.Signals, Any]]:
    """Have a handler answer SIGINT and SIGTERM in the main thread; gives those who did before, and do again then."""
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, other in before.items():
            signal.signal(number, other)

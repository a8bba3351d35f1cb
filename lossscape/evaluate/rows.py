"""Rows: anything that gives values by key, so that it can be resumed, shown with its progress, and sent to workers."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Key = tuple[Any, ...]
"""Of a row: numbers and texts that tell it from all others (coordinates, a checkpoint's label)."""
Row = dict[str, Any]
"""Values by column."""
Done = Callable[[int], None]
"""Told of samples that have just passed through the net."""


class Rows(Protocol):
    """A picklable object that has all that its rows need.

    One whose rows come several at a time has `together(key)` too: neighbouring keys of which it says the same are
    handed over in one call, all of them, even where some of their rows are known.
    """

    @property
    def columns(self) -> Sequence[str]:
        """The names of a row's values, in their order; those of the key are not among them."""
        ...

    def cost(self, key: Key) -> int:
        """Samples that pass through the net for a row."""
        ...

    def rows(self, keys: Sequence[Key], plan: Any, done: Done | None = None) -> list[Row]:
        """The rows of some keys, in their order."""
        ...


class Meter:
    """Passes samples on as they go through the net, as many as were foreseen for some rows and no more."""

    def __init__(self, done: Done | None, foreseen: int) -> None:
        self._done, self._left = done, foreseen

    def __call__(self, samples: int) -> None:
        """Some samples have passed."""
        samples = min(samples, self._left)
        self._left -= samples
        if self._done is not None:
            self._done(samples)

    def finish(self) -> None:
        """The rows are there."""
        self(self._left)

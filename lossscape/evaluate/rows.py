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

"""The two ways lossscape says no; `cli` turns them into one line on stderr and an exit code."""

import difflib
import reprlib
from collections.abc import Iterable
from enum import StrEnum


class BadInput(Exception):
    """Something the user gave is wrong and nothing was changed: exit code 2. Say what, where and the remedy.

    Each argument is a line.
    """

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class RunFailed(Exception):
    """Work that had begun could not be finished; what was written stays readable: exit code 1."""


class Page(StrEnum):
    """Pages of the documentation that a message names, by their titles: an installed program has no files of them."""

    ADOPT = "Weights that were trained elsewhere"
    CLUSTER = "Many processes and machines"
    DATA = "Data"
    ENGINE = "The engine"
    RECIPES = "Record your own training loop"
    TRUST = "Trust"


def see(page: Page) -> str:
    """The end of a message that a page says more about."""
    return f' (more in the docs, page "{page}")'


LONGEST = 80
"""Characters that are shown of a value."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.fillvalue = 3, "…"
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST


def short(given: object) -> str:
    """What the user gave, as Python writes it, cut where it is long or deep."""
    return _SHORT.repr(given)


def one_of(what: str, given: object, allowed: Iterable[str]) -> str:
    """A sentence that refuses `given`, names the nearest allowed value and lists all of them."""
    allowed = [str(value) for value in allowed]
    near = difflib.get_close_matches(short(given).strip("'"), allowed, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"{what} {short(given)} is not known{hint}; allowed: {', '.join(allowed)}"

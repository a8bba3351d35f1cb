"""How figures are drawn, as the drawing options say it: formats, style, caption, title and the scale of losses.

Whoever draws a result does so within `drawn(how)`; what makes sheets, scales and files asks `how()`.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from lossscape.errors import BadInput, one_of
from lossscape.numerals import real
from lossscape.options import Option
from lossscape.text import number

FORMATS = ("png", "svg", "pdf")
USUAL = {"screen": ("png",), "paper": ("pdf", "svg")}
"""Formats by style, where none are asked for."""
MOST_LEVELS = 200
LEAST_DPI, MOST_DPI = 30, 1200
LONGEST_SUFFIX = 120
Levels = int | tuple[float, ...]


def listed(flag: str, text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The words of an option such as `vts,npz`, each once. Raises BadInput for one that is not allowed."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in words:
        if word not in allowed:
            raise BadInput(one_of(flag, word, allowed))
    return words


def pictures_of(text: str) -> tuple[str, ...]:
    """The formats of `--format png,pdf`. Raises BadInput."""
    return listed("--format", text, FORMATS)


def levels_of(text: str) -> Levels:
    """`--levels 12`: about so many; `--levels 0.1,0.5,2`: these, ascending, each once. Raises BadInput."""
    wanted = "give their number, as --levels 12, or losses, as --levels 0.1,0.5,2"
    try:
        values = [real(word.strip()) for word in text.split(",")]
    except ValueError as error:
        raise BadInput(f"--levels {text}: {error}; {wanted}") from None
    if len(values) > 1:
        return tuple(sorted(set(values)))
    if not (values[0].is_integer() and 2 <= values[0] <= MOST_LEVELS):
        raise BadInput(f"--levels {text}: a number from 2 to {MOST_LEVELS} is needed; {wanted}")
    return int(values[0])


@dataclass(frozen=True)
class How:
    """How figures are drawn; nothing of it is computed, so a finished result is drawn again."""

    formats: Annotated[
        tuple[str, ...] | None,
        Option("Files of each figure; png, in paper style pdf,svg.", "png,svg,pdf", "--format", given=str,
               parse=pictures_of),
    ] = None  # fmt: skip
    style: Annotated[
        Literal["screen", "paper"],
        Option("paper: 3.25 inches wide (several panels 6.75), fonts embedded, for a column of print."),
    ] = "screen"
    no_caption: Annotated[bool, Option("No small print in the picture; it lies beside it as text in any case.")] = False
    title: Annotated[str | None, Option('Above the figure, in place of its own; "" for none.', "TEXT")] = None
    levels: Annotated[
        Levels | None, Option("Level lines: about N, or at these losses.", "N|LIST", given=str, parse=levels_of)
    ] = None
    vmin: Annotated[float | None, Option("Where the scale of losses begins.", "LOSS")] = None
    vmax: Annotated[float | None, Option("Where the scale of losses ends.", "LOSS")] = None
    dpi: Annotated[
        int | None, Option("Pixels an inch of a PNG; 150, in paper style 300.", "N", least=LEAST_DPI, most=MOST_DPI)
    ] = None
    log: bool = False
    """Whether the scale of losses was asked to be logarithmic: an option of those commands that have such a scale."""

    def __post_init__(self) -> None:
        given: Any = self.formats  # Python may give one as text
        if given is not None:
            object.__setattr__(self, "formats", pictures_of(given if isinstance(given, str) else ",".join(given)))
        object.__setattr__(self, "levels", _checked_levels(self.levels))
        if self.style not in USUAL:
            raise BadInput(one_of("--style", self.style, USUAL))
        if self.dpi is not None and not (isinstance(self.dpi, int) and LEAST_DPI <= self.dpi <= MOST_DPI):
            raise BadInput(f"--dpi {self.dpi}: a number from {LEAST_DPI} to {MOST_DPI} is needed")
        for flag, end in (("--vmin", self.vmin), ("--vmax", self.vmax)):
            if end is not None and not (isinstance(end, int | float) and math.isfinite(end)):
                raise BadInput(f"{flag} {end}: a finite number is needed")
        if self.vmin is not None and self.vmax is not None and not self.vmin < self.vmax:
            raise BadInput(f"--vmin {number(self.vmin)} --vmax {number(self.vmax)}: --vmin must be the lesser")
        given = {"--vmin": self.vmin, "--vmax": self.vmax}
        given |= {"--levels": min(self.levels)} if isinstance(self.levels, tuple) else {}
        for flag, value in given.items():
            if self.log and value is not None and value <= 0:
                raise BadInput(f"{flag} {number(value)}: a logarithmic scale needs losses above 0; leave --log out")

    @property
    def files(self) -> tuple[str, ...]:
        """The formats of each figure."""
        return self.formats or USUAL[self.style]

    @property
    def suffix(self) -> str:
        """What the names of files end with where another scale or style is asked for, so that each has its own."""
        words = ["log"] if self.log else []
        if self.levels is not None:
            each = self.levels if isinstance(self.levels, tuple) else (self.levels,)
            words.append("-".join(["levels", *map(_exactly, each)]))
        ends = {"vmin": self.vmin, "vmax": self.vmax}
        words += [f"{name}-{_exactly(value)}" for name, value in ends.items() if value is not None]
        words += ["paper"] if self.style == "paper" else []
        found = "".join(f"-{word}" for word in words)
        if len(found) <= LONGEST_SUFFIX:
            return found
        own = hashlib.sha256(found.encode()).hexdigest()[:8]  # of what is cut off
        return f"{found[: LONGEST_SUFFIX - 9]}-{own}"


def _checked_levels(given: Any) -> Levels | None:
    """Levels as Python gives them, as text too. Raises BadInput."""
    if given is None or isinstance(given, str):
        return None if given is None else levels_of(given)
    if isinstance(given, int | float):
        return levels_of(str(given))
    if len(levels := [*given]) < 2:
        raise BadInput(f"--levels {levels}: give their number, as 12, or two losses or more")
    return levels_of(",".join(str(float(level)) for level in levels))


def _exactly(value: float) -> str:
    """A number by which it can be told from any other."""
    short = f"{value:.6g}"
    return short if float(short) == value else repr(float(value))


AS_USUAL = How()
_HOW: ContextVar[How] = ContextVar("how figures are drawn", default=AS_USUAL)


def how() -> How:
    """How figures are drawn here."""
    return _HOW.get()


@contextmanager
def drawn(given: How) -> Iterator[None]:
    """Draw all that is drawn within in this way."""
    token = _HOW.set(given)
    try:
        yield
    finally:
        _HOW.reset(token)

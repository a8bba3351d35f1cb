"""Words and numbers for people, wherever they are shown."""

import math
import unicodedata
from collections.abc import Sequence

UNDRAWN: set[str] = set()
"""Characters that figures of this process show as escapes, for no installed font has them."""
MOST_UNDRAWN = 12
"""So many of them are named."""


def undrawn_words() -> str:
    """What to do about UNDRAWN, in a line; empty where there are none."""
    if not UNDRAWN:
        return ""
    some = "".join(sorted(UNDRAWN)[:MOST_UNDRAWN]) + ("…" if len(UNDRAWN) > MOST_UNDRAWN else "")
    return (
        f"no installed font has {some}: figures show escapes such as {ascii(min(UNDRAWN))[1:-1]} instead; install one "
        "that has them, for Chinese, Japanese and Korean Noto Sans CJK (fonts-noto-cjk on Debian and Ubuntu), and draw "
        "again with the same command"
    )


def columns_of(text: str) -> int:
    """How wide a text is in characters; a wide one counts twice."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def printable(text: str) -> str:
    """The text with what a terminal would obey or not show written out: \\x1b for an escape, \\n for a line break."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, columns: int = 44) -> str:
    """The text with its middle left out where it is longer than so many columns (a wide character takes two)."""
    if columns_of(text) <= columns:
        return text
    head, tail = text[:columns], text[-columns:]
    while columns_of(head) > columns // 2:
        head = head[:-1]
    while columns_of(tail) > columns - columns // 2 - 1:
        tail = tail[1:]
    return f"{head}…{tail}"


def code_name(name: str) -> str:
    """A name as a config gives it; of a file's function, as in ../nets.py:net, without the folder."""
    return name.rpartition("/")[2] if ":" in name else name


def number(value: float, digits: int = 4) -> str:
    """A number for people: at most `digits` significant digits, 1e-5 for 1e-05."""
    mantissa, e, exponent = f"{value + 0.0:.{digits}g}".partition("e")
    return (f"{mantissa}e{int(exponent)}" if e else mantissa).replace("-", "−")


def counted(count: int, noun: str, plural: str = "") -> str:
    """How many there are of something: 1 seed, 1,000 seeds; plural: where that is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def percent(share: float) -> str:
    """A share of 1 in percent, two significant digits."""
    return f"{number(100 * share, 2)} %"


def digits_of(values: Sequence[float]) -> int:
    """Significant digits that tell numbers over the range of `values` apart, at least 4."""
    greatest, span = max(map(abs, values), default=0.0), max(values, default=0.0) - min(values, default=0.0)
    return max(4, math.ceil(math.log10(greatest / span)) + 3) if span > 0 else 4


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of a table, the first column to the left."""
    widths = [max(map(columns_of, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        gaps = [" " * (width - columns_of(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0] + gaps[0], *map(str.__add__, gaps[1:], row[1:])]))
    return lines

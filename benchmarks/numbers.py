"""Medians and ratios of what was measured; imports no torch, so that a process that starts others stays small."""

import argparse
import statistics
from collections.abc import Callable, Iterable, Sequence


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """For argparse: a finite number above 0."""

    def read(text: str) -> float:
        number = kind(text)
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return number

    return read


def ratios(ours: Iterable[float], others: Iterable[float]) -> list[float]:
    """Round by round, so that what slows the machine for a while slows both."""
    return [a / b for a, b in zip(ours, others, strict=True)]


def spread(values: Sequence[float], form: str) -> str:
    """Median (least–most)."""
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns aligned."""
    widths = [max(len(line[place]) for line in (head, *rows)) for place in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])

"""Tables as files: the one reader and the one writer of CSV."""

import csv
import io
import sys
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape import files, manifest
from lossscape.errors import BadInput, short
from lossscape.files import text_of
from lossscape.numerals import is_cell

UNUSUAL = bytes(sign for sign in range(33) if sign != 10) + b'"_'
"""What no number has in a cell, though Python reads some of it: blanks and lower lines; and what needs quotes."""
BLOCK = 2**20
"""Bytes that are taken apart at once."""
SOURCE, EVALUATED, PREDICTED = "source", "evaluated", "predicted"
"""Column that says where the values of a row come from, where not all are evaluated, and its words."""


def read_csv(path: Path, text: Collection[str] = (), live: bool = False) -> pd.DataFrame:
    """A CSV with numbers exactly as they were written, in float64, NaN for empty cells.

    text: columns that hold words; live: a file that is still appended to, of which a torn last line is left out, and
    which may be empty. Raises BadInput where it is missing, torn or holds other than numbers.
    """
    try:
        content = manifest.read_bytes(path)
        head, columns, whole = _parsed(content, text, live)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; the result is not finished, run the command again") from None
    except (UnicodeDecodeError, OSError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as CSV: {error}; run the command again") from None
    except _Ragged:
        raise BadInput(f"{path}: a line has not as many cells as the first; run the command again") from None
    except ValueError as error:
        raise BadInput(f"{path}: not a table of numbers: {error}; run the command again") from None
    if not whole:
        raise BadInput(f"{path}: torn in its last line; run the command again")
    return pd.DataFrame({
        name: column if isinstance(column, list) else np.array(column)
        for name, column in zip(head, columns, strict=True)
    })  # fmt: skip


class _Ragged(Exception):
    """A line has not as many cells as the first."""


def _parsed(content: bytes, text: Collection[str], live: bool) -> tuple[list[str], list[Any], bool]:
    """Names and values of columns, floats in arrays, line by line; and whether there is no torn last line.

    live: that one is left out.
    """
    if quick := _plain(content, text):
        return *quick, True
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
    head = next(lines, [])
    columns: list[Any] = [[] if name in text else array("d") for name in head]
    takes = [column.append if isinstance(column, list) else _taking(column) for column in columns]
    last: list[str] | None = None
    for line in lines:
        if last is not None:
            _take(takes, last)
        last = line
    whole = content.endswith(b"\n") and (last is None or len(last) == len(head))
    if last is not None and whole:
        _take(takes, last)
    if last is None and not whole:  # nothing but a torn header
        return [], [], live
    return head, columns, whole or live


def _plain(content: bytes, text: Collection[str]) -> tuple[list[str], list[Any]] | None:
    """The same of a whole file as `write_csv` leaves it when no word needs quotes, many lines at a time.

    None of any other file, and of one that is no table, which is then read line by line to say why.
    """
    if content[-1:] != b"\n" or content[:1] == b"\n" or b"\n\n" in content:
        return None
    begin = content.index(b"\n") + 1
    names = content[: begin - 1]
    if not content.isascii() or b'"' in names or b"\r" in names or any(map(content[begin:].__contains__, UNUSUAL)):
        return None
    head = names.decode().split(",")
    columns: list[Any] = [[] if name in text else array("d") for name in head]
    while begin < len(content):
        end = content.rfind(b"\n", begin, begin + BLOCK) + 1 or content.index(b"\n", begin) + 1
        block = content[begin : end - 1].decode()
        if any(line.count(",") != len(head) - 1 for line in block.split("\n")):
            return None
        cells = block.replace("\n", ",").split(",")
        for first, column in enumerate(columns):
            own = cells[first :: len(head)]
            try:
                column.extend(map(sys.intern, own) if isinstance(column, list) else map(float, _filled(own)))
            except ValueError:
                return None
        begin = end
    return head, columns


def _filled(cells: list[str]) -> list[str]:
    """Cells with NaN in place of nothing."""
    return [cell or "nan" for cell in cells] if "" in cells else cells


def _taking(column: "array[float]") -> Callable[[str], None]:
    return lambda cell: column.append(_number(cell))


def _take(takes: Sequence[Callable[[str], None]], line: Sequence[str]) -> None:
    if len(line) != len(takes):
        raise _Ragged
    for take, cell in zip(takes, line, strict=True):
        take(cell)


def evaluated(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a metrics.csv after whose epochs the splits were evaluated (`training.evaluate_every`).

    What is measured of the splits is NaN in all others.
    """
    measured = [name for name in map(str, table) if name.startswith(("train_", "test_"))]
    return table.dropna(subset=measured, how="all").reset_index(drop=True) if measured else table


def _number(cell: str) -> float:
    if cell and not is_cell(cell):
        raise ValueError(f"{short(cell)} is no number")
    return float(cell or "nan")


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV whole or not at all: numbers that read back exactly, words in quotes where they need them."""
    content = io.BytesIO()
    text = io.TextIOWrapper(content, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([text_of(cell) for cell in row] for row in rows)
    text.detach()
    files.write_bytes(path, content.getvalue())

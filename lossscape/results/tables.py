"""Tables as files: the one reader and the one writer of CSV."""

import csv
import io
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape import manifest
from lossscape.errors import BadInput, short
from lossscape.files import text_of, write_bytes
from lossscape.numerals import is_cell


def read_csv(path: Path, text: Collection[str] = (), live: bool = False) -> pd.DataFrame:
    """A CSV with numbers exactly as they were written, in float64, NaN for empty cells.

    text: columns that hold words; live: a file that is still appended to, of which a torn last line is left out, and
    which may be empty. Raises BadInput where it is missing, torn or holds other than numbers.
    """
    try:
        content = manifest.read_bytes(path).decode()
        rows = list(csv.reader(io.StringIO(content, newline="")))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; the result is not finished, run the command again") from None
    except (ValueError, OSError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as CSV: {error}; run the command again") from None
    torn = not rows or len(rows[-1]) != len(rows[0]) or not content.endswith("\n")
    if torn and not live:
        raise BadInput(f"{path}: torn in its last line; run the command again")
    head, *lines = (rows[:-1] if torn else rows) or [[]]
    if not head:
        return pd.DataFrame()
    if any(len(line) != len(head) for line in lines):
        raise BadInput(f"{path}: a line has not as many cells as the first; run the command again")
    cells = zip(*lines, strict=True) if lines else [()] * len(head)
    try:
        # not pandas' own parser: before version 3.1 its default is off in the last digit
        columns = {
            name: list(column) if name in text else np.array([_number(cell) for cell in column], dtype=float)
            for name, column in zip(head, cells, strict=True)
        }
    except ValueError as error:
        raise BadInput(f"{path}: not a table of numbers: {error}; run the command again") from None
    return pd.DataFrame(columns)


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
    write_bytes(path, content.getvalue())

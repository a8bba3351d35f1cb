"""Rows by key in little memory: what a table of millions of points is held in."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lossscape.evaluate.rows import Key, Row


class Stored(Mapping["Key", "Row"]):
    """Rows by key, in the order in which they were added; a row is made into a mapping when it is asked for.

    The values of a column lie in an array of 64 bits each while they are floats, so that a row of a plane takes about
    150 bytes for its key and place and 8 for each column.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        """columns: the names of a row's values."""
        self.columns = tuple(columns)
        self._values: list[array[float] | list[Any]] = [array("d") for _ in self.columns]
        self._places: dict[Key, int] = {}

    def add(self, key: "Key", values: Sequence[Any]) -> None:
        """A row's values, in the order of the columns; of a key that is there, others in place of those it had."""
        place = self._places.setdefault(key, len(self._places))
        for index, value in enumerate(values):
            column = self._values[index]
            if isinstance(column, array) and not isinstance(value, float):
                column = self._values[index] = column.tolist()
            if place < len(column):
                column[place] = value
            else:
                column.append(value)

    def __getitem__(self, key: "Key") -> "Row":
        place = self._places[key]
        return {name: column[place] for name, column in zip(self.columns, self._values, strict=True)}

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> "Iterator[Key]":
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def only(self, keys: "Iterable[Key]") -> "Stored":
        """The rows of some keys in their order, which share their values with these; nothing is to be added to them."""
        some = Stored(self.columns)
        some._values = self._values
        some._places = {key: self._places[key] for key in keys}
        return some

    def column(self, name: str) -> np.ndarray:
        """A column's values in float64 [N], in the order of the rows; NaN where there is none."""
        values = self._values[self.columns.index(name)]
        places = np.fromiter(self._places.values(), dtype=np.int64, count=len(self))
        return np.array(values, dtype=float)[places]


def column_of(rows: Mapping["Key", "Row"], name: str) -> np.ndarray:
    """A column of rows in float64 [N], in their order."""
    if isinstance(rows, Stored):
        return rows.column(name)
    return np.fromiter((row[name] for row in rows.values()), dtype=float, count=len(rows))

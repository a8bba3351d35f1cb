"""Tables of which a part of the rows is evaluated and the rest predicted: their files, and how they are filled."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from lossscape.evaluate.predicted import ERROR, Picture
from lossscape.evaluate.rows import Key, Row, Rows
from lossscape.execution import Execution
from lossscape.files import cells_of, remove
from lossscape.results.stored import Stored
from lossscape.results.table import More, Table, fill
from lossscape.results.tables import EVALUATED, PREDICTED, SOURCE, write_csv

if TYPE_CHECKING:
    from lossscape.evaluate import Work
    from lossscape.evaluate.subspace import Coordinates
    from lossscape.results.engine import PlannedEngine


@dataclass(frozen=True)
class PictureTable(Table):
    """A table over a grid: the live file holds the rows that were evaluated, the final one all points of the grid."""

    words: Sequence[str] = (SOURCE,)
    axes: Sequence[Sequence[float]] = ()
    """Ascending values of each coordinate."""
    tolerance: float = 0.0
    always: "Sequence[Coordinates]" = ()
    """Points to evaluate whatever they tell."""
    shares: Mapping[str, int] | None = None
    """By column that is a share of samples, their number."""
    predicts: Sequence[str] | None = None
    """The columns that are predicted, by default all; the others are empty in predicted rows."""

    def picture(self, columns: Sequence[str]) -> Picture:
        """What decides which points are evaluated, begun anew."""
        # 1/√N is twice the largest standard error of the share of N samples of which something is true
        resolution = {name: samples**-0.5 for name, samples in (self.shares or {}).items()}
        axes = [np.array(axis, dtype=float) for axis in self.axes]
        return Picture(axes, self.predicts or columns, self.tolerance, always=self.always, resolution=resolution)

    def read(self, file: str, columns: Sequence[str], known: Stored | None = None) -> Stored:
        """The rows of a file that were evaluated, by key. Raises BadInput where it has other columns."""
        if file != self.file:
            return super().read(file, columns, known)
        known = Stored(columns) if known is None else known
        for key, row, _ in self.lines(columns, EVALUATED):
            known.add(key, row)
        return known

    def lines(self, columns: Sequence[str], source: str) -> "Iterator[tuple[Key, list[float | None], float | None]]":
        """The rows of the final file that are evaluated, or predicted, each with its key and estimated error.

        Raises BadInput where it has other columns.
        """
        names = [*self.keys, *columns, SOURCE, ERROR]
        parse, count = self.parsers(names), len(self.keys)
        for cells in cells_of(self.folder / self.file, names, self.words):
            if cells[-2] == source:
                row = [each(cell) for each, cell in zip(parse, cells, strict=True)]
                yield tuple(row[:count]), row[count:-2], row[-1]

    def write(
        self, file: str, columns: Sequence[str], rows: "Mapping[Key, Row]", order: "Iterable[Key] | None" = None
    ) -> None:
        """Write rows whole or not at all; into the final file all points of the grid, in the order of their keys."""
        if file != self.file:
            super().write(file, columns, rows, order)
            return
        names = [*self.keys, *columns, SOURCE, ERROR]
        write_csv(self.folder / file, names, self._all(columns, rows))

    def _all(self, columns: Sequence[str], rows: "Mapping[Key, Row]") -> Iterator[list[object]]:
        picture = self.picture(columns)
        values, errors = picture.whole(rows)
        places = [picture.columns.index(name) if name in picture.columns else None for name in columns]
        keys = product(*self.axes)
        for at in np.ndindex(picture.shape[:-1]):  # a line of the grid at a time
            predicted, off = values[(slice(None), *at)].T.tolist(), errors[at].tolist()
            for row, error, key in zip(predicted, off, keys, strict=False):
                if key in rows:
                    known = rows[key]
                    yield [*key, *(known[name] for name in columns), EVALUATED, 0.0]
                else:
                    yield [*key, *(None if place is None else row[place] for place in places), PREDICTED, error]


def fill_picture(
    table: PictureTable, source: Rows, *, execution: Execution, engine: "PlannedEngine | None" = None
) -> "Mapping[Key, Row]":
    """Evaluate the points that a table's picture asks for, then write all; returns the rows that were evaluated.

    Raises as `results.table.fill`.
    """
    picture, file = table.picture(source.columns), table.folder / table.file
    if file.exists() and file.read_bytes().count(b"\n") != picture.size + 1:  # torn: what was evaluated is kept
        table.write(table.live, source.columns, table.read(table.file, source.columns))
        remove(file)
    more = picture.more if execution.quiet or file.exists() else _warning(picture)
    return fill(table, source, more, total=picture.foreseen, execution=execution, engine=engine, among=picture.size)


def _warning(picture: Picture) -> More:
    """The points that a picture asks for, and once a word where they are so many that it saves little."""
    told = False

    def more(known: "Mapping[Key, Row]") -> "Sequence[Key]":
        nonlocal told
        points = picture.more(known)
        needed = len(known) + sum(point not in known for point in points)
        if not told and 2 * needed > picture.size:
            told = True
            why = "the surface bends too much between them to predict many" if known else "it looks at so many at first"
            print(
                f"a tolerance of {picture.tolerance:g} takes {needed:,} of {picture.size:,} points or more: {why}, so "
                "exact takes at most twice as long; over a smaller range, on a finer grid or with more samples it "
                "saves more",
                file=sys.stderr, flush=True,
            )  # fmt: skip
        return points

    return more


def pictured(
    table: Table, work: "Work", axes: Sequence[Sequence[float]], tolerance: float, always: "Sequence[Coordinates]"
) -> PictureTable:
    """A table of a work's points as one of which not all are evaluated."""
    shares = {f"{split}_{name}": len(part) for split, part in work.objectives.items() for name in part.scoring.shares}
    return PictureTable(
        table.folder, table.file, table.keys, axes=axes, tolerance=tolerance, always=always, shares=shares
    )

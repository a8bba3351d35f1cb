"""The one reader and the one writer of CSV: exact, and never wrong about what is torn."""

import math
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossscape.errors import BadInput
from lossscape.evaluate.order import coarse_to_fine
from lossscape.evaluate.subspace import grid_points
from lossscape.execution import Execution
from lossscape.results import read_csv, write_csv
from lossscape.results.stored import Stored, column_of
from lossscape.results.table import Table, fill, once

WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=8)


@given(st.lists(st.tuples(WORDS, st.floats(), st.integers(-(2**53), 2**53) | st.none()), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_words_and_numbers_read_back_exactly(tmp_path: Path, rows: list[tuple[str, float, int | None]]) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, ["word", "value", "count"], rows)
    table = read_csv(path, text=("word",))
    assert list(table) == ["word", "value", "count"]
    assert table["word"].tolist() == [word for word, _, _ in rows]
    np.testing.assert_array_equal(table["value"], [value for _, value, _ in rows])
    np.testing.assert_array_equal(table["count"], [math.nan if n is None else n for _, _, n in rows])


WHOLE = "x,loss\n0.5,1.0\n1.5,2.0\n"


@pytest.mark.parametrize("size", range(len(WHOLE) + 1))
def test_a_live_file_gives_its_whole_lines_and_a_finished_one_must_be_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "table.csv"
    path.write_text(WHOLE[:size])
    lines = WHOLE[:size].count("\n")
    assert len(read_csv(path, live=True)) == max(lines - 1, 0)
    if WHOLE[:size].endswith("\n"):
        assert len(read_csv(path)) == lines - 1
    else:
        with pytest.raises(BadInput, match="run the command again"):
            read_csv(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"x,loss\n0,one\n", "not a table of numbers"),
        (b"x,loss\n0,1_0\n", "not a table of numbers"),
        (b"x,loss\n0, 1\n", "not a table of numbers"),
        (b"x,loss\n0,1\x1c\n", "not a table of numbers"),
        (b"x,loss\n0\n0,1,2\n0,1\n", "not as many cells"),
        (b"x,loss\n0\n0,1\n", "not as many cells"),
        (b"x,loss\n0,1,2\n0,1\n", "not as many cells"),
        (b"x,loss\n\xff,1\n", "cannot be read as CSV"),
        (None, "no such file; the result is not finished"),
    ],
)
def test_what_is_no_table_is_refused_with_the_remedy(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=rf"table\.csv.*{told}.*run the command again"):
        read_csv(path)


@pytest.mark.parametrize("content", [b"x,loss\r\n0,1\n", b"x,loss\r\n0,1\r\n", b"x,loss\r\n"])
def test_ends_of_lines_of_other_systems_are_no_part_of_a_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    assert list(read_csv(path)) == ["x", "loss"]


@pytest.mark.parametrize("rows", [1, 40_000])
def test_a_large_table_is_read_as_a_small_one_is(tmp_path: Path, rows: int) -> None:
    """Many lines at a time, more than a block of them, and one by one: the same numbers and words."""
    path, numbers = tmp_path / "table.csv", np.random.default_rng(0).standard_normal((rows, 2))
    cells = [
        [a, math.nan if a > 2 else math.inf if a > 1 else b, None, "a" if b < 0 else ""] for a, b in numbers.tolist()
    ]
    for word in ("b", "b "):  # a blank, and all is read line by line
        write_csv(path, ["some_a", "b", "c", "d"], [*cells, [-0.0, 1e-320, 3, word]])
        table = read_csv(path, text=("d",))
        np.testing.assert_array_equal(table["some_a"], [*(row[0] for row in cells), -0.0])
        np.testing.assert_array_equal(table["b"], [*(row[1] for row in cells), 1e-320])
        np.testing.assert_array_equal(table["c"], [math.nan] * rows + [3.0])
        assert table["d"].tolist() == [*(row[3] for row in cells), word]
        assert math.copysign(1, table["some_a"].iloc[-1]) == -1


class Squares:
    """Rows by number, of a kind that has to know which one a cost is asked of."""

    columns = ("square",)

    def cost(self, key: tuple[Any, ...]) -> int:
        return int(key[0])

    def rows(self, keys: Sequence[tuple[Any, ...]], plan: object, done: object = None) -> list[dict[str, float]]:
        raise AssertionError("all rows are there")


def test_a_table_whose_rows_are_all_there_is_written(tmp_path: Path) -> None:
    """As a process leaves it that was killed between the last row and the table."""
    (tmp_path / "points.csv").write_text("number,square\n2,4.0\n1,1.0\n")
    keys: list[tuple[Any, ...]] = [(1.0,), (2.0,)]
    fill(Table(tmp_path, "squares.csv", ["number"]), Squares(), once(keys), total=2, execution=Execution(quiet=True))
    assert (tmp_path / "squares.csv").read_text() == "number,square\n1.0,1.0\n2.0,4.0\n"
    assert not (tmp_path / "points.csv").exists()


class Bowl:
    """A loss at each point of a plane, without a net."""

    columns = ("loss", "accuracy")

    def cost(self, key: tuple[Any, ...]) -> int:
        return 1

    def rows(self, keys: Sequence[tuple[Any, ...]], plan: object, done: object = None) -> list[dict[str, float]]:
        return [{"loss": x * x + y * y, "accuracy": x / 3} for x, y in keys]


def held(folder: Path, side: int) -> int:
    """Most bytes held at once while a grid is filled, and read again from what a kill leaves."""
    points = coarse_to_fine(grid_points((side, side), (-1, 1), (-1, 1)))
    table = Table(folder, "surface.csv", ["x", "y"])
    tracemalloc.start()
    for _ in range(2):
        fill(table, Bowl(), once(points), total=len(points), execution=Execution(quiet=True))
        (folder / "surface.csv").rename(folder / "points.csv")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_a_point_takes_a_few_bytes_however_many_there_are(tmp_path: Path) -> None:
    small, large = (held(tmp_path / str(side), side) for side in (30, 60))
    assert (large - small) / (60**2 - 30**2) < 400


def test_stored_rows_are_what_was_added() -> None:
    rows = Stored(("loss", "word"))
    rows.add((0.5, None), [math.nan, "a"])
    rows.add((1, "b"), [None, "c"])
    rows.add((2.0,), [3, "d"])
    rows.add((1, "b"), [2.5, "e"])
    assert list(rows) == [(0.5, None), (1, "b"), (2.0,)]
    assert rows[1, "b"] == {"loss": 2.5, "word": "e"}
    assert (3,) not in rows
    some = rows.only([(2.0,), (0.5, None)])
    assert next(iter(some.items())) == ((2.0,), {"loss": 3, "word": "d"})
    assert type(some[2.0,]["loss"]) is int
    np.testing.assert_array_equal(some.column("loss"), [3.0, math.nan])
    np.testing.assert_array_equal(column_of({(1,): {"loss": 0.5}}, "loss"), [0.5])

"""The one reader and the one writer of CSV: exact, and never wrong about what is torn."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.results import read_csv, write_csv
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

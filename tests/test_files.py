"""Files that survive: whole or not at all, no row lost or made up, one writer at a time."""

import errno
import itertools
import json
import math
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossscape import files, manifest
from lossscape.errors import BadInput
from lossscape.files import CsvLog, held, is_held, read_rows, save_tensors, sweep, text_of, write_bytes
from lossscape.results import write_csv

COLUMNS = ["epoch", "loss", "accuracy"]
ROWS = [
    {"epoch": 0, "loss": 2.302585092994046, "accuracy": 0.1},
    {"epoch": 1, "loss": 5e-324, "accuracy": None},
    {"epoch": 20, "loss": math.inf, "accuracy": 0.30000000000000004},
    {"epoch": 300, "loss": math.nan, "accuracy": -1e-17},
]
TEXTS = [
    ["0", "2.302585092994046", "0.1"],
    ["1", "5e-324", ""],
    ["20", "inf", "0.30000000000000004"],
    ["300", "nan", "-1e-17"],
]
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write_log(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows to a log."""
    log = CsvLog(path, COLUMNS)
    for row in rows:
        log.append(row)
    log.close()


def texts_of(rows: list[dict[str, str]]) -> list[list[str]]:
    """The cells of rows, in the order of the columns."""
    return [[row[column] for column in COLUMNS] for row in rows]


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """The bytes of a log of ROWS."""
    write_log(tmp_path / "whole.csv", ROWS)
    return (tmp_path / "whole.csv").read_bytes()


# --- the log ------------------------------------------------------------------------------------------------


def test_log_is_a_plain_csv(tmp_path: Path, whole: bytes) -> None:
    assert whole.decode() == "\n".join(map(",".join, [COLUMNS, *TEXTS])) + "\n"
    write_csv(tmp_path / "at once.csv", COLUMNS, [list(row.values()) for row in ROWS])
    assert (tmp_path / "at once.csv").read_bytes() == whole


def test_rows_are_there_as_soon_as_they_are_appended(tmp_path: Path) -> None:
    log = CsvLog(tmp_path / "a" / "log.csv", COLUMNS)
    assert (tmp_path / "a" / "log.csv").read_text() == "epoch,loss,accuracy\n"
    for number, row in enumerate(ROWS, start=1):
        log.append(row)
        assert texts_of(read_rows(tmp_path / "a" / "log.csv", COLUMNS)) == TEXTS[:number]
    log.close()


def test_rows_that_are_appended_together_have_the_bytes_of_rows_one_by_one(tmp_path: Path, whole: bytes) -> None:
    log = CsvLog(tmp_path / "together.csv", COLUMNS)
    for some in (ROWS[:1], [], ROWS[1:]):
        log.extend(iter(some))
    log.close()
    assert (tmp_path / "together.csv").read_bytes() == whole


def test_a_log_cut_at_any_byte_loses_no_whole_row_and_takes_no_torn_one(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "log.csv"
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        newlines = whole[:size].count(b"\n")
        expected = TEXTS[: max(newlines - 1, 0)]
        assert texts_of(read_rows(path, COLUMNS)) == expected
        assert path.read_bytes() == whole[:size]  # reading changes nothing
        log = CsvLog(path, COLUMNS)
        assert texts_of(log.rows) == expected
        for row in ROWS[len(expected) :]:
            log.append(row)
        log.close()
        assert path.read_bytes() == whole


@given(st.binary(max_size=40))
@shared_folder
def test_what_comes_after_the_last_whole_row_is_dropped(tmp_path: Path, rest: bytes) -> None:
    """Whatever a crash left behind the rows, they are read, and the next row follows them."""
    path = tmp_path / "log.csv"
    path.unlink(missing_ok=True)
    write_log(path, ROWS[:2])
    before = path.read_bytes()
    path.write_bytes(before + rest)
    log = CsvLog(path, COLUMNS)
    assert texts_of(log.rows)[:2] == TEXTS[:2]
    log.keep(lambda row: row in log.rows[:2])
    log.append(ROWS[2])
    log.close()
    assert path.read_bytes() == before + (",".join(TEXTS[2]) + "\n").encode()


NO_ROWS = [b"2,0.5\n", b"2,0.5,0.5,0.5\n", b"2,x,0.5\n", b"\n", b"\0\0,\0,\0\n", b"2,0.5,\xff\n", b"2,0,0\x0b\n"]


@pytest.mark.parametrize("torn", NO_ROWS)
def test_lines_that_are_no_rows(tmp_path: Path, torn: bytes) -> None:
    """Nothing behind a line that is no row is taken either: it may be of another write."""
    path = tmp_path / "log.csv"
    write_log(path, ROWS[:2])
    before = path.read_bytes()
    path.write_bytes(before + torn + b"3,0.5,0.5\n")
    assert texts_of(read_rows(path, COLUMNS)) == TEXTS[:2]
    CsvLog(path, COLUMNS).close()
    assert path.read_bytes() == before


def test_rows_are_kept_up_to_the_first_unwanted_one(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "log.csv"
    for wanted in itertools.product([True, False], repeat=len(ROWS)):
        path.write_bytes(whole)
        log = CsvLog(path, COLUMNS)
        answers = iter(wanted)
        log.keep(lambda row, answers=answers: next(answers))  # type: ignore[misc]
        kept = [*wanted, False].index(False)
        assert texts_of(log.rows) == TEXTS[:kept]
        for row in ROWS[kept:]:
            log.append(row)
        log.close()
        assert path.read_bytes() == whole


def test_other_columns_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss\n1,2\n")
    for read in (read_rows, CsvLog):
        with pytest.raises(BadInput, match="has columns epoch,loss, not epoch,loss,accuracy"):
            read(path, COLUMNS)
    assert path.read_text() == "epoch,loss\n1,2\n"


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none.csv", COLUMNS) == []
    assert not (tmp_path / "none.csv").exists()


@given(st.lists(st.floats() | st.integers(-(2**70), 2**70) | st.none(), min_size=2, max_size=5))
@shared_folder
def test_numbers_read_back_exactly(tmp_path: Path, numbers: list[float | int | None]) -> None:
    path, columns = tmp_path / "numbers.csv", [f"c{i}" for i in range(len(numbers))]
    path.unlink(missing_ok=True)
    log = CsvLog(path, columns)
    log.append(dict(zip(columns, numbers, strict=True)))
    log.close()
    (row,) = read_rows(path, columns)
    for column, number in zip(columns, numbers, strict=True):
        read = None if row[column] == "" else type(number)(row[column])  # type: ignore[arg-type]
        assert repr(read) == repr(number)
    before = path.read_bytes()
    write_csv(path, columns, [numbers])
    assert path.read_bytes() == before


def test_numpy_numbers_are_written_like_pythons() -> None:
    assert text_of(torch.tensor(0.1, dtype=torch.float64).numpy()[()]) == "0.1"


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may have more bytes than that: as on a full disk, a part of what is written may be taken."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_whole_rows(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "log.csv"
    for room in range(len(",".join(TEXTS[2])) + 1):
        path.unlink(missing_ok=True)
        write_log(path, ROWS[:2])
        log = CsvLog(path, COLUMNS)
        size = path.stat().st_size
        with room_for(size + room), pytest.raises(OSError, match="File too large") as error:
            log.append(ROWS[2])
        assert error.value.filename == str(path)
        assert texts_of(read_rows(path, COLUMNS)) == TEXTS[:2]
        assert path.read_bytes().endswith(b"\n")
        for row in ROWS[2:]:
            log.append(row)
        log.close()
        assert path.read_bytes() == whole


# --- whole files --------------------------------------------------------------------------------------------


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "学習.bin"
    for content in (b"one", b"", b"two" * 10_000):
        write_bytes(path, content)
        assert path.read_bytes() == content
        assert [entry.name for entry in path.parent.iterdir()] == ["学習.bin"]


def no_space(*given_: object) -> None:
    """A system call on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "file.bin"
    write_bytes(path, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(f"lossscape.files.os.{step}", no_space)
        for target in (path, tmp_path / "new.bin"):
            with pytest.raises(OSError, match="No space left") as error:
                write_bytes(target, b"new")
            assert error.value.filename == str(target)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.bin"]
    assert path.read_bytes() == b"old"


def test_a_file_is_not_written_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_bytes(tmp_path / "folder", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_leavings_of_dead_processes_are_swept(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    for name in (f".a.csv.{dead.pid}.part", ".b.part"):
        (tmp_path / name).write_text("half")
    kept = {f".c.csv.{os.getpid()}.part", "d.part", ".e.csv"}
    for name in kept:
        (tmp_path / name).write_text("mine")
    (tmp_path / "inner").mkdir()
    sweep(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == kept | {"inner"}
    sweep(tmp_path / "nowhere")


def test_tensors_have_the_same_bytes_wherever_they_are_written(tmp_path: Path) -> None:
    value = {"weight": torch.arange(6.0).reshape(2, 3), "steps": 3, "best": [0.5, None], "name": "学習"}
    save_tensors(tmp_path / "a.pt", value)
    save_tensors(tmp_path / "another name.pt", {**value, "weight": value["weight"].clone()})  # type: ignore[union-attr]
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "another name.pt").read_bytes()
    read = torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.equal(read.pop("weight"), torch.arange(6.0).reshape(2, 3))
    assert read == {"steps": 3, "best": [0.5, None], "name": "学習"}
    assert manifest.sha256(tmp_path / "a.pt") == manifest.sha256(tmp_path / "another name.pt")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert manifest.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '{"a": 1', "\0"])
def test_json_that_is_torn_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert files.read_json(tmp_path / "a.json") == {}


def test_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"名": [1, None]}))
    assert files.read_json(tmp_path / "a.json") == {"名": [1, None]}
    assert files.read_json(tmp_path / "b.json") == {}
    assert files.read_json(tmp_path) == {}


# --- one writer ---------------------------------------------------------------------------------------------

HOLDER = """\
import sys
from pathlib import Path
from lossscape.files import held
with held(Path(sys.argv[1]), "tests"):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds tmp_path/held."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "held")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


@pytest.mark.parametrize("end", ["leaves", "is killed"])
def test_a_folder_is_held_by_one_process(tmp_path: Path, holder: "subprocess.Popen[str]", end: str) -> None:
    folder = tmp_path / "held"
    assert is_held(folder)
    for _ in range(2):
        with (
            pytest.raises(BadInput, match=rf"held is in use by process {holder.pid} on \S+ \(tests\): wait for it"),
            held(folder, "more tests"),
        ):
            pytest.fail("both hold it")
    with held(tmp_path / "another", "tests"):
        assert is_held(folder)
    if end == "leaves":
        holder.communicate()
    else:
        holder.kill()
        holder.wait()
    assert not is_held(folder)
    with held(folder, "tests"):
        assert (folder / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        assert is_held(folder)
    assert not is_held(folder)


def test_a_folder_is_free_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with held(tmp_path / "a", "tests"):
            (tmp_path / "a" / ".b.part").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not is_held(tmp_path / "a")
    with held(tmp_path / "a", "tests"):
        assert [entry.name for entry in (tmp_path / "a").iterdir()] == [".lock"]


def test_looking_makes_no_lock(tmp_path: Path) -> None:
    assert not is_held(tmp_path)
    assert not is_held(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.check_writable(tmp_path)
    files.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "a" / "b"):
        with pytest.raises(BadInput, match="file is not a folder that you may write to"):
            files.check_writable(path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(BadInput, match="not a folder that you may write to"):
        files.check_writable(tmp_path)

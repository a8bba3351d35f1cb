"""Interruptions, kills and full disks: what was written stays readable, and a rerun gives the undisturbed bytes."""

import csv
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import At, Ended, Processes

from lossscape.runs import Run, standing

CONFIG = """\
name: faulty
dataset: {name: digits, train_size: 120, test_size: 40}
model: {name: mlp, hidden: [8], dropout: 0.2}
optimizer: {name: momentum, lr: 0.05}
schedule: {name: cosine}
training: {epochs: 3, batch_size: 32, ema: 0.9, checkpoint_every_steps: 3}
"""
STEPS = 12
PLANE = ("--grid", "6x5", "--quiet")
LINE = ("--points", "150", "--quiet")


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """The command line as processes."""
    started = Processes()
    yield started
    started.close()


@pytest.fixture(scope="module")
def undisturbed(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with CONFIG and its finished run, a landscape and an interpolation.

    Its file `moments` says how often a process that trains touches the disk.
    """
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "faulty.yaml").write_text(CONFIG)
    never = At("write", 0, 0)
    trained = processes.run("train", "faulty.yaml", "--quiet", cwd=folder, at=never)
    assert trained.code == 0, trained
    (folder / "moments").write_text(trained.err.removeprefix("ticks"))
    for words in (("landscape", "runs/faulty", *PLANE), ("interpolate", "runs/faulty", *LINE)):
        answer = processes.run(*words, cwd=folder)
        assert answer.code == 0, answer
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with CONFIG."""
    (tmp_path / "faulty.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def finished(undisturbed: Path, place: Path) -> Path:
    """A folder with CONFIG and its finished run, without results."""
    without = shutil.ignore_patterns("landscape", "interpolate")
    shutil.copytree(undisturbed / "runs", place / "runs", ignore=without)
    return place


def metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv without the seconds, each cell read as a number."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        float(row.pop("seconds"))
        assert all(cell == "" or float(cell) is not None for cell in row.values())
    return rows


def assert_same_run(folder: Path, other: Path) -> None:
    """Both runs have the same checkpoint bytes and the same metrics, apart from the seconds."""
    names = [sorted(path.name for path in (each / "checkpoints").iterdir()) for each in (folder, other)]
    assert names[0] == names[1]
    for name in names[0]:
        assert (folder / "checkpoints" / name).read_bytes() == (other / "checkpoints" / name).read_bytes(), (
            name
        )
    assert metrics(folder) == metrics(other)
    assert standing(Run(folder)) == "finished"
    assert not list(folder.rglob("*.part"))


def assert_readable(folder: Path) -> None:
    """Every checkpoint loads and every row of metrics.csv is whole."""
    for checkpoint in Run(folder).checkpoints():
        assert checkpoint.state()
    if (folder / "metrics.csv").exists():
        metrics(folder)


def result(place: Path, kind: str) -> Path:
    """The folder of the one result of a kind."""
    (folder,) = (place / "runs" / "faulty" / kind).iterdir()
    return folder


# --- training -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "at_step"),
    [(signal.SIGINT, 1), (signal.SIGTERM, 6), (signal.SIGINT, 8), (signal.SIGTERM, STEPS)],
    ids=["first_step", "middle_of_an_epoch", "end_of_an_epoch", "last_step"],
)
def test_signal_while_training(
    processes: Processes, undisturbed: Path, place: Path, number: signal.Signals, at_step: int
) -> None:
    answer = processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=At("step", at_step, number))
    assert answer.code == 128 + number
    assert answer.out == ""
    said, command = answer.err.splitlines()[0].split("continue with: ")
    assert said == "lossscape: interrupted; "
    run = Run(place / "runs" / "faulty")
    assert run.state()["step"] == at_step
    assert standing(run) == "interrupted"
    assert_readable(run.path)

    program, *words = shlex.split(command)
    assert program == "lossscape"
    again = processes.run(*words, cwd=place)
    assert again.code == 0, again
    assert f"continuing after epoch {(at_step - 1) // 4}, step {at_step}" in again.err
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


def test_resume_command_finds_a_run_that_is_not_in_runs(
    processes: Processes, undisturbed: Path, place: Path
) -> None:
    elsewhere = place / "the other runs"
    words = ("train", "faulty.yaml", "--quiet", "--runs", elsewhere)
    assert processes.run(*words, cwd=place, at=At("step", 5, signal.SIGINT)).code == 130
    again = processes.run("train", elsewhere / "faulty" / "config.yaml", "--resume", cwd=place)
    assert again.code == 0, again
    assert not (place / "runs").exists()
    assert_same_run(elsewhere / "faulty", undisturbed / "runs" / "faulty")


def test_signal_to_the_installed_program(place: Path) -> None:
    """The whole program, started as a user does; it would train for hours."""
    words = [sys.executable, "-m", "lossscape", "train", "faulty.yaml", "--set", "training.epochs=1000000"]
    words += ["--set", "training.checkpoint_every=0", "--set", "training.checkpoint_every_steps=null"]
    root = str(Path(__file__).parents[1])
    with subprocess.Popen(
        words, cwd=place, env=os.environ | {"PYTHONPATH": root}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            file, deadline = place / "runs" / "faulty" / "metrics.csv", time.monotonic() + 60
            while not file.exists() or file.read_bytes().count(b"\n") < 4:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-1] == (
        "lossscape: interrupted; continue with: lossscape train runs/faulty/config.yaml --resume"
    )
    assert_readable(place / "runs" / "faulty")
    assert len(metrics(place / "runs" / "faulty")) >= 3


def test_killed_again_and_again_while_training(processes: Processes, undisturbed: Path, place: Path) -> None:
    """The first process dies at its first touch of the disk, the next at its fourth, and so on to the end."""
    run = Run(place / "runs" / "faulty")
    for number in itertools.count(1, 3):
        at = At("write", number, signal.SIGKILL)
        answer = processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=at)
        assert_readable(run.path)
        if answer.code != -signal.SIGKILL:
            break
        assert standing(run) in ("unknown", "stopped", "finished")
        assert number < 100
    assert answer.code == 0, answer
    assert number > 20
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


@pytest.mark.parametrize("before_the_end", [2, 1, 0])
def test_killed_around_its_last_word(
    processes: Processes, undisturbed: Path, place: Path, before_the_end: int
) -> None:
    """When only `finished` is left to be said, which a rerun then says."""
    number = int((undisturbed / "moments").read_text()) - before_the_end
    at = At("write", number, signal.SIGKILL)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=at).code == -signal.SIGKILL
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place).code == 0
    assert_same_run(place / "runs" / "faulty", undisturbed / "runs" / "faulty")


def test_killed_between_the_row_of_epoch_0_and_resume(
    processes: Processes, undisturbed: Path, finished: Path
) -> None:
    run = Run(finished / "runs" / "faulty")
    run.resume_file.unlink()
    run.metrics_file.write_text("".join(run.metrics_file.read_text().splitlines(keepends=True)[:2]))
    for checkpoint in run.checkpoints():
        if checkpoint.epoch or checkpoint.step:
            checkpoint.path.unlink()
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=finished).code == 0
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


@pytest.mark.parametrize("torn", ["40,40,0.3", "\0\0\0\0", "x,y\n"])
def test_torn_line_in_metrics(processes: Processes, undisturbed: Path, place: Path, torn: str) -> None:
    at = At("step", 6, signal.SIGINT)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=at).code == 130
    run = Run(place / "runs" / "faulty")
    with run.metrics_file.open("a") as file:
        file.write(torn)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place).code == 0
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


def test_already_done(cli: Callable[..., Any], finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished)

    def files() -> dict[str, bytes]:
        return {
            str(path): path.read_bytes()
            for path in finished.rglob("*")
            if path.is_file() and path.name != ".lock"
        }

    before = files()
    for words in (("faulty.yaml",), ("runs/faulty/config.yaml", "--resume")):
        answer = cli("train", *words)
        assert answer.code == 0
        assert "runs/faulty is already done" in answer.out
        assert files() == before


@pytest.mark.parametrize(
    ("file", "checkpoints"),
    [("config.yaml", []), ("checkpoints/epoch-0000.pt", []), ("resume.pt", ["epoch-0000", "best", "ema"])],
)
def test_full_disk_at_once(
    processes: Processes, undisturbed: Path, place: Path, file: str, checkpoints: list[str]
) -> None:
    """The disk has no room for one of the first files."""
    run, whole = Run(place / "runs" / "faulty"), undisturbed / "runs" / "faulty"
    sizes = sorted(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    room = [size for size in sizes if size < (whole / file).stat().st_size][-1]
    answer = processes.run("train", "faulty.yaml", "--quiet", cwd=place, file_size=room)
    assert_clear(answer, run.path.name)
    assert_readable(run.path)
    assert not list(run.path.rglob("*.part"))
    assert [checkpoint.label for checkpoint in run.checkpoints()] == checkpoints
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place).code == 0
    assert_same_run(run.path, whole)


def test_full_disk_while_training(processes: Processes, place: Path) -> None:
    """metrics.csv grows until it is the largest file, and a row of it does not fit any more."""
    small = [f"--set={setting}" for setting in (
        "model.hidden=[]", "model.dropout=0.0", "optimizer={name: sgd, lr: 0.1}", "training.ema=null",
        "training.batch_size=200", "training.epochs=50", "training.checkpoint_every=0",
        "training.checkpoint_every_steps=null",
    )]  # fmt: skip
    words = ("train", "faulty.yaml", "--quiet", *small)
    assert processes.run(*words, "--runs", "whole", cwd=place).code == 0
    whole, run = place / "whole" / "faulty", Run(place / "runs" / "faulty")
    limit = (whole / "resume.pt").stat().st_size + 200
    assert limit + 500 < (whole / "metrics.csv").stat().st_size

    answer = processes.run(*words, cwd=place, file_size=limit)
    assert_clear(answer, "metrics.csv")
    assert standing(run) == "failed"
    assert_readable(run.path)
    kept = metrics(run.path)
    assert 10 < len(kept) < 50
    assert run.metrics_file.read_bytes().endswith(b"\n")
    assert kept == metrics(whole)[: len(kept)]
    assert processes.run(*words, cwd=place).code == 0
    assert_same_run(run.path, whole)


def assert_clear(answer: Ended, place: str) -> None:
    """Exit 1 and one line that says what is full and what to do."""
    assert answer.code == 1, answer
    assert answer.out == ""
    (line,) = answer.err.splitlines()
    where, _, what = line.rpartition(": ")
    assert where.startswith("lossscape: runs/faulty/")
    assert place in where
    assert what == "File too large; what was written before stays readable, run the command again to continue"


# --- two at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL], ids=["goes_on", "dies"])
def test_a_run_is_held_by_one_process(
    processes: Processes, undisturbed: Path, place: Path, end: signal.Signals
) -> None:
    words = ("train", "faulty.yaml", "--quiet")
    holder = processes.start(*words, cwd=place, at=At("step", 6, signal.SIGSTOP))
    assert processes.wait(holder).code == -signal.SIGSTOP
    run = Run(place / "runs" / "faulty")
    assert standing(run) == "running"
    before = run.state_file.read_bytes(), run.metrics_file.read_bytes()
    for more in ((), ("--overwrite",)):
        second = processes.run(*words, *more, cwd=place)
        assert second.code == 2
        assert second.err.startswith(f"lossscape: runs/faulty is in use by process {holder} on ")
        assert "(training)" in second.err
        assert second.err.count("\n") == 1
        assert (run.state_file.read_bytes(), run.metrics_file.read_bytes()) == before

    os.kill(holder, end)
    ended = processes.wait(holder)
    if end == signal.SIGKILL:
        assert ended.code == -signal.SIGKILL
        assert standing(run) == "stopped"
        ended = processes.run(*words, cwd=place)
    assert ended.code == 0, ended
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


def test_a_result_is_held_by_one_process(processes: Processes, undisturbed: Path, finished: Path) -> None:
    words = ("landscape", "runs/faulty", *PLANE)
    holder = processes.start(*words, cwd=finished, at=At("row", 4, signal.SIGSTOP))
    assert processes.wait(holder).code == -signal.SIGSTOP
    second = processes.run(*words, cwd=finished)
    assert second.code == 2
    assert f"is in use by process {holder} on " in second.err
    other = processes.run("interpolate", "runs/faulty", *LINE, cwd=finished)
    assert other.code == 0, other
    os.kill(holder, signal.SIGKILL)
    assert processes.wait(holder).code == -signal.SIGKILL
    assert processes.run(*words, cwd=finished).code == 0
    assert_same_result(finished, undisturbed, "landscape", "surface.csv")


# --- results ------------------------------------------------------------------------------------------------


def assert_same_result(place: Path, undisturbed: Path, kind: str, file: str) -> None:
    """The result is finished and has the undisturbed bytes."""
    folder, other = result(place, kind), result(undisturbed, kind)
    assert folder.name == other.name
    assert (folder / file).read_bytes() == (other / file).read_bytes()
    assert (folder / "settings.yaml").read_bytes() == (other / "settings.yaml").read_bytes()
    names = [{path.name for path in each.iterdir()} for each in (folder, other)]
    assert names[0] == names[1]
    assert "points.csv" not in names[0]


def rows(file: Path) -> list[str]:
    """The rows of a CSV, without its header."""
    return file.read_text().splitlines()[1:] if file.exists() else []


def test_killed_again_and_again_while_evaluating(
    processes: Processes, undisturbed: Path, finished: Path
) -> None:
    words = ("landscape", "runs/faulty", *PLANE)
    results, kept = finished / "runs" / "faulty" / "landscape", ""
    for number in itertools.count(1, 3):
        at = At("write", number, signal.SIGKILL)
        answer = processes.run(*words, cwd=finished, at=at)
        if answer.code != -signal.SIGKILL:
            break
        for points in results.glob("*/points.csv"):
            whole = points.read_text().rpartition("\n")[0]
            assert whole.startswith(kept)  # finished points are never lost, and never evaluated again
            kept = whole
        assert number < 100
    assert answer.code == 0, answer
    assert kept.count("\n") > 5
    assert_same_result(finished, undisturbed, "landscape", "surface.csv")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_evaluating(
    processes: Processes, undisturbed: Path, finished: Path, number: signal.Signals
) -> None:
    """At the seventh of 30 points: none of the finished ones is evaluated again."""
    words = ("landscape", "runs/faulty", *PLANE[:-1])
    answer = processes.run(*words, cwd=finished, at=At("row", 7, number))
    assert answer.code == 128 + number
    last = [line for line in answer.err.splitlines() if line.startswith("lossscape:")]
    assert last == [
        "lossscape: interrupted; continue with: the same command once more (the finished points are kept)"
    ]
    folder = result(finished, "landscape")
    kept = rows(folder / "points.csv")
    assert len(kept) == 7
    again = processes.run(*words, cwd=finished)
    assert again.code == 0, again
    assert "23 of 30 points" in again.err
    assert_same_result(finished, undisturbed, "landscape", "surface.csv")
    assert set(kept) <= set(rows(folder / "surface.csv"))
    assert len(rows(folder / "surface.csv")) == 30


@pytest.mark.parametrize("torn", ["-1.0,0.5,2.", "\0\0", "a,b,c,d\n"])
def test_torn_line_in_points(processes: Processes, undisturbed: Path, finished: Path, torn: str) -> None:
    words = ("landscape", "runs/faulty", *PLANE[:-1])
    assert processes.run(*words, cwd=finished, at=At("row", 7, signal.SIGINT)).code == 130
    with (result(finished, "landscape") / "points.csv").open("a") as file:
        file.write(torn)
    again = processes.run(*words, cwd=finished)
    assert again.code == 0, again
    assert "23 of 30 points" in again.err
    assert_same_result(finished, undisturbed, "landscape", "surface.csv")


@pytest.mark.parametrize(
    ("words", "kind", "file"),
    [
        (("landscape", "runs/faulty", "--grid", "6x5"), "landscape", "surface.csv"),
        (("interpolate", "runs/faulty", "--points", "150"), "interpolate", "curve.csv"),
    ],
)
def test_a_damaged_result_is_completed(
    processes: Processes, undisturbed: Path, finished: Path, words: tuple[str, ...], kind: str, file: str
) -> None:
    """A final CSV that lost its end, and its figure: only what is missing is evaluated."""
    shutil.copytree(undisturbed / "runs" / "faulty" / kind, finished / "runs" / "faulty" / kind)
    folder = result(finished, kind)
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: whole.rindex(b"\n", 0, -40) + 5])
    for picture in folder.glob("*.png"):
        picture.unlink()
    again = processes.run(*words, cwd=finished)
    assert again.code == 0, again
    assert "1 of " in again.err
    assert_same_result(finished, undisturbed, kind, file)
    quiet = processes.run(*words, cwd=finished)
    assert quiet.code == 0
    assert "to evaluate" not in quiet.err


@pytest.mark.parametrize(
    ("words", "kind", "file", "file_size"),
    [
        (("landscape", "runs/faulty", *PLANE), "landscape", "surface.csv", 4000),
        (("interpolate", "runs/faulty", *LINE), "interpolate", "curve.csv", 4000),
    ],
    ids=["directions", "points"],
)
def test_full_disk_while_evaluating(
    processes: Processes, undisturbed: Path, finished: Path,
    words: tuple[str, ...], kind: str, file: str, file_size: int,
) -> None:  # fmt: skip
    answer = processes.run(*words, cwd=finished, file_size=file_size)
    assert_clear(answer, kind)
    folder = result(finished, kind)
    assert not (folder / file).exists()
    points = folder / "points.csv"
    if kind == "interpolate":
        kept = rows(points)
        assert points.read_bytes().endswith(b"\n")
        assert 10 < len(kept) < 150
        assert set(kept) <= set(rows(result(undisturbed, kind) / file))
    again = processes.run(*words, cwd=finished)
    assert again.code == 0, again
    assert_same_result(finished, undisturbed, kind, file)

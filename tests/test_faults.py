"""Interruptions, kills and full disks: what was written stays readable, and a rerun gives the undisturbed bytes."""

import csv
import itertools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Answer, forget
from processes import At, Ended, Processes, Room
from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

from benchmarks.reliability.faults import STAND
from benchmarks.reliability.trees import normal
from lossscape.listing import standing
from lossscape.runfiles import OF_THE_CALL
from lossscape.runs import Run

CONFIG = """\
name: faulty
dataset: {name: digits, train_size: 120, test_size: 40}
model: {name: mlp, hidden: [8], dropout: 0.2}
optimizer: {name: momentum, lr: 0.05}
schedule: {name: cosine}
training: {epochs: 3, batch_size: 32, ema: 0.9, checkpoint_every_steps: 3}
"""
STEPS = 12
PLANE = ("--grid", "6x5", "--refine", "9", "--auto-range", "3", "--quiet")
LINE = ("--points", "150", "--quiet")
POINTS = 39


def slow(*values: object, id: str | None = None) -> Any:
    """One more moment of a law that its test holds at other moments too: `make test-slow` tries all."""
    return pytest.param(*values, marks=pytest.mark.slow, id=id)


@pytest.fixture(scope="module")
def undisturbed(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with CONFIG and its finished run, a landscape and an interpolation.

    Its files `train` and `landscape` say how often a process that does so touches the disk.
    """
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "faulty.yaml").write_text(CONFIG)
    never = At("write", 0, 0)
    for words in (
        ("train", "faulty.yaml", "--quiet"),
        ("landscape", "runs/faulty", *PLANE),
        ("interpolate", "runs/faulty", *LINE),
    ):
        answer = processes.run(*words, cwd=folder, at=never)
        assert answer.code == 0, answer
        (folder / words[0]).write_text(answer.err.removeprefix("ticks"))
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
        assert (folder / "checkpoints" / name).read_bytes() == (other / "checkpoints" / name).read_bytes(), name
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
    [
        slow(signal.SIGINT, 1, id="first_step"),
        pytest.param(signal.SIGTERM, 6, id="middle_of_an_epoch"),
        slow(signal.SIGINT, 8, id="end_of_an_epoch"),
        pytest.param(signal.SIGTERM, STEPS, id="last_step"),
    ],
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


def test_resume_command_finds_a_run_that_is_not_in_runs(processes: Processes, undisturbed: Path, place: Path) -> None:
    elsewhere = place / "the other runs"
    words = ("train", "faulty.yaml", "--quiet", "--runs", elsewhere)
    assert processes.run(*words, cwd=place, at=At("step", 5, signal.SIGINT)).code == 130
    again = processes.run("train", elsewhere / "faulty" / "config.yaml", "--resume", cwd=place)
    assert again.code == 0, again
    assert not (place / "runs").exists()
    assert_same_run(elsewhere / "faulty", undisturbed / "runs" / "faulty")


@pytest.mark.slow
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


IMPORTING = """\
import atexit, builtins, os, signal, sys
from lossscape.cli import main
find, number, where = builtins.__import__, int(sys.argv[1]), sys.argv[2]
class Callback:
    def __del__(self):
        os.kill(os.getpid(), number)
def look(name, *others, **more):
    if name == "torch" and builtins.__import__ is look:
        builtins.__import__ = find
        Callback() if where == "callback" else os.kill(os.getpid(), number)
    return find(name, *others, **more)
if where == "end":
    atexit.register(os.kill, os.getpid(), number)
else:
    builtins.__import__ = look
sys.argv = ["lossscape", *sys.argv[3:]]
main()
"""


@pytest.mark.parametrize(
    ("number", "where"),
    [
        (signal.SIGINT, "modules"),
        (signal.SIGTERM, "callback"),
        slow(signal.SIGTERM, "modules"),
        slow(signal.SIGINT, "callback"),
        slow(signal.SIGINT, "end"),
        slow(signal.SIGTERM, "end"),
    ],
)
def test_signal_while_modules_are_imported(place: Path, number: signal.Signals, where: str) -> None:
    """In a callback an exception ends nothing; when the interpreter ends, all is done."""
    words = ["schema"] if where == "end" else ["landscape", "runs/a b\x1b", "--grid", "3", "--overwrite"]
    answer = subprocess.run(
        [sys.executable, "-c", IMPORTING, str(int(number)), where, *words],
        cwd=place, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if where == "end":
        assert (answer.returncode, answer.stderr) == (0, "")
        return
    assert answer.returncode == 128 + number
    assert answer.stderr == (
        "lossscape: interrupted; what was written is kept, continue with: lossscape landscape 'runs/a b\\x1b' --grid 3 "
        "--overwrite (without --overwrite to keep what that has begun)\n"
    )


@pytest.mark.parametrize("before_the_end", [slow(2), 1, slow(0)])
def test_signal_while_the_last_file_is_written(
    processes: Processes, undisturbed: Path, finished: Path, before_the_end: int
) -> None:
    words = ("interpolate", "runs/faulty", *LINE)
    at = At("write", int((undisturbed / "interpolate").read_text()) - before_the_end, signal.SIGINT)
    answer = processes.run(*words, cwd=finished, at=at)
    kept = "lossscape: interrupted; what was written is kept, continue with: "
    assert answer == (130, "", f"{kept}lossscape {' '.join(words)}\n")
    assert processes.run(*words, cwd=finished).code == 0
    for name in ("curve.csv", "measures.json", "certificate.json", "settings.yaml"):
        other = result(undisturbed, "interpolate") / name
        assert (result(finished, "interpolate") / name).read_bytes() == other.read_bytes()
    assert not list(finished.rglob("*.part"))


@pytest.mark.parametrize("step", [slow(3), 11])
def test_killed_again_and_again_while_training(processes: Processes, undisturbed: Path, place: Path, step: int) -> None:
    """The first process dies at its first touch of the disk, the next at its twelfth (or fourth), and so on."""
    run = Run(place / "runs" / "faulty")
    for number in itertools.count(1, step):
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


@pytest.mark.parametrize("before_the_end", [slow(2), 1, slow(0)])
def test_killed_around_its_last_word(processes: Processes, undisturbed: Path, place: Path, before_the_end: int) -> None:
    """When only `finished` is left to be said, which a rerun then says."""
    number = int((undisturbed / "train").read_text()) - before_the_end
    at = At("write", number, signal.SIGKILL)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=at).code == -signal.SIGKILL
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place).code == 0
    assert_same_run(place / "runs" / "faulty", undisturbed / "runs" / "faulty")


def test_killed_between_the_row_of_epoch_0_and_resume(processes: Processes, undisturbed: Path, finished: Path) -> None:
    run = Run(finished / "runs" / "faulty")
    forget(run.path)
    run.resume_file.unlink()
    run.metrics_file.write_text("".join(run.metrics_file.read_text().splitlines(keepends=True)[:2]))
    for checkpoint in run.checkpoints():
        if checkpoint.epoch or checkpoint.step:
            checkpoint.path.unlink()
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=finished).code == 0
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


@pytest.mark.parametrize("torn", ["40,40,0.3", slow("\0\0\0\0"), slow("x,y\n")])
def test_torn_line_in_metrics(processes: Processes, undisturbed: Path, place: Path, torn: str) -> None:
    at = At("step", 6, signal.SIGKILL)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=at).code == -signal.SIGKILL
    run = Run(place / "runs" / "faulty")
    with run.metrics_file.open("a") as file:
        file.write(torn)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place).code == 0
    assert_same_run(run.path, undisturbed / "runs" / "faulty")


def test_a_page_after_a_kill_differs_in_what_is_of_the_machine_alone(
    processes: Processes, finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("killed")
    (place / "faulty.yaml").write_text(CONFIG)
    at = At("step", 6, signal.SIGKILL)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place, at=at).code == -signal.SIGKILL
    pages, environments = [], []
    for folder in (place, finished):
        assert processes.run("train", "faulty.yaml", "--quiet", cwd=folder).code == 0
        assert processes.run("report", "runs/faulty", cwd=folder).code == 0
        pages.append((folder / "runs" / "faulty" / "report" / "index.html").read_bytes())
        environments.append(Run(folder / "runs" / "faulty").environment())
    assert pages[0] != pages[1]
    assert normal("index.html", pages[0]) == normal("index.html", pages[1])
    ours, theirs = ({key: each[key] for key in each if key not in OF_THE_CALL} for each in environments)
    assert ours == theirs
    assert "data" in ours
    assert "resumed" in environments[0]


def test_already_done(processes: Processes, finished: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in finished.rglob("*") if path.is_file() and path.name != ".lock"}

    before = files()
    for words in (("faulty.yaml",), ("runs/faulty/config.yaml", "--resume")):
        answer = processes.run("train", *words, cwd=finished)
        assert answer.code == 0
        assert "runs/faulty is already done" in answer.out
        assert files() == before


@pytest.mark.parametrize(
    ("file", "checkpoints"),
    [slow("config.yaml", []), slow("checkpoints/epoch-0000.pt", []), ("resume.pt", ["epoch-0000", "best", "ema"])],
)
def test_full_disk_at_once(
    processes: Processes, undisturbed: Path, place: Path, file: str, checkpoints: list[str]
) -> None:
    """The disk has no room for one of the first files."""
    run, whole = Run(place / "runs" / "faulty"), undisturbed / "runs" / "faulty"
    sizes = sorted(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    room = [size for size in sizes if size < (whole / file).stat().st_size][-1]
    answer = processes.run("train", "faulty.yaml", "--quiet", cwd=place, room=Room(room))
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

    answer = processes.run(*words, cwd=place, room=Room(limit))
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


@pytest.mark.parametrize("end", [slow(signal.SIGCONT, id="goes_on"), pytest.param(signal.SIGKILL, id="dies")])
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
    for more in ((), ("--overwrite",)):
        second = processes.run(*words, *more, cwd=finished)
        assert second.code == 2
        assert f"is in use by process {holder} on " in second.err
        assert "(evaluating)" in second.err
        assert second.err.count("\n") == 1
        assert len(rows(result(finished, "landscape") / "points.csv")) == 4
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
    names = [{path.name for path in each.iterdir()} for each in (folder, other)]
    assert names[0] == names[1]
    assert "points.csv" not in names[0]
    for name in (file, "settings.yaml", "range.json", "directions.pt", "measures.json"):
        assert name not in names[0] or (folder / name).read_bytes() == (other / name).read_bytes(), name
    certificates = [json.loads((each / "certificate.json").read_text()) for each in (folder, other)]
    assert certificates[0]["passed"]
    assert certificates[0] == certificates[1]


def rows(file: Path) -> list[str]:
    """The rows of a CSV, without its header."""
    return file.read_text().splitlines()[1:] if file.exists() else []


def kept_points(place: Path) -> list[str]:
    """The whole rows of the landscape that is not finished, none of them twice."""
    (file,) = (place / "runs" / "faulty" / "landscape").glob("*/points.csv")
    kept = file.read_text().rpartition("\n")[0].splitlines()[1:]
    assert len({tuple(row.split(",")[:2]) for row in kept}) == len(kept)
    return kept


def assert_continues(processes: Processes, place: Path, undisturbed: Path, kept: list[str]) -> None:
    """The rerun of a landscape evaluates what is missing, and none of the points that were kept."""
    again = processes.run("landscape", "runs/faulty", *PLANE[:-1], cwd=place)
    assert again.code == 0, again
    assert f"{POINTS - len(kept)} of {POINTS} points" in again.err
    assert_same_result(place, undisturbed, "landscape", "surface.csv")
    surface = rows(result(place, "landscape") / "surface.csv")
    assert set(kept) <= set(surface)
    assert len(surface) == POINTS


@pytest.mark.parametrize(
    ("what", "number", "there"),
    [("chunk", 5, "directions.pt"), ("trial", 8, "range.json")],
    ids=["while_looking_for_the_range", "while_choosing_a_plan"],
)
def test_killed_before_the_first_point(
    processes: Processes, undisturbed: Path, finished: Path, what: str, number: int, there: str
) -> None:
    words = ("landscape", "runs/faulty", *PLANE)
    answer = processes.run(*words, cwd=finished, at=At(what, number, signal.SIGKILL))
    assert answer.code == -signal.SIGKILL
    left = {path.name for path in result(finished, "landscape").iterdir()}
    assert there in left
    assert ("range.json" in left) == (what == "trial")
    assert "engine.json" not in left
    assert_continues(processes, finished, undisturbed, [])


@pytest.mark.parametrize(
    "number", [slow(2, id="early"), slow(19, id="in_the_middle"), pytest.param(35, id="while_refining")]
)
def test_killed_while_evaluating(processes: Processes, undisturbed: Path, finished: Path, number: int) -> None:
    words = ("landscape", "runs/faulty", *PLANE)
    answer = processes.run(*words, cwd=finished, at=At("row", number, signal.SIGKILL))
    assert answer.code == -signal.SIGKILL
    kept = kept_points(finished)
    assert len(kept) == number
    assert_continues(processes, finished, undisturbed, kept)


@pytest.mark.parametrize(
    ("before_the_end", "left"),
    [
        slow(7, {"points.csv"}),  # the last two are of the note of what was made
        (6, {"points.csv", "surface.csv"}),
        slow(5, {"surface.csv"}),
        (4, {"surface.csv", "certificate.json"}),
        slow(2, {"surface.csv", "certificate.json"}),
        slow(1, {"surface.csv", "certificate.json"}),
        slow(0, {"surface.csv", "certificate.json"}),
    ],
)
def test_killed_around_the_last_files(
    processes: Processes, undisturbed: Path, finished: Path, before_the_end: int, left: set[str]
) -> None:
    words = ("landscape", "runs/faulty", *PLANE)
    number = int((undisturbed / "landscape").read_text()) - before_the_end
    answer = processes.run(*words, cwd=finished, at=At("write", number, signal.SIGKILL))
    assert answer.code == -signal.SIGKILL
    names = {path.name for path in result(finished, "landscape").iterdir()}
    assert names & {"points.csv", "surface.csv", "certificate.json"} == left
    assert processes.run(*words, cwd=finished).code == 0
    assert_same_result(finished, undisturbed, "landscape", "surface.csv")


@pytest.mark.slow
@pytest.mark.parametrize(("plan", "step"), [("factored", 4), ("stacked", 7)])
def test_killed_again_and_again_while_evaluating(
    processes: Processes, undisturbed: Path, finished: Path, plan: str, step: int
) -> None:
    """The first process dies at its first touch of the disk, the next at its fifth (or eighth), and so on."""
    words = ("landscape", "runs/faulty", *PLANE, "--plan", plan)
    if plan == "stacked":
        whole = finished / "whole"
        shutil.copytree(finished / "runs", whole / "runs")
        assert processes.run(*words, cwd=whole).code == 0
        undisturbed = whole
    results, kept = finished / "runs" / "faulty" / "landscape", ""
    for number in itertools.count(1, step):
        at = At("write", number, signal.SIGKILL)
        answer = processes.run(*words, cwd=finished, at=at)
        if answer.code != -signal.SIGKILL:
            break
        for points in results.glob("*/points.csv"):
            kept_points(finished)
            text = points.read_text().rpartition("\n")[0]
            assert text.startswith(kept)  # finished points are never lost, and never evaluated again
            kept = text
        assert number < 100
    assert answer.code == 0, answer
    assert kept.count("\n") > 5
    assert_same_result(finished, undisturbed, "landscape", "surface.csv")


@pytest.mark.parametrize("number", [signal.SIGINT, slow(signal.SIGTERM)])
def test_signal_in_the_middle_of_a_block(
    processes: Processes, undisturbed: Path, finished: Path, number: signal.Signals
) -> None:
    """After the block of eight points that is written, three of the next, which is not."""
    probes = json.loads((result(undisturbed, "landscape") / "range.json").read_text())["probes"]
    words = ("landscape", "runs/faulty", *PLANE[:-1])
    answer = processes.run(*words, cwd=finished, at=At("chunk", probes + 11, number))
    assert answer.code == 128 + number
    assert answer.err.splitlines()[-1] == (
        "lossscape: interrupted; continue with: the same command once more (what is finished is kept)"
    )
    kept = kept_points(finished)
    assert len(kept) == 8
    assert_continues(processes, finished, undisturbed, kept)


@pytest.mark.parametrize("row", [slow(3), POINTS])
def test_signal_while_rows_are_written(processes: Processes, undisturbed: Path, finished: Path, row: int) -> None:
    """The block's other rows are written too, and no signal is forgotten after the last."""
    words = ("landscape", "runs/faulty", *PLANE[:-1])
    answer = processes.run(*words, cwd=finished, at=At("row", row, signal.SIGINT))
    assert answer.code == 130
    kept = kept_points(finished)
    assert len(kept) == (8 if row == 3 else POINTS)
    assert not (result(finished, "landscape") / "surface.csv").exists()
    assert_continues(processes, finished, undisturbed, kept)


@pytest.mark.parametrize("torn", ["-1.0,0.5,2.", slow("\0\0"), slow("a,b,c,d\n")])
def test_torn_line_in_points(processes: Processes, undisturbed: Path, finished: Path, torn: str) -> None:
    words = ("landscape", "runs/faulty", *PLANE)
    assert processes.run(*words, cwd=finished, at=At("row", 32, signal.SIGKILL)).code == -signal.SIGKILL
    kept = kept_points(finished)
    with (result(finished, "landscape") / "points.csv").open("a") as file:
        file.write(torn)
    assert_continues(processes, finished, undisturbed, kept)


@pytest.mark.parametrize(
    ("words", "kind", "file"),
    [
        (("landscape", "runs/faulty", *PLANE[:-1]), "landscape", "surface.csv"),
        (("interpolate", "runs/faulty", *LINE[:-1]), "interpolate", "curve.csv"),
    ],
    ids=["landscape", "interpolate"],
)
def test_a_damaged_result_is_completed(
    processes: Processes, undisturbed: Path, finished: Path, words: tuple[str, ...], kind: str, file: str
) -> None:
    """A final CSV that lost its end, and its figure: only what is missing is evaluated."""
    shutil.copytree(undisturbed / "runs" / "faulty" / kind, finished / "runs" / "faulty" / kind)
    folder = result(finished, kind)
    whole = (folder / file).read_bytes()
    (folder / file).write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 5])
    for picture in folder.glob("*.png"):
        picture.unlink()
    refused = processes.run(*words, cwd=finished)
    assert refused.code == 2
    assert f"{file}: changed since lossscape wrote it" in refused.err
    forget(folder)  # as results of before there were digests
    again = processes.run(*words, cwd=finished)
    assert again.code == 0, again
    assert "1 of " in again.err
    assert_same_result(finished, undisturbed, kind, file)
    quiet = processes.run(*words, cwd=finished)
    assert quiet.code == 0
    assert "to evaluate" not in quiet.err


FULL = [
    *(slow("landscape", name, 20) for name in ("settings.yaml", "directions.pt", "range.json", "certificate.json")),
    *(("landscape", name, 20) for name in ("engine.json", "surface.csv")),
    ("landscape", "points.csv", 2000),
    *(slow("interpolate", name, size) for name, size in (("points.csv", 4000), ("measures.json", 20))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "full", "size"), FULL, ids=lambda value: str(value))
def test_full_disk_while_evaluating(
    processes: Processes, undisturbed: Path, finished: Path, kind: str, full: str, size: int
) -> None:
    """The disk is full from when a file is begun on: it says so, and what was computed before is kept."""
    words = (kind, "runs/faulty", *(PLANE if kind == "landscape" else LINE))
    file = "surface.csv" if kind == "landscape" else "curve.csv"
    assert_clear(processes.run(*words, cwd=finished, room=Room(size, full)), full)
    folder = result(finished, kind)
    assert not list(folder.glob(".*.part"))
    kept = rows(folder / "points.csv")
    if full == "points.csv":
        assert 10 < len(kept) < len(rows(result(undisturbed, kind) / file))
        assert (folder / "points.csv").read_bytes().endswith(b"\n")
    if full == "surface.csv":
        assert len(kept) == POINTS
    again = processes.run(*words, cwd=finished)
    assert again.code == 0, again
    assert set(kept) <= set(rows(folder / file))
    assert_same_result(finished, undisturbed, kind, file)


# --- where the program stands -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        (">&-", 0, ""),
        ("> /dev/full", 1, "lossscape: No space left on device; what was written before stays readable, "),
        ("| true", 1, ""),
    ],
    ids=["closed", "full", "without_a_reader"],
)
def test_stdout_that_takes_nothing(place: Path, where: str, code: int, said: str) -> None:
    """The installed program: what Python itself does with stdout as it ends belongs to it."""
    program = f"{shlex.quote(sys.executable)} -m lossscape schema"
    root = str(Path(__file__).parents[1])
    answer = subprocess.run(
        ["bash", "-c", f"{program} {where}; exit ${{PIPESTATUS[0]}}"],
        cwd=place, env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True,
    )  # fmt: skip
    assert answer.returncode == code
    assert answer.stderr.startswith(said)
    assert answer.stderr.count("\n") == bool(said)


def test_without_a_home(processes: Processes, place: Path) -> None:
    """Nobody knows where plans are kept: it is said what to set."""
    words = ("interpolate", "runs/faulty", *LINE)
    assert processes.run("train", "faulty.yaml", "--quiet", cwd=place).code == 0
    answer = processes.run(*words, cwd=place, first=(STAND, {"home": False}))
    assert answer.code == 2
    assert (
        answer.err == "lossscape: ~/.cache/lossscape: there is no home folder; set LOSSSCAPE_CACHE and LOSSSCAPE_DATA\n"
    )


@pytest.mark.parametrize("within", [False, True])
def test_a_signal_while_a_library_calls_back_ends_the_command_as_any(
    within: bool, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pydantic makes an error of its own of whatever a serializer raises, and of one within another its words alone."""

    class Section(BaseModel):
        @model_serializer
        def struck(self) -> dict[str, int]:
            os.kill(os.getpid(), signal.SIGTERM)
            return {}

    class Whole(BaseModel):
        section: Section

        @model_serializer(mode="wrap")
        def passed_on(self, serialize: SerializerFunctionWrapHandler) -> Any:
            return serialize(self)

    model = Whole(section=Section()) if within else Section()
    monkeypatch.setattr("lossscape.config.json_schema", lambda: model.model_dump())
    answer = cli("schema")
    assert answer.code == 143
    assert answer.err == "lossscape: interrupted; what was written is kept, continue with: lossscape schema\n"

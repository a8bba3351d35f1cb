"""The campaigns see what is wrong: what they strike, what they compare, what they draw, what they say of it."""

import io
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import Ended, Processes

from benchmarks.reliability import fuzz, inputs, works
from benchmarks.reliability.damage import damage, same_meaning
from benchmarks.reliability.faults import ARM, Fault, Victim, schedule
from benchmarks.reliability.fuzz import Answer, Place, ended_badly
from benchmarks.reliability.outcome import Outcomes, Verdict, class_of, complaint
from benchmarks.reliability.trees import differences, normal, tree
from lossscape.figures.certificates import engine_rows
from lossscape.runs import Run

SCRIPT = """\
import os
from pathlib import Path
with open("a", "w") as file:
    file.write("12345678")
    file.flush()
    os.fsync(file.fileno())
os.replace("a", "b")
Path("made").mkdir()
Path("b").unlink()
"""
OTHERWISE = """\
import sys
from benchmarks.reliability import clock
from lossscape.cli import main
if sys.argv.pop(1) == "untimed":
    clock.leave_untimed()
clock.run_otherwise(1e6)
main()
"""
OPERATIONS = ["open", "before the write", "half of the write", "fsync", "replace", "mkdir", "unlink"]


def test_every_command_is_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not works.missed()
    monkeypatch.delitem(works.WORKS, "minimum")
    assert works.missed() == {"minimum"}


# --- the disk -----------------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A folder with a script that touches files in it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def struck(processes: Processes, folder: Path, **options: Any) -> tuple[Ended, set[str]]:
    """How the script ended when it was struck, and what it left."""
    ended = processes.run("script.py", cwd=folder, first=(ARM, {"below": str(folder), **options}))
    return ended, {path.name for path in folder.iterdir()} - {"script.py"}


def test_operations_are_counted(processes: Processes, script: Path) -> None:
    ended, left = struck(processes, script)
    assert ended.err == f"operations {len(OPERATIONS)}\n"
    assert left == {"made"}


@pytest.mark.parametrize(
    ("number", "left"), [(1, set()), (2, {"a"}), (3, {"a"}), (5, {"a"}), (6, {"b"}), (7, {"b", "made"})]
)
def test_a_process_dies_at_an_operation(processes: Processes, script: Path, number: int, left: set[str]) -> None:
    ended, found = struck(processes, script, number=number, signal=9)
    assert ended.code == -9
    assert found == left
    if number in (2, 3):
        assert (script / "a").read_text() == ("" if number == 2 else "1234")


def test_a_disk_that_is_full_at_an_operation_and_on(processes: Processes, script: Path) -> None:
    ended, left = struck(processes, script, number=3, error="ENOSPC", lasting=True)
    assert ended.code == 1
    assert "[Errno 28] No space left on device" in ended.err
    assert left == {"a"}
    assert (script / "a").read_text() == "1234"
    ended, left = struck(processes, script, number=5, error="EROFS")
    assert "[Errno 30]" in ended.err


# --- kills --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def victim(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """Training of a small net, undisturbed once."""
    folder = tmp_path_factory.mktemp("victim")
    (folder / "fresh").mkdir()
    (folder / "fresh" / "micro.yaml").write_text(works.CONFIGS["micro"])
    found = Victim(processes, "train micro-batch", works.WORKS["train micro-batch"], folder / "fresh", folder / "place")
    found.measure()
    return found


@pytest.mark.slow
def test_a_killed_training_is_healed_and_what_differs_is_told(victim: Victim) -> None:
    assert victim.operations > 50
    results = [victim.case(0, number) for number in range(3)]
    assert all(verdict.column != "wrong" or "word" in verdict.why for case in results for _, verdict in case)
    name = "runs/micro/checkpoints/epoch-0001.pt"
    whole = dict(victim.whole)
    victim.whole[name] = b"other bytes"
    ((_, last),) = victim.case(0, 4)[-1:]
    assert last.column == "wrong"
    assert f"after the rerun of train, {name} differs" in last.why
    victim.whole = whole


def test_what_is_drawn_of_a_case_is_drawn_again(victim: Victim) -> None:
    drawn = [[fault for fault, _ in victim.case(7, 1)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert isinstance(drawn[0][0], Fault)


def test_works_come_as_often_as_their_shares() -> None:
    names = list(works.WORKS)
    order = schedule(names, 0)
    drawn = [next(order) for _ in range(400)]
    assert drawn.count("train") == pytest.approx(4 * drawn.count("film"), abs=4)


# --- comparing ----------------------------------------------------------------------------------------------


def test_trees_differ_in_all_but_what_belongs_to_a_call(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,loss,seconds\n0,0.5,1.25\n")
    (tmp_path / "environment.json").write_text('{"started": "now", "seed": 1}')
    (tmp_path / ".lock").write_text("process 5")
    (tmp_path / "a.csv").write_text("1")
    whole = tree(tmp_path)
    (tmp_path / "metrics.csv").write_text("epoch,loss,seconds\n0,0.5,7.0\n")
    (tmp_path / "environment.json").write_text('{"started": "then", "seed": 1}')
    (tmp_path / ".lock").write_text("process 6")
    assert differences(tree(tmp_path), whole) == []
    (tmp_path / "metrics.csv").write_text("epoch,loss,seconds\n0,0.6,1.25\n")
    (tmp_path / "environment.json").write_text('{"started": "now", "seed": 2}')
    (tmp_path / "a.csv").unlink()
    (tmp_path / ".a.csv.12.part").write_text("")
    said = " ".join(differences(tree(tmp_path), whole))
    for words in ("metrics.csv differs", "environment.json differs in seed", "a.csv is missing", "part is left over"):
        assert words in said


@pytest.mark.parametrize(
    ("code", "err", "why"),
    [
        (0, "", None),
        (2, "lossscape: no such run\n", None),
        (2, "", "exit code 2 without a word"),
        (1, "lossscape: KeyError: 'x' (unexpected; --debug shows where)\n", "unexpected"),
        (1, "Traceback (most recent call last):\nKeyError\n", "traceback"),
        (1, "lossscape: disk\n", "exit code 1"),
        (2, "lossscape: \x1b[31m\n", "control character"),
        (2, "lossscape: " + "x" * 9000 + "\n", "a line of"),
        (0, "x.py:3: UserWarning: TypedStorage is deprecated\n", "a warning"),
    ],
)
def test_how_commands_may_end(code: int, err: str, why: str | None) -> None:
    found = ended_badly(Answer(code, "", err, cut=False))
    assert found is None if why is None else why in (found or "")


def test_the_table_counts_and_names_what_is_wrong() -> None:
    outcomes = Outcomes(("refused", "wrong"), "make fuzz")
    outcomes.add("a", "a:1", Verdict("refused"))
    outcomes.add("a", "a:2", Verdict("wrong", "exit code 1: runs/3 | one"))
    outcomes.add("b", "b:7", Verdict("wrong", "exit code 5: runs/4 | other"))
    text = "\n".join(outcomes.lines())
    assert outcomes.total() == 3
    assert "wrong, 2 times" in text
    assert "make fuzz --only 'b:7'" in text
    assert class_of("exit code 1: x") == class_of("exit code 2: x") != class_of("exit code 2: y")
    assert complaint(130, "", (130,)) == "exit code 130 without a word"


# --- what is drawn ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", inputs.KINDS)
def test_bad_input_is_drawn_by_seed_and_of_many_kinds(kind: str) -> None:
    few = range(20)  # of hypothesis's trees, which take long
    cases = [inputs.drawn(kind, 3, number) for number in (few if kind in ("configs", "sweeps") else range(400))]
    assert cases[:20] == [inputs.drawn(kind, 3, number) for number in few]
    assert cases[:20] != [inputs.drawn(kind, 4, number) for number in few]
    assert len({(case.words, *case.files.values()) for case in cases}) > 0.75 * len(cases)
    if kind == "options":
        assert len({case.words[0] for case in cases}) == len(works.commands())


@pytest.mark.parametrize(
    ("name", "content", "same"),
    [
        ("a.json", b'{"a": 1.50, "b": [1, 2, {"c": null}]}', b'{"b": [1, 2, {"c": null}],  "a": 1.5}'),
        ("a.yaml", b"a: 1\nb: [x, y]\nc: {d: 2.5}\n", b"c:\n  d: 2.5\nb: [x, y]\na: 1\n"),
        ("a.csv", b"x,loss\n0,0.50\n1,0.25\n2,0.125\n", b"x,loss\n0.0,0.5\n1,0.25\n2,0.125\n"),
    ],
)
def test_damage_changes_a_file_and_is_told_from_other_blanks(
    name: str, content: bytes, same: bytes, tmp_path: Path
) -> None:
    path, other = tmp_path / name, tmp_path / f"b{Path(name).suffix}"
    other.write_bytes(content[:-2])
    kinds = set()
    for number in range(200):
        path.write_bytes(content)
        kinds.add(damage(random.Random(number), path, [path, other]))
        assert path.read_bytes() != content
    assert {"flip", "cut", "digit", "swap", "zero"} <= kinds
    assert len(kinds) > 5
    assert same_meaning(name, same, content)
    assert not same_meaning(name, content.replace(b"2", b"3"), content)


def test_damaged_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    state = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}
    torch.save(state, path)
    content = path.read_bytes()
    for number in range(100):
        path.write_bytes(content)
        damage(random.Random(number), path, [path])
        assert path.read_bytes() != content
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    assert same_meaning("a.pt", buffer.getvalue(), content)
    torch.save(state | {"count": torch.tensor(4)}, path)
    assert not same_meaning("a.pt", path.read_bytes(), content)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with a few files."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_text("1")
    (tmp_path / "b.json").write_text(json.dumps({}))
    kept = Place(tmp_path)
    kept.keep()
    return kept


def test_a_place_is_put_back(place: Place) -> None:
    before = tree(place.folder)
    assert place.changed() == []
    (place.folder / "sub" / "a").unlink()
    (place.folder / "b.json").write_text("[]")
    (place.folder / "new" / "er").mkdir(parents=True)
    (place.folder / "sub" / ".lock").write_text("")
    found = place.changed()
    assert sorted(found) == ["b.json", "new", "new/er", "sub/a"]
    place.put_back(found)
    (place.folder / "sub" / ".lock").unlink()
    assert tree(place.folder) == before
    assert place.changed() == []
    (place.folder / "b.json").write_text("{}")  # the same bytes, written again
    assert place.changed() == []


@pytest.mark.parametrize("seconds", [2e-7, 8.8e-5, 9.99e-5, 1e-4, 0.0021, 0.24, 31.0, 200.0])
def test_pages_are_compared_without_times(seconds: float) -> None:
    pages = [str(engine_rows({"seconds_per_point": each, "threads": 1})).encode() for each in (seconds, 0.5)]
    assert pages[0] != pages[1]
    assert normal("index.html", pages[0]) == normal("index.html", pages[1])
    assert b"threads" in normal("index.html", pages[0])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            "timed landscape runs/digits --grid 3 --samples 40 --quiet",
            ["engine.json differs in plan"],
            marks=pytest.mark.slow,
        ),
        ("untimed landscape runs/digits --grid 3 --samples 40 --quiet", []),
        pytest.param("untimed train digits.yaml --set training.epochs=1 --set name=new", [], marks=pytest.mark.slow),
    ],
)
def test_work_is_done_alike_by_any_clock_where_nothing_is_timed(
    words: str, said: list[str], own_run: Run, config: Path, processes: Processes, tmp_path: Path
) -> None:
    first, *rest = words.split()
    (tmp_path / "otherwise.py").write_text(OTHERWISE)
    before, found = tree(tmp_path), []
    for command in (rest, ["otherwise.py", first, *rest]):
        assert processes.run(*command, cwd=tmp_path).code == 0
        found.append(tree(tmp_path))
        for name in sorted(found[-1].keys() - before.keys(), reverse=True):
            path = tmp_path / name
            path.rmdir() if path.is_dir() else path.unlink()
    assert found[0] != found[1]
    assert [each.rpartition("/")[2] for each in differences(*found)] == said


COMPARED = "| group | runs | seconds |\n| --- | --- | --- |\n| a | {runs} | {seconds} |\n\nUntil 5 | {runs} |\n"
PAGE = (
    "<table><thead><tr><th rowspan=2>group</th><th colspan=3></th></tr>\n"
    "<tr><th>runs</th><th>seconds</th><th>loss</th></tr></thead>"
    "<tr><th>a</th><td>{runs}</td><td>{seconds}</td><td>2</td></tr></table><table><tr><td>{runs}</td></tr></table>"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table.md", COMPARED),
        ("groups.csv", "group,runs,seconds_mean,loss 0.1 seconds\na,{runs},{seconds},{seconds}\n"),
        ("index.html", PAGE),
        ("index.html", PAGE.replace("{runs}</td><td>{s", "1</td><td>{s")),
    ],
)
def test_tables_are_compared_without_seconds(name: str, text: str) -> None:
    one, other, wrong = (
        normal(name, text.format(runs=runs, seconds=seconds).encode())
        for runs, seconds in ((1, 0.25), (1, 8e-5), (2, 0.25))
    )
    assert one == other != wrong


def test_a_digit_of_a_long_tensor_is_seen() -> None:
    buffers = [io.BytesIO() for _ in range(3)]
    for seconds, (buffer, digit) in enumerate(zip(buffers, (0.0, 1e-7, 0.0), strict=True)):
        values = torch.zeros(5000)
        values[2000] = digit
        torch.save({"model": {"weight": values}, "epoch": 1, "seconds": float(seconds)}, buffer)
    one, other, same = (normal("resume.pt", buffer.getvalue()) for buffer in buffers)
    assert one == same != other


@pytest.mark.parametrize(("seconds", "slow"), [(0.2, 1.0), (3.5, 3.5)])
def test_cases_have_as_much_longer_as_commands_take(
    place: Place, seconds: float, slow: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(fuzz, "files_of_runs", lambda folder: ["b.json"])
    monkeypatch.setattr(fuzz, "readers", lambda name: [["runs"]])
    monkeypatch.setattr(fuzz, "call", lambda words, moment: Answer(0, "", "", cut=False))
    monkeypatch.setattr("time.process_time", lambda: seconds * next(clock))
    assert fuzz.made_undamaged(place) == {("runs",): {}}
    assert place.slow == slow


def test_digests_are_compared_by_what_they_say_in_the_end() -> None:
    kept, other = (json.dumps({"file": "a.csv", "size": 1, "sha256": sha}) + "\n" for sha in ("x", "y"))
    went = json.dumps({"file": "points.csv", "gone": True}) + "\n" + json.dumps({"settled": True}) + "\n"
    said = [normal("digests.jsonl", text.encode()) for text in (kept, other + kept + went, other)]
    assert said[0] == said[1] != said[2]

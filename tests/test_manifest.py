"""What was written is known by its digest: changes are named, and no kill makes a file look changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer

from lossscape import manifest
from lossscape.errors import BadInput
from lossscape.files import CsvLog, held, read_json, read_rows, remove, save_tensors, write_bytes, write_text
from lossscape.results import read_csv

ROOT = Path(__file__).parents[1]


def states(folder: Path) -> dict[str, str]:
    """The state of each file by its name."""
    return {path.relative_to(folder).as_posix(): state for path, state in manifest.states(folder)}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with a file of each kind."""
    folder = tmp_path / "result"
    with held(folder, "tests"):
        write_text(folder / "facts.json", '{"loss": 0.25}\n')
        write_text(folder / "settings.yaml", "points: 11\n")
        save_tensors(folder / "checkpoints" / "best.pt", {"epochs": 12})
        log = CsvLog(folder / "metrics.csv", ["epoch", "loss"])
        for epoch in range(3):
            log.append({"epoch": epoch, "loss": 0.5})
        log.close()
        write_bytes(folder / "picture.png", b"picture")
    return folder


def test_what_was_written_is_known(written: Path) -> None:
    names = {"facts.json", "settings.yaml", "checkpoints/best.pt", "metrics.csv"}
    assert states(written) == dict.fromkeys(names, "ok")
    assert read_json(written / "facts.json") == {"loss": 0.25}
    lines = [json.loads(line) for line in (written / manifest.NAME).read_text().splitlines()]
    assert [line.get("file") for line in lines] == [*sorted(names), None]
    assert not list(written.rglob("*.part"))


@pytest.mark.parametrize("name", ["facts.json", "settings.yaml", "checkpoints/best.pt", "metrics.csv"])
def test_a_changed_digit_is_named_with_the_remedy(written: Path, name: str) -> None:
    path = written / name
    content = path.read_bytes()
    path.write_bytes(content.replace(b"5", b"6", 1).replace(b"11", b"12").replace(b"epochs", b"epocks"))
    assert path.read_bytes() != content
    with pytest.raises(BadInput) as error:
        manifest.check(path)
    assert str(error.value) == (
        f"{path}: changed since lossscape wrote it: restore it, make it again with --overwrite, or, if it was changed "
        f"on purpose: lossscape verify --accept-changed {written}"
    )
    with pytest.raises(BadInput, match="changed since lossscape wrote it"):
        manifest.read_bytes(path)
    assert states(written)[name] == "changed"
    path.write_bytes(content)
    assert manifest.read_bytes(path) == content
    path.unlink()
    assert states(written)[name] == "missing"


def test_files_of_before_there_were_digests_are_read_as_they_are(written: Path) -> None:
    (written / "older.json").write_text('{"a": 1}')
    assert read_json(written / "older.json") == {"a": 1}
    assert states(written)["older.json"] == "unknown"
    (written / manifest.NAME).unlink()
    (written / "facts.json").write_text('{"loss": 1.25}')
    assert read_json(written / "facts.json") == {"loss": 1.25}
    assert set(states(written).values()) == {"unknown"}
    with held(written, "tests"):
        write_text(written / "facts.json", "{}")
    assert states(written)["facts.json"] == "ok"
    assert states(written)["settings.yaml"] == "unknown"


def test_a_run_may_be_moved(written: Path) -> None:
    written.rename(written.with_name("elsewhere"))
    assert set(states(written.with_name("elsewhere")).values()) == {"ok"}


@pytest.mark.parametrize("line", ["{", "[]", '{"file": 1}', '{"file": "a.csv", "size": 1}', '{"a": ' * 9000, "\0"])
def test_a_damaged_manifest_is_named(written: Path, line: str) -> None:
    path = written / manifest.NAME
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(BadInput, match=r"digests\.jsonl:1: damaged: restore it, or delete it"):
        read_json(written / "facts.json")
    assert states(written)[manifest.NAME] == "changed"


def test_a_torn_line_says_nothing(written: Path) -> None:
    with (written / manifest.NAME).open("a") as file:
        file.write('{"file": "facts.json", "si')
    assert read_json(written / "facts.json") == {"loss": 0.25}
    with held(written, "tests"):
        write_text(written / "facts.json", '{"loss": 0.125}')
    assert set(states(written).values()) == {"ok"}


def test_rows_behind_what_was_recorded_are_taken_while_a_file_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "points.csv"
    now = [0.0]
    monkeypatch.setattr("lossscape.manifest.time.monotonic", lambda: now[0])
    with held(tmp_path, "tests"):
        log = CsvLog(path, ["x", "loss"])
        log.append({"x": 0, "loss": 0.25})
        now[0] = 5.0
        log.append({"x": 1, "loss": 0.5})  # a block is recorded with it
        log.append({"x": 2, "loss": 0.75})
        assert [row["x"] for row in read_rows(path, ["x", "loss"])] == ["0", "1", "2"]
        whole = path.read_bytes()
        for old, new, known in ((b"0.75", b"0.76", False), (b"0.5", b"0.6", True), (b"0.25", b"0.26", True)):
            path.write_bytes(whole.replace(old, new))
            assert (states(tmp_path)["points.csv"] == "changed") == known
        path.write_bytes(whole[:-20])
        with pytest.raises(BadInput, match="changed since"):
            read_csv(path, live=True)
        path.write_bytes(whole)
        log.close()
    path.write_bytes(whole + b"3,1.0\n")  # nothing more was to come
    with pytest.raises(BadInput, match="changed since"):
        read_csv(path, live=True)


def test_a_file_that_could_not_be_replaced_is_what_it_was(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("facts.json", "new.json"):
        with held(written, "tests"):
            with monkeypatch.context() as patch:
                patch.setattr("lossscape.files.os.replace", fail)
                with pytest.raises(PermissionError):
                    write_text(written / name, "{}")
            assert manifest.state_of(written / "facts.json") == "ok"
    assert set(states(written).values()) == {"ok"}
    assert "new.json" not in states(written)


def test_what_is_deleted_is_forgotten(written: Path) -> None:
    with held(written, "tests"):
        remove(written / "facts.json")
        remove(written / "checkpoints")
        remove(written / "nothing.json")
    assert set(states(written)) == {"settings.yaml", "metrics.csv"}


WORK = """
import io, itertools, os, sys
from pathlib import Path
from lossscape import manifest
from lossscape.files import CsvLog, held, read_json, remove, write_text, clear

manifest.time.monotonic = itertools.count(0, 10).__next__  # so that every row is a block
HALF = len(sys.argv) > 2
root = Path(sys.argv[1])

def work(folder, overwrite):
    with held(folder, "tests"):
        if overwrite:
            clear(folder)
        for number in range(2):
            write_text(folder / "state.json", f'{{"number": {number}}}')
        log = CsvLog(folder / "points.csv", ["x", "loss"])
        log.keep(lambda row: int(row["x"]) < 3)
        for x in range(len(log.rows), 5):
            log.append({"x": x, "loss": 0.5 + x})
        log.close()
        write_text(folder / "inner" / "a.yaml", "a: 1")
        write_text(folder / "surface.csv", "x,loss\\n")
        remove(folder / "points.csv")
        remove(folder / "inner")
        write_text(folder / "state.json", '{"number": 3}')

left = -1

def dying(event, given):
    global left
    if event in ("open", "os.rename", "os.remove", "os.truncate", "os.rmdir", "shutil.rmtree", "os.mkdir"):
        left -= 1
        if left == 0:
            os._exit(9)

class Torn(io.FileIO):
    def write(self, content):
        global left
        left -= 1
        if left == 0:
            super().write(bytes(content)[: len(content) // 2])
            os._exit(9)
        return super().write(content)

def die_at(number, folder, overwrite):
    global left
    child = os.fork()
    if child == 0:
        left = number
        plain = io.open
        def watched(file, mode="r", *rest, **options):
            if HALF and "b" in mode and set("x+") & set(mode):
                return Torn(file, mode.replace("b", ""))
            return plain(file, mode, *rest, **options)
        io.open = watched
        work(folder, overwrite)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

sys.addaudithook(dying)
kills = 0
for overwrite in (False, True):
    for number in range(1, 500):
        folder = root / f"{overwrite}-{number}"
        work(folder, False)
        code = die_at(number, folder, overwrite)
        if code == 0:
            break
        assert code == 9, code
        kills += 1
        wrong = [f"{path}: {state}" for path, state in manifest.states(folder) if state != "ok"]
        assert all(line.endswith((": unknown", ": missing")) for line in wrong), (number, overwrite, wrong)
        work(folder, overwrite)
        states = {path.name: state for path, state in manifest.states(folder)}
        assert states == {"state.json": "ok", "surface.csv": "ok"}, (number, overwrite, states)
        assert read_json(folder / "state.json") == {"number": 3}
print(kills)
"""


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_a_kill_at_any_operation_leaves_no_file_that_looks_changed(tmp_path: Path, torn: bool) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", WORK, str(tmp_path), *(["torn"] if torn else [])],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) > 60


def test_verify_lists_every_file(written: Path, cli: Callable[..., Answer]) -> None:
    answer = cli("verify", written)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == "4 files: 4 ok"
    (written / "facts.json").write_text('{"loss": 0.5}')
    (written / "settings.yaml").unlink()
    (written / "old.csv").write_text("x\n1\n")
    answer = cli("verify", "--quiet", written)
    assert answer.code == 1
    assert set(answer.out.splitlines()[:-1]) == {
        f"changed   {written}/facts.json", f"missing   {written}/settings.yaml", f"unknown   {written}/old.csv"
    }  # fmt: skip
    assert "1 changed since lossscape wrote them" in answer.err
    assert f"lossscape verify --accept-changed {written}" in answer.err
    answer = cli("verify", "--accept-changed", written)
    assert answer.code == 0, answer.err
    assert f"accepted  {written}/facts.json" in answer.out
    assert "settings.yaml" not in answer.out
    assert read_json(written / "facts.json") == {"loss": 0.5}
    answer = cli("verify", written / "nowhere")
    assert answer.code == 2
    assert "no such folder" in answer.err

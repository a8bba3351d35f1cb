"""Trust: no code that a run from somewhere else names is imported without a word, and one's own runs just work."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DIGITS, Answer, forget
from processes import Ended, Processes

from lossscape import trust
from lossscape.errors import BadInput
from lossscape.runs import Run

Command = Callable[..., Ended]
MODEL = "{name: mlp, hidden: [12], dropout: 0.2}"
NET = """\
import pathlib
from torch import nn

pathlib.Path("sprung").touch()

def net(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
"""
OWN = DIGITS.replace(MODEL, "{name: 'net.py:net'}")
ANALYSES = (
    ("interpolate", "runs/digits", "--points", 3),
    ("landscape", "runs/digits", "--grid", 3),
    ("train", "runs/digits/config.yaml", "--name", "again"),
)


@pytest.fixture(scope="session")
def trained_with_own(tmp_path_factory: pytest.TempPathFactory, processes: Processes) -> Path:
    """A folder with net.py, own.yaml and its run runs/digits."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "net.py").write_text(NET)
    (folder / "own.yaml").write_text(OWN)
    assert processes.run("train", "own.yaml", "--quiet", cwd=folder).code == 0
    (folder / "sprung").unlink()
    return folder


@pytest.fixture
def place(trained_with_own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder as if trained there, with a cache of its own."""
    shutil.copytree(trained_with_own, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LOSSSCAPE_TRUST_CODE", "0")
    trust.remember([("net.py:net", tmp_path / "net.py")])
    return tmp_path


@pytest.fixture
def command(place: Path, processes: Processes) -> Command:
    """Run a command in a process of its own, which has imported nothing of the user's yet."""

    def run(*words: object) -> Ended:
        env = {name: os.environ[name] for name in ("LOSSSCAPE_CACHE", "LOSSSCAPE_TRUST_CODE")}
        return processes.run(*words, cwd=place, env=env)

    return run


def elsewhere() -> None:
    """Let this be another machine."""
    shutil.rmtree("cache")


def points_to(name: str) -> None:
    """Let the run's config name another model."""
    file = Path("runs/digits/config.yaml")
    forget(file.parent)
    file.write_text(file.read_text().replace("../../net.py:net", name))


def refused(command: Command, words: tuple[object, ...], says: str) -> None:
    """The command runs nothing, and says why and what helps."""
    answer = command(*words)
    assert answer.code == 2, answer
    assert says in answer.err
    assert "if you trust it, give --trust-code or set LOSSSCAPE_TRUST_CODE=1" in answer.err
    assert not Path("sprung").exists()


def test_what_this_machine_trained_with_is_run(place: Path, command: Command) -> None:
    for words in ANALYSES:
        assert command(*words).code == 0, words


@pytest.mark.slow
def test_what_this_machine_trained_with_is_run_by_the_program_itself(place: Path) -> None:
    call = [sys.executable, "-m", "lossscape", "landscape", "runs/digits", "--grid", "2"]
    subprocess.run(call, check=True, capture_output=True)


def test_a_file_that_this_machine_has_not_trained_with_is_asked_about(
    place: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere()
    for words in ANALYSES:
        refused(command, words, f"not trained or adopted with as it is now, {place}/net.py")
    for quiet in (("runs",), ("report", "runs/digits")):
        assert command(*quiet).code == 0
        assert not Path("sprung").exists()
    assert command("--trust-code", *ANALYSES[0]).code == 0
    assert command(*ANALYSES[0], "--overwrite", "--trust-code").code == 0
    Path("sprung").unlink()
    refused(command, ANALYSES[1], "net.py")
    monkeypatch.setenv("LOSSSCAPE_TRUST_CODE", "1")
    assert command(*ANALYSES[1]).code == 0


def test_training_once_more_tells_that_it_is_ones_own(place: Path, command: Command) -> None:
    elsewhere()
    assert "already done" in command("train", "own.yaml").out
    assert command(*ANALYSES[1]).code == 0


def test_a_file_that_was_changed_is_asked_about(place: Path, command: Command) -> None:
    Path("net.py").write_text(NET + "# changed\n")
    refused(command, ANALYSES[1], "as it is now")


def test_a_file_in_the_runs_folder_is_always_asked_about(place: Path, command: Command) -> None:
    shutil.copy("net.py", "runs/digits/net.py")
    points_to("net.py:net")
    refused(command, ANALYSES[0], f"code of the run's own folder, {place}/runs/digits/net.py")
    assert command(*ANALYSES[1], "--trust-code").code == 0
    Path("sprung").unlink()
    refused(command, ANALYSES[1], "code of the run's own folder")


@pytest.mark.parametrize(
    ("name", "says"),
    [("os:system", "os:system"), ("subprocess:check_call", "subprocess.py"), ("trap.inner:net", "trap/__init__.py")],
)
def test_modules_are_asked_about_and_not_imported(name: str, says: str, place: Path, command: Command) -> None:
    Path("trap").mkdir()
    Path("trap/__init__.py").write_text(NET)
    Path("trap/inner.py").write_text(NET)
    points_to(name)
    refused(command, ANALYSES[1], says)


def test_a_module_that_this_machine_trained_with_is_run(place: Path, command: Command) -> None:
    Path("nets_of_mine.py").write_text(NET)
    Path("own.yaml").write_text(OWN.replace("net.py:net", "nets_of_mine:net"))
    assert command("train", "own.yaml", "--name", "other").code == 0
    assert command("landscape", "runs/other", "--grid", 3).code == 0
    Path("sprung").unlink()
    Path("nets_of_mine.py").write_text(NET + "# changed\n")
    refused(command, ("landscape", "runs/other", "--grid", 4), "nets_of_mine.py")


def test_weights_alone_run_nothing(place: Path, command: Command, cli: Callable[..., Answer]) -> None:
    """A run that names no code is opened without a question, wherever it came from."""
    Path("plain.yaml").write_text(DIGITS)
    assert cli("train", "plain.yaml", "--name", "plain").code == 0
    elsewhere()
    assert command("landscape", "runs/plain", "--grid", 3).code == 0


def test_adopted_code_is_known(place: Path, command: Command) -> None:
    elsewhere()
    assert command("adopt", "own.yaml", "runs/digits/checkpoints/epoch-0001.pt", "--name", "b").code == 0
    assert command("landscape", "runs/b", "--grid", 3).code == 0


def test_the_library_asks_too(place: Path) -> None:
    elsewhere()
    Path("net.py").write_text(NET + "# the library's\n")
    with pytest.raises(BadInput, match="not trained or adopted with as it is now"):
        Run.open("runs/digits").model()
    assert not Path("sprung").exists()
    assert len(list(Run.open("runs/digits", trust_code=True).model().parameters())) == 2


def test_a_torn_store_is_read_as_far_as_it_goes(place: Path, command: Command) -> None:
    store = Path("cache/trusted_code.jsonl")
    assert hashlib.sha256(NET.encode()).hexdigest() in store.read_text()
    store.write_bytes(b'{"code": "a"}\n[1]\n{"co\n' + store.read_bytes())
    assert command(*ANALYSES[1]).code == 0
    Path("sprung").unlink()
    store.write_bytes(b"\xff\xfe")
    refused(command, ANALYSES[1], "net.py")


def test_a_metric_of_the_command_line_is_the_users_word_but_for_the_runs_own_files(
    place: Path, command: Command
) -> None:
    words = ("landscape", "runs/digits", "--grid", 3, "--quiet", "--metrics", "mine.py:top")
    Path("mine.py").write_text("def top(outputs, targets):\n    return outputs.amax(1)\n")
    assert command(*words).code == 0
    assert command(*words).code == 0
    assert len(list(Path("runs/digits/landscape").iterdir())) == 1
    Path("mine.py").write_text("def top(outputs, targets):\n    return -outputs.amin(1)\n")
    assert command(*words).code == 0
    tables = [file.read_bytes() for file in Path("runs/digits/landscape").glob("*/surface.csv")]
    assert len(set(tables)) == 2  # another function has a result of its own
    shutil.copy("mine.py", "runs/digits/mine.py")
    answer = command(*words)
    assert answer.code == 2
    assert f"code of the run's own folder, {place}/runs/digits/mine.py: if you trust it" in answer.err
    assert command("--trust-code", *words).code == 0

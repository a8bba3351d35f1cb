"""What all tests share: one torch thread, the command line called in-process, and small runs to work on."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
import torch
from processes import Processes

from lossscape import devices, manifest
from lossscape.cli import main
from lossscape.config import read_experiment
from lossscape.files import write_bytes
from lossscape.runs import Run
from lossscape.train import train
from lossscape.train.watch import Watch

SLOW = ("resnet", "data_parallel")
"""Cases of the shared tables that are slow; the other ones hold the same laws."""
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start
DEVICE = os.environ.get("LOSSSCAPE_TEST_DEVICE", "cpu")
"""What `device: auto`, the default, is in tests: cpu or cuda."""
if DEVICE == "cpu":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
elif devices.pick("auto").type != DEVICE:
    raise pytest.UsageError(f"LOSSSCAPE_TEST_DEVICE={DEVICE}: there is no such device here")
os.environ["LOSSSCAPE_WORKERS"] = "always"  # tests' works are short
os.environ["LOSSSCAPE_CACHE"] = tempfile.mkdtemp(prefix="lossscape-tests-")  # plans and pictures of tests alone
atexit.register(shutil.rmtree, os.environ["LOSSSCAPE_CACHE"], ignore_errors=True)
torch.set_num_threads(1)
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")

DIGITS = """\
name: digits
dataset: {name: digits, train_size: 300, test_size: 100}
model: {name: mlp, hidden: [12], dropout: 0.2}
optimizer: {name: momentum, lr: 0.05}
training: {epochs: 3, batch_size: 32}
"""


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search for garbage."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow cases, and leave out what another device does not promise."""
    for item in items:
        if any(name in item.name for name in SLOW):
            item.add_marker(pytest.mark.slow)
        if DEVICE != "cpu" and item.get_closest_marker("cpu"):
            item.add_marker(pytest.mark.skip(reason=f"the same bytes are promised on the CPU, not on {DEVICE}"))


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


@pytest.fixture
def signals_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Has a signal come to this process after so many steps."""

    def at(steps: int, number: int) -> None:
        left, step = [steps], Watch.step

        def counted(*words: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), number)
            step(*words)

        monkeypatch.setattr(Watch, "step", counted)

    return at


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Call the command line in this process."""

    def call(*words: object) -> Answer:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["lossscape", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return call


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """The command line as processes."""
    started = Processes(tmp_path_factory.mktemp("cache"))
    yield started
    started.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config file that trains in a tenth of a second."""
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS)
    return file


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, not to be changed: copy it with `own_run`."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "digits.yaml").write_text(DIGITS)
    return train(read_experiment(folder / "digits.yaml"), folder / "runs")


@pytest.fixture
def own_run(trained: Run, tmp_path: Path) -> Run:
    """A finished run of the test's own, without digests, so that it may be changed."""
    shutil.copytree(trained.path, tmp_path / "runs" / "digits", ignore=shutil.ignore_patterns(manifest.NAME))
    return Run(tmp_path / "runs" / "digits")


def forget(folder: Path) -> None:
    """Delete the digests of a folder and those below it, so that its files may be changed."""
    for path in folder.rglob(manifest.NAME):
        path.unlink()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the names that figures have, without figures, for tests that look at other things."""
    from tests.undrawn import leave_undrawn

    leave_undrawn(monkeypatch.setitem)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are built but not rendered, for tests that look at the words."""
    from lossscape.figures import section

    monkeypatch.setattr(section, "save", lambda figure, path: write_bytes(path, b""))

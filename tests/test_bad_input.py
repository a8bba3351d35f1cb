"""Bad input: one clear message on stderr, exit code 2, no traceback, and nothing changed on disk."""

import errno
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cases_bad_input import CASES, NUMERALS, Case
from conftest import DIGITS, Answer

from lossscape.config import EarlyStopping, RunConfig, Teacher, Training, read_experiment
from lossscape.errors import BadInput
from lossscape.families import FITS
from lossscape.files import whole_lines
from lossscape.numerals import is_cell, real, whole
from lossscape.refusals import FAMILIES
from lossscape.results import read_csv
from lossscape.runs import Run
from lossscape.studies.config import STUDIES
from lossscape.train import train


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of a model with another width."""
    folder = tmp_path_factory.mktemp("other")
    (folder / "other.yaml").write_text(DIGITS)
    settings = ["model.hidden=[5]", "training.epochs=1", "name=other"]
    return train(read_experiment(folder / "other.yaml", settings), folder / "runs")


@pytest.fixture
def place(own_run: Run, other: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that every case begins in; there is neither a network nor a GPU."""
    shutil.copytree(other.path, tmp_path / "runs" / "other")
    (tmp_path / "good.yaml").write_text(DIGITS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSSSCAPE_DATA", "data")
    monkeypatch.setenv("LOSSSCAPE_CACHE", "cache")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of the user's own.py
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("lossscape.data.download.unreachable", lambda urls, patience: "no network")
    return tmp_path


def files_of(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder with its bytes; of locks, which say who tried last, the name only."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() and path.name != ".lock" else None
        for path in folder.rglob("*")
    }


def the_message(answer: Answer) -> str:
    """The one message on stderr: a line, or the lines of a config's errors, or the parser's with its usage."""
    if re.match(r"Usage: .*lossscape", answer.err):
        _, _, message = answer.err.partition("Error: ")
        assert message.count("\n") == 1
        return message
    if answer.err.startswith("Error: "):
        assert answer.err.count("\n") == 1
        return answer.err
    first, *rest = answer.err.splitlines()
    assert first.startswith("lossscape: ")
    counted = re.fullmatch(r"lossscape: (?:more than )?(\d+) errors? in the config(?:, the first of them)?", first)
    assert len(rest) == (int(counted[1]) if counted else 0)
    for line in rest:
        assert re.match(r"(\S+\.yaml:\d+:\d+|--(set|name|device) .*): \S+: \S", line)
    return answer.err


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_refused(case: Case, place: Path, cli: Callable[..., Answer]) -> None:
    for name, content in case.files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    before = files_of(place)
    answer = cli(*shlex.split(case.words))
    assert answer.code == 2, answer
    assert answer.out == ""
    assert "Traceback" not in answer.err
    message = the_message(answer)
    for fragment in case.says:
        assert fragment in message
    assert files_of(place) == before
    assert not (place / "sprung").exists()


@pytest.mark.parametrize(("text", "numbers"), NUMERALS.items(), ids=map(repr, NUMERALS))
def test_numerals(
    text: str, numbers: tuple[float | None, ...], config: Path, tmp_path: Path, cli: Callable[..., Answer]
) -> None:
    of_a_file = tmp_path / "numbers.yaml"
    changed = DIGITS.replace("epochs: 3", f"epochs:  {text}").replace("lr: 0.05", f"lr: 0.05, weight_decay:  {text}")
    of_a_file.write_text(changed)
    for key, number in zip(("training.epochs", "optimizer.weight_decay"), numbers, strict=False):
        if number is None:
            for path, settings in ((config, [f"{key}={text}"]), (of_a_file, [])):
                with pytest.raises(BadInput, match=re.escape(key) if text != "1,5" else "error"):
                    read_experiment(path, settings)
        else:
            section, _, name = key.partition(".")
            read = read_experiment(config, [f"{key}={text}"]).resolved()[section][name]
            assert (read, type(read)) == (number, type(number))
    for flag, words, number in (("--refine", (text,), numbers[2]), ("--range", ("-1", text), numbers[3])):
        said = cli("landscape", "runs/nowhere", flag, *words).err
        assert ("runs/nowhere: no such run" in said) is (number is not None)
        assert (f"{flag}: {text!r}: a " in said) is (number is None)
        if number is not None:
            assert (whole if flag == "--refine" else real)(text) == number
    table = tmp_path / "table.csv"
    table.write_text(f'a,b\n0,"{text}"\n')
    assert is_cell(text) is (numbers[4] is not None)
    if numbers[4] is not None:
        assert read_csv(table)["b"].to_numpy() == pytest.approx([numbers[4]], rel=0, abs=0, nan_ok=True)
        assert len(whole_lines(table)) == 2
    elif text:
        with pytest.raises(BadInput, match="is no number"):
            read_csv(table)
        assert len(whole_lines(table)) == 1


def test_every_number_of_a_config_is_one_that_float32_holds() -> None:
    kinds = [model for family in FAMILIES.values() for model in family.models.values()]
    kinds += [Training, EarlyStopping, Teacher, RunConfig, *STUDIES.values()]
    found = [(kind, name) for kind in kinds for name, field in kind.model_fields.items() if "float" in str(field)]
    assert len(found) > 40
    for kind, name in found:
        assert type(FITS).__name__ in str(kind.model_fields[name]), (kind, name)


def test_debug_shows_the_traceback(place: Path, cli: Callable[..., Answer]) -> None:
    quiet, loud = (cli(*words, "train", "nowhere.yaml") for words in ((), ("--debug",)))
    assert quiet == (2, "", "lossscape: nowhere.yaml: no such file\n")
    assert loud.code == 2
    assert loud.err.startswith("Traceback (most recent call last):\n")
    assert loud.err.endswith(quiet.err)


def test_tensorboard_that_is_not_installed(
    place: Path, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    before = files_of(place)
    answer = cli("train", "good.yaml", "--tensorboard", "--name", "new")
    assert answer.code == 2
    assert "pip install 'lossscape[tensorboard]'" in the_message(answer)
    assert files_of(place) == before


def test_folder_without_permission(place: Path, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system's answer is played."""
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("runs/digits"))
    before = files_of(place)
    for words in (("train", "good.yaml", "--overwrite"), ("landscape", "runs/digits"), ("report", "runs/digits")):
        answer = cli(*words)
        assert answer.code == 2
        assert "runs/digits is not a folder that you may write to" in the_message(answer)
        assert files_of(place) == before


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "x.csv"), 2, "x.csv: Permission denied\n"),
        (OSError(errno.ENOSPC, "No space left on device", "x.csv"), 1, "x.csv: No space left on device; what was"),
        (MemoryError("a terabyte"), 1, "not enough memory: a terabyte"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "not enough memory: Default"),
        (ZeroDivisionError("odd"), 1, "ZeroDivisionError: odd (unexpected; --debug shows where)"),
    ],
    ids=["permission", "disk", "memory", "torch_memory", "bug"],
)
def test_errors_of_the_system(
    error: Exception, code: int, says: str, place: Path, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("lossscape.listing.list_runs", fail)
    answer = cli("runs")
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(f"lossscape: {says}")
    assert answer.err.count("\n") == 1


def test_names_of_runs_are_written_out(place: Path, cli: Callable[..., Answer]) -> None:
    (place / "runs" / "other").rename(place / "runs" / "\x1b[31mred\nblue")
    listed = cli("runs")
    assert (listed.code, listed.err, len(listed.out.splitlines())) == (0, "", 3)
    assert listed.out.splitlines()[1].startswith(r"\x1b[31mred\nblue  digits  mlp ")
    trained = cli("train", "good.yaml", "--runs", "\x1b[31m", "--set", "training.epochs=0")
    assert (trained.code, r"\x1b[31m/digits" in trained.out, r"\x1b[31m/digits: digits" in trained.err) == (
        0,
        True,
        True,
    )
    assert "\x1b" not in listed.out + trained.out + trained.err


def test_an_optimizer_of_ones_own_that_overflows(place: Path, cli: Callable[..., Answer]) -> None:
    words = ("--name", "fresh", "--set", "optimizer={name: 'torch.optim:RMSprop', lr: 1e39}", "--quiet")
    answer = cli("train", "good.yaml", *words)
    failed = "optimizer 'torch.optim:RMSprop' failed in step 1 (learning rate 1e+39): value cannot be converted"
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"lossscape: {failed}")
    assert Run(place / "runs" / "fresh").state()["state"] == "failed"


def test_runs_lists_what_cannot_be_read(place: Path, cli: Callable[..., Answer]) -> None:
    (place / "runs" / "other" / "config.yaml").write_bytes(b"\xff")
    (place / "runs" / "digits" / "metrics.csv").write_bytes(b"epoch,step\n0,0\n1,\0")
    (place / "runs" / "digits" / "state.json").write_text("{")
    answer = cli("runs")
    assert answer.code == 0
    _, digits, other = answer.out.splitlines()
    assert digits.split()[:5] == ["digits", "digits", "mlp", "momentum", "0/3"]
    assert digits.endswith("unknown")
    assert other.startswith("other ")
    assert other.endswith("config.yaml cannot be read")

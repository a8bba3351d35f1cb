"""A digit that was changed in any file of a run or a result is named by the command that reads it, or made anew."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import DIGITS
from processes import Ended, Processes

from lossscape import manifest
from lossscape.files import held, save_tensors, share

CONFIG = DIGITS.replace("epochs: 3", "epochs: 3, ema: 0.9")
RUN = "runs/digits"
PLANE = ("landscape", RUN, "--grid", "3", "--directions", "pca", "--path")
COMMANDS = {
    "interpolate": ("interpolate", RUN, "--points", "3"),
    "landscape": PLANE,
    "line": ("landscape", RUN, "--dims", "1", "--grid", "3", "--auto-range", "2"),
    "film": ("film", RUN, "--grid", "3", "--every", "3"),
    "minimum": ("minimum", RUN, "--grid", "3"),
    "pairs": ("pair", RUN, "--grid", "3", "--repeats", "1"),
    "solutions": ("solutions", RUN, "runs/other"),
}
"""By the folder of their results, or a part of its name."""
READ_BY = {
    "config.yaml": PLANE,
    "environment.json": ("landscape", RUN, "--grid", "3"),
    "metrics.csv": COMMANDS["solutions"],
    "state.json": ("train", "digits.yaml"),
    "resume.pt": ("train", "digits.yaml", "--set", "training.epochs=4"),
    "ema.pt": ("landscape", f"{RUN}@ema", "--grid", "3"),
    "best.pt": ("landscape", f"{RUN}@best", "--grid", "3"),
    "epoch-": PLANE,
}
"""The commands that read a run's own files."""


@pytest.fixture(scope="module")
def whole(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and results of every kind."""
    place = tmp_path_factory.mktemp("whole")
    (place / "digits.yaml").write_text(CONFIG)
    trainings = [("train", "digits.yaml"), ("train", "digits.yaml", "--name", "other", "--set", "seed=1")]
    for words in [*trainings, *COMMANDS.values()]:
        answer = processes.run(*words, "--quiet", cwd=place)
        assert answer.code == 0, answer
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


@pytest.fixture
def command(place: Path, processes: Processes) -> Callable[..., Ended]:
    """Runs a command there."""
    return lambda *words: processes.run(*words, cwd=place)


def command_of(name: str) -> tuple[str, ...]:
    """The command that reads a file of `whole`."""
    result = re.match(r"runs/(?:digits/)?(interpolate|landscape|film|minimum|pairs|solutions)/", name)
    if not result:
        return next(words for part, words in READ_BY.items() if part in name)
    if result[1] == "landscape" and "auto" in name:
        return COMMANDS["line"]
    return COMMANDS[result[1]]


def flip(path: Path) -> None:
    """Change a digit of a text such that it still parses, or a bit of the largest tensor of a checkpoint."""
    content = bytearray(path.read_bytes())
    if path.suffix == ".pt":
        content[len(content) // 2] ^= 1
    else:
        found = list(re.finditer(rb"(?<=[.,: ])[0-9]", content))
        where = found[len(found) // 2].start() if found else len(content) // 2
        content[where] = ord("3") if content[where] != ord("3") else ord("4")
    path.write_bytes(content)


KINDS = [
    "config.yaml", "environment.json", "metrics.csv", "state.json", "resume.pt",
    *(f"checkpoints/{name}.pt" for name in ("ema", "best", "epoch-0001")),
    *(f"interpolate/*/{name}" for name in ("curve.csv", "measures.json", "certificate.json", "engine.json")),
    *(f"landscape/*pca*/{name}" for name in ("surface.csv", "path.csv", "path.json", "directions.pt", "paths/*.csv")),
    *(f"landscape/*pca*/{name}" for name in ("settings.yaml", "certificate.json", "engine.json")),
    *(f"landscape/*auto*/{name}" for name in ("line.csv", "range.json", "settings.yaml")),
    *(f"film/*/{name}" for name in ("films.csv", "settings.yaml")),
    *(f"minimum/*/{name}" for name in ("summary.csv", "targets.pt", "settings.yaml")),
    *(f"pairs/*/{name}" for name in ("measures.csv", "summary.csv", "settings.yaml")),
    *(f"../solutions/*/{name}" for name in ("epochs.csv", "summary.csv", "configs.csv", "ratios.csv", "runs.json")),
]  # fmt: skip


def test_a_film_over_a_changed_checkpoint_is_refused_before_there_is_a_folder(
    place: Path, command: Callable[..., Ended]
) -> None:
    flip(Path(RUN, "checkpoints", "epoch-0001.pt"))
    before = sorted(Path(RUN).rglob("*"))
    answer = command("film", RUN, "--grid", "5", "--every", "1")
    assert answer.code == 2
    assert "epoch-0001.pt: changed" in answer.err
    assert sorted(Path(RUN).rglob("*")) == before


def test_a_changed_range_is_refused_before_the_settings_are_written(place: Path, command: Callable[..., Ended]) -> None:
    (found,) = Path(RUN).glob("landscape/*/range.json")
    flip(found)
    settings = found.with_name("settings.yaml")
    before = settings.read_bytes()
    answer = command(*COMMANDS["line"])
    assert answer.code == 2
    assert "range.json: changed" in answer.err
    assert settings.read_bytes() == before


def test_what_was_changed_on_purpose_is_said_everywhere(place: Path, command: Callable[..., Ended]) -> None:
    words = COMMANDS["line"]
    (line,) = Path(RUN).glob("landscape/*/line.csv")
    flip(line)
    certificate = line.with_name("certificate.json")
    assert command(*words).code == 2
    page = command("report", RUN)
    assert page.code == 0, page.err
    text = Path(RUN, "report", "index.html").read_text()
    assert f"{line.name}: changed since lossscape wrote it" in text
    accepted = command("verify", "--accept-changed", "--quiet", RUN)
    assert accepted.code == 0, accepted.err
    assert accepted.out.splitlines()[0] == f"accepted  {line}"
    assert json.loads(certificate.read_text())["changed_by_hand"] == ["line.csv"]
    answer = command(*words)
    assert answer.code == 0, answer.err
    assert "changed by hand: line.csv" in answer.out
    assert command("report", RUN).code == 0
    text = Path(RUN, "report", "index.html").read_text()
    assert "Changed by hand since lossscape wrote them, and accepted: line.csv." in text
    assert "the model is unchanged; but files were changed by hand" in text
    assert command(*words, "--overwrite").code == 0
    assert "changed_by_hand" not in json.loads(certificate.read_text())

    config = Path(RUN, "config.yaml")
    config.write_text(config.read_text().replace("lr: 0.05", "lr: 0.050"))
    assert command(*words, "--overwrite").code == 2
    assert command("verify", "--accept-changed", RUN).code == 0
    assert command(*words, "--overwrite").code == 0
    assert json.loads(certificate.read_text())["changed_by_hand"] == ["digits/config.yaml"]
    assert command("report", RUN).code == 0
    text = Path(RUN, "report", "index.html").read_text()
    assert "Changed by hand since lossscape wrote them, and accepted: config.yaml." in text


def test_hard_links_do_not_carry_a_change_over(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        with held(tmp_path, "tests"):
            save_tensors(tmp_path / name, {"a": 1})
    share(tmp_path / "a.pt", tmp_path / "b.pt")
    assert (tmp_path / "a.pt").samefile(tmp_path / "b.pt")
    with held(tmp_path, "tests"):
        save_tensors(tmp_path / "a.pt", {"a": 2})
    assert [state for _, state in manifest.states(tmp_path)] == ["ok", "ok"]


def test_what_a_kill_left_of_a_page_is_swept(place: Path, command: Callable[..., Ended]) -> None:
    assert command("report", RUN).code == 0
    before = sorted(Path(RUN, "report").rglob("*"))
    for folder in (Path(RUN, "report"), Path(RUN, "report", "files")):
        (folder / ".index.html.1999999999.part").write_text("half")
    assert command("report", RUN).code == 0
    assert sorted(Path(RUN, "report").rglob("*")) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_changed_is_named_or_made_anew(place: Path, command: Callable[..., Ended], kind: str) -> None:
    path = sorted(Path(RUN).glob(kind))[0]
    before = path.read_bytes()
    flip(path)
    assert path.read_bytes() != before
    answer = command(*command_of(path.resolve().relative_to(place).as_posix()))
    if answer.code == 0:
        assert path.read_bytes() == before, "read as it was, or not at all"
    else:
        assert answer.code == 2, answer.err
        assert "Traceback" not in answer.err
        assert f"{path.name}: changed since lossscape wrote it" in answer.err
        assert "lossscape verify --accept-changed" in answer.err
    assert command("verify", "runs").code == (0 if answer.code == 0 else 1)

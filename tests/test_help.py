"""Help in place: the examples of every command, what a shell completes, shipped configs, pages that messages name."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from conftest import Answer
from typer.testing import CliRunner

from lossscape import shipped, yamlfile
from lossscape.cli.app import app
from lossscape.cli.complete import points
from lossscape.errors import BadInput, Page, see

ROOT = Path(__file__).parents[1]
PROGRAM: Any = typer.main.get_command(app)
by_command = pytest.mark.parametrize("name", PROGRAM.commands)


def examples_of(name: str) -> list[list[str]]:
    """The words behind `lossscape` in each example of a command's help, as a shell would give them."""
    _, _, below = PROGRAM.commands[name].epilog.partition("Examples:\n")
    lines = [line for line in below.splitlines() if line.startswith("    ")]
    return [shlex.split(re.split(r"lossscape ", line, maxsplit=1)[1].partition(" > ")[0]) for line in lines]


@by_command
def test_every_command_has_two_examples_that_can_be_called(name: str) -> None:
    examples = examples_of(name)
    assert sum(words[0] == name for words in examples) >= 2
    for command, *words in examples:
        PROGRAM.commands[command].make_context(command, words)  # raises a usage error


@by_command
def test_every_command_has_a_page(name: str) -> None:
    page = (ROOT / "docs/commands" / f"{name}.md").read_text(encoding="utf-8")
    assert re.search(rf"^```bash\n(?:(?!```).*\n)*?lossscape {name}\b", page, flags=re.M), "no example that is run"


@pytest.fixture
def some_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("apple", "avocado", "a\x1bb"):
        (tmp_path / "runs" / name / "checkpoints").mkdir(parents=True)
        (tmp_path / "runs" / name / "config.yaml").touch()
    for file in ("epoch-0000.pt", "epoch-0012.pt", "step-00001200.pt", "best.pt", "notes.txt"):
        (tmp_path / "runs/apple/checkpoints" / file).touch()
    (tmp_path / "runs/sweep").mkdir()
    (tmp_path / "runs/sweep/sweep.yaml").touch()
    (tmp_path / "runs/other").mkdir()


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize(
    ("begun", "found"),
    [
        ("", ["apple", "avocado", "sweep"]),
        ("runs/", ["apple", "avocado", "sweep"]),
        ("runs/av", ["avocado"]),
        ("runs/o", []),
        ("elsewhere/", []),
        ("runs/apple@", ["apple@first", "apple@last", "apple@best", "apple@0", "apple@12", "apple@step-1200"]),
        ("runs/apple@1", ["apple@12"]),
        ("runs/avocado@", []),
    ],
)
def test_runs_and_checkpoints_are_completed(begun: str, found: list[str]) -> None:
    assert points(begun) == [f"runs/{name}" for name in found]


@pytest.mark.usefixtures("some_runs")
@pytest.mark.parametrize(
    ("words", "found"),
    [("lossscape landsc", "landscape"), ("lossscape report runs/app", "runs/apple"), ("lossscape fit --gr", "--grid")],
)
def test_a_shell_completes(words: str, found: str) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_LOSSSCAPE_COMPLETE": "complete_bash"}
    assert CliRunner().invoke(app, [], prog_name="lossscape", env=asked).output.split() == [found]


def test_shipped_configs_are_listed_and_copied(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, listed, _ = cli("new", "--list")
    assert code == 0
    assert not list(tmp_path.iterdir())
    names = {file.stem: file for file in (ROOT / "configs").rglob("*.yaml")}
    rows = dict(line.split(maxsplit=1) for line in listed.splitlines() if line.startswith("  "))
    assert rows.keys() == names.keys()
    assert all(len(line) > 20 for line in rows.values())
    assert rows["digits_mlp"] == "A small net on the embedded 8x8 digits: no download, a few seconds"
    assert cli("new", "mine.yaml", "--like", "digits_mlp").code == 0
    assert yamlfile.read(Path("mine.yaml")).data == yamlfile.read(names["digits_mlp"]).data
    code, _, said = cli("new", "other.yaml", "--like", "digits")
    assert (code, Path("other.yaml").exists()) == (2, False)
    assert "did you mean 'digits_mlp'" in said


def test_configs_lie_in_the_package_or_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "lossscape"
    with pytest.raises(BadInput, match="no shipped configs"):
        shipped.folder(package)
    for place in (tmp_path / "configs", package / "configs"):
        place.mkdir(parents=True)
        (place / "digits_mlp.yaml").touch()
        assert shipped.folder(package) == place


@pytest.mark.parametrize("page", Page)
def test_pages_that_messages_name_are_there(page: Page) -> None:
    titles = [file.read_text(encoding="utf-8").partition("\n")[0] for file in (ROOT / "docs").rglob("*.md")]
    assert titles.count(f"# {page}") == 1
    assert str(page) in see(page)

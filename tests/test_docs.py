"""What README and docs show is run: commands, Python, and every piece of YAML."""

import re
import runpy
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from conftest import Answer

from lossscape import yamlfile
from lossscape.cli.app import app
from lossscape.config import Experiment, experiment_from

ROOT = Path(__file__).parent.parent
PAGES = {str(page.relative_to(ROOT)): page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
by_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROGRAM: Any = typer.main.get_command(app)
BASE = {
    "name": "docs",
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "training": {"epochs": 1},
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, or of several in their order on the page."""
    return [text for _, text in named(page, language)]


def named(page: Path, language: str) -> list[tuple[str, str]]:
    """The same, each behind the name of its language."""
    return re.findall(rf"^```({language})\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


ELSEWHERE = ("docs/guides/recipes.md",)
"""test_recipes runs them, each in a process of its own."""
DRAWN = ("docs/guides/figures.md", "docs/commands/report.md")
"""Pages whose figures are drawn; of the others each analysis's own tests draw them."""
QUICK = (
    "README.md", "docs/commands/sweep.md", "docs/commands/race.md", "docs/commands/initial-values.md",
    "docs/guides/distillation.md",
)  # fmt: skip
"""Pages that are run by the fast tests; the others take a minute together."""
RUN = [name for name, page in PAGES.items() if blocks(page, "bash|python") and name not in ELSEWHERE]


class Shown(NamedTuple):
    """A training that a page shows: what it said, and the run that it made, which other pages are given."""

    out: str
    name: str
    runs: Path


@pytest.fixture(scope="session")
def trained() -> dict[tuple[str, ...], Shown]:
    """Trainings of shipped configs, by their words: the pages train the same few."""
    return {}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in RUN])
def test_commands_and_python_run(
    name: str,
    cli: Callable[..., Answer],
    trained: dict[tuple[str, ...], Shown],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    def said(*words: str) -> str:
        """The output of a command that a page shows, and whether it wrote what it says."""
        if words in trained and not Path("runs", trained[words].name).exists():
            shutil.copytree(trained[words].runs, "runs", dirs_exist_ok=True)
            return trained[words].out
        had = set(Path("runs").glob("*"))
        code, out, err = cli(*words)
        assert code == 0, f"{shlex.join(words)}: {err}"
        for written in re.findall(r"^\S.*?  (runs/\S+\.(?:png|csv|json|pt|html))$", out, flags=re.M):
            assert Path(written).is_file(), f"{shlex.join(words)} says that it wrote {written}"
        new = set(Path("runs").glob("*")) - had
        if words[:2] == ("train", "configs/digits_mlp.yaml") and len(new) == 1:
            kept = tmp_path_factory.mktemp("trained")
            (folder,) = new
            shutil.copytree(folder, kept / folder.name)
            trained[words] = Shown(out, folder.name, kept)
        return out

    if name not in DRAWN:
        request.getfixturevalue("undrawn")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    out = ""
    for language, text in named(PAGES[name], "bash|python|yaml|output"):
        file = re.match(r"# (\w+\.(?:py|yaml))\n", text)  # a block that begins with its file's name is that file
        if file:
            Path(file[1]).write_text(text)
        if language == "output":
            assert re.fullmatch(pattern(text), plain(out)), f"{name} shows\n{text}\nbut the command says\n{out}"
        elif language == "bash":
            for command in filter(str.strip, text.splitlines()):
                program, *words = shlex.split(command, comments=True)
                assert program == "lossscape", f"a block of {name} that is run shows {program}"
                out = said(*words)
        elif file and file[1].endswith(".py"):
            runpy.run_path(file[1], run_name="__main__")
        elif language == "python":
            exec(compile(text, name, "exec"), {"__name__": "docs"})


def plain(text: str) -> str:
    """What a command said without what depends on the machine: numbers, hashes, the widths of columns."""
    text = re.sub(r"-[0-9a-f]{8}(?=[/.\s])", "-#", text)
    text = re.sub(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+−]?\d+)?", "#", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def pattern(shown: str) -> str:
    """What a page shows, as a pattern: … stands for anything."""
    return re.escape(plain(shown)).replace("…", "(?s:.*)")


@by_page
def test_what_is_only_shown_can_be_called(page: Path) -> None:
    """Commands that are too long for a test, and those of make: options, values and targets are looked at."""
    for line in "".join(blocks(page, "console|sh")).replace("\\\n", " ").splitlines():
        words = [word for word in shlex.split(line, comments=True) if word != "--trust-code"]
        if words[:1] == ["lossscape"] and words[1:2] != ["--install-completion"]:
            PROGRAM.commands[words[1]].make_context(words[1], words[2 : words.index("&&") if "&&" in words else None])
        elif words[:1] == ["make"]:
            assert re.search(rf"^{words[1]}:", MAKEFILE, flags=re.M), f"{page.name} shows {line}"


@by_page
def test_yaml_is_valid(page: Path) -> None:
    for text in blocks(page, "yaml"):
        shown = yamlfile.Document(text, page.name).data
        if isinstance(shown, dict) and set(shown) <= set(Experiment.model_fields) and "…" not in text:
            own = any(":" in str(name) for name in shown.get("metrics") or ()) or any(
                ":" in str(section.get("name", "")) for section in shown.values() if isinstance(section, dict)
            )
            if not own:  # a user's own function is not here to be loaded
                experiment_from({**BASE, **shown})


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_pictures_are_shown_and_small_and_have_all_their_colours() -> None:
    pictures = set((ROOT / "docs/pictures").iterdir())
    shown = {
        (page.parent / link).resolve()
        for page in PAGES.values()
        for link in re.findall(r"!\[[^]]*\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    }
    assert {each.name for each in pictures - shown} == set(), "no page shows these: delete them"
    large = {each.name for each in pictures if each.stat().st_size >= 300_000}
    assert large == set(), "draw these smaller"
    kinds = {each.name: each.read_bytes()[25] for each in pictures if each.suffix == ".png"}  # colour type, IHDR
    assert {name for name, kind in kinds.items() if kind not in (2, 6)} == set(), "a palette: keep all their colours"


def test_the_ratios_of_the_readme_stand_in_the_benchmarks() -> None:
    rows = re.findall(r"^\| (?:plane|line|ten largest) .*", PAGES["README.md"].read_text(encoding="utf-8"), flags=re.M)
    ratios = [ratio for row in rows for ratio in re.findall(r"(?<=\| )[\d.]+|(?<=, )[\d.]+(?= \()", row)]
    assert len(ratios) == 12
    measured = PAGES["docs/benchmarks.md"].read_text(encoding="utf-8")
    missing = [ratio for ratio in ratios if not re.search(rf"\| {re.escape(ratio)} \(", measured)]
    assert not missing, "measured again? then say so in README too"

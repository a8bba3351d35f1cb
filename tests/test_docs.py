"""What README and docs show is run: commands, Python, and every piece of YAML."""

import re
import runpy
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lossscape import yamlfile
from lossscape.config import Experiment, experiment_from

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
BASE = {
    "name": "docs",
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "training": {"epochs": 1},
}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, or of several in their order on the page."""
    return re.findall(rf"^```(?:{language})\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.S | re.M)


DRAWN = ("figures.md",)
"""Pages whose figures are drawn; of the others each analysis's own tests draw them."""
QUICK = ("README.md", "sweeps.md", "race.md", "initial-values.md", "distillation.md")
"""Pages that are run by the fast tests; the others take a minute together."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=() if page.name in QUICK else pytest.mark.slow) for page in PAGES],
    ids=lambda page: page.name,
)
def test_commands_and_python_run(
    page: Path,
    cli: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if page.name == "recipes.md":
        pytest.skip("test_recipes runs them, each in a process of its own")
    if not blocks(page, "bash|python"):
        pytest.skip("nothing to run on this page")
    if page.name not in DRAWN:
        request.getfixturevalue("undrawn")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    shell = blocks(page, "bash")
    for text in blocks(page, "bash|python|yaml"):
        file = re.match(r"# (\w+\.(?:py|yaml))\n", text)  # a block that begins with its file's name is that file
        if file:
            Path(file[1]).write_text(text)
        if text in shell:
            for command in filter(str.strip, text.splitlines()):
                run(command, page, cli)
        elif file and file[1].endswith(".py"):
            runpy.run_path(file[1], run_name="__main__")
        elif text in blocks(page, "python"):
            exec(compile(text, page.name, "exec"), {"__name__": "docs"})


def run(command: str, page: Path, cli: Callable[..., tuple[int, str, str]]) -> None:
    """A command line that a page shows, and whether it wrote what it says."""
    program, *words = shlex.split(command, comments=True)
    assert program == "lossscape", f"a block of {page.name} that is run shows {program}"
    code, out, err = cli(*words)
    assert code == 0, f"{command}: {err}"
    for written in re.findall(r"^\S.*?  (runs/\S+\.(?:png|csv|json|pt|html))$", out, flags=re.M):
        assert Path(written).is_file(), f"{command} says that it wrote {written}"


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

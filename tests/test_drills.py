"""Drills: what the design says can be added by one file and one line is added so, in a copy of the package, and works.

Each test writes what a contributor would, counts what that touched, and asks the command line for it.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest
import torch
from processes import Processes

import lossscape
from lossscape import yamlfile
from lossscape.runs import Run
from tests.seeing import Page, assert_stands_alone

PACKAGE = Path(lossscape.__file__).parent


@dataclass
class Tree:
    """A copy of the package that a drill changes."""

    root: Path
    drawn: bool = False
    """Whether its figures are drawn."""

    def add_file(self, name: str, text: str) -> None:
        """A file of the package that is not there yet."""
        path = self.root / "lossscape" / name
        assert not path.exists()
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add_line(self, name: str, behind: str, line: str) -> None:
        """A line behind another one of a file."""
        self.change(name, behind, f"{behind}\n{line}")

    def change(self, name: str, old: str, new: str) -> None:
        """Text of a file that stands there once."""
        path = self.root / "lossscape" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    def touched(self) -> dict[str, int]:
        """By file: the lines that it has more than in the package; of a new file all."""
        found = {}
        for path in (self.root / "lossscape").rglob("*.*"):
            name = path.relative_to(self.root / "lossscape")
            if "__pycache__" in name.parts:
                continue
            new = path.read_bytes().splitlines()
            old = (PACKAGE / name).read_bytes().splitlines() if (PACKAGE / name).exists() else []
            if new != old:
                found[name.as_posix()] = len(new) - len(old)
        return found

    @cached_property
    def processes(self) -> Processes:
        """Processes that have imported the package as it is when the first one is asked for."""
        return Processes(self.root / "cache", self.root, drawn=self.drawn)

    def ask(self, *words: object) -> str:
        """What `lossscape` with these words, or a script, prints; it must end well."""
        ended = self.processes.run(*words, cwd=self.root, env={"COLUMNS": "200"})
        assert ended.code == 0, ended.err
        return ended.out


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    shutil.copytree(PACKAGE, tmp_path / "tree" / "lossscape")
    copy = Tree(tmp_path / "tree")
    yield copy
    copy.processes.close()


pytestmark = pytest.mark.slow

SIGN = '''\
"""The direction that moves every parameter away from 0 alike."""

from lossscape.directions.direction import Direction, Plane, unit_words


class Sign(Direction):
    """Signs of the parameters; a second one takes every other parameter."""

    name = "sign"
    help = "signs of the parameters"

    def make(self, problem, centre, origin, dims, quiet):
        import torch

        from lossscape.vectors.orthonormal import orthonormal

        signs = {name: value.sign() for name, value in origin.items()}
        every_other = {name: v * (torch.arange(v.numel()).reshape(v.shape) % 2) for name, v in signs.items()}
        return Plane(orthonormal([signs, every_other][:dims]))

    def sentence(self, count):
        return f"Signs of the parameters; {unit_words(count)}."

    def axis_label(self, axis, number_of):
        return f"{axis} (signs of the parameters)"

    def line_words(self):
        return "the signs of the parameters"
'''


@pytest.mark.timeout(240)
def test_a_direction(tree: Tree, own_run: Run) -> None:
    tree.add_file("directions/sign.py", SIGN)
    tree.add_line("directions/family.py", '            ("towards", "Towards"),', '            ("sign", "Sign"),')
    assert tree.touched() == {"directions/sign.py": len(SIGN.splitlines()), "directions/family.py": 1}

    assert "sign: signs of the parameters" in " ".join(tree.ask("landscape", "--help").split())
    for words in (
        ("--grid", 3),
        ("--dims", 1, "--grid", 3),
        ("--dims", 1, "--grid", 3, "--directions-of", f"{own_run.path}@0"),
    ):
        out = tree.ask("landscape", own_run.path, "--directions", "sign", *words, "-q")
        assert "FAILED" not in out
    plane, line, elsewhere = sorted((own_run.path / "landscape").iterdir(), key=lambda path: path.stat().st_mtime)

    assert plane.name.startswith("epoch-0003-3x3-sign-")
    assert elsewhere.name.startswith("epoch-0003-3-sign-directions-of-epoch-0000-")
    assert yamlfile.read(plane / "settings.yaml").data["directions"] == {"kind": "sign"}
    checks = {check["name"]: check for check in json.loads((plane / "certificate.json").read_text())["checks"]}
    assert all(checks[f"‖d‖ along {axis} (orthonormal)"]["reference"] == 1.0 for axis in "xy")
    assert checks["cosine between the directions"]["passed"]
    (tree.root / "words.py").write_text(
        "import sys; from pathlib import Path; from lossscape.figures import captions; from lossscape import results\n"
        "from lossscape.directions import axis_label\n"
        "plane, line = map(Path, sys.argv[1:])\n"
        "surface, curve = results.read_surface(plane), results.read_curve(line)\n"
        "print(axis_label(surface.settings, 'y', 2), captions.surface_caption(surface, 'train'))\n"
        "print(captions.curve_title([curve]), captions.curve_caption([curve], [''], False))\n"
    )
    said = tree.ask("words.py", plane, line)
    assert "y (signs of the parameters)" in said
    assert "Signs of the parameters; orthonormal, so x and y are distances." in said
    assert "Along the signs of the parameters from digits@epoch-0003" in said
    assert "Signs of the parameters; of length 1, so x is a distance." in said


CONFIDENCE = '''

def confidence(outputs: Tensor, targets: Tensor) -> Tensor:
    """The largest of softmax(outputs)."""
    return torch.softmax(outputs, 1).amax(1)'''


@pytest.mark.timeout(240)
def test_a_metric_is_a_function_and_its_name_in_a_line(tree: Tree, own_run: Run) -> None:
    tree.add_line("metrics.py", "    return (outputs - wanted).abs().mean(1)", CONFIDENCE)
    tree.change("metrics.py", "entropy, brier, mae)}", "entropy, brier, mae, confidence)}")
    assert tree.touched() == {"metrics.py": len(CONFIDENCE.splitlines())}

    words = ("--grid", 3, "--metrics", "accuracy,confidence", "--workers", 2, "--precision", "fp64")
    assert "FAILED" not in tree.ask("landscape", own_run.path, "--directions", "random", *words, "-q")
    (folder,) = (own_run.path / "landscape").iterdir()
    table = pd.read_csv(folder / "surface.csv")
    model = own_run.model("last").double()
    with torch.no_grad():
        expected = torch.softmax(model(own_run.tensors("train").inputs.double()), 1).amax(1).mean().item()
    (centre,) = table.query("x == 0 and y == 0")["train_confidence"]
    assert centre == pytest.approx(expected, rel=1e-9)
    tree.ask("report", own_run.path)
    assert "confidence" in Page(own_run.report_folder / "index.html").text


NORMS = {
    "__init__": '"""The length of the weights at every checkpoint."""\n',
    "request": '''\
"""What `norms` is asked for."""

from dataclasses import dataclass
from typing import Annotated

from lossscape.measured import RunLike
from lossscape.options import Option

EXAMPLES = ("lossscape norms runs/a --power 1",)


@dataclass(frozen=True)
class Request:
    """The length of the weights at every checkpoint."""

    run: Annotated[RunLike, Option("A run.", "RUN", argument=True)]
    power: Annotated[float, Option("p of the norm.", least=1, word="power-{:g}")] = 2.0


@dataclass(frozen=True)
class Drawing:
    """How it is drawn: there is nothing to choose."""
''',
    "compute": '''\
"""The length of the weights at every checkpoint."""

from lossscape.options import settings_of, words_of
from lossscape.results.folder import label, open_folder
from lossscape.results.table import Table, fill, once
from lossscape.runs import Run


class Lengths:
    """A row for each checkpoint."""

    columns = ("norm",)

    def __init__(self, run, power):
        self.files = {(float(c.epoch),): c for c in run.checkpoints() if c.epoch is not None}
        self.power = power

    def cost(self, key):
        return 1

    def rows(self, keys, plan, done=None):
        return [{"norm": self._norm(self.files[key].state())} for key in keys]

    def _norm(self, state):
        return sum(float((value.abs() ** self.power).sum()) for value in state.values()) ** (1 / self.power)


def compute(request, execution):
    """Write ‖θ‖ of every checkpoint; returns the result's folder."""
    run = Run.open(request.run)
    settings = {"analysis": "norms", **settings_of(request, run=run.name)}
    folder = run.path / "norms" / label(settings, ["all", *words_of(request)])
    source = Lengths(run, request.power)
    with open_folder(folder, settings, overwrite=execution.overwrite):
        keys = list(source.files)
        fill(Table(folder, "norms.csv", ["epoch"]), source, once(keys), total=len(keys), execution=execution)
    return folder
''',
    "result": '''\
"""The lengths as read back from their folder."""

from pathlib import Path

from lossscape.results import Result, read_csv, read_settings


class Norms(Result):
    """Lengths by epoch."""

    def lines(self) -> list[str]:
        """The last one."""
        return [f"at the end ‖θ‖ = {self.table['norm'].iloc[-1]:.4g}"]


def read(folder: Path) -> Norms:
    """What was written. Raises BadInput where it is missing or torn."""
    return Norms(folder, read_settings(folder), read_csv(folder / "norms.csv"))
''',
    "figure": '''\
"""Lengths against the epoch."""

from pathlib import Path

from matplotlib.figure import Figure

from lossscape.analyses.norms.request import Drawing
from lossscape.analyses.norms.result import Norms
from lossscape.figures.section import Page, Section, Sentences
from lossscape.figures.style import save, sheet, style


@style()
def build_norms(norms: Norms) -> Figure:
    """‖θ‖ by epoch."""
    figure, panel = sheet(7, 4, "Lengths of the weights", None)
    axes = panel.subplots()
    axes.plot(norms.table["epoch"], norms.table["norm"])
    return figure


def draw(result: Norms, drawing: Drawing, quiet: bool) -> dict[str, Path | str]:
    """Write the figure; returns what lies where."""
    save(build_norms(result), result.folder / "norms.png")
    return {"norms": result.folder / "norms.csv", "figure": result.folder / "norms.png"}


def section(result: Norms, page: Page) -> Section:
    """The figure, the last length, the files."""
    picture = page.draw(build_norms(result), "norms.png", "Lengths of the weights by epoch.", "‖θ‖ by epoch.")
    return Section("all checkpoints", [picture, Sentences(result.lines())], page.copy_result(result.folder))
''',
}


@pytest.mark.timeout(240)
def test_an_analysis_is_one_folder_and_a_line(tree: Tree, own_run: Run) -> None:
    for name, text in NORMS.items():
        tree.add_file(f"analyses/norms/{name}.py", text)
    behind = '        Analysis("solutions", "solutions", "Kinds of solution"),'
    tree.drawn = True
    tree.add_line("analyses/__init__.py", behind, '        Analysis("norms", "norms", "Lengths of weights"),')
    touched = tree.touched()
    assert touched.pop("analyses/__init__.py") == 1
    assert touched.keys() == {f"analyses/norms/{name}.py" for name in NORMS}
    assert "--power" in tree.ask("norms", "--help")
    assert "at the end ‖θ‖ =" in tree.ask("norms", own_run.path, "--power", 1)
    (alone,) = (own_run.path / "norms").glob("all-power-1-*")
    assert (alone / "norms.png").read_bytes().startswith(b"\x89PNG")
    whole = (alone / "norms.csv").read_text().splitlines(keepends=True)
    tree.ask("norms", own_run.path, "--power", 1, "--workers", 2, "--overwrite", "-q")
    assert (alone / "norms.csv").read_text().splitlines(keepends=True) == whole
    (alone / "norms.csv").unlink()
    (alone / "points.csv").write_text("".join([*whole[:2], "1.0,7.5\n", whole[3][:4]]))  # a torn last line
    tree.ask("norms", own_run.path, "--power", 1, "-q")
    assert (alone / "norms.csv").read_text().splitlines(keepends=True) == [*whole[:2], "1.0,7.5\n", *whole[3:]]
    tree.ask("report", own_run.path)
    page = Page(own_run.report_folder / "index.html")
    assert_stands_alone(page)
    assert "Lengths of weights all checkpoints ‖θ‖ by epoch. PNG at the end ‖θ‖ =" in page.text
    assert {file.name for file in page.local_files() if file.parent.name == alone.name} == {
        "norms.png",
        "norms.csv",
        "settings.yaml",
    }

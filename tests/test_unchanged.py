"""What was made and lies there unchanged is not made again, and anything that changed makes it anew."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lossscape import usercode
from lossscape.runs import Run
from lossscape.studies.config import Opened as Study
from lossscape.sweeps import Opened
from lossscape.unchanged import STAMP, Made, facts_of, keep, unchanged


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def cut(path: Path) -> None:
    """Take away the end of a large file, and give it the time that it had."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], None]] = {
    "a digit of a table": lambda root: write(root / "home/run/metrics.csv", "loss\n2\n"),
    "a table that is gone": lambda root: (root / "home/run/metrics.csv").unlink(),
    "a checkpoint, cut": lambda root: cut(root / "home/run/epoch-0001.pt"),
    "another result": lambda root: write(root / "home/run/landscape/a/surface.csv", "x\n"),
    "what was written last": lambda root: write(root / "home/study/statements.csv", "claim\nb\n"),
    "a config": lambda root: write(root / "net.yaml", "lr: 2\n"),
    "a config that is gone": lambda root: (root / "net.yaml").unlink(),
    "a picture of the data": lambda root: write(root / "data/train/cat/1.png", "!"),
    "a new picture": lambda root: write(root / "data/train/cat/2.png", "?"),
    "data that were missing": lambda root: write(root / "more", "?"),
    "the code": lambda root: write(root / "code/report/page.html.j2", "<p>"),
    "the note, torn": lambda root: write(root / "home/study" / STAMP, '{"stamp": '),
    "the note, of before": lambda root: write(root / "home/study" / STAMP, '{"stamp": "", "files": [], "said": []}'),
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """Something that was made of all that can change."""
    monkeypatch.setattr("lossscape.__file__", str(tmp_path / "code" / "__init__.py"))
    monkeypatch.chdir(tmp_path)
    for name in (
        "code/report/page.html.j2", "home/run/metrics.csv", "home/run/epoch-0001.pt", "home/study/statements.csv",
        "home/report/index.html", "net.yaml", "data/train/cat/1.png",
    ):  # fmt: skip
        write(tmp_path / name, "loss\n1\n")
    found = Made(tmp_path / "home", tmp_path / "home" / "study", ["study", "laptop"])
    found.keep(["done"], facts_of(tmp_path / name for name in ("net.yaml", "data", "more")))
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_makes_it_anew(name: str, made: Made, tmp_path: Path) -> None:
    assert made.said() == ["done"]
    CHANGES[name](tmp_path)
    assert made.said() is None


def test_what_is_made_again_from_it_changes_nothing(made: Made) -> None:
    write(made.home / "report" / "index.html", "another page")
    write(made.home / "run" / ".lock", "process 1")
    assert made.said() == ["done"]


def test_code_that_was_installed_while_something_was_made_makes_it_anew(made: Made, tmp_path: Path) -> None:
    CHANGES["the code"](tmp_path)
    made.keep(["done"], {})
    assert Made(made.home, made.place, made.asked).said() is None


def test_another_call_is_none_of_before(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Made(made.home, made.place, ["study", "full"]).said() is None
    monkeypatch.setenv("LOSSSCAPE_DATA", str(tmp_path))
    assert made.said() is None
    monkeypatch.undo()
    assert Made(tmp_path / ("a" * 300), tmp_path / ("a" * 300), []).said() is None


@pytest.mark.parametrize("change", ["cut", "gone", "more"])
def test_pictures_are_made_anew_where_they_are_not_as_they_were(change: str, tmp_path: Path) -> None:
    picture = tmp_path / "page" / "loss.png"
    write(picture, "picture")
    keep(picture.parent, "stamp", ["left out"])
    assert unchanged(picture.parent, "stamp") == ["left out"]
    assert unchanged(picture.parent, "of other options") is None
    {"cut": lambda: cut(picture), "gone": picture.unlink, "more": lambda: write(tmp_path / "page/a.png", "")}[change]()
    assert unchanged(picture.parent, "stamp") is None


NET = """\
from torch import nn
import layers.inner
from helper import width
try:
    import more
except ImportError:
    pass
def net(shape, classes):
    import late
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, classes))
"""
SWEEP = """\
name: swept
base:
  dataset: {name: digits, train_size: 30, test_size: 10}
  model: {name: 'nets/own.py:net'}
  optimizer: {name: sgd, lr: 0.1}
  training: {epochs: 1}
  teacher: {run: [runs/digits@1, runs/other]}
  init_from: {run: weights.pt}
product: {seed: [0, 1]}
"""
OWN = {
    "nets/own.py": NET, "nets/helper.py": "from layers.inner import width\n", "nets/layers/__init__.py": "",
    "nets/layers/inner.py": "from . import deep\nwidth = 3\n", "nets/layers/deep.py": "", "late.py": "import lazy\n",
    "nets/lazy.py": "", "swept.yaml": SWEEP, "weights.pt": "w", "runs/other/config.yaml": "a: 1\n",
}  # fmt: skip
REFERRED = [
    *(name for name in OWN if name != "swept.yaml"), "nets/more.py", "more/__init__.py", "nets/torch.py",
    "runs/digits/config.yaml", "runs/digits/checkpoints/epoch-0001.pt", "runs/other/checkpoints/epoch-0009.pt",
]  # fmt: skip
"""What a sweep is made from beside its own file, and what it would be if it were there."""


@pytest.fixture
def swept(own_run: Run, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Calls a sweep of a net of the user's own that learns from others; tells whether it was gone through."""
    for name, text in OWN.items():
        write(tmp_path / name, text)
    monkeypatch.chdir(tmp_path)
    called = list[Path]()

    def run_sweep(opened: Opened, home: Path, execution: Any) -> list[Any]:
        called.append(home)
        home.mkdir(parents=True, exist_ok=True)
        return []

    monkeypatch.setattr("lossscape.sweeps.run_sweep", run_sweep)

    def call() -> bool:
        before = len(called)
        assert cli("sweep", "swept.yaml").code == 0
        return len(called) > before

    assert call()
    return call


@pytest.mark.slow
def test_what_a_sweep_refers_to_has_it_looked_at_again(swept: Callable[[], bool], tmp_path: Path) -> None:
    assert not swept()
    for name in REFERRED:
        path = tmp_path / name
        write(path, path.read_text(errors="replace") + "\n" if path.exists() else "")
        assert swept(), name
    assert not swept()
    for name in ("runs/digits/metrics.csv", "runs/digits/landscape/a/surface.csv", "nets/unused.py", "runs/c/a.csv"):
        write(tmp_path / name, "1\n")
    assert not swept()


def test_a_study_is_made_from_what_its_nets_refer_to(swept: Callable[[], bool], tmp_path: Path) -> None:
    write(tmp_path / "net.yaml", "name: a\n" + "\n".join(line[2:] for line in SWEEP.splitlines()[2:-1]))
    write(tmp_path / "study.yaml", "study: race\nnets: {a: net.yaml}\nseeds: [0]\nmethods: [{}, {}]\n"
          "surface_noise: [0.0]\nnoise: [0.0]\nscales: {tiny: {}}\n")  # fmt: skip
    beside = Made(tmp_path / "runs", tmp_path / "runs", []).beside(Study(Path("study.yaml"), "tiny").sources())
    assert beside is not None
    assert not any("runs" in Path(path).parts for path in beside)
    beside |= Made(tmp_path / "home", tmp_path / "home", []).beside(Study(Path("study.yaml"), "tiny").sources()) or {}
    names = {str(Path(path).relative_to(tmp_path)) for path in beside}
    assert names >= {"study.yaml", "net.yaml", "nets/helper.py", "nets/layers/deep.py", "late.py", "weights.pt",
                     "runs/digits/config.yaml", "runs/other/checkpoints"}  # fmt: skip


def test_modules_that_were_imported_in_other_ways_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("own.py", "elsewhere/odd.py"):
        write(tmp_path / name, "value = 1\n")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    importlib.import_module("odd")
    found = usercode.imported_by([tmp_path / "own.py"])
    assert found == [tmp_path / "own.py", tmp_path / "elsewhere" / "odd.py"]
    assert usercode.imported_by([]) == []


COMMAND = ("landscape", "runs/digits@3", "--grid", "3", "--samples", "20", "-q")


@pytest.fixture
def drawn(own_run: Run, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a landscape that a command drew."""
    monkeypatch.chdir(tmp_path)
    assert cli(*COMMAND).code == 0
    (folder,) = (own_run.path / "landscape").iterdir()
    return folder


def test_a_figure_is_drawn_again_where_what_it_is_made_from_changed(
    drawn: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by the times of pictures, which are written anew when they are drawn."""
    picture = drawn / "contour.png"
    whole, first = picture.read_bytes(), cli(*COMMAND)

    def again(*words: str) -> bool:
        before = {path: path.stat().st_ctime_ns for path in drawn.glob("contour*.p*")}
        assert cli(*COMMAND, *words).code == 0
        return {path: path.stat().st_ctime_ns for path in drawn.glob("contour*.p*")} != before

    assert not again()
    assert cli(*COMMAND).out == first.out
    picture.write_bytes(whole[:-9])
    assert again()
    assert picture.read_bytes() == whole
    picture.unlink()
    assert again()
    assert picture.read_bytes() == whole
    for words in (("--title", "Another"), ("--style", "paper")):
        assert again(*words), words
        assert not again(*words), words
    assert again()
    assert picture.read_bytes() == whole
    monkeypatch.setattr("lossscape.__file__", str(drawn / "code" / "__init__.py"))
    assert again()
    assert not again()


def test_a_table_that_was_changed_is_refused_and_accepted_it_is_drawn(drawn: Path, cli: Callable[..., Any]) -> None:
    table, picture = drawn / "surface.csv", drawn / "contour.png"
    whole = picture.read_bytes()
    *lines, last = table.read_text().splitlines()
    x, y, _, *others = last.split(",")
    table.write_text("\n".join([*lines, ",".join([x, y, "9.5", *others])]) + "\n")
    assert "surface.csv: changed since lossscape wrote it" in cli(*COMMAND).err
    assert cli("verify", "--accept-changed", drawn, "-q").code == 0
    assert cli(*COMMAND).code == 0
    assert picture.read_bytes() != whole


def test_a_figure_of_what_lies_elsewhere_follows_it(own_run: Run, tmp_path: Path, cli: Callable[..., Any]) -> None:
    words = ("solutions", own_run.path, "-q")
    assert cli(*words).code == 0
    (picture,) = own_run.path.rglob("solutions.png")
    before = picture.stat().st_ctime_ns
    assert cli(*words).code == 0
    assert picture.stat().st_ctime_ns == before
    rows = own_run.metrics_file.read_text().splitlines()
    own_run.metrics_file.write_text("\n".join(rows[:-1]) + "\n")
    assert cli(*words).code == 0
    assert picture.stat().st_ctime_ns != before


def test_a_file_that_changes_while_a_figure_of_it_is_drawn_draws_it_again(
    own_run: Run, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write_png, drawn = own_run.config_file, FigureCanvasAgg.print_png, list[str]()

    def trained_on(*given: Any, **named: Any) -> None:
        drawn.append(file.read_text())
        if len(drawn) == 1:
            file.write_text(drawn[0] + "# another\n")
        write_png(*given, **named)

    monkeypatch.setattr(FigureCanvasAgg, "print_png", trained_on)
    for times in (1, 2, 2):
        assert cli("solutions", own_run.path, "-q").code == 0
        assert len(drawn) == times

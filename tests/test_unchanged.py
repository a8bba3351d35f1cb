"""What was made and lies there unchanged is not made again, and anything that changed makes it anew."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lossscape.runs import Run
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

"""Drawing options: every analysis gives the files that are asked for, whole, in every format and style."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from conftest import Answer
from matplotlib import pyplot, rc_params_from_file
from matplotlib.figure import Figure
from PIL import Image

from lossscape.analyses import ANALYSES
from lossscape.analyses.film.request import Drawing as Films
from lossscape.analyses.solutions.figure import build_solutions
from lossscape.config import read_experiment
from lossscape.errors import BadInput
from lossscape.figures import style
from lossscape.figures.contours import build_contour
from lossscape.figures.how import How, drawn
from lossscape.figures.levels import choose_scale
from lossscape.figures.section import Page
from lossscape.library import Shown
from lossscape.options import fields_of, made_of
from lossscape.results import read_curve, read_surface
from lossscape.runs import Run
from lossscape.train import train
from tests import computing
from tests.report_runs import write_curve, write_landscape, write_pairs, write_run

LONG = "größe-a-very-long-name-of-a-run-that-goes-on-and-on-実験"


@dataclass(frozen=True)
class Case:
    """A small result of an analysis, and what is drawn of it."""

    analysis: str
    make: Callable[[Path, Run], Path]
    """Gives its folder, from an empty one and a trained run."""
    figures: frozenset[str]
    """Names of its figures."""
    said: str = "Precision: "
    """What the whole caption of its first figure says, beyond what fits into the picture."""
    quick: bool = False


def case(analysis: str, figures: str, make: Callable[[Path, Run], Path], **more: Any) -> Case:
    return Case(analysis, make, frozenset(figures.split()), **more)


def short_runs(folder: Path) -> list[str]:
    return [str(write_run(folder, name).path) for name in ("a", LONG)]


FILMS = frozenset({"race", "film"})
"""Figures that are the last frame of a film, without a caption."""
SMALL = {"samples": 100}
LINE = f"""\
name: {LONG}
dataset: {{name: regression_1d, train: 30, test: 20}}
model: {{name: mlp, hidden: [4], activation: tanh}}
loss: {{name: mse}}
optimizer: {{name: adam, lr: 0.05}}
training: {{epochs: 1, batch_size: 10}}
"""


def line_config(folder: Path) -> str:
    """A config file that trains at once, over one input."""
    folder.mkdir()
    (folder / "line.yaml").write_text(LINE, encoding="utf-8")
    return str(folder / "line.yaml")


def line_run(folder: Path) -> str:
    return str(train(read_experiment(Path(line_config(folder))), folder).path)


CASES = [
    case("interpolate", "curve", lambda folder, run: write_curve(write_run(folder, LONG))),
    case("landscape", "contour surface", lambda folder, run: write_landscape(write_run(folder, LONG)), quick=True),
    case("landscape", "line", lambda folder, run: write_landscape(write_run(folder, LONG), grid=(9,))),
    case(
        "landscape", "contour surface path",
        lambda folder, run: computing.landscape(
            str(run.path), towards=f"{run.path}@first", path=True, grid=(5, 5), **SMALL
        ),
    ),
    case("film", "descent plane", lambda folder, run: computing.film(str(run.path), grid=(5, 5), every=3, **SMALL)),
    case(
        "pair", "pair measures",
        lambda folder, run: write_pairs(folder, {LONG: (lambda x, y: 1 + x * x, lambda x, y: y * y)}).folder,
    ),
    case(
        "pair", "contours surfaces pair-1 pair-2 measures",
        lambda folder, run: write_pairs(
            folder, {name: (lambda x, y: 1 + x * x, lambda x, y: x * x + y * y) for name in (LONG, "b")}
        ).folder,
    ),
    case(
        "solutions", "solutions", lambda folder, run: computing.solutions(short_runs(folder)),
        said="a stronger kind includes the weaker",
    ),
    case(
        "compare", "curves table", lambda folder, run: ANALYSES["compare"].run(runs=tuple(short_runs(folder))),
        said="failed runs are left out of means",
    ),
    case("curvature", "spectrum density", lambda folder, run: computing.curvature(
        str(run.path), largest=2, smallest=1, vectors=2, steps=5, **SMALL)),
    case("sharpness", "sharpness", lambda folder, run: computing.sharpness(
        str(run.path), seeds=2, ascent_steps=2, **SMALL)),
    case("convexity", "convexity", lambda folder, run: computing.convexity(str(run.path), grid=(3, 3), **SMALL)),
    case("gradients", "gradients", lambda folder, run: computing.gradients(str(run.path), **SMALL)),
    case("fit", "fit film", lambda folder, run: computing.fit(line_run(folder), grid=9)),
    case("saddles", "saddles", lambda folder, run: computing.saddles(
        line_run(folder), displacements=1, sizes=(0.1,), newton_steps=5)),
    case(
        "initial_values", "activations gradients trainings",
        lambda folder, run: computing.initial_values(
            line_config(folder), runs=str(folder), schemes=("he", "constant=0"), seeds=2, epochs=1
        ), said="its share said",
    ),
    case(
        "race", "contour surface race losses",
        lambda folder, run: computing.race(surface="rosenbrock", steps=5, runs=str(folder)), said="diverged: ",
    ),
]  # fmt: skip
CASE = {each.analysis: each for each in CASES}
"""One of each analysis."""
TABLE = [
    pytest.param(each, id=f"{each.analysis}-{min(each.figures)}", marks=() if each.quick else pytest.mark.slow)
    for each in CASES
]


def paint(case: Case, folder: Path, **asked: Any) -> set[str]:
    """Draw a result; returns the names of the files that came of it, apart from films."""
    analysis = ANALYSES[case.analysis]
    before = {path.name for path in folder.iterdir()}
    analysis.draw(analysis.read(folder), made_of(analysis.requests.Drawing, asked), quiet=True)
    return {path.name for path in folder.iterdir()} - before


@pytest.mark.parametrize("case", TABLE)
def test_every_format_and_style_of_every_analysis(case: Case, tmp_path: Path, own_run: Run) -> None:
    folder = case.make(tmp_path / "drawn", own_run)
    styles = ("screen", "paper") if not case.quick else ("paper",)
    for look in styles:
        end = "-paper" if look == "paper" else ""
        asked = {"dpi": 80} if look == "screen" else {}
        found = paint(case, folder, style=look, format=("png", "svg", "pdf"), **asked)
        drawn_ones = {f"{name}{end}.{kind}" for name in case.figures for kind in ("png", "svg", "pdf", "txt")}
        assert drawn_ones <= found | {f"{film}{end}.txt" for film in FILMS}
        assert not {name for name in found - drawn_ones if not name.endswith((".csv", ".md", ".json", ".jsonl"))}
        for name in case.figures:
            assert_whole_picture(folder / f"{name}{end}.png")
            assert_vectors(folder / f"{name}{end}", look)
        first = "contours" if "contours" in case.figures else min(case.figures - FILMS)
        assert case.said in (folder / f"{first}{end}.txt").read_text(encoding="utf-8")


def assert_whole_picture(path: Path) -> None:
    """Nothing reaches the edge of the picture."""
    with Image.open(path) as image:
        paper = Image.new("RGBA", image.size, "white")  # a part of a pixel at an edge is transparent
        pixels = np.asarray(Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB"))
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert edge.min() > 250, path.name
    assert (pixels < 200).any()


def assert_vectors(path: Path, look: str) -> None:
    """Fonts lie in a PDF whole, none of Type 3; an SVG needs none; both are as wide as a column, or two."""
    pdf, svg = path.with_name(f"{path.name}.pdf").read_bytes(), path.with_name(f"{path.name}.svg").read_text("utf-8")
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    assert "<text" not in svg
    assert "font-family" not in svg
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf)[1])  # type: ignore[index]
    assert float(re.search(r'<svg .*?width="([\d.]+)pt"', svg, re.S)[1]) == pytest.approx(width, abs=0.01)  # type: ignore[index]
    if look == "paper":
        assert width == pytest.approx(72 * 3.25, abs=0.1) or 72 * 5 < width < 72 * 6.75 + 0.1


def test_every_analysis_that_draws_is_in_the_table() -> None:
    drawing = {name for name, each in ANALYSES.items() if "how" in vars(each.requests.Drawing)["__dataclass_fields__"]}
    assert drawing == {each.analysis for each in CASES}
    assert set(ANALYSES) - drawing == {"minimum"}


def test_another_scale_has_another_name(tmp_path: Path) -> None:
    folder = write_curve(write_run(tmp_path), points=5)
    curve = CASES[0]
    assert paint(curve, folder) == {"curve.png", "curve.txt"}
    first = (folder / "curve.png").read_bytes()
    assert paint(curve, folder, log=True, vmax=10) == {"curve-log-vmax-10.png", "curve-log-vmax-10.txt"}
    assert (folder / "curve-log-vmax-10.png").read_bytes() != first
    assert (folder / "curve.png").read_bytes() == first
    assert How(levels=(0.5, 0.2, 2.0), log=True).suffix == "-log-levels-0.2-0.5-2"


@pytest.mark.parametrize(
    "scales",
    [
        [How(vmin=0.1234567), How(vmin=0.1234568)],
        [How(levels=tuple(range(1, most))) for most in (70, 71)],  # longer than names of files may be
        [How(levels=tuple(range(1, 70)), style=style) for style in ("screen", "paper")],
    ],
    ids=["digits", "many levels", "style behind many levels"],
)
def test_scales_that_are_nearly_the_same_have_names_of_their_own(scales: list[How]) -> None:
    assert len({each.suffix for each in scales}) == len(scales)
    assert all(len(each.suffix) <= 120 for each in scales)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "jpg"), "--format 'jpg' is not known"),
        (("--style", "poster"), "--style"),
        (("--levels", "many"), "--levels many: a finite number is needed"),
        (("--levels", "1"), "a number from 2 to 200 is needed"),
        (("--vmin", "2", "--vmax", "1"), "--vmin 2 --vmax 1: --vmin must be the lesser"),
        (("--log", "--vmin", "0"), "--vmin 0: a logarithmic scale needs losses above 0"),
        (("--dpi", "5"), "--dpi"),
    ],
    ids=lambda each: "".join(each) if isinstance(each, tuple) else "",
)
def test_what_cannot_be_drawn_is_refused_before_any_work(
    words: tuple[str, ...], said: str, cli: Callable[..., Answer], tmp_path: Path
) -> None:
    answer = cli("landscape", write_run(tmp_path).path, *words)
    assert answer.code == 2
    assert said in answer.err
    assert len(answer.err.strip().splitlines()[-1]) > 20
    assert not (tmp_path / "a" / "landscape").exists()


@pytest.mark.parametrize(
    "option",
    [{"dpi": 0}, {"dpi": 10**6}, {"vmin": math.nan}, {"vmax": math.inf}, {"levels": 1}, {"levels": 10**6},
     {"levels": [5.0]}, {"levels": (math.nan, 1.0)}],
    ids=repr,
)  # fmt: skip
def test_python_is_held_to_the_limits_of_the_command(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(BadInput, match=f"^--{name} "):
        How(**option)


def test_ends_and_levels_of_a_scale() -> None:
    losses = np.array([[0.5, 1.0], [2.0, 8.0]])
    with drawn(How(vmin=1, vmax=4)):
        scale = choose_scale(losses, False)
    assert (scale.low, scale.high) == (1, 4)
    assert scale.heights(losses).tolist() == [[1, 1], [2, 4]]
    assert [note for note in scale.notes if "drawn at that value" in note] == [
        "1 point with a loss below 1 drawn at that value.", "1 point with a loss above 4 drawn at that value.",
    ]  # fmt: skip
    with drawn(How(levels=(0.7, 3.0, 99.0))):
        assert choose_scale(losses, False).levels == [0.5, 0.7, 3, 8]
    with drawn(How(levels=40)):
        assert 25 <= len(choose_scale(losses, False).levels) <= 41
    with drawn(How(vmin=9)), pytest.raises(BadInput, match=r"--vmin 9: the losses lie between 0.5 and 8"):
        choose_scale(losses, False)
    with drawn(How(levels=(10.0, 20.0))), pytest.raises(BadInput, match="none of them lies between"):
        choose_scale(losses, False)


@pytest.mark.parametrize(
    ("ends", "said"),
    [({"vmin": 0.01, "vmax": 20}, ""), ({"vmin": 50}, "lies between"), ({"vmin": 0}, "--vmin 0: .* logarithmic scale")],
    ids=["wide", "beyond", "not above 0"],
)
def test_ends_of_an_axis_that_is_logarithmic_unasked(ends: dict[str, float], said: str, tmp_path: Path) -> None:
    folder = computing.solutions(short_runs(tmp_path))
    if said:
        with pytest.raises(BadInput, match=said):
            paint(CASE["solutions"], folder, **ends)
        return
    assert paint(CASE["solutions"], folder, **ends) == {
        f"solutions-vmin-0.01-vmax-20.{kind}" for kind in ("png", "txt")
    }
    with drawn(How(**ends)):
        axes: Any = build_solutions(ANALYSES["solutions"].read(folder)).axes[0]
    assert axes.get_ylim() == (0.01, 20)


def test_commands_whose_figures_have_losses_have_ends_of_their_scale() -> None:
    have = {
        name: {each.key for each in fields_of(analysis.requests.Drawing)} & {"levels", "vmin", "vmax"}
        for name, analysis in ANALYSES.items()
    }
    without = {name for name, keys in have.items() if not keys}
    assert without == {"minimum", "curvature", "sharpness", "gradients", "fit"}
    assert {name for name, keys in have.items() if "levels" in keys} == {"landscape", "film", "convexity", "race"}
    assert all(keys >= {"vmin", "vmax"} for name, keys in have.items() if name not in without)


def test_title_and_small_print(tmp_path: Path) -> None:
    surface = read_surface(write_landscape(write_run(tmp_path), grid=(5, 5), error=0.1))
    figure: Any = build_contour(surface)
    assert figure.small_print.get_text().count("\n") == 1
    assert figure.small_print.get_text().endswith(" …")
    assert len(figure.caption) > len(figure.small_print.get_text())
    with drawn(How(title="Mine", no_caption=True)):
        other: Any = build_contour(surface)
    assert other.caption == figure.caption
    assert other.small_print.get_text() == ""
    assert other.subfigs[0].get_suptitle() == "Mine"


@pytest.mark.parametrize(("width", "dpi"), [(10, 60), (10, 100), (15, 100)])
def test_small_print_and_title_stay_inside_at_few_pixels(width: int, dpi: int, tmp_path: Path) -> None:
    words = "Loss around mnist_4nn_100@epoch-0200 (train data), 31 × 31 points, 60,000 samples. Precision: fp32. "
    with style.style(), drawn(How(formats=("png",), style="paper", dpi=dpi)):
        figure, _ = style.sheet(width, 4.0, words, 3 * words)
        assert_whole_picture(Path(style.save(figure, tmp_path / "a.png")))


def test_a_film_is_drawn_in_the_formats_of_films_and_of_figures() -> None:
    assert (Films(formats=("gif", "pdf")).movies, Films(formats=("gif", "pdf")).how.files) == (("gif",), ("pdf",))
    assert (Films(formats=("svg",)).movies, Films(formats=("gif",)).how.files) == ((), ("png",))


def test_a_page_gives_figures_in_other_formats(tmp_path: Path) -> None:
    page, (figure, _) = Page(tmp_path), style.sheet(3, 2, "a title", None)
    with drawn(How(formats=("svg",))):
        page.draw(figure, "contour.png", "alt", "caption")
    assert {path.name for path in page.folder.iterdir()} == {"contour.png", "contour.svg"}
    page.draw(figure, "contour.png", "alt", "caption")
    assert {path.name for path in page.folder.iterdir()} == {"contour.png"}  # what is not of this page is gone


def test_the_library_saves_as_the_command_draws(tmp_path: Path) -> None:
    kept = Shown(read_curve(write_curve(write_run(tmp_path))), "interpolate", None)  # type: ignore[arg-type]
    kept.save(tmp_path / "out", style="paper", format="svg")
    assert {"curve-paper.svg", "curve-paper.txt"} <= {path.name for path in (tmp_path / "out").iterdir()}
    with pytest.raises(BadInput, match="drawing option of interpolate 'colour'"):
        kept.save(tmp_path / "out", colour="red")


def test_the_style_file_is_the_figures_own() -> None:
    file: Any = rc_params_from_file(style.STYLE_FILE, use_default_template=False)
    with style.style():
        assert {key: matplotlib.rcParams[key] for key in file} | {"font.family": None} == file | {"font.family": None}
    with pyplot.style.context("lossscape.figures.lossscape"):
        assert matplotlib.rcParams["pdf.fonttype"] == 42
        assert Figure().dpi == 150

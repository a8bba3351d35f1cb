"""Figures: what their axes hold, that they survive any numbers and names, and that nothing is cut off."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Answer
from matplotlib.colors import to_hex
from matplotlib.contour import QuadContourSet
from matplotlib.legend import Legend
from mpl_toolkits.mplot3d import Axes3D

from lossscape.errors import BadInput
from lossscape.figures import captions, text
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.curves import build_curve
from lossscape.figures.levels import choose_scale
from lossscape.figures.paths import build_path
from lossscape.figures.style import save, sheet
from lossscape.figures.training import build_training
from lossscape.results import read_curve, read_surface
from lossscape.text import UNDRAWN, counted, number
from tests.report_runs import write_curve, write_landscape, write_paths, write_run
from tests.seeing import INF, NAN, SURFACES, assert_inside, lines_of, png_size, words_of


def test_every_figure_is_written_as_png(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    curve, line = read_curve(write_curve(run)), read_curve(write_landscape(run, grid=[5], label="line"))
    surface = read_surface(write_landscape(run))
    save(build_curve([curve]), tmp_path / "curve.png")
    save(build_curve([line]), tmp_path / "line.png")
    save(build_contour(surface), tmp_path / "contour.png")
    save(build_surface(surface), tmp_path / "surface.png")
    save(build_training([run]), tmp_path / "training.png")
    for name, least in (("curve", 1500), ("line", 1500), ("contour", 1000), ("surface", 1000), ("training", 1500)):
        width, height = png_size(tmp_path / f"{name}.png")
        assert width >= least
        assert 500 < height < 2000
        assert (tmp_path / f"{name}.png").stat().st_size < 300_000


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    curve = read_curve(write_curve(write_run(tmp_path)))
    save(build_curve([curve]), tmp_path / "1.png")
    save(build_curve([curve]), tmp_path / "2.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_a_curve_shows_loss_and_accuracy_of_both_splits(tmp_path: Path) -> None:
    curve = read_curve(write_curve(write_run(tmp_path, "mnist"), note="JPEG copy"))
    figure = build_curve([curve])
    loss, accuracy = figure.axes
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("α", "loss (cross-entropy, mean per sample)")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("α", "accuracy (%)")
    (train,), (test,) = lines_of(loss, "line train"), lines_of(loss, "line test")
    assert train.get_linestyle() == "-"
    assert test.get_linestyle() == "--"
    assert to_hex(train.get_color()) != to_hex(test.get_color())
    np.testing.assert_allclose(train.get_xdata(), np.linspace(0, 1, 11))
    np.testing.assert_allclose(train.get_ydata(), 2 - 1.5 * np.linspace(0, 1, 11))
    np.testing.assert_allclose(lines_of(accuracy, "line test")[0].get_ydata(), 50 * np.linspace(0, 1, 11))
    figure.draw_without_rendering()
    ticks = {label.get_text() for label in loss.get_xticklabels()}
    assert {"0\nepoch-0001", "1\nepoch-0003"} <= ticks
    shown = words_of(figure)
    for words in ("mnist@epoch-0001", "(JPEG copy)", "60,000 train and 10,000 test", "mlp", "fp32", "11 points"):
        assert words in shown
    assert_inside(figure)


def test_several_curves_have_colours_of_their_own_and_share_what_is_common(tmp_path: Path) -> None:
    curves = [read_curve(write_curve(write_run(tmp_path, name))) for name in ("4nn", "3nn", "_hidden")]
    figure = build_curve(curves)
    colours = [to_hex(line.get_color()) for line in lines_of(figure.axes[0], "line train")]
    assert len(set(colours)) == 3
    legend: Any = figure.findobj(Legend)[0]
    assert [entry.get_text().strip() for entry in legend.get_texts()] == ["4nn", "3nn", "_hidden", "train", "test"]
    assert words_of(figure).count("60,000 train") == 1
    assert_inside(figure)


def test_past_the_ends_and_between_two_runs(tmp_path: Path) -> None:
    folder = write_curve(
        write_run(tmp_path),
        points=5,
        low=-0.5,
        high=1.5,
        end={"run": "b", "checkpoint": "best"},
        batch_norm="recompute",
    )
    curve = read_curve(folder)
    figure = build_curve([curve], log=True)
    assert figure.axes[0].get_yscale() == "log"
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["−0.5", "0\na\n@epoch-0001", "0.5", "1\nb\n@best", "1.5"]
    caption = captions.curve_caption([curve], [""], True)
    assert "A = a@epoch-0001, B = b@best." in caption
    assert "recomputed on the training inputs" in caption


def test_a_random_line_marks_its_centre(tmp_path: Path) -> None:
    line = read_curve(write_landscape(write_run(tmp_path), grid=[5], splits=("test",)))
    figure = build_curve([line])
    assert figure.axes[0].get_xlabel() == "x (filter-normalised random direction)"
    assert figure.axes[0].get_ylabel() == "test loss (cross-entropy, mean per sample)"
    figure.draw_without_rendering()
    assert "0\nepoch-0003" in {label.get_text() for label in figure.axes[0].get_xticklabels()}
    assert "seed 0" in words_of(figure)
    assert "biases and normalisation layers stay put" in words_of(figure)
    curve = read_curve(write_curve(write_run(tmp_path, "b")))
    with pytest.raises(BadInput, match="cannot share an axis"):
        build_curve([line, curve])
    with pytest.raises(BadInput, match="no finished curve"):
        build_curve([])


@pytest.mark.parametrize(
    ("loss", "log", "said"),
    [
        (lambda a: INF if a > 0.5 else NAN if a == 0.5 else 1 - a, False, "Gaps: 12 losses"),
        (lambda a: NAN, True, "Gaps: 22 losses"),
        (lambda a: 2.302585, False, ""),
        (lambda a: 0.0, True, ""),
        (lambda a: (1 - a) ** 2 - 0.1, True, "5 losses are not positive"),
        (lambda a: 10.0 ** (40 * a), False, "Gaps: 6 losses"),
    ],
    ids=["inf", "nothing", "constant", "zero", "negative", "huge"],
)
def test_a_curve_of_any_losses_can_be_drawn(tmp_path: Path, loss: Any, log: bool, said: str) -> None:
    curve = read_curve(write_curve(write_run(tmp_path), loss))
    figure = build_curve([curve], log=log)
    assert said in words_of(figure)


def test_x_is_horizontal_and_y_vertical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surface = read_surface(
        write_landscape(write_run(tmp_path), lambda x, y: x + 10 * y, x_range=(-1, 1), y_range=(-2, 1))
    )
    figure = build_contour(surface)
    axes = figure.axes[0]
    assert axes.get_xlim() == (-1, 1)
    assert axes.get_ylim() == (-2, 1)
    assert axes.get_xlabel() == "x (filter-normalised random direction 1)"
    assert axes.get_ylabel() == "y (filter-normalised random direction 2)"
    (lines,) = (c for c in axes.collections if isinstance(c, QuadContourSet) and not c.filled)
    checked = 0
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        x, y = np.asarray(path.vertices).T
        np.testing.assert_allclose(x + 10 * y, level, atol=1e-9)
        checked += len(x)
    assert checked > 20
    assert_inside(figure)

    given: list[Any] = []
    monkeypatch.setattr(Axes3D, "plot_surface", lambda self, x, y, z, **_: given.extend([x, y, z]))
    build_surface(surface)
    np.testing.assert_allclose(given[2], given[0] + 10 * given[1])


def test_a_contour_marks_its_centre_and_says_what_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path, "net")
    figure = build_contour(read_surface(write_landscape(run)))
    (star,) = lines_of(figure.axes[0], "centre")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([0], [0])
    assert figure.axes[0].get_aspect() == 1.0
    assert figure.axes[1].get_ylabel() == "train loss (cross-entropy, mean per sample)"
    shown = words_of(figure)
    for words in ("net@epoch-0003", "9 × 7 points", "seed 0", "60,000 train samples", "0.1 at the centre"):
        assert words in shown
    off = build_contour(read_surface(write_landscape(run, x_range=(0.5, 9.5), label="off", splits=("test",))))
    assert not lines_of(off.axes[0], "centre")
    assert "★" not in words_of(off)
    assert off.axes[0].get_aspect() == "auto"
    assert off.axes[1].get_ylabel().startswith("test loss")


@pytest.mark.parametrize(("y_range", "most"), [((-1.0, 1.0), 20), ((-0.35, 0.35), 10), ((-2.5, 2.5), 20)])
def test_a_colour_bar_is_as_high_as_its_axes(tmp_path: Path, y_range: tuple[float, float], most: int) -> None:
    surface = read_surface(write_landscape(write_run(tmp_path), lambda x, y: x * x, y_range=y_range))
    figure = build_contour(surface)
    figure.draw_without_rendering()
    axes, bar = (each.get_window_extent() for each in figure.axes)
    assert (bar.y0, bar.y1) == pytest.approx((axes.y0, axes.y1))
    assert 10 < bar.x0 - axes.x1 < 60
    assert 5 <= len(figure.axes[1].get_yticks()) <= most
    assert_inside(figure)


def test_a_split_that_was_not_computed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"split 'test' is not known.*allowed: train"):
        build_contour(read_surface(write_landscape(write_run(tmp_path))), split="test")


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("name", SURFACES)
def test_scales_hold_any_losses(tmp_path: Path, name: str, log: bool) -> None:
    surface = read_surface(write_landscape(write_run(tmp_path), SURFACES[name][0]))
    losses = surface.values("train_loss")
    scale = choose_scale(losses, log)
    assert np.isfinite(scale.levels).all()
    assert (np.diff(scale.levels) > 0).all()
    assert 2 <= len(scale.levels) <= 20
    heights = scale.heights(losses)
    assert (np.isnan(heights) == ~(np.isfinite(losses) & (abs(losses) <= 1e30))).all()
    if not scale.empty:
        assert scale.ticks[0] <= np.nanmin(heights)
        assert np.nanmax(heights) <= scale.ticks[-1]
    texts = [scale.text(tick) for tick in scale.ticks]
    assert len(set(texts)) == len(texts) or scale.constant


@pytest.mark.parametrize("name", SURFACES)
def test_a_surface_of_any_losses_can_be_drawn(tmp_path: Path, name: str) -> None:
    loss, said = SURFACES[name]
    surface = read_surface(write_landscape(write_run(tmp_path), loss))
    flat, solid = build_contour(surface), build_surface(surface)
    assert said in words_of(flat)
    assert said in words_of(solid)
    if name == "rounding":  # whose numbers are the longest
        assert_inside(flat)


def test_a_lone_centre_does_not_take_the_scale() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    soft = 5e-2 + x**2 + y**2
    soft[4, 4] = 1e-15  # around targets that are the net's own outputs
    scale = choose_scale(soft, False)
    assert not scale.log
    scale = choose_scale(soft, True)
    assert scale.low == np.sort(soft.ravel())[1]
    assert scale.notes == [f"1 point with a loss below {number(scale.low)} drawn at that value."]
    soft[0, 0] = 2e-15  # two are a valley
    assert choose_scale(soft, False).low < 1e-7


def test_a_logarithmic_scale_begins_at_the_least_loss_that_is_not_rounding() -> None:
    far = np.geomspace(50, 400, 81)
    far[40] = 0.02  # a sharp net: the lowest point alone
    scale = choose_scale(far, False)
    assert scale.log
    assert scale.low == 0.02
    assert scale.notes == ["Logarithmic scale, since the losses span more than two decades."]
    assert choose_scale(np.geomspace(1e-12, 5, 50), False).low == 1e-9
    assert choose_scale(np.geomspace(1e-18, 1e-5, 50), False).low == pytest.approx(1e-13)


def test_a_logarithmic_scale_of_huge_losses_holds_the_centre_and_half_of_the_points() -> None:
    huge = np.geomspace(1e26, 1e29, 81)
    huge[40] = 1.0
    scale = choose_scale(huge, False)
    assert (scale.low, scale.high) == (1.0, np.median(huge))
    assert 5 < len(scale.levels) <= 20
    assert scale.levels[0] <= 1 < scale.levels[1]
    assert scale.levels[-1] >= scale.high
    assert scale.notes[1:] == [f"40 points with a loss above {number(scale.high)} drawn at that value."]
    walls = np.concatenate([np.geomspace(1e-2, 10, 60), np.geomspace(1e20, 1e25, 21)])
    assert (choose_scale(walls, False).low, choose_scale(walls, False).high) == (1e-2, 1e10)
    assert choose_scale(np.geomspace(1e26, 1e29, 81), False).low == pytest.approx(1e26)


def test_the_scale_is_logarithmic_where_asked_or_needed() -> None:
    bowl = np.linspace(0.5, 3, 50)
    assert not choose_scale(bowl, False).log
    assert choose_scale(bowl, True).log
    assert choose_scale(np.linspace(0.01, 3, 50), False).log
    scale = choose_scale(bowl - 1, False)
    assert not scale.log
    assert not scale.notes
    np.testing.assert_allclose(choose_scale(bowl, True).heights(bowl), np.log10(bowl))
    refused = choose_scale(-bowl, True)
    assert not refused.log
    assert refused.notes == ["A logarithmic scale needs positive losses, so this one is linear."]


def test_training_of_one_run_shows_rate_and_gradient_too(tmp_path: Path) -> None:
    run = write_run(tmp_path, note="JPEG copy")
    with run.metrics_file.open("a") as file:
        file.write("4,2400,0.1,0.0")  # a row that is being written
    figure = build_training([run])
    loss, accuracy, rate, norm = figure.axes
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)
    np.testing.assert_allclose(lines_of(loss, "a train")[0].get_ydata(), [2, 1, 2 / 3, 0.5])
    np.testing.assert_allclose(lines_of(accuracy, "a test")[0].get_ydata(), [0, 5, 10, 15])
    np.testing.assert_allclose(lines_of(rate, "lr")[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(lines_of(norm, "grad_norm")[0].get_ydata(), [0.5, 0.5, 0.5])
    shown = words_of(figure)
    for words in ("JPEG copy", "mlp 100-100", "89,610 parameters", "lr 0.1", "3 of 10 epochs"):
        assert words in shown
    assert_inside(figure)


def test_training_by_a_full_batch_method_shows_what_it_asked_for_and_where_its_steps_began(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    counts = {"function_evaluations": 0, "gradient_evaluations": 3, "hessian_products": 70}
    head, *rows = run.metrics_file.read_text().splitlines()
    rows = [f"{row},{','.join(str(epoch * count) for count in counts.values())}" for epoch, row in enumerate(rows)]
    run.metrics_file.write_text("\n".join([f"{head},{','.join(counts)}", *rows, ""]))
    _, _, cost, norm = (figure := build_training([run])).axes
    assert [line.get_label() for line in cost.lines] == ["gradients", "Hessian-vector products"]
    np.testing.assert_allclose(cost.lines[1].get_ydata(), [70, 140, 210])
    np.testing.assert_allclose(lines_of(norm, "grad_norm")[0].get_ydata(), [0.5, 0.5, 0.5])
    assert (cost.get_yscale(), norm.get_yscale()) == ("log", "log")
    assert_inside(figure)
    run.metrics_file.write_text("\n".join([f"{head},{','.join(counts)}", rows[0], ""]))
    assert_inside(build_training([run]))  # before the first step


def test_training_of_several_runs_in_one_figure(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "1", "same"), write_run(tmp_path / "2", "same", epochs=20), write_run(tmp_path, "new")]
    runs[2].metrics_file.unlink()
    figure = build_training(runs, log=True)
    assert len(figure.axes) == 2
    assert figure.axes[0].get_yscale() == "log"
    legend: Any = figure.findobj(Legend)[0]
    assert [entry.get_text() for entry in legend.get_texts()] == ["1/same", "2/same", "new", "train", "test"]
    assert "no epoch yet" not in words_of(figure)
    assert "no epoch yet" in words_of(build_training([runs[2]]))
    with pytest.raises(BadInput, match="no run"):
        build_training([])


def test_losses_of_training_that_are_too_large_to_be_drawn_are_said(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, name) for name in "ab"]
    assert "Left out" not in str(build_training(runs).caption)
    table = pd.read_csv(runs[1].metrics_file)
    table.loc[0, "train_loss"] = 2e30
    table.to_csv(runs[1].metrics_file, index=False)
    of_a, of_b = str(build_training(runs).caption).splitlines()[1:]
    assert ("Left out" in of_a, of_b.endswith("Left out: 1 value above 1e30.")) == (False, True)
    folder = write_landscape(runs[0])
    write_paths(folder, ["a"])
    path = pd.read_csv(folder / "path.csv")
    path.loc[0, "train_loss"] = 1e31
    path.to_csv(folder / "path.csv", index=False)
    said = "At 1 of its checkpoints a loss is infinite, undefined or above 1e30."
    assert said in str(build_path(read_surface(folder)).caption)


def test_names_of_any_kind_can_be_drawn(tmp_path: Path) -> None:
    names = ["実験_1", "a$b$", "𓀀 emoji 🙂", "long_" * 30, "tab\tand\nline"]
    folders = [write_curve(write_run(tmp_path, f"run{i}")) for i in range(len(names))]
    curves = [read_curve(folder) for folder in folders]
    for curve, name in zip(curves, names, strict=True):
        curve.settings["start"]["run"] = curve.settings["end"]["run"] = name
    figure = build_curve(curves)
    assert_inside(figure)
    assert "a$b$" in words_of(figure)
    assert "\\U00013000 emoji" in words_of(figure)
    assert "tab\\tand\\nline" in words_of(figure)


def test_without_a_font_for_it_a_name_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "fonts", lambda: ["DejaVu Sans"])
    assert text.drawable("実験 θ₁") == "\\u5b9f\\u9a13 θ₁"
    assert {"実", "験"} <= UNDRAWN
    assert_inside(build_training([write_run(tmp_path, "実験")], captioned=False))
    assert "Sweep \\u5b9f" in words_of(sheet(5, 3, "Sweep 実", None)[0])


def test_the_fonts_that_are_installed_are_taken_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = ["Comic Neue", "Microsoft YaHei", "WenQuanYi Micro Hei", "DejaVu Sans", "Hiragino Sans", "Yu Gothic"]
    monkeypatch.setattr(
        text, "fontManager", SimpleNamespace(ttflist=[SimpleNamespace(name=each) for each in installed])
    )
    text.fonts.cache_clear()
    try:
        assert text.fonts() == [
            "DejaVu Sans", "Hiragino Sans", "Yu Gothic", "WenQuanYi Micro Hei", "Microsoft YaHei",
        ]  # fmt: skip
    finally:
        text.fonts.cache_clear()


def test_a_command_says_once_which_characters_no_font_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Callable[..., Answer]
) -> None:
    monkeypatch.setattr(text, "fonts", lambda: ["DejaVu Sans"])
    said = [cli("solutions", write_run(tmp_path, name).path, "--quiet").err for name in ("größe", "実験")]
    assert said[0] == ""
    assert (
        said[1]
        .splitlines()[-1]
        .startswith("lossscape: no installed font has 実験: figures show escapes such as \\u5b9f")
    )
    assert said[1].count("no installed font") == 1


def test_long_words_of_loss_and_net_stay_inside_and_short(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    changed = {"targets": "soft", "model": "../../nets/mine.py:net", "dataset": {"name": "../../mine.py:data"}}
    surface = read_surface(write_landscape(run, lambda x, y: 1e-4 + x * x + y * y, **changed))
    figure = build_surface(surface, log=True)
    axes: Any = figure.axes[0]
    assert "\n" in axes.get_zlabel()
    assert_inside(figure)
    words = " ".join(words_of(figure).split())
    assert "Data: mine.py:data," in words
    assert "Net: mine.py:net." in words


def test_text_for_people() -> None:
    assert [number(value) for value in (0.0, -0.0, 1e-5, -1234567.0, 0.123456, 100.0)] == [
        "0", "0", "1e−5", "−1.235e6", "0.1235", "100",
    ]  # fmt: skip
    assert [counted(count, "seed") for count in (0, 1, 2, 1000)] == ["0 seeds", "1 seed", "2 seeds", "1,000 seeds"]
    assert [counted(count, "loss is", "losses are") for count in (1, 2)] == ["1 loss is", "2 losses are"]
    assert text.distinct(["a", "b", "a"]) == ["a (1)", "b", "a (2)"]
    assert text.shortened("x" * 30 + "y" * 30, 21) == "x" * 10 + "…" + "y" * 10
    lines = text.wrapped("short words and one_" + "very" * 60 + " long\nnext", 200, 8)
    assert all(text.text_width(line, 8) <= 200 for line in lines)
    assert lines[-1] == "next"
    assert "".join(lines).replace(" ", "") == "shortwordsandone_" + "very" * 60 + "longnext"

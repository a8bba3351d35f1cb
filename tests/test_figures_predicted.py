"""Figures of results with a tolerance: the same picture, faint dots where it was evaluated, and what is said of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lossscape.figures import certificates
from lossscape.figures.charts.lines import curves_data
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.curves import build_curve
from lossscape.figures.predictions import off_the_line
from lossscape.results import Curve, read_curve, read_surface
from lossscape.results.folder import CERTIFICATE
from tests.report_runs import write_curve, write_landscape, write_run
from tests.seeing import assert_inside, lines_of, words_of

HELD = {
    "points": 64, "over": 1, "tolerance": 0.01, "evaluated": 13, "of": 63,
    "scales": {
        "train_loss": {"scale": "log", "floor": 0.003, "relative": True},
        "train_accuracy": {"scale": "as it is", "floor": 2.0, "relative": False},
    },
    "errors": {
        "train_loss": {"median": 0.00052, "largest": 0.0076}, "train_accuracy": {"median": 0.001, "largest": 0.004}
    },
}  # fmt: skip


def with_predictions(folder: Path, file: str, every: int) -> Path:
    """The same result as if only every so many-th row had been evaluated."""
    table = pd.read_csv(folder / file)
    table["source"] = np.where(np.arange(len(table)) % every, "predicted", "evaluated")
    table["estimated_error"] = np.where(table["source"] == "predicted", 0.004, 0.0)
    table.to_csv(folder / file, index=False)
    certificate = json.loads((folder / CERTIFICATE).read_text()) | {"held_out": HELD}
    (folder / CERTIFICATE).write_text(json.dumps(certificate))
    return folder


SAID = (
    "13 of 63 points evaluated, the others predicted to within 1 % of the loss, or of 0.003 where it is less; of 64 "
    "held out the train loss off by 0.052 % in the median, 0.76 % at most."
)


def test_a_contour_marks_what_was_evaluated_and_says_how_far_the_rest_may_be_off(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    exact = read_surface(write_landscape(run))
    found = read_surface(with_predictions(write_landscape(run, label="b", tolerance=0.01), "surface.csv", 5))
    figure = build_contour(found)
    assert_inside(figure)
    (dots,) = [line for line in figure.axes[0].lines if line.get_label() == "evaluated"]
    known = found.table[~found.predicted]
    np.testing.assert_array_equal(dots.get_xydata(), known[["x", "y"]].to_numpy())
    assert len(known) == 13
    assert dots.get_alpha() <= 0.5
    for words in (words_of(figure), words_of(build_surface(found))):
        assert SAID in words
    assert "Faint dots: the points that were evaluated." in words_of(figure)
    plain = build_contour(exact)
    assert "predicted" not in words_of(plain)
    assert not [line for line in plain.axes[0].lines if line.get_label() == "evaluated"]


def bare(build: Callable[..., Any], result: Any) -> np.ndarray:
    """The pixels of a figure without words below it."""
    figure = build(result, captioned=False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


@pytest.mark.parametrize("build", [build_contour, build_surface])
def test_a_picture_that_was_predicted_looks_like_the_exact_one(build: Callable[..., Any], tmp_path: Path) -> None:
    run = write_run(tmp_path)
    exact = bare(build, read_surface(write_landscape(run)))
    found = read_surface(with_predictions(write_landscape(run, label="b", tolerance=0.01), "surface.csv", 5))
    changed = (bare(build, found) != exact).any(-1).mean()
    assert changed < 0.001 if build is build_contour else changed == 0


def test_a_curve_marks_what_was_evaluated(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    folder = write_curve(run, points=31, splits=("train",), tolerance=0.005)
    curve = read_curve(with_predictions(folder, "curve.csv", 3))
    figure = build_curve([curve])
    for axes in figure.axes[:2]:
        (dots,) = [line for line in axes.lines if str(line.get_label()).endswith(" evaluated")]
        np.testing.assert_array_equal(dots.get_xdata(), curve.positions[::3])
    assert "11 of 31 points evaluated, the others predicted to within 0.5 %" in words_of(figure)
    assert "Small dots: the points that were evaluated; all others were predicted." in words_of(figure)
    assert curve.lines()[0] == curve.predictions()[0]
    line = read_curve(write_landscape(run, grid=[5], label="line"))
    assert line.predictions() == line.lines() == []


def test_points_that_checked_the_predictions_make_no_spikes(tmp_path: Path) -> None:
    """The line through the others is the curve of the predictions, in the figure and on the page."""
    curve = read_curve(write_curve(write_run(tmp_path), points=61, splits=("train",), tolerance=0.01))
    x, held, knots = curve.positions, np.array([7, 8, 33, 59]), np.arange(0, 61, 5)
    smooth = {"train_loss": np.exp(-3 * x), "train_accuracy": 0.5 + 0.3 * np.sin(3 * x)}
    known = np.isin(np.arange(61), [*held, *knots])
    table = curve.table.assign(predicted=(~known).astype(float), estimated_error=0.0, **smooth)
    true = Curve(curve.folder, curve.settings, table)
    assert not off_the_line(smooth["train_loss"], ~known).any()  # as good as predicted: all lie on the line
    assert [len(line.get_xdata()) for line in lines_of(build_curve([true]).axes[0], "line train")] == [61]
    off = table.copy()
    off.loc[held, "train_accuracy"] += np.array([0.02, -0.02, 0.01, 0.02])
    found = Curve(curve.folder, curve.settings, off)
    figure = build_curve([found])
    (line,) = lines_of(figure.axes[1], "line train")
    kept = np.setdiff1d(np.arange(61), held)
    np.testing.assert_array_equal(line.get_xdata(), x[kept])
    np.testing.assert_allclose(line.get_ydata(), 100 * smooth["train_accuracy"][kept])
    (light,) = [each for each in figure.axes[1].lines if str(each.get_label()).endswith("off the line")]
    np.testing.assert_array_equal(light.get_xdata(), x[held])
    assert light.get_alpha() < 1
    assert "Open dots: evaluated points off the line" in words_of(figure)
    _, _, drawn, dots = curves_data([found])["lines"]
    assert (drawn["x"], len(drawn["text"])) == (pytest.approx(x[kept].tolist()), len(kept))
    assert [at for at, opened in zip(dots["x"], dots["open"], strict=True) if opened] == pytest.approx(x[held].tolist())
    everything = np.ones(61, bool)
    assert not off_the_line(off["train_accuracy"].to_numpy(), ~everything).any()


def test_a_certificate_shows_its_held_out_check() -> None:
    estimated = {"median": 0.002, "largest": 0.0099}
    rows = certificates.fact_rows({"passed": True, "held_out": HELD, "estimated_error": estimated})
    assert dict(map(tuple, rows)) == {
        "points evaluated, the others predicted": "13 of 63",
        "predictions held out, and evaluated after": "64, 1 of them over the tolerance",
        "held-out errors of the train loss": "0.052 % in the median, 0.76 % at most of it, or of 0.003 where that is "
        "more",
        "held-out errors of the train accuracy": "0.002 in the median, 0.008 at most",
        "estimated errors of predictions": "0.2 % in the median, 0.99 % at most",
    }

"""What figures say of errors: subsets of samples, lower precision, ranges that were found, failed certificates."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.legend import Legend

from lossscape.figures import captions
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.curves import build_curve
from lossscape.results import read_curve, read_surface
from lossscape.results.folder import CERTIFICATE, RANGE
from tests.report_runs import write_curve, write_landscape, write_run
from tests.seeing import INF, NAN, assert_inside, words_of


def test_a_range_that_was_found_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    folder = write_landscape(run, x_range=(-6, 5.5), y_range=(-0.1, 0.2), auto_range=10.0)
    surface = read_surface(folder)
    said = "The range was chosen so that the train loss rises at least by the factor 10 on every side."
    assert said in words_of(build_contour(surface))
    assert said in words_of(build_surface(surface))
    line = read_curve(write_landscape(run, grid=[5], label="line", auto_range=10.0))
    assert said in words_of(build_curve([line]))
    (folder / RANGE).write_text(json.dumps({"factor": 10.0, "level": 0.23, "reach": [5.5, 0.2]}))
    assert "factor 10, to 0.23, on every side." in captions.surface_caption(read_surface(folder), "train")


SMALLER = "differences between them are more accurate than their own errors suggest."


def test_a_subset_is_said_with_its_errors(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    surface = read_surface(write_landscape(run, error=0.02))
    shown = words_of(build_contour(surface))
    for words in (
        "2,000 of 60,000 train samples (one stratified subset, seed 0, the same at every point)",
        "Standard error of the train loss: 0.02 at the centre, 0.02 in the median, 0.02 at most; of its difference to "
        "the centre: 0.002 in the median, 0.0028 at most.",
        SMALLER,
    ):
        assert words in shown
    whole = {"samples": {"train": 2000, "test": 10000}, "subset_seed": 7}
    curve = read_curve(write_curve(run, error=0.02, **whole))
    shown = captions.curve_caption([curve], [""], False)
    for words in (
        "2,000 of 60,000 train and 10,000 test samples (one stratified subset of train, seed 7, the same",
        "Standard error of the train loss: 0.02 at α = 0, 0.02 in the median",
        "of the test loss: 0.02 at α = 0, 0.02 in the median, 0.02 at most; of its difference to α = 0: 0.0011 in",
        "Bands: ± 2 standard errors of each value.",
    ):
        assert words in shown
    assert shown.count(SMALLER) == 1
    apart = read_curve(write_curve(run, error=0.02, low=0.5, label="apart"))
    assert "of the train loss: 0.02 in the median" in captions.curve_caption([apart], [""], False)
    both = read_curve(write_curve(run, error=0.02, label="both"))
    assert "(one stratified subset of each split, seed 0" in captions.curve_caption([both], [""], False)


def test_differences_that_are_not_more_accurate_are_not_called_so(tmp_path: Path) -> None:
    surface = read_surface(write_landscape(write_run(tmp_path), error=0.02))
    surface.table["train_loss_difference_stderr"] *= 100
    shown = captions.surface_caption(surface, "train")
    assert SMALLER not in shown
    assert "of its difference to the centre: 0.2 in the median, 0.28 at most." in shown
    surface.table["train_loss_difference_stderr"] = NAN
    assert "train loss: 0.02 at the centre." in captions.surface_caption(surface, "train")
    surface.table["train_loss_stderr"] = INF
    assert "Standard error" not in captions.surface_caption(surface, "train")


def test_bands_show_two_standard_errors(tmp_path: Path) -> None:
    curve = read_curve(write_curve(write_run(tmp_path), error=0.05))
    figure = build_curve([curve])
    legend: Any = figure.findobj(Legend)[0]
    assert [entry.get_text() for entry in legend.get_texts()] == ["train", "test", "± 2 standard errors"]
    assert_inside(figure)
    for axes, unit, middle in (
        (figure.axes[0], 1.0, 2 - 1.5 * curve.positions),
        (figure.axes[1], 100, curve.positions),
    ):
        train, test = (np.asarray(band.get_paths()[0].vertices) for band in axes.collections)
        for x, value in zip(curve.positions, middle, strict=True):
            error = 0.1 if unit == 1 else 0.01
            ends = np.array([value - error, value + error])
            expected = unit * (ends if unit == 1 else ends.clip(0, 1))
            at = train[np.isclose(train[:, 0], x), 1]
            np.testing.assert_allclose([at.min(), at.max()], expected, atol=1e-9)
        assert test[:, 1].max() != train[:, 1].max()
        low, high = axes.get_ylim()
        assert low < train[:, 1].min() <= train[:, 1].max() < high
    plain = read_curve(write_curve(write_run(tmp_path, "b")))
    assert len(build_curve([plain, curve]).axes[0].collections) == 2
    assert "± 2" not in words_of(build_curve([plain]))


@pytest.mark.parametrize(
    ("loss", "bottom"),
    [(lambda a: 2.0 - 1.9 * a, 0.01), (lambda a: 0.3, None), (lambda a: -1.0, None), (lambda a: NAN, None)],
    ids=["reaches 0", "constant", "negative", "nothing"],
)
def test_bands_on_a_logarithmic_axis(tmp_path: Path, loss: Any, bottom: float | None) -> None:
    curve = read_curve(write_curve(write_run(tmp_path), loss, error=0.06, splits=("train",)))
    figure = build_curve([curve], log=True)
    axes = figure.axes[0]
    figure.draw_without_rendering()
    legend: Any = figure.findobj(Legend)[0]
    assert [entry.get_text() for entry in legend.get_texts()] == ["± 2 standard errors"]
    if bottom is not None:
        assert axes.get_ylim()[0] == pytest.approx(bottom)
    if bottom is None and np.isfinite(loss(0)):
        low, high = axes.get_ylim()
        assert low < loss(0) - 0.12 < loss(0) + 0.12 < high


def test_a_precision_is_said_with_its_error(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    folder = write_landscape(run, precision="bf16")
    assert "Precision: bf16." in captions.surface_caption(read_surface(folder), "train")
    check = {"points": 16, "largest_relative_error": 0.002, "mean_relative_error": 4e-4}
    (folder / CERTIFICATE).write_text(json.dumps({"passed": True, "precision_check": check}))
    said = "Precision: bf16; against fp32 at 16 points: largest relative error 0.002, mean 0.0004."
    assert said in words_of(build_contour(read_surface(folder)))
    check |= {"points": 1, "largest_relative_error": NAN, "mean_relative_error": None}
    (folder / CERTIFICATE).write_text(json.dumps({"passed": True, "precision_check": check}))
    said = "against fp32 at 1 point: largest relative error undefined, mean undefined."
    assert said in captions.surface_caption(read_surface(folder), "train")


def test_a_failed_certificate_is_said_in_every_caption(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    folders = [write_landscape(run), write_curve(run)]
    for folder in folders:
        (folder / CERTIFICATE).write_text(json.dumps({"passed": False, "checks": []}))
    surface, curve = read_surface(folders[0]), read_curve(folders[1])
    for figure in (build_contour(surface), build_surface(surface), build_curve([curve])):
        assert "The certificate of this result FAILED: do not rely on these losses." in words_of(figure)

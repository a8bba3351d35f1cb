"""Figures and pages follow the metrics that a table has: none beside the loss, those of a regression, or others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from lossscape.analyses.interpolate import result as line_result
from lossscape.analyses.landscape import result as plane_result
from lossscape.analyses.solutions.compute import compute
from lossscape.analyses.solutions.figure import build_solutions
from lossscape.analyses.solutions.request import Request, Rule
from lossscape.analyses.solutions.result import read as read_solutions
from lossscape.execution import Execution
from lossscape.figures.contours import build_contour, contour_axes, solid_axes
from lossscape.figures.curves import build_curve, curve_axes
from lossscape.figures.metrics import metric
from lossscape.figures.training import build_training
from lossscape.report import write_report
from lossscape.results import read_curve, read_surface
from tests.report_runs import write_curve, write_landscape, write_run
from tests.seeing import Page, assert_inside, assert_stands_alone, lines_of, words_of

OTHERS: list[tuple[Sequence[str], list[str], float]] = [
    ((), [], 1.0),
    (("accuracy", "top5"), ["accuracy (%)"], 100.0),
    (("top5",), ["top-5 accuracy (%)"], 100.0),
    (("margin", "accuracy"), ["margin of the logits"], 1.0),
    (("mae",), ["mean absolute error"], 1.0),
    (("my_own",), ["my own"], 1.0),
]
"""Metrics beside the loss, the labels of the panels beside the loss's, and what values are shown multiplied by."""


@pytest.mark.parametrize(("others", "labels", "scale"), OTHERS)
def test_a_curve_has_a_panel_for_the_first_metric(
    tmp_path: Path, others: Sequence[str], labels: list[str], scale: float
) -> None:
    curve = read_curve(write_curve(write_run(tmp_path), others=others))
    assert curve.metrics == list(others)
    figure = build_curve([curve])
    assert [axes.get_ylabel() for axes in figure.axes][1:] == labels
    for axes in figure.axes[1:]:
        np.testing.assert_allclose(lines_of(axes, "line test")[0].get_ydata(), scale * np.linspace(0, 0.5, 11))
    assert_inside(figure)


@pytest.mark.parametrize(("others", "labels", "scale"), OTHERS)
def test_training_has_a_panel_for_the_first_metric(
    tmp_path: Path, others: Sequence[str], labels: list[str], scale: float
) -> None:
    run = write_run(tmp_path, others=others)
    figure = build_training([run])
    assert [axes.get_ylabel() for axes in figure.axes][1:-2] == labels
    for axes in figure.axes[1:-2]:
        np.testing.assert_allclose(lines_of(axes, "a train")[0].get_ydata(), scale * np.array([0, 0.1, 0.2, 0.3]))
    assert_inside(figure)
    two = build_training([run, write_run(tmp_path, "b")])
    assert len(two.axes) == 2
    assert two.axes[1].get_ylabel() == (labels or ["accuracy (%)"])[0]


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("others", [(), ("mae",)], ids=["none", "mae"])
def test_the_page_of_a_regression_has_no_word_of_accuracy(tmp_path: Path, others: Sequence[str]) -> None:
    runs = [write_run(tmp_path, name, others=others) for name in ("a", "b")]
    for run in runs:
        folders = [write_curve(run, others=others), write_landscape(run, others=others, splits=("train", "test"))]
        for file in [run.config_file, *(folder / "settings.yaml" for folder in folders)]:
            file.write_text(file.read_text().replace("cross_entropy", "mse"))
        compute(Request((run,), Rule()), Execution())
    page = Page(write_report(runs, tmp_path / "page"))
    assert_stands_alone(page)
    assert "Left out" not in page.text
    assert "accuracy" not in page.text
    assert "squared error" in page.text
    found = page.text[page.text.index("optimizer train loss") :]
    head = "train loss test loss" if not others else "train loss train mean absolute error test loss"
    assert head in found
    assert ("0.5 0.3 0.75 0.15" if others else "0.5 0.75") in found


@pytest.mark.usefixtures("unseen")
def test_runs_with_different_metrics_share_a_page(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, "a"), write_run(tmp_path, "b", others=("mae",))]
    page = Page(write_report(runs, tmp_path / "page"))
    assert "0.5 30.00 % – 0.75 15.00 % –" in page.text
    assert "0.5 – 0.3 0.75 – 0.15" in page.text


def test_bands_of_a_share_end_at_0_and_1_and_of_others_do_not(tmp_path: Path) -> None:
    for name, ends in (("accuracy", (0.0, 100.0)), ("mae", (-0.01, 1.01))):
        folder = write_curve(write_run(tmp_path, name), others=(name,), error=0.05)
        file = folder / "curve.csv"
        file.write_text(file.read_text().replace("accuracy", name))
        figure = build_curve([read_curve(folder)])
        low, high = figure.axes[1].dataLim.intervaly
        assert (low, high) == pytest.approx(ends)


def test_values_are_written_with_their_units() -> None:
    assert [metric(name).text(0.125) for name in ("accuracy", "entropy", "margin", "mine")] == [
        "12.50 %", "0.125 nats", "0.125", "0.125",
    ]  # fmt: skip


def test_curves_and_surfaces_draw_into_axes_that_are_given(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    curve = line_result.read(write_curve(run))
    surface = plane_result.read(write_landscape(run))
    figure = Figure(figsize=(14, 4), layout="constrained")
    left, middle = figure.add_subplot(1, 3, 1), figure.add_subplot(1, 3, 2)
    right = figure.add_subplot(1, 3, 3, projection="3d")
    assert curve_axes([curve], left, name="accuracy") is left
    assert contour_axes(surface, middle) is middle  # type: ignore[arg-type]
    assert solid_axes(surface, right) is right  # type: ignore[arg-type]
    assert left.get_ylabel() == "accuracy (%)"
    assert middle.get_xlabel() == "x (filter-normalised random direction 1)"
    figure.draw_without_rendering()
    own = contour_axes(read_surface(surface.folder))
    assert own.figure is not figure
    assert words_of(own.figure).count("0.5") == words_of(build_contour(read_surface(surface.folder))).count("0.5")


def test_kinds_of_solution_need_losses_alone(tmp_path: Path) -> None:
    found = read_solutions(compute(Request((write_run(tmp_path, others=()),), Rule()), Execution()))
    assert "a" in words_of(build_solutions(found))

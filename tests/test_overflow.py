"""Points that fp32 cannot hold: named as such, with gaps in figures and no measure or accuracy made of them."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from computing import landscape, pair
from conftest import Answer
from matplotlib.contour import QuadContourSet
from seeing import faces_of, lines_of, words_of

from lossscape.certificate.chosen import few_of
from lossscape.certificate.finite import lost
from lossscape.certificate.summary import summary
from lossscape.config import experiment_from
from lossscape.errors import RunFailed
from lossscape.evaluate import Work
from lossscape.figures.contours import build_contour, build_surface
from lossscape.figures.curves import build_curve
from lossscape.report import write_report
from lossscape.results import read_curve, read_surface
from lossscape.runs import Run, point
from lossscape.train import train
from tests.seeing import Page

OVERFLOW = "overflow in fp32 at {} of 49 points: nothing is certified there, but float64 has numbers; take"


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A net of twelve layers, all but untrained."""
    experiment = experiment_from(
        {
            "name": "deep",
            "dataset": {"name": "digits", "train_size": 100, "test_size": 40},
            "model": {"name": "mlp", "hidden": [12] * 12},
            "optimizer": {"name": "sgd", "lr": 0.001},
            "training": {"epochs": 1, "batch_size": 50},
        }
    )
    return train(experiment, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def surface(deep: Run) -> Path:
    """A plane that goes too far."""
    return landscape(point(str(deep.path)), grid=(7, 7), range=(-3000.0, 3000.0))


def certificate_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "certificate.json").read_text())


def test_they_are_counted_and_not_certified(surface: Path) -> None:
    table, said = read_surface(surface).table, certificate_of(surface)
    gone = table["train_loss"].isna()
    assert 10 < gone.sum() < 49
    wrong = table["train_accuracy"].isna()
    assert wrong.sum() > 10
    assert gone[wrong].all()  # the largest output may be known where it is infinite alone, and the loss is not
    assert said["passed"]
    assert said["not_finite"]["points"] == gone.sum()
    assert said["not_finite"]["finite_in_float64"] == said["not_finite"]["compared"] > 0
    assert OVERFLOW.format(gone.sum()) in said["not_finite"]["words"]
    assert said["not_finite"]["words"] in summary(surface)
    compared = [check for check in said["checks"] if check["kind"] == "dense" and " loss " in check["name"]]
    for check in compared:
        assert check["passed"] is (None if math.isnan(check["value"]) else True)
        assert math.isfinite(check["reference"])
    assert sum(check["passed"] is None for check in compared) >= 2


def test_float64_holds_them(deep: Run) -> None:
    folder = landscape(point(str(deep.path)), grid=(3, 3), range=(-3000.0, 3000.0), precision="fp64")
    assert np.isfinite(read_surface(folder).table).all(axis=None)
    assert "not_finite" not in certificate_of(folder)


def test_a_plan_that_alone_has_no_numbers_fails(deep: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Work.rows

    def without(*given: Any) -> list[dict[str, float]]:
        return [row | {"train_loss": math.nan} if point != (0.0, 0.0) else row
                for point, row in zip(given[1], rows(*given), strict=True)]  # fmt: skip

    monkeypatch.setattr(Work, "rows", without)
    with pytest.raises(RunFailed, match=r"train loss at the stored row .*, recomputed whole, is nan"):
        landscape(point(str(deep.path)), grid=(3, 3))


def test_figures_leave_gaps_and_colours_are_of_what_is_finite(surface: Path) -> None:
    result = read_surface(surface)
    drawn = int((result.table["train_loss"] <= 1e30).sum())
    contour, solid = build_contour(result), build_surface(result)
    for figure, word in ((contour, "Hatched"), (solid, "Left open")):
        words = words_of(figure)
        assert f"{word}: {49 - drawn} of 49 points" in words
        assert "Overflow in fp32 at" in words
    (filled, *_) = contour.findobj(QuadContourSet)
    assert np.isfinite(filled.levels).all()
    assert np.isfinite([filled.norm.vmin, filled.norm.vmax]).all()
    assert np.isfinite(faces_of(solid)).all()


def test_lines_leave_gaps_at_their_ends_too(deep: Run) -> None:
    folder = landscape(point(str(deep.path)), grid=(21,), dims=1, x_range=(-3000.0, 3000.0))
    figure = build_curve([read_curve(folder)])
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert low < -3000 < 3000 < high
        (line,) = lines_of(axes, f"{folder.name} train")
        assert np.isnan(line.get_ydata()).sum() > 1
        assert np.isfinite(axes.get_ylim()).all()
    assert "Gaps: " in words_of(figure)


def test_nothing_is_measured_of_a_line_with_gaps(deep: Run, tmp_path: Path, cli: Callable[..., Answer]) -> None:
    run = Run(tmp_path / "runs" / "deep")
    shutil.copytree(deep.path, run.path)
    state = torch.load(run.epoch_file(1), weights_only=True)
    torch.save({name: 3000 * value for name, value in state.items()}, run.epoch_file(1))
    run.metrics_file.unlink()
    assert cli("verify", "--accept-changed", run.path).code == 0
    answer = cli("interpolate", run.path, "--points", 21)
    assert answer.code == 0, answer.err
    (folder,) = (run.path / "interpolate").glob("*-21-points-*")
    found = json.loads((folder / "measures.json").read_text())
    assert "train" not in found
    gone = int(read_curve(folder).table["train_loss"].isna().sum())
    words = f"train loss is not finite at {gone} of 21 points between the ends, so it has no measures"
    assert words in answer.out
    page = Page(write_report([run], tmp_path / "page"))
    assert f"The {words}." in page.text
    assert "Overflow in fp32 at" in page.text


def test_measures_of_surfaces_say_how_many_points_they_leave_out(deep: Run) -> None:
    folder = pair([deep.path], grid=(5, 5), range=(-3000.0, 3000.0), repeats=1)
    rows = (folder / "measures.csv").read_text().splitlines()
    missing = rows[0].split(",").index("missing")
    assert all(float(row.split(",")[missing]) > 0 for row in rows[1:])


def test_which_points_are_looked_at() -> None:
    values = {(float(x),): {"train_loss": 1.0, "train_loss_stderr": math.nan} for x in range(1, 9)}
    drawn = [(float(x),) for x in (3, 1, 4, 2, 5, 7, 6, 8)]
    assert lost(values) == []
    assert few_of(drawn, 2, values) == drawn[:2]
    for gone in (2, 5, 6):
        values[(float(gone),)]["train_loss"] = math.inf
    assert lost(values) == [(2.0,), (5.0,), (6.0,)]
    assert few_of(drawn, 2, values) == [(3.0,), (1.0,), (2.0,), (5.0,)]
    assert few_of(drawn, 4, values) == [*drawn[:4], (5.0,)]
    assert few_of(drawn, 5, values) == drawn[:5]

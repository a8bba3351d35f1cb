"""The benchmark of tolerances: errors are those of the points left out, and its exit code tells a miss."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tolerance import __main__ as bench
from benchmarks.tolerance import offline
from benchmarks.tolerance.offline import Outcome, predicted, read
from benchmarks.tolerance.surfaces import CASES
from lossscape.results import write_csv

AXIS = np.linspace(-1, 1, 41).tolist()


def written(folder: Path) -> Path:
    """A smooth surface as a landscape writes it."""
    rows = [(x, y, math.exp(x - y * y), 0.5 + 0.4 * math.sin(x * y)) for x in AXIS for y in AXIS]
    write_csv(folder / "smooth.csv", ["x", "y", "train_loss", "train_accuracy"], rows)
    return folder / "smooth.csv"


def test_a_smooth_surface_takes_a_part_of_its_points_and_errors_are_those_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = read(written(tmp_path))
    asked = {}

    picture = offline.picture_of(exact, 0.01, 10_000)
    rows = picture.rows

    def watched(known: Any) -> Any:
        asked["known"], asked["rows"] = dict(known), rows(known)
        return asked["rows"]

    monkeypatch.setattr(picture, "rows", watched)
    monkeypatch.setattr(offline, "picture_of", lambda *given: picture)
    found = predicted(exact, 0.01, 10_000)
    assert found.points == 41 * 41
    assert found.evaluated == len(asked["known"]) < 0.3 * found.points
    assert found.share == found.evaluated / found.points
    truth = {(x, y): math.exp(x - y * y) for x in AXIS for y in AXIS}
    errors = [abs(row["train_loss"] - truth[point]) / truth[point] for point, row in asked["rows"].items()]
    assert found.true == pytest.approx(np.array(errors))
    assert 0 < found.true.max() <= 0.01
    assert found.held_out > 0 == found.over


@pytest.mark.parametrize(("off", "code"), [(0.009, 0), (0.011, 1)])
def test_the_exit_code_tells_a_miss(
    off: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = np.full(100, off)
    outcome = Outcome(121, 21, few, few / 2, few / 3, 30, 2)
    monkeypatch.setattr(bench, "exact", lambda place, case: written(tmp_path))
    monkeypatch.setattr(bench, "predicted", lambda exact, tolerance, samples: outcome)
    monkeypatch.setattr(bench.torch, "set_num_threads", lambda threads: None)
    assert bench.main(["--surfaces", CASES[0].name, "--folder", str(tmp_path)]) == code
    shown = capsys.readouterr().out
    assert "21 (17.4 %)" in shown
    assert "2 of 30" in shown
    assert ("missed" in shown) == (code == 1)
    whole = replace(outcome, true=np.empty(0), estimated=np.empty(0), accuracy=np.empty(0))
    assert "0.00 %" in bench.cells(CASES[0], whole, [])


def test_there_are_twelve_surfaces_with_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES) == 12
    assert {case.targets for case in CASES} == {"labels", "soft"}
    assert len({case.span for case in CASES}) == 3

"""Results of which a part of the points is evaluated and the rest predicted: `--tolerance`."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import forget

from lossscape.analyses import ANALYSES
from lossscape.analyses.convexity.result import Convexity
from lossscape.analyses.tolerance import AUTO, EXACT, LONG, USUAL, settled, tolerance_of
from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate.rows import Key, Row
from lossscape.execution import Execution
from lossscape.results import Surface, read_csv, read_settings
from lossscape.results.pictured import PictureTable, fill_picture
from lossscape.runs import Run

QUICK = {"quiet": True, "samples": 100}
PLANE = QUICK | {"grid": (31, 31), "range": (-0.4, 0.4), "metrics": ("accuracy",)}


@pytest.fixture(scope="module")
def shared(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Surface]:
    """A picture of a plane that others look at, and the exact one."""
    centre = str(shutil.copytree(trained.path, tmp_path_factory.mktemp("shared") / "digits"))
    landscape = ANALYSES["landscape"]
    exact = landscape.read(landscape.run(centre=centre, **PLANE))
    return landscape.run(centre=centre, tolerance=0.01, **PLANE), exact


def test_a_picture_has_every_point_and_says_which_were_evaluated(shared: tuple[Path, Surface]) -> None:
    folder, exact = shared
    picture = ANALYSES["landscape"].read(folder)
    assert read_settings(folder) == read_settings(exact.folder) | {"tolerance": 0.01}
    assert "tolerance-0.01" in folder.name
    assert "tolerance" not in exact.folder.name
    assert picture.table[["x", "y"]].equals(exact.table[["x", "y"]])
    columns = [str(name) for name in exact.table]
    assert list(read_csv(folder / "surface.csv", text=("source",))) == [*columns, "source", "estimated_error"]
    known = ~picture.predicted
    assert 121 <= known.sum() < 0.35 * len(known)
    for name in columns:
        np.testing.assert_allclose(picture.table[name][known], exact.table[name][known], rtol=1e-6, atol=1e-9)
    a, b = (each.table["train_loss"].to_numpy() for each in (picture, exact))
    off = np.abs(a - b) / np.abs(b)
    assert np.quantile(off, 0.99) < 0.01
    assert off[~known].max() > 1e-5  # they are predicted
    errors = picture.table["estimated_error"].to_numpy()
    assert (errors[known] == 0).all()
    assert (errors[~known] > 0).mean() > 0.9
    assert errors.max() <= 0.01
    assert not exact.predicted.any()


def test_the_certificate_tells_the_held_out_errors(shared: tuple[Path, Surface]) -> None:
    folder, _ = shared
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["passed"]
    held_out = certificate["held_out"]
    table = ANALYSES["landscape"].read(folder)
    assert held_out["evaluated"] == int((~table.predicted).sum())
    assert held_out["of"] == 961
    assert held_out["points"] >= 32
    assert held_out["over"] == 0
    assert 0 < held_out["errors"]["train_loss"]["median"] < held_out["errors"]["train_loss"]["largest"] <= 0.01
    kinds = {check["kind"] for check in certificate["checks"]}
    assert {"held out", "predicted rows", "rows", "dense"} <= kinds


def test_an_interrupted_picture_is_completed_to_the_same_bytes(own_run: Run) -> None:
    landscape = ANALYSES["landscape"]
    given = PLANE | {"centre": str(own_run.path), "tolerance": 0.02, "grid": (21, 21)}
    folder = landscape.run(**given)
    forget(folder)
    file = folder / "surface.csv"
    whole = file.read_text()
    order = [line.rsplit(",", 2) for line in whole.splitlines()]
    rows = [cells for cells, source, _ in order if source in ("source", "evaluated")]
    for kept in (1, 40, len(rows) - 3):  # in any order: rounds are replayed from what is known
        (folder / "points.csv").write_text("\n".join(rows[: kept + 1]) + "\n" + rows[-1][:9])
        file.unlink()
        with pytest.raises(BadInput, match=f"not finished: {kept} evaluated of 441 points"):
            landscape.read(folder)
        landscape.run(**given)
        assert file.read_text() == whole
        assert not (folder / "points.csv").exists()
        forget(folder)
    file.write_text(whole[: 9 * len(whole) // 10])  # torn, and with it rows of both kinds
    landscape.run(**given)
    assert file.read_text() == whole


@pytest.mark.parametrize(
    ("source", "said"), [("predicted", "predictions in the file"), ("evaluated", "stands out|stored row")]
)
def test_a_row_that_was_changed_fails_the_certificate(own_run: Run, source: str, said: str) -> None:
    landscape = ANALYSES["landscape"]
    given = PLANE | {"centre": str(own_run.path), "tolerance": 0.02, "grid": (21, 21)}
    folder = landscape.run(**given)
    forget(folder)
    file = folder / "surface.csv"
    head, *lines = file.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if f",{source}," in line and not line.startswith("0.0,0.0"))
    cells = lines[number].split(",")
    cells[2] = str(1.5 * float(cells[2]))
    lines[number] = ",".join(cells)
    file.write_text("\n".join([head, *lines]) + "\n")
    (folder / "certificate.json").unlink()
    with pytest.raises(RunFailed, match=said):
        landscape.run(**given)


@pytest.mark.parametrize("given", ["0", "2", "-1", "nan", "a tenth", 0.9])
def test_a_tolerance_that_is_none_is_refused(given: str | float) -> None:
    with pytest.raises(BadInput, match=r"give a part of the loss from 1e-06 to 0\.5"):
        tolerance_of(given)


def test_refine_and_tolerance_exclude_each_other(trained: Run) -> None:
    with pytest.raises(BadInput, match="give one of the two"):
        ANALYSES["landscape"].run(centre=str(trained.path), tolerance=0.01, refine=10)


def test_auto_looks_at_what_was_begun_and_then_at_the_time(capsys: pytest.CaptureFixture[str]) -> None:
    def never() -> float:
        raise AssertionError("timed for nothing")

    assert settled(0.1, lambda _: True, never, False, 9) == 0.1
    assert settled(EXACT, lambda _: True, never, False, 9) == EXACT
    assert settled(AUTO, lambda each: each == EXACT, never, False, 9) == EXACT
    assert settled(AUTO, lambda each: each == USUAL, never, False, 9) == USUAL
    assert capsys.readouterr().err == ""
    assert settled(AUTO, lambda _: False, lambda: LONG, False, 9) == EXACT
    assert settled(AUTO, lambda _: False, lambda: LONG + 1, False, 2601) == USUAL
    said = capsys.readouterr().err
    assert "all 2,601 points would take about 10 min" in said
    assert "--tolerance exact evaluates all" in said
    assert settled(AUTO, lambda _: False, lambda: LONG + 1, True, 2601) == USUAL
    assert capsys.readouterr().err == ""


def test_auto_of_short_work_is_the_exact_result(own_run: Run) -> None:
    folder = ANALYSES["landscape"].run(centre=str(own_run.path), tolerance="auto", grid=(3, 3), **QUICK)
    assert folder.name.startswith("epoch-0003-3x3-100-samples")
    assert "tolerance" not in read_settings(folder)


def test_a_line_has_its_measures_with_few_of_its_points(own_run: Run) -> None:
    interpolate = ANALYSES["interpolate"]
    given = QUICK | {"start": str(own_run.path), "points": 301, "split": "train"}
    exact, picture = (interpolate.read(interpolate.run(**given | more)) for more in ({}, {"tolerance": 0.01}))
    assert len(picture.table) == 301
    assert (~picture.predicted).sum() < 100
    assert not picture.predicted[[0, -1]].any()
    a, b = (each.table["train_loss"].to_numpy() for each in (exact, picture))
    np.testing.assert_allclose(b, a, rtol=0.01)
    measured, known = (each.measures["train"] for each in (picture, exact))
    assert measured["monotone"] == known["monotone"]
    assert measured["barrier_chord"] == pytest.approx(known["barrier_chord"], abs=0.01 * a.max())
    assert "convex_fraction" in measured["unresolved"]
    assert "train loss falls or stays at the evaluated points" in picture.lines()[1]
    assert "train loss falls or stays everywhere" in exact.lines()[0]


def test_pairs_and_minima_are_of_pictures_where_a_tolerance_is_given(own_run: Run) -> None:
    centre, given = str(own_run.path), QUICK | {"metrics": ("accuracy",), "tolerance": 0.05}
    pair, minimum = ANALYSES["pair"], ANALYSES["minimum"]
    pairs = pair.read(pair.run(centres=(centre,), grid=(23, 23), range=(-0.3, 0.3), **given))
    assert pairs.settings["tolerance"] == 0.05
    assert "tolerance-0.05" in pairs.folder.name
    both = pairs.pair(pairs.nets[0])
    for surface in (both.original, both.relabelled):
        assert 0 < surface.predicted.sum() < 529
        assert surface.values("train_loss").shape == (23, 23)
    assert np.isfinite(both.together().table.to_numpy()).all()
    assert pairs.table["unresolved"].str.contains("convex_fraction").all()
    low = minimum.read(minimum.run(centre=centre, grid=23, reach=0.3, **given))
    assert low.settings["tolerance"] == 0.05
    assert low.row("soft")["loss"] == pytest.approx(0, abs=1e-12)
    assert low.row("soft")["points_below"] == 0  # however far below 0 a spline may go
    assert low.lines()[1].endswith("the lowest of the evaluated points of its plane")


def test_a_predicted_eigenvalue_is_positive_only_where_it_is_above_what_it_may_be_off(tmp_path: Path) -> None:
    ends = {"largest": [9.0, -10.0, 8.0, 9.0], "smallest": [0.5, 1.5, 0.5, 0.5]}
    known = {"smallest_converged": [np.nan, np.nan, 1, 0], "smallest_residual": [np.nan, np.nan, 0.1, 0.1]}
    table = pd.DataFrame(ends | known | {"predicted": [1.0, 1.0, 0.0, 0.0]})
    assert Convexity(tmp_path, {"map_tolerance": 0.1}, table, None).convex.index.tolist() == [1, 2]  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_convexity_map_predicts_both_eigenvalues(own_run: Run) -> None:
    convexity = ANALYSES["convexity"]
    given = {"centre": str(own_run.path), "grid": (17, 17), "range": (-0.05, 0.05), "samples": 20, "products": 30}
    found = convexity.read(convexity.run(**given, map_tolerance=0.3, quiet=True))
    assert found.settings["map_tolerance"] == 0.3
    assert "-map-tolerance-0.3-" in found.folder.name
    assert 0 < found.predicted.sum() < 0.6 * 289
    assert any("both eigenvalues are predicted, to 30 % of the largest" in line for line in found.lines())
    assert found.values("largest").shape == (17, 17)
    assert np.isfinite(found.table[["largest", "smallest"]].to_numpy()).all()
    assert not found.predicted[found.rough.index].any()
    certificate = json.loads((found.folder / "certificate.json").read_text())
    assert certificate["held_out"]["over"] == 0
    assert set(certificate["held_out"]["errors"]) == {"largest", "smallest"}


class Rough:
    """Numbers that have nothing to do with those beside them, of points further than `smooth` from 0."""

    columns = ("train_loss",)

    def __init__(self, smooth: float) -> None:
        self.smooth = smooth

    def cost(self, key: Key) -> int:
        return 1

    def rows(self, keys: Sequence[Key], plan: Any, done: Any = None) -> list[Row]:
        return [{"train_loss": 1.0 if max(map(abs, key)) < self.smooth else 1 + random.Random(str(key)).random()}
                for key in keys]  # fmt: skip


@pytest.mark.parametrize(("smooth", "quiet", "warned"), [(0.0, False, 1), (0.0, True, 0), (9.0, False, 0)])
def test_a_rough_surface_is_evaluated_whole_and_says_so_once(
    smooth: float, quiet: bool, warned: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axis = np.linspace(-1, 1, 21).tolist()
    table = PictureTable(tmp_path, "surface.csv", ("x", "y"), axes=[axis, axis], tolerance=0.01)
    execution = Execution("cpu", quiet=quiet)
    evaluated = len(fill_picture(table, Rough(smooth), execution=execution))
    assert (evaluated == 21**2) == (smooth == 0)
    said = capsys.readouterr().err
    assert said.count("bends too much") == said.count("exact takes at most twice as long") == warned
    assert len(fill_picture(table, Rough(smooth), execution=execution)) == evaluated  # as it is found finished
    assert "twice as long" not in capsys.readouterr().err


def test_a_small_grid_is_not_called_rough_before_it_is_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    axis = np.linspace(-1, 1, 5).tolist()
    table = PictureTable(tmp_path, "surface.csv", ("x", "y"), axes=[axis, axis], tolerance=0.01)
    fill_picture(table, Rough(9.0), execution=Execution("cpu"))
    said = capsys.readouterr().err
    assert "takes 25 of 25 points or more: it looks at so many at first, so exact takes at most" in said
    assert "bends" not in said

"""What is stored: a row that is not what the net gives fails the certificate, whether it stands out or was drawn."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Answer

from lossscape.analyses.interpolate import compute as lines
from lossscape.analyses.landscape import compute as planes
from lossscape.certificate.check import Certified
from lossscape.certificate.neighbours import STANDS_OUT, Neighbours
from lossscape.evaluate import grid_points, line_points
from lossscape.evaluate.order import coarse_to_fine
from lossscape.runs import Run

Rows = dict[Any, dict[str, Any]]
Change = Callable[[Rows], Rows]
OWN = """\
import torch
from torch import nn
import activation


def net(shape, classes):
    return nn.Sequential(nn.Linear(6, 8), activation.Used(), nn.Linear(8, classes))


def data():
    x = torch.randn(5_100, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, :3] ** 2).argmax(1)
    return x[:5_000], y[:5_000], x[5_000:], y[5_000:]
"""
CONFIG = """\
name: own
dataset: {name: "own.py:data"}
model: {name: "own.py:net"}
optimizer: {name: momentum, lr: 0.1}
training: {epochs: 1, batch_size: 250}
"""


def used(name: str) -> str:
    """A module of the user's that the net's file imports."""
    return f"from torch.nn import {name} as Used\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, processes: Any) -> Path:
    """A folder with a net of the user's own and its run runs/own, of 5,000 samples."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN)
    (folder / "activation.py").write_text(used("Tanh"))
    (folder / "own.yaml").write_text(CONFIG)
    assert processes.run("train", "own.yaml", "--quiet", cwd=folder).code == 0
    return folder


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Change the rows of a file between its last point and its certificate."""

    def change(how: Change) -> None:
        for module in (planes, lines):
            right = module.certify

            def certify(result: Certified, *given: Any, right: Any = right, **facts: Any) -> Any:
                table, columns = result.table, result.work.columns
                table.write(table.file, columns, how(table.read(table.file, columns)))
                return right(result, *given, **facts)

            monkeypatch.setattr(module, "certify", certify)

    return change


def times(factor: float, *which: int) -> Change:
    """The losses of some rows, or of all, times a factor."""

    def change(rows: Rows) -> Rows:
        return {
            key: row | ({"train_loss": row["train_loss"] * factor} if not which or number in which else {})
            for number, (key, row) in enumerate(rows.items())
        }

    return change


def moved(places: Callable[[int], int]) -> Change:
    """Each row with the values of the one that stands at another place."""

    def change(rows: Rows) -> Rows:
        values = list(rows.values())
        return {key: values[places(number)] for number, key in enumerate(rows)}

    return change


def swapped(a: int, b: int) -> Change:
    """Two rows with each other's values."""
    return moved(lambda number: {a: b, b: a}.get(number, number))


def shifted(first: int, last: int) -> Change:
    """A block of rows with the values of the row before each."""
    return moved(lambda number: number - 1 if first <= number < last else number)


def fails(answer: Any, run: Path, file: str, names: str = "train loss at the stored row (") -> dict[str, Any]:
    """The answer and the certificate name the row, and what to do; returns the check."""
    (folder,) = (file.parent for file in run.glob(f"*/*/{file}"))
    content = json.loads((folder / "certificate.json").read_text())
    assert answer.code == 1
    assert f"{folder.name}: the certificate fails: {names}" in answer.err
    assert f") of {file}, recomputed whole, is " in answer.err
    assert "run it again with --overwrite" in answer.err
    assert not content["passed"]
    return next(check for check in content["checks"] if not check["passed"])


def test_threads_that_share_the_rows_certify_the_same(own_run: Run, cli: Callable[..., Answer]) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert cli("landscape", own_run.path, "--grid", 7, "--overwrite", "--quiet").code == 0
            (folder,) = (own_run.path / "landscape").iterdir()
            content = json.loads((folder / "certificate.json").read_text())
            found.append((content, (folder / "surface.csv").read_text()))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize(("dims", "grid", "file"), [(1, 8, "line.csv"), (2, 4, "surface.csv")])
def test_all_rows_of_a_small_result(
    own_run: Run, cli: Callable[..., Answer], changed: Callable[..., None], dims: int, grid: int, file: str
) -> None:
    changed(times(10.0))
    fails(cli("landscape", own_run.path, "--dims", dims, "--grid", grid, "--quiet"), own_run.path, file)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (times(10.0, 200), "neighbours"),
        (times(0.5, 24), "neighbours"),
        (times(math.nan, 333), "neighbours"),
        (swapped(77, 480), "neighbours"),
        (shifted(150, 200), "neighbours"),
        (shifted(0, 625), "rows"),
    ],
    ids=["ten times", "half, in the corner", "no number", "swapped", "a shifted block", "all shifted"],
)
def test_rows_of_a_plane(
    own_run: Run, cli: Callable[..., Answer], changed: Callable[..., None], change: Change, kind: str
) -> None:
    changed(change)
    answer = cli("landscape", own_run.path, "--grid", 25, "--quiet")
    found = fails(answer, own_run.path, "surface.csv", "train ")
    assert found["kind"] in (kind, "rows")


def test_a_row_of_a_line_between_checkpoints(
    own_run: Run, cli: Callable[..., Answer], changed: Callable[..., None]
) -> None:
    changed(times(1.1, 20))
    answer = cli("interpolate", own_run.path, "--points", 41, "--quiet")
    assert fails(answer, own_run.path, "curve.csv")["name"].startswith(
        "train loss at the stored row (0.5) of curve.csv"
    )


def test_a_standard_error_of_a_sampled_result(
    own_run: Run, cli: Callable[..., Answer], changed: Callable[..., None]
) -> None:
    changed(lambda rows: {key: row | {"train_loss_stderr": 10 * row["train_loss_stderr"]} for key, row in rows.items()})
    answer = cli("landscape", own_run.path, "--grid", 5, "--samples", 100, "--quiet")
    fails(answer, own_run.path, "surface.csv", "train loss_stderr at the stored row (")


@pytest.mark.parametrize("change", [times(10.0, 200), swapped(77, 480)], ids=["ten times", "swapped"])
def test_rows_of_a_large_split(
    own: Path, cli: Callable[..., Answer], changed: Callable[..., None], monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    monkeypatch.setenv("LOSSSCAPE_TRUST_CODE", "1")
    changed(change)
    answer = cli("landscape", own / "runs" / "own", "--grid", 25, "--overwrite", "--quiet")
    assert fails(answer, own / "runs" / "own", "surface.csv")["kind"] == "neighbours"


def test_a_sound_plane_says_what_was_looked_at(own: Path, processes: Any) -> None:
    run = own / "runs" / "own"
    assert processes.run("landscape", run, "--grid", 25, "--overwrite", "--quiet", cwd=own).code == 0
    (folder,) = (file.parent for file in run.glob("landscape/*/surface.csv"))
    content = json.loads((folder / "certificate.json").read_text())
    assert content["samples_checked"] == {"train": 2_000}
    assert content["rows_checked"]["drawn"] >= 4
    assert content["rows_checked"]["of_these"] <= content["rows_checked"]["standing_out"]
    names = [check["name"] for check in content["checks"] if check["kind"] in ("module", "dense")]
    assert names
    assert all(name.endswith("(the plan on a subset of 2,000 samples)") for name in names)


def begun(folder: Path, points: int) -> Path:
    """Leave the one landscape of a run as a process that was killed does; returns its folder."""
    (csv,) = folder.glob("runs/own/landscape/*/surface.csv")
    whole = {line.rpartition(",")[0].rpartition(",")[0]: line for line in csv.read_text().splitlines(keepends=True)}
    head, *keys = whole
    order = [
        f"{x!r},{y!r}" for x, y in coarse_to_fine([(float(k.split(",")[0]), float(k.split(",")[1])) for k in keys])
    ]
    csv.with_name("points.csv").write_text(whole[head] + "".join(whole[key] for key in order[:points]))
    csv.unlink()
    csv.with_name("certificate.json").unlink()
    return csv.parent


@pytest.fixture
def copied(own: Path, tmp_path: Path) -> Path:
    """That folder with one landscape of 81 points, of which 25 are there."""
    folder = tmp_path / "copied"
    shutil.copytree(own, folder, ignore=shutil.ignore_patterns("landscape"))
    return folder


PLANE = ("landscape", "runs/own", "--grid", 9, "--trust-code", "--quiet")


def test_a_landscape_is_not_continued_under_other_code_of_the_net(copied: Path, processes: Any) -> None:
    assert processes.run(*PLANE, cwd=copied).code == 0
    folder = begun(copied, 25)
    before = (folder / "points.csv").read_bytes()
    (copied / "own.py").write_text(OWN.replace("activation.Used()", "nn.Sigmoid()"))
    answer = processes.run(*PLANE, cwd=copied)
    assert answer.code == 2
    assert f"{folder.name} was begun before {copied}/own.py changed: put back what it was" in answer.err
    assert "--overwrite" in answer.err
    assert (folder / "points.csv").read_bytes() == before
    (copied / "own.py").write_text(OWN)
    assert processes.run(*PLANE, cwd=copied).code == 0
    assert len((folder / "surface.csv").read_text().splitlines()) == 82
    (copied / "own.py").write_text(OWN.replace("activation.Used()", "nn.Sigmoid()"))
    answer = processes.run(*PLANE, "--split", "test", cwd=copied)  # a new result, which metrics.csv belies
    assert answer.code == 1
    assert "against metrics.csv" in answer.err


def test_a_landscape_goes_on_under_other_code_only_with_overwrite(copied: Path, processes: Any) -> None:
    assert processes.run(*PLANE, cwd=copied).code == 0
    folder = begun(copied, 25)
    (copied / "own.py").write_text(f"{OWN}\n# a remark\n")
    assert processes.run(*PLANE, cwd=copied).code == 2
    assert processes.run(*PLANE, "--overwrite", cwd=copied).code == 0
    made = {file.parent for file in copied.glob("runs/own/landscape/*/surface.csv")}
    assert folder not in made
    assert len(made) == 1
    assert processes.run(*PLANE, cwd=copied).code == 0


def test_rows_of_two_versions_of_an_imported_module_fail(copied: Path, processes: Any) -> None:
    """Whose bytes are not looked at: 25 of 81 rows are of a net with other activations than 56."""
    assert processes.run(*PLANE, cwd=copied).code == 0
    begun(copied, 25)
    (copied / "activation.py").write_text(used("Sigmoid"))
    answer = processes.run(*PLANE, cwd=copied)
    fails(answer, copied / "runs" / "own", "surface.csv", "train ")


def surface(points: np.ndarray) -> np.ndarray:
    """Smooth but for a kink, and over four decades."""
    x, y = points.T
    return 1e-3 + x**2 * np.exp(3 * y) + np.abs(x - 0.3)


def test_a_kink_is_no_reason_to_miss_a_row() -> None:
    points = np.array(grid_points((41, 31), (-1.0, 1.0), (-1.0, 1.0)))
    values = surface(points)
    around = Neighbours(points)
    healthy = around.standing(values, 1e-6 * values)
    kink = np.abs(points[:, 0] - 0.3) < 0.11
    assert not (healthy.spread[~kink] > STANDS_OUT).any()
    for row in (0, 30, 620, 1000, 1270):
        for factor in (10.0, 0.1):
            wrong = values.copy()
            wrong[row] *= factor
            found = around.standing(wrong, 1e-6 * wrong)
            assert found.spread[row] > STANDS_OUT
            ranks = [np.argsort(-each)[:3] for each in (found.size, found.spread)]
            assert row in np.concatenate(ranks), (row, factor)


def test_gaps_lines_and_scattered_points_have_neighbours() -> None:
    line = np.array(line_points(30, -1.0, 1.0))
    values = np.cos(3 * line[:, 0])
    values[[4, 12, 13]] = math.nan
    values[20] = 1.5
    found = Neighbours(line).standing(values, np.full(30, 1e-6))
    assert np.argmax(np.where(np.isfinite(found.spread), found.spread, 0)) == 20
    assert np.isnan(found.spread[[12, 13]]).all()
    assert found.spread[4] == math.inf  # alone between numbers
    refined = np.array([*grid_points((9, 9), (-1.0, 1.0), (-1.0, 1.0)), (0.125, 0.0), (0.125, 0.125), (0.0, 0.125)])
    values = np.exp(refined[:, 0] - refined[:, 1] ** 2)
    assert (Neighbours(refined).standing(values, 1e-6 * values).spread < 2 * STANDS_OUT).all()
    for row in range(len(refined)):  # the last but one lies on no line of others
        wrong = values.copy()
        wrong[row] *= 10
        found = Neighbours(refined).standing(wrong, 1e-6 * wrong)
        assert found.spread[row] > STANDS_OUT
        assert row in np.argsort(-found.size)[:2]
    assert not Neighbours(np.array(line_points(2, 0.0, 1.0))).known
    flat = Neighbours(line).standing(np.full(30, 0.1), np.full(30, 1e-6))
    assert not (flat.spread > STANDS_OUT).any()


def test_a_finite_row_among_gaps_stands_out() -> None:
    points = np.array(grid_points((5, 5), (-1.0, 1.0), (-1.0, 1.0)))
    values = np.full(25, math.inf)
    values[12] = 1.0
    found = Neighbours(points).standing(values, np.zeros(25))
    assert found.size[12] == math.inf
    assert np.isnan(np.delete(found.size, 12)).all()

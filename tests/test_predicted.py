"""Grids that are predicted from a few of their points: against the functions that they are of, in closed form."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lossscape.certificate.predicted import of_table
from lossscape.evaluate.predicted import ERROR, Picture, lattices
from lossscape.results.pictured import PictureTable

TOLERANCE = 0.01
PLANE = (np.linspace(-1, 1, 51), np.linspace(-1, 1, 51))
LINE = (np.linspace(-1, 1, 1001),)
Function = Callable[..., np.ndarray]
Rows = dict[tuple[float, ...], dict[str, float]]


class Ground:
    """Functions of one or two numbers over a grid, and a picture of them as it is evaluated."""

    def __init__(self, axes: tuple[np.ndarray, ...], functions: Mapping[str, Function], **given: object) -> None:
        self.axes, self.columns, self.given = axes, list(functions), given
        mesh = np.meshgrid(*axes, indexing="ij")
        with np.errstate(all="ignore"):
            exact = [function(*mesh) * np.ones(mesh[0].shape) for function in functions.values()]
        keys = zip(*(each.ravel().tolist() for each in mesh), strict=True)
        rows = np.stack([each.ravel() for each in exact], axis=1).tolist()
        self.rows: Rows = {key: dict(zip(self.columns, row, strict=True)) for key, row in zip(keys, rows, strict=True)}

    def picture(self, tolerance: float = TOLERANCE) -> Picture:
        """A new one."""
        return Picture(self.axes, self.columns, tolerance, **self.given)  # type: ignore[arg-type]

    def evaluated(self, tolerance: float = TOLERANCE) -> tuple[Rows, list[int]]:
        """The rows that a picture asks for, and how many in each round."""
        picture, known, rounds = self.picture(tolerance), {}, []
        while wanted := picture.more(known):
            assert len(set(wanted)) == len(wanted)
            assert not set(wanted) & set(known)
            known |= {point: self.rows[point] for point in wanted}
            rounds.append(len(wanted))
        return known, rounds

    def errors(self, known: Rows, column: str, floor: float) -> np.ndarray:
        """Of all predictions: |predicted − true| / max(|true|, floor); infinite where one alone is not finite."""
        predicted = self.picture().rows(known)
        assert set(predicted) == set(self.rows) - set(known)
        a = np.array([row[column] for row in predicted.values()])
        b = np.array([self.rows[point][column] for point in predicted])
        with np.errstate(invalid="ignore"):
            apart = np.abs(a - b) / np.maximum(np.abs(b), floor)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        return np.where(same, 0.0, np.where(np.isfinite(a) & np.isfinite(b), apart, np.inf))


def radius(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y)


CASES: dict[str, tuple[tuple[np.ndarray, ...], Function, float, float]] = {
    # axes, loss, share of points that may be needed, floor of errors
    "quadratic": (PLANE, lambda x, y: 0.1 + x * x + 3 * y * y, 0.09, 0.0),
    "0 at the centre": (PLANE, lambda x, y: x * x + 3 * y * y, 0.09, 0.01),
    "constant": (PLANE, lambda x, y: 0 * x + 2.0, 0.09, 0.0),
    "0 everywhere": (PLANE, lambda x, y: 0 * x, 0.09, 1.0),
    "exponential": (PLANE, lambda x, y: np.exp(8 * x - 5 * y), 0.09, 0.01),
    "decades above its minimum": (PLANE, lambda x, y: 1e-3 + 1e3 * np.sinh(x * x + 3 * y * y) ** 2, 0.28, 0.0),
    "negative": (PLANE, lambda x, y: np.sin(3 * x) * np.cos(2 * y), 0.15, 0.01),
    "kink": (PLANE, lambda x, y: 0.1 + np.abs(x - 0.3 * y), 0.45, 0.0),
    "cross-entropy": (PLANE, lambda x, y: np.logaddexp(0, 4 * x - 3 * y) + 0.02, 0.3, 0.0),
    "not a number": (PLANE, lambda x, y: np.where(radius(x, y) > 0.8, np.nan, 1 + x * x), 0.6, 0.0),
    "infinite": (PLANE, lambda x, y: np.where(x > 0.31, np.inf, 1 + y * y), 0.4, 0.0),
    "nothing finite": (PLANE, lambda x, y: x * np.nan, 0.09, 0.0),
    "bump": (PLANE, lambda x, y: 0.5 + x * x + np.exp(-((x - 0.33) ** 2 + (y + 0.4) ** 2) / 0.02), 0.4, 0.0),
    "line": (LINE, lambda x: 0.1 + x**2 + 0.05 * np.sin(9 * x), 0.1, 0.0),
    "line with a kink": (LINE, lambda x: 0.1 + np.abs(x - 0.123), 0.1, 0.0),
    "line with a jump": (LINE, lambda x: np.where(x > 0.123, 1.0, 2.0), 0.12, 0.0),
    "unlike axes": ((np.linspace(0, 1, 37), np.linspace(0, 1, 5)), lambda x, y: 1 + x * y, 0.4, 0.0),
}


@pytest.mark.parametrize("name", CASES)
def test_nearly_all_predictions_are_within_the_tolerance_from_a_share_of_the_points(name: str) -> None:
    axes, loss, share, floor = CASES[name]
    ground = Ground(axes, {"train_loss": loss})
    known, _ = ground.evaluated()
    errors = ground.errors(known, "train_loss", floor)
    assert len(known) <= share * len(ground.rows)
    assert (errors > TOLERANCE).mean() <= (0.02 if "kink" in name else 0.01)  # a kink lies anywhere between points
    assert errors.max() <= 5 * TOLERANCE
    held_out = ground.picture().held_out(known)
    assert len(held_out) >= min(32, 0.1 * len(errors))
    assert all(each.errors["train_loss"] <= 1 for each in held_out)


def test_noise_is_evaluated_everywhere() -> None:
    ground = Ground(PLANE, {"train_loss": lambda x, y: np.random.default_rng(0).random(x.shape) + 0.5})
    known, _ = ground.evaluated()
    assert known.keys() == ground.rows.keys()
    assert not ground.picture().rows(known)
    assert ground.picture().held_out(known) == []


def test_estimated_errors_are_above_most_true_ones_and_within_the_tolerance() -> None:
    ground = Ground(PLANE, {"train_loss": CASES["cross-entropy"][1]})
    known, _ = ground.evaluated()
    predicted = ground.picture().rows(known)
    estimates = np.array([row[ERROR] for row in predicted.values()])
    true = ground.errors(known, "train_loss", 0.0)
    assert (estimates <= TOLERANCE).all()
    assert (true <= estimates).mean() > 0.8


def test_a_smaller_tolerance_takes_more_points_and_gives_smaller_errors() -> None:
    ground = Ground(PLANE, {"train_loss": CASES["negative"][1]})
    (rough, _), (fine, _) = ground.evaluated(0.1), ground.evaluated(0.001)
    assert len(rough) < len(fine)
    picture = ground.picture(0.001)
    worst = max(abs(row["train_loss"] - ground.rows[point]["train_loss"]) for point, row in picture.rows(fine).items())
    assert worst < 0.005


def test_a_jump_of_the_accuracy_is_evaluated_beside_a_smooth_loss() -> None:
    functions = {"train_loss": lambda x, y: 1 + x * x, "train_accuracy": lambda x, y: np.where(x + y > 0.13, 0.9, 0.1)}
    ground = Ground(PLANE, functions)
    known, _ = ground.evaluated()
    assert (ground.errors(known, "train_accuracy", 1.0) > TOLERANCE).mean() <= 0.01
    tame = Ground(PLANE, functions, resolution={"train_accuracy": 1.0})
    few, _ = tame.evaluated()
    assert len(few) < 0.1 * len(ground.rows) < len(known)


def test_standard_errors_are_predicted_but_decide_nothing() -> None:
    rough = np.random.default_rng(1).random((51, 51))
    ground = Ground(PLANE, {"train_loss": lambda x, y: 1 + x * x, "train_loss_stderr": lambda x, y: rough})
    known, _ = ground.evaluated()
    assert len(known) < 0.1 * len(ground.rows)
    rows = ground.picture().rows(known).values()
    assert all(row["train_loss_stderr"] >= 0 for row in rows)
    assert all(set(each.errors) == {"train_loss"} for each in ground.picture().held_out(known))


def test_points_to_evaluate_always_are_in_the_first_round() -> None:
    x = LINE[0]
    always = [(x[3],), (x[701],), (x[0],), (2.0,)]  # the last but one is of the coarsest lattice, the last of none
    first = Ground(LINE, {"train_loss": lambda x: x**2}, always=always).picture().more({})
    assert set(always[:3]) <= set(first)
    assert len(first) == 13


def test_the_same_rows_lead_to_the_same_rounds_however_often_a_picture_is_begun() -> None:
    ground = Ground(PLANE, {"train_loss": CASES["cross-entropy"][1]}, seed=7)
    known, rounds = ground.evaluated()
    points = list(known)
    for number in range(len(rounds)):
        before, after = sum(rounds[:number]), sum(rounds[: number + 1])
        wanted = ground.picture().more({point: known[point] for point in points[:before]})
        assert wanted == points[before:after]
    assert ground.picture().rows(known) == ground.picture().rows(dict(sorted(known.items())))


def test_seeds_draw_other_points() -> None:
    grounds = [Ground(PLANE, {"train_loss": CASES["quadratic"][1]}, seed=seed) for seed in (0, 1)]
    (a, _), (b, _) = (ground.evaluated() for ground in grounds)
    assert set(a) != set(b)


def test_a_held_out_row_that_was_changed_shows_in_its_error() -> None:
    ground = Ground(PLANE, {"train_loss": CASES["quadratic"][1]})
    known, _ = ground.evaluated()
    point = ground.picture().held_out(known)[3].point
    changed = known | {point: {"train_loss": 1.5 * known[point]["train_loss"]}}
    assert ground.picture().more(changed)  # it leads elsewhere
    assert ground.picture().held_out(changed) == []
    with pytest.raises(ValueError, match="have to be evaluated"):
        ground.picture().rows(changed)


def certified(folder: Path, ground: Ground, known: Rows) -> dict[str, bool | None]:
    """What the certificate says of rows that were evaluated, written and read back, by the kind of check."""
    axes = [axis.tolist() for axis in ground.axes]
    table = PictureTable(folder, "line.csv", ("x", "y")[: len(axes)], axes=axes, tolerance=TOLERANCE)
    table.write("line.csv", ground.columns, known)
    checks, _ = of_table(table, ground.columns, table.read("line.csv", ground.columns))
    return {check.kind.name: check.passed for check in checks}


def test_points_that_say_nothing_of_each_other_are_all_evaluated(tmp_path: Path) -> None:
    axis = np.linspace(-1, 1, 31)
    spikes = np.random.default_rng(0).random((31, 31)) < 0.02
    ground = Ground((axis, axis), {"train_loss": lambda x, y: 1 + spikes})
    known, rounds = ground.evaluated()
    assert len(rounds) > 10  # held-out points failed again and again
    assert known.keys() == ground.rows.keys()
    assert certified(tmp_path, ground, known) == {"held out": True, "predicted rows": True}


def test_a_held_out_row_that_was_changed_fails_the_certificate(tmp_path: Path) -> None:
    ground = Ground(LINE, {"train_loss": CASES["line"][1]})
    known, _ = ground.evaluated()
    assert certified(tmp_path, ground, known) == {"held out": True, "predicted rows": True}
    file = tmp_path / "line.csv"
    (x,) = ground.picture().held_out(known)[3].point
    before = f"{x!r},{known[x,]['train_loss']!r},evaluated"
    assert before in file.read_text()
    file.write_text(file.read_text().replace(before, f"{x!r},9.0,evaluated"))
    table = PictureTable(tmp_path, "line.csv", ("x",), axes=[LINE[0].tolist()], tolerance=TOLERANCE)
    (check,), _ = of_table(table, ground.columns, table.read("line.csv", ground.columns))
    assert (check.kind.name, check.passed) == ("rounds", False)


@pytest.mark.parametrize(
    ("column", "value"), [(0, "0.0011"), (1, "1.5"), (2, "evaluated"), (3, "0.5"), (3, ""), (3, "0.0")]
)
def test_a_predicted_row_that_was_changed_fails_the_certificate(column: int, value: str, tmp_path: Path) -> None:
    ground = Ground(LINE, {"train_loss": CASES["line"][1]})
    known, _ = ground.evaluated()
    certified(tmp_path, ground, known)
    file = tmp_path / "line.csv"
    lines = file.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if line.split(",")[2] == "predicted")
    cells = lines[number].split(",")
    cells[column] = value
    lines[number] = ",".join(cells)
    file.write_text("\n".join(lines) + "\n")
    table = PictureTable(tmp_path, "line.csv", ("x",), axes=[LINE[0].tolist()], tolerance=TOLERANCE)
    checks, _ = of_table(table, ground.columns, table.read("line.csv", ground.columns))
    assert {check.kind.name: check.passed for check in checks} == {"held out": True, "predicted rows": False}


def test_only_what_is_a_share_stays_between_0_and_1() -> None:
    functions = {"train_loss": lambda x, y: 1 + x * x, "train_accuracy": lambda x, y: 50 + 40 * np.sin(x - y)}
    known, _ = Ground(PLANE, functions).evaluated()
    assert len(known) < 0.1 * 2601
    whole = Ground(PLANE, {"train_accuracy": lambda x, y: np.tanh(9 * x)}, resolution={"train_accuracy": 0.3})
    known, _ = whole.evaluated()
    assert all(0 <= row["train_accuracy"] <= 1 for row in whole.picture().rows(known).values())


@pytest.mark.parametrize("length", [1, 2, 5, 11, 12, 31, 37, 51, 1001])
def test_every_lattice_lies_within_the_next_up_to_the_whole_axis(length: int) -> None:
    found = lattices(length, 10, 8)
    assert found[-1].tolist() == list(range(length))
    assert len(found[0]) == length if length <= 11 else 9 <= len(found[0]) <= 11
    for coarse, fine in pairwise(found):
        assert set(coarse) < set(fine)
        assert {0, length - 1} <= set(coarse)

"""The line between two checkpoints: truth, BatchNorm policies, measures with known answers, and its files."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from brief_runs import NETS, train_briefly
from computing import ends_of, interpolate
from conftest import forget
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lossscape.analyses.interpolate.measures import CurveMeasures, gauss_length, measure_curve
from lossscape.config import experiment_from
from lossscape.errors import BadInput, RunFailed
from lossscape.evaluate import Subspace, line_points
from lossscape.objective import Objective
from lossscape.results import read_curve
from lossscape.runs import Run, point
from lossscape.train import train


@pytest.fixture(scope="module", params=["mlp", "cnn", "resnet"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A briefly trained run of each kind of net."""
    return train_briefly(request.param, tmp_path_factory.mktemp("runs"))


def explicit_loss(run: Run, alpha: float, split: str, buffers: dict[str, torch.Tensor] | None = None) -> float:
    """Loss in float64 of a model whose values are interpolated one by one, on the whole split at once."""
    model, end = run.model("first").double(), run.model("last").double()
    ends = dict(end.named_parameters())
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_((1 - alpha) * value + alpha * ends[name])
        for name, value in model.named_buffers():
            if buffers is not None:
                value.copy_(buffers[name])
    inputs, targets = run.tensors(split)
    return float(nn.functional.cross_entropy(model(inputs.double()), targets).detach())


def test_losses_agree_with_float64(run: Run) -> None:
    a, b = ends_of(run)
    curve = read_curve(interpolate(a, b, points=5, batch_norm="frozen"))
    exact = read_curve(interpolate(a, b, points=5, batch_norm="frozen", precision="fp64"))
    for index, alpha in enumerate(curve.positions):
        for split in ("train", "test"):
            truth = explicit_loss(run, float(alpha), split)
            assert curve.table[f"{split}_loss"][index] == pytest.approx(truth, rel=1e-5, abs=1e-9)
            assert exact.table[f"{split}_loss"][index] == pytest.approx(truth, rel=1e-10)


def test_interpolated_statistics_reproduce_the_rows_of_metrics(run: Run) -> None:
    a, b = ends_of(run)
    folder = interpolate(a, b, points=3, batch_norm="interpolated")
    curve = read_curve(folder)
    rows = np.genfromtxt(run.metrics_file, delimiter=",", names=True)
    for split in ("train", "test"):
        assert list(curve.table[f"{split}_loss"][[0, 2]]) == pytest.approx(list(rows[f"{split}_loss"]), rel=1e-6)
        assert list(curve.table[f"{split}_accuracy"][[0, 2]]) == list(rows[f"{split}_accuracy"])
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["passed"]
    assert [check["passed"] for check in certificate["checks"] if check["kind"] == "stored"] == [True] * 4


def test_recomputed_statistics_are_those_of_the_training_inputs(run: Run) -> None:
    a, b = ends_of(run)
    curve = read_curve(interpolate(a, b, points=3, precision="fp64"))
    model, end = run.model("first").double(), dict(run.model("last").double().named_parameters())
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_((value + end[name]) / 2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    inputs, targets = run.tensors("train")
    model(inputs.double())  # fewer than 1,000 samples: one batch
    model.eval()
    truth = float(nn.functional.cross_entropy(model(inputs.double()), targets).detach())
    assert curve.table["train_loss"][1] == pytest.approx(truth, rel=1e-9)


def test_past_the_ends_and_the_ends_on_any_grid(run: Run) -> None:
    a, b = ends_of(run)
    curve = read_curve(interpolate(a, b, points=7, range=(-0.5, 1.0), split="train", batch_norm="frozen"))
    assert curve.positions[[0, 2, -1]].tolist() == [-0.5, 0.0, 1.0]
    assert curve.splits == ["train"]
    assert curve.table["train_loss"][0] == pytest.approx(explicit_loss(run, -0.5, "train"), rel=1e-5)


def test_a_second_call_computes_nothing_and_a_changed_checkpoint_is_another_result(own_run: Run) -> None:
    a, b = ends_of(own_run)
    folder = interpolate(a, b, points=5)
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.name == "curve.csv"}
    assert interpolate(a, b, points=5) == folder
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir() if file.name == "curve.csv"} == before
    state = torch.load(own_run.epoch_file(3), weights_only=True)
    next(iter(state.values())).add_(0.1)
    torch.save(state, own_run.epoch_file(3))
    with pytest.raises(RunFailed, match="certificate fails: train loss at digits@epoch-0003"):
        interpolate(*ends_of(own_run), points=5)
    assert len(list(own_run.results("interpolate").iterdir())) == 2


def test_the_folder_says_what_differs(own_run: Run) -> None:
    folder = interpolate(
        point(f"{own_run.path}@1"), point(f"{own_run.path}@3"), points=3, split="test", range=(0.0, 1.5)
    )
    assert folder.name.startswith("epoch-0001-to-epoch-0003-3-points-from-0-to-1.5-test-")


def test_the_words_of_the_ends(own_run: Run) -> None:
    a, b = ends_of(own_run)
    assert (a.checkpoint.label, b.checkpoint.label) == ("epoch-0000", "epoch-0003")
    with pytest.raises(BadInput, match="needs two ends"):
        interpolate(f"{own_run.path}@1")
    with pytest.raises(BadInput, match="same point"):
        interpolate(point(f"{own_run.path}@3"), point(f"{own_run.path}@last"))


def test_measures_of_curves_with_known_answers() -> None:
    alpha = np.linspace(0, 1, 1001)
    straight = measure_curve(alpha, 2 - alpha)
    assert straight is not None
    assert straight.monotone
    assert straight.bump_height == straight.bump_width == 0
    assert straight.convex_fraction == 1
    assert straight.barrier_chord == pytest.approx(0, abs=1e-12)
    assert straight.barrier_mean == pytest.approx(0.5)
    hill = measure_curve(alpha, 1 - alpha + 2 * np.sin(np.pi * alpha))
    assert hill is not None
    top = math.acos(1 / (2 * math.pi)) / math.pi  # where the derivative −1 + 2π cos(πα) vanishes
    assert not hill.monotone
    assert hill.bump_start == 0
    assert hill.bump_peak == pytest.approx(top, abs=1e-3)
    assert hill.bump_height == pytest.approx(2 * math.sin(math.pi * top) - top, abs=1e-5)
    assert hill.barrier_chord == pytest.approx(2, abs=1e-5)
    assert hill.convex_fraction == 0
    parabola = measure_curve(alpha, (alpha - 0.5) ** 2)
    assert parabola is not None
    assert (parabola.bump_start, parabola.bump_peak, parabola.bump_width) == (0.5, 1.0, 0.5)
    assert parabola.barrier_chord == pytest.approx(0, abs=1e-12)
    assert measure_curve(alpha[:-1], alpha[:-1]) is None


@pytest.mark.parametrize("points", [11, 101, 1001])
@pytest.mark.parametrize("curvature", [1e-6, 1e-4, 1.0])
def test_the_least_curvature_counts_at_any_number_of_points(points: int, curvature: float) -> None:
    alpha = np.linspace(0, 1, points)

    def fraction(loss: np.ndarray, precision: str = "fp64") -> float:
        found = measure_curve(alpha, loss, precision)
        assert found is not None
        return found.convex_fraction

    line = 2 - alpha
    assert fraction(line + curvature * alpha**2) == 1
    assert fraction(line - curvature * alpha**2) == 0
    assert fraction(line + curvature * (alpha - 0.5) ** 3) == pytest.approx(np.mean(alpha[1:-1] > 0.5 - 1e-9), abs=0.02)
    single = [(line + sign * curvature * alpha**2).astype(np.float32).astype(float) for sign in (1, -1)]
    assert fraction(single[0], "fp32") == 1
    # what is far below a thousandth of the greatest loss counts as none, what is far above it on any points
    assert fraction(single[1], "fp32") == {1e-6: 1, 1e-4: (points > 11), 1.0: 0}[curvature]


def test_curvature_beyond_rounding_is_told_from_it_on_close_points() -> None:
    alpha = np.linspace(0, 1, 1001)
    rounded = (2 - alpha - 0.01 * alpha**2).astype(np.float32).astype(float)
    single, exact = (measure_curve(alpha, rounded, precision) for precision in ("fp32", "fp64"))
    assert single is not None
    assert exact is not None
    assert single.convex_fraction == 0
    assert 0.1 < exact.convex_fraction < 0.9  # the rounding of neighbours: 1e-7 beside differences of 2e-8
    half = measure_curve(alpha, rounded, "bf16")
    assert half is not None
    assert half.unresolved == ("convex_fraction",)


def test_what_the_points_of_a_curve_cannot_tell_is_named() -> None:
    def measured(points: int) -> CurveMeasures:
        alpha = np.linspace(0, 1, points)
        found = measure_curve(alpha, 1 - alpha + np.exp(-(((alpha - 0.53) / 0.06) ** 2)))
        assert found is not None
        return found

    few, many = measured(11), measured(1001)
    assert many.unresolved == ()
    assert {"bump_height", "bump_width", "barrier_chord"} <= set(few.unresolved)
    assert abs(few.barrier_chord - many.barrier_chord) > 0.1 * many.barrier_chord
    smooth = measure_curve(np.linspace(0, 1, 21), (1 - np.linspace(0, 1, 21)) ** 2)
    assert smooth is not None
    assert smooth.unresolved == ()
    least = measure_curve(np.linspace(0, 1, 3), np.array([1.0, 2.0, 0.0]))
    assert least is not None
    assert least.unresolved == ("bump_height", "bump_width", "convex_fraction", "barrier_chord", "barrier_mean")


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=30))
@settings(deadline=None)
def test_the_largest_rise_is_that_of_all_pairs(values: list[float]) -> None:
    loss = np.array(values)
    found = measure_curve(np.linspace(0, 1, len(loss)), loss)
    assert found is not None
    rises = [loss[j] - loss[i] for i in range(len(loss)) for j in range(i, len(loss))]
    assert found.bump_height == max(rises)
    assert found.monotone == (max(rises) == 0)


class Circle(nn.Module):
    """Outputs that go round a full circle as its parameter goes from 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.angle = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angle = 2 * math.pi * self.angle
        return x[:, :1] * torch.stack([torch.cos(angle), torch.sin(angle)])


class Shaped(nn.Module):
    def __init__(self, shape: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.shape(z)


def test_gauss_length_of_a_circle_and_of_a_straight_path() -> None:
    circle = Objective(Circle(), "cross_entropy", torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]), precision="fp64")
    path = Subspace({"angle": torch.zeros(())}, [{"angle": torch.ones((), dtype=torch.float64)}])
    # 50 edges of a regular polygon turn 49 times by 2π/50
    assert gauss_length(circle, path) == pytest.approx(2 * math.pi * 49 / 50, rel=1e-9)
    linear = nn.Linear(3, 2)
    objective = Objective(
        linear, "cross_entropy", torch.randn(4, 3), torch.zeros(4, dtype=torch.int64), precision="fp64"
    )
    straight = Subspace(
        objective.parameters(), [{name: torch.ones_like(p) for name, p in objective.parameters().items()}]
    )
    assert gauss_length(objective, straight) < 1e-6
    beyond = replace(straight, directions=[{name: torch.full_like(p, 1e308) for name, p in straight.origin.items()}])
    assert math.isnan(gauss_length(objective, beyond))


def test_gauss_length_of_one_number_and_of_several_positions() -> None:
    path = Subspace({"angle": torch.zeros(())}, [{"angle": torch.ones((), dtype=torch.float64)}])
    inputs = torch.tensor([[1.0], [3.0]])
    number = nn.Sequential(Circle(), Shaped(lambda z: z[:, 0]))
    cosine = Objective(number, "mse", inputs, torch.zeros(2), precision="fp64")
    along = replace(path, origin={"0.angle": path.origin["angle"]}, directions=[{"0.angle": torch.ones(()).double()}])
    assert gauss_length(cosine, along) == pytest.approx(math.pi, rel=1e-9)  # it turns back once, at the half
    twice = nn.Sequential(Circle(), Shaped(lambda z: torch.stack([z, z], 1)))
    tokens = Objective(twice, "cross_entropy", inputs, torch.zeros(2, 2, dtype=torch.int64), precision="fp64")
    assert gauss_length(tokens, along) == pytest.approx(2 * math.pi * 49 / 50, rel=1e-9)


def test_grid_values_are_exact_where_they_matter() -> None:
    assert [p[0] for p in line_points(1001, 0, 1)][::500] == [0.0, 0.5, 1.0]
    assert [p[0] for p in line_points(51, -1, 1)][25] == 0.0
    assert [p[0] for p in line_points(7, -0.3, 0.3)][3] == 0.0
    for low, high in ((1.0, 0.0), (0.0, 0.0), (math.nan, 1.0), (0.0, math.inf)):
        with pytest.raises(BadInput, match="range"):
            line_points(5, low, high)
    with pytest.raises(BadInput, match="at least 2"):
        line_points(1, 0, 1)


@given(st.integers(-20, 0), st.integers(10, 30), st.integers(1, 40))
def test_checkpoints_on_a_grid_past_the_ends_are_exact(low: int, high: int, finer: int) -> None:
    points = (high - low) * finer + 1  # a grid of tenths, or finer, that holds 0 and 1
    alphas = [p[0] for p in line_points(points, low / 10, high / 10)]
    assert 0.0 in alphas
    assert 1.0 in alphas
    assert alphas == sorted(set(alphas))


def test_the_certificate_looks_at_the_checkpoints_whatever_the_policy(tmp_path: Path) -> None:
    experiment = experiment_from(
        {
            "name": "bn",
            "dataset": {"name": "digits", "train_size": 200, "test_size": 40},
            "model": NETS["resnet"],
            "optimizer": {"name": "sgd", "lr": 0.02},
            "training": {"epochs": 1, "batch_size": 50},
        }
    )
    run = train(experiment, tmp_path)
    folder = interpolate(*ends_of(run), points=4, range=(0.1, 0.9))
    checks = json.loads((folder / "certificate.json").read_text())["checks"]
    assert [check["passed"] for check in checks if check["kind"] == "stored"] == [True] * 4
    state = torch.load(run.epoch_file(1), weights_only=True)
    state["0.weight"].mul_(3)
    forget(run.path)
    torch.save(state, run.epoch_file(1))
    with pytest.raises(RunFailed, match="with its own statistics"):
        interpolate(*ends_of(run), points=4, range=(0.1, 0.9))


def test_copy_of_a_run_elsewhere_gives_the_same_curve(own_run: Run, tmp_path: Path) -> None:
    a, b = ends_of(own_run)
    first = (interpolate(a, b, points=5) / "curve.csv").read_bytes()
    moved = tmp_path / "elsewhere" / "digits"
    moved.parent.mkdir()
    own_run.path.rename(moved)
    folder = interpolate(*ends_of(Run(moved)), points=5, overwrite=True)
    assert (folder / "curve.csv").read_bytes() == first

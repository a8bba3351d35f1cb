"""The certificate: sound results pass it whatever they are, and each way to be wrong fails its own check."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from brief_runs import NETS, WITH_STATISTICS, train_briefly
from cases_models import MODEL_CASES
from computing import ends_of, interpolate, landscape
from torch import Tensor, nn

from lossscape.certificate import curvature, dense
from lossscape.certificate.certify import certify, fingerprint
from lossscape.certificate.check import Certified, allowed, compare, worst
from lossscape.certificate.curvature import Comparison, compare_along
from lossscape.certificate.reference import Remembered
from lossscape.certificate.summary import is_done, summary
from lossscape.directions import choose
from lossscape.errors import RunFailed
from lossscape.evaluate import Subspace, Work, grid_points
from lossscape.evaluate.engine import Values
from lossscape.evaluate.subspace import Coordinates
from lossscape.files import save_tensors
from lossscape.measured import Measured
from lossscape.objective import Objective, Plan
from lossscape.problem import Problem, problem_of
from lossscape.results.folder import DIRECTIONS
from lossscape.results.table import Table
from lossscape.runs import Run, point, split_state
from lossscape.vectors import Params, scale
from lossscape.vectors.between import between
from lossscape.vectors.random import random_directions


@pytest.fixture(scope="module", params=NETS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A briefly trained run of each kind of net."""
    return train_briefly(request.param, tmp_path_factory.mktemp("runs"))


BOTH = {"rows": 4, "neighbours": 4}
"""Checks of rows: of loss and accuracy on both splits."""


def content_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "certificate.json").read_text())


def kinds(folder: Path) -> dict[str, int]:
    """Checks of each kind, all of which must have passed."""
    content = content_of(folder)
    assert content["passed"]
    assert all(check["passed"] for check in content["checks"])
    found = [check["kind"] for check in content["checks"]]
    return {kind: found.count(kind) for kind in dict.fromkeys(found)}


@pytest.mark.parametrize("batch_norm", ["recompute", "interpolated", "frozen"])
def test_lines_under_every_policy_pass(run: Run, batch_norm: str) -> None:
    folder = interpolate(*ends_of(run), points=9, batch_norm=batch_norm)
    assert kinds(folder) == {"stored": 4, "module": 4, "dense": 12, **BOTH, "curvature": 1}
    content = content_of(folder)
    assert content["samples_checked"] == {"train": 200, "test": 40}
    assert "precision_check" not in content
    assert "not_checked" not in content


def certified_plane(run: Run, precision: Any, folder: Path, samples: int) -> Path:
    """A plane of which at most so many samples are checked."""
    centre = point(str(run.path))
    problem, direction = problem_of(centre, Measured("both", precision=precision)), choose(centre, 2)
    origin, buffers = problem.values(centre)
    plane = direction.make(problem, centre, origin, 2, quiet=True).directions
    save_tensors(folder / DIRECTIONS, dict(zip("xy", plane, strict=True)))
    work = problem.work(Subspace(origin, plane, buffers))
    points, plan = grid_points((4, 3), (-1.0, 1.0), (-1.0, 1.0)), Plan(16, False)
    values = dict(zip(points, work.rows(points, plan), strict=True))
    anchors = [(centre, (0.0, 0.0))]
    table = Table(folder, "surface.csv", ["x", "y"])
    table.write(table.file, work.columns, values)
    result = Certified(problem, table, work, plan, anchors, direction)
    certify(result, fingerprint(problem.model), samples=samples)
    return folder


@pytest.mark.parametrize("precision", ["fp64", "fp32", "bf16"])
@pytest.mark.parametrize("large", [False, True])
def test_planes_in_every_precision_pass(run: Run, precision: str, large: bool, tmp_path: Path) -> None:
    if large:
        folder = certified_plane(run, precision, tmp_path, samples=30)
    else:
        folder = landscape(point(str(run.path)), grid=(4, 3), split="both", precision=precision, overwrite=True)
    assert kinds(folder) == {"stored": 2, "module": 2, "dense": 12, **BOTH, "directions": 11, "curvature": 2}
    content = content_of(folder)
    assert content["samples_checked"] == {"train": 30 if large else 200, "test": 30 if large else 40}
    if precision == "bf16":
        error = content["precision_check"]
        assert error["points"] == 10
        assert 0 < error["mean_relative_error"] < error["largest_relative_error"] < 0.05
    for check in content["checks"]:
        if precision != "bf16" and check["kind"] in ("module", "dense"):
            limit = 1e-10 if precision == "fp64" else 1e-5
            assert check["value"] == pytest.approx(check["reference"], rel=limit, abs=1e-9)


def test_sampled_and_recomputed_results_pass(run: Run) -> None:
    centre = point(str(run.path))
    found = kinds(landscape(centre, grid=(5, 5), samples=60, normalize="global", ignore=[]))
    # a pass over the whole split, for its row of metrics.csv, is too much beside 25 points of 60 samples
    assert found == {"module": 1, "dense": 6, "rows": 2, "neighbours": 2, "directions": 10, "curvature": 2}
    assert kinds(landscape(centre, grid=(9, 9), samples=60))["stored"] == 1
    if run.name in WITH_STATISTICS:
        assert kinds(landscape(centre, grid=(3, 3), batch_norm="recompute"))["module"] == 1


def test_other_targets_than_labels_are_not_held_against_metrics(run: Run) -> None:
    folder = landscape(point(str(run.path)), grid=(3, 3), split="both", targets="soft")
    assert kinds(folder) == {"stored": 1, "module": 2, "dense": 12, **BOTH, "directions": 11, "curvature": 2}
    names = [check["name"] for check in content_of(folder)["checks"] if check["kind"] == "stored"]
    assert names == [f"test loss at {run.name}@epoch-0001, against metrics.csv"]


@dataclass
class Result:
    """A result on the line of a run, as it is before it is certified."""

    problem: Problem
    work: Work
    values: dict[Coordinates, Values]
    anchors: list[Any]
    folder: Path
    before: str = ""

    samples: int = 2_000

    @property
    def certified(self) -> Certified:
        table = Table(self.folder, "curve.csv", ["alpha"])
        table.write(table.file, self.work.columns, self.values)
        return Certified(self.problem, table, self.work, Plan(64, False), self.anchors)

    def certify(self) -> None:
        certify(self.certified, self.before or fingerprint(self.problem.model), samples=self.samples)

    def fails(self, *words: str) -> None:
        """It must fail with these words, and the certificate must say so too."""
        with pytest.raises(RunFailed) as error:
            self.certify()
        for word in ("certificate fails", *words):
            assert word in str(error.value)
        assert not content_of(self.folder)["passed"]
        assert "FAILED" in summary(self.folder)


def result_of(run: Run, folder: Path, changed: Callable[[Params], Params] = lambda origin: origin) -> Result:
    start, end = ends_of(run)
    problem = problem_of(start, Measured(), "cpu")
    origin, buffers = problem.values(start)
    target, _ = problem.values(end)
    line = Subspace(changed(origin), [between(origin, target)], buffers, frozen=True)
    work = Work(problem.objectives(), line)
    places = [(0.0,), (0.25,), (0.5,), (1.0,)]
    values = dict(zip(places, work.rows(places, Plan(64, False)), strict=True))
    folder.mkdir(exist_ok=True)
    return Result(problem, work, values, [(start, (0.0,)), (end, (1.0,))], folder)


@pytest.fixture
def result(own_run: Run, tmp_path: Path) -> Result:
    return result_of(own_run, tmp_path / "result")


def off(values: Values, loss: float = 0.0, accuracy: float = 0.0) -> Values:
    return {"train_loss": values["train_loss"] * (1 + loss), "train_accuracy": values["train_accuracy"] + accuracy}


def test_a_sound_result_passes_and_says_so(result: Result) -> None:
    result.certify()
    assert kinds(result.folder) == {"stored": 2, "module": 2, "dense": 3, "rows": 2, "neighbours": 2, "curvature": 1}
    words = summary(result.folder)
    assert words.startswith("12 checks passed; largest relative differences: another plan ")
    assert "\n" not in words
    assert summary(result.folder.parent) == ""
    check = {"name": "train loss", "value": 1.0, "reference": 1.0, "passed": True}  # as older versions wrote it
    (result.folder / "certificate.json").write_text(json.dumps({"passed": True, "checks": [check]}))
    assert summary(result.folder) == "1 check passed"


def test_a_stored_value_that_is_off(result: Result) -> None:
    result.values[(0.5,)] = off(result.values[(0.5,)], loss=1e-4)
    result.fails("train loss at the stored row (0.5) of curve.csv, recomputed whole", "--plan dense")
    failed = [check["kind"] for check in content_of(result.folder)["checks"] if not check["passed"]]
    assert failed == ["rows", "dense"]


def test_a_stored_accuracy_that_is_off(result: Result) -> None:
    result.values[(0.25,)] = off(result.values[(0.25,)], accuracy=1 / 300)
    result.fails("train accuracy at the stored row (0.25) of curve.csv, recomputed whole")


def test_an_end_that_is_not_the_checkpoint(own_run: Run, tmp_path: Path) -> None:
    own_run.metrics_file.unlink()
    moved = result_of(own_run, tmp_path / "moved", lambda origin: scale(origin, 1.001))
    moved.fails("train loss at digits@epoch-0000, against its own module", "--plan dense")


def test_another_row_of_the_training(result: Result, own_run: Run) -> None:
    lines = own_run.metrics_file.read_text().splitlines(keepends=True)
    row = lines[1].split(",")
    row[3] = repr(float(row[3]) * 1.001)
    own_run.metrics_file.write_text("".join([lines[0], ",".join(row), *lines[2:]]))
    result.fails("train loss at digits@epoch-0000, against metrics.csv", "environment.json")


def test_an_engine_that_is_wrong_on_large_data(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    result.samples = 50
    result.certify()
    rows = Work.rows
    monkeypatch.setattr(Work, "rows", lambda *given: [off(values, loss=1e-3) for values in rows(*given)])
    result.fails("against its own module")


def test_another_batch_norm_policy(run: Run, tmp_path: Path) -> None:
    if run.name not in WITH_STATISTICS:
        pytest.skip("the net has no statistics")
    frozen = result_of(run, tmp_path / "frozen")
    frozen.certify()
    frozen.problem = replace(frozen.problem, policy="interpolated")
    frozen.fails("@epoch-0001, against its own module")


@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0])
def test_a_wrong_second_derivative(result: Result, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    right = curvature.curvature_along
    monkeypatch.setattr(curvature, "curvature_along", lambda *given: factor * right(*given))
    result.fails("dᵀHd along alpha at digits@epoch-0000", "second derivatives")


def test_a_model_that_was_changed(result: Result) -> None:
    result.before = fingerprint(nn.Linear(2, 2))
    with pytest.raises(RunFailed, match="changed the model"):
        result.certify()
    assert not content_of(result.folder)["model_unchanged"]


def test_losses_that_are_not_finite_on_both_sides_are_named(
    own_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = nn.functional.cross_entropy

    def limited(outputs: Tensor, *given: Any, **options: Any) -> Tensor:
        return torch.where(outputs.abs().amax(1) > 1e3, math.nan, right(outputs, *given, **options))

    monkeypatch.setattr(nn.functional, "cross_entropy", limited)
    state = torch.load(own_run.epoch_file(3), weights_only=True)
    torch.save({name: 1e3 * value for name, value in state.items()}, own_run.epoch_file(3))
    lines = own_run.metrics_file.read_text().splitlines()
    row = lines[4].split(",")
    row[3] = "nan"
    own_run.metrics_file.write_text("\n".join([*lines[:4], ",".join(row), ""]))
    diverged = result_of(own_run, tmp_path / "nan")
    assert [point for point in sorted(diverged.values) if math.isnan(diverged.values[point]["train_loss"])] == [
        (0.25,), (0.5,), (1.0,)
    ]  # fmt: skip
    diverged.certify()
    content = content_of(diverged.folder)
    passed = {check["name"]: check["passed"] for check in content["checks"]}
    assert passed["train loss at digits@epoch-0000, against metrics.csv"] is True
    assert passed["train loss at digits@epoch-0003, against metrics.csv"] is None
    assert passed["train loss at (0.5), against dense fp64"] is None
    assert content["not_finite"]["points"] == 3
    assert content["not_finite"]["finite_in_float64"] == 0
    said = "not finite in fp32 at 3 of 4 points, nor in float64: nothing is certified there"
    assert said in summary(diverged.folder)
    diverged.values[(1.0,)] |= {"train_loss": 1.0}
    diverged.fails("train loss at the stored row (1)")


def test_the_same_samples_and_points_every_time(result: Result) -> None:
    result.samples = 40
    result.certify()
    first = (result.folder / "certificate.json").read_bytes()
    result.certify()
    assert (result.folder / "certificate.json").read_bytes() == first


def test_statistics_are_taken_once_a_point(run: Run) -> None:
    if run.name not in WITH_STATISTICS:
        pytest.skip("the net has no statistics")
    taken: list[int] = []
    problem = problem_of(point(str(run.path)), Measured(batch_norm="recompute"), "cpu")
    statistics = problem.statistics()
    remembered = Remembered(lambda *given: taken.append(1) or statistics(*given))
    parameters, buffers = split_state(problem.model)
    first = remembered(parameters, buffers)
    again = remembered({name: value.clone() for name, value in parameters.items()}, buffers)
    assert all(first[name] is again[name] for name in first)
    assert len(taken) == 1
    remembered(scale(parameters, 2.0), buffers)
    assert len(taken) == 2


@pytest.mark.parametrize(
    ("value", "reference", "rough", "passed"),
    [
        (1.0, 1.0 + 1e-6, None, True),
        (1.0, 1.1, None, False),
        (math.nan, math.nan, None, None),  # nothing can be said: neither agrees with anything
        (math.inf, math.nan, None, None),
        (math.inf, math.inf, None, None),
        (math.nan, 1.0, None, False),
        (1.0, math.inf, None, False),
        (1.0, math.inf, 1.0, False),
        (1.0, math.nan, math.nan, False),
        (math.nan, 1.0, 1.0, False),  # the plan's own fault
        (1.0, 1.1, 1.01, True),  # plain arithmetic in the same precision is off as much
        (1.0, 1.1, 1.0999, False),
        (math.inf, 1.0, math.inf, None),  # the precision cannot hold the point
        (math.nan, 1e43, math.inf, None),
        (2.0, 1.0, math.inf, False),
    ],
)
def test_when_two_numbers_agree(value: float, reference: float, rough: float | None, passed: bool | None) -> None:
    check = compare(
        dense.KIND, "loss", value, reference, allowed(1.0, "fp32"), None if rough is None else lambda: rough
    )
    assert check.passed is passed
    beyond = compare(dense.KIND, "loss", value, reference, allowed(reference, "fp32"))
    assert beyond.passed is not True or math.isfinite(reference)


def test_the_worst_of_several_checks() -> None:
    cases = [(math.nan, math.nan, 1.0), (1.0, 1.5, 1.0), (1.0, 1.1, 1.0), (1.0, 9.0, 1.0), (math.nan, 2.0, 1.0)]
    silent, near, agreeing, failing, lost = (compare(dense.KIND, "loss", *case) for case in cases)
    assert worst([silent, agreeing, near]) is near
    assert worst([silent, near, failing, agreeing]) is failing
    assert worst([silent, near, lost]) is lost
    assert worst([silent, silent]) is silent


def groups_of(model: nn.Module, inputs: Tensor, targets: Tensor, size: int = 2) -> list[Objective]:
    return [
        Objective(model, "cross_entropy", x, t, precision="fp64", plan=Plan(size, False))
        for x, t in zip(inputs.split(size), targets.split(size), strict=True)
    ]


def compared(model: nn.Module, inputs: Tensor, targets: Tensor, **kind: Any) -> Comparison | str:
    """Along a random direction of all parameters, in groups of two samples."""
    parameters, buffers = split_state(model.double())
    (direction,) = random_directions(parameters, 1, **kind)
    groups = groups_of(model, inputs, targets)
    return compare_along(groups, parameters, direction, buffers, lambda samples: None)


@pytest.mark.parametrize("name", [name for name in MODEL_CASES if name != "resnet50"])
def test_curvature_of_every_net_passes_and_can_fail(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = MODEL_CASES[name]
    deep = name.startswith("resnet")
    samples = 2 if deep else 8
    given = case.inputs(samples), case.targets(samples)
    sound = compared(case.model(), *given)
    assert isinstance(sound, Comparison)
    assert sound.passed
    assert sound.quotient == pytest.approx(sound.curvature, rel=1e-5)
    if deep:
        return  # nothing new beside the other nets, and slow
    right = curvature.curvature_along
    monkeypatch.setattr(curvature, "curvature_along", lambda *given: 1.001 * right(*given))
    wrong = compared(case.model(), *given)
    assert isinstance(wrong, Comparison)
    assert not wrong.passed


def test_kinks_at_the_point_itself_do_not_count() -> None:
    """Inputs of 0 and biases of 0: every relu is at its kink, and leaves it on any direction of the biases."""
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.copy_(torch.linspace(-1, 1, value.numel()).view(value.shape) if "weight" in name else 0 * value)
    found = compared(net, torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), normalize="global")
    assert isinstance(found, Comparison)
    assert found.passed


class Rounded(nn.Module):
    """Weights rounded in the forward pass, which the backward pass does not know of (straight through)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 10).view(2, 5))

    def forward(self, x: Tensor) -> Tensor:
        rounded = self.weight + ((4 * self.weight).round() / 4 - self.weight).detach()
        return torch.tanh(x @ rounded.T)


class Once(torch.autograd.Function):
    """A square whose derivative cannot be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad * ctx.saved_tensors[0]


class DifferentiableOnce(nn.Linear):
    """A layer with that square."""

    def forward(self, x: Tensor) -> Tensor:
        return Once.apply(super().forward(x))


def test_nets_whose_curvature_says_nothing_are_told_of() -> None:
    inputs, targets = MODEL_CASES["mlp"].inputs(6)[:, :5], torch.tensor([0, 1, 0, 1, 1, 0])
    assert "not that of its loss" in str(compared(Rounded(), inputs, targets))
    assert "backward pass of its own, Once" in str(compared(DifferentiableOnce(5, 2), inputs, targets))


def test_what_was_not_checked_is_told(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossscape.certificate.curvature.compare_along", lambda *given: "it is no function")
    result.certify()
    assert content_of(result.folder)["not_checked"] == {"dᵀHd along alpha at digits@epoch-0000": "it is no function"}
    assert summary(result.folder).endswith("not checked: dᵀHd along alpha at digits@epoch-0000: it is no function")
    assert is_done(result.folder)

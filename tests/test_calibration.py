"""The choice of a plan: within its budget, kept for the next time, forced, and never of other values."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from torch import Tensor, nn

from lossscape import onednn
from lossscape.errors import BadInput
from lossscape.evaluate import Budget, Subspace, Work, calibrate, evaluate
from lossscape.evaluate.calibration import NAMES, agrees, by_rule, compiler, in_blocks
from lossscape.evaluate.rewriting import Net
from lossscape.objective import Objective, Plan, Precision
from lossscape.vectors import Params
from tests.needs import needs_packing


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path))
    return tmp_path / "plans"


def line_of(objective: Objective) -> Subspace:
    origin = dict(objective.parameters())
    return Subspace(origin, [{name: 0.1 * value for name, value in origin.items()}], objective.buffers())


def objective_of(name: str, samples: int = 200) -> Objective:
    case = MODEL_CASES[name]
    return Objective(case.model(), "cross_entropy", case.inputs(samples), case.targets(samples))


@pytest.mark.parametrize("name", ["mlp", "cnn", "shared_weights", "resnet18"])
def test_short_work_gets_its_plan_by_rule(name: str, cache: Path) -> None:
    objective = objective_of(name, 20)
    line = line_of(objective)
    found = calibrate({"data": objective}, line, 3)
    assert found.source == "rule"
    assert found.plan.name == ("factored" if name == "mlp" else "folded")
    assert found.seconds > 0
    assert not cache.exists()
    assert replace(calibrate({"data": objective}, line, 3).plan, points=1) == replace(found.plan, points=1)


@pytest.mark.cpu
@pytest.mark.parametrize(("loss", "metrics"), [("cross_entropy", None), ("cross_entropy", ("margin",)), ("mse", None)])
def test_losses_are_taken_class_by_class_where_they_may_be(loss: str, metrics: Any, cache: Path) -> None:
    case = MODEL_CASES["mlp"]
    objective = Objective(case.model(), loss, case.inputs(20), case.targets(20), metrics=metrics)
    for name in NAMES:
        plan = calibrate({"data": objective}, line_of(objective), 3, plan=name).plan
        assert plan.by_class == ((loss, metrics) == ("cross_entropy", None)), name


def test_longer_work_is_timed_within_its_share_and_kept(cache: Path) -> None:
    budget = Budget(moment=0.005, shortest=0.0)
    objective = objective_of("mlp", 5_000)
    line = line_of(objective)
    points = 60_000
    assert calibrate({"data": objective}, line, points, budget=replace(budget, shortest=math.inf)).source == "rule"
    begin = time.perf_counter()
    found = calibrate({"data": objective}, line, points, budget=budget)
    took = time.perf_counter() - begin
    assert found.source == "timed"
    assert len(found.tried) > 2
    best = min(trial["seconds"] for trial in found.tried)
    assert took < 2 * budget.share * points * found.tried[0]["seconds"] + 1.0, (took, best)
    (file,) = cache.iterdir()
    assert Plan(**json.loads(file.read_text())["plan"]) == found.plan

    again = calibrate({"data": objective}, line, points, budget=budget)
    assert (again.source, again.plan) == ("cached", found.plan)
    assert again.seconds == pytest.approx(found.seconds)
    two = Subspace(line.origin, [*line.directions, *line.directions], line.buffers)
    assert calibrate({"data": objective}, two, 1, budget=budget).source == "rule"  # of a plane nothing is known yet

    file.write_text("{torn")
    assert calibrate({"data": objective}, line, points, budget=budget).source == "timed"


def test_nothing_is_timed_beyond_the_budget() -> None:
    objective = objective_of("mlp")
    found = calibrate({"data": objective}, line_of(objective), 2, budget=Budget(shortest=0.0))
    assert len(found.tried) == 1


@pytest.mark.cpu
@pytest.mark.parametrize(("pays", "precision"), [(True, "fp32"), (True, "fp64"), (False, "fp32")])
def test_onednn_is_the_rule_and_raced_where_it_should_pay(
    pays: bool, precision: Precision, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, offered = MODEL_CASES["mlp"], pays and precision == "fp32"
    objective = Objective(case.model(), "cross_entropy", case.inputs(300), case.targets(300), precision=precision)
    monkeypatch.setattr(onednn, "pays", lambda device: pays)
    line = line_of(objective)
    budget = Budget(share=10.0, moment=0.001, compiling=1e9)
    for name in NAMES:
        plan = calibrate({"data": objective}, line, 3, plan=name, budget=budget).plan
        assert plan.onednn == (offered and name in ("folded", "factored"))
        assert ("oneDNN" in plan.words) == plan.onednn
    race = replace(budget, shortest=0.0, better=0.0)  # no plan wins: so it is the rule's that is varied
    found = calibrate({"data": objective}, line, 2_000, budget=race)
    tried = {(trial["name"], trial["onednn"]) for trial in found.tried}
    assert any(onednn for _, onednn in tried) == offered
    assert not tried & {("dense", True), ("stacked", True)}
    assert any(not onednn for name, onednn in tried if name == "factored")
    assert calibrate({"data": objective}, line, 2_000, budget=race).source == "cached"
    if offered:  # what was found where it was not offered does not stand in its way
        monkeypatch.setattr(onednn, "pays", lambda device: False)
        assert calibrate({"data": objective}, line, 2_000, budget=race).source == "timed"


@pytest.mark.cpu
@needs_packing
@pytest.mark.parametrize(("pays", "samples", "rule"), [(True, 40, True), (True, 20, False), (False, 40, False)])
def test_weights_are_packed_by_rule_for_several_chunks_and_raced(
    pays: bool, samples: int, rule: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = MODEL_CASES["cnn"]
    monkeypatch.setattr(onednn, "pays", lambda device: pays)
    inputs, targets = case.inputs(samples), case.targets(samples)
    objective = Objective(case.model(), "cross_entropy", inputs, targets, plan=Plan(8, channels_last=True))
    budget = Budget(share=10.0, shortest=0.0, moment=0.001, compiling=1e9, better=0.0)
    found = calibrate({"data": objective}, line_of(objective), 2_000, budget=budget)
    assert found.plan.packed == rule
    assert ("packed" in found.plan.words) == rule
    assert {(trial["name"], trial["channels_last"]) for trial in found.tried if trial["packed"]} >= {("folded", True)}
    assert {(trial["name"], trial["packed"]) for trial in found.tried} >= {("folded", False), ("folded", True)}
    assert not any(trial["packed"] and not trial["channels_last"] for trial in found.tried)


@pytest.mark.cpu
@pytest.mark.parametrize(("pays", "channels_last"), [(True, True), (False, True), (True, False)])
def test_convolutions_are_products_of_matrices_by_rule_and_raced(
    pays: bool, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onednn, "pays", lambda device: pays)
    pixels = ModelCase(
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 5, 1), nn.Flatten()), (3, 3, 3), 5
    )
    for case, offered in ((pixels, channels_last), (MODEL_CASES["cnn"], False)):
        objective = Objective(case.model(), "cross_entropy", case.inputs(16), case.targets(16), plan=Plan(8, True))
        objective.habits = objective.habits._replace(channels_last=channels_last)
        budget = Budget(share=10.0, shortest=0.0, moment=0.001, compiling=1e9, better=0.0)
        found = calibrate({"data": objective}, line_of(objective), 2_000, budget=budget)
        assert found.plan.lowered == ("products of matrices" in found.plan.words) == offered
        tried = {(trial["lowered"], trial["channels_last"]) for trial in found.tried}
        assert {lowered for lowered, _ in tried} == ({False, True} if offered else {False})
        assert (True, False) not in tried


class Viewed(nn.Module):
    """Views what a convolution gives as rows, which fits the layout that torch gives a kernel of one pixel here."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.point = nn.Linear(6, 16), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.point(torch.relu(self.first(x)).view(-1, 4, 2, 2)).view(-1, 12)


@pytest.mark.cpu
def test_a_net_that_wants_torchs_own_convolutions_keeps_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "pays", lambda device: True)
    case = ModelCase(Viewed, (6,), 12)
    objective = Objective(case.model(), "cross_entropy", case.inputs(40), case.targets(40), plan=Plan(8, True))
    work = Work({"data": objective}, line_of(objective))
    assert by_rule(work, ["folded"]).lowered
    found = calibrate(work.objectives, work.subspace, 3, plan="folded")
    assert (found.plan.name, found.plan.channels_last, found.plan.lowered) == ("folded", True, False)


def test_what_a_point_takes_beside_its_samples_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    case, made = MODEL_CASES["cnn"], Net.values

    def slowly(net: Net, given: Params) -> Params:
        time.sleep(0.03)
        return made(net, given)

    monkeypatch.setattr(Net, "values", slowly)
    inputs, targets = case.inputs(320), case.targets(320)
    objective = Objective(case.model(), "cross_entropy", inputs, targets, plan=Plan(4, channels_last=True))
    found = calibrate({"data": objective}, line_of(objective), 1, plan="folded", budget=Budget(moment=0.001))
    assert 0.03 <= found.seconds < 0.5 * 80 * 0.03  # of 80 chunks, the first of which is timed


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_can_be_forced(name: str) -> None:
    objective = objective_of("mlp")
    found = calibrate({"data": objective}, line_of(objective), 3, plan=name)
    assert (found.plan.name, found.source) == (name, "asked for")


def test_a_forced_plan_that_is_not_possible() -> None:
    objective = objective_of("branches", 8)
    with pytest.raises(BadInput, match="--plan factored: no single affine layer sees the inputs; leave it out"):
        calibrate({"data": objective}, line_of(objective), 3, plan="factored")
    with pytest.raises(BadInput, match=r"'dens' is not known \(did you mean 'dense'"):
        calibrate({"data": objective}, line_of(objective), 3, plan="dens")


def test_an_interruption_is_noticed() -> None:
    objective = objective_of("mlp")

    def stop(amount: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate({"data": objective}, line_of(objective), 3, done=stop)


class Remembers(nn.Module):
    """A forward that gives something else at every call, so that no two plans agree."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(12, 12), nn.Linear(12, 5)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.out(torch.relu(self.inner(x))) * self.calls


def test_a_rewritten_net_that_gives_other_values_is_not_used() -> None:
    case = MODEL_CASES["mlp"]
    objective = Objective(Remembers(), "cross_entropy", case.inputs(40), case.targets(40))
    line = line_of(objective)
    work = Work({"data": objective}, line)
    objective.metrics()
    objective.metrics()
    assert not agrees(work, by_rule(work, ["folded"]))
    assert calibrate({"data": objective}, line, 3).plan.name == "dense"
    with pytest.raises(BadInput, match="--plan folded: gives other losses than plain forward passes"):
        calibrate({"data": objective}, line, 3, plan="folded")


def test_blocks_are_short() -> None:
    objective = objective_of("mlp")
    long = in_blocks(by_rule(Work({"data": objective}, line_of(objective)), ["factored"]), 0.2)
    assert long.points == 2
    stacked = Plan(8, channels_last=False, name="stacked", points=32)
    assert in_blocks(stacked, 0.1).points == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", [nn.GELU, nn.ReLU])
def test_compiled_forward_passes_give_the_same(kind: Callable[[], nn.Module]) -> None:
    if not compiler(torch.device("cpu")):
        pytest.skip("no C++ compiler on this machine")
    model = nn.Sequential(nn.Linear(12, 6), kind(), nn.Linear(6, 5))
    case = MODEL_CASES["mlp"]
    objective = Objective(model, "cross_entropy", case.inputs(11), case.targets(11))
    line = line_of(objective)
    points = [(0.0,), (0.5,), (-1.0,)]
    dense = [values["data_loss"] for _, values in evaluate({"data": objective}, line, points)]
    plan = Plan(4, channels_last=False, name="factored", points=3, compiled=True)
    found = [values["data_loss"] for _, values in evaluate({"data": objective}, line, points, plan=plan)]
    assert found == pytest.approx(dense, rel=1e-5)

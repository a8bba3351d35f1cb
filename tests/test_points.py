"""Which points are evaluated, in which order, on which samples: grids, refinement, ranges, subsets."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossscape.analyses.landscape.ranges import FLOOR, LARGEST, find_range
from lossscape.errors import BadInput
from lossscape.estimates import stratified
from lossscape.evaluate import Outputs, Subspace, Work, grid_points, line_points, table
from lossscape.evaluate.calibration import NAMES
from lossscape.evaluate.engine import blocks_of
from lossscape.evaluate.order import coarse_to_fine
from lossscape.evaluate.refine import ROUNDS, refined
from lossscape.evaluate.sampling import stratified_sample
from lossscape.evaluate.subspace import Coordinates
from lossscape.objective import Objective, Plan, PlanName

# --- the order of a grid --------------------------------------------------------------------------------------


@given(st.integers(2, 24), st.integers(2, 24))
@settings(max_examples=40, deadline=None)
def test_the_order_is_of_all_points_and_a_function_of_them(nx: int, ny: int) -> None:
    grid = grid_points((nx, ny), (-1, 1), (-2, 3))
    order = list(coarse_to_fine(grid))
    assert sorted(order) == sorted(grid)
    assert list(coarse_to_fine(grid[::-1])) == order
    assert set(order[:4]) >= {(-1, -2), (1, 3)}  # the corners first


def test_the_whole_picture_comes_early() -> None:
    order = list(coarse_to_fine(grid_points((65, 65), (0, 64), (0, 64))))
    for share, spacing in ((16, 4), (4, 2)):
        lattice = {(float(x), float(y)) for x in range(0, 65, spacing) for y in range(0, 65, spacing)}
        assert set(order[: len(lattice)]) == lattice
        assert len(lattice) < 1.15 * len(order) / share


# --- refinement -----------------------------------------------------------------------------------------------


def spent(
    grid: list[Coordinates], budget: int, loss: Callable[[Coordinates], float]
) -> tuple[list[Coordinates], dict[Coordinates, float]]:
    """The points beyond the grid, in their order, and all losses."""
    more, known, extra, rounds = refined(grid, budget), {}, [], 0
    while points := more(known):
        assert not set(points) & set(known)
        known |= {point: loss(point) for point in points}
        extra += points if rounds else []
        rounds += 1
    assert rounds <= ROUNDS + 2 + budget // 4
    return extra, known


def test_points_go_where_a_surface_bends() -> None:
    grid = grid_points((15, 15), (-1, 1), (-1, 1))
    extra, known = spent(grid, 100, lambda point: abs(point[0] - 0.2))
    assert len(extra) == 100
    assert len(known) == 325
    away = [abs(x - 0.2) for x, _ in extra]
    assert np.mean(np.array(away) < 2 / 14) > 0.8
    assert spent(grid, 100, lambda point: abs(point[0] - 0.2))[0] == extra  # the same every time


def test_points_go_where_a_line_bends() -> None:
    extra, _ = spent(line_points(21, -1, 1), 12, lambda point: max(point[0], 0.33))
    assert min(abs(x - 0.33) for (x,) in extra) < 0.01


def test_a_surface_that_does_not_bend_needs_nothing() -> None:
    assert spent(grid_points((5, 5), (-1, 1), (-1, 1)), 40, lambda point: 2.0)[0] == []


@pytest.mark.parametrize("odd", [math.inf, math.nan, -3.0, 0.0])
def test_any_loss_can_be_refined(odd: float) -> None:
    extra, known = spent(grid_points((7, 7), (-1, 1), (-1, 1)), 30, lambda p: odd if p[0] > 0.5 else p[1] ** 2)
    assert len(extra) == 30
    assert len(known) == 79
    assert all(-1 <= value <= 1 for point in extra for value in point)


# --- ranges ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [0.0, 1e-9, 0.5])
@pytest.mark.parametrize("factor", [1.5, 10.0])
def test_the_loss_rises_by_the_factor_on_every_side(centre: float, factor: float) -> None:
    curvatures = [(0.3, 5.0), (40.0, 900.0)]  # of both sides of x and y

    def loss(point: Coordinates) -> float:
        return centre + sum(curvatures[axis][value > 0] * value**2 for axis, value in enumerate(point))

    found = find_range(loss, 2, factor, blind=2.3)
    level = factor * max(centre, FLOOR * 2.3)
    assert found.level == level
    for axis, reach in enumerate(found.reach):
        for sign in (-1, 1):
            point = [0.0, 0.0]
            point[axis] = sign * reach
            assert loss(tuple(point)) >= level
        nearest = math.sqrt((level - centre) / min(curvatures[axis]))
        assert nearest <= reach < 1.2 * nearest
    assert found.probes < 80


def test_a_loss_that_is_not_finite_has_risen() -> None:
    found = find_range(lambda point: math.nan if abs(point[0]) > 0.25 else 1.0, 1, 2.0, blind=1.0)
    assert 0.25 < found.reach[0] < 0.3


def test_a_side_that_falls_again_is_passed() -> None:
    def loss(point: Coordinates) -> float:
        x = point[0]
        return 1.0 + (3.0 if 0.2 < x < 0.4 or x > 1.0 or x < -0.7 else 0.0)

    reach = find_range(loss, 1, 2.0, blind=1.0).reach[0]
    assert loss((reach,)) >= 2.0
    assert loss((-reach,)) >= 2.0


def test_ranges_that_are_not_there() -> None:
    with pytest.raises(BadInput, match=f"does not reach 10 within a distance of {LARGEST:g}"):
        find_range(lambda point: 1.0, 2, 10.0, blind=1.0)
    with pytest.raises(BadInput, match="at the centre is nan"):
        find_range(lambda point: math.nan, 2, 10.0, blind=1.0)
    for factor in (1.0, math.inf, math.nan, -2.0):
        with pytest.raises(BadInput, match="above 1"):
            find_range(lambda point: 1.0, 2, factor, blind=1.0)


# --- subsets --------------------------------------------------------------------------------------------------


def test_a_subset_has_the_classes_in_their_shares() -> None:
    targets = torch.tensor([0] * 600 + [1] * 300 + [2] * 99 + [3])[torch.randperm(1000)]
    sample = stratified_sample(targets, 100)
    assert torch.equal(stratified_sample(targets, 100).indices, sample.indices)
    assert not torch.equal(stratified_sample(targets, 100, seed=1).indices, sample.indices)
    drawn = torch.bincount(targets[sample.indices], minlength=4).tolist()
    assert drawn == [60, 30, 10, 0]
    assert sorted(sample.sizes.tolist()) == [100, 300, 600]  # the class of one sample goes with the next smallest
    assert int(torch.bincount(sample.strata).min()) >= 2
    assert len(sample.indices.unique()) == 100
    for number in (1, 1001):
        with pytest.raises(BadInput, match="give 2 to 1,000"):
            stratified_sample(targets, number)


def test_standard_errors_are_those_of_many_subsets() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 4, (2000,), generator=generator)
    values = targets * 2.0 + torch.rand(2000, generator=generator, dtype=torch.float64)
    estimates = []
    for seed in range(300):
        sample = stratified_sample(targets, 100, seed)
        estimates.append(stratified(values[sample.indices], sample))
    means, errors = np.array(estimates).T
    assert means.mean() == pytest.approx(float(values.mean()), abs=4 * errors.mean() / 300**0.5)
    assert means.std() == pytest.approx(errors.mean(), rel=0.15)
    assert errors.mean() < 0.2 * float(values.std()) / 10  # the classes explain most of the spread


def test_a_subset_of_all_samples_has_no_error() -> None:
    targets = torch.arange(30) % 3
    sample = stratified_sample(targets, 30)
    mean, error = stratified(torch.arange(30, dtype=torch.float64), sample)
    assert (mean, error) == (pytest.approx(14.5), 0.0)


def test_differences_to_the_reference_are_more_certain() -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(400, 6), torch.randint(0, 3, (400,))
    sample = stratified_sample(targets, 60)
    objective = Objective(
        torch.nn.Linear(6, 3), "cross_entropy", inputs[sample.indices], targets[sample.indices]
    ).under(sample=sample)
    errors = ("", "_stderr", "_difference_stderr")
    assert objective.columns == tuple(f"{name}{error}" for error in errors for name in ("loss", "accuracy"))
    near = {name: 1.01 * value for name, value in objective.parameters().items()}
    losses = objective.per_sample(objective.outputs(), objective.targets)
    moved = objective.per_sample(objective.outputs(near), objective.targets)
    here, there = objective.means(losses, losses), objective.means(moved, losses)
    assert here["loss_difference_stderr"] == 0
    assert 0 < there["loss_difference_stderr"] < 0.05 * there["loss_stderr"]
    for factor in (1.01, 2.0):  # the origin of each subspace is its own reference
        start = {name: factor * value for name, value in objective.parameters().items()}
        rows = table(objective, Subspace(start, [start]), [(0.0,), (0.5,)])
        assert rows["loss_difference_stderr"][0] == 0
        assert rows["loss_difference_stderr"][1] > 0
    whole = Objective(torch.nn.Linear(6, 3), "cross_entropy", inputs, targets)
    assert tuple(whole.metrics()) == whole.columns == ("loss", "accuracy")


@pytest.mark.parametrize("plan", NAMES)
def test_other_targets_take_the_outputs_that_are_known(plan: PlanName, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)).double()
    inputs = torch.randn(40, 6, generator=generator)
    labels, others = (torch.randint(3, (40,), generator=generator) for _ in range(2))
    first, second = (Objective(model, "cross_entropy", inputs, t, precision="fp64") for t in (labels, others))
    origin = first.parameters()
    subspace = Subspace(origin, [{name: torch.ones_like(value) for name, value in origin.items()}])
    points = [(0.1 * step,) for step in range(5)]
    how = Plan(16, channels_last=False, name=plan, points=4)
    outputs = Outputs()
    for block in blocks_of(points, how):
        Work({"train": first}, subspace, outputs=outputs).rows(block, how)
    expected = [v for block in blocks_of(points, how) for v in Work({"train": second}, subspace).rows(block, how)]
    assert len(outputs.kept) == len(points)
    monkeypatch.setattr("lossscape.evaluate.plans.Network.__call__", None)  # no forward pass
    counted: list[int] = []
    shared = Work({"train": second}, subspace, outputs=outputs)
    found = [v for block in blocks_of(points, how) for v in shared.rows(block, how, counted.append)]
    assert found == expected
    assert sum(counted) == 5 * 40


def test_outputs_are_kept_while_there_is_room() -> None:
    outputs, plan = Outputs(room=100), Plan(4, channels_last=False)
    for point in range(5):
        outputs.keep(plan, (float(point),), {"train": torch.zeros(5, 2)})  # 40 bytes
    assert list(outputs.kept) == [(plan, (0.0,)), (plan, (1.0,))]

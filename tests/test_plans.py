"""Every plan against dense evaluation, over the shared table of models."""

from dataclasses import replace

import pytest
import torch
from cases_models import MODEL_CASES, ModelCase

from lossscape.directions import between
from lossscape.evaluate import Subspace, evaluate
from lossscape.evaluate.plans import KEPT_BYTES, first_layer, plan_for
from lossscape.objective import Objective
from lossscape.vectors import Params

POINTS = [(0.0, 0.0), (0.3, -0.7), (-1.0, 1.0)]
FACTORED = {
    "mlp", "mlp_of_pictures", "mlp_no_bias", "mlp_dropout", "mlp_batch_norm_prelu", "mlp_sigmoid",
}  # fmt: skip


def objective_of(case: ModelCase, precision: str) -> Objective:
    return Objective(case.model(), "cross_entropy", case.inputs(11), case.targets(11), precision=precision)


def plane_of(objective: Objective) -> Subspace:
    origin: Params = {name: value.clone() for name, value in objective.parameters().items()}
    generator = torch.Generator().manual_seed(3)
    directions = [
        {name: 0.1 * torch.randn(value.shape, generator=generator) for name, value in origin.items()}
        for _ in "xy"
    ]
    directions[0] = between(origin, directions[0])  # one of them in float64, as on a line between checkpoints
    return Subspace(origin, directions, dict(objective.buffers()))


@pytest.mark.parametrize(("name", "case"), MODEL_CASES.items(), ids=MODEL_CASES.keys())
def test_the_chosen_plan_equals_dense(name: str, case: ModelCase) -> None:
    for precision, tolerance in (("fp64", 1e-10), ("fp32", 1e-5)):
        objective = objective_of(case, precision)
        plane = plane_of(objective)
        dense = list(evaluate({"data": objective}, plane, POINTS))
        objective.plan = replace(plan_for(objective, plane, 11), chunk=4)
        assert (objective.plan.name == "factored") == (name in FACTORED)
        counted: list[int] = []
        for (point, found), (_, expected) in zip(
            evaluate({"data": objective}, plane, POINTS, done=counted.append), dense, strict=True
        ):
            assert found["data"].loss == pytest.approx(expected["data"].loss, rel=tolerance, abs=1e-9), point
        assert sum(counted) == 11 * len(POINTS)


def test_a_layer_that_is_used_elsewhere_is_not_factored() -> None:
    layer = torch.nn.Linear(4, 4)
    assert first_layer(torch.nn.Sequential(layer, torch.nn.ReLU(), layer)) is None
    assert first_layer(torch.nn.Sequential(torch.nn.Linear(4, 4))) is None
    assert first_layer(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())) is not None


def test_small_differences_of_large_numbers_are_not_factored() -> None:
    case = MODEL_CASES["mlp"]
    objective = objective_of(case, "fp32")
    far = {name: 1000 * value for name, value in objective.parameters().items()}
    back = Subspace(far, [between(far, dict(objective.parameters()))])
    assert plan_for(objective, back, 11).name == "dense"
    assert plan_for(objective, plane_of(objective), 11).name == "factored"


def test_flatten_that_is_understood() -> None:
    model = torch.nn.Sequential(
        torch.nn.Flatten(1, 2), torch.nn.Linear(3, 4), torch.nn.Flatten(), torch.nn.Linear(24, 2)
    )
    objective = Objective(model, "cross_entropy", torch.randn(5, 2, 3, 3), torch.zeros(5, dtype=torch.int64))
    assert plan_for(objective, Subspace(objective.parameters(), []), 5).name == "dense"


def test_products_that_do_not_fit_are_not_kept() -> None:
    objective = objective_of(MODEL_CASES["mlp"], "fp32")
    fits = KEPT_BYTES // (4 * 3 * 10)
    assert plan_for(objective, plane_of(objective), fits).name == "factored"
    assert plan_for(objective, plane_of(objective), fits + 1).name == "dense"
    half = Objective(
        MODEL_CASES["mlp"].model(), "cross_entropy", objective.inputs, objective.targets, precision="bf16"
    )
    assert plan_for(half, plane_of(half), 11).name == "dense"

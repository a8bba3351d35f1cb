"""Gradient and Hessian-vector product against explicit float64 Hessians, differences, and what they must not touch."""

import copy

import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lossscape.derivatives import curvature_along, gradient, hessian_product
from lossscape.objective import Objective, Plan
from lossscape.vectors import Params, combine, dot, norm, scale, subtract

SMALL = {name: case for name, case in MODEL_CASES.items() if not name.startswith("resnet")}


def objective_of(case: ModelCase, samples: int = 7, precision: str = "fp64", chunk: int = 3) -> Objective:
    return Objective(
        case.model(), "cross_entropy", case.inputs(samples), case.targets(samples),
        precision=precision, plan=Plan(chunk, channels_last=True),
    )  # fmt: skip


def vector_like(parameters: Params, seed: int) -> Params:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=generator, dtype=torch.float64) for name, value in parameters.items()
    }


def flat(values: Params) -> Tensor:
    return torch.cat([value.double().flatten() for value in values.values()])


def explicit(objective: Objective, values: Params | None = None) -> tuple[Tensor, Tensor]:
    """∇L [n] and the Hessian [n, n] of the mean loss over all samples at once, of flattened parameters.

    values: of the parameters; by default the model's own.
    """
    values = objective.parameters() if values is None else values
    sizes = [value.numel() for value in values.values()]

    def loss(vector: Tensor) -> Tensor:
        parts = zip(values.items(), vector.split(sizes), strict=True)
        point = {name: part.view(value.shape) for (name, value), part in parts}
        outputs = torch.func.functional_call(objective.model, point, (objective.inputs.double(),))
        return nn.functional.cross_entropy(outputs, objective.targets)

    point = flat(values)
    return torch.func.grad(loss)(point), torch.func.jacrev(torch.func.grad(loss))(point)


@pytest.mark.parametrize("name", SMALL)
def test_against_the_explicit_hessian(name: str) -> None:
    objective = objective_of(MODEL_CASES[name])
    slope, hessian = explicit(objective)
    parameters = objective.parameters()
    vector = vector_like(parameters, 3)
    found = flat(gradient(objective, parameters))
    assert float((found - slope).norm()) <= 1e-12 * max(float(slope.norm()), 1)
    product = flat(hessian_product(objective, parameters, vector))
    expected = hessian @ flat(vector)
    assert float((product - expected).norm()) <= 1e-11 * float(expected.norm())
    assert curvature_along(objective, parameters, vector) == pytest.approx(float(flat(vector) @ expected), rel=1e-10)


@pytest.mark.parametrize("name", ["resnet18_no_shortcuts", "resnet50"])
def test_against_differences_of_the_gradient_of_a_deep_net(name: str) -> None:
    objective = objective_of(MODEL_CASES[name], samples=2, chunk=1)
    parameters = objective.parameters()
    vector = vector_like(parameters, 3)
    step = 1e-8 * norm(parameters) / norm(vector)
    ahead, behind = (gradient(objective, combine(parameters, [vector], [h])) for h in (step, -step))
    quotient = scale(subtract(ahead, behind), 1 / (2 * step))
    product = hessian_product(objective, parameters, vector)
    assert norm(subtract(quotient, product)) <= 1e-5 * norm(product)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.2)])
def test_in_the_precision_of_the_objective(precision: str, tolerance: float) -> None:
    for name in ("mlp", "cnn_max_batch_norm_dropout", "shared_weights"):
        case = MODEL_CASES[name]
        exact, rough = objective_of(case), objective_of(case, precision=precision)
        vector = vector_like(exact.parameters(), 5)
        slopes = [gradient(objective, objective.parameters()) for objective in (exact, rough)]
        products = [hessian_product(each, each.parameters(), vector) for each in (exact, rough)]
        for truth, found in (slopes, products):
            assert all(value.dtype == torch.float64 for value in found.values())
            assert 0 < norm(subtract(found, truth)) < tolerance * norm(truth)


@pytest.mark.parametrize("name", ["mlp_batch_norm_prelu", "cnn_max_batch_norm_dropout", "used_twice"])
def test_chunks_do_not_matter_and_are_counted(name: str) -> None:
    whole, parts = (objective_of(MODEL_CASES[name], chunk=chunk) for chunk in (7, 2))
    parameters = whole.parameters()
    vector = vector_like(parameters, 1)
    counted: list[int] = []
    found = hessian_product(parts, parameters, vector, done=counted.append)
    assert counted == [2, 2, 2, 1]
    assert norm(subtract(found, hessian_product(whole, parameters, vector))) <= 1e-12 * norm(found)
    counted.clear()
    found = gradient(parts, parameters, done=counted.append)
    assert counted == [2, 2, 2, 1]
    assert norm(subtract(found, gradient(whole, parameters))) <= 1e-12 * norm(found)


SYMMETRY = objective_of(MODEL_CASES["mlp"])


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(-10, 10), st.floats(-10, 10))
@settings(max_examples=40)
def test_the_product_is_symmetric_and_linear(first: int, second: int, a: float, b: float) -> None:
    parameters = SYMMETRY.parameters()
    u, v = vector_like(parameters, first), vector_like(parameters, second)
    hu, hv = (hessian_product(SYMMETRY, parameters, vector) for vector in (u, v))
    assert dot(u, hv) == pytest.approx(dot(v, hu), rel=1e-9, abs=1e-10)
    mixed = hessian_product(SYMMETRY, parameters, combine(scale(u, a), [v], [b]))
    expected = combine(scale(hu, a), [hv], [b])
    assert norm(subtract(mixed, expected)) <= 1e-12 * (1 + abs(a) + abs(b)) * (norm(hu) + norm(hv))


def test_buffers_are_those_that_are_given() -> None:
    case = MODEL_CASES["mlp_batch_norm_prelu"]
    objective = objective_of(case)
    buffers = {name: 2 * value if value.is_floating_point() else value for name, value in objective.buffers().items()}
    other = case.model()
    for name, value in other.named_buffers():
        value.copy_(buffers[name])
    same = Objective(other, "cross_entropy", objective.inputs, objective.targets, precision="fp64")
    found = gradient(objective, objective.parameters(), buffers)
    assert norm(subtract(found, gradient(same, same.parameters()))) <= 1e-12 * norm(found)
    assert norm(subtract(found, gradient(objective, objective.parameters()))) > 1e-3 * norm(found)


def test_nothing_is_changed_and_no_gradient_is_left() -> None:
    for name in ("own_buffers", "mlp_batch_norm_prelu", "mlp_dropout"):
        objective = objective_of(MODEL_CASES[name])
        parameters = {key: value.clone() for key, value in objective.parameters().items()}
        before = copy.deepcopy([parameters, objective.model.state_dict()])
        hessian_product(objective, parameters, vector_like(parameters, 0))
        for old, now in zip(before, [parameters, objective.model.state_dict()], strict=True):
            assert all(torch.equal(old[key], now[key]) for key in old)
        assert not any(value.requires_grad or value.grad is not None for value in parameters.values())
        assert not objective.model.training
        assert torch.is_grad_enabled()


class Linear(nn.Module):
    """Outputs that are linear in one parameter, beside one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.slope).sum(1, keepdim=True)


def test_parameters_that_do_not_matter_and_losses_without_curvature() -> None:
    inputs = torch.arange(6.0).reshape(2, 3)
    objective = Objective(Linear(), lambda z, t: z[:, 0], inputs, torch.zeros(2, dtype=torch.int64), precision="fp64")
    parameters = objective.parameters()
    assert gradient(objective, parameters)["slope"].tolist() == [1.5, 2.5, 3.5]
    assert gradient(objective, parameters)["unused"].tolist() == [0, 0]
    assert norm(hessian_product(objective, parameters, {"slope": torch.ones(3)})) == 0
    constant = Objective(Linear(), lambda z, t: t.double(), inputs, torch.ones(2, dtype=torch.int64))
    assert norm(gradient(constant, constant.parameters())) == 0
    assert norm(hessian_product(constant, constant.parameters(), {})) == 0


class Attention(nn.Module):
    """One attention layer over a sequence of tokens, by the function whose fast forms have one derivative only."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.mix, self.out = nn.Embedding(9, 8), nn.Linear(8, 24), nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.mix(self.embedding(tokens)).reshape(*tokens.shape, 3, 2, 4).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(seen.transpose(1, 2).flatten(2).mean(1))


def test_attention_has_second_derivatives() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Attention()
    tokens = torch.arange(12).reshape(3, 4) % 9
    objective = Objective(net, "cross_entropy", tokens, torch.arange(3), precision="fp64")
    parameters = objective.parameters()
    vector = vector_like(parameters, 2)
    step = 1e-6
    ahead, behind = (gradient(objective, combine(parameters, [vector], [h])) for h in (step, -step))
    product = hessian_product(objective, parameters, vector)
    quotient = scale(subtract(ahead, behind), 1 / (2 * step))
    assert norm(subtract(quotient, product)) <= 1e-6 * norm(product)

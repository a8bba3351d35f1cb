"""Eigenvalues, trace, density and index against matrices of known spectrum and explicit float64 Hessians of nets."""

import math

import numpy as np
import pytest
import torch
from cases_models import MODEL_CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_derivatives import explicit as hessian_of
from test_derivatives import objective_of
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lossscape.objective import Objective, Plan
from lossscape.seeds import generator
from lossscape.spectra import Hessian, density, eigenpairs, explicit, trace
from lossscape.spectra.krylov import fitting
from lossscape.spectra.points import Index, kind_of, least_index, newton_gain, newton_step

FLOAT64 = torch.float64


def symmetric(values: Tensor, seed: int = 0) -> Tensor:
    """A matrix with these eigenvalues, in float64."""
    generator = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(len(values), len(values), dtype=FLOAT64, generator=generator))
    return (basis * values.double()) @ basis.T


SPECTRA = {
    "line": torch.linspace(-1, 2, 150),
    "outliers": torch.cat([10 * 0.7 ** torch.arange(12.0), torch.linspace(-2e-3, 2e-3, 138)]),
    "repeated": torch.cat(
        [torch.tensor([5.0, 5, 5, 4, 4, 3]), torch.linspace(-0.1, 0.1, 142), torch.tensor([-1.0, -1])]
    ),
    "clustered": torch.cat([1 + 1e-7 * torch.arange(8.0, dtype=FLOAT64), torch.linspace(0, 0.2, 142)]),
    "negative": -torch.linspace(1, 3, 150),
    "rank three": torch.cat([torch.tensor([3.0, 2, 1]), torch.zeros(147)]),
    "zero": torch.zeros(150),
    "identity": torch.ones(150),
    "one number": torch.tensor([-2.0]),
    "few": torch.tensor([1.0, -1, 0, 2, 2]),
}


@pytest.mark.parametrize("basis", [None, 24], ids=["room", "restarts"])
@pytest.mark.parametrize("name", SPECTRA)
def test_extreme_eigenvalues_of_a_known_spectrum(name: str, basis: int | None) -> None:
    matrix = symmetric(SPECTRA[name])
    n = len(matrix)
    found = eigenpairs(matrix.__matmul__, matrix[0], 8, 3, basis=basis, products=3_000, tolerance=1e-8)
    ordered = SPECTRA[name].double().sort(descending=True).values
    expected = ordered if n <= 11 else torch.cat([ordered[:8], ordered[-3:]])
    size = float(expected.abs().max())
    assert found.converged.all()
    assert torch.allclose(found.values, expected, rtol=1e-8, atol=1e-10 * size)
    truth = (matrix @ found.vectors - found.vectors * found.values).norm(dim=0)
    assert (truth <= found.residuals + 1e-10 * size).all()
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(len(expected), dtype=FLOAT64), atol=1e-10)


def test_a_basis_is_as_long_as_memory_allows_and_restarts_in_pieces() -> None:
    like = torch.zeros(2**20 + 100)
    assert fitting(like) == 2**32 // (4 * len(like)) - 1 > fitting(like.double())
    assert fitting(like, 10 * 4 * len(like)) == 9
    values = torch.linspace(0, 1, len(like))
    values[-3:] = torch.tensor([5.0, 9.0, 7.0])
    found = eigenpairs(lambda v: values * v, like, 2, basis=6, products=60)
    assert found.converged.all()
    assert found.values.tolist() == pytest.approx([9, 7], rel=1e-5)
    assert (found.vectors.T.abs().argmax(1) == torch.tensor([len(like) - 2, len(like) - 1])).all()


def test_few_products_are_said_not_to_do() -> None:
    matrix = symmetric(SPECTRA["line"])
    found = eigenpairs(matrix.__matmul__, matrix[0], 4, products=12)
    assert found.products == 12
    assert not found.converged.all()
    truth = (matrix @ found.vectors - found.vectors * found.values).norm(dim=0)
    assert torch.allclose(truth, found.residuals, rtol=1e-6)


@pytest.mark.parametrize(
    ("largest", "smallest", "basis", "reason"),
    [(0, 0, None, "ask for one"), (-1, 2, None, "ask for one"), (5, 0, 6, "need 7 at least")],
)
def test_what_cannot_be_asked_for(largest: int, smallest: int, basis: int | None, reason: str) -> None:
    matrix = symmetric(SPECTRA["line"])
    with pytest.raises(ValueError, match=reason):
        eigenpairs(matrix.__matmul__, matrix[0], largest, smallest, basis=basis)


def test_a_product_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(FloatingPointError):
        eigenpairs(lambda v: v * math.nan, torch.zeros(20), 2)


@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(1, 5))
@settings(max_examples=20)
def test_any_small_matrix(seed: int, n: int, repeats: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(-(-n // repeats), dtype=FLOAT64, generator=generator).repeat_interleave(repeats)[:n]
    matrix = symmetric(values, seed)
    found = eigenpairs(matrix.__matmul__, matrix[0], 3, 2, products=2_000)
    ordered = values.sort(descending=True).values
    largest = min(3, n)
    expected = torch.cat([ordered[:largest], ordered[n - min(2, n - largest) :]])
    assert torch.allclose(found.values, expected, atol=1e-6 * float(values.abs().max()))


CASES = ["mlp", "mlp_batch_norm_prelu", "cnn_max_batch_norm_dropout", "shared_weights"]


@pytest.mark.parametrize("kept", ["all", "some", "none"])
@pytest.mark.parametrize("name", CASES)
def test_product_and_gradient_against_the_explicit_hessian(name: str, kept: str) -> None:
    objective = objective_of(MODEL_CASES[name], samples=7, chunk=3)  # the last chunk has one sample
    slope, matrix = hessian_of(objective)
    each = Hessian(objective).bytes_per_sample()
    operator = Hessian(objective, memory={"all": 2**31, "some": 4 * each, "none": 0}[kept])
    assert operator.kept == {"all": 7, "some": 3, "none": 0}[kept]
    vectors = torch.randn(operator.n, 2, dtype=FLOAT64, generator=torch.Generator().manual_seed(1))
    expected = matrix @ vectors
    for _ in range(2):  # a kept graph can be used again
        assert float((operator @ vectors - expected).norm()) <= 1e-10 * float(expected.norm())
    assert float((operator.gradient() - slope).norm()) <= 1e-10 * float(slope.norm())


@pytest.mark.parametrize("name", CASES)
def test_eigenvalues_index_and_density_of_a_net(name: str) -> None:
    objective = objective_of(MODEL_CASES[name], samples=5, chunk=5)
    _, matrix = hessian_of(objective)
    truth = torch.linalg.eigvalsh(matrix)
    operator = Hessian(objective)
    like = torch.zeros(operator.n, dtype=FLOAT64)
    found = eigenpairs(operator.__matmul__, like, 4, 2, tolerance=1e-7)
    expected = torch.cat([truth.flip(0)[:4], truth.flip(0)[-2:]])
    assert torch.allclose(found.values, expected, rtol=1e-6, atol=1e-9 * float(truth.abs().max()))
    every = explicit(operator.__matmul__, operator.n, like)
    assert torch.allclose(every.values, truth, atol=1e-10 * float(truth.abs().max()))
    assert every.negative == int((truth < -every.tolerance).sum()) > 0
    seen = density(operator.__matmul__, like, vectors=4, steps=12)
    for power in (1, 2, 3):
        each = [float(_unit(operator.n, index) @ _power(matrix, power, _unit(operator.n, index))) for index in range(4)]
        moment = seen.moment(power)
        assert moment.value == pytest.approx(np.mean(each), rel=1e-8)
        assert moment.stderr == pytest.approx(np.std(each, ddof=1) / 2, rel=1e-6)


def _unit(n: int, index: int) -> Tensor:
    """The random vectors of `density`, drawn again."""
    drawn = torch.randn(n, generator=generator(0, "density", index), dtype=FLOAT64)
    return drawn / drawn.norm()


def _power(matrix: Tensor, power: int, vector: Tensor) -> Tensor:
    for _ in range(power):
        vector = matrix @ vector
    return vector


def test_chunks_and_their_order_do_not_change_eigenvalues() -> None:
    found = []
    for chunk in (7, 3):
        operator = Hessian(objective_of(MODEL_CASES["mlp_batch_norm_prelu"], chunk=chunk))
        found.append(eigenpairs(operator.__matmul__, torch.zeros(operator.n, dtype=FLOAT64), 3).values)
    assert torch.allclose(found[0], found[1], rtol=1e-10)


def test_blocks_are_those_of_the_whole() -> None:
    objective = objective_of(MODEL_CASES["mlp"])
    _, matrix = hessian_of(objective)
    names = list(objective.parameters())
    sizes = [value.numel() for value in objective.parameters().values()]
    start = sum(sizes[:1])
    block = Hessian(objective, names=names[1:3])
    stop = start + block.n
    unit = torch.eye(block.n, dtype=FLOAT64)
    assert torch.allclose(block @ unit, matrix[start:stop, start:stop], atol=1e-12)
    with pytest.raises(ValueError, match="nothing"):
        Hessian(objective, names=["nothing"])


class Quadratic(nn.Module):
    """½ Σ aᵢ wᵢ² of the parameters, whatever the inputs."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(1, 2, len(values)))
        self.register_buffer("values", values)

    def forward(self, x: Tensor) -> Tensor:
        return (0.5 * (self.values * self.weight**2).sum()).expand(len(x), 1)


def test_a_quadratic_has_its_spectrum() -> None:
    values = torch.tensor([4.0, 4.0, 1.0, 0.0, -2.0, -3.0, 0.5, 0.25])
    targets = torch.zeros(5, dtype=torch.int64)
    plan = Plan(2, channels_last=False)
    objective = Objective(
        Quadratic(values), lambda z, t: z[:, 0], torch.zeros(5, 1), targets, precision="fp64", plan=plan
    )
    operator = Hessian(objective)
    like = torch.zeros(8, dtype=FLOAT64)
    every = explicit(operator.__matmul__, 8, like)
    assert torch.allclose(every.values, values.double().sort().values, atol=1e-12)
    assert (every.negative, every.zero) == (2, 1)
    found = trace(operator.__matmul__, like, vectors=24)
    assert found.trace.value == pytest.approx(float(values.sum()), abs=1e-12)
    assert found.trace.stderr == 0


def test_the_trace_lies_within_its_standard_errors() -> None:
    values = torch.cat([10 * 0.8 ** torch.arange(20.0), torch.randn(180, generator=torch.Generator().manual_seed(0))])
    matrix = symmetric(values)
    names = {"first": slice(0, 50), "second": slice(50, 200)}
    off: dict[str, list[float]] = {"trace": [], "frobenius": [], "first": [], "second": []}
    for seed in range(100):
        found = trace(matrix.__matmul__, matrix[0], vectors=48, seed=seed, blocks=names)
        assert found.products == 48
        estimates = {"trace": found.trace, "frobenius": found.frobenius} | found.blocks
        truths = {"trace": float(matrix.trace()), "frobenius": float(matrix.norm())}
        truths |= {name: float(matrix.diagonal()[rows].sum()) for name, rows in names.items()}
        for name, estimate in estimates.items():
            off[name].append((estimate.value - truths[name]) / estimate.stderr)
    expected = float(stats.t(df=15).cdf(3) - stats.t(df=15).cdf(-3))  # 16 samples of each
    for name, errors in off.items():
        inside = np.mean(np.abs(errors) <= 3)
        assert inside >= 0.95, name
        assert abs(inside - expected) <= 3 * math.sqrt(expected * (1 - expected) / len(errors)) + 0.01, name
        assert 0.7 <= np.std(errors) <= 1.4, name  # a standard error far too large would also cover the truth
    with pytest.raises(ValueError, match="6 at least"):
        trace(matrix.__matmul__, matrix[0], vectors=5)


def test_the_density_of_a_known_spectrum() -> None:
    values = torch.cat([torch.full((100,), -1.0), torch.full((250,), 2.0), torch.full((50,), 5.0)])
    matrix = symmetric(values)
    found = density(matrix.__matmul__, matrix[0], vectors=40, steps=30)
    assert found.nodes.shape == found.weights.shape == (40, 30)
    assert np.isnan(found.nodes[:, 3:]).all()  # three different eigenvalues exhaust the Krylov space
    assert np.allclose(found.nodes[:, :3], [-1, 2, 5], atol=1e-8)
    assert np.allclose(found.weights.sum(1), 1)
    shares = found.weights[:, :3].mean(0)
    assert np.allclose(shares, [0.25, 0.625, 0.125], atol=4 * 0.05 / math.sqrt(40))
    at = np.linspace(-2, 6, 4001)
    curve, error = found.smoothed(at, 0.05)
    assert float(curve.sum() * (at[1] - at[0])) == pytest.approx(1, abs=1e-6)
    assert (error >= 0).all()
    assert error.max() < 0.2 * curve.max()
    one = density(matrix.__matmul__, matrix[0], vectors=1, steps=30, first=7)
    assert np.array_equal(one.nodes[0], found.nodes[7], equal_nan=True)
    assert found.mean(np.exp).value == pytest.approx(float(np.exp(values.numpy()).mean()), rel=0.05)


def test_the_newton_step_is_never_shorter_than_said() -> None:
    matrix = symmetric(torch.linspace(-1, 3, 30))
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        slope = torch.randn(30, dtype=FLOAT64, generator=generator)
        least = newton_step(slope, matrix @ slope, 2.0)
        assert 0 < least <= float(torch.linalg.solve(matrix, slope).norm()) / 2
        parts = torch.linalg.eigh(matrix)
        change = float(((parts.eigenvectors.T @ slope).square() / parts.eigenvalues.abs()).sum()) / 2
        assert 0 < newton_gain(slope, matrix @ slope, 4.0) <= change / 4
    leading = torch.linalg.eigh(matrix).eigenvectors[:, -1]
    assert newton_step(leading, matrix @ leading, 1.0) == pytest.approx(1 / 3)  # along an eigenvector it is the step
    assert newton_gain(leading, matrix @ leading, 1.0) == pytest.approx(1 / 6)
    assert newton_step(0 * slope, 0 * slope, 1.0) == newton_gain(0 * slope, 0 * slope, 1.0) == 0
    assert newton_step(slope, 0 * slope, 1.0) == math.inf


@pytest.mark.parametrize(
    ("values", "smallest", "converged", "negative", "kind"),
    [
        ([5.0, 1.0, -1e-3, -2.0], 2, True, 2, "saddle"),
        ([5.0, 1.0, -1e-3, -2.0], 2, False, 2, "saddle"),  # of Ritz values that have not converged too
        ([5.0, 1.0, 1e-3, -1e-5], 2, True, 0, "near-minimum"),  # below 100 ε · 5 in fp32 there is no sign
        ([5.0, 1.0, 1e-3, -1e-5], 2, False, 0, "unknown"),
        ([5.0, 1.0], 0, False, 0, "unknown"),
    ],
)
def test_what_some_eigenvalues_say(
    values: list[float], smallest: int, converged: bool, negative: int, kind: str
) -> None:
    index = least_index(torch.tensor(values, dtype=FLOAT64), smallest, converged, torch.float32)
    assert (index.negative, index.exact) == (negative, False)
    assert kind_of(index, 1e-4, 1e-4) == kind
    assert kind_of(index, 2e-3, 1e-4) == kind_of(index, 1e-4, 2e-3) == "not critical"
    assert kind_of(index, math.nan, 0.0) == "not critical"
    assert kind_of(Index(0, True, True, 1e-12), 0.0, 0.0) == "near-minimum"


class Checkpointed(nn.Module):
    """A net that computes its hidden layer again in backward passes."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(lambda v: torch.tanh(self.hidden(v)), x, use_reentrant=False)
        return self.out(torch.as_tensor(hidden))


def test_a_kept_graph_that_calls_the_net_again_sees_its_own_point() -> None:
    inputs, targets = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    objective = Objective(Checkpointed(), "cross_entropy", inputs, targets, precision="fp64")
    point = {name: value + 0.3 for name, value in objective.parameters().items()}
    vector = torch.randn(43, dtype=FLOAT64, generator=torch.Generator().manual_seed(1))
    kept, anew = (Hessian(objective, point, memory=memory) for memory in (2**31, 0))
    assert (kept.kept, anew.kept) == (6, 0)
    assert torch.allclose(kept @ vector, anew @ vector, rtol=1e-12)
    ahead, behind = (
        Hessian(objective, {n: v + step * anew.named(vector)[n] for n, v in point.items()}).gradient()
        for step in (1e-5, -1e-5)
    )
    assert torch.allclose((ahead - behind) / 2e-5, kept @ vector, atol=1e-7)

"""Full-batch methods: each against its formula in NumPy, or against scipy, on objectives with known derivatives."""

import copy
import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from lossscape.errors import BadInput
from lossscape.optimizers import CONVERGED, FAMILY, FULL_BATCH, STUCK, Counted, FullBatch, Function, build

STEPS = 50
Path = list[np.ndarray]


@dataclass(frozen=True)
class Known:
    """An objective by its formulas: an `optimizers.Function`, and the same for NumPy."""

    f: Callable[[np.ndarray], float]
    g: Callable[[np.ndarray], np.ndarray]
    h: Callable[[np.ndarray], np.ndarray]
    start: np.ndarray

    def value(self, theta: Tensor) -> float:
        return float(self.f(theta.numpy()))

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        return self.value(theta), torch.from_numpy(np.array(self.g(theta.numpy())))

    def product(self, theta: Tensor, vector: Tensor) -> Tensor:
        return torch.from_numpy(self.h(theta.numpy()) @ vector.numpy())

    def matrix(self, theta: Tensor) -> Tensor:
        return torch.from_numpy(np.array(self.h(theta.numpy())))


_basis = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
A, B = _basis @ np.diag([0.1, 0.3, 0.7, 1.0, 2.0, 3.0]) @ _basis.T, np.random.default_rng(1).normal(size=6)
QUADRATIC = Known(
    lambda x: float(x @ A @ x / 2 - B @ x), lambda x: A @ x - B, lambda x: A, np.random.default_rng(2).normal(size=6)
)
ROSENBROCK = Known(
    scipy.optimize.rosen, scipy.optimize.rosen_der, scipy.optimize.rosen_hess,
    np.array([-1.2, 1.0, -0.5, 0.8, 1.3, -0.7, 0.2, 1.1]),
)  # fmt: skip


def _squares(r: Callable[[Any], np.ndarray], j: Callable[[Any], np.ndarray], seconds: Callable[[Any], Any]) -> Any:
    """f = ½ Σ r², g = Jᵀr, H = JᵀJ + Σ r ∇²r."""
    return (
        lambda x: float(r(x) @ r(x)) / 2,
        lambda x: j(x).T @ r(x),
        lambda x: j(x).T @ j(x) + np.einsum("i,ijk->jk", r(x), np.array(seconds(x), dtype=float)),
    )


BEALE = Known(
    *_squares(
        lambda x: np.array([c - x[0] * (1 - x[1] ** n) for n, c in enumerate((1.5, 2.25, 2.625), 1)]),
        lambda x: np.array([[x[1] ** n - 1, n * x[0] * x[1] ** (n - 1)] for n in (1, 2, 3)]),
        lambda x: [
            [[0, n * x[1] ** (n - 1)], [n * x[1] ** (n - 1), n * (n - 1) * x[0] * x[1] ** max(n - 2, 0)]]
            for n in (1, 2, 3)
        ],
    ),
    np.array([1.0, 0.2]),
)
HIMMELBLAU = Known(
    *_squares(
        lambda x: np.array([x[0] ** 2 + x[1] - 11, x[0] + x[1] ** 2 - 7]),
        lambda x: np.array([[2 * x[0], 1], [1, 2 * x[1]]]),
        lambda x: [[[2, 0], [0, 0]], [[0, 0], [0, 2]]],
    ),
    np.array([2.5, 2.5]),
)
SADDLE = Known(
    lambda x: float(x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4),
    lambda x: np.array([2 * x[0], -2 * x[1] + x[1] ** 3]),
    lambda x: np.diag([2.0, -2 + 3 * x[1] ** 2]),
    np.array([0.7, 0.1]),
)
"""Minima at (0, ±√2), a saddle at 0."""
VALLEY = replace(ROSENBROCK, start=np.array([-1.2, 1.0]))
PROBLEMS = {"rosenbrock": VALLEY, "beale": BEALE, "himmelblau": HIMMELBLAU}


def parameter_of(problem: Known, dtype: torch.dtype = torch.float64) -> nn.Parameter:
    return nn.Parameter(torch.tensor(problem.start, dtype=dtype))


def made(name: str, parameter: nn.Parameter, **options: Any) -> FullBatch:
    method = build(TypeAdapter(FAMILY.type).validate_python({"name": name, **options}), [parameter])
    assert isinstance(method, FullBatch)
    return method


def walked(method: FullBatch, parameter: nn.Parameter, function: Function, steps: int = STEPS) -> Path:
    """θ after each step, until the method ends."""
    path = []
    while len(path) < steps and not method.ended:
        method.step(function)
        path.append(parameter.detach().numpy().copy())
    return path


def path_of(name: str, problem: Known, steps: int = STEPS, **options: Any) -> Path:
    parameter = parameter_of(problem)
    return walked(made(name, parameter, **options), parameter, problem, steps)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_problems_have_the_derivatives_that_they_say(name: str) -> None:
    problem = PROBLEMS[name]
    assert (
        scipy.optimize.check_grad(problem.f, problem.g, problem.start) < 1e-4 * np.abs(problem.g(problem.start)).max()
    )
    numeric = scipy.optimize.approx_fprime(problem.start, problem.g, 1e-7)
    np.testing.assert_allclose(problem.h(problem.start), numeric, rtol=1e-4, atol=1e-4)


# Formulas, written again


def backtracked(problem: Known, x: np.ndarray, d: np.ndarray) -> np.ndarray:
    t = 1.0
    while problem.f(x + t * d) > problem.f(x) + 1e-4 * t * (problem.g(x) @ d):
        t /= 2
    return x + t * d


def newton(problem: Known, x: np.ndarray, lr: float = 1.0, damping: float = 0.0, line_search: str = "armijo") -> Any:
    while True:
        h = problem.h(x)
        if line_search == "none":
            x = x - lr * np.linalg.solve(h + damping * np.eye(len(x)), problem.g(x))
        else:
            low, high = np.linalg.eigvalsh(h)[0], np.abs(np.linalg.eigvalsh(h)).max()
            floor = np.sqrt(np.finfo(float).eps) * high
            tau = damping if low + damping >= floor else abs(low) - low + max(floor, damping)
            x = backtracked(problem, x, -lr * np.linalg.solve(h + tau * np.eye(len(x)), problem.g(x)))
        yield x


def saddle_free_newton(
    problem: Known, x: np.ndarray, lr: float = 1.0, damping: float = 1e-3, line_search: str = "armijo"
) -> Any:
    while True:
        absolute = scipy.linalg.sqrtm(problem.h(x) @ problem.h(x)).real  # |H| = √H²
        d = -lr * np.linalg.solve(absolute + damping * np.eye(len(x)), problem.g(x))
        x = x + d if line_search == "none" else backtracked(problem, x, d)
        yield x


def coordinate_descent(problem: Known, x: np.ndarray, coordinates: int | None = None) -> Any:
    index = 0
    while True:
        for _ in range(coordinates or len(x)):
            unit = np.eye(len(x))[index]
            x = backtracked(problem, x, -problem.g(x)[index] / abs(problem.h(x)[index, index]) * unit)
            index = (index + 1) % len(x)
        yield x


def lbfgs(problem: Known, x: np.ndarray, lr: float = 1.0, history: int = 10, line_search: str = "none") -> Any:
    """With a fixed length, as in torch's documentation of the first step."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    while True:
        g = problem.g(x)
        t = lr * (1.0 if pairs else min(1.0, 1 / np.abs(g).sum()))
        after = x + t * two_loops(g, pairs)
        pairs = [*pairs, (after - x, problem.g(after) - g)][-history:]
        x = after
        yield x


def two_loops(g: np.ndarray, pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Nocedal and Wright, algorithm 7.4, with the scaling of equation 7.20."""
    q, alphas = g, []
    for s, y in reversed(pairs):
        alphas.append(s @ q / (s @ y))
        q = q - alphas[-1] * y
    r = q * (pairs[-1][0] @ pairs[-1][1] / (pairs[-1][1] @ pairs[-1][1]) if pairs else 1.0)
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r = r + s * (alpha - y @ r / (s @ y))
    return -r


def trust_region(problem: Known, x: np.ndarray, radius: float = 1.0, max_radius: float = 1000.0) -> Any:
    """Nocedal and Wright, algorithm 4.1 with η = 0.15."""
    while True:
        g, h = problem.g(x), problem.h(x)
        p, at_edge = steihaug(g, h, radius)
        gain = -(g @ p + p @ h @ p / 2)
        ratio = (problem.f(x) - problem.f(x + p)) / gain
        if ratio < 0.25:
            radius *= 0.25
        elif ratio > 0.75 and at_edge:
            radius = min(2 * radius, max_radius)
        x = x + p if ratio > 0.15 else x
        yield x


def steihaug(g: np.ndarray, h: np.ndarray, radius: float) -> tuple[np.ndarray, bool]:
    """Nocedal and Wright, algorithm 7.2."""
    z, r, d, small = np.zeros_like(g), g, -g, min(0.5, np.sqrt(np.linalg.norm(g))) * np.linalg.norm(g)
    while True:
        curvature = d @ h @ d
        ends = z + np.roots([d @ d, 2 * z @ d, z @ z - radius**2])[:, None] * d
        if curvature <= 0:
            return min(ends, key=lambda p: g @ p + p @ h @ p / 2), True
        after = z + (r @ r / curvature) * d
        if np.linalg.norm(after) >= radius:
            return max(ends, key=lambda p: (p - z) @ d), True
        residual = r + (r @ r / curvature) * (h @ d)
        if np.linalg.norm(residual) < small:
            return after, False
        d = -residual + (residual @ residual) / (r @ r) * d
        z, r = after, residual


CASES: list[tuple[Callable[..., Iterator[np.ndarray]], Known, dict[str, Any]]] = [
    (newton, QUADRATIC, {"lr": 0.3, "line_search": "none"}),
    (newton, ROSENBROCK, {"lr": 0.2}),
    (newton, ROSENBROCK, {"damping": 30.0}),
    (newton, QUADRATIC, {"lr": 0.5, "damping": 0.7, "line_search": "none"}),
    (saddle_free_newton, ROSENBROCK, {"lr": 0.2}),
    (saddle_free_newton, ROSENBROCK, {"damping": 20.0, "lr": 0.9}),
    (saddle_free_newton, SADDLE, {"lr": 0.2, "damping": 0.0, "line_search": "none"}),
    (coordinate_descent, QUADRATIC, {}),
    (coordinate_descent, QUADRATIC, {"coordinates": 1}),
    (coordinate_descent, ROSENBROCK, {"coordinates": 3}),
    (lbfgs, QUADRATIC, {"lr": 0.2, "history": 3, "line_search": "none"}),
    (trust_region, ROSENBROCK, {}),
    (trust_region, ROSENBROCK, {"radius": 0.1, "max_radius": 0.3}),
]


@pytest.mark.parametrize(("method", "problem", "options"), CASES)
def test_follows_the_formula(method: Callable[..., Any], problem: Known, options: dict[str, Any]) -> None:
    path = path_of(method.__name__, problem, tolerance=0.0, **options)
    expected = np.array([x for x, _ in zip(method(problem, problem.start, **options), path, strict=False)])
    assert len(path) == STEPS or np.abs(problem.g(path[-1])).max() < 1e-12
    np.testing.assert_allclose(path, expected, rtol=1e-7, atol=1e-9)
    assert np.abs(path[0] - problem.start).max() > 1e-3


# Methods whose line search is another's: each step goes where the formula says, as far as Wolfe's conditions say


def conjugate(gradients: Path, steps: Path) -> np.ndarray:
    """Nocedal and Wright, equation 5.45, from the step before, which is along the direction before."""
    g, before = gradients[-1], gradients[-2]
    return -g + max(0.0, g @ (g - before) / (before @ before)) * steps[-1]


def quasi_newton(gradients: Path, steps: Path) -> np.ndarray:
    """Nocedal and Wright, equation 6.17, from B = I."""
    inverse, one = np.eye(len(gradients[0])), np.eye(len(gradients[0]))
    for s, g, before in zip(steps, gradients[1:], gradients, strict=False):
        y = g - before
        left = one - np.outer(s, y) / (y @ s)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (y @ s)
    return -inverse @ gradients[-1]


def limited(gradients: Path, steps: Path) -> np.ndarray:
    pairs = [(s, g - before) for s, g, before in zip(steps, gradients[1:], gradients, strict=False)]
    return two_loops(gradients[-1], pairs[-10:])


def truncated(point: np.ndarray) -> np.ndarray:
    """Nocedal and Wright, algorithm 7.1, with the sum of sizes as norm."""
    g, h = ROSENBROCK.g(point), ROSENBROCK.h(point)
    z, r, d, size = np.zeros_like(g), g, -g, np.abs(g).sum()
    while np.abs(r).sum() > min(0.5, np.sqrt(size)) * size:
        curvature = d @ h @ d
        if curvature <= 0:
            return -g if not z.any() else z
        z, residual = z + (r @ r / curvature) * d, r + (r @ r / curvature) * (h @ d)
        d, r = -residual + (residual @ residual) / (r @ r) * d, residual
    return z


@pytest.mark.parametrize("name", ["conjugate_gradient", "bfgs", "lbfgs", "newton_cg"])
def test_steps_go_along_the_direction_of_the_formula(name: str) -> None:
    path = [ROSENBROCK.start, *path_of(name, ROSENBROCK)]
    gradients = [ROSENBROCK.g(x) for x in path]
    taken = np.diff(path, axis=0)
    assert len(taken) >= (20 if name == "newton_cg" else 30)
    slope_kept = {"conjugate_gradient": 0.4}.get(name, 0.9)
    scale = {}  # CG's direction is not its step: β is of directions, whose lengths are found by dividing by t
    for k, step in enumerate(taken):
        if name == "newton_cg":
            wanted = truncated(path[k])
        elif not k:
            wanted = -gradients[0]
        elif name == "conjugate_gradient":
            wanted = conjugate(gradients[: k + 1], [scale[k - 1]])
        else:
            wanted = {"bfgs": quasi_newton, "lbfgs": limited}[name](gradients[: k + 1], [*taken[:k]])
        scale[k] = wanted
        cosine = step @ wanted / np.linalg.norm(step) / np.linalg.norm(wanted)
        if np.abs(gradients[k + 1]).max() < 1e-5:
            break  # the rest is rounding
        assert cosine == pytest.approx(1, abs=1e-9), k
        length = np.linalg.norm(step) / np.linalg.norm(wanted)
        assert ROSENBROCK.f(path[k + 1]) <= ROSENBROCK.f(path[k]) + 1e-4 * length * (gradients[k] @ wanted) + 1e-12
        assert abs(gradients[k + 1] @ wanted) <= slope_kept * abs(gradients[k] @ wanted) * (1 + 1e-6)


SCIPYS = {
    "bfgs": ("BFGS", {"gtol": 0.0}, {}),
    "conjugate_gradient": ("CG", {"gtol": 0.0}, {}),
    "newton_cg": ("Newton-CG", {"xtol": 0.0}, {"hessp": True}),
    "trust_region": ("trust-ncg", {"gtol": 0.0}, {"hessp": True}),
    "trust_region exact": ("trust-exact", {"gtol": 0.0}, {"hess": True}),
}


@pytest.mark.parametrize("case", SCIPYS)
def test_a_step_is_an_iteration_of_scipy_to_the_bit_and_counts_what_scipy_counts(case: str) -> None:
    """scipy.optimize.minimize in one go, told to stop after as many iterations."""
    scipys, tolerances, second = SCIPYS[case]
    given = {"hessp": lambda x, p: ROSENBROCK.h(x) @ p} if "hessp" in second else {}
    given |= {"hess": ROSENBROCK.h} if "hess" in second else {}
    whole: Path = []
    found = scipy.optimize.minimize(
        ROSENBROCK.f, ROSENBROCK.start, jac=ROSENBROCK.g, method=scipys, options=tolerances | {"maxiter": 30},
        callback=lambda x: whole.append(x.copy()), **given,
    )  # fmt: skip
    name, _, subproblem = case.partition(" ")
    parameter, counted = parameter_of(ROSENBROCK), Counted(ROSENBROCK)
    method = made(name, parameter, tolerance=0.0, **({"subproblem": subproblem} if subproblem else {}))
    path = walked(method, parameter, counted, 30)
    assert np.array_equal(path, whole[: len(path)])
    assert len(path) >= min(30, len(whole))
    assert counted.function_evaluations == 0
    assert counted.gradient_evaluations == found.nfev
    products = {"newton_cg": found.get("nhev"), "trust_region exact": 8 * found.get("nhev", 0)}
    assert case not in products or counted.hessian_products == products[case]


# Where they lead

ONTO = [name for name in FULL_BATCH if name != "coordinate_descent"]


@pytest.mark.parametrize("name", ONTO)
@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
def test_reaches_the_optimum_that_scipy_reports(name: str, problem: Known) -> None:
    reported = scipy.optimize.minimize(problem.f, problem.start, jac=problem.g, method="BFGS", options={"gtol": 1e-7})
    assert reported.success
    parameter = parameter_of(problem)
    method = made(name, parameter)
    path = walked(method, parameter, problem, 500)
    assert method.ended.startswith((CONVERGED, STUCK))
    np.testing.assert_allclose(path[-1], reported.x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "matrices"),
    [
        ("newton", {}, 1),
        ("newton", {"line_search": "none"}, 1),
        ("saddle_free_newton", {"damping": 0.0}, 1),
        ("trust_region", {"subproblem": "exact", "radius": 100.0}, 2),
    ],
)
def test_newton_on_a_quadratic_lands_in_one_step(name: str, options: dict[str, Any], matrices: int) -> None:
    """matrices: Hessians that it asks for; scipy's trust-exact also wants that of the point that it proposes."""
    parameter, counted = parameter_of(QUADRATIC), Counted(QUADRATIC)
    method = made(name, parameter, **options)
    (only,) = walked(method, parameter, counted)
    np.testing.assert_allclose(only, np.linalg.solve(A, B), rtol=1e-12)
    assert method.ended.startswith(CONVERGED)
    assert counted.gradient_evaluations == 2
    assert counted.hessian_products == 6 * matrices


def test_newton_seeks_saddles_and_its_damped_and_saddle_free_forms_leave_them() -> None:
    def end(name: str, **options: Any) -> np.ndarray:
        return path_of(name, SADDLE, **options)[-1]

    np.testing.assert_allclose(end("newton", line_search="none"), [0, 0], atol=1e-8)
    for name in ("newton", "saddle_free_newton", "trust_region"):
        np.testing.assert_allclose(end(name), [0, np.sqrt(2)], atol=1e-6)


@pytest.mark.parametrize("name", FULL_BATCH)
def test_where_the_gradient_is_zero_a_method_converges_at_once(name: str) -> None:
    """On the saddle itself no direction leads away."""
    problem = Known(SADDLE.f, SADDLE.g, SADDLE.h, np.zeros(2))
    parameter, counted = parameter_of(problem), Counted(problem)
    method = made(name, parameter)
    method.step(counted)
    assert method.ended.startswith(CONVERGED)
    assert not parameter.detach().any()
    before = dict(counted.counts)
    method.step(counted)
    assert counted.counts == before == {"function_evaluations": 0, "gradient_evaluations": 1, "hessian_products": 0}


@pytest.mark.parametrize("name", FULL_BATCH)
def test_a_method_that_finds_nothing_lower_ends_and_says_so(name: str) -> None:
    """By a gradient that points the wrong way."""
    wrong = Known(QUADRATIC.f, lambda x: -QUADRATIC.g(x), QUADRATIC.h, QUADRATIC.start)
    parameter = parameter_of(wrong)
    method = made(name, parameter, **({"subproblem": "steihaug"} if name == "trust_region" else {}))
    walked(method, parameter, wrong, 300)
    assert method.ended.startswith(STUCK)
    np.testing.assert_allclose(parameter.detach().numpy(), wrong.start, atol=1e-9)


def test_a_step_longer_than_all_coordinates_keeps_what_it_found() -> None:
    """Of a function without mixed terms: nothing is left to be found after each coordinate was moved once."""
    problem = Known(lambda x: float(x @ x), lambda x: 2 * x, lambda x: 2 * np.eye(2), np.array([1.0, 2.0]))
    parameter = parameter_of(problem)
    walked(made("coordinate_descent", parameter, coordinates=5), parameter, problem, 1)
    assert not parameter.detach().any()


def test_success_of_scipy_without_a_small_gradient_is_not_convergence() -> None:
    """Newton-CG on a function without curvature takes a step of length 0, which scipy calls successful."""
    slope = Known(lambda x: float(-x.sum()), lambda x: -np.ones(2), lambda x: np.zeros((2, 2)), np.zeros(2))
    parameter = parameter_of(slope)
    method = made("newton_cg", parameter)
    walked(method, parameter, slope, 3)
    assert method.ended.startswith(f"{STUCK} (scipy: ")


# What is kept


def continued(name: str, steps: int, **options: Any) -> tuple[Path, Path, FullBatch]:
    """Steps of a method that goes on, and of one made anew from its state."""
    parameter = parameter_of(ROSENBROCK)
    method = made(name, parameter, **options)
    walked(method, parameter, ROSENBROCK, 7)
    saved = copy.deepcopy(method.state_dict())
    other = nn.Parameter(parameter.detach().clone())
    resumed = made(name, other, **options)
    resumed.load_state_dict(saved)
    return walked(method, parameter, ROSENBROCK, steps), walked(resumed, other, ROSENBROCK, steps), resumed


@pytest.mark.parametrize(
    ("name", "options"),
    [("newton", {}), ("saddle_free_newton", {}), ("coordinate_descent", {"coordinates": 3}), ("lbfgs", {"history": 3})],
)
def test_continues_from_its_saved_state_bit_for_bit(name: str, options: dict[str, Any]) -> None:
    expected, path, resumed = continued(name, 7, **options)
    assert np.array_equal(path, expected)
    assert len(path) == 7
    assert resumed.notes == {}


@pytest.mark.parametrize("name", ["bfgs", "conjugate_gradient", "newton_cg", "trust_region"])
def test_a_method_of_scipy_begins_anew_at_its_iterate_and_says_so(name: str) -> None:
    """Where another continues, and where the same one is put back to what it was."""
    _, path, resumed = continued(name, 5)
    assert resumed.notes == {"restarted": 1}
    first = path_of(name, ROSENBROCK, 7)[-1]
    anew = path_of(name, replace(ROSENBROCK, start=first), 5)
    assert np.array_equal(path, anew)
    parameter = parameter_of(ROSENBROCK)
    method = made(name, parameter)
    walked(method, parameter, ROSENBROCK, 7)
    saved = copy.deepcopy(method.state_dict())
    walked(method, parameter, ROSENBROCK, 2)
    method.load_state_dict(saved)
    assert np.array_equal(walked(method, parameter, ROSENBROCK, 5), anew)


@pytest.mark.parametrize("name", FULL_BATCH)
def test_a_step_that_is_broken_off_changes_nothing_and_can_be_taken_again(name: str) -> None:
    class Stop(Exception):
        pass

    class Stopping(Known):
        def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
            raise Stop

    parameter = parameter_of(ROSENBROCK)
    method = made(name, parameter)
    walked(method, parameter, ROSENBROCK, 4)
    before, state = parameter.detach().clone(), copy.deepcopy(method.state_dict())
    with pytest.raises(Stop):
        method.step(Stopping(ROSENBROCK.f, ROSENBROCK.g, ROSENBROCK.h, ROSENBROCK.start))
    assert torch.equal(parameter.detach(), before)
    again = made(name, other := nn.Parameter(before.clone()))
    again.load_state_dict(state)
    assert np.array_equal(walked(method, parameter, ROSENBROCK, 3), walked(again, other, ROSENBROCK, 3))


@pytest.mark.parametrize("name", FULL_BATCH)
def test_a_first_step_that_is_broken_off_leaves_no_memory(name: str) -> None:
    class Once(Counted):
        def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
            if self.gradient_evaluations:
                raise KeyboardInterrupt
            return super().gradient(theta)

    parameter = parameter_of(ROSENBROCK)
    method = made(name, parameter)
    with pytest.raises(KeyboardInterrupt):
        method.step(Once(ROSENBROCK))
    assert method.memory == {}
    assert np.array_equal(walked(method, parameter, ROSENBROCK, 4), path_of(name, ROSENBROCK, 4))
    assert set(method.notes.values()) <= {0}


def test_no_thread_of_scipy_is_left_when_its_method_is_gone() -> None:
    others = set(threading.enumerate())
    parameter = parameter_of(ROSENBROCK)
    method = made("bfgs", parameter)
    walked(method, parameter, ROSENBROCK, 3)
    (own,) = set(threading.enumerate()) - others
    del method
    gc.collect()
    assert not own.is_alive()


@pytest.mark.parametrize("name", FULL_BATCH)
def test_weight_decay_is_a_term_of_what_is_descended_and_not_of_what_is_told(name: str) -> None:
    rate = 0.3
    decayed = Known(
        lambda x: ROSENBROCK.f(x) + rate / 2 * x @ x,
        lambda x: ROSENBROCK.g(x) + rate * x,
        lambda x: ROSENBROCK.h(x) + rate * np.eye(len(x)),
        ROSENBROCK.start,
    )
    np.testing.assert_allclose(path_of(name, ROSENBROCK, 4, weight_decay=rate), path_of(name, decayed, 4), rtol=1e-8)
    told = made(name, parameter_of(ROSENBROCK), weight_decay=rate).step(ROSENBROCK)
    assert told.value == pytest.approx(ROSENBROCK.f(ROSENBROCK.start), rel=1e-13)
    np.testing.assert_allclose(told.gradient, ROSENBROCK.g(ROSENBROCK.start), rtol=1e-12)


@pytest.mark.parametrize("name", FULL_BATCH)
def test_an_objective_that_is_not_finite_is_refused_and_nothing_moves(name: str) -> None:
    broken = Known(lambda x: np.nan, ROSENBROCK.g, ROSENBROCK.h, ROSENBROCK.start)
    parameter = parameter_of(broken)
    with pytest.raises(FloatingPointError, match="the objective is nan"):
        made(name, parameter).step(broken)
    assert np.array_equal(parameter.detach().numpy(), broken.start)


def test_the_iterate_is_float64_whatever_the_parameters_are_and_frozen_ones_are_no_part_of_it() -> None:
    double, single = parameter_of(ROSENBROCK), parameter_of(ROSENBROCK, torch.float32)
    single.data = single.double().float()
    frozen = nn.Parameter(torch.ones(3), requires_grad=False)
    wide, narrow = made("newton", double), FULL_BATCH["newton"]([frozen, single])
    double.data = single.detach().double()
    for _ in range(10):
        wide.step(ROSENBROCK)
        narrow.step(ROSENBROCK)
    assert torch.equal(single.detach(), double.detach().float())
    assert not torch.equal(single.detach().double(), double.detach())
    assert torch.equal(frozen, torch.ones(3))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("newton", {}, "5,001 parameters.*of 5,000 at most; lbfgs"),
        ("saddle_free_newton", {}, "5,001 parameters"),
        ("bfgs", {}, "optimizer bfgs: the net has 5,001 parameters"),
        ("trust_region", {"subproblem": "exact"}, "5,001 parameters"),
        ("trust_region", {"radius": 2.0, "max_radius": 2.0}, "radius 2 is to be less than max_radius 2"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        made(name, nn.Parameter(torch.zeros(5001)), **options)

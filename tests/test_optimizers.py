"""Optimizers: each against the formula of torch's documentation, written out in float64 on a quadratic."""

import copy
import importlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from lossscape.errors import BadInput
from lossscape.optimizers import FAMILY, FIRST_ORDER, Lookahead, bare_step, build

STEPS = 50
Gradient = Callable[[np.ndarray], np.ndarray]
Method = Callable[..., Iterator[np.ndarray]]

# L(θ) = ½ θᵀAθ − bᵀθ with curvatures from 0.1 to 3, so that some directions oscillate and others crawl
_basis = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
A = _basis @ np.diag([0.1, 0.3, 0.7, 1.0, 2.0, 3.0]) @ _basis.T
B = np.random.default_rng(1).normal(size=6)
START = np.random.default_rng(2).normal(size=6)


def gradient(theta: np.ndarray) -> np.ndarray:
    return A @ theta - B


def loss(parameter: Tensor) -> Tensor:
    theta = parameter.flatten()
    return theta @ torch.from_numpy(A) @ theta / 2 - torch.from_numpy(B) @ theta


def spec_of(name: str, **options: Any) -> Any:
    return TypeAdapter(FAMILY.type).validate_python({"name": name, **options})


def sgd(
    g_of: Gradient,
    theta: np.ndarray,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Iterator[np.ndarray]:
    """Torch's documentation of SGD."""
    b = None
    while True:
        g = g_of(theta) + weight_decay * theta
        b = g if b is None else momentum * b + (1 - dampening) * g
        theta = theta - lr * (g + momentum * b if nesterov else b)
        yield theta


def adagrad(
    g_of: Gradient,
    theta: np.ndarray,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> Iterator[np.ndarray]:
    """Torch's documentation of Adagrad."""
    total, t = np.full_like(theta, initial_accumulator_value), 0
    while True:
        t += 1
        g = g_of(theta) + weight_decay * theta
        total = total + g * g
        theta = theta - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total) + eps)
        yield theta


def adadelta(
    g_of: Gradient, theta: np.ndarray, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> Iterator[np.ndarray]:
    """Torch's documentation of Adadelta."""
    v, u = np.zeros_like(theta), np.zeros_like(theta)
    while True:
        g = g_of(theta) + weight_decay * theta
        v = rho * v + (1 - rho) * g * g
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta * delta
        theta = theta - lr * delta
        yield theta


def rmsprop(
    g_of: Gradient,
    theta: np.ndarray,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> Iterator[np.ndarray]:
    """Torch's documentation of RMSprop."""
    v, mean, b = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta)
    while True:
        g = g_of(theta) + weight_decay * theta
        v = alpha * v + (1 - alpha) * g * g
        mean = alpha * mean + (1 - alpha) * g
        b = momentum * b + g / (np.sqrt(v - mean * mean if centered else v) + eps)
        theta = theta - lr * b
        yield theta


def adam(
    g_of: Gradient,
    theta: np.ndarray,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    decoupled: bool = False,
) -> Iterator[np.ndarray]:
    """Torch's documentation of Adam, and with `decoupled` of AdamW."""
    m, v, largest, t = np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta), 0
    while True:
        t += 1
        g = g_of(theta)
        if decoupled:
            theta = theta - lr * weight_decay * theta
        else:
            g = g + weight_decay * theta
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        largest = np.maximum(largest, v)
        v_hat = (largest if amsgrad else v) / (1 - betas[1] ** t)
        theta = theta - lr * m / (1 - betas[0] ** t) / (np.sqrt(v_hat) + eps)
        yield theta


def nesterov(g_of: Gradient, theta: np.ndarray, lr: float, momentum: float = 0.9, **more: Any) -> Iterator[np.ndarray]:
    return sgd(g_of, theta, lr, momentum, nesterov=True, **more)


def nesterov_lookahead(
    g_of: Gradient, theta: np.ndarray, lr: float, momentum: float = 0.9, weight_decay: float = 0.0
) -> Iterator[np.ndarray]:
    """Sutskever et al. 2013, equations 3 and 4."""
    v = np.zeros_like(theta)
    while True:
        ahead = theta + momentum * v
        v = momentum * v - lr * (g_of(ahead) + weight_decay * ahead)
        theta = theta + v
        yield theta


def momentum(g_of: Gradient, theta: np.ndarray, lr: float, momentum: float = 0.9, **more: Any) -> Iterator[np.ndarray]:
    return sgd(g_of, theta, lr, momentum, **more)


def adamw(g_of: Gradient, theta: np.ndarray, weight_decay: float = 0.01, **more: Any) -> Iterator[np.ndarray]:
    return adam(g_of, theta, weight_decay=weight_decay, decoupled=True, **more)


CASES: list[tuple[str, Method, dict[str, Any]]] = [
    ("sgd", sgd, {"lr": 0.3}),
    ("sgd", sgd, {"lr": 0.3, "weight_decay": 0.05}),
    ("momentum", momentum, {"lr": 0.1}),
    ("momentum", momentum, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.05}),
    ("momentum", momentum, {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}),
    ("momentum", momentum, {"lr": 0.1, "momentum": 0.0}),
    ("nesterov", nesterov, {"lr": 0.1}),
    ("nesterov", nesterov, {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.05}),
    ("nesterov_lookahead", nesterov_lookahead, {"lr": 0.1}),
    ("nesterov_lookahead", nesterov_lookahead, {"lr": 0.1, "momentum": 0.6, "weight_decay": 0.05}),
    ("adagrad", adagrad, {}),
    (
        "adagrad",
        adagrad,
        {"lr": 0.5, "lr_decay": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.2, "eps": 1e-3},
    ),
    ("adadelta", adadelta, {}),
    ("adadelta", adadelta, {"lr": 2.0, "rho": 0.95, "eps": 1e-3, "weight_decay": 0.05}),
    ("rmsprop", rmsprop, {}),
    ("rmsprop", rmsprop, {"lr": 0.05, "alpha": 0.9, "eps": 1e-2, "weight_decay": 0.05, "momentum": 0.5}),
    ("rmsprop", rmsprop, {"lr": 0.02, "alpha": 0.95, "centered": True, "eps": 1e-3}),
    ("adam", adam, {}),
    ("adam", adam, {"lr": 0.1, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.05}),
    ("adam", adam, {"lr": 0.2, "betas": [0.5, 0.6], "amsgrad": True}),
    ("adamw", adamw, {}),
    ("adamw", adamw, {"lr": 0.1, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.2, "amsgrad": True}),
]
EACH = pytest.mark.parametrize(
    ("name", "method", "options"), CASES, ids=[f"{name}-{index}" for index, (name, *_) in enumerate(CASES)]
)


def parameter_at(theta: np.ndarray, layout: str) -> nn.Parameter:
    """θ as a 2×3 matrix whose memory runs along its rows (`plain`) or along its columns (`transposed`)."""
    matrix = torch.from_numpy(theta.reshape(2, 3).copy())
    return nn.Parameter(matrix if layout == "plain" else matrix.T.contiguous().T)


def looked_ahead(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """As the caller of every optimizer does before it takes a gradient."""
    if isinstance(optimizer, Lookahead):
        optimizer.look_ahead()
    return optimizer


def take_steps(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, steps: int) -> np.ndarray:
    """θ after each step, [steps, 6]."""
    path = []
    for _ in range(steps):
        looked_ahead(optimizer).zero_grad()
        loss(parameter).backward()
        optimizer.step()
        path.append(parameter.detach().numpy().flatten())
    return np.array(path)


def test_every_optimizer_is_in_the_table() -> None:
    assert {name for name, *_ in CASES} == set(FIRST_ORDER)


@EACH
@pytest.mark.parametrize("layout", ["plain", "transposed"])
def test_follows_the_formula(name: str, method: Method, options: dict[str, Any], layout: str) -> None:
    parameter = parameter_at(START, layout)
    path = take_steps(build(spec_of(name, **options), [parameter]), parameter, STEPS)
    expected = np.array([theta for theta, _ in zip(method(gradient, START, **options), range(STEPS), strict=False)])
    np.testing.assert_allclose(path, expected, rtol=1e-11, atol=1e-12)
    assert np.abs(path[-1] - START).max() > 1e-3


@EACH
def test_continues_from_its_saved_state_bit_for_bit(name: str, method: Method, options: dict[str, Any]) -> None:
    parameter = parameter_at(START, "plain")
    optimizer = build(spec_of(name, **options), iter([parameter]))
    take_steps(optimizer, parameter, 7)
    saved = copy.deepcopy(optimizer.state_dict())
    resumed = parameter_at(parameter.detach().numpy().flatten(), "plain")
    expected = take_steps(optimizer, parameter, 7)
    other = build(spec_of(name, **options), [resumed])
    other.load_state_dict(saved)
    assert np.array_equal(take_steps(other, resumed, 7), expected)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_step_without_what_torch_wraps_around_it_has_the_same_bits(name: str) -> None:
    found = []
    for take in (lambda optimizer: optimizer.step(), bare_step):
        parameter, late = (nn.Parameter(torch.from_numpy(START).float()) for _ in range(2))
        optimizer = build(spec_of(name, lr=0.1), [parameter, late])
        for index in range(3):
            if isinstance(optimizer, Lookahead):
                optimizer.look_ahead()
            parameter.grad = torch.cos(parameter.detach() + index)
            late.grad = torch.sin(late.detach()) if index else None
            take(optimizer)
        assert parameter.requires_grad
        found.append(torch.cat([parameter.detach(), late.detach()]))
    assert torch.equal(*found)


def dropped(*given: Any, **options: Any) -> None:
    raise TypeError("this function takes other arguments now")


def useless(*given: Any, **options: Any) -> None:
    """Does nothing."""


@pytest.mark.parametrize("found", [None, dropped, useless], ids=["gone", "other arguments", "does something else"])
def test_a_torch_without_its_fused_function_takes_its_own_step(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """That function is no part of torch's API, and torch's own step need not call one of that name."""
    sgd = importlib.import_module("torch.optim.sgd")  # a function of that name hides the module
    kept, own, calls = torch._fused_sgd_, sgd._fused_sgd, list[int]()

    def as_torch_has_it(*given: Any, **options: Any) -> None:
        calls.append(1)
        with monkeypatch.context() as there:
            there.setattr(torch, "_fused_sgd_", kept, raising=False)
            own(*given, **options)

    monkeypatch.setattr(sgd, "_fused_sgd", as_torch_has_it)
    path = {}
    for here in (kept, found):
        monkeypatch.setattr(torch, "_fused_sgd_", here)
        if here is None:
            monkeypatch.delattr(torch, "_fused_sgd_")
        parameter = nn.Parameter(torch.from_numpy(START).float())
        optimizer = build(spec_of("momentum", lr=0.1), [parameter])
        for index in range(3):
            parameter.grad = torch.cos(parameter.detach() + index)
            bare_step(optimizer)
        path[here] = parameter.detach()
    assert len(calls) == 3  # and none where torch has it
    assert torch.equal(path[kept], path[found])


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_parameter_whose_first_gradient_comes_late_starts_there(name: str) -> None:
    early, late = parameter_at(START, "plain"), parameter_at(START, "plain")
    optimizer = build(spec_of(name, lr=0.1), [early, late])
    take_steps(optimizer, early, 3)
    assert torch.equal(late, parameter_at(START, "plain"))
    fresh = parameter_at(START, "plain")
    expected = take_steps(build(spec_of(name, lr=0.1), [fresh]), fresh, 4)
    path = []
    for _ in range(4):
        looked_ahead(optimizer).zero_grad()
        (loss(early) + loss(late)).backward()
        optimizer.step()
        path.append(late.detach().numpy().flatten())
    assert np.array_equal(path, expected)


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_memory_layout_of_a_gradient_does_not_matter(name: str) -> None:
    weight, slope = torch.randn(2, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))[:, :, :2]
    ends = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(weight.clone().contiguous(memory_format=torch.channels_last))
        optimizer = build(spec_of(name, lr=0.1), [parameter])
        for _ in range(3):
            looked_ahead(optimizer)
            parameter.grad = slope.clone().contiguous(memory_format=layout)
            optimizer.step()
        ends.append(parameter.detach())
    torch.testing.assert_close(ends[0], ends[1])


# The formulas of the course


def test_nesterov_by_definition_is_the_librarys_form_at_the_point_ahead() -> None:
    """v ← αv − η∇L(θ + αv), θ ← θ + v; torch's parameter is Θ = θ + αv (arXiv:1212.0901)."""
    eta, alpha = 0.1, 0.9
    parameter = parameter_at(START, "plain")
    path = take_steps(build(spec_of("nesterov", lr=eta, momentum=alpha), [parameter]), parameter, STEPS)
    theta, v = START, np.zeros(6)
    for ahead in path:
        v = alpha * v - eta * gradient(theta + alpha * v)
        theta = theta + v
        np.testing.assert_allclose(ahead, theta + alpha * v, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["nesterov", "nesterov_lookahead"])
def test_nesterovs_definition_begins_where_the_library_form_does(name: str) -> None:
    """v = 0 at first, so both take the gradient at the start, and differ by αv after the first step."""
    parameter = parameter_at(START, "plain")
    first = take_steps(build(spec_of(name, lr=0.1, momentum=0.9), [parameter]), parameter, 1)[0]
    factor = 1.9 if name == "nesterov" else 1.0
    np.testing.assert_allclose(first, START - 0.1 * factor * gradient(START), rtol=1e-13)


def test_a_gradient_that_was_not_taken_ahead_is_refused_and_looking_twice_is_looking_once() -> None:
    parameter = parameter_at(START, "plain")
    optimizer = build(spec_of("nesterov_lookahead", lr=0.1), [parameter])
    take_steps(optimizer, parameter, 3)
    at = parameter.detach().clone()
    with pytest.raises(RuntimeError, match="look_ahead"):
        optimizer.step()
    ahead = [parameter.detach().clone() for _ in range(2) if looked_ahead(optimizer)]
    assert torch.equal(*ahead)
    assert not torch.equal(ahead[0], at)
    optimizer.zero_grad()
    optimizer.step()  # without a gradient it goes back, bit for bit
    assert torch.equal(parameter.detach(), at)


@pytest.mark.parametrize("schedule", [False, True])
def test_momentum_of_the_course_differs_only_while_the_learning_rate_changes(schedule: bool) -> None:
    """v ← αv − ηg, θ ← θ + v keeps the η of its time in v; torch's v ← αv + g, θ ← θ − ηv does not."""
    parameter = parameter_at(START, "plain")
    optimizer = build(spec_of("momentum", lr=0.1, momentum=0.9), [parameter])
    theta, v, gap = START, np.zeros(6), 0.0
    for step in range(STEPS):
        eta = 0.1 * (0.5 ** (step // 10) if schedule else 1.0)
        optimizer.param_groups[0]["lr"] = eta
        v = 0.9 * v - eta * gradient(theta)
        theta = theta + v
        gap = max(gap, float(np.abs(take_steps(optimizer, parameter, 1)[0] - theta).max()))
    assert gap > 0.01 if schedule else gap < 1e-12


@pytest.mark.parametrize(("scale", "least", "most"), [(1.0, 0.0, 1e-7), (1e-4, 0.1, 1.0)])
def test_rmsprop_of_the_course_differs_where_gradients_are_as_small_as_the_root_of_epsilon(
    scale: float, least: float, most: float
) -> None:
    """ε inside the root, θ ← θ − η g/√(ε + h), against torch's η g/(√h + ε): the first step at ε = 1e-8."""
    parameter, options = nn.Parameter(torch.tensor([scale], dtype=torch.float64)), {"lr": 0.1, "alpha": 0.9}
    optimizer = build(spec_of("rmsprop", **options, eps=1e-8), [parameter])
    (parameter**2 / 2).sum().backward()
    optimizer.step()
    course = scale - 0.1 * scale / math.sqrt(1e-8 + 0.1 * scale**2)
    ours = float(parameter.detach())
    assert ours == pytest.approx(scale - 0.1 * scale / (math.sqrt(0.1) * scale + 1e-8), rel=1e-12)
    relative = abs(ours - course) / abs(ours - scale)
    assert least <= relative <= most


# The user's own, and what is refused


def test_a_class_of_torch_or_a_users_function(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def slow(parameters, lr: float, factor: float = 0.5):\n"
        "    return torch.optim.SGD(parameters, lr=lr * factor)\n"
    )
    parameter = parameter_at(START, "plain")
    path = take_steps(build(spec_of(f"{file}:slow", lr=0.2), [parameter]), parameter, 1)
    np.testing.assert_allclose(path[0], START - 0.1 * gradient(START), rtol=1e-12)
    assert isinstance(build(spec_of("torch.optim:RAdam", lr=0.1, betas=[0.8, 0.9]), [parameter]), torch.optim.RAdam)


def test_functions_that_are_no_optimizer_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "def none(parameters):\n    return 3\n"
        "def fails(parameters):\n    raise ValueError('no way')\n"
        "class Bare(torch.optim.Optimizer):\n"
        "    def __init__(self, parameters):\n        super().__init__(parameters, {})\n"
    )
    parameters = [parameter_at(START, "plain")]
    for name, message in {
        f"{file}:none": "returned int, not a torch.optim.Optimizer",
        f"{file}:fails": "failed: ValueError: no way",
        f"{file}:Bare": "without 'lr'",
        "torch.optim:LBFGS": "needs a closure",
    }.items():
        with pytest.raises(BadInput, match=message):
            build(spec_of(name), parameters)


@pytest.mark.parametrize(
    "options",
    [
        {"name": "sgd"},
        {"name": "sgd", "lr": 0.0},
        {"name": "sgd", "lr": -0.1},
        {"name": "sgd", "lr": "0.1"},
        {"name": "sgd", "lr": math.inf},
        {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        {"name": "momentum", "lr": 0.1, "momentum": 1.0},
        {"name": "momentum", "lr": 0.1, "weight_decay": -1e-4},
        {"name": "nesterov", "lr": 0.1, "momentum": 0.0},
        {"name": "adam", "betas": [0.9]},
        {"name": "adam", "betas": [0.9, 0.99, 0.999]},
        {"name": "adam", "betas": [0.9, 1.0]},
        {"name": "adam", "amsgrad": "yes"},
        {"name": "adm"},
        {"lr": 0.1},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FAMILY.type).validate_python(options)


@pytest.mark.parametrize("torchs", ["Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW"])
def test_defaults_are_torchs(torchs: str) -> None:
    """Left out, every option has the value that torch.optim gives it."""
    parameter = parameter_at(START, "plain")
    ours = build(spec_of(torchs.lower()), [parameter]).defaults
    theirs = getattr(torch.optim, torchs)([parameter]).defaults
    assert {key: value for key, value in ours.items() if key != "fused"} == {
        key: value for key, value in theirs.items() if key != "fused"
    }

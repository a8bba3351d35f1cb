"""Schedules: against torch.optim.lr_scheduler where it has the same, and the warm-up in front."""

import math
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch.optim import SGD, Optimizer, lr_scheduler

from lossscape.errors import RunFailed
from lossscape.schedules import FAMILY, SCHEDULES, factor

EPOCHS, STEPS = 12, 5
TOTAL = EPOCHS * STEPS


def spec_of(name: str, **options: Any) -> Any:
    return TypeAdapter(FAMILY.type).validate_python({"name": name, **options})


def factors(name: str, **options: Any) -> list[float]:
    """The factor of every step of a run of 12 epochs of 5 steps."""
    return [factor(spec_of(name, **options), step, STEPS, EPOCHS) for step in range(TOTAL)]


def rates_of_torch(make: Callable[[Optimizer], lr_scheduler.LRScheduler], steps: int, every: int) -> list[float]:
    """What a torch scheduler that is stepped after every `every` steps makes of a learning rate of 1."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, rates = make(optimizer), []
    for step in range(1, steps + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % every == 0:
            scheduler.step()
    return rates


OPTIONS: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"every": 4, "gamma": 0.5},
    "multistep": {"milestones": [3, 4, 9], "gamma": 0.2},
    "exponential": {"gamma": 0.9},
    "cosine": {"final": 0.05},
}
TORCHS: dict[str, tuple[Callable[[Optimizer, int], lr_scheduler.LRScheduler], int]] = {
    "constant": (lambda o, n: lr_scheduler.LambdaLR(o, lambda epoch: 1.0), STEPS),
    "step": (lambda o, n: lr_scheduler.StepLR(o, 4, 0.5), STEPS),
    "multistep": (lambda o, n: lr_scheduler.MultiStepLR(o, [3, 4, 9], 0.2), STEPS),
    "exponential": (lambda o, n: lr_scheduler.ExponentialLR(o, 0.9), STEPS),
    "cosine": (lambda o, n: lr_scheduler.CosineAnnealingLR(o, n, eta_min=0.05), 1),
}


def test_every_schedule_is_compared() -> None:
    assert set(OPTIONS) == set(TORCHS) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_is_torchs_schedule(name: str) -> None:
    make, every = TORCHS[name]
    expected = rates_of_torch(lambda o: make(o, TOTAL), TOTAL, every)
    assert factors(name, **OPTIONS[name]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_stands_in_front_and_the_schedule_starts_at_its_end(name: str) -> None:
    make, every = TORCHS[name]
    expected = rates_of_torch(lambda o: make(o, TOTAL - 10), TOTAL - 10, every)
    ours = factors(name, **OPTIONS[name], warmup_epochs=2)
    assert ours[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert ours[10:] == pytest.approx(expected, rel=1e-12)


def test_warmup_is_torchs_linear_one() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's SequentialLR calls a deprecated form of its own step()
        expected = rates_of_torch(
            lambda o: lr_scheduler.SequentialLR(
                o,
                [lr_scheduler.LinearLR(o, 1 / 10, total_iters=9), lr_scheduler.CosineAnnealingLR(o, TOTAL - 10)],
                [10],
            ),
            TOTAL,
            1,
        )
    assert factors("cosine", warmup_epochs=2) == pytest.approx(expected, rel=1e-9)


def test_values_by_hand() -> None:
    cosine = factors("cosine", final=0.2)
    assert cosine[0] == 1.0
    assert cosine[TOTAL // 2] == pytest.approx(0.6)
    assert all(a > b for a, b in pairwise(cosine))
    assert cosine[-1] == pytest.approx(0.2 + 0.4 * (1 + math.cos(math.pi * 59 / 60)))
    assert factors("multistep", milestones=[1])[4:6] == [1.0, 0.1]
    assert set(factors("constant")) == {1.0}


@pytest.mark.parametrize(("epochs", "steps"), [(0.7, 4), (0.2, 1), (0.05, 0), (100, TOTAL)])
def test_warmup_of_a_part_of_an_epoch_or_more_than_the_run(epochs: float, steps: int) -> None:
    ours = factors("exponential", gamma=0.5, warmup_epochs=epochs)  # 0.7 · 5 = 3.5, rounded to even: 4 steps
    length = round(epochs * STEPS)
    assert ours[:steps] == pytest.approx([(step + 1) / length for step in range(steps)])
    assert ours[steps:] == [0.5 ** (step // STEPS) for step in range(TOTAL - steps)]


@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    warmup=st.just(0.0) | st.floats(1e-30, 5),
    epochs=st.integers(1, 300),
    steps=st.integers(1, 1000),
    at=st.floats(0, 1, exclude_max=True),
)
def test_factor_is_from_0_to_1_and_of_the_step_alone(
    name: str, warmup: float, epochs: int, steps: int, at: float
) -> None:
    spec = spec_of(name, **OPTIONS[name], warmup_epochs=warmup)
    step = int(at * epochs * steps)
    value = factor(spec, step, steps, epochs)
    assert 0 < value <= 1
    assert factor(spec, step, steps, epochs) == value


def test_users_own_schedule(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def linear(epoch, epochs, end: float = 0.0):\n    return 1 + (end - 1) * epoch / epochs\n"
        "def below(epoch, epochs):\n    return -1\n"
        "def nothing(epoch, epochs):\n    return None\n"
    )
    expected = [1 - 0.5 * step / TOTAL for step in range(TOTAL)]
    assert factors(f"{file}:linear", end=0.5) == pytest.approx(expected)
    with pytest.raises(RunFailed, match=r"factor -1\.0 at epoch 0"):
        factors(f"{file}:below")
    with pytest.raises(RunFailed, match="failed at epoch 0: TypeError"):
        factors(f"{file}:nothing")


@pytest.mark.parametrize(
    "options",
    [
        {"name": "step"},
        {"name": "step", "every": 0},
        {"name": "step", "every": 2, "gamma": -0.1},
        {"name": "multistep", "milestones": []},
        {"name": "multistep", "milestones": [0, 5]},
        {"name": "multistep", "milestones": [2.5]},
        {"name": "exponential"},
        {"name": "cosine", "final": 1.5},
        {"name": "cosine", "t_max": 3},
        {"name": "constant", "warmup_epochs": -1},
        {"name": "cosin"},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FAMILY.type).validate_python(options)

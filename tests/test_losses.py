"""Losses: the written formulas in float64, for class numbers and for distributions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from lossscape.losses import FAMILY, LOSSES, cross_entropy, mse, smooth

N, C = 7, 4
OUTPUTS = 3 * torch.randn(N, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = torch.tensor([0, 1, 2, 3, 0, 1, 2])
SOFT = torch.softmax(torch.randn(N, C, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 1)


def log_softmax(outputs: Tensor) -> np.ndarray:
    z = outputs.numpy().astype(np.longdouble)
    return z - z.max(1, keepdims=True) - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True))


def one_hot(targets: Tensor) -> np.ndarray:
    return targets.numpy() if targets.is_floating_point() else np.eye(C)[targets.numpy()]


@pytest.mark.parametrize("targets", [CLASSES, SOFT], ids=["classes", "distribution"])
def test_written_formulas(targets: Tensor) -> None:
    expected = -(one_hot(targets) * log_softmax(OUTPUTS)).sum(1)
    np.testing.assert_allclose(cross_entropy(OUTPUTS, targets).numpy(), expected.astype(float), rtol=1e-13)
    expected = ((OUTPUTS.numpy() - one_hot(targets)) ** 2).sum(1) / C
    np.testing.assert_allclose(mse(OUTPUTS, targets).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"token_cross_entropy"}))
def test_a_loss_for_each_sample_with_a_gradient(name: str) -> None:
    outputs = OUTPUTS.clone().requires_grad_()
    values = LOSSES[name](outputs, CLASSES)
    assert values.shape == (N,)
    assert values.dtype == torch.float64
    values[2].backward()
    assert outputs.grad is not None
    assert outputs.grad[2].abs().min() > 0
    assert torch.count_nonzero(outputs.grad) == C  # the other samples have no part in it


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"token_cross_entropy"}))
def test_soft_targets_of_a_lower_precision_than_the_outputs(name: str) -> None:
    values = LOSSES[name](OUTPUTS, SOFT.float())
    torch.testing.assert_close(values, LOSSES[name](OUTPUTS, SOFT), rtol=1e-6, atol=1e-7)
    assert values.dtype == torch.float64


def test_losses_near_zero_keep_their_digits_and_large_outputs_stay_finite() -> None:
    margin = torch.tensor([[30.0, 0.0]], dtype=torch.float64)
    assert cross_entropy(margin, torch.tensor([0])).item() == pytest.approx(np.log1p(np.exp(-30.0)), rel=1e-9)
    far = torch.tensor([[1e5, -1e5]], dtype=torch.float64)
    assert cross_entropy(far, torch.tensor([1])).item() == 2e5


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_label_smoothing_is_torchs(epsilon: float) -> None:
    smoothed = smooth(CLASSES, C, epsilon, dtype=torch.float64)
    torch.testing.assert_close(smoothed.sum(1), torch.ones(N, dtype=torch.float64))
    expected = nn.functional.cross_entropy(OUTPUTS, CLASSES, reduction="none", label_smoothing=epsilon)
    torch.testing.assert_close(cross_entropy(OUTPUTS, smoothed), expected, rtol=1e-12, atol=1e-14)


def test_users_own_loss(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def scaled(outputs, targets, scale: float = 1.0):\n    return scale * outputs.sum(1)\n")
    spec = TypeAdapter(FAMILY.type).validate_python({"name": f"{file}:scaled", "scale": 2.0, "label_smoothing": 0.1})
    assert spec.label_smoothing == 0.1
    assert FAMILY.arguments(spec) == {"scale": 2.0}
    values = FAMILY.function(spec)(OUTPUTS, CLASSES, **FAMILY.arguments(spec))
    assert torch.equal(values, 2 * OUTPUTS.sum(1))


@pytest.mark.parametrize(
    "options",
    [{"name": "cross_entropy", "label_smoothing": 1.1}, {"name": "mse", "weight": 1.0}, {"name": "nll"}, {}],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FAMILY.type).validate_python(options)

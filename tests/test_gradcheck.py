"""`lossscape gradcheck`: sound nets agree, planted mistakes are caught, kinks and noise are told from them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from cases_models import MODEL_CASES
from conftest import Answer
from torch import Tensor, nn

from lossscape.gradcheck import AGREES, DISAGREES, KINK, Compared, check, failure
from lossscape.objective import Objective

Cli = Callable[..., Answer]
NETS = """\
import torch
from torch import nn

class Bent(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 1.001 * grad * (1 - x.tanh() ** 2)

class Tanh(nn.Module):
    def __init__(self, right):
        super().__init__()
        self.right = right

    def forward(self, x):
        return x.tanh() if self.right else Bent.apply(x)

def net(shape, classes, right: bool = False, frozen: bool = False):
    made = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), Tanh(right), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, classes))
    made[1].requires_grad_(not frozen)
    return made

class Odd(nn.Linear):
    def forward(self, x):
        x = x.flatten(1)
        return super().forward(x.float() if self.single else x + torch.randn_like(x))

def odd(shape, classes, single: bool):
    made = Odd(64, classes)
    made.single = single
    return made
"""
CONFIG = """\
name: own
dataset: {name: digits, train_size: 40, test_size: 20}
model: {name: 'nets.py:net'}
training: {epochs: 0}
optimizer: {name: sgd, lr: 0.1}
"""


class Rounded(nn.Linear):
    """Weights that are rounded to quarters in the forward pass, with the gradient of weights that are not."""

    def forward(self, x: Tensor) -> Tensor:
        rounded = self.weight + ((4 * self.weight).round() / 4 - self.weight).detach()
        return nn.functional.linear(x, rounded, self.bias)


class Fast(nn.Linear):
    """A weight that a sine makes bend within a thousandth of itself."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.sin(500 * self.weight).sum()


def found_in(model: nn.Module, inputs: Tensor, targets: Tensor, loss: Any = "cross_entropy") -> list[Compared]:
    """What the check finds at the model's own values."""
    objective = Objective(model, loss, inputs, targets, precision="fp64")
    return check(objective, objective.parameters(), objective.buffers())


@pytest.mark.parametrize("name", ["mlp", "mlp_batch_norm_prelu", "cnn_max_batch_norm_dropout", "shared_weights"])
def test_sound_nets_agree(name: str) -> None:
    case = MODEL_CASES[name]
    found = found_in(case.model(), case.inputs(9), case.targets(9))
    assert {each.verdict for each in found} == {AGREES}
    assert max(each.relative for each in found) < 1e-5
    assert sum(each.gradient != 0 for each in found) > 0.9 * len(found)


def test_a_step_is_found_where_the_loss_bends_fast() -> None:
    """At the longest steps the sine has gone through its period."""
    torch.manual_seed(0)
    inputs, targets = torch.randn(6, 4), torch.randn(6, 2)
    found = found_in(Fast(4, 2), inputs, targets, "mse")
    assert {each.verdict for each in found} == {AGREES}
    steps = [each.step for each in found if each.parameter == "weight" and each.gradient]
    assert max(steps) < 1e-4


def test_kinks_at_the_point_itself_are_no_mistake() -> None:
    """All weights 0 in front of relu, so that every unit is at its kink, where torch's derivative is 0."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.zeros_(net[0].weight)
    nn.init.zeros_(net[0].bias)
    objective = Objective(net, "cross_entropy", torch.randn(6, 4), torch.arange(6) % 3, precision="fp64")
    found = check(objective, objective.parameters(), objective.buffers())
    assert {each.verdict for each in found if each.parameter.startswith("0.")} == {KINK}
    assert {each.verdict for each in found if each.parameter.startswith("2.")} == {AGREES}
    assert not failure("net", objective, found)


def test_a_gradient_that_is_not_that_of_the_values_is_caught() -> None:
    torch.manual_seed(0)
    found = found_in(nn.Sequential(Rounded(4, 5), nn.Tanh(), nn.Linear(5, 3)), torch.randn(6, 4), torch.arange(6) % 3)
    verdicts = {each.parameter: each.verdict for each in found}
    assert verdicts == {"0.weight": DISAGREES, "0.bias": AGREES, "2.weight": AGREES, "2.bias": AGREES}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(NETS)
    Path("own.yaml").write_text(CONFIG)


@pytest.mark.usefixtures("own")
def test_a_planted_wrong_backward_of_ones_own(cli: Cli) -> None:
    """Off by a thousandth in one layer: what lies in front of it is told, by the command, with exit code 1."""
    answer = cli("gradcheck", "own.yaml", "--output", "table.csv")
    assert answer.code == 1
    assert "own.yaml: the gradient by 2 of 6 tensors disagrees with finite differences (1.weight, 1.bias)" in answer.err
    assert answer.err.rstrip().endswith("the net has a backward pass of its own, Bent")
    table = pd.read_csv("table.csv").set_index("parameter")
    assert table.loc["1.bias", "verdict"].tolist() == [DISAGREES] * 5
    off = table.loc["1.bias"]
    assert (off["gradient"] / off["difference"]).to_numpy() == pytest.approx(1.001, rel=1e-5)
    assert set(table.loc["3.weight", "verdict"]) == {AGREES}

    assert cli("train", "own.yaml", "--set", "model.right=true", "--name", "right", "-q").code == 0
    answer = cli("gradcheck", "runs/right@0", "--samples", 3, "--output", "run.csv")
    assert answer.code == 0, answer.err
    assert "30 slopes of 6 tensors: " in answer.out
    again = cli("gradcheck", "own.yaml", "--set", "model.right=true", "--samples", 3, "-o", "config.csv", "-q")
    assert again.code == 0
    assert Path("run.csv").read_bytes() == Path("config.csv").read_bytes()  # its initial values
    answer = cli("gradcheck", "own.yaml", "--set", "model.frozen=true", "--samples", 2, "--directions", 1)
    assert answer.code == 0, answer.err  # of what learns nothing lies in front of the wrong operation
    assert "2 tensors without requires_grad, not checked" in answer.out


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--set", "model={name: 'nets.py:odd', single: true}"), 2, "shape [N, 1, 8, 8] in float64: RuntimeError"),
        (
            ("--set", "model={name: 'nets.py:odd', single: false}"),
            1,
            "the net's forward is not a fixed function of its",
        ),
        (("--directions", 0, "--coordinates", 0), 2, "there is nothing to check; give one of them"),
    ],
)
def test_nets_that_have_no_gradient_to_check(words: tuple[Any, ...], code: int, told: str, cli: Cli) -> None:
    answer = cli("gradcheck", "own.yaml", *words)
    assert answer.code == code
    assert told in answer.err

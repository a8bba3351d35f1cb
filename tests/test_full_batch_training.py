"""Training by full-batch methods: the function that they descend, what is kept, resumed, counted and refused."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossscape import data, models
from lossscape.config import Experiment, experiment_from
from lossscape.errors import BadInput, RunFailed
from lossscape.optimizers import COUNTS, FULL_BATCH
from lossscape.runs import Run
from lossscape.signals import Interrupted
from lossscape.train import train
from lossscape.train.parallel import World
from lossscape.train.start import prepare

CPU = torch.device("cpu")
EACH = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ("newton", "newton_cg") else pytest.mark.slow) for name in FULL_BATCH],
)
SCIPYS = ("bfgs", "conjugate_gradient", "newton_cg", "trust_region")


def experiment(method: str = "lbfgs", name: str = "run", **sections: Any) -> Experiment:
    """A net of 50 parameters on 60 samples; sections are laid over its own."""
    given: dict[str, Any] = {
        "name": name,
        "dataset": {"name": "synthetic", "train": 60, "test": 30, "shape": [4], "classes": 3, "separation": 1.5},
        "model": {"name": "mlp", "hidden": [5], "activation": "tanh"},
        "optimizer": {"name": method},
        "training": {"epochs": 4},
    }
    for key, value in sections.items():
        given[key] = given.get(key, {}) | value if isinstance(value, dict) and "name" not in value else value
    return experiment_from(given)


def rows(run: Run) -> list[dict[str, str]]:
    """metrics.csv without the seconds."""
    with run.metrics_file.open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def files(run: Run) -> dict[str, bytes]:
    return {checkpoint.path.name: checkpoint.path.read_bytes() for checkpoint in run.checkpoints()}


# The function


def by_hand(config: Experiment, net: nn.Module, targets: Tensor, wanted: list[str]) -> Callable[[Tensor], Tensor]:
    """The mean loss in float64 as a function of the parameters in `wanted`, flat."""
    inputs = data.load(config.dataset, CPU).train.inputs.double()
    fixed = {key: value.detach().double() for key, value in net.named_parameters()}

    def loss(theta: Tensor) -> Tensor:
        pieces = theta.split([fixed[key].numel() for key in wanted])
        own = {key: piece.view(fixed[key].shape) for key, piece in zip(wanted, pieces, strict=True)}
        outputs = torch.func.functional_call(net.double(), fixed | own, (inputs,))
        return -(targets * outputs.log_softmax(1)).sum(1).mean()

    return loss


@pytest.mark.parametrize(
    ("sections", "smoothing", "frozen"),
    [
        ({}, 0.0, False),
        ({"loss": {"name": "cross_entropy", "label_smoothing": 0.2}}, 0.2, False),
        ({"training": {"frozen": ["linear1"], "micro_batch": 7}}, 0.0, True),
    ],
    ids=["plain", "smoothed", "frozen, in small parts"],
)
def test_what_is_descended_is_the_mean_loss_of_all_samples_in_float64(
    sections: dict[str, Any], smoothing: float, frozen: bool, tmp_path: Path
) -> None:
    config = experiment(**sections)
    setup, state = prepare(config, Run(tmp_path / "run"), CPU, World())
    labels = data.load(config.dataset, CPU).train.targets
    targets = (1 - smoothing) * nn.functional.one_hot(labels, 3).double() + smoothing / 3
    net = models.build(config.model, (4,), 3, config.seed)
    wanted = [key for key, value in state.model.named_parameters() if value.requires_grad]
    assert (len(wanted) == 2) == frozen
    loss = by_hand(config, net, targets, wanted)
    whole = setup.whole
    assert whole is not None
    theta = torch.cat([value.detach().double().flatten() for value in state.model.parameters() if value.requires_grad])
    passes: list[int] = []
    whole.done = passes.append
    for at in (theta, theta + 0.1):
        leaf = at.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(leaf), leaf)
        curved = torch.autograd.functional.hessian(loss, at)
        vector = torch.linspace(-1, 1, len(at), dtype=torch.float64)
        value, gradient = whole.gradient(at)
        assert value == pytest.approx(float(loss(at)), rel=1e-13)
        assert whole.value(at) == pytest.approx(value, rel=1e-13)
        torch.testing.assert_close(gradient, slope, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(whole.matrix(at), curved, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(whole.product(at, vector), curved @ vector, rtol=1e-10, atol=1e-13)
    assert sum(passes) % 60 == 0
    assert max(passes) == (7 if frozen else 60)


def test_a_teachers_targets_are_descended_to_its_own_parameters(tmp_path: Path) -> None:
    """Against the soft targets of itself a net's loss and gradient are 0: it has converged where it begins."""
    train(experiment("newton_cg", "teacher"), tmp_path)
    taught = experiment(
        "newton_cg", "pupil", teacher={"run": str(tmp_path / "teacher")}, init_from={"run": str(tmp_path / "teacher")},
        optimizer={"tolerance": 1e-6},
    )  # fmt: skip
    run = train(taught, tmp_path)
    assert run.state()["message"].startswith("converged")
    assert [row["epoch"] for row in rows(run)] == ["0", "1"]
    assert abs(float(rows(run)[-1]["batch_loss"])) < 1e-9


# Whole trainings


@EACH
def test_a_run_of_every_method_lowers_the_loss_and_counts_what_it_asks_for(name: str, tmp_path: Path) -> None:
    run = train(experiment(name, training={"epochs": 3, "ema": 0.5}), tmp_path)
    found = rows(run)
    losses = [float(row["train_loss"]) for row in found]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    assert [*found[0]][-3 - (name in SCIPYS) :] == [*COUNTS, *(["restarted"] if name in SCIPYS else [])]
    assert [found[0][column] for column in COUNTS] == ["0", "0", "0"]
    counts = [[int(row[column]) for column in COUNTS] for row in found]
    for column in range(len(COUNTS)):
        assert [each[column] for each in counts] == sorted(each[column] for each in counts)
    assert counts[-1][1] >= 3
    for row, before in zip(found[1:], losses, strict=False):  # the loss where the step began
        assert float(row["batch_loss"]) == pytest.approx(before, rel=1e-6)
    parameters = int(run.environment()["model"]["parameters"])
    if "newton" in name and name != "newton_cg":
        assert counts[-1][2] == 3 * parameters
    assert (run.path / "checkpoints" / "ema.pt").exists()
    assert run.config.training.batch_size == "all"


@EACH
def test_a_run_that_was_stopped_goes_on_exactly_or_says_that_scipy_began_anew(name: str, tmp_path: Path) -> None:
    whole = train(experiment(name), tmp_path / "a")
    train(experiment(name), tmp_path / "b", until=2)
    parts = train(experiment(name), tmp_path / "b")
    if name in SCIPYS:
        assert [row["restarted"] for row in rows(parts)] == ["0", "0", "0", "1", "1"]
        assert {row["restarted"] for row in rows(whole)} == {"0"}
        assert rows(parts)[:3] == rows(whole)[:3]
    else:
        assert rows(parts) == rows(whole)
        assert files(parts) == files(whole)


STOPPING = """
import os, signal, torch
calls = 0
def loss(outputs, targets):
    global calls
    calls += outputs.requires_grad
    if calls == int(os.environ.get("STOP_AT", 0)):
        os.kill(os.getpid(), signal.SIGINT)
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
"""


@pytest.mark.parametrize("name", ["newton", "lbfgs", "newton_cg"])
def test_an_interrupt_within_a_step_breaks_it_off_and_it_is_taken_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss sends the signal as a derivative is taken."""
    for file in ("a.py", "b.py"):
        (tmp_path / file).write_text(STOPPING)
    whole = train(experiment(name, loss={"name": f"{tmp_path / 'a.py'}:loss"}, training={"epochs": 8}), tmp_path / "a")
    config = experiment(name, loss={"name": f"{tmp_path / 'b.py'}:loss"}, training={"epochs": 8})
    monkeypatch.setenv("STOP_AT", "8")
    with pytest.raises(Interrupted) as stopped:
        train(config, tmp_path / "b")
    assert stopped.value.exit_code == 130
    run = Run(tmp_path / "b" / "run")
    assert run.state()["state"] == "interrupted"
    assert 0 < run.state()["step"] < 8
    monkeypatch.delenv("STOP_AT")
    resumed = train(config, tmp_path / "b")
    if name != "newton_cg":
        assert files(resumed) == files(whole)
        assert rows(resumed) == rows(whole)
    assert [float(row["train_loss"]) for row in rows(resumed)] == sorted(
        (float(row["train_loss"]) for row in rows(resumed)), reverse=True
    )


def test_a_converged_run_is_finished_says_so_and_goes_no_further(tmp_path: Path) -> None:
    config = experiment("newton", training={"epochs": 60}, optimizer={"weight_decay": 0.05})
    run = train(config, tmp_path)
    state = run.state()
    assert state["state"] == "finished"
    assert state["message"].startswith("converged (largest |∂L/∂θ| ")
    assert 3 < state["epoch"] < 60
    assert run.checkpoint("last").epoch == state["epoch"]
    before = run.metrics_file.read_bytes()
    assert train(config, tmp_path).metrics_file.read_bytes() == before
    with pytest.raises(BadInput, match=r"converged.*smaller optimizer.tolerance under another --name"):
        train(experiment("newton", training={"epochs": 90}, optimizer={"weight_decay": 0.05}), tmp_path)
    assert json.loads(run.state_file.read_text()) == state


def test_a_loss_that_is_not_finite_fails_the_run_and_keeps_what_was_before(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\ndef loss(outputs, targets):\n"
        "    found = torch.nn.functional.cross_entropy(outputs, targets, reduction='none')\n"
        "    return found if found.mean() > 1 or not outputs.requires_grad else found * torch.nan\n"
    )
    config = experiment("saddle_free_newton", loss={"name": f"{tmp_path / 'mine.py'}:loss"}, training={"epochs": 30})
    with pytest.raises(
        RunFailed, match=r"optimizer 'saddle_free_newton' failed in step \d+.*not finite|the loss is nan"
    ):
        train(config, tmp_path)
    assert Run(tmp_path / "run").state()["state"] == "failed"
    assert len(rows(Run(tmp_path / "run"))) > 1


# What is refused

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "small batches": ({"training": {"batch_size": 20}}, "batch_size is 20, of 60 samples: set it to all"),
    "accumulation": ({"training": {"accumulate": 2}}, "training.accumulate"),
    "a schedule": ({"schedule": {"name": "cosine"}}, "schedule: the method chooses"),
    "a warm-up": ({"schedule": {"name": "constant", "warmup_epochs": 1.0}}, "without warm-up"),
    "clipping": ({"training": {"clip_value": 1.0}}, "training.clip_norm and clip_value"),
    "bf16": ({"precision": "bf16"}, "precision bf16.*fp32"),
    "dropout": ({"model": {"dropout": 0.1}}, "Dropout: computes something else in training steps"),
    "BatchNorm": ({"model": {"batch_norm": True}}, "BatchNorm1d: computes something else in training steps"),
    "too many parameters": ({"model": {"hidden": [1000]}, "method": "newton"}, "of 5,000 at most"),
}


@pytest.mark.parametrize(("sections", "says"), REFUSED.values(), ids=REFUSED)
def test_what_leaves_no_one_function_to_descend_is_refused(sections: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=says):
        train(experiment(**sections), tmp_path)
    assert not (tmp_path / "run").exists()


def test_all_reasons_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        train(experiment(model={"dropout": 0.1}, training={"batch_size": 20, "clip_norm": 1.0}), tmp_path)
    assert [word in str(refused.value) for word in ("batch_size", "clip_norm", "Dropout")] == [True] * 3


def test_a_net_that_is_random_in_its_own_way_is_refused_and_one_of_frozen_batch_norm_is_not(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\nclass Noisy(torch.nn.Linear):\n    def forward(self, x):\n"
        "        return super().forward(x) + (torch.randn(3) if self.training else 0)\n"
        "def net(shape, classes):\n    return Noisy(4, 3)\n"
    )
    with pytest.raises(BadInput, match="Noisy: computes something else"):
        train(experiment(model={"name": f"{tmp_path / 'mine.py'}:net"}), tmp_path)
    held = experiment(model={"batch_norm": True}, training={"frozen": ["norm1"], "epochs": 1})
    assert float(rows(train(held, tmp_path))[-1]["train_loss"]) > 0


# All samples in a step, for any optimizer


def test_a_batch_of_all_is_one_of_as_many_samples_as_there_are(tmp_path: Path) -> None:
    sgd = {"name": "sgd", "lr": 0.1}
    named = train(experiment(name="a", optimizer=sgd, training={"batch_size": "all"}), tmp_path)
    counted = train(experiment(name="b", optimizer=sgd, training={"batch_size": 60}), tmp_path)
    assert files(named) == files(counted)
    assert rows(named) == rows(counted)
    assert [*rows(named)[0]][-1] == "grad_norm"
    assert experiment(optimizer=sgd).training.batch_size == 100
    for wrong in (0, "every"):
        with pytest.raises(ValueError, match="batch_size"):
            experiment(optimizer=sgd, training={"batch_size": wrong})


def test_a_users_own_full_batch_method_trains_like_the_others(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from lossscape.optimizers import FullBatch, Point\n"
        "class Descent(FullBatch):\n"
        "    def advance(self, function, here):\n"
        "        return Point.of(function, here.theta - self.param_groups[0]['lr'] * here.gradient)\n"
    )
    own = {"name": f"{tmp_path / 'mine.py'}:Descent", "lr": 0.1}
    with pytest.raises(BadInput, match="set it to all"):
        train(experiment(optimizer=own, training={"batch_size": 20}), tmp_path)
    run = train(experiment(name="own", optimizer=own, training={"batch_size": "all"}), tmp_path)
    sgd = train(
        experiment(name="sgd", optimizer={"name": "sgd", "lr": 0.1}, training={"batch_size": "all"}), tmp_path
    )  # fmt: skip
    assert [row["gradient_evaluations"] for row in rows(run)] == ["0", "2", "3", "4", "5"]
    losses = [[float(row["train_loss"]) for row in rows(each)] for each in (run, sgd)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)

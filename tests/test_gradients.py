"""`lossscape gradients`: against plain autograd and hooks, its certificate and page, resume, layers nobody calls."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from computing import gradients
from conftest import Answer
from torch import Tensor, nn

import lossscape as ls
from lossscape.analyses.gradients.compute import Flow, activations
from lossscape.analyses.gradients.figure import build_gradients
from lossscape.analyses.gradients.result import read
from lossscape.config import read_experiment
from lossscape.derivatives import gradient
from lossscape.measured import Measured
from lossscape.problem import problem_of
from lossscape.runs import Run, point_of
from lossscape.train import train
from lossscape.trajectory import Stations, moments_of
from tests.seeing import Page, assert_inside, assert_stands_alone, words_of

SMALL = """\
name: small
dataset: {name: digits, train_size: 60, test_size: 20}
model: {name: mlp, hidden: [5, 4], batch_norm: true}
optimizer: {name: sgd, lr: 0.5, weight_decay: 0.1}
training: {epochs: 2, batch_size: 20}
"""
Cli = Callable[..., Answer]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three checkpoints."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SMALL)
    return train(read_experiment(folder / "small.yaml"), folder / "runs")


def by_hand(run: Run, epoch: int) -> dict[str, list[float]]:
    """Gradient norm, weight norm and root mean square of what they give, by layer, by torch alone in float64."""
    model, split = run.model(run.checkpoint(str(epoch))).double().requires_grad_(True), run.tensors("train")
    given: dict[str, Tensor] = {}
    layers = {name: module for name, module in model.named_modules() if any(True for _ in module.parameters(False))}
    for name, module in layers.items():
        module.register_forward_hook(lambda module, inputs, output, name=name: given.update({name: output.detach()}))
    nn.functional.cross_entropy(model(split.inputs.double()), split.targets).backward()

    def length(values: Any) -> float:
        return float(sum(value.square().sum() for value in values)) ** 0.5

    return {
        name: [
            length(value.grad for value in module.parameters(False)),
            length(value.detach() for value in module.parameters(False)),
            float(given[name].square().mean()) ** 0.5,
        ]
        for name, module in layers.items()
    }


def test_the_command_against_autograd(small: Run, cli: Cli, tmp_path: Path) -> None:
    answer = cli("gradients", small.path, "--all", "--precision", "fp64")
    assert answer.code == 0, answer.err
    (folder,) = small.results("gradients").glob("all-fp64-*")
    found = read(folder)
    assert found.checkpoints == ["epoch-0000", "epoch-0001", "epoch-0002"]
    assert f"certificate  {len(found.layers)} checks passed" in answer.out
    rows = found.table.set_index(["checkpoint", "layer"])
    states = [small.checkpoint(str(epoch)).state() for epoch in range(3)]
    for epoch in range(3):
        truth = by_hand(small, epoch)
        assert found.layers == list(truth)
        for layer, expected in truth.items():
            row = rows.loc[(f"epoch-{epoch:04d}", layer)]
            measured = [row["gradient_norm"], row["weight_norm"], row["activation_rms"]]
            assert measured == pytest.approx(expected, rel=1e-9, abs=1e-12)
            names = [f"{layer}.{name}" for name in ("weight", "bias")]
            assert row["parameters"] == sum(states[0][name].numel() for name in names)
            moved = [(states[epoch][name] - states[epoch - 1][name]).double() for name in names] if epoch else []
            update = float(sum((value**2).sum() for value in moved)) ** 0.5 if epoch else np.nan
            assert row["update_norm"] == pytest.approx(update, rel=1e-5, nan_ok=True)
    assert answer.out.splitlines()[1].startswith(f"epoch-0002: gradient norm {row['gradient_norm']:.3g}"[:26])
    assert cli("report", small.path, "--output", tmp_path / "page").code == 0
    page = Page(tmp_path / "page" / "index.html")
    assert_stands_alone(page)
    assert "Gradient flow 3 checkpoints, epoch-0000 to epoch-0002" in page.text


def test_gone_on_with_to_the_same_bytes(small: Run) -> None:
    folder = gradients(small.path, all=True)
    names = ("gradients.csv", "certificate.json")
    whole = {name: (folder / name).read_bytes() for name in names}
    lines = whole["gradients.csv"].splitlines(keepends=True)
    for name in names:
        (folder / name).unlink()
    (folder / "points.csv").write_bytes(b"".join([*lines[:8], lines[8][:20]]))  # a torn line within a checkpoint
    assert gradients(small.path, all=True) == folder
    assert {name: (folder / name).read_bytes() for name in names} == whole


def test_rows_come_out_alike_of_a_copy_in_another_process(small: Run) -> None:
    """Which is what workers compute with."""
    problem = problem_of(point_of(str(small.path)), Measured())
    source = Flow(problem.objectives()["train"], Stations(problem.model, moments_of(small)))
    last = source.keys[-len(source.layers) :]
    copied = pickle.loads(cloudpickle.dumps(source))
    assert copied.rows(last, None) == source.rows(last, None)
    done: list[int] = []
    source.rows(last, None, done.append)
    assert sum(done) == sum(map(source.cost, last))


def test_layers_without_gradients_are_told_of(small: Run) -> None:
    found = read(gradients(small.path))
    slopes = found.table["gradient_norm"].to_numpy().copy()
    slopes[0], slopes[1] = 0.0, np.inf
    dead = replace(found, table=found.table.assign(gradient_norm=slopes))
    first, second = found.layers[:2]
    assert dead.doubts() == [
        f"The gradient is 0 at 1 of 1 checkpoint in {first}.",
        f"The gradient is not finite at 1 of 1 checkpoint in {second}.",
    ]
    figure = build_gradients(dead)
    assert_inside(figure)
    assert first in words_of(figure)


def test_a_certificate_that_fails(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any) -> dict[str, Tensor]:
        return {name: 1.01 * value for name, value in gradient(*given).items()}

    monkeypatch.setattr("lossscape.analyses.gradients.compute.gradient", wrong)
    with pytest.raises(ls.RunFailed, match="the certificate fails: gradient norm of linear1 at epoch-0001"):
        gradients(f"{small.path}@1")


def test_sizes_of_what_layers_give() -> None:
    """Of a layer whose weight has parts its outputs, of several the first tensor, of one that is not called none."""
    layers = nn.ModuleDict({
        "normed": nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), "seen": nn.LSTM(4, 2, batch_first=True),
        "idle": nn.Linear(2, 2),
    })  # fmt: skip
    names = ["normed", "normed.parametrizations.weight", "seen", "idle"]
    with torch.no_grad(), activations(layers, {name: [] for name in names}) as sizes:
        given = [layers["normed"](torch.randn(5, 6, 3)) for _ in range(2)]
        outputs, _ = layers["seen"](given[1])
    both = float(torch.cat(given).square().mean()) ** 0.5
    assert [sizes[name].value for name in names] == [
        pytest.approx(both), pytest.approx(both), pytest.approx(float(outputs.square().mean()) ** 0.5), None,
    ]  # fmt: skip

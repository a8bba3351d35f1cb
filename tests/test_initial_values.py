"""`lossscape initial-values`: layers against NumPy, units that stay equal, trainings, resume, its part of the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Answer, forget
from torch import nn

from lossscape import data, models
from lossscape.analyses import ANALYSES
from lossscape.analyses.initial_values.figure import build_distributions, build_trainings
from lossscape.analyses.initial_values.passing import Batches, Tally, tallied
from lossscape.analyses.initial_values.result import InitialValues, curves_of, read
from lossscape.analyses.initial_values.twins import Twins, still_equal
from lossscape.config import read_experiment
from lossscape.figures.how import How, drawn
from lossscape.losses import cross_entropy
from lossscape.models.initial import layers_of, units_of
from lossscape.report import write_report
from lossscape.results import read_csv
from lossscape.runs import Run
from tests.seeing import Page, assert_inside, assert_stands_alone, words_of

CONFIG = """\
name: small
seed: 3
dataset: {name: digits, train_size: 80, test_size: 40}
model: {name: mlp, hidden: [7, 6], activation: relu, dropout: 0.5}
optimizer: {name: sgd, lr: 0.1}
training: {epochs: 50, batch_size: 32}
"""
Cli = Callable[..., Answer]


def looked_at(config: Path, **options: Any) -> Path:
    return ANALYSES["initial_values"].run(
        config=str(config), runs=str(config.parent / "runs"), **{"quiet": True, "epochs": 0, "samples": 50} | options
    )


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config file that trains at once."""
    file = tmp_path_factory.mktemp("initial") / "small.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="module")
def whole(config_file: Path) -> InitialValues:
    """A result with trainings."""
    options: dict[str, Any] = {"schemes": ("constant=0.5", "he"), "activations": ("tanh",), "seeds": 2, "epochs": 2}
    return read(looked_at(config_file, **options, set=("model.dropout=0",)))


BY_HAND: dict[str, tuple[Any, Any]] = {
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda a: 1.0 * (a > 0)),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
}
"""Activations, and their derivatives as functions of their values."""


def by_hand(config: Path, activation: str, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Activations, and gradients before them, of he's values on all training data, by NumPy in float64."""
    words = ["model.init=he", f"model.activation={activation}", f"seed={seed}"]
    experiment = read_experiment(config, words)
    loaded = data.load(experiment.dataset)
    net = models.build(experiment.model, loaded.shape, loaded.outputs, seed)
    layers = [(layer.weight.detach().double(), layer.bias.detach().double()) for layer in layers_of(net).values()]
    weights = [(weight.numpy(), bias.numpy()) for weight, bias in layers]
    given = [loaded.train.inputs.flatten(1).double().numpy()]
    behind, slope = BY_HAND[activation]
    for weight, bias in weights[:-1]:
        given.append(behind(given[-1] @ weight.T + bias))
    logits = given[-1] @ weights[-1][0].T + weights[-1][1]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    back = [shares / shares.sum(1, keepdims=True) - np.eye(loaded.outputs)[loaded.train.targets.numpy()]]
    for (weight, _), value in zip(weights[:0:-1], given[:0:-1], strict=True):
        back.insert(0, back[0] @ weight * slope(value))
    names = ("linear1", "linear2", "output")
    values = dict(zip(names, [*given[1:], logits], strict=True))
    return {name: {"": values[name], "gradient_": back[i]} for i, name in enumerate(names)}


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_layers_are_those_of_numpy(activation: str, config_file: Path) -> None:
    folder = looked_at(config_file, schemes=("he",), activations=(activation,), seeds=2, samples=80)
    result = read(folder)
    assert [*result.table["seed"]] == [3, 3, 3, 4, 4, 4]
    truths = {seed: by_hand(config_file, activation, seed) for seed in (3, 4)}
    ends = {"tanh": (-0.98, 0.98), "sigmoid": (0.01, 0.99)}.get(activation)
    for _, row in result.table.iterrows():
        truth = truths[row["seed"]][row["layer"]]
        for prefix, values in truth.items():
            assert row[f"{prefix}std"] == pytest.approx(values.std(), rel=1e-5)
            assert row[f"{prefix}zeros"] == pytest.approx((values == 0).mean(), abs=1e-12)
            assert sum(map(int, row[f"{prefix}counts"].split())) == (values != 0).sum()
        assert row["mean"] == pytest.approx(truth[""].mean(), rel=1e-4, abs=1e-6)
        if ends and row["layer"] != "output":
            outside = (truth[""] < ends[0]) | (truth[""] > ends[1])
            assert row["saturated"] == pytest.approx(outside.mean(), abs=1e-12)
        else:
            assert np.isnan(row["saturated"])
    edges, counts = result.histogram(activation, "he", "linear2", "gradient_")
    both = np.concatenate([truths[seed]["linear2"]["gradient_"].ravel() for seed in (3, 4)])
    wanted, places = np.histogram(both[both != 0], 50)
    assert edges == pytest.approx(places, rel=1e-4)
    assert np.abs(counts - wanted).sum() <= 4  # of values at an edge, in fp32


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    tally = Tally()
    values = torch.tensor([1.0, torch.inf, 0.0, torch.nan, -3.0])
    tally.first(values)
    tally.second(values, tally.low, tally.high)
    assert (tally.lost, tally.count, tally.zeros, int(tally.bins.sum())) == (2, 3, 1, 2)
    assert (tally.mean, tally.std) == pytest.approx((-2 / 3, np.std([1.0, 0.0, -3.0])))
    same = Tally()
    same.first(torch.full((4,), 5.0))
    same.second(torch.full((4,), 5.0), 5.0, 5.0)
    assert same.bins.tolist() == [4, *[0] * 49]


class Own(nn.Module):
    """Activations in place, without a module, and shared; a layer twice, and one that nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last, self.idle = (nn.Linear(3, n) for n in (3, 3, 2, 2))
        self.norm, self.relu, self.dropout = nn.BatchNorm1d(3), nn.ReLU(inplace=True), nn.Dropout(0.9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.dropout(self.relu(self.norm(self.first(x))))
        return self.last(torch.tanh(self.twice(self.relu(self.twice(h)))))


def test_modules_as_people_write_them() -> None:
    torch.manual_seed(0)
    net, inputs, targets = Own(), torch.randn(12, 3), torch.randint(2, (12,))
    found = tallied({0: net}, Batches(inputs, targets, cross_entropy, 12), lambda done: None)[0]
    net.train()
    net.dropout.eval()
    a = net.first(inputs).detach().requires_grad_(True)
    h = torch.relu(net.norm(a))
    once = net.twice(h)
    z = net.twice(torch.relu(once))
    slopes = torch.autograd.grad(cross_entropy(net.last(torch.tanh(z)), targets).sum(), [a, once, z])
    values, back = found["first"]
    assert (values.std, back.std) == pytest.approx((h.std(correction=0).item(), slopes[0].std(correction=0).item()))
    values, back = found["twice"]  # what is seen behind each call
    both = torch.cat([torch.relu(once), z])
    assert (values.count, values.std) == (72, pytest.approx(both.std(correction=0).item()))
    assert back.std == pytest.approx(torch.cat(slopes[1:]).std(correction=0).item())
    assert found["idle"][0].count == found["idle"][1].count == 0
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("model", ["name: cnn, channels: [4, 10], batch_norm: true", "name: 'nets.py:small_resnet'"])
def test_any_net_has_rows(model: str, tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    lines = [f"model: {{{model}}}" if line.startswith("model") else line for line in CONFIG.splitlines()]
    file.write_text("\n".join(lines) + "\n")
    (tmp_path / "nets.py").write_text((Path(__file__).parent / "nets.py").read_text())
    result = read(looked_at(file, schemes=("he", "constant=1"), seeds=1, samples=20, epochs=1))
    table = result.table
    he, constant = (table[table["scheme"] == scheme] for scheme in ("he", "constant=1"))
    assert (he["std"] > 0).all()
    assert (he["equal"] == 0).all()
    assert (constant["equal"] == constant["units"]).all()
    assert np.isfinite(he["gradient_std"]).all()
    assert [*result.trainings["state"]] == ["finished", "finished"]


def test_units_of_every_kind_of_layer() -> None:
    for layer in (
        nn.Linear(4, 6), nn.Conv2d(2, 6, 3, groups=2, bias=False), nn.ConvTranspose2d(2, 6, 3),
        nn.ConvTranspose1d(4, 6, 3, groups=2),
    ):  # fmt: skip
        with torch.no_grad():
            before = units_of(layer).clone()
            assert len(before) == 6
            inputs = torch.randn(2, *{nn.Linear: (4,), nn.ConvTranspose1d: (4, 5)}.get(type(layer), (2, 5, 5)))
            full = layer(inputs)
            layer.weight.mul_(0.0)
            assert (units_of(layer)[:, : before.shape[1] - (layer.bias is not None)] == 0).all()
            assert full.shape[1] == 6


def test_units_that_stay_equal_are_counted() -> None:
    start = torch.tensor([[1.0, 2], [1, 2], [3, 4], [1, 2], [5, 6], [5, 6]])
    assert still_equal(start, start) == Twins(5, 5, 0, 0.0)
    end = start + torch.tensor([[1.0, 1], [1, 1], [0, 7], [1, 2], [1, 0], [1, 1e-5]])
    assert still_equal(start, end) == Twins(5, 4, 5, pytest.approx(1 / 5**0.5))
    assert still_equal(start[1:3], end[1:3]) == Twins(0, 0, 0, None)
    assert still_equal(start[4:], start[4:] + torch.tensor([[0.0, 0], [1, 0]])).end == 0


def test_equal_units_stay_equal_and_others_begin_apart(whole: InitialValues) -> None:
    units = whole.units
    hidden = units[units["layer"] != "output"]
    own = hidden[hidden["scheme"] == "constant=0.5"]
    assert len(own) == 4
    assert (own["equal_start"] == own["units"]).all()
    assert (own["equal_end"] == own["units"]).all()
    assert (own["moved"] == own["units"]).any()
    assert (units[units["scheme"] == "he"]["equal_start"] == 0).all()
    outputs = units[(units["layer"] == "output") & (units["scheme"] == "constant=0.5")]
    assert (outputs["equal_end"] == 0).all()  # each has labels of its own
    assert "26 of 26 hidden units begin equal, 26 of 26 end so (" in "\n".join(whole.lines())


def test_trainings_begin_with_the_values_that_were_looked_at(whole: InitialValues, config_file: Path) -> None:
    rows = whole.trainings[whole.trainings["scheme"] == "he"]
    assert [*rows["seed"]] == [3, 4]
    for _, row in rows.iterrows():
        run = Run(whole.folder.parents[1] / row["run"])
        first = layers_of(run.model("first"))
        experiment = read_experiment(config_file, ["model.init=he", f"seed={row['seed']:.0f}"])
        loaded = data.load(experiment.dataset)
        net = models.build(experiment.model, loaded.shape, loaded.outputs, experiment.seed)
        assert all(torch.equal(first[name].weight, layer.weight) for name, layer in layers_of(net).items())
        assert row["epochs"] == 2
        assert row["test_accuracy"] == read_csv(run.metrics_file)["test_accuracy"].iloc[-1]
    own = whole.summary[whole.summary["scheme"] == "he"].iloc[0]
    losses = rows["train_loss"].to_numpy()
    assert (own["n"], own["diverged"]) == (2, 0)
    assert own["train_loss_mean"] == pytest.approx(losses.mean())
    assert own["train_loss_std"] == pytest.approx(losses.std(ddof=1))
    epochs, curves = curves_of(whole, "tanh", "he", "train_loss")
    assert [*epochs] == [0, 1, 2]
    assert curves[:, -1] == pytest.approx(losses)


def test_figures_hold_everything(whole: InitialValues) -> None:
    figure = build_distributions(whole, "tanh", "gradients")
    assert_inside(figure)
    words = words_of(figure)
    assert all(word in words for word in ("constant=0.5", "he", "linear2", "output", "50 training inputs of digits"))
    assert "saturated" in words_of(build_distributions(whole, "tanh", captioned=False))
    assert_inside(build_trainings(whole))
    with drawn(How(vmin=0.01, vmax=50)):
        assert build_trainings(whole).axes[0].get_ylim() == (0.01, 50)


@pytest.mark.slow
def test_the_page_has_its_part(whole: InitialValues, tmp_path: Path) -> None:
    page = Page(write_report([Run(run.path) for run in whole.runs], tmp_path / "page"))
    assert_stands_alone(page)
    assert "Initial values" in page.text
    assert "26 of 26 hidden units begin equal, 26 of 26 end so (" in page.text
    assert {"layers.csv", "units.csv", "trainings.csv"} <= {file.name for file in page.local_files()}


def test_what_is_there_is_kept_and_what_lacks_is_computed(config_file: Path) -> None:
    options: dict[str, Any] = {"schemes": ("he",), "seeds": 2, "epochs": 1}
    folder = looked_at(config_file, **options)
    layers, summary = ((folder / name).read_bytes() for name in ("layers.csv", "summary.csv"))
    times = [run.metrics_file.stat().st_mtime_ns for run in read(folder).runs]
    forget(folder)
    lines = layers.splitlines(keepends=True)
    (folder / "layers.csv").unlink()
    (folder / "points.csv").write_bytes(b"".join(lines[:3]) + lines[3][:9])  # as a kill leaves it
    (folder / "summary.csv").unlink()
    assert looked_at(config_file, **options) == folder
    assert [(folder / name).read_bytes() for name in ("layers.csv", "summary.csv")] == [layers, summary]
    assert [run.metrics_file.stat().st_mtime_ns for run in read(folder).runs] == times


def test_a_training_that_diverges_is_marked(config_file: Path, cli: Cli) -> None:
    words = ("--schemes", "he", "--seeds", 2, "--epochs", 2, "--samples", 20, "--set", "loss.name=mse")
    place = ("--runs", config_file.parent / "lost", "--set", "optimizer.lr=1e12")
    code, out, err = cli("initial-values", config_file, *words, *place)
    assert code == 0, err
    assert "2 of 2 trainings diverged" in out
    result = read(next((config_file.parent / "lost").glob("*/initial_values/*")))
    he = result.trainings[result.trainings["scheme"] == "he"]
    assert [*he["state"]] == ["diverged", "diverged"]
    assert he["train_loss"].isna().all()
    assert result.summary[["n", "diverged"]].to_numpy().tolist() == [[0, 2]]
    assert "he (2 of 2 diverged)" in words_of(build_trainings(result))


@pytest.mark.slow
def test_workers_give_the_same_tables(config_file: Path) -> None:
    options: dict[str, Any] = {"schemes": ("he", "constant=1"), "seeds": 2, "epochs": 1, "samples": 40}
    folder = looked_at(config_file, **options)
    names = ("layers.csv", "units.csv", "trainings.csv", "summary.csv")
    here = [(folder / name).read_bytes() for name in names]
    assert looked_at(config_file, **options, workers=2, overwrite=True) == folder
    assert [(folder / name).read_bytes() for name in names] == here


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--schemes", "constant"), "give its number, as in constant=0.1"),
        (("--schemes", "he=2"), "only constant and normal have a number"),
        (("--schemes", "normal=-1"), "with config and normal=-1"),
        (("--schemes", "best"), "best"),
        (("--activations", "step"), "step"),
        (("--seeds", "0"), "--seeds"),
        (("--set", "init_from.run=runs/a"), "leave it out"),
        (("--set", "model.name=resnet18", "--activations", "tanh"), "activation"),
    ],
)
def test_what_does_not_fit_is_refused(words: tuple[str, ...], told: str, config_file: Path, cli: Cli) -> None:
    code, _, err = cli("initial-values", config_file, *words, "--runs", config_file.parent / "none")
    assert (code, told in err) == (2, True), err
    assert not (config_file.parent / "none").exists()

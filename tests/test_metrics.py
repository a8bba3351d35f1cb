"""Metrics against NumPy, in a config of the user's own, and in a training of numbers from end to end."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lossscape import losses
from lossscape.adopt import adopt
from lossscape.analyses import ANALYSES
from lossscape.config import RunConfig, experiment_from, read_experiment
from lossscape.errors import BadInput
from lossscape.metrics import METRICS
from lossscape.objective import Objective, Plan
from lossscape.runs import Run
from lossscape.scoring import Scoring
from lossscape.train import train

N, C = 40, 8
OUTPUTS = 2 * torch.randn(N, C, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CLASSES = torch.arange(N) % C
SHARES = torch.softmax(torch.randn(N, C, generator=torch.Generator().manual_seed(1)).double(), 1)
Array = np.ndarray


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def rank_of(z: Array, right: Array) -> Array:
    return np.array([list(np.argsort(-row)).index(label) for row, label in zip(z, right, strict=True)])


def margin_of(z: Array, right: Array) -> Array:
    return np.array([row[label] - np.delete(row, label).max() for row, label in zip(z, right, strict=True)])


TRUTHS: dict[str, Any] = {
    "accuracy": lambda z, t: rank_of(z, t.argmax(1)) == 0,
    "error": lambda z, t: rank_of(z, t.argmax(1)) > 0,
    "top5": lambda z, t: rank_of(z, t.argmax(1)) < 5,
    "margin": lambda z, t: margin_of(z, t.argmax(1)),
    "entropy": lambda z, t: -(softmax(z) * np.log(softmax(z))).sum(1),
    "brier": lambda z, t: ((softmax(z) - t) ** 2).sum(1),
    "mae": lambda z, t: np.abs(z - t).mean(1),
}


def test_every_metric_has_a_truth() -> None:
    assert set(TRUTHS) == set(METRICS)


@pytest.mark.parametrize("name", TRUTHS)
@pytest.mark.parametrize("kind", ["classes", "shares"])
def test_written_formulas(name: str, kind: str) -> None:
    targets, shares = (CLASSES, np.eye(C)[CLASSES]) if kind == "classes" else (SHARES, SHARES.numpy())
    expected = TRUTHS[name](OUTPUTS.numpy(), shares)
    np.testing.assert_allclose(METRICS[name](OUTPUTS, targets).double().numpy(), expected, rtol=1e-12)
    if kind == "shares" and name != "mae":  # soft targets are kept as logarithms
        logs = METRICS[name](OUTPUTS, SHARES.log()).double().numpy()
        np.testing.assert_allclose(logs, expected, rtol=1e-12)


def test_fewer_classes_than_five_and_outputs_beyond_all_bounds() -> None:
    few = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
    assert METRICS["top5"](few, torch.tensor([2])).item()
    far = torch.tensor([[1e4, -1e4, 0.0]], dtype=torch.float64)
    assert METRICS["entropy"](far, torch.tensor([0])).item() == 0
    assert METRICS["brier"](far, torch.tensor([1])).item() == 2
    assert METRICS["margin"](far, torch.tensor([0])).item() == 1e4


def test_means_of_all_metrics_and_of_ones_own() -> None:
    objective = Objective(nn.Identity(), "cross_entropy", OUTPUTS, CLASSES, metrics=[*METRICS], precision="fp64")
    found = objective.metrics()
    assert tuple(found) == objective.columns == ("loss", *METRICS)
    for name, truth in TRUTHS.items():
        assert found[name] == pytest.approx(truth(OUTPUTS.numpy(), np.eye(C)[CLASSES]).mean(), rel=1e-12)
    own = Objective(nn.Identity(), "cross_entropy", OUTPUTS, CLASSES, metrics={"largest": lambda z, t: z.amax(1)})
    assert own.metrics()["largest"] == pytest.approx(float(OUTPUTS.amax(1).mean()), rel=1e-6)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (lambda z: z, "metric mine failed: TypeError"),
        (lambda z, t: z.nothing, "metric mine failed: AttributeError"),
        (lambda z, t: 3.0, "metric mine gives a float, not a tensor"),
        (lambda z, t: z, r"metric mine gives shape \[5, 3\] for 5 samples"),
    ],
)
def test_a_metric_of_ones_own_that_does_not_do_is_named(metric: Any, words: str) -> None:
    scoring = Scoring("cross_entropy", {"mine": metric}, torch.zeros(5, dtype=torch.int64))
    with pytest.raises(BadInput, match=words):
        scoring.per_sample(torch.zeros(5, 3, dtype=torch.float64), torch.zeros(5, dtype=torch.int64))


def test_metrics_that_say_yes_or_no_are_shares_and_functions_of_their_names_are_not() -> None:
    targets = torch.zeros(5, dtype=torch.int64)
    assert Scoring("cross_entropy", ("margin", "top5", "accuracy"), targets).shares == ["top5", "accuracy"]
    own = {"accuracy": lambda z, t: 100 * (z.argmax(1) == t), "error": METRICS["error"]}
    assert Scoring("cross_entropy", own, targets).shares == ["error"]


INF, NAN = float("inf"), float("nan")


def scored(outputs: Any, targets: Any, metrics: Any = ("accuracy", "error", "top5", "margin")) -> dict[str, Any]:
    """Of each sample, from outputs as a net gives them."""
    outputs, targets = torch.tensor(outputs, dtype=torch.float64), torch.tensor(targets)
    found = Scoring("cross_entropy", metrics, targets).per_sample(outputs, targets)
    return {name: each.tolist() for name, each in found.items()}


def test_nobody_is_of_the_class_0_for_outputs_that_are_not_a_number() -> None:
    of_zero = scored([[NAN] * 3, [3.0, 2.0, 1.0]], [0, 0])
    for name, right in {"loss": None, "accuracy": 1, "error": 0, "top5": 1, "margin": 1}.items():
        lost, known = of_zero[name]
        assert math.isnan(lost)
        assert right is None or known == right
    one = scored([[0.0, NAN, 1.0]], [2])
    assert all(math.isnan(value) for (value,) in one.values())
    own = scored([[NAN, 1.0], [2.0, 1.0]], [0, 0], {"accuracy": lambda z, t: z.argmax(1) == t})  # a function of a user
    assert own["accuracy"][1] == 1
    assert math.isnan(own["accuracy"][0])


@pytest.mark.parametrize("metrics", [("accuracy", "error", "top5", "margin"), ("accuracy", "entropy"), ()])
@pytest.mark.parametrize("odd", [None, NAN, INF, -INF])
def test_points_that_are_scored_together_have_the_bits_of_each_alone(metrics: Any, odd: float | None) -> None:
    """Of more points than are scored at once, of outputs that are cut off a wider tensor, some of them no numbers."""
    samples, classes, points = 701, 10, 21
    generator = torch.Generator().manual_seed(1)
    outputs = 8 * torch.randn(points, samples, classes + 6, generator=generator)[:, :, :classes]
    if odd is not None:
        outputs[4, 3] = odd
        outputs[5, 2, :2] = odd
    targets = torch.randint(0, classes, (samples,), generator=generator)
    scoring = Scoring("cross_entropy", metrics, targets)
    assert 1 < scoring.together(outputs[0]) < points or "entropy" in metrics
    together = list(scoring.at_points(iter(outputs), targets))
    for one, found in zip(outputs, together, strict=True):
        for name, expected in scoring.per_sample(one.double(), targets).items():
            assert torch.equal(found[name].double().view(torch.int64), expected.double().view(torch.int64)), name


def odd_outputs(samples: int, classes: int, odd: float | None) -> torch.Tensor:
    """Of 21 points, cut off a wider tensor, some of them no numbers, and some largest ones alike."""
    outputs = 8 * torch.randn(21, samples, classes + 6, generator=torch.Generator().manual_seed(1))[:, :, :classes]
    outputs[2, 5], outputs[3, 5, 1:3], outputs[3, 6, :2] = 0, 50, 50
    if odd is not None:
        outputs[4, 3] = odd
        outputs[5, 2, :2] = odd
    return outputs


@pytest.mark.parametrize("metrics", [("accuracy", "error"), ()])
@pytest.mark.parametrize("odd", [None, NAN, INF, -INF])
def test_outputs_that_are_scored_class_by_class_have_the_values_of_numpy(
    metrics: Any, odd: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, made, calls = odd_outputs(701, 10, odd), losses.cross_entropy_by_class, []
    targets = torch.arange(701) % 10
    scoring = Scoring(losses.FAMILY.bound(losses.LossOptions(name="cross_entropy")), metrics, targets)
    assert 1 < scoring.together(outputs[0]) < len(outputs)
    monkeypatch.setattr(losses, "cross_entropy_by_class", lambda z, t: calls.append(len(z)) or made(z, t))
    together = list(scoring.at_points(iter(outputs), targets, by_class=True))
    assert len(calls) == -(-len(outputs) // scoring.together(outputs[0]))
    for one, found in zip(outputs, together, strict=True):
        exact, right = one.double().numpy(), targets.numpy()
        with np.errstate(invalid="ignore"):
            expected = np.logaddexp.reduce(exact, axis=1) - exact[np.arange(701), right]
        plain = scoring.per_sample(one.double(), targets)
        known = np.isfinite(exact).all(1)
        np.testing.assert_allclose(found["loss"].numpy()[known], expected[known], rtol=1e-12, atol=1e-13)
        np.testing.assert_array_equal(found["loss"].numpy()[~known], plain["loss"].numpy()[~known])
        if metrics:
            np.testing.assert_array_equal(found["accuracy"].numpy()[known], (exact.argmax(1) == right)[known])
        for name in metrics:
            np.testing.assert_array_equal(found[name].numpy(), plain[name].numpy())


def test_points_that_are_scored_class_by_class_have_the_bits_of_each_alone() -> None:
    targets, generator = torch.arange(413) % 10, torch.Generator().manual_seed(0)
    outputs = 5 * torch.randn(300, 413, 10, generator=generator)
    scoring = Scoring("cross_entropy", None, targets)
    assert scoring.together(outputs[0]) > 8
    for one, found in zip(outputs, scoring.at_points(iter(outputs), targets, by_class=True), strict=True):
        (alone,) = scoring.at_points([one], targets, by_class=True)
        assert torch.equal(found["loss"], alone["loss"])


@pytest.mark.parametrize(
    ("loss", "metrics", "samples", "classes"),
    [
        ("cross_entropy", None, 400, 10),
        ("cross_entropy", None, 400, 33),
        ("cross_entropy", ("accuracy", "margin"), 500, 10),
        ("cross_entropy", {"accuracy": lambda z, t: z.argmax(1) == t}, 500, 10),
        ("mse", None, 500, 10),
    ],
)
def test_nothing_else_is_scored_class_by_class(
    loss: str, metrics: Any, samples: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "cross_entropy_by_class", None)
    targets = torch.arange(samples) % classes
    scoring, outputs = Scoring(loss, metrics, targets), odd_outputs(samples, classes, None)[:3]
    for one, found in zip(outputs, scoring.at_points(outputs, targets, by_class=True), strict=True):
        expected = scoring.per_sample(one.double(), targets)
        assert {name: each.tolist() for name, each in found.items()} == {k: e.tolist() for k, e in expected.items()}


@pytest.mark.parametrize(
    ("loss", "metrics", "shape", "targets"),
    [
        (lambda z, t: z.logsumexp(1) - z.mean(), None, (9, 3), torch.zeros(9, dtype=torch.int64)),
        ("cross_entropy", {"accuracy": lambda z, t: z.amax(1) - z.mean()}, (9, 3), torch.zeros(9, dtype=torch.int64)),
        ("cross_entropy", None, (9, 3), torch.full((9, 3), 1 / 3)),
        ("mse", None, (9, 3), torch.zeros(9, 3)),
        ("cross_entropy", None, (9, 2, 3), torch.zeros(9, 2, dtype=torch.int64)),
    ],
)
def test_points_are_scored_alone_where_a_row_may_hang_on_others(
    loss: Any, metrics: Any, shape: Any, targets: Any
) -> None:
    outputs = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    scoring = Scoring(loss, metrics, targets)
    for one, found in zip(outputs, scoring.at_points(outputs, targets), strict=True):
        expected = scoring.per_sample(one.double(), targets)
        assert {name: each.tolist() for name, each in found.items()} == {
            k: each.tolist() for k, each in expected.items()
        }


def test_which_of_two_infinite_outputs_is_larger_is_not_known() -> None:
    found = scored([[INF, 1.0, 0.0], [INF, INF, 0.0], [-INF, -INF, -INF], [-INF, 2.0, 1.0]], [0, 0, 0, 1])
    assert found["accuracy"][::3] == [1, 1]  # of one alone it is
    assert found["error"][::3] == [0, 0]
    assert found["top5"] == [1, 1, 1, 1]  # of three classes
    assert all(math.isnan(each) for name in ("accuracy", "error") for each in found[name][1:3])
    many = torch.zeros(1, 8, dtype=torch.float64)
    many[0, :6] = INF
    assert math.isnan(scored(many.tolist(), [0])["top5"][0])
    many[0, 5] = 0
    assert scored(many.tolist(), [0])["top5"] == [1]


def test_positions_that_are_not_a_number() -> None:
    outputs = [[[NAN, 1.0], [2.0, 1.0]], [[NAN, 1.0], [2.0, 1.0]]]
    found = scored(outputs, [[0, 0], [-100, 0]], ["accuracy"])
    assert math.isnan(found["accuracy"][0])
    assert found["accuracy"][1] == 1  # where the position does not count


def test_a_mean_over_outputs_that_are_not_a_number_is_none() -> None:
    inputs = OUTPUTS.clone()
    inputs[7, 3] = NAN
    objective = Objective(nn.Identity(), "cross_entropy", inputs, CLASSES, metrics=[*METRICS], plan=Plan(8, False))
    assert all(math.isnan(value) for value in objective.metrics().values())


# --- from a config to results -----------------------------------------------------------------------------------

NUMBERS: dict[str, Any] = {
    "name": "numbers",
    "device": "cpu",
    "dataset": {"name": "synthetic_regression", "inputs": 4, "outputs": 2, "train": 60, "test": 30},
    "model": {"name": "mlp", "hidden": [8], "activation": "tanh"},
    "loss": {"name": "mse"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "training": {"epochs": 3, "batch_size": 20, "early_stopping": {"patience": 5}},
}


def rows_of(run: Run) -> list[dict[str, str]]:
    with run.metrics_file.open() as lines:
        return list(csv.DictReader(lines))


def certified(folder: Path) -> list[str]:
    content = json.loads((folder / "certificate.json").read_text())
    assert content["passed"]
    return [check["name"] for check in content["checks"] if check["kind"] == "dense"]


@pytest.mark.parametrize("metrics", [None, ["mae"]], ids=["none", "mae"])
def test_numbers_have_no_accuracy_and_everything_works_on_them(metrics: list[str] | None, tmp_path: Path) -> None:
    run = train(experiment_from(NUMBERS | ({"metrics": metrics} if metrics else {})), tmp_path)
    measured = ["loss", *(metrics or [])]
    columns = [f"{split}_{name}" for split in ("train", "test") for name in measured]
    rows = rows_of(run)
    assert list(rows[0]) == ["epoch", "step", "lr", *columns, "batch_loss", "grad_norm", "seconds"]
    x, t = run.tensors("test")
    with torch.no_grad():
        expected = float(((run.model().double()(x.double()) - t) ** 2).mean())
    assert float(rows[-1]["test_loss"]) == pytest.approx(expected, rel=1e-5)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    least = min(range(4), key=lambda epoch: float(rows[epoch]["test_loss"]))
    best = torch.load(run.named_file("best"), weights_only=True)
    assert all(torch.equal(best[k], v) for k, v in torch.load(run.epoch_file(least), weights_only=True).items())

    line = ANALYSES["interpolate"].run(start=str(run.path), points=5, split="both", device="cpu")
    assert (line / "curve.csv").read_text().splitlines()[0] == ",".join(["alpha", *columns])
    assert any("mae" in name for name in certified(line)) == bool(metrics)
    plane = ANALYSES["landscape"].run(centre=str(run.path), grid=(3, 3), device="cpu", samples=20)
    assert "accuracy" not in (plane / "surface.csv").read_text()
    certified(plane)
    with pytest.raises(BadInput, match="--targets hard: are classes, and the data's targets are numbers"):
        ANALYSES["landscape"].run(centre=str(run.path), grid=(3, 3), device="cpu", targets="hard")
    soft = ANALYSES["landscape"].run(centre=str(run.path), grid=(3, 3), device="cpu", targets="soft")
    certified(soft)
    losses = pd.read_csv(soft / "surface.csv").set_index(["x", "y"])["train_loss"]
    assert losses[0, 0] < 1e-12 < 1e-3 < losses.drop((0, 0)).min()
    adopted = adopt(
        RunConfig.model_validate(
            {key: NUMBERS[key] for key in ("device", "dataset", "model", "loss")} | {"name": "again"}
        ),
        [run.epoch_file(0), run.epoch_file(3)],
        tmp_path,
        epochs=[0, 3],
    )
    assert float(rows_of(adopted)[-1]["test_loss"]) == pytest.approx(expected, rel=1e-5)


CLASSED: dict[str, Any] = NUMBERS | {
    "name": "classes",
    "dataset": {"name": "synthetic", "shape": [4], "classes": 7, "train": 60, "test": 30},
    "loss": {"name": "cross_entropy"},
}
STOPPING = {"patience": 1, "metric": "test_accuracy"}
OWN = """
def above(outputs, targets):
    return outputs.amax(1) - outputs.mean(1)
"""


def test_metrics_of_ones_own_stand_where_accuracy_does(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    names = ["accuracy", "top5", "error", "margin", "entropy", "brier", "mae", "mine.py:above"]
    config = tmp_path / "mine.yaml"
    config.write_text(json.dumps(CLASSED | {"metrics": names}))
    run = train(read_experiment(config), tmp_path / "runs")
    measured = ["loss", *names[:-1], "above"]
    assert list(rows_of(run)[0])[3:21] == [f"{split}_{name}" for split in ("train", "test") for name in measured]
    again = Run(run.path)  # finds the file by its way from the run
    assert list(again.config.metric_functions() or ()) == measured[1:]
    last = rows_of(run)[-1]
    assert float(last["test_error"]) == pytest.approx(1 - float(last["test_accuracy"]), abs=1e-12)
    plane = ANALYSES["landscape"].run(centre=str(run.path), grid=(3, 3), device="cpu")
    dense = [name.split(" at ")[0] for name in certified(plane)]
    assert set(dense) == {f"train {name}" for name in measured}
    assert all(dense.count(f"train {name}") == 1 for name in measured[1:])  # the one that is off most


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"metrics": ["acuracy"]}, "did you mean 'accuracy'"),
        ({"metrics": ["none.py:f"]}, "there is no file"),
        ({"metrics": ["accuracy", "accuracy"]}, "twice"),
    ],
)
def test_metrics_of_a_config_that_are_wrong(changed: Any, words: str, tmp_path: Path) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(json.dumps(CLASSED | changed))
    with pytest.raises(BadInput, match=words):
        read_experiment(config)


@pytest.mark.parametrize(
    ("config", "changed", "words"),
    [
        (NUMBERS, {"training": {"epochs": 1, "early_stopping": STOPPING}}, "not measured"),
        (NUMBERS, {"metrics": ["accuracy"]}, "accuracy is of classes"),
        (NUMBERS, {"loss": {"name": "mse", "label_smoothing": 0.1}}, "no class for each sample"),
        (NUMBERS, {"loss": {"name": "cross_entropy"}}, "loss is of classes"),
        (CLASSED, {"output": "logits"}, "no output to name"),
    ],
)
def test_trainings_that_do_not_fit(config: Any, changed: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=words):
        train(experiment_from(config | changed), tmp_path)


def test_a_run_that_was_begun_with_other_metrics_is_refused(tmp_path: Path) -> None:
    train(experiment_from(CLASSED), tmp_path)
    with pytest.raises(BadInput, match="metrics"):
        train(experiment_from(CLASSED | {"metrics": ["margin"]}), tmp_path)


TEXTS = """
import torch
from torch import nn

def texts():
    generator = torch.Generator().manual_seed(0)
    def split(n):
        ids = torch.randint(9, (n, 5), generator=generator)
        mask = torch.arange(5) < torch.randint(2, 6, (n, 1), generator=generator)
        return {"input_ids": ids, "attention_mask": mask}, ids.roll(1, 1).masked_fill(~mask, -100) % 109
    x, y = split(40)
    x_test, y_test = split(20)
    mend = lambda t: torch.where(t > 8, -100, t)
    return x, mend(y), x_test, mend(y_test)

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, 6), nn.Linear(6, classes)
    def forward(self, input_ids, attention_mask):
        hidden = self.embedding(input_ids) * attention_mask[:, :, None]
        return {"hidden": hidden, "logits": self.head(torch.tanh(hidden.cumsum(1)))}

def net(shape, classes):
    return Net(classes)
"""


@pytest.mark.parametrize("loss", ["cross_entropy", "token_cross_entropy"])
def test_a_net_of_texts_is_trained_and_looked_at(loss: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TEXTS)
    config = tmp_path / "mine.yaml"
    given = CLASSED | {"dataset": {"name": "mine.py:texts"}, "model": {"name": "mine.py:net"}, "loss": {"name": loss}}
    config.write_text(json.dumps(given))
    run = train(read_experiment(config), tmp_path / "runs")
    rows = rows_of(run)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    x, t = run.tensors("test")
    with torch.no_grad():
        logits = run.model().double()(**x.tensors)["logits"]  # type: ignore[union-attr]
    each = [nn.functional.cross_entropy(z, y) for z, y in zip(logits, t, strict=True)]
    whole = nn.functional.cross_entropy(logits.flatten(0, 1), t.flatten())
    expected = float(torch.stack(each).mean() if loss == "cross_entropy" else whole)
    assert float(rows[-1]["test_loss"]) == pytest.approx(expected, rel=1e-5)
    certified(ANALYSES["interpolate"].run(start=str(run.path), points=5, split="both", device="cpu"))
    certified(ANALYSES["landscape"].run(centre=str(run.path), grid=(3, 3), device="cpu", samples=30))

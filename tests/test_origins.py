"""Nets from nets: other nets' values to begin with, frozen layers, ensembles that teach, and hints of hidden layers."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from computing import curvature, ends_of, interpolate, landscape, minimum
from conftest import Answer
from torch import Tensor, nn

from lossscape import losses
from lossscape.analyses.curvature.optimizer import weight_decay
from lossscape.analyses.curvature.result import read as read_curvature
from lossscape.analyses.minimum.result import read as read_minimum
from lossscape.config import Teacher, experiment_from
from lossscape.errors import BadInput
from lossscape.figures.facts import facts_of
from lossscape.report import write_report
from lossscape.runs import Run
from lossscape.train import train
from lossscape.train.hint import regressor_of
from lossscape.train.origin import freeze
from lossscape.train.teacher import lesson_of

DATA = {"name": "synthetic", "shape": [6], "classes": 3, "train": 48, "test": 24}


def trained(folder: Path, name: str, until: int | None = None, **sections: Any) -> Run:
    """A small net of two hidden layers with BatchNorm, two epochs of momentum with weight decay."""
    data = {
        "name": name, "dataset": DATA,
        "model": {"name": "mlp", "hidden": [7, 5], "batch_norm": True},
        "optimizer": {"name": "momentum", "lr": 0.05, "weight_decay": 0.01},
        "training": {"epochs": 2, "batch_size": 16} | sections.pop("training", {}),
    }  # fmt: skip
    return train(experiment_from(data | sections), folder, until=until)


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that others learn from, a and b, and one of another head."""
    folder = tmp_path_factory.mktemp("origins")
    for seed, name in enumerate("ab"):
        trained(folder, name, seed=seed + 1, model={"name": "mlp", "hidden": [7, 5], "batch_norm": True})
    trained(folder, "other", dataset=DATA | {"classes": 4})
    return folder


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[str]:
    """The names whose values are the same to the bit."""
    return [name for name, value in first.items() if torch.equal(value, second[name])]


def test_training_begins_with_another_nets_values(origins: Path, tmp_path: Path) -> None:
    there = Run(origins / "a").checkpoint("1").state()
    run = trained(tmp_path, "whole", init_from={"run": f"{origins}/a@1"})
    assert same(run.checkpoint("first").state(), there) == list(there)
    assert run.environment()["init_from"] == {
        "run": "a", "checkpoint": "epoch-0001", "sha256": Run(origins / "a").checkpoint("1").sha256,
    }  # fmt: skip
    file = Run(origins / "a").epoch_file(1)
    from_file = trained(tmp_path, "file", init_from={"run": str(file)})
    assert from_file.epoch_file(2).read_bytes() == run.epoch_file(2).read_bytes()
    assert from_file.environment()["init_from"]["file"] == str(file)

    fresh = trained(tmp_path, "fresh", until=0).checkpoint("first").state()
    layers = ["linear1", "norm*", "linear2.bias"]
    part = trained(tmp_path, "part", until=0, init_from={"run": f"{origins}/a@1", "layers": layers})
    taken = [n for n in there if n.startswith(("linear1.", "norm")) or n == "linear2.bias"]
    begun = part.checkpoint("first").state()
    assert set(same(begun, there)) >= set(taken)
    assert {"linear2.weight", "output.weight", "output.bias"} <= set(same(begun, fresh)) - set(same(begun, there))


def test_a_replaced_head_is_left_out(origins: Path, tmp_path: Path) -> None:
    remedy = r"output.weight is float \[4, 5\], the model has float \[3, 5\]; take those that fit: init_from.layers: "
    with pytest.raises(BadInput, match=remedy + r"\[linear1, norm1, linear2, norm2\]"):
        trained(tmp_path, "head", init_from={"run": f"{origins}/other"})
    assert not (tmp_path / "head").exists()
    layers = ["linear1", "norm1", "linear2", "norm2"]
    run = trained(tmp_path, "head", init_from={"run": f"{origins}/other", "layers": layers})
    there, begun = Run(origins / "other").checkpoint().state(), run.checkpoint("first").state()
    assert all(torch.equal(begun[name], there[name]) for name in there if not name.startswith("output"))


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"run": "{a}", "layers": ["lin"]}, r"init_from.layers: layer 'lin' is not known .*linear1"),
        ({"run": "{a}", "layers": ["linear2", "linear3"]}, r"layer 'linear3' is not known \(did you mean"),
        ({"run": "{a}/nobody"}, "init_from.run: .*nobody: no such run"),
        ({"run": "{a}/nothing.pt"}, "nothing.pt: no such file of weights"),
        ({"run": "{a}/config.yaml"}, "config.yaml: truncated, or holds something else than tensors"),
    ],
)
def test_origins_that_are_refused(origins: Path, tmp_path: Path, section: dict[str, Any], says: str) -> None:
    section["run"] = section["run"].format(a=origins / "a")
    with pytest.raises(BadInput, match=says):
        trained(tmp_path, "x", init_from=section)
    assert not (tmp_path / "x").exists()


def test_values_that_are_not_finite_are_no_beginning(origins: Path, tmp_path: Path) -> None:
    state = Run(origins / "a").checkpoint().state()
    torch.save(state | {"linear1.bias": torch.full((7,), math.nan)}, tmp_path / "nan.pt")
    with pytest.raises(BadInput, match=r"nan.pt: linear1.bias holds NaN"):
        trained(tmp_path, "x", init_from={"run": str(tmp_path / "nan.pt")})
    torch.save(state | {"more": torch.zeros(2)}, tmp_path / "more.pt")
    with pytest.raises(BadInput, match=r"more is not in the model; take those that fit: init_from.layers: \[linear1"):
        trained(tmp_path, "x", init_from={"run": str(tmp_path / "more.pt")})


def test_an_origin_that_changed_is_noticed_and_one_that_is_gone_is_not_needed(origins: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(Run(origins / "a").epoch_file(2).read_bytes())
    init = {"run": str(file)}
    whole = trained(tmp_path / "whole", "x", init_from=init)
    trained(tmp_path, "x", until=1, init_from=init)
    other = Run(origins / "b").epoch_file(2).read_bytes()
    kept = file.read_bytes()
    file.write_bytes(other)
    with pytest.raises(BadInput, match=r"begun with another origin: .*weights.pt has been trained anew since; choose"):
        trained(tmp_path, "x", init_from=init)
    file.write_bytes(kept)
    file.unlink()
    with pytest.raises(BadInput, match="no such file of weights"):
        trained(tmp_path, "new", init_from=init)
    run = trained(tmp_path, "x", init_from=init)
    assert run.epoch_file(2).read_bytes() == whole.epoch_file(2).read_bytes()


def test_a_run_says_that_its_origin_is_not_here(origins: Path, tmp_path: Path, cli: Any) -> None:
    init = {"run": str(tmp_path / "moved.pt")}
    (tmp_path / "moved.pt").write_bytes(Run(origins / "a").epoch_file(2).read_bytes())
    run = trained(tmp_path, "x", until=1, init_from=init)
    (tmp_path / "moved.pt").unlink()
    answer: Answer = cli("train", run.config_file)
    assert answer.code == 0, answer
    sha = run.environment()["init_from"]["sha256"]
    assert f"moved.pt, which this run began from (SHA-256 {sha[:12]}…), is not here" in answer.err


def test_frozen_layers_keep_their_values(origins: Path, tmp_path: Path) -> None:
    run = trained(
        tmp_path, "x", init_from={"run": f"{origins}/a"}, training={"frozen": ["linear1", "norm1", "output.bias"]}
    )
    first, last = run.checkpoint("first").state(), run.checkpoint().state()
    kept = [n for n in first if n.startswith(("linear1.", "norm1.")) or n == "output.bias"]
    assert same(last, first) == kept
    assert "norm1.running_mean" in kept  # and norm2's have moved
    optimizer = torch.load(run.resume_file, weights_only=True)["optimizer"]
    trainable = [name for name, _ in run.model().named_parameters() if name not in kept]
    assert len(optimizer["param_groups"][0]["params"]) == len(optimizer["state"]) == len(trainable) == 5
    with pytest.raises(BadInput, match=r"training.frozen: leaves nothing to be trained"):
        trained(tmp_path, "y", training={"frozen": ["*"]})


def test_a_tied_parameter_is_frozen_by_each_of_its_names() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    freeze(net, ["1"])
    assert [name for name, value in net.named_parameters() if value.requires_grad] == ["0.bias", "2.weight", "2.bias"]


def test_weight_decay_is_of_the_layers_that_learn(origins: Path, tmp_path: Path) -> None:
    given = {"frozen": ["linear1", "norm1"], "batch_size": 48}
    run = trained(tmp_path, "x", training=given, init_from={"run": f"{origins}/a"})
    decay = weight_decay(run, run.model())
    assert set(decay.values()) == {0.01}
    assert list(decay) == [n for n, _ in run.model().named_parameters() if not n.startswith(("linear1.", "norm1."))]


def test_steps_beside_frozen_layers_are_those_of_torch(origins: Path, tmp_path: Path) -> None:
    run = trained(
        tmp_path, "x", init_from={"run": f"{origins}/a"}, optimizer={"name": "sgd", "lr": 0.1, "weight_decay": 0.5},
        training={"frozen": ["linear1", "norm1"], "batch_size": 48, "epochs": 1},
    )  # fmt: skip
    net, (inputs, labels) = Run(origins / "a").model(), run.tensors("train")
    net.train()
    for name in ("linear1", "norm1"):
        net.get_submodule(name).requires_grad_(False).eval()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5)
    nn.functional.cross_entropy(net(inputs), labels).backward()
    optimizer.step()
    for name, value in run.checkpoint().state().items():
        torch.testing.assert_close(value, net.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_an_ensemble_says_the_mean_of_its_nets_probabilities(origins: Path) -> None:
    runs = [Run(origins / name) for name in "ab"]
    data = runs[0].dataset()
    with torch.no_grad():
        logits = [run.model()(data.train.inputs).double().numpy() for run in runs]
    for temperature in (1.0, 4.0):
        raised = [np.exp(each / temperature) for each in logits]
        mean = sum(each / each.sum(1, keepdims=True) for each in raised) / 2
        teacher = Teacher(run=[str(run.path) for run in runs], temperature=temperature)
        lesson = lesson_of(teacher, data, losses.cross_entropy)
        np.testing.assert_allclose(lesson.targets[:, :-1].exp(), mean, rtol=1e-5)
    hard = Teacher(run=[str(run.path) for run in runs], targets="hard")
    found = lesson_of(hard, data, losses.cross_entropy).targets
    np.testing.assert_array_equal(found, sum(np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in logits).argmax(1))
    with pytest.raises(BadInput, match=r"teacher other@epoch-0002: tells 4 classes apart, the data has 3"):
        lesson_of(Teacher(run=[str(runs[0].path), str(origins / "other")]), data, losses.cross_entropy)


def test_at_high_temperatures_the_gradient_is_of_matched_logits(origins: Path) -> None:
    """Hinton et al., equation 4: ∂C/∂z = (z − v) / (N T²) of logits that are 0 in the mean; times T², whatever T."""
    run = Run(origins / "a")
    data = run.dataset()
    lesson = lesson_of(Teacher(run=str(run.path), temperature=1e4), data, losses.cross_entropy)
    with torch.no_grad():
        taught = run.model()(data.train.inputs).double()
    outputs = torch.randn(taught.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    outputs.requires_grad_()
    lesson.loss(outputs, lesson.targets).sum().backward()
    centred = [each - each.mean(1, keepdim=True) for each in (outputs.detach(), taught)]
    torch.testing.assert_close(outputs.grad, (centred[0] - centred[1]) / 3, rtol=1e-3, atol=1e-4)


HINT = {"teacher_layer": "activation1", "student_layer": "activation1"}


def test_a_hint_trains_the_net_up_to_its_layer(origins: Path, tmp_path: Path) -> None:
    """Against FitNets' equation 3 by torch, from the regressor's own initial values."""
    sections = {
        "model": {"name": "mlp", "hidden": [4, 5], "batch_norm": True}, "optimizer": {"name": "sgd", "lr": 0.5},
        "teacher": {"run": f"{origins}/a", "hint": HINT}, "training": {"batch_size": 48, "epochs": 1},
    }  # fmt: skip
    begun = trained(tmp_path, "x", until=0, **sections)
    values = torch.load(begun.resume_file, weights_only=True)["model"]
    net, inputs = begun.model("first").train(), begun.tensors("train").inputs
    regressor = nn.Linear(4, 7)
    regressor.load_state_dict({key: values[f"regressor.1.{key}"] for key in ("weight", "bias")})
    with torch.no_grad():
        said = Run(origins / "a").model()[:4](inputs)
    assert isinstance(net, nn.Sequential)
    learned = net[:4]
    optimizer = torch.optim.SGD([*learned.parameters(), *regressor.parameters()], lr=0.5)
    loss = (regressor(learned(inputs)) - said).square().mean()
    loss.backward()
    loss = loss.detach()
    optimizer.step()
    run = trained(tmp_path, "x", **sections)
    last = run.checkpoint().state()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(last[name], value, rtol=1e-5, atol=1e-6)
    assert same(last, run.checkpoint("first").state()) == [n for n in last if n.startswith(("linear2", "norm2", "out"))]
    rows = np.genfromtxt(run.metrics_file, delimiter=",", names=True)
    assert rows.dtype.names == ("epoch", "step", "lr", "train_loss", "test_loss", "batch_loss", "grad_norm", "seconds")
    assert rows["batch_loss"][1] == pytest.approx(float(loss), rel=1e-5)
    with torch.no_grad():
        net.eval()
        for split in ("train", "test"):
            inputs = run.tensors(split).inputs
            error = (regressor(learned(inputs)) - Run(origins / "a").model()[:4](inputs)).square().mean()
            assert rows[f"{split}_loss"][1] == pytest.approx(float(error), rel=1e-5)


def test_a_regressor_of_maps_is_a_convolution() -> None:
    assert regressor_of(torch.Size((4, 8, 8)), torch.Size((6, 5, 8)))(torch.zeros(2, 4, 8, 8)).shape == (2, 6, 5, 8)
    for student in ((4, 3, 3), (20,)):
        made = regressor_of(torch.Size(student), torch.Size((6, 5, 8)))
        assert made(torch.zeros(2, *student)).shape == (2, 240)


@pytest.mark.parametrize(
    ("hint", "says"),
    [
        ({"teacher_layer": "activation9"}, r"teacher.hint.teacher_layer: layer 'activation9' is not known"),
        ({"student_layer": "linear"}, r"teacher.hint.student_layer: layer 'linear' is not known"),
        ({"student_layer": "flatten"}, r"teacher.hint.student_layer: flatten: no layer up to it learns"),
    ],
)
def test_hints_that_are_refused(origins: Path, tmp_path: Path, hint: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        trained(tmp_path, "x", teacher={"run": f"{origins}/a", "hint": HINT | hint})
    assert not (tmp_path / "x").exists()


def test_a_hint_of_a_net_of_other_inputs_is_refused(origins: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"teacher.hint: .*/a does not take these data: RuntimeError: .*; take another"):
        trained(tmp_path, "x", dataset=DATA | {"shape": [5]}, teacher={"run": f"{origins}/a", "hint": HINT})


def sections_of(origins: Path, kind: str) -> dict[str, Any]:
    """What a run learns from."""
    a, b = f"{origins}/a", f"{origins}/b@1"
    return {
        "fine-tuned": {"init_from": {"run": a}, "training": {"frozen": ["linear1", "norm1"], "ema": 0.9}},
        "distilled": {"teacher": {"run": [a, b], "temperature": 3.0, "weight": 0.5}},
        "hinted": {"teacher": {"run": a, "hint": HINT}, "training": {"ema": 0.9}},
        "whole": {  # whose function has the values of the frozen layers in it
            "init_from": {"run": a, "layers": ["linear1", "norm*"]}, "optimizer": {"name": "lbfgs"},
            "training": {"frozen": ["linear1", "norm*"], "batch_size": 48},
        },
    }[kind]  # fmt: skip


KINDS = ("fine-tuned", "distilled", "hinted")


@pytest.mark.parametrize("kind", ["fine-tuned", "hinted"])
def test_methods_that_take_the_data_whole_leave_frozen_layers_alone(origins: Path, tmp_path: Path, kind: str) -> None:
    sections = sections_of(origins, kind)
    given = sections.pop("training") | {"batch_size": 48}
    if kind == "fine-tuned":
        given["frozen"] = ["linear1", "norm1", "norm2"]  # statistics of batches are no function of the parameters
    else:
        sections["model"] = {"name": "mlp", "hidden": [7, 5]}
    run = trained(tmp_path, "x", optimizer={"name": "lbfgs"}, training=given, **sections)
    first, last = run.checkpoint("first").state(), run.checkpoint().state()
    learned = ["linear1.weight", "linear1.bias"] if kind == "hinted" else ["linear2.weight", "linear2.bias",
               "output.weight", "output.bias"]  # fmt: skip
    assert [name for name in last if name not in same(last, first)] == learned
    rows = np.genfromtxt(run.metrics_file, delimiter=",", names=True)
    assert rows["train_loss"][-1] < rows["train_loss"][0]


@pytest.mark.parametrize("kind", [*KINDS, "whole"])
@pytest.mark.cpu
def test_nets_from_nets_continue_to_the_same_bits(origins: Path, tmp_path: Path, kind: str) -> None:
    at_once = trained(tmp_path / "once", "x", **sections_of(origins, kind))
    trained(tmp_path / "twice", "x", until=1, **sections_of(origins, kind))
    resumed = trained(tmp_path / "twice", "x", **sections_of(origins, kind))
    assert resumed.config.resolved() == at_once.config.resolved()
    files = sorted(path.name for path in (at_once.path / "checkpoints").glob("*.pt"))
    assert len(files) > 3
    for name in files:
        assert (resumed.path / "checkpoints" / name).read_bytes() == (at_once.path / "checkpoints" / name).read_bytes()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("kind", [*(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[:2]), KINDS[2]])
def test_analyses_take_nets_from_nets(origins: Path, tmp_path: Path, kind: str) -> None:
    """Against the data's labels, without the nets that they learned from, wherever the run lies."""
    run = trained(tmp_path, "x", **sections_of(origins, kind))
    run.config_file.write_text(run.config_file.read_text().replace(str(origins), "nowhere"))
    (run.path / "digests.jsonl").unlink()
    first, last = ends_of(run)
    for folder in (interpolate(first, last, points=3), landscape(last, grid=3)):
        assert json.loads((folder / "certificate.json").read_text())["passed"]
    assert read_minimum(minimum(last, grid=3)).row("soft")["loss"] == pytest.approx(0, abs=1e-9)
    spectrum = read_curvature(curvature(last, largest=1, smallest=0, vectors=0, trace_vectors=6))
    assert spectrum.table["converged"].tolist() == [1]
    assert write_report([run], tmp_path / "report").is_file()
    assert facts_of(run).loss == ("squared error of a hidden layer" if kind == "hinted" else "cross_entropy")

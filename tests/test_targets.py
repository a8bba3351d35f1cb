"""Relabelled data: a true minimum at the net itself, wherever a loss is taken, and training towards it."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cases_models import MODEL_CASES, ModelCase
from computing import interpolate, landscape, minimum
from conftest import forget
from torch import nn

from lossscape.analyses.minimum.result import read as read_minimum
from lossscape.config import Teacher, experiment_from
from lossscape.derivatives import gradient
from lossscape.errors import BadInput
from lossscape.evaluate import Subspace, grid_points, table
from lossscape.losses import cross_entropy, kl_divergence
from lossscape.measured import Measured
from lossscape.objective import Objective
from lossscape.problem import problem_of
from lossscape.report import write_report
from lossscape.results import read_curve, read_surface
from lossscape.runs import Run, point
from lossscape.targets import relabelled, targets_of
from lossscape.text import number
from lossscape.train import train
from lossscape.train.teacher import lesson_of
from lossscape.vectors import norm
from lossscape.vectors.random import random_directions
from tests.seeing import Page, assert_stands_alone


@pytest.mark.parametrize(("name", "case"), MODEL_CASES.items(), ids=MODEL_CASES.keys())
def test_the_net_is_a_true_minimum_of_what_it_says(name: str, case: ModelCase) -> None:
    inputs = case.inputs(8)
    plain = Objective(case.model(), "cross_entropy", inputs, case.targets(8), precision="fp64")
    said = plain.outputs()
    soft = Objective(plain.model, kl_divergence, inputs, targets_of(said, "soft"), precision="fp64")
    hard = Objective(plain.model, "cross_entropy", inputs, targets_of(said, "hard"), precision="fp64")
    origin, buffers = dict(plain.parameters()), dict(plain.buffers())
    assert hard.metrics()["accuracy"] == 1
    assert abs(soft.metrics()["loss"]) < 1e-14
    assert soft.metrics()["accuracy"] == 1
    assert norm(gradient(soft, origin, buffers)) < 1e-12 * max(1.0, norm(gradient(hard, origin, buffers)))
    plane = Subspace(origin, random_directions(origin, 2), buffers)
    points = grid_points((3, 3), (-0.5, 0.5), (-0.5, 0.5))
    losses = table(soft, plane, points)["loss"].to_numpy()
    assert losses.argmin() == 4
    assert (np.delete(losses, 4) > 0).all()


def test_kl_divergence_is_cross_entropy_less_the_entropy() -> None:
    torch.manual_seed(0)
    outputs, said = (torch.randn(6, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64).log_softmax(1))
    entropy = -(said.exp() * said).sum(1)
    torch.testing.assert_close(kl_divergence(outputs, said), cross_entropy(outputs, said.exp()) - entropy)
    assert kl_divergence(said + 3.0, said).abs().max() < 1e-15


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_landscapes_and_lines_against_targets(own_run: Run, kind: Any) -> None:
    centre = point(str(own_run.path))
    folder = landscape(centre, grid=(5, 5), split="both", targets=kind)
    assert kind in folder.name
    surface = read_surface(folder)
    labels = read_surface(landscape(centre, grid=(5, 5), split="both"))
    middle = surface.values("train_loss")[2, 2]
    assert surface.values("train_accuracy")[2, 2] == 1
    if kind == "soft":
        assert abs(middle) < 1e-9
        assert surface.table["train_loss"].min() == middle
    assert (surface.values("train_loss") != labels.values("train_loss")).any()
    assert (surface.values("test_loss") == labels.values("test_loss")).all()  # always against the data's labels
    settings = surface.settings
    assert settings["targets"] == kind
    assert settings["teacher"] == centre.settings()
    certificate = json.loads((folder / "certificate.json").read_text())
    assert certificate["passed"]
    stored = [check["name"] for check in certificate["checks"] if check["kind"] == "stored"]
    assert [name.split()[0] for name in stored] == ["test"]

    start, end = point(str(own_run.path), "first"), centre
    curve = read_curve(interpolate(start, end, points=5, targets=kind, teacher=end))
    assert curve.table["train_accuracy"].iloc[-1] == 1
    assert kind in curve.folder.name


def test_a_subset_is_the_same_whatever_the_targets(own_run: Run) -> None:
    centre = point(str(own_run.path))
    test = [
        read_surface(landscape(centre, grid=(3, 3), split="both", samples=60, targets=kind)).values("test_loss")
        for kind in ("labels", "hard", "soft")
    ]
    assert (test[0] == test[1]).all()
    assert (test[0] == test[2]).all()


def test_only_the_inputs_of_a_subset_are_relabelled(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    centre = point(str(own_run.path))
    whole = relabelled(centre, own_run.tensors("train").inputs, "soft")
    passed: list[int] = []

    def counted(teacher: Any, inputs: Any, *given: Any) -> Any:
        passed.append(len(inputs))
        return relabelled(teacher, inputs, *given)

    monkeypatch.setattr("lossscape.problem.relabelled", counted)
    problem = problem_of(centre, Measured(targets="soft"), "cpu")
    few = replace(problem, measured=replace(problem.measured, samples=60))
    part = few.objectives()["train"]
    assert part.sample is not None
    torch.testing.assert_close(part.targets, whole[part.sample.indices], rtol=0, atol=1e-6)
    assert passed == [1, 60]
    for _ in range(2):
        assert torch.equal(problem.objectives()["train"].targets, whole)
    assert passed == [1, 60, len(whole)]


def test_what_a_minimum_says(own_run: Run, cli: Callable[..., Any]) -> None:
    answer = cli("minimum", own_run.path, "--targets", "soft", "--grid", "5")
    assert answer.code == 0, answer
    assert "against soft: loss " in answer.out
    assert "the lowest of its plane" in answer.out
    (folder,) = (own_run.path / "minimum").iterdir()
    found = read_minimum(folder)
    rows = {targets: SimpleNamespace(**found.row(targets)) for targets in found.table["targets"]}
    assert list(rows) == ["labels", "soft"]
    assert found.metrics == ["accuracy"]
    assert abs(rows["soft"].loss) < 1e-9
    assert rows["soft"].gradient_norm < 1e-6 * rows["labels"].gradient_norm
    assert (rows["soft"].points_below, rows["soft"].lowest_x, rows["soft"].lowest_y) == (0, 0.0, 0.0)
    assert rows["soft"].lowest_loss == pytest.approx(0, abs=1e-9)
    targets = torch.load(folder / "targets.pt", weights_only=True)["targets"]
    model, (inputs, labels) = own_run.model(), own_run.tensors("train")
    with torch.no_grad():
        torch.testing.assert_close(targets, model(inputs).double().log_softmax(1), rtol=1e-5, atol=1e-5)
        loss = float(nn.functional.cross_entropy(model(inputs), labels))
    assert rows["labels"].loss == pytest.approx(loss, rel=1e-5)
    model.zero_grad()
    nn.functional.cross_entropy(model(inputs), labels).backward()
    slope = norm({name: value.grad for name, value in model.named_parameters() if value.grad is not None})
    assert rows["labels"].gradient_norm == pytest.approx(slope, rel=1e-4)

    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert minimum(point(str(own_run.path)), targets="soft", grid=5) == folder
    assert {file.name: file.read_bytes() for file in folder.iterdir() if file.name != ".lock"} == {
        name: content for name, content in before.items() if name != ".lock"
    }
    hard = SimpleNamespace(**read_minimum(minimum(point(str(own_run.path)), targets="hard", grid=5)).row("hard"))
    assert hard.accuracy == 1
    assert hard.loss > 0
    assert hard.lowest_loss <= hard.loss * (1 + 1e-6)


def test_a_minimum_is_on_the_page(own_run: Run) -> None:
    folder = minimum(point(str(own_run.path)), targets="soft", grid=3, reach=0.5)
    page = Page(write_report([own_run], own_run.report_folder))
    assert_stands_alone(page)
    assert "Left out" not in page.text
    row = read_minimum(folder).row("labels")
    for words in (
        "Minima epoch-0003, soft targets",
        f"labels {number(row['loss'])} {100 * row['accuracy']:.2f} % {number(row['gradient_norm'])}",
        "3 × 3 points from −0.5 to 0.5 of two filter-normalised random directions, seed 0.",
        "against soft it is.",
        "Data: digits, 300 train samples.",
    ):
        assert words in page.text
    copies = {file.name for file in page.local_files() if file.parent.name == folder.name}
    assert copies == {"summary.csv", "settings.yaml"}
    forget(folder)
    (folder / "summary.csv").write_text("targets,loss\nsoft,1\n")
    page = Page(write_report([own_run], own_run.report_folder))
    assert f"minimum/{folder.name} : {folder}/summary.csv: not the summary of a minimum" in page.text


def test_minima_that_are_refused(own_run: Run, tmp_path: Path) -> None:
    centre = point(str(own_run.path))
    with pytest.raises(BadInput, match="odd number"):
        minimum(centre, grid=4)
    with pytest.raises(BadInput, match="give hard or soft"):
        minimum(centre, targets="labels")
    with pytest.raises(BadInput, match="--teacher digits@epoch-0003: whose outputs are the targets"):
        landscape(centre, grid=(3, 3), teacher=centre)
    state = torch.load(own_run.epoch_file(1), weights_only=True)
    next(iter(state.values()))[0] = math.nan
    torch.save(state, own_run.epoch_file(1))
    for targets in ("hard", "soft"):
        with pytest.raises(
            BadInput, match=r"epoch-0001.pt: .* holds NaN: the net had diverged; take another checkpoint"
        ):
            landscape(centre, grid=(3, 3), targets=targets, teacher=point(f"{own_run.path}@1"))
    (tmp_path / "settings.yaml").write_text("analysis: minimum\n")
    (tmp_path / "summary.csv").write_text("targets,loss\nsoft,1\n")
    with pytest.raises(BadInput, match="not the summary"):
        read_minimum(tmp_path)


# --- training towards a teacher ------------------------------------------------------------------------------


def taught(run: Run, folder: Path, name: str, **teacher: Any) -> Run:
    return train(
        experiment_from(
            {
                "name": name,
                "dataset": run.config.resolved()["dataset"],
                "model": {"name": "mlp", "hidden": [12]},
                "optimizer": {"name": "adam", "lr": 0.01},
                "training": {"epochs": 3, "batch_size": 50},
                "teacher": {"run": str(run.path), **teacher},
            }
        ),
        folder,
    )


def test_a_net_that_is_taught_comes_nearer_to_its_teacher(own_run: Run, tmp_path: Path) -> None:
    run = taught(own_run, tmp_path, "soft")
    rows = np.genfromtxt(run.metrics_file, delimiter=",", names=True)
    assert rows["train_loss"][-1] < 0.7 * rows["train_loss"][0]
    inputs, _ = run.tensors("train")
    said = relabelled(point(str(own_run.path)), inputs, "soft")
    with torch.no_grad():
        outputs = run.model()(inputs).double()
    assert rows["train_loss"][-1] == pytest.approx(float(kl_divergence(outputs, said).mean()), rel=1e-5)
    agreement = float((outputs.argmax(1) == said.argmax(1)).double().mean())
    assert rows["train_accuracy"][-1] == pytest.approx(agreement)
    test_inputs, test_labels = run.tensors("test")
    with torch.no_grad():
        test_loss = float(nn.functional.cross_entropy(run.model()(test_inputs).double(), test_labels))
    assert rows["test_loss"][-1] == pytest.approx(test_loss, rel=1e-5)
    assert run.environment()["teacher"] == point(str(own_run.path)).settings()
    certificate = json.loads((landscape(point(str(run.path)), grid=(3, 3)) / "certificate.json").read_text())
    assert certificate["passed"]  # the rows are of other targets, and are not compared


@pytest.mark.parametrize(
    "teacher", [{"targets": "hard"}, {"targets": "hard", "weight": 0.3}, {"temperature": 3.0, "weight": 0.6}]
)
def test_what_a_step_minimises(own_run: Run, tmp_path: Path, teacher: dict[str, Any]) -> None:
    run = taught(own_run, tmp_path, "step", **teacher)
    settings, data = run.config.teacher, run.dataset()
    assert settings is not None
    lesson = lesson_of(settings, data, cross_entropy)
    outputs = run.model()(data.train.inputs)
    with torch.no_grad():
        said = own_run.model()(data.train.inputs).double()
    t, w = settings.temperature, settings.weight
    against = (
        cross_entropy(outputs, said.argmax(1))
        if settings.targets == "hard"
        else t * t * kl_divergence(outputs / t, (said / t).log_softmax(1))
    )
    expected = w * against + (1 - w) * cross_entropy(outputs, data.train.targets)
    torch.testing.assert_close(lesson.loss(outputs, lesson.targets).double(), expected.double(), rtol=1e-4, atol=1e-5)


def test_a_teacher_that_changed_is_noticed(own_run: Run, tmp_path: Path) -> None:
    first = taught(own_run, tmp_path, "pupil")
    assert taught(own_run, tmp_path, "pupil").path == first.path  # already done
    checkpoint = own_run.checkpoint("last").path
    state = torch.load(checkpoint, weights_only=True)
    torch.save({name: value + 1 for name, value in state.items()}, checkpoint)
    (first.path / "resume.pt").unlink()
    with pytest.raises(BadInput, match="begun with another teacher"):
        taught(own_run, tmp_path, "pupil")


def test_teachers_that_are_refused(own_run: Run, tmp_path: Path) -> None:
    nobody = Teacher(run=str(tmp_path / "nobody"))
    with pytest.raises(BadInput, match="no such run"):
        lesson_of(nobody, own_run.dataset(), cross_entropy)
    with pytest.raises(ValueError, match="leave one out"):
        experiment_from(
            {
                "name": "x", "dataset": {"name": "digits"}, "model": {"name": "mlp"},
                "loss": {"name": "cross_entropy", "label_smoothing": 0.1},
                "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"epochs": 1}, "teacher": {"run": "y"},
            }
        )  # fmt: skip


def test_numbers_are_held_against_the_nets_own_numbers(tmp_path: Path) -> None:
    config = {
        "name": "numbers",
        "dataset": {"name": "synthetic_regression", "train_size": 60, "test_size": 20},
        "model": {"name": "mlp", "hidden": [6]},
        "loss": {"name": "mse"},
        "optimizer": {"name": "adam", "lr": 0.01},
        "training": {"epochs": 1},
    }
    run = train(experiment_from(config), tmp_path)
    found = read_minimum(minimum(point(str(run.path)), grid=3)).table.set_index("targets")
    assert found.loc["labels", "loss"] > 0
    assert found.loc["soft", ["loss", "gradient_norm", "points_below"]].tolist() == [0, 0, 0]
    with pytest.raises(BadInput, match="--targets hard: are classes"):
        landscape(point(str(run.path)), grid=3, targets="hard")

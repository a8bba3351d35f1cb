"""Runs: the notation RUN[@CHECKPOINT], checkpoints, the model and data of a run, and where it stands."""

import json
import math
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Answer, forget
from torch import nn

from lossscape import manifest
from lossscape.config import read_experiment
from lossscape.errors import BadInput
from lossscape.files import held
from lossscape.listing import last_metrics, list_runs, list_sweeps, standing, summary
from lossscape.runfiles import SWEEP
from lossscape.runs import Checkpoint, Point, Run, load_state, metrics_columns, point
from lossscape.train import train

COLUMNS = metrics_columns([f"{split}_{name}" for split in ("train", "test") for name in ("loss", "accuracy")])

MANY = """\
name: many
dataset: {name: digits, train_size: 100, test_size: 50}
model: {name: mlp, hidden: [8], batch_norm: true}
optimizer: {name: sgd, lr: 0.05}
training: {epochs: 2, batch_size: 40, ema: 0.5, checkpoint_every_steps: 2}
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run with every kind of checkpoint: epochs 0 to 2, steps 2, 4 and 6, best, ema."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "many.yaml").write_text(MANY)
    return train(read_experiment(folder / "many.yaml"), folder / "runs")


# --- notation -----------------------------------------------------------------------------------------------

NOTATION = {
    "": "epoch-0002", "@last": "epoch-0002", "@first": "epoch-0000", "@0": "epoch-0000", "@1": "epoch-0001",
    "@2": "epoch-0002", "@best": "best", "@ema": "ema", "@step-2": "step-00000002", "@step-6": "step-00000006",
    "@epoch-0001": "epoch-0001", "@step-00000004": "step-00000004", "/": "epoch-0002", "/@1": "epoch-0001",
}  # fmt: skip


@pytest.mark.parametrize("notation", NOTATION)
@pytest.mark.parametrize("place", ["runs/many", "a@b/many", "実験@2/学習 その1", "many"])
def test_notation(many: Run, notation: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).symlink_to(many.path)
    monkeypatch.chdir(tmp_path)
    for prefix in ("", "./", f"{tmp_path}/"):
        found = point(f"{prefix}{place}{notation}")
        assert found.checkpoint.path == Path(prefix) / place / "checkpoints" / f"{NOTATION[notation]}.pt"
        assert found.checkpoint.label == NOTATION[notation]
        assert found.checkpoint.path.is_file()


def test_the_run_that_one_stands_in(many: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(many.path)
    assert str(point(".")) == "many@epoch-0002"
    assert str(point("../many@first")) == "many@epoch-0000"
    assert point("./@best").settings() == {
        "run": "many",
        "checkpoint": "best",
        "sha256": manifest.sha256(many.path / "checkpoints" / "best.pt"),
    }


def test_another_default(many: Run) -> None:
    assert point(str(many.path), "first").checkpoint.epoch == 0
    assert point(f"{many.path}@1", "first").checkpoint.epoch == 1


@pytest.mark.parametrize("word", ["3", "-1", "01", "1.0", "step-3", "step-", "None", "step-None", "LAST", "", "epoch"])
def test_checkpoints_that_are_not_there(many: Run, word: str) -> None:
    have = r"0, 1, 2, step-00000002, step-00000004, step-00000006, best, ema \(or first, last\)"
    with pytest.raises(BadInput, match=rf"many has no checkpoint '{word}'; it has: {have}"):
        point(f"{many.path}@{word}")


def test_a_long_list_of_checkpoints_is_cut(many: Run, tmp_path: Path) -> None:
    (tmp_path / "long" / "checkpoints").mkdir(parents=True)
    (tmp_path / "long" / "config.yaml").touch()
    for epoch in range(30):
        (tmp_path / "long" / "checkpoints" / f"epoch-{epoch:04d}.pt").touch()
    with pytest.raises(BadInput, match=r"it has: 0, 1, 2, 3, 4, …, 25, 26, 27, 28, 29 \(or first, last\)"):
        point(f"{tmp_path}/long@99")


def test_runs_that_are_not_there(many: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "多").symlink_to(many.path)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"runs/mnay: no such run; runs in .*/runs: 多$"):
        point(f"{tmp_path}/runs/mnay@last")
    with pytest.raises(BadInput, match=r"runs/empty: not a run, it has no config.yaml; runs in .*/runs: 多$"):
        Run.open(tmp_path / "runs" / "empty")
    with pytest.raises(BadInput, match=r"file: no such run$"):
        Run.open(tmp_path / "file")
    (tmp_path / "runs" / "empty" / "config.yaml").touch()
    with pytest.raises(BadInput, match=r"has no checkpoint 'last'; it has: none"):
        point(f"{tmp_path}/runs/empty")


# --- what a run gives ---------------------------------------------------------------------------------------


def test_checkpoints_come_in_order(many: Run, tmp_path: Path) -> None:
    assert [(c.label, c.epoch, c.step) for c in many.checkpoints()] == [
        ("epoch-0000", 0, None), ("epoch-0001", 1, None), ("epoch-0002", 2, None),
        ("step-00000002", None, 2), ("step-00000004", None, 4), ("step-00000006", None, 6),
        ("best", None, None), ("ema", None, None),
    ]  # fmt: skip
    shutil.copytree(many.path, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    for name in ("epoch-10000.pt", ".epoch-0003.pt.77.part", "epoch-x.pt", "notes.txt", "old.pt", "epoch-0004.pt.bak"):
        (folder / name).touch()
    assert [c.epoch for c in Run(tmp_path / "run").checkpoints()][:4] == [0, 1, 2, 10000]
    assert len(Run(tmp_path / "run").checkpoints()) == 9
    assert Run(tmp_path / "nowhere").checkpoints() == []


@pytest.mark.parametrize("name", ["first", "1", "last", "best", "ema", "step-4"])
def test_model_has_the_values_of_the_checkpoint(many: Run, name: str) -> None:
    model = many.model(name)
    assert not model.training
    state = torch.load(many.checkpoint(name).path, weights_only=True)
    assert model.state_dict().keys() == state.keys()
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])
    assert all(value.device.type == "cpu" for value in model.state_dict().values())


def test_model_and_tensors_give_the_rows_of_the_metrics(many: Run) -> None:
    rows = [line.split(",") for line in many.metrics_file.read_text().splitlines()]
    assert rows[0] == COLUMNS
    for row in rows[1:]:
        known = dict(zip(COLUMNS, row, strict=True))
        model = many.model(known["epoch"])
        for split in ("train", "test"):
            inputs, targets = many.tensors(split)  # type: ignore[arg-type]
            with torch.no_grad():
                outputs = model(inputs).double()
            loss = nn.functional.cross_entropy(outputs, targets).item()
            assert math.isclose(loss, float(known[f"{split}_loss"]), rel_tol=1e-5)
            right = (outputs.argmax(1) == targets).double().mean().item()
            assert right == pytest.approx(float(known[f"{split}_accuracy"]), abs=1e-12)


def test_tensors_are_what_the_net_sees(many: Run) -> None:
    train_split, test_split = many.tensors("train"), many.tensors("test")
    assert train_split.inputs.shape == (100, 1, 8, 8)
    assert test_split.inputs.shape == (50, 1, 8, 8)
    assert train_split.inputs.dtype == torch.float32
    assert train_split.targets.dtype == torch.int64
    assert abs(train_split.inputs.mean().item()) < 1e-6
    assert abs(train_split.inputs.std().item() - 1) < 1e-3


def test_model_without_environment(many: Run, tmp_path: Path) -> None:
    """The data says the same as environment.json, which may be torn."""
    shutil.copytree(many.path, tmp_path / "run")
    run = Run(tmp_path / "run")
    forget(run.path)
    for text in ("", "{", "[]", "{}"):
        run.environment_file.write_text(text)
        assert run.environment() == {}
        assert torch.equal(next(run.model().parameters()), next(many.model().parameters()))
    run.environment_file.unlink()
    assert torch.equal(next(run.model().parameters()), next(many.model().parameters()))


def test_a_model_of_anothers_checkpoint(many: Run, trained: Run) -> None:
    with pytest.raises(BadInput, match=r"best\.pt: belongs to another model: lacks norm1"):
        many.model(trained.checkpoint("best"))


# --- files that are no checkpoints --------------------------------------------------------------------------


def in_one_storage(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Views of the parts of one vector."""
    joined = torch.cat([value.flatten() for value in state.values()])
    parts = joined.split([value.numel() for value in state.values()])
    return {name: part.view(state[name].shape) for name, part in zip(state, parts, strict=True)}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "change",
    [
        lambda state: {name: nn.Parameter(value) for name, value in state.items()},
        lambda state: {name: value.requires_grad_() for name, value in state.items()},
        lambda state: {name: torch.stack([value, -value], -1)[..., 0] for name, value in state.items()},
        lambda state: {name: torch.cat([value.flatten(), torch.ones(9)])[:-9].view(value.shape)
                       for name, value in state.items()},
        lambda state: {name: value.T.contiguous().T if value.ndim == 2 else value for name, value in state.items()},
        lambda state: {name: torch._neg_view(-value) for name, value in state.items()},
        lambda state: {name: value.double() for name, value in state.items()},
        in_one_storage,
    ],
    ids=["parameters", "gradients", "strided", "longer", "transposed", "negated", "double", "one_storage"],
)  # fmt: skip
def test_unusual_tensors_are_loaded_right(own_run: Run, cli: Callable[..., Answer], change: Any) -> None:
    """A certificate holds the losses of the checkpoint against those of the training."""
    plain = own_run.model().state_dict()
    file = own_run.checkpoint("last").path
    torch.save(change(torch.load(file, weights_only=True)), file)
    changed = Run(own_run.path).model()
    assert all(torch.equal(value, plain[name]) for name, value in changed.state_dict().items())
    words = ("landscape", own_run.path, "--grid", "3", "--directions", "pca", "--quiet")
    assert cli(*words).code == 0
    assert cli("interpolate", own_run.path, "--points", "3", "--quiet").code == 0


def test_tensors_that_alias_each_other(own_run: Run) -> None:
    file = own_run.checkpoint("last").path
    state = torch.load(file, weights_only=True)
    room = torch.linspace(-1, 1, max(value.numel() for value in state.values()))
    torch.save({name: room[: value.numel()].view(value.shape) for name, value in state.items()}, file)
    for name, value in Run(own_run.path).model().state_dict().items():
        assert torch.equal(value.flatten(), room[: value.numel()]), name


def test_infinities_in_buffers_are_masks() -> None:
    model = nn.Linear(2, 2)
    model.register_buffer("mask", torch.full((2,), -math.inf))
    load_state(model, {name: value.clone() for name, value in model.state_dict().items()}, "here")
    with pytest.raises(BadInput, match="here: bias holds infinity"):
        load_state(model, model.state_dict() | {"bias": torch.tensor([0.0, math.inf])}, "here")


def test_every_damage_to_a_checkpoint_is_told(many: Run, tmp_path: Path) -> None:
    """Cut anywhere, it is refused; with bytes changed, it is refused or read, and no code of it is run."""
    whole, file = many.checkpoint("last").path.read_bytes(), Checkpoint(tmp_path / "a.pt")
    dice = random.Random(0)
    for size in [0, 1, 2, 100, len(whole) - 1, *dice.sample(range(len(whole)), 60)]:
        file.path.write_bytes(whole[:size])
        with pytest.raises(BadInput, match=r"a\.pt: truncated"):
            file.state()
    for _ in range(200):
        damaged = bytearray(whole)
        for place in dice.sample(range(len(whole)), 5):
            damaged[place] = dice.randrange(256)
        file.path.write_bytes(damaged)
        try:
            assert file.state()
        except BadInput:
            continue


def test_loading_leaves_a_model_alone_that_does_not_fit() -> None:
    model = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    states: dict[str, dict[str, torch.Tensor]] = {
        "lacks bias": {"weight": torch.ones(2, 2)},
        "has an unknown scale": before | {"scale": torch.ones(2)},
        r"weight is float \[2, 3\], the model has float \[2, 2\]": {"weight": torch.ones(2, 3), "bias": torch.ones(2)},
        r"bias is integer \[2\], the model has float \[2\]": {"weight": torch.ones(2, 2), "bias": torch.tensor([1, 2])},
        r"bias is complex \[2\]": {"weight": torch.ones(2, 2), "bias": torch.ones(2, dtype=torch.complex64)},
        "lacks weight, has an unknown w": {"w": torch.ones(2, 2), "bias": torch.ones(2)},
    }
    for says, state in states.items():
        with pytest.raises(BadInput, match=f"here: belongs to another model: {says}"):
            load_state(model, state, "here")
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name])
    load_state(model, {name: value.double() + 1 for name, value in before.items()}, "here")
    assert torch.equal(model.bias, before["bias"] + 1)


# --- where runs stand ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('{"state": "finished"}', "finished"), ('{"state": "interrupted"}', "interrupted"),
        ('{"state": "failed", "message": "why"}', "failed"), ('{"state": "running"}', "stopped"),
        ("{", "unknown"), ("[]", "unknown"), ("", "unknown"),
    ],
)  # fmt: skip
def test_standing(own_run: Run, text: str, word: str) -> None:
    own_run.state_file.write_text(text)
    assert standing(own_run) == word
    with held(own_run.path, "tests"):
        assert standing(own_run) == ("running" if word == "stopped" else word)


def test_standing_without_a_state(own_run: Run) -> None:
    own_run.state_file.unlink()
    assert standing(own_run) == "unknown"


def test_runs_are_listed_by_name(own_run: Run, many: Run, tmp_path: Path) -> None:
    folder = own_run.path.parent
    (folder / "学習").symlink_to(many.path)
    (folder / "a").symlink_to(many.path)
    (folder / "notes").mkdir()
    (folder / "notes.txt").touch()
    assert [run.path.name for run in list_runs(folder)] == ["a", "digits", "学習"]
    assert list_runs(tmp_path / "nowhere") == []


def test_summary_and_last_metrics(own_run: Run) -> None:
    last = dict(zip(COLUMNS, own_run.metrics_file.read_text().splitlines()[-1].split(","), strict=True))
    assert last_metrics(own_run) == last
    losses = [f"{float(last[key]):.4f}" for key in ("train_loss", "test_loss")]
    accuracies = [f"{float(last[key]):.1%}" for key in ("train_accuracy", "test_accuracy")]
    described = ("digits", "digits", "mlp", "momentum")
    assert summary(own_run) == (*described, "3/3", losses[0], accuracies[0], losses[1], accuracies[1], "finished")
    with own_run.metrics_file.open("a") as file:
        file.write("9,9,0.3")
    assert last_metrics(own_run) == last
    own_run.metrics_file.write_text(",".join(COLUMNS) + "\n")
    assert last_metrics(own_run) == {}
    assert summary(own_run) == (*described, "0/3", "-", "-", "-", "-", "finished")
    own_run.metrics_file.write_text("epoch,train_loss,test_loss\n3,0.5,0.25\n")  # of numbers, which have no accuracy
    assert summary(own_run) == (*described, "3/3", "0.5000", "-", "0.2500", "-", "finished")
    own_run.metrics_file.unlink()
    assert summary(own_run) == (*described, "0/3", "-", "-", "-", "-", "finished")
    own_run.metrics_file.write_text("epoch,train_loss,test_loss\n3,0.5,0.25\n")  # as of numbers
    assert summary(own_run) == (*described, "3/3", "0.5000", "-", "0.2500", "-", "finished")


def test_a_run_that_cannot_be_read_ends_no_list(own_run: Run) -> None:
    runs = own_run.path.parent
    (runs / SWEEP).write_text(json.dumps({"cells": {"digits": {}, "other": {}}}))
    assert list_sweeps(runs.parent)[0].startswith("sweep runs: 2 runs, 1 finished, 1 to train (")
    own_run.state_file.write_text("[" * 100_000)
    assert summary(own_run)[-1] == "state.json cannot be read"
    assert list_sweeps(runs.parent)[0].startswith("sweep runs: 2 runs, 1 unreadable, 1 to train (")
    own_run.metrics_file.unlink()
    own_run.metrics_file.mkdir()
    assert summary(own_run)[-1] == "metrics.csv cannot be read"


@pytest.mark.parametrize("name", ["metrics.csv", "state.json", "config.yaml", "digests.jsonl"])
def test_no_reader_waits_at_a_pipe(own_run: Run, name: str) -> None:
    pipe = own_run.path / name
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    (line,) = list_runs(own_run.path.parent)
    assert summary(line)[-1].endswith("cannot be read")
    with pytest.raises(BadInput, match=f"{name}: not a plain file; put its content into one"):
        manifest.read_bytes(own_run.metrics_file if name == "digests.jsonl" else pipe)


def test_runs_command(own_run: Run, many: Run, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_run.path.parent.parent)
    own_run.path.rename(own_run.path.with_name("数字"))
    Path("runs", "many").symlink_to(many.path)
    answer = cli("runs")
    assert (answer.code, answer.err) == (0, "")
    header, first, second = answer.out.splitlines()
    assert header.split()[:5] == ["run", "data", "model", "optimizer", "epochs"]
    assert first.split()[:5] == ["many", "digits", "mlp", "sgd", "2/2"]
    assert second.split()[:5] == ["数字", "digits", "mlp", "momentum", "3/3"]
    assert second.split()[-1] == "finished"
    assert header.index("data") == first.index("digits") == second.index("digits") + 2  # two signs of double width
    (own_run.path.parent / "empty").mkdir()
    assert cli("runs", "--runs", "runs/empty").out == "no runs in runs/empty\n"


def test_points_are_written_as_on_the_command_line(many: Run) -> None:
    assert str(Point(many, many.checkpoint("ema"))) == "many@ema"


def test_more_epochs_are_trained_and_said(cli: Callable[..., Answer], own_run: Run) -> None:
    words = ("train", own_run.config_file, "--quiet")
    assert "already done" in cli(*words).out
    answer = cli(*words, "--set", "training.epochs=4")
    assert (answer.code, "already done" in answer.out) == (0, False)
    assert own_run.checkpoint("last").epoch == 4
    assert "already done" in cli(*words).out
    assert "training.epochs: 4, now 3" in cli(*words, "--set", "training.epochs=3").err

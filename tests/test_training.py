"""Training: the same bytes twice, exact continuation, gradients of micro-batches, and what is kept of a run."""

import copy
import csv
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cases_data import picture_files
from processes import Processes
from pydantic import ValidationError
from torch import nn

from lossscape import devices, onednn, yamlfile
from lossscape.config import Experiment, config_of, experiment_from
from lossscape.errors import BadInput, RunFailed
from lossscape.files import held, write_text
from lossscape.modules import copied
from lossscape.onednn import ENOUGH, has_onednn
from lossscape.runs import Run
from lossscape.signals import Interrupted, StopRequest
from lossscape.train import dense, loop, start, threads, train
from lossscape.train.parallel import World, world
from lossscape.train.products import ONEDNN, TORCH, products_here
from tests.needs import needs_onednn

CPU = torch.device("cpu")


def experiment(name: str = "run", **sections: Any) -> Experiment:
    """A small experiment; sections are laid over its own."""
    data: dict[str, Any] = {
        "name": name,
        "dataset": {"name": "digits", "train_size": 110, "test_size": 50},
        "model": {"name": "mlp", "hidden": [10]},
        "optimizer": {"name": "momentum", "lr": 0.05},
        "training": {"epochs": 2, "batch_size": 32},
    }
    for key, value in sections.items():
        data[key] = data.get(key, {}) | value if isinstance(value, dict) and "name" not in value else value
    return experiment_from(data)


def files(run: Run) -> dict[str, bytes]:
    """Every checkpoint's bytes."""
    return {checkpoint.path.name: checkpoint.path.read_bytes() for checkpoint in run.checkpoints()}


def rows(run: Run) -> list[dict[str, str]]:
    """metrics.csv without the seconds."""
    with run.metrics_file.open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


EXACT = {
    "plain": {},
    "dropout, augmentation, ema": {
        "dataset": {"augment": {"crop": 1, "flip": True}},
        "model": {"name": "cnn", "channels": [6, 10], "dropout": 0.3, "batch_norm": True},
        "training": {"ema": 0.9, "checkpoint_every_steps": 3},
    },
    "adam, cosine, warm-up, polyak": {
        "optimizer": {"name": "adam", "lr": 0.01},
        "schedule": {"name": "cosine", "warmup_epochs": 0.5},
        "training": {"ema": "polyak", "clip_norm": 0.5},
    },
    "adagrad, accumulation, smoothing": {
        "optimizer": {"name": "adagrad", "lr": 0.05},
        "loss": {"label_smoothing": 0.1, "name": "cross_entropy"},
        "training": {"accumulate": 2, "batch_size": 16},
    },
}


@pytest.mark.parametrize("sections", EXACT.values(), ids=EXACT.keys())
@pytest.mark.parametrize("stop_after", [1, 4, 6])
@pytest.mark.cpu
def test_two_runs_and_an_interrupted_one_give_the_same_bytes(
    sections: dict[str, Any], stop_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = experiment(**sections)
    whole = train(config, tmp_path / "a")
    again = train(config, tmp_path / "b")
    assert files(whole) == files(again)
    taken = 0
    take_step = loop.take_step

    def counted(*arguments: Any) -> None:
        nonlocal taken
        take_step(*arguments)
        taken += 1
        if taken == stop_after:
            os.kill(os.getpid(), 2)  # SIGINT, as from the keyboard

    monkeypatch.setattr(loop, "take_step", counted)
    with pytest.raises(Interrupted, match="--resume") as stopped:
        train(config, tmp_path / "c")
    assert stopped.value.exit_code == 130
    parts = Run(tmp_path / "c" / "run")
    assert parts.state()["state"] == "interrupted"
    assert parts.state()["step"] == stop_after
    resumed = train(config, tmp_path / "c")
    assert files(resumed) == files(whole)
    assert rows(resumed) == rows(whole)
    assert len(resumed.environment()["resumed"]) == 1


@pytest.mark.parametrize("shapes", [[], [(3,)], [(300, 200), (7,), (2, 3, 4)]])
def test_the_norm_of_the_gradients_has_the_bits_of_torchs(shapes: list[tuple[int, ...]]) -> None:
    gradients = [torch.randn(shape, generator=torch.Generator().manual_seed(0)) for shape in shapes]
    assert torch.equal(loop.total_norm(gradients), nn.utils.get_total_norm(gradients))


PLAIN: dict[str, tuple[bool, dict[str, Any]]] = {
    "relu": (True, {"model": {"name": "mlp", "hidden": [12, 7]}}),
    "tanh": (True, {"model": {"name": "mlp", "hidden": [12, 7], "activation": "tanh"}}),
    "sigmoid": (True, {"model": {"name": "mlp", "hidden": [300], "activation": "sigmoid"}}),
    "linear": (True, {"model": {"name": "mlp", "hidden": []}}),
    "gelu": (False, {"model": {"name": "mlp", "hidden": [12], "activation": "gelu"}}),
    "dropout": (False, {"model": {"name": "mlp", "hidden": [12], "dropout": 0.2}}),
    "batch norm": (False, {"model": {"name": "mlp", "hidden": [12], "batch_norm": True}}),
    "no bias": (False, {"model": {"name": "mlp", "hidden": [12], "bias": False}}),
    "frozen": (False, {"training": {"frozen": ["linear1"]}}),
    "mse": (False, {"loss": {"name": "mse"}}),
    "smoothing": (False, {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}}),
    "bf16": (False, {"precision": "bf16"}),
    "cnn": (False, {"model": {"name": "cnn", "channels": [4]}}),
}


@pytest.mark.parametrize(("plain", "sections"), PLAIN.values(), ids=PLAIN.keys())
def test_a_pass_without_autograds_graph_has_its_bits(plain: bool, sections: dict[str, Any], tmp_path: Path) -> None:
    setup, state = start.prepare(experiment(**sections), Run(tmp_path / "run"), CPU, World())
    assert (TORCH in setup.dense) == plain
    state.products = TORCH
    usual = dataclasses.replace(setup)
    vars(usual)["dense"] = {}
    loop.begin_epoch(setup, state)
    for batch in loop.remaining_batches(setup, state):  # the last one is shorter
        found = []
        for each in (setup, usual):
            torch.manual_seed(0)
            loss = loop.backward(each, state, batch)
            found.append([loss, *(p.grad for p in state.parameters if p.grad is not None)])
            for parameter in state.parameters:
                parameter.grad = None
        assert len(found[0]) > 1
        assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("draws", "sections"),
    [
        (False, {}),
        (True, {"model": {"name": "mlp", "hidden": [12], "dropout": 0.2}}),
        (True, {"optimizer": {"name": "torch.optim:RAdam", "lr": 0.01}}),
        (True, {"schedule": {"name": "drawn.py:drawn"}}),
        (True, {"metrics": ["drawn.py:drawn"]}),
    ],
    ids=["plain", "dropout", "own optimizer", "own schedule", "own metric"],
)
def test_a_step_in_which_numbers_may_be_drawn_is_seeded(
    draws: bool, sections: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import torch\n\ndef drawn(epoch, epochs):\n    return torch.rand(getattr(epochs, 'shape', ()))\n"
    (tmp_path / "drawn.py").write_text(code)  # a schedule, and a metric
    monkeypatch.chdir(tmp_path)
    setup, state = prepared(tmp_path, **sections)
    drawn = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state.step = 0
        loop.take_step(setup, state, torch.arange(50))
        drawn.append(torch.rand(()))
    assert (drawn[0] == drawn[1]) == draws


WIDE: dict[str, Any] = {
    "dataset": {"name": "digits", "train_size": 300, "test_size": 50},
    "model": {"name": "mlp", "hidden": [130, 130]},
    "training": {"epochs": 1, "batch_size": 280},  # 280 × 64 × 130 and 280 × 130 × 130 are enough for oneDNN
}


@needs_onednn
def test_a_pass_by_onednn_has_the_gradient_of_float64(tmp_path: Path) -> None:
    setup, state = start.prepare(experiment(**WIDE), Run(tmp_path / "run"), CPU, World())
    state.products = ONEDNN
    loop.begin_epoch(setup, state)
    batch = next(loop.remaining_batches(setup, state))
    assert len(batch) * 64 * 130 >= ENOUGH
    loss = loop.backward(setup, state, batch)
    exact = copied(state.model).double()
    inputs, targets = setup.data.train.inputs[batch].double(), setup.data.train.targets[batch]
    expected = nn.functional.cross_entropy(exact(inputs), targets)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for value, other in zip(state.parameters, exact.parameters(), strict=True):
        assert value.grad is not None
        assert other.grad is not None
        assert (value.grad - other.grad).norm() <= 1e-5 * other.grad.norm()


@needs_onednn
def test_a_run_by_onednn_is_evaluated_by_it_with_the_values_of_float64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {"name": "synthetic", "shape": [64], "train": 300, "test": 280}
    setup, state = start.prepare(experiment(**WIDE | {"dataset": wide}), Run(tmp_path / "run"), CPU, World())
    made: list[tuple[int, int]] = []
    usual = onednn.linear

    def noted(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        made.append((len(inputs), len(weight)))
        return usual(inputs, weight, bias)

    monkeypatch.setattr(onednn, "linear", noted)
    found = {}
    for state.products in (TORCH, ONEDNN):
        found[state.products] = [loop.measure(setup, state, split) for split in ("train", "test")]
        assert made == ([] if state.products == TORCH else [(300, 130)] * 2 + [(280, 130)] * 2)
    exact = copied(state.model).double().eval()
    for here, split in zip(found[ONEDNN], (setup.data.train, setup.data.test), strict=True):
        outputs = exact(split.inputs.double())
        loss = nn.functional.cross_entropy(outputs, split.targets).item()
        right = (outputs.argmax(1) == split.targets).double().mean().item()
        assert list(here.values()) == pytest.approx([loss, right], rel=1e-6)


@needs_onednn
@pytest.mark.parametrize("begun", [TORCH, ONEDNN])
@pytest.mark.cpu
def test_a_run_keeps_to_the_products_that_it_began_with(
    begun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = experiment(**WIDE | {"training": {"epochs": 3, "batch_size": 280}, "device": "cpu"})
    (other,) = {TORCH, ONEDNN} - {begun}
    monkeypatch.setattr(start, "products_here", lambda device: begun)
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", until=2)
    stored = torch.load(whole.resume_file, weights_only=True)
    assert stored.get("products", TORCH) == begun
    monkeypatch.setattr(start, "products_here", lambda device: other)
    for module in (start, dense):  # as with trained weights, whose gradient is mostly rounding
        monkeypatch.setattr(module, "agrees", lambda *given: False)
    parts = train(config, tmp_path / "parts")
    assert (files(parts), rows(parts)) == (files(whole), rows(whole))
    for module in (start, dense):
        monkeypatch.setattr(module, "agrees", lambda *given: True)
    assert files(train(config, tmp_path / "other")) != files(whole)


@needs_onednn
def test_products_that_are_wrong_here_are_refused_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "products_here", lambda device: ONEDNN)
    monkeypatch.setattr(start, "agrees", lambda *given: False)
    run = train(experiment(**WIDE), tmp_path / "run")
    assert "products" not in torch.load(run.resume_file, weights_only=True)


@needs_onednn
@pytest.mark.cpu
def test_a_run_whose_products_cannot_be_made_here_goes_on_with_torchs_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "products_here", lambda device: ONEDNN)
    config = experiment(**WIDE | {"training": {"epochs": 2, "batch_size": 280}})
    train(config, tmp_path, until=1, quiet=False)
    monkeypatch.setattr(onednn, "has_onednn", lambda: False)
    run = train(config, tmp_path, quiet=False)
    said = capsys.readouterr().err
    assert said.count("products of matrices by onednn, which torch") == 1
    assert "goes on with torch's own" in said
    assert (run.state()["state"], len(rows(run))) == ("finished", 3)
    assert torch.load(run.resume_file, weights_only=True)["products"] == ONEDNN  # elsewhere it has them again


@pytest.mark.parametrize(
    ("capability", "name", "expected"),
    [
        ("AVX512", "AMD EPYC 9B45", ONEDNN),
        ("AVX512", "Intel(R) Xeon(R) Platinum 8481C", TORCH),
        ("AVX2", "AMD EPYC 7B13", TORCH),
    ],
)
def test_products_go_by_the_processor(
    capability: str, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(devices, "name_of", lambda device: name)
    assert products_here(CPU) == (expected if has_onednn() else TORCH)
    assert products_here(torch.device("cuda")) == TORCH


HOOKS: dict[str, Callable[[nn.Module, Callable[..., None]], Any]] = {
    "in front of a layer": lambda net, hook: net[-1].register_forward_pre_hook(hook),
    "behind the net": lambda net, hook: net.register_forward_hook(hook),
    "of a layer's gradient": lambda net, hook: net[-1].register_full_backward_hook(hook),
    "of a parameter's gradient": lambda net, hook: net[-1].weight.register_hook(hook),
    "behind a parameter's gradient": lambda net, hook: net[-1].weight.register_post_accumulate_grad_hook(hook),
}


@pytest.mark.parametrize("add", HOOKS.values(), ids=HOOKS.keys())
def test_hooks_are_called_in_training(add: Callable[..., Any], tmp_path: Path) -> None:
    setup, state = start.prepare(experiment(), Run(tmp_path / "run"), CPU, World())
    called: list[int] = []
    add(state.model, lambda *given: called.append(1))
    loop.begin_epoch(setup, state)
    for batch in loop.remaining_batches(setup, state):
        loop.take_step(setup, state, batch)
    assert len(called) == setup.steps_per_epoch


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    first = train(experiment(), tmp_path)
    second = train(experiment("other", seed=1), tmp_path)
    assert files(first)["epoch-0000.pt"] != files(second)["epoch-0000.pt"]


@pytest.mark.cpu
def test_a_run_made_from_its_own_config_has_the_same_bytes(own_run: Run, cli: Any, tmp_path: Path) -> None:
    answer = cli("train", own_run.config_file, "--name", "again", "--runs", tmp_path, "--quiet")
    assert answer.code == 0
    assert files(Run(tmp_path / "again")) == files(own_run)


def test_what_a_run_keeps(tmp_path: Path) -> None:
    run = train(experiment(training={"checkpoint_every_steps": 3, "ema": 0.5}), tmp_path)
    names = [checkpoint.label for checkpoint in run.checkpoints()]
    assert names == ["epoch-0000", "epoch-0001", "epoch-0002", "step-00000003", "step-00000006", "best", "ema"]
    state = torch.load(run.epoch_file(2), weights_only=True)
    assert type(state) is dict
    assert list(state) == list(run.model().state_dict())
    found = rows(run)
    assert [row["epoch"] for row in found] == ["0", "1", "2"]
    assert [row["step"] for row in found] == ["0", "4", "8"]
    assert found[0]["batch_loss"] == found[0]["grad_norm"] == ""
    assert run.state() == {"state": "finished", "epoch": 2, "step": 8, "message": ""}
    environment = run.environment()
    assert environment["threads"] == torch.get_num_threads()
    assert environment["versions"]["torch"] == torch.__version__
    assert environment["model"]["parameters"] == 64 * 10 + 10 + 10 * 10 + 10
    assert environment["data"]["train_size"] == 110
    assert environment["seed"] == 0


@pytest.mark.parametrize(("every", "kept"), [(0, [0, 5]), (2, [0, 2, 4, 5])])
def test_checkpoints_every_n_epochs_and_always_the_last(every: int, kept: list[int], tmp_path: Path) -> None:
    run = train(experiment(training={"epochs": 5, "checkpoint_every": every}), tmp_path)
    assert [checkpoint.epoch for checkpoint in run.checkpoints() if checkpoint.epoch is not None] == kept


def cells(run: Run) -> list[dict[str, str]]:
    """The rows, each without the columns that are empty in it."""
    return [{key: value for key, value in row.items() if value} for row in rows(run)]


def test_evaluating_less_often_leaves_cells_empty_and_nothing_else_changed(tmp_path: Path) -> None:
    every, third = (
        train(experiment(training={"epochs": 6, "checkpoint_every_steps": 5, "evaluate_every": each}), tmp_path / name)
        for each, name in ((1, "every"), (3, "third"))
    )
    best = [int(np.argmax([float(row["test_accuracy"]) for row in rows(every)[::3]]))]
    assert files(third) | {"best.pt": b""} == files(every) | {"best.pt": b""}
    assert files(third)["best.pt"] == every.epoch_file(3 * best[0]).read_bytes()
    for ours, theirs in zip(cells(third), cells(every), strict=True):
        left_out = {key for key in theirs if key.startswith(("train_", "test_")) and int(theirs["epoch"]) % 3}
        assert ours == {key: value for key, value in theirs.items() if key not in left_out}
        assert "batch_loss" in ours or ours["epoch"] == "0"


def test_a_run_that_evaluates_less_often_goes_on_to_the_same_rows(
    tmp_path: Path, signals_at: Callable[[int, int], None]
) -> None:
    whole = train(experiment(training={"epochs": 6, "evaluate_every": 2}), tmp_path / "a")
    train(experiment(training={"epochs": 4, "evaluate_every": 2}), tmp_path / "b")
    longer = train(experiment(training={"epochs": 6, "evaluate_every": 2}), tmp_path / "b")
    signals_at(6, signal.SIGINT)  # within the second epoch, after which nothing is evaluated
    with pytest.raises(Interrupted):
        train(experiment(training={"epochs": 6, "evaluate_every": 2}), tmp_path / "c")
    resumed = train(experiment(training={"epochs": 6, "evaluate_every": 2}), tmp_path / "c")
    for each in (longer, resumed):
        assert (files(each), rows(each)) == (files(whole), rows(whole))


def test_patience_counts_epochs_however_often_they_are_evaluated(tmp_path: Path) -> None:
    stopping = {"patience": 4, "metric": "test_loss", "mode": "max"}  # which falls from the first epoch on
    run = train(experiment(training={"epochs": 12, "evaluate_every": 2, "early_stopping": stopping}), tmp_path)
    assert rows(run)[-1]["epoch"] == "6"
    assert rows(run)[-1]["test_loss"]


def test_an_end_that_would_not_be_evaluated_is_refused() -> None:
    with pytest.raises(ValidationError, match="take a divisor of the 5 epochs"):
        experiment(training={"epochs": 5, "evaluate_every": 2})


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As torch would take by itself on three cores."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(
    ("small", "omp", "given", "key", "taken"),
    [
        (True, False, None, None, 1),
        (False, False, None, None, 3),
        (True, True, None, None, 3),
        (True, True, 2, None, 2),
        (True, True, 2, 4, 4),
    ],
)
def test_a_small_net_takes_one_thread_where_nobody_says_how_many(
    small: bool, omp: bool, given: int | None, key: int | None, taken: int, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    width = 3500 if small else 4500  # the pass of 110 samples is of 0.17 and 0.22 GFLOP
    sections = {"epochs": 1, "checkpoint_every": 0, "batch_size": 110} | ({"threads": key} if key else {})
    config = experiment(model={"name": "mlp", "hidden": [width]}, training=sections)
    if omp:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with threads.torch_threads(given):
        run = train(config, tmp_path)
    assert run.environment()["threads"] == taken
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_a_run_goes_on_with_the_threads_that_it_began_with(tmp_path: Path) -> None:
    with threads.torch_threads(2):
        run = train(experiment(), tmp_path, until=1)
    train(experiment(), tmp_path)
    assert [each["threads"] for each in (run.environment(), *run.environment()["resumed"])] == [2, 2]
    assert train(experiment(), tmp_path, overwrite=True).environment()["threads"] == 1


def test_rows_are_losses_of_whole_splits_in_eval_mode(tmp_path: Path) -> None:
    config = experiment(
        model={"name": "mlp", "hidden": [10], "dropout": 0.5},
        loss={"name": "cross_entropy", "label_smoothing": 0.2},
        optimizer={"name": "momentum", "lr": 0.05, "weight_decay": 0.1},
    )
    run = train(config, tmp_path)
    for epoch, row in enumerate(rows(run)):
        model = run.model(str(epoch)).double()
        for split in ("train", "test"):
            inputs, targets = run.tensors(split)
            outputs = model(inputs.double()).detach()
            assert float(row[f"{split}_loss"]) == pytest.approx(
                float(nn.functional.cross_entropy(outputs, targets)), rel=1e-5
            )
            assert float(row[f"{split}_accuracy"]) == float((outputs.argmax(1) == targets).double().mean())


def explicit_run(run: Run, epochs: int, batch: int, lr: float, momentum: float) -> nn.Module:
    """The textbook loop in float64 on the samples in the order that the run drew."""
    model = run.model("first").double().train()
    inputs, targets = run.tensors("train")
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for epoch in range(epochs):
        order = torch.randperm(len(inputs), generator=loop.generator(run.config.seed, "shuffle", epoch))
        for part in order.split(batch):
            model.zero_grad()
            nn.functional.cross_entropy(model(inputs[part].double()), targets[part]).backward()
            with torch.no_grad():
                for p, v in zip(model.parameters(), velocity, strict=True):
                    v.mul_(momentum).add_(p.grad)
                    p.sub_(lr * v)
    return model.eval()


def test_the_loop_is_the_textbook_loop(tmp_path: Path) -> None:
    run = train(experiment(), tmp_path)
    truth = explicit_run(run, 2, 32, 0.05, 0.9)
    for found, expected in zip(run.model().parameters(), truth.parameters(), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def prepared(tmp_path: Path, **sections: Any) -> tuple[loop.Setup, Any]:
    """A setup and state ready for their first step."""
    setup, state = start.prepare(experiment(**sections), Run(tmp_path / "x"), CPU, World())
    loop.begin_epoch(setup, state)
    return setup, state


def gradients(tmp_path: Path, **sections: Any) -> tuple[float, list[torch.Tensor]]:
    """Loss and gradients of the first 50 samples."""
    setup, state = prepared(tmp_path, **sections)
    loss = loop.backward(setup, state, torch.arange(50))
    return float(loss), [p.grad.clone() for p in state.model.parameters() if p.grad is not None]


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [10]}, {"name": "cnn", "channels": [6, 10]}], ids=str)
def test_micro_batches_give_the_gradient_of_the_batch(model: dict[str, Any], tmp_path: Path) -> None:
    loss, whole = gradients(tmp_path, model=model, training={"epochs": 1, "batch_size": 50, "micro_batch": 50})
    for micro in (1, 7, 49):
        part, pieces = gradients(tmp_path, model=model, training={"epochs": 1, "batch_size": 50, "micro_batch": micro})
        assert part == pytest.approx(loss, rel=1e-5)
        for a, b in zip(whole, pieces, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


TEXTS = """
import torch
from torch import nn

def texts():
    words, tags = torch.arange(300).reshape(60, 5) % 7, torch.arange(300).reshape(60, 5) % 3
    tags[:30, 2:] = -100
    return words, tags, words, tags

def tagger():
    return nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 3))
"""


def test_micro_batches_of_texts_of_unlike_lengths_give_the_gradient_of_the_batch(tmp_path: Path) -> None:
    file = tmp_path / "texts.py"
    file.write_text(TEXTS)
    sections = {"dataset": {"name": f"{file}:texts"}, "model": {"name": f"{file}:tagger"}}
    sections["loss"] = {"name": "token_cross_entropy"}
    (loss, whole), (part, pieces) = (
        gradients(tmp_path, **sections, training={"epochs": 1, "batch_size": 50, "micro_batch": micro})
        for micro in (50, 7)
    )
    assert part == pytest.approx(loss, rel=1e-5)
    for a, b in zip(whole, pieces, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_convolutions_go_in_cache_sized_parts_unless_batch_norm_needs_the_batch(tmp_path: Path) -> None:
    wide = {"name": "cnn", "channels": [64, 10]}
    data = {"name": "synthetic", "shape": [3, 32, 32], "train": 40, "test": 10}
    setup, _ = prepared(tmp_path, dataset=data, model=wide, training={"epochs": 1, "batch_size": 40})
    assert setup.micro_batch == 16  # 16 x 64 x 32 x 32 x 4 bytes are 4 MiB
    setup, _ = prepared(
        tmp_path, dataset=data, model=wide | {"batch_norm": True}, training={"epochs": 1, "batch_size": 40}
    )
    assert setup.micro_batch == 40
    setup, _ = prepared(tmp_path)
    assert setup.micro_batch == 32


def test_gradients_agree_with_finite_differences(tmp_path: Path) -> None:
    setup, state = prepared(tmp_path, model={"name": "mlp", "hidden": [6], "activation": "tanh"})
    loop.backward(setup, state, torch.arange(50))
    inputs, targets = setup.data.train.inputs[:50].double(), setup.data.train.targets[:50]
    model = copy.deepcopy(state.model).double()
    for found, moved in zip(state.model.parameters(), model.parameters(), strict=True):
        place = (0,) * moved.ndim
        with torch.no_grad():
            moved[place] += 1e-5
            up = nn.functional.cross_entropy(model(inputs), targets)
            moved[place] -= 2e-5
            down = nn.functional.cross_entropy(model(inputs), targets)
            moved[place] += 1e-5
        assert found.grad is not None
        assert float(found.grad[place]) == pytest.approx(float(up - down) / 2e-5, rel=1e-3, abs=1e-7)


def test_clipping(tmp_path: Path) -> None:
    size = 0.01
    setup, state = prepared(
        tmp_path, optimizer={"name": "sgd", "lr": 1.0}, training={"epochs": 1, "batch_size": 50, "clip_norm": size}
    )
    before = [p.detach().clone() for p in state.model.parameters()]
    loop.take_step(setup, state, torch.arange(50))
    steps = torch.cat([(b - p.detach()).flatten() for b, p in zip(before, state.model.parameters(), strict=True)])
    assert float(steps.norm()) == pytest.approx(size, rel=1e-3)
    assert float(state.norms[0]) > size  # the norm before clipping
    setup, state = prepared(
        tmp_path, optimizer={"name": "sgd", "lr": 1.0}, training={"epochs": 1, "batch_size": 50, "clip_value": size}
    )
    before = [p.detach().clone() for p in state.model.parameters()]
    loop.take_step(setup, state, torch.arange(50))
    steps = torch.cat([(b - p.detach()).flatten() for b, p in zip(before, state.model.parameters(), strict=True)])
    assert float(steps.abs().max()) == pytest.approx(size, rel=1e-3)


def test_averages_of_the_weights(tmp_path: Path) -> None:
    run = train(experiment(training={"epochs": 1, "ema": "polyak", "checkpoint_every_steps": 1}), tmp_path)
    states = [run.checkpoint(f"step-{n}").state() for n in range(1, 5)]
    for name, value in run.checkpoint("ema").state().items():
        torch.testing.assert_close(value, torch.stack([state[name] for state in states]).mean(0))
    moving = train(experiment("moving", training={"epochs": 1, "ema": 0.7, "checkpoint_every_steps": 1}), tmp_path)
    for name, value in moving.checkpoint("ema").state().items():
        expected = moving.checkpoint("step-1").state()[name]  # the average begins with the weights of the first step
        for n in range(2, 5):
            expected = 0.7 * expected + 0.3 * moving.checkpoint(f"step-{n}").state()[name]
        torch.testing.assert_close(value, expected)


def test_early_stopping_and_the_best_checkpoint(tmp_path: Path) -> None:
    config = experiment(
        optimizer={"name": "sgd", "lr": 0.3},
        training={"epochs": 400, "batch_size": 32, "early_stopping": {"patience": 3}},
    )
    run = train(config, tmp_path)
    found = rows(run)
    losses = [float(row["test_loss"]) for row in found[1:]]
    assert len(losses) < 400
    assert losses.index(min(losses)) == len(losses) - 4
    assert run.state()["message"] == "stopped early"
    accuracies = [(float(row["test_accuracy"]), -float(row["test_loss"])) for row in found]
    best = accuracies.index(max(accuracies))
    assert run.named_file("best").read_bytes() == run.epoch_file(best).read_bytes()
    assert train(config, tmp_path).state()["epoch"] == len(losses)  # finished: nothing more is trained
    assert rows(run) == found


@pytest.mark.parametrize(
    ("watched", "best"),
    [
        ({"metric": "train_margin"}, max),
        ({"metric": "test_brier"}, min),
        ({"metric": "test_margin", "mode": "min"}, min),
        ({"metric": "test_own", "mode": "max"}, max),
    ],
    ids=lambda value: str(value),
)
def test_early_stopping_of_any_metric(watched: dict[str, str], best: Callable[..., float], tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def own(outputs, targets):\n    return -outputs.square().sum(1)\n")
    config = experiment(
        metrics=["margin", "brier", f"{own}:own"],
        optimizer={"name": "sgd", "lr": 3.0},
        training={"epochs": 100, "batch_size": 32, "early_stopping": {"patience": 2, **watched}},
    )
    found = [float(row[watched["metric"]]) for row in rows(train(config, tmp_path))[1:]]
    assert len(found) < 100
    assert found.index(best(found)) == len(found) - 3


@pytest.mark.parametrize(
    ("watched", "says"),
    [
        ({"metric": "test_margin"}, r"early_stopping.metric: value 'test_margin' is not known.*allowed: test_loss"),
        ({"metric": "loss"}, r"early_stopping.metric: value 'loss' is not known \(did you mean"),
        ({"metric": "test_own"}, "early_stopping.mode: is required for a metric of your own; allowed: min, max"),
    ],
)
def test_what_cannot_be_watched(watched: dict[str, str], says: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def own(outputs, targets):\n    return outputs.sum(1)\n")
    data = experiment(metrics=["accuracy", "top5"]).resolved()
    data["metrics"] += [f"{tmp_path / 'own.py'}:own"]
    data["training"]["early_stopping"] = {"patience": 2, **watched}
    with pytest.raises(BadInput, match=says):
        config_of(Experiment, data, "here", tmp_path)


def test_a_diverging_run_stops_and_stays_readable(tmp_path: Path) -> None:
    config = experiment(
        optimizer={"name": "sgd", "lr": 1e15}, loss={"name": "mse"}, training={"epochs": 50, "batch_size": 32}
    )
    with pytest.raises(RunFailed, match=r"in epoch 1, step \d+ \(learning rate 1e\+15, gradient norm"):
        train(config, tmp_path)
    run = Run(tmp_path / "run")
    assert run.state()["state"] == "failed"
    assert [row["epoch"] for row in rows(run)] == ["0"]
    assert all(torch.isfinite(value).all() for value in run.checkpoint("last").state().values())


def test_the_last_steps_share_of_the_mean_is_its_samples(tmp_path: Path) -> None:
    setup, _ = prepared(tmp_path)  # 110 samples in steps of 32, 32, 32, 14
    means = torch.tensor([1.0, 2.0, 3.0, 10.0])
    assert loop.mean_over_samples(setup, means) == pytest.approx((32 * 6 + 14 * 10) / 110)


def test_bf16_trains_and_keeps_fp32_weights(tmp_path: Path) -> None:
    run = train(experiment(precision="bf16"), tmp_path)
    assert all(value.dtype == torch.float32 for value in run.checkpoint("last").state().values())
    assert float(rows(run)[-1]["train_loss"]) < float(rows(run)[0]["train_loss"])


def test_own_model_loss_and_optimizer(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import torch\n"
        "def net(shape, classes, width: int = 4):\n"
        "    n = torch.Size(shape).numel()\n"
        "    layers = torch.nn.Flatten(), torch.nn.Linear(n, width), torch.nn.Linear(width, classes)\n"
        "    return torch.nn.Sequential(*layers)\n"
        "def hinge(outputs, targets, margin: float = 1.0):\n"
        "    right = outputs.gather(1, targets[:, None])\n"
        "    return torch.relu(margin + outputs - right).sum(1) - margin\n"
    )
    config = experiment(
        model={"name": f"{mine}:net", "width": 7},
        loss={"name": f"{mine}:hinge", "margin": 0.5},
        optimizer={"name": "torch.optim:RAdam", "lr": 0.01},
    )
    run = train(config, tmp_path / "runs")
    assert run.environment()["model"]["parameters"] == 64 * 7 + 7 + 7 * 10 + 10
    inputs, targets = run.tensors("test")
    outputs = run.model()(inputs).detach()
    hinge = torch.relu(0.5 + outputs - outputs.gather(1, targets[:, None])).sum(1) - 0.5
    assert float(rows(run)[-1]["test_loss"]) == pytest.approx(float(hinge.mean()), rel=1e-5)


def test_tensorboard_files_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(experiment(), tmp_path, tensorboard=True)
    events = EventAccumulator(str(run.tensorboard_folder))
    events.Reload()
    assert [event.value for event in events.Scalars("test/loss")] == pytest.approx(
        [float(row["test_loss"]) for row in rows(run)], rel=1e-6
    )


def test_absent_devices_are_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(BadInput, match="no CUDA device is available"):
        train(experiment(device="cuda"), tmp_path)
    assert devices.pick("auto") == CPU
    assert not (tmp_path / "run").exists()


def two_ranks(folder: Path, sections: dict[str, Any], processes: Processes) -> Run:
    """The same experiment in two processes, with the variables that torchrun gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    words = words_of_two(folder, sections)
    begun = [
        processes.start(*words, cwd=folder, env=meeting | {"RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")
    ]
    ended = [processes.wait(process) for process in begun]
    assert [each.code for each in ended] == [0, 0], ended
    assert sum(each.out.count("metrics.csv") for each in ended) == 1, "one process speaks"
    return Run(folder / "two" / "run")


def words_of_two(folder: Path, sections: dict[str, Any]) -> list[str]:
    """The command line of the experiment."""
    config = folder / "two.yaml"
    config.write_text(yamlfile.dump(experiment(**sections).resolved()))
    return ["train", str(config), "--runs", str(folder / "two"), "--quiet"]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_torchrun_trains(tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lossscape"]
    words = words_of_two(tmp_path, {"training": {"epochs": 1, "batch_size": 32}})
    answer = subprocess.run([*launch, *words], capture_output=True, text=True, timeout=150, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("metrics.csv") == 1, "one process speaks"
    assert json.loads(Run(tmp_path / "two" / "run").environment_file.read_text())["processes"] == 2


@pytest.mark.timeout(180)
def test_two_processes_take_the_steps_of_one(tmp_path: Path, processes: Processes) -> None:
    sections: dict[str, Any] = {
        "dataset": {"name": "digits", "train_size": 320, "test_size": 60},
        "training": {"epochs": 5, "batch_size": 32},
    }
    alone = train(experiment(**sections), tmp_path / "alone")
    both = two_ranks(tmp_path, sections, processes)
    assert json.loads(both.environment_file.read_text())["processes"] == 2
    assert rows(both)[-1]["step"] == "50"
    for name, value in both.checkpoint("last").state().items():
        torch.testing.assert_close(value, alone.checkpoint("last").state()[name], rtol=1e-5, atol=1e-5)
    for found, expected in zip(rows(both), rows(alone), strict=True):
        for key in ("train_loss", "test_loss", "grad_norm", "batch_loss"):
            if expected[key]:
                assert float(found[key]) == pytest.approx(float(expected[key]), rel=1e-3)


@pytest.mark.timeout(180)
def test_rows_of_two_processes_with_batch_norm_are_those_of_the_checkpoints(
    tmp_path: Path, processes: Processes
) -> None:
    run = two_ranks(tmp_path, {"model": {"name": "mlp", "hidden": [10], "batch_norm": True}}, processes)
    inputs, targets = run.tensors("test")
    for epoch, row in enumerate(rows(run)):
        loss = nn.functional.cross_entropy(run.model(str(epoch))(inputs), targets).detach()
        assert float(row["test_loss"]) == pytest.approx(float(loss), rel=1e-5)


def test_a_second_signal_is_taken_as_usual() -> None:
    from lossscape.signals import stop_on_signals

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with stop_on_signals() as stop:
            assert isinstance(stop, StopRequest)
            os.kill(os.getpid(), 2)
            assert stop.number == 2
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), 2)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.cpu
def test_a_run_that_stops_after_an_epoch_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    config = experiment()
    whole = train(config, tmp_path / "a")
    part = train(config, tmp_path / "b", until=1)
    assert part.state()["state"] == "interrupted"
    assert [row["epoch"] for row in rows(part)] == ["0", "1"]
    assert train(config, tmp_path / "b", until=1).state()["epoch"] == 1  # nothing is left of that
    assert train(config, tmp_path / "b").state()["state"] == "finished"
    assert files(part) == files(whole)
    assert rows(part) == rows(whole)


def test_a_run_is_not_continued_on_data_that_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path / "cache"))
    picture_files(tmp_path / "pictures")
    config = experiment(dataset={"name": "image_folder", "root": str(tmp_path / "pictures")})
    begun = files(train(config, tmp_path, until=1))
    whole = (tmp_path / "pictures/train/ant/0.png").read_bytes()
    shutil.copy(tmp_path / "pictures/train/ant/1.png", tmp_path / "pictures/train/ant/0.png")
    with pytest.raises(BadInput, match=r"begun on other data than dataset image_folder has now .* put back what they"):
        train(config, tmp_path)
    assert "1 of another size or time ('train/ant/0.png')" in capsys.readouterr().err
    assert files(Run(tmp_path / "run")) == begun
    (tmp_path / "pictures/train/ant/0.png").write_bytes(whole)
    assert train(config, tmp_path).state()["state"] == "finished"
    os.utime(tmp_path / "pictures/train/ant/0.png", ns=(0, 0))
    assert train(config, tmp_path).state()["state"] == "finished"  # a finished run needs no data


# --- more epochs --------------------------------------------------------------------------------------------

LONGER = {
    "constant, warm-up": {"schedule": {"name": "constant", "warmup_epochs": 1.5}, "training": {"ema": 0.9}},
    "steps": {"schedule": {"name": "step", "every": 2, "gamma": 0.5}},
    "patience left": {"training": {"early_stopping": {"patience": 3}}},
    "a warm-up that covers all": {"schedule": {"name": "cosine", "warmup_epochs": 2}},
}


@pytest.mark.parametrize("sections", LONGER.values(), ids=LONGER.keys())
@pytest.mark.cpu
def test_a_finished_run_goes_on_to_the_bytes_of_a_longer_one(sections: dict[str, Any], tmp_path: Path) -> None:
    at_once = train(longer(sections, 4), tmp_path / "a")
    train(experiment(**sections), tmp_path / "b")
    extended = train(longer(sections, 4), tmp_path / "b")
    assert files(extended) == files(at_once)
    assert rows(extended) == rows(at_once)
    assert extended.config.training.epochs == 4
    assert len(extended.environment()["resumed"]) == 1


def test_a_run_that_was_killed_when_more_epochs_had_been_asked_for_goes_on(tmp_path: Path) -> None:
    more = longer({}, 4)
    run = train(experiment(), tmp_path)
    with held(run.path, "training"):
        write_text(run.config_file, yamlfile.dump(more.resolved(run.path)))  # as it is before its state
    assert train(more, tmp_path).state() | {"step": 0} == {"state": "finished", "epoch": 4, "step": 0, "message": ""}


REFUSED_LONGER = {
    "cosine": ({"schedule": {"name": "cosine"}}, "schedule cosine depends on their number"),
    "stopped early": (
        {"training": {"early_stopping": {"patience": 1}, "epochs": 9}, "optimizer": {"lr": 1e-12}},
        "stopped early after epoch",
    ),
}


@pytest.mark.parametrize(("sections", "says"), REFUSED_LONGER.values(), ids=REFUSED_LONGER.keys())
def test_why_a_run_cannot_go_on(sections: dict[str, Any], says: str, tmp_path: Path) -> None:
    run = train(experiment(**sections), tmp_path)
    before = files(run), run.config_file.read_bytes()
    with pytest.raises(BadInput, match=f"{says}.*under another --name"):
        train(longer(sections, 12), tmp_path)
    with pytest.raises(BadInput, match=r"another config \(training.epochs: \d, now 1\)"):
        train(longer(sections, 1), tmp_path)
    assert (files(run), run.config_file.read_bytes()) == before


def longer(sections: dict[str, Any], epochs: int) -> Experiment:
    """The same experiment with a number of epochs."""
    return experiment(**sections | {"training": sections.get("training", {}) | {"epochs": epochs}})


def test_a_process_whose_partner_is_gone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the other one that knows why, as of a full disk."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name, value in {"init_process_group": None, "get_rank": 1, "get_world_size": 2}.items():
        monkeypatch.setattr(torch.distributed, name, lambda *given, value=value: value)
    ended: list[bool] = []
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: ended.append(True))
    for words, kind in (("pair.cc:553] Connection closed by peer [127.0.0.1]:2", RunFailed), ("odd", RuntimeError)):
        with pytest.raises(kind, match="another of the processes" if kind is RunFailed else "odd"), world("cpu"):
            raise RuntimeError(words)
    assert ended == [True, True]

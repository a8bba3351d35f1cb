"""Readers of a run whose splits are evaluated after every second epoch, of which three have passed of four."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Answer

from lossscape.config import experiment_from
from lossscape.figures.facts import facts_of
from lossscape.figures.training import build_training, training_caption
from lossscape.listing import summary
from lossscape.runs import Run
from lossscape.train import train


@pytest.fixture
def run(tmp_path: Path) -> Run:
    data = {
        "name": "second", "dataset": {"name": "digits", "train_size": 60, "test_size": 30},
        "model": {"name": "mlp", "hidden": [4]}, "optimizer": {"name": "sgd", "lr": 0.1},
        "training": {"epochs": 4, "batch_size": 30, "evaluate_every": 2},
    }  # fmt: skip
    return train(experiment_from(data), tmp_path, until=3)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_lists_and_texts_show_what_was_last_evaluated(run: Run) -> None:
    rows = rows_of(run.metrics_file)
    assert [bool(row["train_loss"]) for row in rows] == [True, False, True, False]
    assert "3/4" in summary(run)
    assert f"{float(rows[2]['train_loss']):.4f}" in summary(run)
    facts = facts_of(run)
    assert facts.epochs_done == 3
    assert facts.last["train_loss"] == float(rows[2]["train_loss"])
    assert facts.last["batch_loss"] == float(rows[3]["batch_loss"])
    assert training_caption([facts], ["second"]).endswith("; 3 of 4 epochs, evaluated every 2 epochs.")


def test_figures_draw_lines_without_gaps(run: Run) -> None:
    loss, *_, gradient = build_training([run]).axes
    for line in loss.lines:
        assert np.array_equal(line.get_xdata(), [0, 2])
        assert np.isfinite(line.get_ydata()).all()
    assert np.array_equal(gradient.lines[0].get_xdata(), [1, 2, 3])


def test_commands_read_it(run: Run, cli: Callable[..., Answer]) -> None:
    assert cli("train", run.config_file, "--runs", run.path.parent).code == 0
    answer = cli("compare", run.path)
    assert answer.code == 0
    curves = rows_of(next((run.path.parent / "compare").glob("*/curves.csv")))
    assert [row["epoch"] for row in curves] == ["0.0", "2.0", "4.0"]
    assert all(np.isfinite(float(row["test_accuracy_mean"])) for row in curves)
    answer = cli("solutions", run.path)
    assert answer.code == 2
    assert "training.evaluate_every" in answer.err
    answer = cli("interpolate", f"{run.path}@2", f"{run.path}@3", "--points", 3)
    assert answer.code == 0
    (certificate,) = run.path.parent.rglob("certificate.json")
    names = [each["name"] for each in json.loads(certificate.read_text())["checks"] if "metrics.csv" in each["name"]]
    assert names
    assert all("epoch-0002" in name for name in names)

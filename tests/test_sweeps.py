"""Sweeps: their files, the names of their runs, one table that is a function of the runs, and what stops them."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossscape import yamlfile
from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.files import held
from lossscape.runfiles import cells_of, is_sweep, with_cells
from lossscape.runs import Run
from lossscape.signals import Interrupted
from lossscape.sweeps import Opened, run_sweep

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))
BASE: dict[str, Any] = {
    "device": "cpu",
    "dataset": {"name": "synthetic", "shape": [1, 2, 2], "train": 20, "test": 10},
    "model": {"name": "mlp", "hidden": [3]},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "training": {"epochs": 2, "batch_size": 5},
}


def opened(folder: Path, settings: tuple[str, ...] = (), **more: Any) -> Opened:
    file = folder / "sweep.yaml"
    file.write_text(yamlfile.dump({"name": "s", "base": BASE} | more))
    return Opened(file, settings)


def names(folder: Path, **more: Any) -> list[str]:
    return [cell.name for cell in opened(folder, **more).cells]


def table(home: Path) -> list[dict[str, str]]:
    with (home / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_every_sweep_that_is_shipped_is_a_set_of_experiments(file: Path) -> None:
    assert len(Opened(file).cells) > 1


NAMES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "product": (
        {"product": {"optimizer.lr": [0.1, 1e-3], "seed": [0, 1]}},
        ["lr-0.1-seed-0", "lr-0.1-seed-1", "lr-0.001-seed-0", "lr-0.001-seed-1"],
    ),
    "zip": (
        {"zip": {"model.hidden": [[3], [4, 5]], "training.epochs": [1, 2]}},
        ["hidden-3-epochs-1", "hidden-4+5-epochs-2"],
    ),
    "product and zip": (
        {"product": {"seed": [7]}, "zip": {"training.epochs": [1, 2]}},
        ["seed-7-epochs-1", "seed-7-epochs-2"],
    ),
    "sections": (
        {"product": {"optimizer": [{"name": "sgd", "lr": 0.1}, {"name": "adam", "betas": [0.5, 0.9]}]}},
        ["sgd-lr-0.1", "adam-betas-0.5+0.9"],
    ),
    "cases": (
        {
            "product": {"seed": [0]},
            "cases": {
                "plain": {"set": {"optimizer": {"name": "sgd", "lr": 1.0}}},
                "adam": {"set": {"optimizer": {"name": "adam"}}, "product": {"optimizer.lr": [0.1, 0.2]}},
            },
        },
        ["plain-seed-0", "adam-lr-0.1-seed-0", "adam-lr-0.2-seed-0"],
    ),
    "last parts that are the same": ({"product": {"seed": [1], "dataset.seed": [2]}}, ["seed-1-dataset.seed-2"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_runs_are_named_after_what_differs(tmp_path: Path, case: str) -> None:
    more, wanted = NAMES[case]
    assert names(tmp_path, **more) == wanted


def test_names_that_are_long_or_unsafe_are_cut_and_told_apart(tmp_path: Path) -> None:
    found = names(tmp_path, product={"model.hidden": [[3] * 60, [3] * 59 + [4]]})
    assert len(set(found)) == 2
    assert all(len(name) <= 80 for name in found)
    found = names(tmp_path, product={"teacher": [{"run": "a/b"}, {"run": "a b"}]})
    assert len(set(found)) == 2
    assert all(name.startswith("teacher-run-a-b-") for name in found)


def test_values_are_laid_over_the_base_a_section_before_what_is_in_it(tmp_path: Path) -> None:
    sweep = opened(
        tmp_path,
        settings=("training.batch_size=4",),
        set={"training": {"epochs": 3}},
        product={"optimizer.lr": [0.5], "optimizer": [{"name": "momentum", "momentum": 0.8}]},
    )
    (cell,) = sweep.cells
    resolved = cell.experiment.resolved()
    assert resolved["training"] | {"epochs": 3, "batch_size": 4} == resolved["training"]
    assert resolved["optimizer"]["name"] == "momentum"
    assert (resolved["optimizer"]["lr"], resolved["optimizer"]["momentum"]) == (0.5, 0.8)
    assert cell.values == {"optimizer.lr": 0.5, "optimizer": {"name": "momentum", "momentum": 0.8}}


WRONG = {
    "name: s\nbase: {}\n": "nothing is varied",
    "name: s\nbase: none.yaml\nproduct: {seed: [0]}\n": "2:1: base: there is no file 'none.yaml'",
    "name: s\nbase: {}\nproduct: {seed: []}\n": "3:11: product.seed",
    "name: s\nbase: {}\nproduct: {name: [a]}\n": "name: every run is named after its values",
    "name: s\nbase: {}\nzip: {seed: [0], training.epochs: [1, 2]}\n": "seed has 1, training.epochs has 2",
    "name: s\nbase: {}\nzip: {seed: [0]}\nproduct: {seed: [0]}\n": "zip: seed stands in product too",
    "name: s\nbase: {}\nproduct: {seed: [0]}\ncases: {a: {product: {seed: [0]}}}\n": "seed is varied there and for all",
    "name: s/t\nbase: {}\nproduct: {seed: [0]}\n": "1:1: name: a run name",
    "name: s\nbase: {}\nprodukt: {seed: [0]}\n": "did you mean 'product'",
    "- 1\n": "a sweep is a mapping",
}


@pytest.mark.parametrize("text", WRONG, ids=list(WRONG.values()))
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with pytest.raises(BadInput) as error:
        Opened(tmp_path / "sweep.yaml")
    assert WRONG[text] in str(error.value)
    assert f"{tmp_path}/sweep.yaml:" in str(error.value)


def test_mistakes_of_all_cells_are_said_at_once_each_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yamlfile.dump(BASE | {"loss": {"name": "crossentropy"}}))
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: s\nbase: base.yaml\nset: {training: {epochs: no}}\n"
        "product:\n  optimizer.lr:\n    - 0.1\n    - -3\n  seed: [0, x]\n"
    )
    with pytest.raises(BadInput) as error:
        Opened(file)
    first, *lines = str(error.value).splitlines()
    assert first == "4 errors in the config"
    places = ["base.yaml:", "sweep.yaml:3:18: training.epochs", "sweep.yaml:7:7: optimizer.lr", "sweep.yaml:8:13: seed"]
    assert all(any(f"{tmp_path}/{place}" in line for line in lines) for place in places)
    with pytest.raises(BadInput, match=r"--set seed=1: the sweep varies seed"):
        opened(tmp_path, settings=("seed=1",), product={"seed": [0]})
    with pytest.raises(BadInput, match="two cells would be the run seed-1"):
        opened(tmp_path, product={"seed": [1, 1]})


DIVERGING = {"product": {"optimizer.lr": [0.1, 1e15], "seed": [0, 1]}}


def test_the_table_has_every_run_and_a_failed_one_with_its_reason(tmp_path: Path) -> None:
    home = tmp_path / "runs" / "s"
    outcomes = run_sweep(opened(tmp_path, **DIVERGING), home, Execution(quiet=True))
    assert [each.state for each in outcomes] == ["finished", "finished", "failed", "failed"]
    rows = table(home)
    assert [row["run"] for row in rows] == list(cells_of(home))
    assert [(row["optimizer.lr"], row["seed"], row["state"]) for row in rows[1:3]] == [
        ("0.1", "1", "finished"),
        ("1000000000000000.0", "0", "failed"),
    ]
    assert rows[2]["reason"].startswith("the loss is ")
    with Run(home / rows[0]["run"]).metrics_file.open() as file:
        metrics = list(csv.DictReader(file))
    for column in ("epoch", "step", "train_loss", "test_accuracy"):
        assert rows[0][column] == metrics[-1][column]
    assert float(rows[0]["best_test_accuracy"]) == max(float(row["test_accuracy"]) for row in metrics)
    assert float(rows[0]["best_test_loss"]) == min(float(row["test_loss"]) for row in metrics)
    assert "seconds" not in rows[0]
    before = (home / "sweep.csv").read_bytes()
    run_sweep(opened(tmp_path, **DIVERGING), home, Execution(quiet=True))
    assert (home / "sweep.csv").read_bytes() == before


def test_a_file_that_has_grown_adds_runs_and_another_config_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "s"
    run_sweep(opened(tmp_path, product={"seed": [0, 1]}), home, Execution(quiet=True))
    first = (home / "seed-0" / "environment.json").read_bytes()
    run_sweep(opened(tmp_path, product={"seed": [2, 0]}), home, Execution(quiet=True))
    assert [row["run"] for row in table(home)] == ["seed-2", "seed-0"]
    assert (home / "seed-0" / "environment.json").read_bytes() == first
    assert is_sweep(home)
    assert (home / "seed-1" / "config.yaml").exists()
    assert with_cells([home, tmp_path / "other"]) == [home / "seed-2", home / "seed-0", tmp_path / "other"]
    left = {path: path.read_bytes() for path in home.glob("*.*")}
    with pytest.raises(BadInput, match=r"made with another config \(training.batch_size: 5, now 4\)"):
        run_sweep(opened(tmp_path, ("training.batch_size=4",), product={"seed": [0, 9]}), home, Execution(quiet=True))
    assert {path: path.read_bytes() for path in home.glob("*.*")} == left
    (home / "seed-2" / "metrics.csv").unlink()
    run_sweep(opened(tmp_path, product={"seed": [2, 0]}), home, Execution(quiet=True))
    assert [row["reason"] for row in table(home)] == ["its metrics.csv is missing", ""]
    with held(home, "a sweep"), pytest.raises(BadInput, match=r"in use by process .* \(a sweep\)"):
        run_sweep(opened(tmp_path, product={"seed": [0]}), home, Execution(quiet=True))
    (tmp_path / "x" / "y").mkdir(parents=True)
    with pytest.raises(BadInput, match="exists and is no sweep"):
        run_sweep(opened(tmp_path, product={"seed": [0]}), tmp_path / "x", Execution(quiet=True))
    few = ("dataset.train_size=30",)
    with pytest.raises(BadInput, match="train_size"):
        run_sweep(opened(tmp_path, few, product={"seed": [0]}), tmp_path / "new", Execution(quiet=True))
    assert not (tmp_path / "new").exists()


def test_an_interrupted_sweep_has_a_table_of_what_there_is_and_ends_with_the_same(
    tmp_path: Path, signals_at: Callable[[int, int], None]
) -> None:
    sweep = opened(tmp_path, product={"seed": [0, 1, 2]})
    run_sweep(sweep, tmp_path / "whole", Execution(quiet=True))
    signals_at(11, signal.SIGINT)
    with pytest.raises(Interrupted):
        run_sweep(sweep, tmp_path / "cut", Execution(quiet=True))
    assert [row["state"] for row in table(tmp_path / "cut")] == ["finished", "interrupted", "not finished"]
    run_sweep(sweep, tmp_path / "cut", Execution(quiet=True))
    assert (tmp_path / "cut" / "sweep.csv").read_bytes() == (tmp_path / "whole" / "sweep.csv").read_bytes()


def test_the_command_lists_runs_trains_them_and_says_what_failed(tmp_path: Path, cli: Callable[..., Any]) -> None:
    opened(tmp_path, **DIVERGING)
    file, runs = tmp_path / "sweep.yaml", tmp_path / "runs"
    assert cli("sweep", file, "--dry-run").out.split()[0] == "lr-0.1-seed-0"
    answer = cli("sweep", file, "--runs", runs, "--name", "other")
    assert answer.code == 0
    assert "2 of 4 runs finished" in answer.out
    assert "lr-1e+15-seed-1 failed: the loss is" in answer.out
    assert str(runs / "other" / "sweep.csv") in answer.out
    listed = cli("runs", "--runs", runs)
    assert "sweep other: 4 runs, 2 finished, 2 failed" in listed.out
    assert "lr-0.1-seed-1" in cli("runs", "--runs", runs / "other").out


def test_the_command_called_again_opens_nothing_until_something_changed(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path, product={"optimizer.lr": [0.1, 0.2]}, set={"training": {"epochs": 1}})
    words = ("sweep", tmp_path / "sweep.yaml", "--runs", tmp_path)
    first = cli(*words)
    metrics = tmp_path / "s" / "lr-0.1" / "metrics.csv"
    before = metrics.read_bytes()
    called: list[Path] = []

    def gone_through(opened: Opened, home: Path, execution: Execution) -> list[Any]:
        called.append(home)
        return run_sweep(opened, home, execution)

    monkeypatch.setattr("lossscape.sweeps.run_sweep", gone_through)
    assert cli(*words).out == first.out
    assert "2 of 2 runs finished" in first.out
    assert not called
    metrics.write_bytes(before.replace(b"0.1", b"0.2", 1))
    assert "changed since lossscape wrote it" in cli(*words).err
    metrics.write_bytes(before)
    assert cli(*words).out == first.out
    assert called == [tmp_path / "s"]
    assert cli(*words, "--overwrite").code == 0
    opened(tmp_path, product={"optimizer.lr": [0.1, 0.2, 0.3]}, set={"training": {"epochs": 1}})
    assert "3 of 3 runs finished" in cli(*words).out
    assert len(called) == 3


def test_a_file_that_changes_while_its_sweep_runs_is_gone_through_again(
    tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, Any] = {"set": {"training": {"epochs": 1}}}
    opened(tmp_path, product={"optimizer.lr": [0.1]}, **more)
    words = ("sweep", tmp_path / "sweep.yaml", "--runs", tmp_path)

    def changed_within(sweep: Opened, home: Path, execution: Execution) -> list[Any]:
        opened(tmp_path, product={"optimizer.lr": [0.1, 0.2]}, **more)
        return run_sweep(sweep, home, execution)

    with monkeypatch.context() as patched:
        patched.setattr("lossscape.sweeps.run_sweep", changed_within)
        assert "1 of 1 run finished" in cli(*words).out
    assert "2 of 2 runs finished" in cli(*words).out


@pytest.mark.slow
def test_a_sweep_that_is_killed_ends_with_the_same_table_with_one_worker_or_two(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "product": {"optimizer.lr": [0.1, 1e15], "seed": [0, 1, 2]},
        "set": {"training": {"epochs": 40}},
    }
    sweep = opened(tmp_path, **more)
    run_sweep(sweep, tmp_path / "one" / "s", Execution(quiet=True))
    words = [sys.executable, "-m", "lossscape", "sweep", str(tmp_path / "sweep.yaml"), "--runs", str(tmp_path / "two")]
    process = subprocess.Popen([*words, "--workers", "2", "--quiet"], env=os.environ | {"PYTHONPATH": str(ROOT)})
    begun = tmp_path / "two" / "s" / "lr-0.1-seed-0" / "metrics.csv"
    while not begun.exists() or begun.read_bytes().count(b"\n") < 6:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    time.sleep(0.5)  # its workers end by themselves
    assert not (tmp_path / "two" / "s" / "sweep.csv").exists()
    assert subprocess.run([*words, "--workers", "2", "-q"], env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == 0
    assert (tmp_path / "two" / "s" / "sweep.csv").read_bytes() == (tmp_path / "one" / "s" / "sweep.csv").read_bytes()

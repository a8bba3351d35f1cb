"""Many experiments at once: the same runs however many are trained at a time, and one that fails stops no other."""

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lossscape.config import Experiment, experiment_from
from lossscape.errors import BadInput, RunFailed
from lossscape.execution import Execution
from lossscape.runs import Run
from lossscape.signals import Interrupted
from lossscape.train import train
from lossscape.train.several import Outcome, train_all


def experiment(name: str, **more: Any) -> Experiment:
    base = {
        "name": name,
        "device": "cpu",
        "dataset": {"name": "synthetic", "shape": [1, 2, 2], "train": 20, "test": 10},
        "model": {"name": "mlp", "hidden": [3]},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "training": {"epochs": 2, "batch_size": 5},
    }
    return experiment_from(base | more)


def metrics(run: Run) -> list[dict[str, str]]:
    """metrics.csv but for the seconds."""
    with run.metrics_file.open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


DIVERGES = {"optimizer": {"name": "sgd", "lr": 1e15}}


def test_all_are_trained_as_each_alone_and_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    wanted = [experiment("a"), experiment("b", **DIVERGES), experiment("c", seed=1)]
    before = torch.get_num_threads()
    found = train_all(wanted, tmp_path / "many")
    assert [each.run.name for each in found] == ["a", "b", "c"]
    assert [each.state for each in found] == ["finished", "failed", "finished"]
    assert found[1].why.startswith("the loss is ")
    assert str(tmp_path) not in found[1].why
    with pytest.raises(RunFailed, match="b failed: the loss is"):
        found[1].checked()
    assert torch.get_num_threads() == before
    for each in (found[0], found[2]):
        alone = train(next(one for one in wanted if one.name == each.run.name), tmp_path / "alone")
        assert metrics(each.checked()) == metrics(alone)
        assert each.run.checkpoint("last").sha256 == alone.checkpoint("last").sha256
    assert metrics(found[0].run) != metrics(found[2].run)


OWN = """\
import torch
class Net(torch.nn.Sequential):
    def forward(self, x):
        if self.training and float(self[1].weight.detach().abs().sum()) != self.first:
            raise ValueError("weights have changed")
        return super().forward(x)
def net(shape, classes):
    made = Net(torch.nn.Flatten(), torch.nn.Linear(4, classes))
    made.first = float(made[1].weight.detach().abs().sum())
    return made
"""


def test_what_a_net_of_the_user_raises_ends_its_own_run_alone(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    own = experiment("own", model={"name": f"{tmp_path / 'own.py'}:net"})
    found = train_all([own, experiment("b")], tmp_path / "many")
    assert [(each.state, each.reason) for each in found] == [
        ("failed", "ValueError: weights have changed"), ("finished", ""),
    ]  # fmt: skip
    said = found[0].run.state()
    assert (said["state"], said["message"]) == ("failed", "ValueError: weights have changed")
    assert len(metrics(found[0].run)) == 1


def test_why_a_run_was_refused_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    reason = f"{tmp_path / 'a'} was begun before {tmp_path / 'a' / 'net.py'} changed: put it back; or not"
    assert Outcome(Run(tmp_path / "a"), "refused", reason).why == "a was begun before a/net.py changed: put it back"


def test_what_is_finished_is_left_alone_and_what_was_begun_is_continued(tmp_path: Path) -> None:
    wanted = [experiment("a"), experiment("b", seed=1)]
    train(wanted[0], tmp_path)
    train(wanted[1], tmp_path, until=1)
    left = (tmp_path / "a" / "environment.json").read_bytes()
    (tmp_path / "a" / f".state.json.{2**22 + 1}.part").touch()  # of a process that was killed; no number is as large
    whole = train_all(wanted, tmp_path / "whole")
    for one, other in zip(train_all(wanted, tmp_path), whole, strict=True):
        assert metrics(one.checked()) == metrics(other.checked())
    assert (tmp_path / "a" / "environment.json").read_bytes() == left
    assert not list((tmp_path / "a").glob(".*.part"))
    longer = [experiment("a", training={"epochs": 3, "batch_size": 5})]
    assert [row["epoch"] for row in metrics(train_all(longer, tmp_path)[0].run)] == ["0", "1", "2", "3"]


def test_what_is_trained_up_to_an_epoch_is_left_alone_until_more_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(experiment("a"), tmp_path, until=1)
    left = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr("lossscape.data.load", None)
        train(experiment("a"), tmp_path, until=1)
        train(experiment("a"), tmp_path, until=0)
    assert {path: path.read_bytes() for path in left} == left
    whole = train(experiment("a"), tmp_path / "whole")
    assert metrics(train(experiment("a"), tmp_path)) == metrics(whole)
    (run.path / "state.json").write_text('{"state": "running", "epoch": 1, "step": 4, "message": ""}')
    monkeypatch.setattr("lossscape.data.load", None)
    with pytest.raises(BadInput, match="changed since lossscape wrote it"):  # what a kill left, it would go on with
        train(experiment("a"), tmp_path, until=1)


def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    train(experiment("b"), tmp_path)
    with pytest.raises(BadInput, match=r"was made with another config \(seed: 0, now 1\)"):
        train_all([experiment("a"), experiment("b", seed=1)], tmp_path)
    with pytest.raises(BadInput, match="two experiments would be the run a"):
        train_all([experiment("A"), experiment("a")], tmp_path)
    assert not (tmp_path / "a").exists()
    few = {"name": "synthetic", "shape": [1, 2, 2], "train": 20, "test": 10, "train_size": 30}
    with pytest.raises(BadInput, match="train_size"):
        train_all([experiment("a"), experiment("b", dataset=few)], tmp_path / "few")
    assert not (tmp_path / "few" / "a").exists()
    single = {"model": {"name": "mlp", "hidden": [3], "batch_norm": True}, "training": {"epochs": 1, "batch_size": 1}}
    found = train_all([experiment("d", **single), experiment("a")], tmp_path)
    assert [each.state for each in found] == ["refused", "finished"]
    assert "BatchNorm" in found[0].why
    assert not (tmp_path / "d" / "metrics.csv").exists()


def test_a_signal_stops_within_a_step_and_says_how_to_continue(
    tmp_path: Path, signals_at: Callable[[int, int], None]
) -> None:
    wanted = [experiment("a"), experiment("b", seed=1)]
    signals_at(6, signal.SIGTERM)
    with pytest.raises(Interrupted, match="the same command once more") as stop:
        train_all(wanted, tmp_path)
    assert stop.value.exit_code == 143
    assert Run(tmp_path / "a").state()["state"] == "interrupted"
    assert not (tmp_path / "b").exists()
    again = train_all(wanted, tmp_path)
    whole = train_all(wanted, tmp_path / "whole")
    assert [metrics(each.run) for each in again] == [metrics(each.run) for each in whole]


@pytest.mark.slow
@pytest.mark.cpu
def test_workers_train_the_same_bits(tmp_path: Path) -> None:
    wanted = [experiment(f"r{seed}", seed=seed) for seed in range(3)] + [experiment("bad", **DIVERGES)]
    one = train_all(wanted, tmp_path / "1", Execution(workers=1, quiet=True))
    two = train_all(wanted, tmp_path / "2", Execution(workers=2, quiet=True))
    for a, b in zip(one, two, strict=True):
        assert (a.run.name, a.state, a.why) == (b.run.name, b.state, b.why)
        assert metrics(a.run) == metrics(b.run)
    assert one[0].run.checkpoint("last").sha256 == two[0].run.checkpoint("last").sha256
    assert "worker" not in two[0].run.environment()["command"]

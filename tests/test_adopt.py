"""Weights that were trained elsewhere, adopted: which files, which names, what is measured, and what is refused."""

import csv
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from conftest import DIGITS, Answer
from processes import At, Processes
from torch import Tensor, nn

from lossscape import yamlfile
from lossscape.adopt import adopt
from lossscape.adopt.files import gather, numbers_of
from lossscape.config import RunConfig, read_config
from lossscape.errors import BadInput
from lossscape.runs import Run
from lossscape.train.state import say_state
from lossscape.usercode import load

ADOPTED = "".join(line for line in DIGITS.splitlines(keepends=True) if not line.startswith(("optimizer", "training")))
TIED = """\
from torch import nn

def net(shape, classes):
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), first, nn.Tanh(), second, nn.Linear(8, classes))
"""


@pytest.fixture
def place(trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with adopted.yaml and the checkpoints of a trained run, ck/net_0.pt to ck/net_3.pt."""
    monkeypatch.chdir(tmp_path)
    Path("adopted.yaml").write_text(ADOPTED)
    Path("ck").mkdir()
    for epoch in range(4):
        Path(f"ck/net_{epoch}.pt").write_bytes(trained.epoch_file(epoch).read_bytes())
    return tmp_path


def rows(run: Run) -> list[dict[str, str]]:
    """metrics.csv."""
    with run.metrics_file.open() as file:
        return list(csv.DictReader(file))


def state_of(file: str) -> dict[str, Tensor]:
    """A checkpoint."""
    state: dict[str, Tensor] = torch.load(file, weights_only=True)
    return state


# --- the run ------------------------------------------------------------------------------------------------


def test_the_run_is_that_of_training(place: Path, trained: Run, cli: Callable[..., Answer]) -> None:
    """Adopted, the checkpoints of a run have its bytes and its metrics, to the last digit."""
    answer = cli("adopt", "adopted.yaml", "ck/*.pt")
    assert answer.code == 0, answer.err
    run = Run.open("runs/digits")
    measured = ("epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    assert [[row[key] for key in measured] for row in rows(run)] == [
        [row[key] for key in measured] for row in rows(trained)
    ]
    assert all(row[key] == "" for row in rows(run) for key in row if key not in measured)
    for epoch in range(4):
        assert run.epoch_file(epoch).read_bytes() == trained.epoch_file(epoch).read_bytes()
    told = run.environment()
    assert [each["file"] for each in told["adopted"]] == [f"net_{epoch}.pt" for epoch in range(4)]
    assert [each["sha256"] for each in told["adopted"]] == [run.checkpoint(str(e)).sha256 for e in range(4)]
    assert str(place) not in json.dumps(told["adopted"])
    config = yamlfile.read(run.config_file).data
    assert (config["optimizer"], config["schedule"], config["training"]) == (None, None, None)
    assert config["model"] == trained.config.resolved()["model"]


@pytest.mark.slow
def test_every_command_works_on_it(place: Path, cli: Callable[..., Answer], processes: Processes) -> None:
    assert cli("adopt", "adopted.yaml", "ck/*.pt", "--quiet").err == ""
    assert cli("report", "runs/digits").code == 0  # with its figure drawn; those of the others are drawn elsewhere
    for words in (
        ("interpolate", "runs/digits", "--points", 5),
        ("landscape", "runs/digits", "--grid", 3, "--directions", "pca", "--path"),
        ("minimum", "runs/digits"),
        ("film", "runs/digits", "--grid", 3),
        ("report", "runs/digits"),
    ):
        answer = processes.run(*words, cwd=place)
        assert answer.code == 0, (words, answer.err)
    certificate = json.loads(next(Path("runs/digits/interpolate").glob("*/certificate.json")).read_text())
    assert certificate["passed"]
    assert sum(check["kind"] == "stored" for check in certificate["checks"]) == 4
    page = Path("runs/digits/report/index.html").read_text()
    assert "trained elsewhere" in page
    assert "learning rate" not in page
    line = cli("runs").out.splitlines()[1]
    assert line.split()[:5] == ["digits", "digits", "mlp", "unknown", "3"]
    assert line.endswith("adopted")


def test_an_optimizer_that_is_told_is_kept(place: Path, cli: Callable[..., Answer]) -> None:
    Path("adopted.yaml").write_text(DIGITS)
    assert cli("adopt", "adopted.yaml", "ck/net_3.pt").code == 0
    assert "momentum" in cli("runs").out
    answer = cli("train", "adopted.yaml")
    assert answer.code == 2
    assert "runs/digits was adopted or recorded, not trained" in answer.err


# --- again --------------------------------------------------------------------------------------------------


def test_adopting_again_adds_what_is_new(place: Path, cli: Callable[..., Answer]) -> None:
    run = Run("runs/digits")
    assert cli("adopt", "adopted.yaml", "ck/net_0.pt", "ck/net_3.pt").code == 0
    first, times = rows(run), run.epoch_file(0).stat().st_mtime_ns
    answer = cli("adopt", "adopted.yaml", "ck/*.pt")
    assert [line for line in answer.err.splitlines() if line.startswith("epoch")] == [
        "epoch 1: ck/net_1.pt",
        "epoch 2: ck/net_2.pt",
    ]
    assert [row["epoch"] for row in rows(run)] == ["0", "1", "2", "3"]
    assert [rows(run)[0], rows(run)[3]] == first
    assert run.epoch_file(0).stat().st_mtime_ns == times
    before = run.environment()
    assert cli("adopt", "adopted.yaml", "ck/*.pt").err == ""
    assert run.environment() == before


def test_files_without_numbers_count_on(place: Path, cli: Callable[..., Answer]) -> None:
    for old, new in (("0", "begin"), ("3", "middle"), ("1", "end")):
        Path(f"ck/net_{old}.pt").rename(f"ck/{new}.pt")
    run = Run("runs/digits")
    assert cli("adopt", "adopted.yaml", "ck/begin.pt", "ck/middle.pt").code == 0
    assert cli("adopt", "adopted.yaml", "ck/begin.pt", "ck/end.pt").code == 0
    assert [each["file"] for each in run.environment()["adopted"]] == ["begin.pt", "middle.pt", "end.pt"]
    assert [row["epoch"] for row in rows(run)] == ["0", "1", "2"]


def test_overwrite_begins_anew(place: Path, cli: Callable[..., Answer]) -> None:
    assert cli("adopt", "adopted.yaml", "ck/*.pt").code == 0
    words = ("adopt", "adopted.yaml", "ck/net_2.pt", "--epochs", "7", "--set", "seed=3")
    refused = cli(*words)
    assert (refused.code, "seed: 0, now 3" in refused.err) == (2, True)
    assert cli(*words, "--overwrite").code == 0
    assert [checkpoint.epoch for checkpoint in Run("runs/digits").checkpoints()] == [7]


@pytest.mark.slow
def test_killed_at_any_file_it_continues(place: Path, cli: Callable[..., Answer], processes: Processes) -> None:
    """Each time at a later one of the moments around its writes, until it gets through."""
    assert cli("adopt", "adopted.yaml", "ck/*.pt", "--name", "whole").code == 0
    words, codes = ("adopt", "adopted.yaml", "ck/*.pt", "--quiet"), []
    while 0 not in codes:
        at = At("write", 1 + 3 * len(codes), signal.SIGKILL)
        codes.append(processes.run(*words, cwd=place, at=at).code)
    assert set(codes[:-1]) == {-signal.SIGKILL}
    assert len(codes) > 3
    run, whole = Run("runs/digits"), Run("runs/whole")
    assert rows(run) == rows(whole)
    assert run.environment()["adopted"] == whole.environment()["adopted"]
    assert run.state() == whole.state()
    assert [c.sha256 for c in run.checkpoints()] == [c.sha256 for c in whole.checkpoints()]


def test_a_signal_stops_after_a_checkpoint(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lossscape.adopt import keep
    from lossscape.signals import Interrupted

    add = keep.add

    def stopped(*given: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        return add(*given, **more)

    monkeypatch.setattr(keep, "add", stopped)
    config = read_config(RunConfig, "adopted.yaml")
    with pytest.raises(Interrupted):
        adopt(config, gather(["ck/*.pt"]))
    assert [row["epoch"] for row in rows(Run("runs/digits"))] == ["0"]
    assert Run("runs/digits").state()["state"] == "interrupted"


def test_adopted_is_said_where_only_that_was_left(place: Path) -> None:
    config, files = read_config(RunConfig, "adopted.yaml"), gather(["ck/*.pt"])
    run = adopt(config, files)
    for left in ("interrupted", "running"):  # a signal, or a kill, after the last checkpoint
        say_state(run, left)
        assert adopt(config, files).state()["state"] == "adopted"


# --- what files hold ----------------------------------------------------------------------------------------

HELD: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "plain": (lambda state: state, ""),
    "state_dict": (lambda state: {"state_dict": state, "epoch": 3, "loss": 0.5}, "from its key 'state_dict'"),
    "model": (lambda state: {"model": state, "optimizer": {}}, "from its key 'model'"),
    "model_state_dict": (lambda state: {"model_state_dict": state}, "from its key 'model_state_dict'"),
    "module": (lambda state: {"module": state}, "from its key 'module'"),
    "parallel": (lambda state: prefixed(state, "module."), "without the prefix 'module.'"),
    "lightning": (
        lambda state: {"state_dict": prefixed(state, "model."), "pytorch-lightning_version": "2", "callbacks": {}},
        "from its key 'state_dict', without the prefix 'model.'",
    ),
    "compiled and parallel": (
        lambda state: {"model": prefixed(state, "_orig_mod.module.net.")},
        "from its key 'model', without the prefix '_orig_mod.module.net.'",
    ),
    "half": (lambda state: {name: value.half() for name, value in state.items()}, ""),
}


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """With other names."""
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize(("change", "says"), HELD.values(), ids=HELD)
def test_what_a_file_may_hold(
    change: Callable[[dict[str, Tensor]], Any], says: str, place: Path, cli: Callable[..., Answer]
) -> None:
    state = state_of("ck/net_3.pt")
    torch.save(change(state), "one.ckpt")
    answer = cli("adopt", "adopted.yaml", "one.ckpt")
    assert answer.code == 0, answer.err
    assert f"epoch 0: one.ckpt{f' ({says})' if says else ''}\n" in answer.err
    for name, value in Run("runs/digits").checkpoint().state().items():
        torch.testing.assert_close(value, state[name], rtol=1e-3, atol=1e-4 if "half" in str(says) else 1e-3)
        assert value.dtype == state[name].dtype


def test_safetensors(place: Path, cli: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors.torch.save_file(state_of("ck/net_3.pt"), "net.safetensors")
    assert cli("adopt", "adopted.yaml", "net.safetensors", "--epochs", "3").code == 0
    assert Run("runs/digits").epoch_file(3).read_bytes() == Path("ck/net_3.pt").read_bytes()
    monkeypatch.setitem(sys.modules, "safetensors", None)
    answer = cli("adopt", "adopted.yaml", "net.safetensors", "--name", "again")
    assert answer.code == 2
    assert "pip install 'lossscape[safetensors]'" in answer.err
    assert not Path("runs/again").exists()


def test_shared_tensors_that_are_kept_once(place: Path, cli: Callable[..., Answer]) -> None:
    Path("tied.py").write_text(TIED)
    Path("tied.yaml").write_text(ADOPTED.replace("{name: mlp, hidden: [12], dropout: 0.2}", "{name: 'tied.py:net'}"))
    model: nn.Module = load("tied.py:net")((1, 8, 8), 10)
    state = model.state_dict()
    safetensors.torch.save_model(model, "tied.safetensors")
    assert cli("adopt", "tied.yaml", "tied.safetensors").code == 0
    adopted = Run("runs/digits").checkpoint().state()
    assert set(adopted) == set(state)
    assert all(torch.equal(adopted[name], state[name]) for name in state)


# --- files and numbers --------------------------------------------------------------------------------------

NUMBERS: dict[str, tuple[list[str], list[int] | None]] = {
    "numbers": (["a_1.pt", "a_20.pt", "a_3.pt"], [1, 20, 3]),
    "folders": (["out/checkpoint-5/model.safetensors", "out/checkpoint-10/model.safetensors"], [5, 10]),
    "the same elsewhere": (["v2/net18_e1.pt", "v2/net18_e2.pt"], [1, 2]),
    "epoch and step": (["epoch=1-step=20.ckpt", "epoch=2-step=40.ckpt"], [1, 2]),
    "two numbers": (["a_1_loss0.5.pt", "a_2_loss0.4.pt"], None),
    "other words": (["init.pt", "a_1.pt"], None),
    "alone": (["resnet18.pt"], None),
    "alone, an epoch": (["resnet18_epoch_90.pt"], [90]),
    "twice the same": (["a_01.pt", "a_1.pt"], None),
}


@pytest.mark.parametrize(("names", "numbers"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_in_names(names: list[str], numbers: list[int] | None) -> None:
    assert numbers_of(list(map(Path, names))) == numbers


def test_patterns_are_sorted_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (10, 9, 1):
        Path(f"a{number}.pt").touch()
    assert [file.name for file in gather(["a*.pt"])] == ["a1.pt", "a9.pt", "a10.pt"]
    with pytest.raises(BadInput, match=r"a9\.pt: is named twice"):
        gather(["a9.pt", "./a9.pt"])

"""The user's own Python: where files are found, what they can import, and that a run finds them again."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import DIGITS, Answer

from lossscape import usercode, yamlfile
from lossscape.config import experiment_from, read_experiment
from lossscape.errors import BadInput
from lossscape.runs import Run
from lossscape.train import train

NET = """\
from torch import nn
from {helpers} import WIDTH

def net(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0] * shape[1] * shape[2], WIDTH), nn.Linear(WIDTH, classes))
"""
OWN = DIGITS.replace("{name: mlp, hidden: [12], dropout: 0.2}", "{name: 'net.py:net'}")


def project(folder: Path, width: int, helpers: str = "sizes_of_it") -> Path:
    """A folder with a config, a net beside it and what the net imports; returns the config."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "own.yaml").write_text(OWN)
    (folder / "net.py").write_text(NET.format(helpers=helpers))
    (folder / f"{helpers}.py").write_text(f"WIDTH = {width}\n")
    return folder / "own.yaml"


def width_of(run: Run) -> int:
    """Of the hidden layer of the net of `project`."""
    return len(run.checkpoint("last").state()["1.bias"])


def test_a_file_is_found_beside_the_config_then_in_the_working_directory(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = project(tmp_path / "there", 3)
    project(tmp_path / "here", 5)
    assert cli("train", config, "--name", "a").code == 0
    (tmp_path / "there" / "net.py").unlink()
    assert cli("train", config, "--name", "b").code == 0
    assert (width_of(Run("runs/a")), width_of(Run("runs/b"))) == (3, 5)
    (tmp_path / "here" / "net.py").unlink()
    answer = cli("train", config, "--name", "c")
    assert answer.code == 2
    assert f"no file 'net.py' (looked from {tmp_path}/there and {tmp_path}/here)" in answer.err


def test_a_run_finds_its_file_from_everywhere_and_after_a_move(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    config = project(work / "configs", 3)
    monkeypatch.chdir(work)
    assert cli("train", config).code == 0
    resolved = yamlfile.read(work / "runs/digits/config.yaml").data
    assert resolved["model"]["name"] == "../../configs/net.py:net"
    assert cli("train", config).out.startswith("runs/digits is already done")
    assert cli("train", "runs/digits/config.yaml", "--name", "again").code == 0
    assert yamlfile.read(work / "runs/again/config.yaml").data == resolved | {"name": "again"}
    first, again = ((work / "runs" / name / "checkpoints/epoch-0003.pt").read_bytes() for name in ("digits", "again"))
    assert first == again
    monkeypatch.chdir(tmp_path)
    shutil.move(work, tmp_path / "moved")
    assert Run.open("moved/runs/digits", trust_code=True).model()[1].out_features == 3  # type: ignore[index]


def test_absolute_paths_stay(tmp_path: Path) -> None:
    config = project(tmp_path, 4)
    config.write_text(OWN.replace("net.py:net", f"{tmp_path}/net.py:net"))
    experiment = read_experiment(config)
    assert experiment.resolved(tmp_path / "runs" / "a") == experiment.resolved()


def test_neighbours_of_files_in_two_folders_do_not_meet(tmp_path: Path) -> None:
    made = {}
    for name, width in (("first", 3), ("second", 7)):
        project(tmp_path / name, width)
        made[name] = usercode.load(f"{tmp_path}/{name}/net.py:net")
    shapes = [made[name]((1, 2, 2), 2)(torch.zeros(1, 4)).shape for name in made]
    widths = [made[name]((1, 2, 2), 2)[1].out_features for name in made]
    assert (shapes, widths) == ([(1, 2), (1, 2)], [3, 7])


@pytest.mark.parametrize("name", ["net", "net.py:", "net.py:not a name", ":net"])
def test_other_forms_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"is not of the form package.module:function or path/to/file.py:function"):
        usercode.load(name)


def test_a_run_is_not_continued_once_its_code_has_changed(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = project(tmp_path, 3, "sizes_of_changed")
    train(read_experiment(config), until=1)
    run, net = Run("runs/digits"), tmp_path / "net.py"
    assert run.environment()["code"] == {"model": hashlib.sha256(net.read_bytes()).hexdigest()}
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"}
    code = net.read_text()
    net.write_text(f"{code}\n# a remark\n")
    answer = cli("train", config, "--resume")
    assert answer.code == 2
    assert f"runs/digits was begun before {net} changed, where its model is from: put back what it was" in answer.err
    assert "--overwrite" in answer.err
    assert {path: path.read_bytes() for path in before} == before
    net.write_text(code)
    assert cli("train", config, "--resume").code == 0
    net.write_text(f"{code}\n# a remark\n")
    assert "already done" in cli("train", config).out
    assert f"before {net} changed" in cli("train", config, "--set", "training.epochs=4").err
    assert cli("train", config, "--overwrite").code == 0
    assert run.environment()["code"] == {"model": hashlib.sha256(net.read_bytes()).hexdigest()}


def test_results_are_named_after_the_code_of_their_run_if_it_was_noted(
    cli: Callable[..., Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOSSSCAPE_TRUST_CODE", "1")
    project(tmp_path, 3, "sizes_of_named")
    assert cli("train", "own.yaml").code == 0
    run = Run("runs/digits")

    def made() -> set[str]:
        before = {path.name for path in run.results("landscape").glob("*")}
        assert cli("landscape", run.path, "--dims", 1, "--grid", 5, "--quiet").code == 0
        return {path.name for path in run.results("landscape").glob("*")} - before

    (first,) = made()
    settings = yamlfile.read(run.results("landscape") / first / "settings.yaml").data
    assert settings["code"] == run.environment()["code"]
    assert not made()
    net = tmp_path / "net.py"
    net.write_text(f"{net.read_text()}\n# a remark\n")
    assert len(made()) == 1
    environment = run.environment()
    del environment["code"]  # as of a run from before it was noted
    run.environment_file.write_text(json.dumps(environment))
    assert cli("verify", "--accept-changed", run.path).code == 0
    (unknown,) = made()
    assert "code" not in yamlfile.read(run.results("landscape") / unknown / "settings.yaml").data
    net.write_text(f"{net.read_text()}\n# another remark\n")
    assert not made()


def test_the_code_of_every_section_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net_of_sections.py").write_text(NET.format(helpers="sizes_of_sections"))
    (tmp_path / "sizes_of_sections.py").write_text("WIDTH = 3\n")
    (tmp_path / "own_loss.py").write_text("def loss(outputs, targets):\n    return outputs.square().sum(1)\n")
    (tmp_path / "own_metric.py").write_text("def norm(outputs, targets):\n    return outputs.norm(dim=1)\n")
    data = {
        "name": "own",
        "dataset": {"name": "digits"},
        "model": {"name": "net_of_sections:net"},  # a module
        "loss": {"name": "own_loss.py:loss"},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "metrics": ["own_metric.py:norm"],
        "training": {"epochs": 1},
    }
    config = experiment_from(data, tmp_path)
    files = {"model": "net_of_sections.py", "loss": "own_loss.py", "metrics": "own_metric.py"}
    before = {key: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for key, name in files.items()}
    assert config.code_digests() == before
    for key, name in files.items():
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(f"{text}\n# a remark\n")
        changed = {section for section, digest in config.code_digests().items() if digest != before[section]}
        assert changed == {key}
        (tmp_path / name).write_text(text)
    (tmp_path / "sizes_of_sections.py").write_text("WIDTH = 4\n")
    assert config.code_digests() == before
    assert experiment_from(data | {"model": {"name": "mlp"}, "loss": {"name": "cross_entropy"}, "metrics": None},
                           tmp_path).code_digests() == {}  # fmt: skip


def test_a_file_that_changed_while_a_process_runs_is_imported_anew(tmp_path: Path) -> None:
    file = tmp_path / "changing.py"
    file.write_text("def number():\n    return 1\n")
    first = usercode.load(f"{file}:number")
    assert usercode.load(f"{file}:number") is first
    file.write_text("def number():\n    return 2\n")
    assert usercode.load(f"{file}:number")() == 2
    assert first() == 1

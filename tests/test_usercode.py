"""The user's own Python: where files are found, what they can import, and that a run finds them again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import DIGITS, Answer

from lossscape import usercode, yamlfile
from lossscape.config import read_experiment
from lossscape.errors import BadInput
from lossscape.runs import Run

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

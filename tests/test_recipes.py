"""The recipes of docs/guides/recipes.md, each as a script of its own, and the command line on what it recorded."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Answer
from processes import Processes

from lossscape.runs import Run

PAGE = Path(__file__).parents[1] / "docs" / "guides" / "recipes.md"
SCRIPTS = dict(re.findall(r"^```python\n# (\w+)\.py\n(.*?)^```", PAGE.read_text(), flags=re.S | re.M))
EPOCHS = {"plain_loop": 4, "lightning_loop": 2, "trainer_loop": 2}


def test_every_recipe_is_here() -> None:
    assert set(SCRIPTS) == set(EPOCHS)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name", ["plain_loop", *(pytest.param(name, marks=pytest.mark.slow) for name in EPOCHS if name != "plain_loop")]
)
def test_a_recipe_records_a_run(
    name: str, cli: Callable[..., Answer], processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.py").write_text(SCRIPTS[name])
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub"), "CUDA_VISIBLE_DEVICES": ""}
    Path(
        "start.py"
    ).write_text(  # packages that import torchvision fail with a CPU build of torch, unless it is imported like this
        "import runpy; from lossscape.data.vision import torchvision; torchvision(); "
        f"runpy.run_path('{name}.py', run_name='__main__')"
    )
    script = processes.run("start.py", cwd=tmp_path, env=environment)
    assert script.code == 0, script.err
    run = Run.open(f"runs/{name.removesuffix('_loop')}")
    assert [checkpoint.epoch for checkpoint in run.checkpoints()] == [*range(EPOCHS[name] + 1)]
    losses = [line.split(",")[3] for line in run.metrics_file.read_text().splitlines()[1:]]
    assert len(set(losses)) == EPOCHS[name] + 1
    for words in (("interpolate", run.path, "--points", 3), ("landscape", run.path, "--grid", 3, "--path")):
        answer = cli(*words)
        assert answer.code == 0, answer.err

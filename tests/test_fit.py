"""`lossscape fit`: outputs against the module itself, in the data's units; resume, figures, page, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Answer, forget

import lossscape as ls
from lossscape.analyses import ANALYSES
from lossscape.analyses.fit.figure import build_fit, build_frame
from lossscape.analyses.fit.result import Fit, read
from lossscape.config import experiment_from
from lossscape.errors import BadInput
from lossscape.figures.style import COLOURS
from lossscape.runs import Run
from lossscape.train import train
from tests.seeing import Page, assert_inside, assert_stands_alone

Cli = Callable[..., Answer]
DATASETS: dict[str, dict[str, Any]] = {
    "plane": {"name": "spirals", "arms": 3, "train": 60, "test": 20},
    "line": {"name": "regression_1d", "train": 30, "test": 20},
}


def trained(folder: Path, kind: str, **sections: Any) -> Run:
    """A small run of five checkpoints."""
    config = {
        "name": kind, "dataset": DATASETS[kind], "model": {"name": "mlp", "hidden": [6]},
        "optimizer": {"name": "adam", "lr": 0.05}, "training": {"epochs": 4, "batch_size": 20},
        "loss": {"name": "mse" if kind == "line" else "cross_entropy"},
    }  # fmt: skip
    return train(experiment_from(config | sections), folder)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """One of each kind."""
    folder = tmp_path_factory.mktemp("fits")
    return {kind: trained(folder, kind) for kind in DATASETS}


def fit(*points: Any, **options: Any) -> Fit:
    """The result at some points."""
    return read(ANALYSES["fit"].run(**{"points": points, "quiet": True} | options))


@pytest.mark.parametrize("kind", DATASETS)
def test_values_are_those_of_the_module_in_the_units_of_the_data(runs: dict[str, Run], kind: str) -> None:
    run = runs[kind]
    found = fit(str(run.path), grid=7, margin=0.5)
    assert list(found.moments["checkpoint"]) == [f"epoch-{epoch:04d}" for epoch in range(5)]
    raw = ls.Run(run.path).config.dataset.model_copy(update={"normalize": False})
    inputs = run.tensors("train").inputs.double().numpy() * run.environment()["data"]["std"]
    inputs += run.environment()["data"]["mean"]
    low, high = inputs.min(0), inputs.max(0)
    assert raw.name == DATASETS[kind]["name"]
    places = []
    for name, a, b in zip(found.coordinates, low, high, strict=False):
        np.testing.assert_allclose(found.axis(name), np.linspace(a - (b - a) / 2, b + (b - a) / 2, 7), rtol=1e-5)
        places.append(found.axis(name))
    grid = np.stack(np.meshgrid(*places, indexing="ij"), -1)
    mean, std = (np.array(run.environment()["data"][key]) for key in ("mean", "std"))
    seen = torch.from_numpy((grid - mean) / std).reshape(-1, len(places))
    for frame in (0, 4):
        with torch.no_grad():
            given = run.model(run.checkpoint(str(frame))).double()(seen)
        expected = given.softmax(1) if kind == "plane" else given
        np.testing.assert_allclose(found.values(frame), expected.T.reshape(-1, *grid.shape[:-1]), rtol=1e-4, atol=1e-6)
    assert len(found.outputs) == (3 if kind == "plane" else 1)
    assert found.certificate["passed"]
    targets = run.tensors("train").targets.reshape(-1).numpy()
    np.testing.assert_allclose(found.samples["target"], targets, rtol=1e-6)
    np.testing.assert_allclose(found.samples[found.coordinates], inputs, rtol=1e-5, atol=1e-6)


def test_how_well_it_fits_the_samples(runs: dict[str, Run]) -> None:
    found = fit(f"{runs['plane'].path}@last", grid=101)
    inputs, targets = runs["plane"].tensors("train")
    with torch.no_grad():
        right = float((runs["plane"].model()(inputs).argmax(1) == targets).double().mean())
    assert found.at_samples(0) == pytest.approx(right, abs=2.5 / 60)
    line = fit(f"{runs['line'].path}@last", grid=2001)
    inputs, targets = runs["line"].tensors("train")
    with torch.no_grad():
        off = float((runs["line"].model()(inputs) - targets).square().mean().sqrt())
    assert line.at_samples(0) == pytest.approx(off, rel=0.01)


def test_frames_are_even_and_have_both_ends(runs: dict[str, Run]) -> None:
    found = fit(str(runs["line"].path), frames=3, grid=3)
    assert list(found.moments["checkpoint"]) == ["epoch-0000", "epoch-0002", "epoch-0004"]
    chosen = fit(f"{runs['line'].path}@3", f"{runs['line'].path}@1", grid=3)
    assert list(chosen.moments["checkpoint"]) == ["epoch-0003", "epoch-0001"]


def test_gone_on_with_to_the_same_bytes(runs: dict[str, Run]) -> None:
    folder = fit(str(runs["plane"].path), grid=4).folder
    whole = {name: (folder / name).read_bytes() for name in ("fit.csv", "samples.csv", "certificate.json")}
    lines = whole["fit.csv"].splitlines(keepends=True)
    forget(folder)
    for name in whole:
        (folder / name).unlink()
    (folder / "points.csv").write_bytes(b"".join([*lines[:20], lines[20][:9]]))
    assert fit(str(runs["plane"].path), grid=4).folder == folder
    assert {name: (folder / name).read_bytes() for name in whole} == whole


def test_a_figure_shows_what_the_net_says(runs: dict[str, Run]) -> None:
    found = fit(str(runs["plane"].path), grid=5)
    figure = build_fit(found)
    assert_inside(figure)
    panels = figure.subfigs[0].axes
    assert [axes.get_title(loc="left") for axes in panels if axes.get_title(loc="left")] == [
        f"epoch {k}" for k in range(5)
    ]
    picture = panels[-2].images[0]
    share = found.values(4)
    pale = np.array([[1 - 0.4 * (1 - int(c[i : i + 2], 16) / 255) for i in (1, 3, 5)] for c in COLOURS[:3]])
    np.testing.assert_allclose(picture.get_array()[3, 1], sum(share[c, 1, 3] * pale[c] for c in range(3)), atol=1e-6)  # type: ignore[index]
    axes = build_frame(fit(str(runs["line"].path), grid=9), 2).subfigs[0].axes[0]
    (line,) = [each for each in axes.lines if each.get_label() == "_output 0"]
    np.testing.assert_array_equal(line.get_ydata(), fit(str(runs["line"].path), grid=9).values(2)[0])


@pytest.mark.usefixtures("unseen")
def test_the_command_and_its_page(runs: dict[str, Run], cli: Cli, tmp_path: Path) -> None:
    answer = cli("fit", runs["line"].path, "--grid", "5", "--frames", "2", "--format", "gif")
    assert answer.code == 0, answer.err
    assert "epoch-0000: root mean square" in answer.out
    assert "certificate  5 checks passed" in answer.out
    (folder,) = runs["line"].results("fit").glob("all-2-frames-grid-5-*")
    assert {file.name for file in folder.glob("f*")} == {"fit.csv", "fit.png", "fit.txt", "film.gif", "film.png"}
    assert cli("report", runs["line"].path, "--output", tmp_path / "page").code == 0
    page = Page(tmp_path / "page" / "index.html")
    assert_stands_alone(page)
    assert "2 checkpoints, epoch-0000 to epoch-0004" in page.text
    assert {"film.gif", "samples.csv"} <= {file.name for file in page.local_files()}


def test_what_is_no_line_and_no_plane_is_refused(trained: Run, runs: dict[str, Run]) -> None:
    with pytest.raises(BadInput, match=r"fit: .* the inputs are of shape \[1, 8, 8\]; take a data set such as"):
        fit(str(trained.path))
    with pytest.raises(BadInput, match="--grid 2000: 2000² inputs are more than 1,000,000"):
        fit(str(runs["plane"].path), grid=2000)


def test_modules_in_memory() -> None:
    inputs = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
    net = torch.nn.Linear(2, 1)
    found = ls.fit(
        net, "mse", inputs, inputs.sum(1, keepdim=True), checkpoints=[torch.nn.Linear(2, 1)], grid=4, quiet=True
    )
    assert found.result.values(1).shape == (1, 4, 4)
    weight, bias = net.weight.detach().double().numpy()[0], float(net.bias.detach())
    x, y = (found.result.axis(name) for name in ("x", "y"))
    np.testing.assert_allclose(
        found.result.values(1)[0], weight[0] * x[:, None] + weight[1] * y + bias, rtol=1e-4, atol=1e-6
    )
    assert found.plot().images
    assert "root mean square" in repr(found)

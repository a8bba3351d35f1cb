"""`lossscape convexity`: against explicit float64 Hessians at every point; closed forms; resume; what is said of it."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from computing import convexity
from conftest import Answer, forget
from test_derivatives import explicit
from torch import Tensor, nn

import lossscape as ls
from lossscape import spectra
from lossscape.analyses.convexity import compute
from lossscape.analyses.convexity.compute import Ends
from lossscape.analyses.convexity.figure import build_convexity
from lossscape.analyses.convexity.result import read
from lossscape.config import experiment_from
from lossscape.evaluate import Subspace
from lossscape.measured import Measured
from lossscape.objective import Objective
from lossscape.problem import problem_of
from lossscape.runs import Run, point_of
from lossscape.train import train
from tests.seeing import Page, assert_stands_alone, words_of

Cli = Callable[..., Answer]
FEW: dict[str, Any] = {"grid": (3, 2), "samples": 40, "precision": "fp64"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of a net with BatchNorm and 239 parameters."""
    experiment = experiment_from({
        "name": "small",
        "dataset": {"name": "digits", "train_size": 90, "test_size": 20},
        "model": {"name": "mlp", "hidden": [3], "activation": "tanh", "batch_norm": True},
        "optimizer": {"name": "momentum", "lr": 0.1},
        "training": {"epochs": 1, "batch_size": 30},
    })  # fmt: skip
    return train(experiment, tmp_path_factory.mktemp("small"))


def test_every_point_against_its_explicit_hessian(small: Run, cli: Cli, tmp_path: Path) -> None:
    words = "--grid 3x2 --directions hessian-ends --range -1 1 --precision fp64 --tolerance 1e-6"
    answer = cli("convexity", small.path, *words.split())
    assert answer.code == 0, answer.err
    (folder,) = small.results("convexity").iterdir()
    assert folder.name.startswith("epoch-0001-3x2-hessian-ends-tolerance-1e-06-fp64-")
    found = read(folder)
    objective = problem_of(point_of(str(small.path)), Measured(precision="fp64")).objectives()["train"]
    kept = torch.load(found.surface.folder / "directions.pt", weights_only=True)
    origin = {name: value.clone() for name, value in objective.model.named_parameters()}
    for row in found.table.to_dict("records"):
        with torch.no_grad():
            for name, value in objective.model.named_parameters():
                value.copy_(origin[name] + row["x"] * kept["x"][name] + row["y"] * kept["y"][name])
        truth = torch.linalg.eigvalsh(explicit(objective)[1])
        assert row["largest"] == pytest.approx(float(truth[-1]), rel=1e-6)
        assert row["smallest"] == pytest.approx(float(truth[0]), rel=1e-6)
        assert row["largest_converged"] == row["smallest_converged"] == 1
        assert row["smallest_residual"] <= 1e-6 * abs(row["smallest"])
    np.testing.assert_allclose(found.ratio, found.table["smallest"].abs() / found.table["largest"])
    assert found.values("ratio").shape == (2, 3)
    assert found.values("ratio")[1, 2] == found.ratio[(found.table["x"] == 1) & (found.table["y"] == 1)].item()
    assert found.settings["directions"]["eigenvalues"] == found.surface.settings["directions"]["eigenvalues"]
    assert answer.out.startswith(f"|λmin|/λmax from {found.ratio.min():.3g}".replace("e-0", "e-"))
    assert (folder / "convexity.png").read_bytes().startswith(b"\x89PNG")
    assert cli("report", small.path, "--output", tmp_path / "page").code == 0
    page = Page(tmp_path / "page" / "index.html")
    assert_stands_alone(page)
    assert "Eigenvalues of the Hessian of the mean train loss, without weight decay, at θ + x·d₁ + y·d₂" in page.text
    assert "hessian-ends plane around epoch-0001, 3 × 2 points, fp64" in page.text


def test_begun_and_gone_on_with_to_the_same_bytes(small: Run) -> None:
    """Whatever rows are there, and in which order they were computed; so warm starts from a neighbour are none."""
    folder = convexity(str(small.path), **FEW)
    whole = (folder / "convexity.csv").read_bytes()
    head, *rows = whole.decode().splitlines(keepends=True)
    (folder / "certificate.json").unlink()
    (folder / "convexity.csv").unlink()
    forget(folder)
    (folder / "points.csv").write_text("".join([head, rows[4], rows[1], rows[2][:9]]))  # a torn last line
    with pytest.raises(ls.BadInput, match="not finished: 2 of 6 points"):
        read(folder)
    assert convexity(str(small.path), **FEW) == folder
    assert (folder / "convexity.csv").read_bytes() == whole
    assert json.loads((folder / "certificate.json").read_text())["passed"]


class Quadratic(nn.Module):
    """½ Σ aᵢ wᵢ², whatever the inputs, so that its Hessian is diag(a) everywhere."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(values)))
        self.register_buffer("values", torch.tensor(values))

    def forward(self, x: Tensor) -> Tensor:
        return (0.5 * (self.values * self.weight**2).sum()).expand(len(x), 1)


def ends_of(*values: float, **given: Any) -> Ends:
    model = Quadratic(*values)
    objective = Objective(model, lambda z, t: z[:, 0], torch.zeros(2, 1), torch.zeros(2, 1), precision="fp64")
    line = Subspace(objective.parameters(), [{"weight": torch.ones(len(values), dtype=torch.float64)}])
    return Ends(objective, line, **{"tolerance": 1e-2, "products": 150} | given)


@pytest.mark.parametrize(
    ("values", "largest", "smallest"), [((3.0, -1.5, 0.5), 3.0, -1.5), ((2.0, 1.0), 2.0, 1.0), ((4.0,), 4.0, 4.0)]
)
def test_quadratics(values: tuple[float, ...], largest: float, smallest: float) -> None:
    source = ends_of(*values)
    rows = source.rows([(0.0,), (7.0,)], None)
    assert rows[0] == rows[1]
    assert rows[0]["largest"] == pytest.approx(largest, rel=1e-12)
    assert rows[0]["smallest"] == pytest.approx(smallest, rel=1e-12)
    done: list[int] = []
    assert pickle.loads(cloudpickle.dumps(source)).rows([(7.0,)], None, done.append) == rows[1:]
    assert sum(done) == source.cost((7.0,))  # as much progress as was foreseen


class Distances(nn.Module):
    """Distances whose first derivatives torch cannot differentiate again."""

    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.eye(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, self.centres, p=3.0)


def test_a_net_that_cannot_be_differentiated_twice() -> None:
    objective = Objective(Distances(), "mse", torch.ones(3, 2), torch.ones(3, 2), precision="fp64")
    source = Ends(objective, Subspace(objective.parameters(), []), 1e-2, 150)
    with pytest.raises(ls.BadInput, match=r"the Hessian cannot be computed: .*not implemented"):
        source.rows([()], None)


def test_points_without_eigenvalues_or_with_rough_ones() -> None:
    (gone,) = ends_of(float("inf"), 1.0).rows([(0.0,)], None)
    assert np.isnan(gone["largest"])
    assert (gone["largest_converged"], gone["products"]) == (0, 1)
    (rough,) = ends_of(*range(1, 60), products=3).rows([(0.0,)], None)
    assert (rough["largest_converged"], rough["products"]) == (0, 3)
    assert 1 <= rough["smallest"] < rough["largest"] <= 59
    assert abs(rough["largest"] - np.arange(1, 60)).min() <= rough["largest_residual"]


def test_what_is_said_and_drawn(small: Run) -> None:
    found = read(convexity(str(small.path), **FEW))
    changes = {"smallest": [np.nan, 1.0, 2.0, *found.table["smallest"][3:]], "largest_converged": [0, 0, 1, 1, 1, 0]}
    table = found.table.assign(**changes)
    marked = replace(found, table=table)
    assert len(marked.rough) == len(marked.convex) == 2
    said = " ".join(marked.lines())
    for words in (
        "At 2 of 6 points an eigenvalue has not converged",
        "At 2 of 6 points no eigenvalue is negative.",
        "At 1 of 6 points the second derivatives are not finite.",
    ):
        assert words in said
    figure = build_convexity(marked)
    (key,) = figure.subfigs[0].legends
    assert [text.get_text() for text in key.get_texts()] == [
        "an eigenvalue has not converged",
        "no eigenvalue is negative",
    ]
    axes = figure.subfigs[0].axes[0]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert crosses[0].get_xydata().tolist() == marked.rough[["x", "y"]].to_numpy().tolist()
    assert not build_convexity(found, captioned=False).subfigs[0].legends
    part = {"map_tolerance": 0.01}
    guessed = replace(found, settings=found.settings | part, table=found.table.assign(predicted=[0, 1, 0, 1, 1, 0]))
    figure = build_convexity(guessed)
    dots = [line for line in figure.subfigs[0].axes[0].lines if line.get_label() == "evaluated"]
    assert dots[0].get_xydata().tolist() == guessed.table[~guessed.predicted][["x", "y"]].to_numpy().tolist()
    assert "Faint dots: the points whose eigenvalues were computed." in words_of(figure)
    nothing = replace(found, table=table.assign(smallest=np.nan))
    assert nothing.lines() == ["no point has finite eigenvalues"]
    build_convexity(nothing)


def test_a_net_in_memory() -> None:
    torch.manual_seed(0)
    net, data = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), (torch.randn(20, 4), torch.randn(20, 2))
    found = ls.convexity(net, "mse", *data, grid=2, directions="hessian-ends", precision="fp64", quiet=True)
    assert len(found.table) == 4
    assert found.certificate["passed"]
    assert repr(found).startswith("|λmin|/λmax from ")
    for what in ("ratio", "smallest"):
        assert found.plot(what=what).get_xlabel().startswith("x (eigenvector of the Hessian's largest eigenvalue, ")
    assert not len(found.result.convex)
    near = replace(found.result, table=found.table.assign(smallest=1e-6, smallest_residual=2e-6))
    assert not len(near.convex)  # whose sign is not known
    with pytest.raises(ls.BadInput, match="allowed: ratio, largest, smallest"):
        found.plot(what="least")


def test_a_value_that_is_not_found_again(small: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right = spectra.eigenpairs

    def wrong(*given: Any, seed: int, **options: Any) -> Any:
        found = right(*given, seed=seed, **options)
        return replace(found, values=found.values * (1.001 if seed == 0 else 1.0))

    monkeypatch.setattr(compute, "eigenpairs", wrong)
    with pytest.raises(ls.RunFailed, match=r"the certificate fails: largest eigenvalue at \("):
        convexity(str(small.path), **FEW | {"tolerance": 1e-6})


def test_a_landscape_that_is_another(small: Run) -> None:
    folder = convexity(str(small.path), **FEW)
    for options, told in (({"split": "both"}, "allowed: train, test"), ({"precision": "bf16"}, "allowed: fp64, fp32")):
        with pytest.raises(ls.BadInput, match=told):
            convexity(str(small.path), **FEW | options)
    file = read(folder).surface.folder / "surface.csv"
    forget(file.parent)
    table = pd.read_csv(file)
    table["x"] += 1.0
    table.to_csv(file, index=False)
    with pytest.raises(ls.BadInput, match="has other points than"):
        read(folder)

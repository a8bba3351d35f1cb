"""`lossscape saddles`: critical points of known functions and of a net, what does not converge, resume, refusals."""

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from computing import saddles
from conftest import Answer
from test_derivatives import explicit
from torch import Tensor

import lossscape as ls
from lossscape.analyses.saddles.compute import Searches
from lossscape.analyses.saddles.figure import saddles_axes
from lossscape.analyses.saddles.request import Request
from lossscape.analyses.saddles.result import Saddles, read, summary_of
from lossscape.config import read_experiment
from lossscape.figures.how import How, drawn
from lossscape.measured import Measured
from lossscape.objective import Objective
from lossscape.problem import problem_of
from lossscape.runs import Run, point_of
from lossscape.spectra import Hessian
from lossscape.spectra.critical import Scales, descend, search
from lossscape.train import train
from lossscape.trajectory import Stations, moments_of
from tests.seeing import Page, assert_stands_alone

TINY = """\
name: tiny
dataset: {name: synthetic, shape: [3], classes: 2, train: 30, test: 10, separation: 2}
model: {name: mlp, hidden: [3], activation: tanh}
optimizer: {name: sgd, lr: 0.2, weight_decay: 0.02}
training: {epochs: 2, batch_size: 30}
"""
FEW = {"weight_decay": "include", "displacements": 2, "sizes": (0.5, 2.0)}
Cli = Callable[..., Answer]


@dataclass(frozen=True)
class There:
    """A function of some numbers at a point, by autograd."""

    function: Callable[[Tensor], Tensor]
    point: Tensor

    @property
    def gradient(self) -> Tensor:
        return torch.func.grad(self.function)(self.point)

    def product(self, vector: Tensor) -> Tensor:
        return self.matrix() @ vector

    def matrix(self) -> Tensor:
        return torch.func.jacrev(torch.func.grad(self.function))(self.point)


def field(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], There]:
    return lambda point: There(function, point)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def wells(x: Tensor) -> Tensor:
    """Σ (x² − 1)²: in each coordinate minima at ±1 and a maximum at 0, so 3ⁿ critical points, of every index."""
    return ((x**2 - 1) ** 2).sum()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((0.9, -1.1, 1.1), (1, -1, 1)),
        ((0.9, 0.1, 1.1), (1, 0, 1)),
        ((-0.1, 0.2, 1.1), (0, 0, 1)),
        ((-0.1, 0.2, 0.05), (0, 0, 0)),
    ],
)
def test_critical_points_of_every_index(start: tuple[float, ...], end: tuple[float, ...]) -> None:
    scales = Scales(1e-9, 1.0, 1.0)
    found = search(field(wells), numbers(*start), scales, descent_steps=0, newton_steps=30)
    np.testing.assert_allclose(found.at.point, end, atol=1e-8)
    also = search(field(wells), numbers(*start), scales, descent_steps=20, newton_steps=30)  # may end at another one
    for each in (found, also):
        assert each.at.converged
        assert each.newton_steps < 30
        index = int((each.at.point.abs() < 0.5).sum())
        assert (each.at.index.negative, each.at.index.exact, each.at.flat) == (index, True, 0)


def bend(x: Tensor) -> Tensor:
    """x + x³/3 + y²/2: its slope is 1 + x² along x, so nowhere 0, and least at x = 0, where there is no curvature."""
    return x[0] + x[0] ** 3 / 3 + x[1] ** 2 / 2


def test_where_the_squared_gradient_is_least_but_not_0_nothing_has_converged() -> None:
    end, steps = descend(field(bend), numbers(0.5, 0.5), 100)
    np.testing.assert_allclose(end, (0, 0), atol=1e-3)
    assert steps < 100
    scales = Scales(1e-3, 1.0, 1.0)
    for newton_steps in (0, 30):
        at = search(field(bend), numbers(0.5, 0.5), scales, descent_steps=100, newton_steps=newton_steps).at
        assert not at.converged
        assert float(at.gradient.norm()) == pytest.approx(1, abs=1e-4)
        assert at.gradient_curvature < 1e-2
        assert at.newton_step > 1


def test_directions_without_curvature_stop_nothing() -> None:
    found = search(
        field(lambda x: wells(x[:1] + x[1:2])), numbers(0.3, 0.5), Scales(1e-6, 1.0, 1.0), descent_steps=0,
        newton_steps=30,
    )  # fmt: skip
    assert found.at.converged
    assert float(found.at.point.sum()) == pytest.approx(1, abs=1e-6)
    assert (found.at.index.negative, found.at.flat) == (0, 1)
    assert found.at.step(0.1).abs().max() < 1e-6


def test_a_loss_that_falls_for_ever_has_no_critical_point() -> None:
    found = search(
        field(lambda x: torch.exp(-x).sum()), numbers(1.0), Scales(1e-6, 1.0, 1.0), descent_steps=0, newton_steps=60
    )
    assert float(found.at.gradient) < 1e-3
    assert not found.at.converged  # the next step is as long as ever


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 20 parameters and three checkpoints."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    return train(read_experiment(folder / "tiny.yaml"), folder / "runs")


@pytest.fixture(scope="module")
def objective(tiny: Run) -> Objective:
    return problem_of(point_of(str(tiny.path)), Measured(precision="fp64")).objectives()["train"]


@pytest.mark.parametrize("memory", [2**31, 0])
def test_the_whole_matrix_and_another_point(objective: Objective, memory: int) -> None:
    hessian = Hessian(objective, memory=memory)
    np.testing.assert_allclose(hessian.matrix(), explicit(objective)[1], atol=1e-14)
    moved = {name: 1.5 * value + 0.1 for name, value in objective.parameters().items()}
    there = Hessian(objective, moved, memory=memory)
    np.testing.assert_array_equal(hessian.at(moved).gradient(), there.gradient())
    np.testing.assert_allclose(hessian.at(moved).matrix(), there.matrix(), atol=1e-15)


def test_the_command_against_the_explicit_hessian(tiny: Run, objective: Objective, cli: Cli, tmp_path: Path) -> None:
    answer = cli("saddles", tiny.path, "--weight-decay", "include", "--displacements", 2, "--sizes", "0.5,2")
    assert answer.code == 0, answer.err
    (folder,) = tiny.results("saddles").glob("all-2-displacements-0.5-2-weight-decay-*")
    found = read(folder)
    assert len(found.table) == 3 * (1 + 2 * 2)
    assert found.table["checkpoint"].tolist() == [f"epoch-000{epoch}" for epoch in range(3) for _ in range(5)]
    assert len(found.converged) >= 5
    assert (found.converged[["newton_step", "newton_gain"]] <= 1e-6).all(axis=None)
    assert found.converged["kind"].isin(["saddle", "near-minimum"]).all()
    assert (found.lost["kind"] == "not critical").all()
    assert f"15 starts: {len(found.converged)} critical points, {len(found.distinct)} of them distinct" in answer.out
    assert "Critical: the Newton step is at most 1e−6 ‖θ‖" in answer.out
    # the first row starts at the checkpoint itself
    row = found.table.iloc[0]
    start = tiny.model("first").double()
    values = {name: value.detach() for name, value in start.named_parameters()}
    decay = 0.01 * sum(float(value.square().sum()) for value in values.values())
    assert row["start_loss"] == pytest.approx(objective.metrics(values)["loss"] + decay, rel=1e-12)
    assert json.loads((folder / "summary.json").read_text()) == summary_of(found)
    assert (folder / "saddles.png").read_bytes().startswith(b"\x89PNG")
    with drawn(How(vmin=-1, vmax=9)):
        assert saddles_axes(found).get_xlim() == (-1, 9)
    assert cli("report", tiny.path, "--output", tmp_path / "page").code == 0
    page = Page(tmp_path / "page" / "index.html")
    assert_stands_alone(page)
    assert "Loss with weight decay λ/2·‖θ‖², λ = 0.02." in page.text
    assert "Where starts led, by the length of their displacement." in page.text


def test_points_are_what_their_rows_say(tiny: Run, objective: Objective) -> None:
    """Found again with the search's own parts, and held against the explicit Hessian there."""
    request = Request((str(tiny.path),), **FEW)  # type: ignore[arg-type]
    stations = Stations(problem_of(point_of(str(tiny.path)), request.measured).model, moments_of(tiny))
    decay = dict.fromkeys(objective.parameters(), 0.02)
    searches = Searches(request, objective, stations, decay)
    key = ("epoch-0002", 0.5, 1)
    (row,) = searches.rows([key], None)
    function, start, scales = searches.begun(key)
    at = search(function, start, scales, descent_steps=20, newton_steps=100).at
    centre = torch.cat([value.flatten() for value in stations.at("epoch-0002")[0].values()]).double()
    assert float((start - centre).norm()) == pytest.approx(0.5 * float(centre.norm()))
    point = function.hessian.named(at.point)
    slope, matrix = explicit(objective, point)
    slope, matrix = slope + 0.02 * at.point, matrix + 0.02 * torch.eye(len(slope), dtype=torch.float64)
    values = torch.linalg.eigvalsh(matrix)
    assert row["converged"] == 1
    assert row["gradient_norm"] == pytest.approx(float(slope.norm()), abs=1e-14)
    assert row["gradient_norm"] < 1e-6
    assert row["negative"] == int((values < -1e-6 * values.abs().max()).sum())
    assert row["index_fraction"] == row["negative"] / 20
    assert [row["smallest"], row["largest"]] == pytest.approx([float(values[0]), float(values[-1])], abs=1e-12)
    assert row["loss"] == pytest.approx(objective.metrics(point)["loss"] + 0.01 * float(at.point.square().sum()))
    copied = pickle.loads(cloudpickle.dumps(searches))
    assert copied.rows([key], None) == [row]
    done: list[int] = []
    searches.rows([key], None, done.append)
    assert sum(done) == searches.cost(key)  # as much progress as was foreseen


def test_gone_on_with_from_any_row(tiny: Run) -> None:
    """From what a kill leaves: rows that are whole, which are kept as they are, and the torn last one."""
    folder = saddles(tiny.path, **FEW)
    whole = (folder / "saddles.csv").read_text().splitlines(keepends=True)
    (folder / "saddles.csv").unlink()
    kept = whole[1].replace(",saddle", ",near-minimum")
    (folder / "points.csv").write_text("".join([whole[0], kept, *whole[2:9], whole[9][:30]]))
    assert saddles(tiny.path, **FEW) == folder
    assert (folder / "saddles.csv").read_text().splitlines(keepends=True) == [whole[0], kept, *whole[2:]]
    assert not (folder / "points.csv").exists()


def test_a_module_in_memory(tmp_path: Path) -> None:
    """A linear net's squared error has one critical point, which Newton's first step reaches from everywhere."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(40, 3, generator=generator), torch.randn(40, 2, generator=generator)
    found = ls.saddles(
        torch.nn.Linear(3, 2), "mse", inputs, targets, displacements=3, sizes=(0.1, 1.0), descent_steps=0, quiet=True
    )
    ones = torch.cat([inputs, torch.ones(40, 1)], 1).double()
    truth = targets.double() - ones @ torch.linalg.lstsq(ones, targets.double()).solution
    assert len(found.table) == 7
    assert found.table["converged"].all()
    np.testing.assert_allclose(found.table["loss"], float(truth.square().mean()), rtol=1e-12)
    assert found.distinct["kind"].tolist() == ["near-minimum"]
    curvatures = torch.linalg.eigvalsh(ones.T @ ones / 40)
    assert found.table[["smallest", "largest"]].iloc[0].tolist() == pytest.approx(curvatures[[0, -1]].tolist())
    assert repr(found).startswith("7 starts: 7 critical points, 1 of them distinct; 0 not converged")
    assert found.plot().get_ylabel().startswith("index fraction")
    assert {"saddles.png", "summary.json"} <= {path.name for path in found.save(tmp_path / "kept").iterdir()}


def result_of(rows: list[dict[str, float]]) -> Saddles:
    """A result with some rows."""
    base = {"checkpoint": "a", "size": 0.0, "converged": 1, "smallest": -1.0, "largest": 2.0, "kind": "saddle",
            "gradient_curvature": 1.0, "gradient_norm": 1e-9}  # fmt: skip
    table = pd.DataFrame([base | {"displacement": number} | row for number, row in enumerate(rows)])
    return Saddles(Path("nowhere"), {"tolerance": 1e-6}, table)


def test_a_point_that_was_found_twice_counts_once() -> None:
    found = result_of(
        [
            {"loss": 1.0, "index_fraction": 0.1},
            {"loss": 1.0 + 1e-8, "index_fraction": 0.1, "smallest": -1.0 + 1e-7},
            {"loss": 1.0, "index_fraction": 0.1, "smallest": -1.1},
            {"loss": 2.0, "index_fraction": 0.2},
            {"loss": 3.0, "index_fraction": 0.3},
            {"loss": 4.0, "index_fraction": 0.9, "converged": 0, "gradient_curvature": 1e-5},
        ]
    )
    assert found.distinct["displacement"].tolist() == [0, 2, 3, 4]
    assert (len(found.converged), len(found.lost), len(found.gradient_flat)) == (5, 1, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_rank_correlation_is_spearmans(sign: int) -> None:
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    loss = generator.permutation(30) / 10
    index = np.round(sign * loss + 0.8 * generator.normal(size=30), 1)
    found = result_of([{"loss": a, "index_fraction": b} for a, b in zip(loss, index, strict=True)]).correlation
    assert found is not None
    truth = spearmanr(loss, index)
    assert found.rho == pytest.approx(truth.statistic)
    assert found.p_value == pytest.approx(truth.pvalue, abs=2e-4)
    shuffled = generator.permutation(index)
    other = result_of([{"loss": a, "index_fraction": b} for a, b in zip(loss, shuffled, strict=True)]).correlation
    assert other is not None
    assert other.p_value == pytest.approx(spearmanr(loss, shuffled).pvalue, abs=0.02)
    assert result_of([{"loss": a, "index_fraction": 0.0} for a in loss]).correlation is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model.activation=relu", r"kinks in the parameters \(relu\)"),
        ("model.activation=prelu", r"\(prelu\)"),
        ("model={name: cnn, channels: [2, 2], activation: tanh, pooling: max}", r"\(max-pooling\)"),
        ("model.hidden=[2000]", "12,002 parameters"),
        ("model.activation=gelu", None),
        ("model.activation=sigmoid", None),
    ],
)
def test_nets_without_a_newton_step_are_told_why(change: str, words: str | None, tmp_path: Path) -> None:
    shape = ["dataset.shape=[1, 4, 4]"] if "cnn" in change else []
    (tmp_path / "tiny.yaml").write_text(TINY)
    run = train(read_experiment(tmp_path / "tiny.yaml", [change, *shape, "training.epochs=0"]), tmp_path / "runs")
    few = {"displacements": 0, "descent_steps": 0, "newton_steps": 0}
    if words is None:
        assert len(read(saddles(run.path, **few)).table) == 1
        return
    with pytest.raises(ls.BadInput, match=words):
        saddles(run.path, **few)
    assert not run.results("saddles").exists()

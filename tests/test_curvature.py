"""`lossscape curvature`: against explicit Hessians, per block, with weight decay; kinds of point; resume, workers."""

import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
from computing import curvature
from conftest import Answer
from processes import At, Processes
from test_derivatives import explicit
from torch import Tensor, nn

import lossscape as ls
from lossscape import yamlfile
from lossscape.analyses.curvature.compute import Densities, Eigenvalues, Matrices, Traces
from lossscape.analyses.curvature.optimizer import stability
from lossscape.analyses.curvature.request import Request
from lossscape.analyses.curvature.result import Curvature, read
from lossscape.config import read_experiment
from lossscape.library import Spectra
from lossscape.measured import Measured
from lossscape.problem import problem_of
from lossscape.runs import Run, point_of
from lossscape.train import train
from lossscape.trajectory import Stations, moments_of
from tests.seeing import Page, assert_stands_alone

SMALL = """\
name: small
dataset: {name: digits, train_size: 90, test_size: 40}
model: {name: mlp, hidden: [4], activation: tanh}
optimizer: {name: sgd, lr: 0.5, weight_decay: 0.02}
training: {epochs: 2, batch_size: 90}
"""
FEW = {"largest": 3, "smallest": 2, "vectors": 2, "steps": 5, "precision": "fp64"}
FP64 = Measured(precision="fp64")
TABLES = ("eigenvalues.csv", "trace.csv", "density.csv")
Cli = Callable[..., Answer]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of 314 parameters and three checkpoints."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "small.yaml").write_text(SMALL)
    return train(read_experiment(folder / "small.yaml"), folder / "runs")


@pytest.fixture(scope="module")
def truth(small: Run) -> tuple[Tensor, Tensor, float]:
    """∇L, the Hessian of the mean training loss at the end, and ‖θ‖²."""
    point = point_of(f"{small.path}@last")
    objective = problem_of(point, FP64).objectives()["train"]
    length = sum(float(value.square().sum()) for value in objective.parameters().values())
    return *explicit(objective), length


def of_block(found: Curvature, block: str) -> np.ndarray:
    """The eigenvalues of a block, in descending order."""
    return found.table[found.table["block"] == block]["eigenvalue"].to_numpy()


def ends(matrix: Tensor, largest: int, smallest: int) -> np.ndarray:
    """The true ones."""
    values = torch.linalg.eigvalsh(matrix).flip(0)
    return torch.cat([values[:largest], values[len(values) - smallest :]]).numpy()


def test_the_command_against_the_explicit_hessian(
    small: Run, truth: tuple[Tensor, Tensor, float], cli: Cli, tmp_path: Path
) -> None:
    words = "--largest 4 --smallest 3 --vectors 3 --steps 30 --precision fp64 --blocks whole,layer --tolerance 1e-8"
    answer = cli("curvature", small.path, *words.split())
    assert answer.code == 0, answer.err
    slope, matrix, _ = truth
    (folder,) = small.results("curvature").glob("epoch-0002-4-largest-*")
    found = read(folder)
    assert found.blocks == ["whole", "layer linear1", "layer output"]
    first = 64 * 4 + 4
    parts = {"whole": slice(None), "layer linear1": slice(first), "layer output": slice(first, None)}
    for block, rows in parts.items():
        part, row = matrix[rows, rows], found.row("epoch-0002", block)
        np.testing.assert_allclose(of_block(found, block), ends(part, 4, 3), rtol=1e-7, atol=1e-12)
        assert row["gradient_norm"] == pytest.approx(float(slope[rows].norm()), rel=1e-9)
        assert row["trace"] == pytest.approx(float(part.trace()), rel=1e-9)
        assert row["frobenius"] == pytest.approx(float(part.norm()), rel=1e-9)
        assert (row["negative"], row["negative_exact"]) == ((torch.linalg.eigvalsh(part) < -1e-10).sum(), 1)
        density = found.density("epoch-0002", block)
        assert density.moment(1).value == pytest.approx(
            float(part.trace()) / len(part), abs=5 * density.moment(1).stderr
        )
    assert found.table["converged"].all()
    row = found.row("epoch-0002", "whole")
    length = truth[2] ** 0.5
    assert row["newton_step"] == pytest.approx(float(slope.norm() ** 2 / (matrix @ slope).norm()) / length, rel=1e-9)
    assert row["newton_step"] <= float((torch.linalg.pinv(matrix) @ slope).norm()) / length
    assert answer.out.startswith(f"epoch-0002: loss {row['loss']:.4g}, gradient norm")
    assert "; not critical (a Newton step of" in answer.out
    assert "Not critical: the Newton step is at least ‖∇L‖²/‖H∇L‖ > 0.001 ‖θ‖, or what it changes" in answer.out
    gain = float(slope.norm() ** 3 / (matrix @ slope).norm()) / 2
    assert row["newton_gain"] == pytest.approx(gain / np.log(10), rel=1e-9)
    for name in ("spectrum.png", "density.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert cli("report", small.path, "--output", tmp_path / "page").code == 0
    page = Page(tmp_path / "page" / "index.html")
    assert_stands_alone(page)
    assert "Second derivatives of the mean loss, weight decay not included." in page.text
    assert "epoch-0002: layer output" in page.text


def test_weight_decay_shifts_every_eigenvalue(small: Run, truth: tuple[Tensor, Tensor, float]) -> None:
    without, given = (read(curvature(small.path, weight_decay=word, **FEW)) for word in ("exclude", "include"))
    assert given.settings["lambda"] == [0.02]
    assert given.folder.name.startswith("epoch-0002-3-largest-weight-decay-")
    np.testing.assert_allclose(of_block(given, "whole"), of_block(without, "whole") + 0.02, rtol=1e-6, atol=1e-9)
    before, row = (found.row("epoch-0002", "whole") for found in (without, given))
    slope, matrix, length = truth
    assert row["loss"] == pytest.approx(before["loss"] + 0.01 * length, rel=1e-6)
    assert row["trace"] == pytest.approx(before["trace"] + 0.02 * len(slope), rel=1e-9)
    point = torch.cat([value.flatten() for value in small.checkpoint().state().values()]).double()
    assert row["gradient_norm"] == pytest.approx(float((slope + 0.02 * point).norm()), rel=1e-6)
    assert row["negative"] == (torch.linalg.eigvalsh(matrix) < -0.02 - 1e-9).sum() < before["negative"]


def test_all_checkpoints_and_the_limit_of_stability(small: Run, cli: Cli) -> None:
    assert cli("curvature", small.path, "--all", "--largest", 2, "--smallest", 0, "--vectors", 0, "-q").code == 0
    (folder,) = small.results("curvature").glob("all-*")
    found = read(folder)
    assert found.traces["epoch"].tolist() == [0, 1, 2]
    assert found.densities.empty
    assert found.settings["stability"] == {"rule": "gradient descent, 2/η", "limit": pytest.approx(4 - 0.02)}
    assert not (folder / "density.csv").exists()
    assert (folder / "spectrum.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "limit"),
    [
        ("optimizer={name: momentum, lr: 0.5, momentum: 0.8}", 2 * 1.8 / 0.5),
        ("optimizer={name: momentum, lr: 0.5, dampening: 0.1}", None),
        ("optimizer={name: nesterov, lr: 0.5}", None),
        ("optimizer={name: adam}", None),
        ("training.batch_size=89", None),
        ("training.clip_norm=1.0", None),
        ("schedule={name: exponential, gamma: 0.9}", None),
        ("schedule={name: constant, warmup_epochs: 1}", None),
        ("model.dropout=0.1", None),
        ("model.batch_norm=true", None),
        ("loss={name: cross_entropy, label_smoothing: 0.1}", None),
    ],
)
def test_a_limit_is_told_where_theory_gives_one(change: str, limit: float | None, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    run = train(read_experiment(tmp_path / "small.yaml", [change, "training.epochs=0"]), tmp_path / "runs")
    found = stability(problem_of(point_of(str(run.path)), Measured()), included=False)
    assert (found["stability"]["limit"] if found else None) == (limit and pytest.approx(limit))
    subset = stability(problem_of(point_of(str(run.path)), Measured(samples=20)), included=False)
    assert not subset


def test_a_net_against_its_own_outputs_is_a_minimum(small: Run) -> None:
    found = read(curvature(small.path, targets="soft", **FEW))
    row = found.row("epoch-0002", "whole")
    assert (row["kind"], row["negative"], row["negative_exact"]) == ("near-minimum", 0, 1)
    assert row["gradient_norm"] < 1e-6
    assert found.lines()[0].endswith("; near-minimum")


class Quadratic(nn.Module):
    """½ Σ aᵢ wᵢ² at w = 0, whatever the inputs."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(values)))
        self.register_buffer("values", values)

    def forward(self, x: Tensor) -> Tensor:
        return (0.5 * (self.values * self.weight**2).sum()).expand(len(x), 1)


def quadratic(negative: int, n: int, **options: Any) -> Spectra:
    """Curvature of a quadratic of n parameters, so many of them along which it falls."""
    values = torch.linspace(1, 2, n)
    values[:negative] = -torch.arange(1.0, negative + 1)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs[:, 0]

    given = {"vectors": 0, "quiet": True, "precision": "fp64"} | options
    return ls.curvature(Quadratic(values), loss, torch.zeros(2, 1), torch.zeros(2, 1), **given)


@pytest.mark.parametrize(
    ("negative", "n", "smallest", "kind"),
    [
        (3, 40, 2, "saddle of index 3"),
        (0, 40, 2, "near-minimum"),
        (3, 5001, 2, "saddle of index at least 2"),
        (3, 5001, 5, "saddle of index at least 3"),
        (0, 5001, 2, "near-minimum"),
        (0, 5001, 0, "kind of point unknown: no smallest eigenvalue converged"),
    ],
)
def test_the_kind_of_a_critical_point(negative: int, n: int, smallest: int, kind: str) -> None:
    found = quadratic(negative, n, smallest=smallest, largest=2, trace_vectors=6)
    assert repr(found).splitlines()[0].endswith(f"; {kind}")
    assert found.trace["sign_tolerance"].item() < 1e-10
    if n == 40:
        assert found.trace["trace"].item() == pytest.approx(
            sum(torch.linspace(1, 2, n)[negative:]).item() - 6 * bool(negative)
        )


def test_a_regression_net_in_memory(tmp_path: Path) -> None:
    """A linear model's Hessian of the mean squared error is (2/C)·mean(x xᵀ) for each of the C outputs."""
    inputs, targets = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.randn(30, 2)
    found = ls.curvature(
        nn.Linear(4, 2, bias=False),
        "mse",
        inputs,
        targets,
        largest=8,
        smallest=0,
        vectors=2,
        precision="fp64",
        quiet=True,
    )
    truth = torch.linalg.eigvalsh(inputs.double().T @ inputs.double() / 30).flip(0).repeat_interleave(2)
    np.testing.assert_allclose(found.table["eigenvalue"], truth, rtol=1e-8)
    assert found.plot().get_yscale() == "log"
    assert {"spectrum.png", "density.png", *TABLES} <= {path.name for path in found.save(tmp_path / "kept").iterdir()}
    assert found.density["weight"].sum() == pytest.approx(2)


def test_refusals_in_memory() -> None:
    for options, words in (
        ({"weight_decay": "include"}, "names no optimizer"),
        ({"split": "test"}, r"give test=\(inputs, targets\)"),
        ({"precision": "bf16"}, "allowed: fp64, fp32"),
        ({"trace_vectors": 5}, "--trace-vectors 5: give 6 at least"),
    ):
        with pytest.raises(ls.BadInput, match=words):
            quadratic(0, 5, **options)


def test_weight_decay_that_is_no_term_of_the_objective(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    settings = ["optimizer={name: adamw}", "training.epochs=0"]
    run = train(read_experiment(tmp_path / "small.yaml", settings), tmp_path / "runs")
    with pytest.raises(ls.BadInput, match="adamw decays weights beside the gradient"):
        curvature(run.path, weight_decay="include")


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    found = Processes(tmp_path_factory.mktemp("cache"))
    yield found
    found.close()


def tables(run: Run) -> dict[str, bytes]:
    """The bytes of the only result's tables."""
    (folder,) = run.results("curvature").iterdir()
    assert not list(folder.glob(".*.csv"))
    return {name: (folder / name).read_bytes() for name in TABLES}


@pytest.mark.slow
def test_killed_and_gone_on_with(processes: Processes, small: Run, tmp_path: Path) -> None:
    """Within the eigenvalues of the second checkpoint, before its trace, and within a vector of the density."""
    run = Run(tmp_path / "small")
    for name in ("config.yaml", "metrics.csv", "environment.json", "checkpoints"):
        source = small.path / name
        (run.path / name).parent.mkdir(exist_ok=True)
        if source.is_dir():
            (run.path / name).mkdir()
            for file in source.iterdir():
                (run.path / name / file.name).write_bytes(file.read_bytes())
        else:
            (run.path / name).write_bytes(source.read_bytes())
    few = ("--largest", 5, "--smallest", 0, "--vectors", 2, "--steps", 5, "--trace-vectors", 6)
    words = ("curvature", "small@0", "small@2", *few, "-q")
    assert processes.run(*words, cwd=tmp_path).code == 0
    whole = tables(run)
    assert len(whole["density.csv"].splitlines()) == 1 + 2 * 2 * 5
    assert processes.run(*words, "--overwrite", cwd=tmp_path, at=At("row", 7, signal.SIGKILL)).code == -signal.SIGKILL
    for row in (4, 8):
        assert processes.run(*words, cwd=tmp_path, at=At("row", row, signal.SIGKILL)).code == -signal.SIGKILL
    (folder,) = run.results("curvature").iterdir()
    assert (folder / ".density.live.csv").exists()
    assert not (folder / "density.csv").exists()
    assert processes.run(*words, cwd=tmp_path).code == 0
    assert tables(run) == whole


def test_rows_come_out_alike_of_a_copy_in_another_process(small: Run) -> None:
    """Which is what workers compute with."""
    request = Request(("small",), largest=2, smallest=1, vectors=1, steps=4, blocks=("layer",), measured=FP64)
    problem = problem_of(point_of(str(small.path)), request.measured)
    moments = moments_of(small)[1:]
    matrices = Matrices(request, problem.objectives()["train"], Stations(problem.model, moments), {"output.bias": 0.5})
    eigenvalues = Eigenvalues(matrices)
    found = dict(zip(eigenvalues.keys, eigenvalues.rows(eigenvalues.keys, None), strict=True))
    for source in (eigenvalues, Traces(matrices, found), Densities(matrices, 4)):
        copied = pickle.loads(cloudpickle.dumps(source))
        assert copied.keys == source.keys
        assert copied.rows(source.keys[-4:], None) == source.rows(source.keys[-4:], None)
        done: list[int] = []
        source.rows(source.keys[-4:], None, done.append)
        assert sum(done) == sum(map(source.cost, source.keys[-4:]))  # as much progress as was foreseen


def test_an_adopted_run(small: Run, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for line in SMALL.splitlines() if not line.startswith(("optimizer", "training"))]
    Path("mine.yaml").write_text("\n".join(lines).replace("small", "mine") + "\n")
    assert cli("adopt", "mine.yaml", f"{small.path}/checkpoints/epoch-000[02].pt").code == 0
    answer = cli("curvature", "runs/mine", "--all", "--largest", 1, "--smallest", 1, "--vectors", 0)
    assert answer.code == 0, answer.err
    assert len([line for line in answer.out.splitlines() if "not critical (" in line]) == 2
    (folder,) = Path("runs/mine/curvature").iterdir()
    assert "stability" not in yamlfile.read(folder / "settings.yaml").data
    assert "names no optimizer" in cli("curvature", "runs/mine", "--weight-decay", "include").err


@pytest.mark.slow
def test_matrices_of_curvlinops(small: Run, truth: tuple[Tensor, Tensor, float]) -> None:
    pytest.importorskip("curvlinops", exc_type=ImportError)
    objective = problem_of(point_of(str(small.path)), FP64).objectives()["train"]
    values, n = objective.parameters(), len(objective)
    sizes = [value.numel() for value in values.values()]

    def outputs(vector: Tensor) -> Tensor:
        parts = zip(values.items(), vector.split(sizes), strict=True)
        point = {name: part.view(value.shape) for (name, value), part in parts}
        return torch.func.functional_call(objective.model, point, (objective.inputs.double(),))

    point = torch.cat([value.flatten() for value in values.values()])
    jacobian, shares = torch.func.jacrev(outputs)(point), torch.softmax(outputs(point), 1)
    slopes = torch.einsum("nc,nci->ni", shares - nn.functional.one_hot(objective.targets, 10), jacobian)
    bends = torch.diag_embed(shares) - torch.einsum("nc,nd->ncd", shares, shares)
    matrices = {
        "ggn": torch.einsum("nci,ncd,ndj->ij", jacobian, bends, jacobian) / n,
        "gradient_covariance": (slopes - slopes.mean(0)).T @ (slopes - slopes.mean(0)) / n,
    }
    few = FEW | {"smallest": 0, "tolerance": 1e-5}
    for name, matrix in matrices.items():
        found = read(curvature(small.path, matrix=name, blocks=("whole", "layer"), trace_vectors=36, **few))
        for block, rows in (("whole", slice(None)), ("layer output", slice(64 * 4 + 4, None))):
            part = matrix[rows, rows]
            np.testing.assert_allclose(of_block(found, block), ends(part, 3, 0), rtol=1e-6, atol=1e-8)
        row = found.row("epoch-0002", "whole")
        assert abs(row["trace"] - float(matrix.trace())) <= 5 * row["trace_stderr"] + 1e-9
        assert np.isnan(row["negative"])
        assert pd.isna(row["newton_step"])


def test_curvlinops_that_is_not_installed(small: Run, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "curvlinops", None)
    answer = cli("curvature", small.path, "--matrix", "ggn")
    assert answer.code == 2
    assert "pip install lossscape[curvature]" in answer.err

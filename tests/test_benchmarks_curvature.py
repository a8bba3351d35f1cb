"""The benchmark of curvature: all sides compute the same, work is counted right, and its exit code tells a miss."""

import dataclasses
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call

from benchmarks.curvature import __main__ as bench
from benchmarks.curvature import measure, sides, table, worker
from benchmarks.curvature.measure import Effort, Pairs, Place, Result
from benchmarks.curvature.problem import Problem
from benchmarks.curvature.rows import ROWS, Row

MLP = dataclasses.replace(
    ROWS["mlp-eigenvalues"], options={"hidden": [4]}, shape=(1, 4, 4), samples=60, epochs=2, largest=3,
    peers=("curvlinops",), eigenvalues_at_least={"curvlinops": 1e-9},
)  # fmt: skip
CNN = dataclasses.replace(
    ROWS["resnet-product"],
    model="cnn",
    options={"channels": [3, 10], "batch_norm": True},
    shape=(3, 6, 6),
    differs=1e-5,
)


@pytest.fixture(autouse=True)
def _no_mnist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOSSSCAPE_DATA", str(tmp_path / "nowhere"))


def explicit(problem: Problem) -> torch.Tensor:
    """The Hessian of the mean loss in float64, [n, n]."""
    net = problem.net.double()
    inputs, targets = problem.data
    values = dict(net.named_parameters())

    def loss(flat: torch.Tensor) -> torch.Tensor:
        given = dict(zip(values, problem.pieces(flat), strict=True))
        return nn.functional.cross_entropy(functional_call(net, given, (inputs.double(),)), targets)

    return hessian(loss, torch.cat([value.detach().flatten() for value in values.values()]))


@pytest.mark.parametrize("side", ["ours", "curvlinops", "pyhessian"])
def test_each_side_finds_the_products_and_eigenvalues_of_the_explicit_hessian(side: str) -> None:
    if side == "pyhessian":
        pytest.importorskip("pyhessian", reason="the peer is not installed")
    matrix = explicit(Problem(MLP))
    problem = Problem(MLP)
    found = sides.COMPUTERS[side](problem)
    found.prepare()
    product = found.product().double()
    truth = matrix @ problem.vector.double()
    assert float((product - truth).norm() / truth.norm()) < 1e-5
    values, vectors, products = found.eigenvalues(seed=1)
    assert products is None or 3 < products < 200
    assert vectors.shape == (3, len(matrix))
    assert sorted(values) == pytest.approx(torch.linalg.eigvalsh(matrix)[-3:].tolist(), rel=1e-3)


def test_the_judge_computes_in_float64_by_torch_alone() -> None:
    problem = Problem(CNN)
    matrix = explicit(Problem(CNN))
    judge = sides.Judge(problem)
    judge.hold()
    truth = matrix @ problem.vector.double()
    assert judge.differs(truth) < 1e-12
    assert judge.differs(1.25 * truth) == pytest.approx(0.25)
    values, vectors = torch.linalg.eigh(matrix)
    far = vectors[:, -1] + 0.1 * vectors[:, 0]
    residuals = judge.residuals([float(values[-1]), float(values[-1])], torch.stack([2 * vectors[:, -1], far]))
    assert residuals[0] < 1e-10
    assert residuals[1] == pytest.approx(float((values[-1] - values[0]) / values[-1]) * 0.1 / 1.01**0.5, rel=1e-6)


def test_a_product_is_counted_layer_by_layer() -> None:
    first, last = 16 * 4, 4 * 10
    assert Problem(MLP).flop == 2 * MLP.samples * (2 * first + 6 * last)


def in_process(row: Row) -> Any:
    """Workers that live in this process."""

    class Inside:
        def __init__(self, name: str, words: list[str], threads: int, settings: dict[str, str]) -> None:
            self.side = worker.opened(words[1], row, None, 0)

        def ask(self, what: str, **arguments: Any) -> Any:
            return json.loads(json.dumps(self.side.answer(what, json.loads(json.dumps(arguments)))))

        def __enter__(self) -> "Inside":
            return self

        def __exit__(self, *error: object) -> None:
            return None

    return Inside


@pytest.mark.parametrize("row", [MLP, CNN], ids=["eigenvalues", "product"])
def test_a_row_from_its_workers_to_its_tables(row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "Worker", in_process(row))
    monkeypatch.setattr(measure, "RATE_SECONDS", 0.001)
    with ExitStack() as stack:
        found = measure.RowRun(row, Place(1, None, tmp_path), stack).run(Effort(2), lambda words: None)
    assert {len(times) for times in (found.rates, *found.products.values())} == {2}
    assert max(found.differs.values()) < 1e-5
    assert table.misses(found) == [] or row is CNN  # whose ratio is that of a busy machine
    assert ("3 largest eigenvalues" in table.shown(found)) == (row is MLP)


def test_other_data_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "Worker", in_process(MLP))
    digests = iter("abc")
    monkeypatch.setattr(Problem, "digest", lambda self: next(digests))
    with ExitStack() as stack, pytest.raises(SystemExit, match="different data"):
        measure.RowRun(MLP, Place(1, None, tmp_path), stack)


def result(**changed: Any) -> Result:
    """What came of the row of eigenvalues, as it is wished for."""
    facts = {"name": "a CPU", "torch": "2.9", "data": "noise", "digest": "", "flop": 10**9}
    names = ("ours", "pyhessian", "curvlinops")
    seconds = {"ours": 1.0, "pyhessian": 4.5, "curvlinops": 2.5}
    pairs = {name: Pairs([seconds[name]] * 3, [2.0, 1.0], [1e-5, 1e-5], 1e-5) for name in names}
    return Result(
        **{
            "row": ROWS["mlp-eigenvalues"], "facts": facts, "rates": [1e11] * 3, "pairs": pairs,
            "prepared": {name: {"seconds": 0.1, "kept": 10} for name in names},
            "products": {name: [0.1] * 3 for name in names}, "differs": dict.fromkeys(names, 1e-7),
            "memory": dict.fromkeys(names, 10**8), **changed,
        }
    )  # fmt: skip


def with_pairs(name: str, **changed: Any) -> dict[str, Any]:
    """The result's eigenvalues with those of one side changed."""
    pairs = result().pairs
    return {"pairs": pairs | {name: dataclasses.replace(pairs[name], **changed)}}


MISSES = {
    "nothing": ({}, None),
    "slow": (with_pairs("ours", seconds=[2.0] * 3), "a ratio of at least 4 to PyHessian 0.1 of eigenvalues"),
    "rough": (with_pairs("ours", worst=2e-3), "residuals of lossscape up to 0.001"),
    "another value": (with_pairs("curvlinops", values=[2.0, 1.1]), "eigenvalues that agree with those of curvlinops"),
    "another order": (with_pairs("pyhessian", values=[1.0, 2.0]), None),
    "another product": (
        {"differs": dict.fromkeys(("ours", "pyhessian", "curvlinops"), 1e-3)},
        "products of lossscape within 1e-05",
    ),
}


@pytest.mark.parametrize("name", MISSES)
def test_misses(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed, expected = MISSES[name]
    monkeypatch.setattr(measure.RowRun, "__init__", lambda *given: None)
    monkeypatch.setattr(measure.RowRun, "run", lambda *given: result(**changed))
    assert bench.main(["--rows", "mlp-eigenvalues", "--rounds", "3"]) == (1 if expected else 0)
    said = capsys.readouterr().out
    assert (expected or "all as asked") in said
    if name == "another order":
        assert "| 1    | 2 (residual 1e-05) | 2 (residual 1e-05)" in said

"""The benchmark of landscapes: all sides compute the same where the peer goes, and its exit code tells a miss."""

import dataclasses
import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.landscapes import __main__ as bench
from benchmarks.landscapes import coordinates, full, measure, table, tuned, worker
from benchmarks.landscapes.measure import Result, Scaling
from benchmarks.landscapes.ours import Ours
from benchmarks.landscapes.problem import Problem
from benchmarks.landscapes.process import Place
from benchmarks.landscapes.rows import EVERY, ROWS, Kind, Row
from benchmarks.landscapes.tuned import Tuned
from benchmarks.landscapes.usual import Usual
from benchmarks.workers import ROOT

SAMPLES = 70
SMALL = [
    dataclasses.replace(ROWS["mlp-plane"], samples=SAMPLES, options={"hidden": [8, 6]}),
    dataclasses.replace(ROWS["mlp-line"], samples=SAMPLES, steps=3, options={"hidden": [9]}),
    dataclasses.replace(ROWS["cnn-plane"], samples=SAMPLES, options={"channels": [4, 10]}),
    dataclasses.replace(
        ROWS["resnet-cifar-plane"], samples=SAMPLES, model="cnn", options={"channels": [4, 10], "batch_norm": True}
    ),
]
by_row = pytest.mark.parametrize("row", SMALL, ids=[row.name for row in SMALL])
INTERPOLATIONS = pytest.mark.parametrize(("kind", "steps"), [("line", 1), ("line", 4), ("plane", 1), ("plane", 5)])


@pytest.fixture(autouse=True)
def _cold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)


def exact_loss(problem: Problem, point: coordinates.Coordinates) -> float:
    """The mean loss in float64 at a point, from the ends of the directions."""
    start = problem.centre.state_dict()
    net = Problem(problem.row).centre.double()
    with torch.no_grad():
        for name, value in net.named_parameters():
            moves = [
                c * (end.state_dict()[name].double() - start[name].double())
                for c, end in zip(point, problem.ends, strict=True)
            ]
            value.copy_(start[name].double() + sum(moves))
        inputs, targets = problem.data
        return nn.functional.cross_entropy(net(inputs.double()), targets).item()


@INTERPOLATIONS
def test_coordinates_are_those_that_the_peer_visits(kind: Kind, steps: int) -> None:
    loss_landscapes = pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    nets = [nn.Linear(2, 1, bias=False).double() for _ in range(3)]
    for net, weights in zip(nets, [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], strict=True):
        net.weight.data.copy_(torch.tensor([weights]))
    order: list[coordinates.Coordinates] = []

    def where(wrapper: Any) -> complex:
        x, y = wrapper.modules[0].weight[0].tolist()
        order.append((x,) if kind == "line" else (x, y))
        return complex(x, y)

    if kind == "line":
        found = loss_landscapes.linear_interpolation(nets[0], nets[1], where, steps=steps)
        result = [(value.real,) for value in found]
    else:
        found = loss_landscapes.planar_interpolation(*nets, where, steps=steps)
        result = [(value.real, value.imag) for value in found.reshape(-1)]
    for seen, expected in ((result, coordinates.visited(kind, steps)), (order, coordinates.walked(kind, steps))):
        assert seen == [pytest.approx(point, abs=1e-12) for point in expected]


@by_row
def test_all_sides_compute_the_same(row: Row) -> None:
    problem = Problem(row)
    points = coordinates.visited(row.kind, row.steps)
    truth = [exact_loss(problem, point) for point in points]
    assert len(set(truth)) == len(points)
    ours, loop = Ours(problem, "fp32"), Tuned(problem, "fp32")
    assert ours.prepare()["plan"]["name"]
    assert loop.prepare(0.001)["chunk"] <= row.samples
    assert ours.values(points) == pytest.approx(truth, rel=2e-6)
    assert loop.measure(row.steps, 100.0)["values"] == pytest.approx(truth, rel=2e-6)


@by_row
def test_the_peer_computes_the_same(row: Row) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    from benchmarks.landscapes.peer import Peer

    problem = Problem(row)
    before = problem.digest()
    peer = Peer(problem, "fp32")
    peer.prepare()
    found = peer.measure(row.steps)
    truth = [exact_loss(problem, point) for point in coordinates.visited(row.kind, row.steps)]
    assert found["values"] == pytest.approx(truth, rel=1e-5)
    assert found["seconds"] > 0
    drift = peer.drift(row.steps, found["values"], 2)
    assert 0 < drift["weights"] < 1e-5  # had the coordinates been others, it would be the size of a step
    assert drift["loss"] < 1e-5
    assert problem.digest() == before


def test_bf16_is_near_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem(SMALL[0])
    truth = exact_loss(problem, (0.5, 0.25))
    loop, ours = Tuned(problem, "bf16"), Ours(problem, "bf16")
    ours.prepare()
    for found in (loop.loss((0.5, 0.25)), *ours.values([(0.5, 0.25)])):
        assert 1e-7 < abs(found - truth) / truth < 0.05


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_with_transforms_per_sample_computes_the_same(workers: int) -> None:
    problem = Problem(SMALL[0])
    found = Usual(problem, "fp32").measure(workers, SAMPLES)
    assert found["value"] == pytest.approx(exact_loss(problem, (1.0, 0.0)), rel=1e-5)


def test_a_pass_over_a_part_is_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.0])
    usual = Usual(Problem(SMALL[0]), "fp32")
    monkeypatch.setattr("benchmarks.landscapes.usual.time.perf_counter", lambda: next(times))
    assert usual.measure(0, SAMPLES // 7)["seconds"] == pytest.approx(14.0)


def test_directions_are_the_peers_to_the_bit() -> None:
    problem = Problem(SMALL[2])
    for end, direction in zip(problem.ends, problem.directions, strict=True):
        for name, value in end.named_parameters():
            assert torch.equal(direction[name], value - problem.centre.get_parameter(name))


def test_batch_norm_has_statistics_of_its_inputs() -> None:
    problem = Problem(SMALL[3])
    norm = problem.centre.get_submodule("norm1")
    assert isinstance(norm.running_mean, torch.Tensor)
    assert norm.running_mean.abs().max() > 0
    assert not problem.centre.training


def test_scaling_is_timed_at_every_size() -> None:
    ours = Ours(Problem(SMALL[0]), "fp32")
    ours.prepare()
    assert all(0 < seconds < 1 for seconds in ours.grids([2, 3]) + ours.sample_sizes([10, 70], 0.001))


def test_a_whole_work_is_measured_or_predicted() -> None:
    row = dataclasses.replace(SMALL[0], samples=20)
    ours = Ours(Problem(row), "fp32")
    ours.prepare()
    predicted, measured = ours.whole(0.0), ours.whole(1e9)
    assert [predicted["measured"], measured["measured"]] == [False, True]
    assert min(predicted["seconds"], measured["seconds"]) > ours.prepared


def test_sizes_of_chunks_end_with_all() -> None:
    assert tuned.sizes(64) == [2, 4, 8, 16, 32, 64]
    assert tuned.sizes(70) == [2, 4, 8, 16, 32, 64, 70]


def test_grids_fit_into_the_time() -> None:
    assert measure.affordable((2, 3, 5, 7), 2, 1e9) == [3, 5, 7]
    assert measure.affordable((2, 3, 5, 7), 2, 50) == [2, 3, 5]
    assert measure.affordable((2, 3, 5, 7), 2, 5) == [2]
    assert measure.affordable((2, 3, 5, 7), 1, 9) == [2, 3]
    assert measure.affordable((2, 3, 5, 7), 1, 10) == [2, 3, 5]


def test_what_is_not_finite_differs_infinitely() -> None:
    assert measure.largest_difference([1.0, 2.2], [1.0, 2.0]) == pytest.approx(0.1)
    assert measure.largest_difference([1.0, math.nan], [1.0, 2.0]) == math.inf
    assert measure.largest_difference([1.0, math.inf], [1.0, math.inf]) == math.inf


GOOD: dict[str, Any] = {
    "peer": [3.0, 3.2, 9.0], "ours": [0.1, 0.1, 0.4], "tuned": [1.0, 1.0, 1.0], "product": [1e11] * 3,
    "memory": 10**8, "differs": 1.05e-5, "drift": {"weights": 1e-7, "loss": 1e-6}, "truth": [2.0],
    "cold": {"seconds": 300.0, "measured": False},
}  # fmt: skip


def result(**changed: Any) -> Result:
    row = ROWS["mlp-plane"]
    plan = {"plan": {"name": "dense", "chunk": 4}, "source": "timed", "seconds": 1.0}
    return Result(row, "fp32", row.samples, 1000, plan, {"chunk": 4}, **(GOOD | changed))


@pytest.mark.parametrize(
    ("changed", "judged", "what"),
    [
        ({}, True, ""),
        ({"ours": [0.3, 0.3, 0.4]}, True, "a ratio of at least 15"),
        ({"ours": [0.3, 0.3, 0.4]}, False, ""),
        ({"differs": 1.2e-5}, False, "values within 1.1e-05 of the peer's"),
        ({"differs": math.nan}, False, "values within 1.1e-05 of the peer's"),
        ({"memory": 2 * 10**9 + 1}, False, "at most 2 GB above the data"),
    ],
)
def test_misses(changed: dict[str, Any], judged: bool, what: str) -> None:
    assert table.misses(result(**changed), judged) == ([what] if what else [])


def test_the_table_says_what_was_measured() -> None:
    found = dict(zip(table.HEAD, table.cells(result(), True), strict=True))
    assert found["ratio"] == "30 (22.5–32)"
    assert found["at least"] == "15: ok"
    assert found["whole work, cold (peer)"] == "~5 min (~2.3 h)"
    assert found["GFLOP/s"] == "0"  # 1,000 a sample, 50,000 samples, 0.1 s: 0.5 GFLOP/s
    assert found["differs by"] == "1e-05"
    assert "15: missed" in table.cells(result(ours=[1.0] * 3), True)
    assert "15: not judged" in table.cells(result(), False)
    assert "values may differ by 1.1e-05" in table.notes(result())
    lines = table.table(["a", "bb"], [["1", "2"], ["long", "3"]]).splitlines()
    assert lines == ["| a    | bb |", "| ---- | -- |", "| 1    | 2  |", "| long | 3  |"]
    shown = table.scaling_tables([Scaling(ROWS["mlp-plane"], [3, 5], [0.1, 0.11], [10, 20], [0.01, 0.02])])
    assert "| 3², 5²" in shown
    assert "1.10" in shown
    assert "| 1e+03, 1e+03" in shown


class InThisProcess:
    """A Worker without a process, on small rows."""

    change: dict[str, Any] = {}  # noqa: RUF012
    """What it answers to a question, in place of the truth."""

    def __init__(self, side: str, row: str, precision: str, place: Place) -> None:
        small = {row.name: row for row in SMALL}
        self.side = worker.opened(side, small.get(row, EVERY[row]), precision, "cpu", 0)

    def ask(self, what: str, **arguments: Any) -> Any:
        if what in self.change:
            return self.change[what]
        return json.loads(json.dumps(self.side.answer(what, json.loads(json.dumps(arguments)))))

    def __enter__(self) -> "InThisProcess":
        return self

    def __exit__(self, *error: object) -> None:
        pass


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> type[InThisProcess]:
    for module in (bench, measure, full):
        monkeypatch.setattr(module, "Worker", InThisProcess)
    monkeypatch.setattr(InThisProcess, "change", {"memory": 10**8})
    return InThisProcess


SHORT = ["--rounds", "1", "--seconds", "0.001", "--limit", "0.001", "--samples", str(SAMPLES)]


def test_the_whole_benchmark(in_this_process: type[InThisProcess], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    assert bench.main(["--rows", "mlp-plane", "mlp-line", "--precisions", "fp32", *SHORT]) == 0
    said = capsys.readouterr().out
    assert said.endswith("all as asked\n")
    for name, wanted in (("mlp-plane", "15"), ("mlp-line", "6")):
        assert re.search(rf"^\| {name} fp32 +\|.*\| {wanted}: not judged", said, flags=re.M)
        assert re.search(rf"^\| {name} +\| \d", said, flags=re.M)  # in the small tables
    assert "mlp-plane through a DataLoader with transforms per sample, " in said
    assert "its value differs by" in said


def test_bf16_is_held_against_the_same_peer(
    in_this_process: type[InThisProcess], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    monkeypatch.setattr("lossscape.devices.fast_bf16", lambda kind: True)
    assert bench.main(["--rows", "mlp-line", "--quick", *SHORT]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| mlp-line")]
    assert [cells[1].strip() for cells in rows] == ["mlp-line fp32", "mlp-line bf16"]
    assert rows[0][2] == rows[1][2]  # one round of one peer


@pytest.mark.parametrize(
    ("changed", "miss"), [({"memory": 3 * 10**9}, "at most 2 GB"), ({"values": [1e9] * 16}, "values within")]
)
def test_a_miss_is_told_by_the_exit_code(
    changed: dict[str, Any], miss: str, in_this_process: type[InThisProcess], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    in_this_process.change |= changed
    assert bench.main(["--rows", "cnn-plane", "--precisions", "fp32", "--quick", *SHORT]) == 1
    assert f"missed by cnn-plane fp32: {miss}" in capsys.readouterr().out


def test_sides_with_other_data_are_found_out(
    in_this_process: type[InThisProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    digests = map(str, itertools.count())  # one for each side, however many a machine has
    monkeypatch.setattr(Problem, "digest", lambda self: next(digests))
    with pytest.raises(SystemExit, match="different data or weights"):
        bench.main(["--rows", "mlp-line", *SHORT])


def test_full_planes(
    in_this_process: type[InThisProcess], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(SMALL[0], name="dnn-full")
    monkeypatch.setitem(EVERY, "dnn-full", small)
    assert bench.main(["--rows", "--full", "dnn-full", "--precisions", "fp32", *SHORT]) == 0
    assert re.search(r"^\| MLP 3072-128-64-32-16-10 +\| fp32 +\|.*\| ~", capsys.readouterr().out, flags=re.M)


@pytest.mark.parametrize(
    ("words", "tiles", "precision", "judged"),
    [
        ([], False, "fp32", True),
        ([], False, "bf16", False),
        ([], True, "bf16", True),
        (["--device", "cuda"], False, "fp32", False),
        (["--samples", "100"], False, "fp32", False),
    ],
)
def test_what_is_judged(words: list[str], tiles: bool, precision: str, judged: bool) -> None:
    found = dataclasses.replace(result(), precision=precision)
    assert bench.judged(bench.read(words), {"tiles": tiles}, found) == judged


@pytest.mark.parametrize("words", [["--rows", "mpl"], ["--seconds", "0"], ["--rounds", "x"], ["--full", "mlp-line"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        bench.main(words)
    assert stop.value.code == 2


@pytest.mark.slow
def test_a_worker_in_a_process_of_its_own(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmarks.landscapes import __main__\n"
        "from benchmarks.landscapes.process import Place, Worker\n"
        f"place = Place('cpu', 1, 40, Path({str(tmp_path)!r}))\n"
        "with Worker('tuned', 'mlp-line', 'fp32', place) as worker:\n"
        "    plan = worker.ask('prepare', seconds=0.001)\n"
        "    assert plan['layout'] == 'contiguous' and plan['chunk'] <= 40\n"
        "    assert len(worker.ask('measure', steps=3, seconds=100)['values']) == 3\n"
        "    assert 1e7 < worker.ask('memory') < 2e9\n"
        "    assert 'torch' not in sys.modules\n"
        "    worker.ask('nothing')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("tuned of mlp-line in fp32: nothing failed with exit code 1\n")

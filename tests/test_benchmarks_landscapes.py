"""The benchmark of landscapes: all sides compute the same where the peer goes, and its exit code tells a miss."""

import dataclasses
import itertools
import json
import math
import os
import re
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.landscapes import __main__ as bench
from benchmarks.landscapes import (
    coordinates,
    full,
    judge,
    load,
    measure,
    outcome,
    picture,
    processes,
    table,
    tuned,
    worker,
)
from benchmarks.landscapes import ours as side
from benchmarks.landscapes.judge import verdict
from benchmarks.landscapes.learned import Learned
from benchmarks.landscapes.measure import Result, Scaling
from benchmarks.landscapes.ours import Ours
from benchmarks.landscapes.problem import Problem
from benchmarks.landscapes.process import Place
from benchmarks.landscapes.recomputed import Recomputed
from benchmarks.landscapes.rows import EVERY, FULL, ROWS, Kind, Row
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
RECOMPUTED = dataclasses.replace(
    ROWS["resnet-recompute-line"], samples=SAMPLES, model="cnn", options={"channels": [4, 10], "batch_norm": True}
)
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


HELD = {"judged": True, "own": False}


def result(**changed: Any) -> Result:
    row = ROWS["mlp-plane"]
    plan = {"plan": {"name": "dense", "chunk": 4}, "source": "timed", "seconds": 1.0}
    return Result(row, "fp32", row.samples, 1000, plan, {"chunk": 4}, **(GOOD | changed))


@pytest.mark.parametrize(
    ("changed", "judged", "what"),
    [
        ({}, True, ""),
        ({"ours": [0.3, 0.3, 0.4]}, True, "a ratio of at least 15; a ratio to the tuned loop of at least 4"),
        ({"ours": [0.3, 0.3, 0.4]}, False, ""),
        ({"tuned": [0.3, 0.3, 0.4]}, True, "a ratio to the tuned loop of at least 4"),
        ({"differs": 1.2e-5}, False, "values within 1.1e-05 of the peer's"),
        ({"differs": math.nan}, False, "values within 1.1e-05 of the peer's"),
        ({"memory": 2 * 10**9 + 1}, False, "at most 2 GB above the data"),
    ],
)
def test_misses(changed: dict[str, Any], judged: bool, what: str) -> None:
    assert "; ".join(table.misses(result(**changed), judged=judged, own=False)) == what


@pytest.mark.parametrize(
    ("reached", "wanted", "roof", "own", "asked", "words"),
    [
        (3.1, 3.0, 2.3, False, 3.0, "3: ok"),  # with AVX-512 the number alone counts
        (2.2, 3.0, 2.3, False, 3.0, "3: missed"),
        (2.2, 3.0, 2.3, True, 1.61, "3, here 1.61 (70% of its roof): ok"),
        (1.5, 3.0, 2.3, True, 1.61, "3, here 1.61 (70% of its roof): missed"),
        (3.1, 3.0, 10.0, True, 3.0, "3: ok"),  # the roof asks for no more than the row does
        (14.0, 15.0, None, True, 15.0, "15: missed"),  # a plan that avoids arithmetic has no roof
        (math.nan, 3.0, 2.3, True, 1.61, "3, here 1.61 (70% of its roof): missed"),
        (1.0, None, 2.3, True, None, "–"),
    ],
)
def test_what_a_machine_allows(
    reached: float, wanted: float | None, roof: float | None, own: bool, asked: float | None, words: str
) -> None:
    found = verdict([reached], wanted, roof, judged=True, own=own)
    assert found.asked == (None if asked is None else pytest.approx(asked))
    assert found.words == words
    assert found.missed == ("missed" in words)
    assert not dataclasses.replace(found, judged=False).missed


def test_the_roof_is_what_a_sides_share_of_the_matrix_rate_leaves() -> None:
    # 1e9 operations a point at 0.1 s are 1e10 a second: a quarter, a fifth and a half of the rates
    assert judge.roof_of([0.1, 0.1, 0.1], [4e10, 5e10, 2e10], 1e9) == pytest.approx(4)
    row = ROWS["cnn-plane"]
    slow = dataclasses.replace(result(), row=row, samples=1000, flop=10**8, product=[1e11] * 3, peer=[2.0] * 3)
    slow = dataclasses.replace(slow, ours=[1.0] * 3, tuned=[1.3] * 3)  # at the rate of a matrix product
    peer, loop = table.verdicts(slow, judged=True, own=True)
    assert loop
    assert [peer.roof, loop.roof] == [pytest.approx(2.0), pytest.approx(1.3)]
    assert not table.misses(slow, judged=True, own=True)
    assert table.misses(slow, judged=True, own=False) == ["a ratio of at least 3"]


@pytest.mark.parametrize(
    ("device", "capability", "own"),
    [("cpu", "AVX2", True), ("cpu", "DEFAULT", True), ("cpu", "AVX512", False), ("cuda", "AVX2", False)],
)
def test_which_machines_decide_themselves(device: str, capability: str, own: bool) -> None:
    assert judge.decides_itself(device, capability) == own


def test_the_table_says_what_was_measured() -> None:
    found = table.cells(result(), **HELD)
    assert found["ratio"] == "30 (22.5–32)"
    assert found["at least"] == "15: ok"
    assert (found["ratio to tuned loop"], found["at least of it"]) == ("10 (2.5–10)", "4: ok")
    assert found["roofs"] == "–"
    assert found["whole work, cold (peer)"] == "~5 min (~2.3 h)"
    assert found["GFLOP/s"] == "0"  # 1,000 a sample, 50,000 samples, 0.1 s: 0.5 GFLOP/s
    assert found["differs by"] == "1e-05"
    assert table.cells(result(ours=[1.0] * 3), **HELD)["at least"] == "15: missed"
    assert table.cells(result(), judged=False, own=False)["at least"] == "15: not judged"
    assert table.cells(result(tuned=[]), **HELD)["at least of it"] == "–"
    said = "\n".join(table.notes(result(busy=3)))
    assert "values may differ by 1.1e-05" in said
    assert "beside 3 busy processes" in said
    shown = table.scaling_tables(Scaling(ROWS["mlp-plane"], [3, 5], [0.1, 0.11], [10, 20], [0.01, 0.02]))
    assert shown[table.BY_GRID] == [
        {"row": "mlp-plane", "points": "3², 5²", "s a point": "0.1, 0.11", "largest / smallest": "1.10"}
    ]
    assert shown[table.BY_SAMPLES][0]["µs a point and sample"] == "1e+03, 1e+03"
    assert table.BY_GRID not in table.scaling_tables(Scaling(ROWS["cnn-plane"], [2], [], [10], [0.1]))


def test_rows_are_printed_and_written_as_they_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "found.json"
    report = outcome.Report("where", {"capability": "AVX512"}, ["--rounds", "1"], file)
    for name, missed in (("one", []), ("two", ["two: a ratio"])):
        tables = {"times": [{"row": name, "s": "1"}], f"of {name}": [{"a": "b"}]}
        report.add(outcome.Outcome(name, tables, [f"{name}: a note"], missed, {"differs": math.inf, "peer": (1.5,)}))
        found = json.loads(file.read_text(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
        assert [row["name"] for row in found["rows"]] == ["one", "two"][: len(report.outcomes)]
        assert not found["ended"]
    assert not report.end()
    found = json.loads(file.read_text())
    assert found["ended"]
    assert found["missed"] == ["missed by two: a ratio"]
    assert found["rows"][1]["measured"] == {"differs": "inf", "peer": [1.5]}
    assert found["rows"][0]["tables"]["times"] == [{"row": "one", "s": "1"}]
    ended, whole = capsys.readouterr().out.split("all rows")
    assert ended.index("| one | 1 |") < ended.index("one: a note") < ended.index("| two | 1 |")
    assert "missed by two: a ratio" in ended
    assert "| one | 1 |\n| two | 1 |" in whole  # one table of what has one title
    assert "one: a note\ntwo: a note" in whole
    assert os.listdir(tmp_path) == ["found.json"]


PICTURE: dict[str, Any] = {
    "points": 2601, "evaluated": 217, "seconds": 10.0, "exact": 100.0, "measured": True, "errors": [0.001] * 99 + [0.5],
    "plan": {"name": "dense"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, 1),  # of 100 errors the 99th percentile is the last
        ({"errors": [0.001] * 199 + [0.5]}, 0),
        ({"errors": [0.001] * 199 + [0.5], "exact": 79.0}, 1),
        ({"errors": [0.011] * 200, "exact": 79.0}, 2),
        ({"errors": [math.nan] * 200}, 1),
        ({"errors": []}, 0),
    ],
)
def test_a_picture_is_judged_by_time_and_errors(changed: dict[str, Any], missed: int) -> None:
    assert len(picture.misses(PICTURE | changed, judged=True)) == missed
    assert not any("less time" in what for what in picture.misses(PICTURE | changed, judged=False))


def test_the_table_says_what_a_picture_took() -> None:
    line = picture.cells(PICTURE | {"exact": 300.0, "measured": False, "errors": [0.001, 0.002, 0.03]}, judged=True)
    assert line["exact"] == "~5 min"
    assert line["times less"] == "30"
    assert line["at least"] == "8: ok"
    assert line["errors: median, 99 %, worst"] == "0.20%, 3.00%, 3.00%"
    assert line["of points"] == "drawn 3 predicted"


@pytest.mark.parametrize(("limit", "measured"), [(1e9, True), (0.1, False)])
def test_a_picture_is_compared_with_the_exact_one(
    limit: float, measured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side, "picture_axes", lambda row: [np.linspace(0, 1, 201)])
    calibrated = side.calibrate
    monkeypatch.setattr(side, "calibrate", lambda *given: dataclasses.replace(calibrated(*given), seconds=1e-3))
    row = dataclasses.replace(SMALL[1], samples=20)
    found = Ours(Problem(row), "fp32").picture(0.01, 20, limit)
    assert found
    assert found["measured"] == measured
    assert len(found["errors"]) == (201 - found["evaluated"] if measured else side.HELD)
    assert 0 <= found["errors"][-1] < 0.02
    assert min(found["seconds"], found["exact"]) > 0
    assert Ours(Problem(row), "fp32").picture(0.01, 20, 0.001) is None


LEARNED = dataclasses.replace(SMALL[3], learned=2)


def test_a_net_of_a_picture_has_learned() -> None:
    def loss(steps: int) -> float:
        problem = Learned(dataclasses.replace(SMALL[0], options={"hidden": [32]}, learned=steps))
        return torch.nn.functional.cross_entropy(problem.centre(problem.data[0]), problem.data[1]).item()

    assert loss(20) < 0.5 * loss(0)
    assert loss(20) == loss(20)


def test_directions_of_a_picture_are_those_of_a_landscape() -> None:
    problem = Learned(LEARNED)
    moved = {name: bool(value.any()) for name, value in problem.directions[0].items()}
    weights = {name for name, value in problem.centre.named_parameters() if value.dim() > 1}
    assert {name for name in moved if moved[name]} == weights


@pytest.mark.parametrize(("row", "of"), [(SMALL[0], "Problem"), (LEARNED, "Learned")], ids=["given", "learned"])
def test_a_picture_is_of_a_net_that_has_learned_where_its_row_says_so(
    row: Row, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ours, "picture", lambda self, **_: type(self.problem).__name__)
    assert worker.opened("ours", row, "fp32", "cpu", 0).answer("picture", {}) == of


@pytest.mark.parametrize(
    ("row", "ends"),
    [
        (ROWS["mlp-line"], (0, 1, 1_001)),
        (ROWS["mlp-plane"], (-1, 1, 51)),
        (ROWS["resnet-cifar-plane"], (-0.1, 0.1, 51)),
    ],
    ids=["line", "plane", "learned"],
)
def test_how_far_a_picture_goes(row: Row, ends: tuple[float, float, int]) -> None:
    for axis in side.picture_axes(row):
        assert (axis[0], axis[-1], len(axis)) == ends


@pytest.mark.parametrize(
    ("workers", "apart", "bound", "missed", "said"),
    [
        (5.9, 0.0, True, 0, "0.6: ok"),
        (6.1, 0.0, True, 1, "0.6: missed"),
        (6.1, 0.0, False, 0, "0.6: not judged"),
        (5.0, 1e-4, True, 1, "0.6: ok"),
        (5.0, math.nan, True, 1, "0.6: ok"),
    ],
)
def test_workers_are_judged(workers: float, apart: float, bound: bool, missed: int, said: str) -> None:
    found = processes.outcome({"one": [10.0], "two": [workers]}, 20.0, apart, bound=bound)
    assert len(found.missed) == missed
    (line,) = found.tables[processes.TITLE]
    assert (line["at most"], line["ratio to it"]) == (said, f"{workers / 20:.2f}")


@pytest.mark.slow
def test_workers_make_the_plane_of_one_process(tmp_path: Path) -> None:
    found = processes.measure(dataclasses.replace(bench.QUICK, rounds=1), tmp_path, grid=7)
    assert found.measured["differs"] < 1e-5
    assert all(seconds[0] > 0 for seconds in found.measured["seconds"].values())


def test_others_keep_cores_busy_and_end() -> None:
    begin = time.process_time()
    with load.busy(1) as (number,):
        path = Path(f"/proc/{number}/stat")
        deadline = time.monotonic() + 20
        while path.exists() and int(path.read_text().split()[13]) < 5 and time.monotonic() < deadline:  # its ticks
            time.sleep(0.02)
        assert not path.exists() or int(path.read_text().split()[13]) >= 5
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    assert time.process_time() - begin < 5


def test_what_starts_meanwhile_has_so_many_cores() -> None:
    before = load.cores()
    with load.on_cores(1) as bound:
        assert not bound or load.cores() == 1
    with load.on_cores(before + 1) as bound:
        assert not bound
    assert load.cores() == before


class InThisProcess:
    """A Worker without a process, on small rows."""

    change: dict[str, Any] = {}  # noqa: RUF012
    """What it answers to a question, in place of the truth."""

    def __init__(self, side: str, row: str, precision: str, place: Place) -> None:
        small = {row.name: row for row in (*SMALL, RECOMPUTED)}
        self.side = worker.opened(side, small.get(row.removesuffix("-load"), EVERY[row]), precision, "cpu", 0)

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
    for module in (bench, measure, full, picture):
        monkeypatch.setattr(module, "Worker", InThisProcess)
    monkeypatch.setattr(InThisProcess, "change", {"memory": 10**8})
    return InThisProcess


SHORT = ["--rounds", "1", "--seconds", "0.001", "--limit", "0.001", "--samples", str(SAMPLES)]


def test_the_whole_benchmark(in_this_process: type[InThisProcess], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    assert bench.main(["--rows", "mlp-plane", "mlp-line", "--precisions", "fp32", *SHORT]) == 0
    said = capsys.readouterr().out
    assert said.endswith("all as asked\n")
    for name, wanted, tuned_wanted in (("mlp-plane", "15", "4"), ("mlp-line", "6", "3")):
        line = rf"^\| {name} fp32 +\|.*\| {wanted}: not judged +\|.*\| {tuned_wanted}: not judged"
        assert len(re.findall(line, said, flags=re.M)) == 2  # as it ends, and among all
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
    assert [cells[1].strip() for cells in rows] == ["mlp-line fp32", "mlp-line bf16"]  # a table of one row is whole
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


@pytest.mark.parametrize(("within", "missed"), [(1e9, 0), (1e-9, 2)])
def test_full_planes_are_judged_on_a_gpu(
    within: float,
    missed: int,
    in_this_process: type[InThisProcess],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(side, "picture_axes", lambda row: [np.linspace(-1, 1, 15)] * 2)
    small = dataclasses.replace(SMALL[0], name="dnn-full", within=within)
    for rows in (EVERY, FULL):
        monkeypatch.setitem(rows, "dnn-full", small)
    words = ["--rows", "--full", "dnn-full", "--precisions", "fp32", *SHORT[:4], "--limit", "60"]
    file = tmp_path / "found.json"
    assert bench.main([*words, "--device", "cuda", "--json", str(file)]) == min(missed, 1)
    (row,) = json.loads(file.read_text())["rows"]
    assert len(row["missed"]) == missed
    assert row["measured"]["picture"]["points"] == 225
    words += ["--limit", "1e-9", "--samples", str(SAMPLES)]
    assert bench.main(words) == 0  # elsewhere nothing is held against them, and nothing long is begun
    said = capsys.readouterr().out
    assert re.search(
        r"^\| dnn-full +\| MLP 3072-128-64-32-16-10 +\| fp32 +\|.*\| ~.*not judged +\| –", said, flags=re.M
    )


def test_a_picture_that_takes_too_long_misses(in_this_process: type[InThisProcess]) -> None:
    in_this_process.change |= {"picture": None}
    assert bench.main(["--rows", "cnn-plane-picture"]) == 1
    assert full.misses(FULL["dnn-full"], {"whole": {"seconds": 4.9}, "picture": None}) == [
        "a picture to 1% within 0.5 s"
    ]


def test_a_row_under_load_and_one_with_statistics_of_each_point(
    in_this_process: type[InThisProcess], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("loss_landscapes", reason="the peer is not installed")
    monkeypatch.setattr(bench, "cores", lambda: 2)
    monkeypatch.setattr(bench, "busy", lambda number: nullcontext([17] * number))
    words = ["--precisions", "fp32", *SHORT, "--limit", "1"]
    assert bench.main(["--rows", "mlp-line-load", "resnet-recompute-line", "mlp-line-picture", *words]) == 0
    said = capsys.readouterr().out
    assert said.count("beside 1 busy processes") == 2  # as the one row ends, and among all
    assert re.search(r"^\| resnet-recompute-line fp32 +\|.*not judged +\| –", said, flags=re.M)
    assert re.search(r"^\| mlp-line-picture +\|", said, flags=re.M)


def test_statistics_of_each_point_are_those_of_all_its_samples() -> None:
    problem = Problem(RECOMPUTED)
    net, inputs = Problem(RECOMPUTED).centre.double(), problem.data[0].double()
    truth = []
    for (alpha,) in coordinates.visited("line", 2):
        for value, start, end in zip(
            net.parameters(), problem.centre.parameters(), problem.ends[0].parameters(), strict=True
        ):
            value.copy_(start.double() + alpha * (end.double() - start.double()))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # the last batch alone, which has all samples
        net.train()(inputs)
        truth.append(nn.functional.cross_entropy(net.eval()(inputs), problem.data[1]).item())
    assert len(set(truth)) == 2
    peer, ours = Recomputed(problem, "fp32"), Ours(problem, "fp32")
    ours.prepare()
    peer.problem = Problem(RECOMPUTED)
    peer.prepare()
    assert peer.measure(2)["values"] == pytest.approx(truth, rel=1e-5)
    assert ours.values(coordinates.visited("line", 2)) == pytest.approx(truth, rel=1e-5)


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


@pytest.mark.parametrize(
    "words", [["--rows", "mpl"], ["--seconds", "0"], ["--rounds", "x"], ["--full", "mlp-line"], ["--json", "none/a"]]
)
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

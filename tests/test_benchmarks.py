"""The benchmark of training: both sides compute the same, its numbers add up, and its exit code tells a miss."""

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import numbers
from benchmarks.sweeps import __main__ as sweeps
from benchmarks.training import __main__ as training
from benchmarks.training import measure, roof, sides
from benchmarks.training.rows import BATCH, ROWS, Row

MLP = dataclasses.replace(ROWS["mlp"], train=150, test=10)
CNN = dataclasses.replace(ROWS["cnn"], train=150, test=10, model={"name": "cnn", "channels": [32, 10]})
by_row = pytest.mark.parametrize("row", [MLP, CNN], ids=["mlp", "cnn"])
ROUNDING = {"peer": 1e-6, "lossscape": 1e-6}
CHECKED = {
    "cpu": "a CPU", "torch": "2.9", "data": "noise", "emulated": False, "flop": 10**6, "products": 1e-5,
    "loss_differs": 0.0, "gradient_differs": 0.0, "rounding": ROUNDING,
}  # fmt: skip


@by_row
def test_both_sides_compute_the_same(row: Row, tmp_path: Path) -> None:
    found = measure.check(row, None, tmp_path, 0.001)
    assert found["loss_differs"] < 1e-6
    assert found["gradient_differs"] < 1e-6
    assert found["rounding"]["lossscape"] < 1e-3
    assert 1e-8 < found["products"] < 1
    assert not list(tmp_path.iterdir())


def test_a_gradient_of_other_micro_batch_weights_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = sides.ours

    def wrong(*words: Any) -> Any:
        setup, state = right(*words)
        return dataclasses.replace(setup, loss=lambda z, y: setup.loss(z, y) / len(z)), state

    monkeypatch.setattr(sides, "ours", wrong)
    assert measure.check(MLP, None, tmp_path, 0.001)["gradient_differs"] > 0.1


@by_row
@pytest.mark.parametrize("side", ["peer", "lossscape"])
def test_each_side_goes_through_whole_epochs(row: Row, side: str, tmp_path: Path) -> None:
    steps = sides.steps(row, side, None, tmp_path)
    assert list(itertools.islice(steps, 3)) == [BATCH, 50, BATCH]


def test_work_is_counted_without_the_first_input_gradient() -> None:
    net = sides.usual_net(MLP)
    first, others = 784 * 100, 100 * 100 + 100 * 10
    assert measure.flop(net, MLP.shape) == 4 * first + 6 * others


def test_the_roof_counts_each_product_once_and_none_of_the_first_inputs_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[int] = []
    monkeypatch.setattr(roof, "least", lambda ways, seconds: found.append(len(ways)))
    threads = torch.get_num_threads()
    assert len(roof.fastest(sides.usual_net(MLP), MLP.shape, 50, "fp32", 0.01)) == 8
    assert len(roof.fastest(sides.usual_net(CNN), CNN.shape, 50, "fp32", 0.01)) == 5
    assert found[-5:] == [6] * 5  # two layouts, whole and in chunks of two sizes
    assert torch.get_num_threads() == threads


def test_the_floor_makes_each_product_once_a_step_on_the_threads_that_were_fastest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[str, int]] = []
    threads = [2]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    ways = [roof.Fastest(1.0, lambda: made.append(("a", threads[-1])), 1)]
    ways.append(roof.Fastest(1.0, lambda: made.append(("b", threads[-1])), 2))
    assert list(itertools.islice(roof.one_after_the_other(ways, 50), 2)) == [50, 50]
    assert made == [("a", 1), ("b", 2)] * 2


def test_the_fastest_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)

    def taking(seconds: float) -> Any:
        def way() -> None:
            nonlocal now
            now += seconds

        return way

    slow, quick = taking(3.0), taking(2.0)
    found = roof.least([slow, quick], 10.0)
    assert found.way is quick
    assert found.seconds == 2.0


def test_an_evaluation_is_of_both_splits_and_writes_nothing(tmp_path: Path) -> None:
    found = measure.evaluation(MLP, None, tmp_path, 0.001)
    assert found["samples"] == 150
    assert 0 < found["seconds"] < 60
    assert not list(tmp_path.iterdir())


def test_samples_per_second_leaves_the_warm_up_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.perf_counter", lambda: now)

    def steps() -> Any:  # the first is slow
        nonlocal now
        for seconds in [10.0, *[0.5] * 8]:
            now += seconds
            yield 100

    assert measure.samples_per_second(steps(), 4.0) == 200


@pytest.mark.parametrize(
    ("changed", "ours", "evaluation", "code"),
    [
        ({}, 2000.0, 0.25, 0),
        ({}, 1990.0, 0.1, 1),  # the ratio asked for is 20
        ({"products": 5e-4}, 1100.0, 0.1, 0),  # which is 55 % of what the bare products would reach
        ({"products": 5e-4}, 1090.0, 0.1, 1),
        ({}, 2000.0, 0.26, 1),  # every 5 epochs of 0.5 s each
        ({"gradient_differs": 1e-4}, 2000.0, 0.1, 1),
        ({"rounding": {"peer": 1e-6, "lossscape": 3e-6}}, 2000.0, 0.1, 1),
        ({"emulated": True}, 1.0, 9.0, 0),
    ],
)
def test_exit_code(
    changed: dict[str, Any],
    ours: float,
    evaluation: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rates: dict[str, dict[str, Any]] = {
        "check": CHECKED | changed,
        "lossscape": {"rate": ours, "memory": 2e8},
        "evaluation": {"seconds": evaluation, "samples": 1000},
        "products": {"rate": 5000.0, "memory": 1e6},
    }

    def answer(task: str, *others: Any) -> dict[str, Any]:
        return rates.get(task, {"rate": 100.0, "memory": 1e8})

    monkeypatch.setattr(training, "in_a_process", answer)
    assert training.main(["--rows", "mlp", "--rounds", "3"]) == code
    said = capsys.readouterr().out
    assert ("missed" in said) == (code == 1)
    if "emulated" not in changed:
        floor = 1e5 * (CHECKED | changed)["products"]
        assert f"products take {floor:.3g} ms at least (one after the other 20 ms)" in said
        assert f"a step of lossscape {1e5 / ours:.3g} ms, {1e5 / ours - floor:.3g} ms more; 20 times" in said
        assert "would be a step of 50 ms" in said
    assert ("not judged: bf16 is emulated on this CPU" in said) == bool(changed.get("emulated"))


@pytest.mark.parametrize(("evaluation", "code"), [(15.0, 0), (15.1, 1)])  # every 5 epochs of 30 s each
def test_of_a_row_of_lossscape_alone_only_the_evaluation_is_judged(
    evaluation: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"lossscape": {"rate": 10.0}, "evaluation": {"seconds": evaluation, "samples": 300}}
    monkeypatch.setattr(training, "in_a_process", lambda task, *others: answers[task])
    assert training.main(["--rows", "resnet", "--rounds", "2"]) == code
    assert ("missed" in capsys.readouterr().out) == (code == 1)


def test_ratios_are_of_pairs() -> None:
    assert numbers.ratios([10.0, 40.0], [1.0, 2.0]) == [10.0, 20.0]


@pytest.mark.parametrize("words", [["--rows", "mpl"], ["--seconds", "0"], ["--rounds", "x"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        training.main(words)
    assert stop.value.code == 2


@pytest.mark.slow
def test_a_measurement_in_a_process_of_its_own(tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from benchmarks.training import __main__ as training\n"
        f"answer = training.in_a_process('peer', 'mlp', 1, 0.01, Path({str(tmp_path)!r}))\n"
        "assert 'torch' not in sys.modules; print(json.dumps(answer))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=training.ROOT, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["rate"] > 0
    assert 1e7 < answer["memory"] < 5e9


@pytest.mark.parametrize(
    ("seconds", "apart", "code"), [((10.0, 5.9), 0.0, 0), ((10.0, 6.1), 0.0, 1), ((10.0, 5.0), 0.1, 1)]
)
def test_the_benchmark_of_sweeps_judges_time_and_numbers(
    seconds: tuple[float, float],
    apart: float,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sweeps, "measured", lambda side, file, home: seconds[list(sweeps.SIDES).index(side)])
    monkeypatch.setattr(sweeps, "differences", lambda folder: apart)
    assert sweeps.main(["--rounds", "1"]) == code
    assert ("missed" in capsys.readouterr().out) == (code == 1)


@pytest.mark.slow
def test_both_sides_of_the_benchmark_of_sweeps_train_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "FREED", ())  # threads that wait for one another on a busy machine take minutes
    file = sweeps.write(tmp_path, 2, 1)
    assert all(sweeps.measured(side, file, tmp_path / side) > 0 for side in sweeps.SIDES)
    runs = [sorted(path.name for path in (tmp_path / side / "workers").glob("seed-*")) for side in sweeps.SIDES]
    assert runs == [["seed-0", "seed-1"]] * 2
    assert sweeps.differences(tmp_path) < sweeps.TOLERANCE

"""Recorded forward passes, with a stand-in for CUDA graphs: of the values of dense ones, and never an error."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from cases_models import MODEL_CASES
from torch import Tensor

from lossscape.evaluate import Budget, Subspace, Work, calibrate, graphed
from lossscape.evaluate.graphed import Graphed
from lossscape.objective import Objective, Plan

POINTS = [(0.0, 0.0), (0.5, -1.0), (-1.0, 0.3), (2.0, 1.0)]
SAMPLES, CHUNK = 11, 4


class Recorder:
    """Counts passes, and does one again on the tensors that it was first made of, into the same outputs."""

    def __init__(self, failing: bool = False) -> None:
        self.failing, self.recorded, self.replayed = failing, 0, 0

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        if self.failing:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded += 1
        outputs = run()

        def again() -> None:
            self.replayed += 1
            outputs.copy_(run())

        return again, outputs


def work_of(name: str, samples: int = SAMPLES) -> Work:
    case = MODEL_CASES[name]
    objective = Objective(case.model(), "cross_entropy", case.inputs(samples), case.targets(samples))
    origin = dict(objective.parameters())
    generator = torch.Generator().manual_seed(0)
    directions = [
        {key: 0.3 * torch.randn(value.shape, generator=generator) for key, value in origin.items()} for _ in range(2)
    ]
    return Work({"data": objective}, Subspace(origin, directions, objective.buffers()))


@pytest.mark.parametrize(
    ("name", "plan"), [("mlp", "folded"), ("mlp", "factored"), ("mlp", "stacked"), ("cnn", "folded")]
)
def test_passes_done_again_have_the_values_of_dense_ones(name: str, plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, work = Recorder(), work_of(name)
    expected = work.rows(POINTS, Plan(SAMPLES, channels_last=False))
    monkeypatch.setattr(graphed, "recorder_of", lambda device: recorder)
    taken = Plan(CHUNK, channels_last=False, name=plan, points=len(POINTS), graphed=True)  # type: ignore[arg-type]
    for found, other in zip(work.rows(POINTS, taken), expected, strict=True):
        assert found == pytest.approx(other, rel=1e-5)
    passes = 1 if plan == "stacked" else len(POINTS)
    assert (recorder.recorded, recorder.replayed) == (1, passes * (SAMPLES // CHUNK))  # the rest is no whole chunk


@pytest.mark.parametrize("recorder", [None, Recorder(failing=True)], ids=["another device", "refused"])
def test_what_cannot_be_recorded_runs_as_it_is(recorder: Recorder | None, monkeypatch: pytest.MonkeyPatch) -> None:
    work, plan = work_of("mlp"), Plan(CHUNK, channels_last=False, name="factored", points=2)
    expected = work.rows(POINTS, plan)
    if recorder:
        monkeypatch.setattr(graphed, "recorder_of", lambda device: recorder)
    assert replace(work).rows(POINTS, replace(plan, graphed=True)) == expected


def test_other_shapes_are_not_recorded_and_outputs_are_the_callers_own() -> None:
    recorder = Recorder()
    taken = Graphed(lambda values, masks, inputs: inputs @ values["w"] + masks.get("b", 0.0), 2, 0, recorder)
    x, w = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.eye(2)
    first = taken({"w": w}, {}, x)
    second = taken({"w": 2 * w}, {}, x)
    assert torch.equal(first, x)
    assert torch.equal(second, 2 * x)
    assert torch.equal(taken({"w": w[:, :1]}, {}, x), x[:, :1])
    assert torch.equal(taken({"w": w}, {"b": torch.ones(2)}, x), x + 1)
    assert torch.equal(taken({"w": w}, {}, x[:1]), x[:1])
    assert (recorder.recorded, recorder.replayed) == (1, 2)


@pytest.mark.parametrize("there", [True, False])
def test_the_race_tries_graphs_where_there_are_such(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSSCAPE_CACHE", str(tmp_path))
    if there:
        monkeypatch.setattr(graphed, "recorder_of", lambda device: Recorder())
    work = work_of("mlp", 500)
    budget = Budget(share=10.0, shortest=0.0, moment=0.001, compiling=1e9)
    found = calibrate(work.objectives, work.subspace, 2_000, plan="factored", budget=budget)
    assert any(trial["graphed"] for trial in found.tried) == there

"""Filling a result's folder: any loss is a result, no point is evaluated twice, one plan for one result."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossscape.errors import BadInput
from lossscape.evaluate import Budget, Subspace, Work
from lossscape.evaluate.engine import Values
from lossscape.evaluate.subspace import Coordinates
from lossscape.execution import Execution
from lossscape.objective import Objective, Plan
from lossscape.results.engine import PlannedEngine
from lossscape.results.folder import open_folder
from lossscape.results.table import Table, fill, once

LOSSES = [0.0, -3.5, math.inf, math.nan, -math.inf, 5e-324, 1e300, 0.1]
POINTS = [(float(place),) for place in range(20)]
BLOCK = 8
BY_RULE = Budget(shortest=math.inf, block=1e6)
"""Plans that are chosen by rule, of eight points."""


@dataclass
class Dying(Work):
    """Work that remembers its blocks, and ends in the middle of one."""

    blocks: list[int] = field(default_factory=list)
    dies_in: int | None = None

    def rows(self, block: Sequence[Coordinates], plan: Plan, done: Any = None) -> list[Values]:
        """The metrics of a block, or a RuntimeError."""
        if len(self.blocks) == self.dies_in:
            raise RuntimeError("dead")
        self.blocks.append(len(block))
        return super().rows(block, plan, done)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """LOSSES[α mod 8] for the first output, which is α."""
    return torch.tensor(LOSSES, dtype=torch.float64)[outputs[:, 0].round().long() % len(LOSSES)]


def work(dies_in: int | None = None) -> Dying:
    """Outputs (α, 0) along a line."""
    net = nn.Sequential(nn.Linear(1, 2, bias=False))
    origin = {"0.weight": torch.zeros(2, 1)}
    direction = {"0.weight": torch.tensor([[1.0], [0.0]])}
    objective = Objective(net, loss, torch.ones(2, 1), torch.tensor([0, 1]))
    return Dying({"train": objective}, Subspace(origin, [direction]), dies_in=dies_in)


def filled(
    folder: Path, work: Work, plan: str | None = None, points: list[Coordinates] = POINTS
) -> tuple[dict[Coordinates, Values], Plan]:
    engine = PlannedEngine(folder, work, Execution(plan=plan, quiet=True), BY_RULE)
    table = Table(folder, "curve.csv", ["alpha"])
    values = fill(table, work, once(points), total=len(points), execution=engine.execution, engine=engine)
    return values, engine.taken


def engine(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "engine.json").read_text())
    return content


@pytest.mark.parametrize("plan", ["dense", "factored", "stacked"])
def test_any_loss_is_a_result_and_none_is_computed_twice(tmp_path: Path, plan: str) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "folder"
    first = work()
    values, _ = filled(whole, first, plan)
    assert first.blocks == [8, 8, 4]
    for point, found in values.items():
        expected = LOSSES[int(point[0]) % len(LOSSES)]
        assert found["train_loss"] == expected or (math.isnan(expected) and math.isnan(found["train_loss"]))

    with pytest.raises(RuntimeError, match="dead"):
        filled(folder, work(dies_in=2), plan)
    points = folder / "points.csv"
    kept = points.read_text().splitlines(keepends=True)[:-3]
    assert len(kept) == 1 + 2 * BLOCK - 3
    points.write_text("".join(kept))
    again = work()
    found, _ = filled(folder, again)
    assert again.blocks == ([8, 4] if plan == "stacked" else [7])  # bits of a stack depend on all of it
    assert (folder / "curve.csv").read_bytes() == (whole / "curve.csv").read_bytes()
    assert set(kept) <= set((folder / "curve.csv").read_text().splitlines(keepends=True))
    assert list(found) == POINTS
    assert not points.exists()

    finished = work()
    assert filled(folder, finished)[0].keys() == values.keys()
    assert finished.blocks == []


def test_a_result_has_one_plan_from_its_first_point_on(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="dead"):
        filled(tmp_path, work(dies_in=0))
    assert engine(tmp_path)["plan"]["name"] == "factored"
    with pytest.raises(RuntimeError, match="dead"):
        filled(tmp_path, work(dies_in=1), "dense")  # nothing was computed with the other
    assert engine(tmp_path)["plan"]["name"] == "dense"
    with pytest.raises(BadInput, match="begun with the plan dense"):
        filled(tmp_path, work(), "stacked")
    assert filled(tmp_path, work())[1].name == "dense"
    with pytest.raises(BadInput, match="begun with the plan dense"):
        filled(tmp_path, work(), "stacked")
    assert filled(tmp_path, work(), "dense")[1].name == "dense"


@pytest.mark.parametrize("torn", ["", "{", "[]"])
def test_an_engine_that_cannot_be_read_is_chosen_anew(tmp_path: Path, torn: str) -> None:
    with pytest.raises(RuntimeError, match="dead"):
        filled(tmp_path, work(dies_in=1))
    (tmp_path / "engine.json").write_text(torn)
    again = work()
    filled(tmp_path, again)
    assert again.blocks == [8, 4]
    assert engine(tmp_path)["plan"]["name"] == "factored"


def test_an_engine_of_another_structure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="dead"):
        filled(tmp_path, work(dies_in=1))
    (tmp_path / "engine.json").write_text('{"plan": {"name": "dense", "speed": 3}}')
    with pytest.raises(BadInput, match=r"engine.json: plan.chunk: field required; plan.speed: extra"):
        filled(tmp_path, work())


def test_every_round_is_found_once(tmp_path: Path) -> None:
    asked: list[int] = []

    def more(known: dict[Coordinates, Values]) -> list[Coordinates]:
        asked.append(len(known))
        return POINTS[len(known) : len(known) + 5]

    engine = PlannedEngine(tmp_path, work(), Execution(quiet=True), BY_RULE)
    table = Table(tmp_path, "curve.csv", ["alpha"])
    fill(table, engine.work, more, total=len(POINTS), execution=engine.execution, engine=engine)
    assert asked == [0, 5, 10, 15, 20]


def test_what_is_begun_anew_loses_its_points_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed while it deletes leaves no points without the plan that made them."""
    for name in ("certificate.json", "engine.json", "surface.csv", "directions.pt", "points.csv", "line.png"):
        (tmp_path / name).write_text("old")
    deleted: list[str] = []
    unlink = Path.unlink

    def note(path: Path, missing_ok: bool = False) -> None:
        deleted.append(path.name)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", note)
    with open_folder(tmp_path, {"analysis": "landscape"}, overwrite=True):
        pass
    assert sorted(deleted[:2]) == ["points.csv", "surface.csv"]
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "digests.jsonl", "settings.yaml"}


def refuse(folder: Path, rows: int) -> None:
    """Begin a result, and refuse it then."""
    with open_folder(folder, {"grid": 3}, overwrite=False):
        (folder / "points.csv").write_text("x,train_loss\n" + "0.0,1.0\n" * rows)
        raise BadInput("no scheduler")


@pytest.mark.parametrize("rows", [0, 1])
def test_what_is_refused_leaves_no_new_folder_unless_rows_are_there(tmp_path: Path, rows: int) -> None:
    folder = tmp_path / "landscape" / "of-this"
    for _ in range(2):
        with pytest.raises(BadInput, match="no scheduler"):
            refuse(folder, rows)
        assert folder.exists() == bool(rows)
        assert folder.parent.exists() == bool(rows)


def test_what_is_refused_leaves_a_folder_that_was_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no scheduler"):
        refuse(tmp_path, 0)
    assert (tmp_path / "settings.yaml").exists()

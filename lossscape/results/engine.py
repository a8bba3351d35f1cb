"""How a result's points are evaluated: the plan that was chosen for it, kept in engine.json and taken up again."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lossscape import devices
from lossscape.errors import BadInput
from lossscape.evaluate import Budget, Work, calibrate
from lossscape.evaluate.calibration import compiler
from lossscape.execution import Execution
from lossscape.files import read_json, write_text
from lossscape.objective import Plan
from lossscape.results.folder import ENGINE
from lossscape.results.table import raise_if_stopped
from lossscape.signals import stop_on_signals


@dataclass(frozen=True)
class PlannedEngine:
    """The engine of a result of points, which are evaluated under one plan."""

    folder: Path
    work: Work
    execution: Execution
    budget: Budget = field(default_factory=Budget)
    """What choosing the plan may take."""

    @property
    def plan(self) -> Plan | None:
        """The plan that the result was begun with, so that it goes on with the same bits."""
        return _plan_of(self.folder)

    @property
    def taken(self) -> Plan:
        """The plan that the points were evaluated under."""
        return self.plan or next(iter(self.work.objectives.values())).plan

    @property
    def seconds(self) -> float | None:
        """That a point may take in this process, where that is known."""
        seconds = read_json(self.folder / ENGINE).get("seconds_per_point")
        return seconds if isinstance(seconds, float) else None

    @property
    def begun_by_workers(self) -> bool:
        """Whether workers have computed points of the result, so that it goes on with their number of threads."""
        return "workers" in read_json(self.folder / ENGINE)

    def check(self) -> None:
        """Raise BadInput where another plan is asked for than that of the result."""
        check_plan(self.folder, self.execution.plan)

    def choose(self, missing: int, begun: bool) -> tuple[Plan, float | None]:
        """The plan of engine.json, or one that is chosen and written, and the seconds that a point may take."""
        plan = self.plan
        if begun:
            self.check()
        elif plan and self.execution.plan not in (None, plan.name):
            plan = None  # nothing was computed with it
        if plan is None:
            return self._chosen(missing)
        if plan.compiled and not compiler(self._device):
            plan = replace(plan, compiled=False)  # begun on another machine: the same to rounding
        return plan, self.seconds

    def note(self, **facts: Any) -> None:
        """Write who computes into engine.json."""
        engine = read_json(self.folder / ENGINE) | facts
        write_text(self.folder / ENGINE, json.dumps(engine, indent=2) + "\n")

    @property
    def _device(self) -> Any:
        return next(iter(self.work.objectives.values())).device

    def _chosen(self, missing: int) -> tuple[Plan, float]:
        work = self.work
        with stop_on_signals() as stop:
            found = calibrate(
                work.objectives,
                work.subspace,
                missing,
                plan=self.execution.plan,
                done=lambda _: raise_if_stopped(stop),
                budget=self.budget,
            )
        seconds = found.seconds * work.cost(()) / work.samples
        engine = {
            "plan": asdict(found.plan), "chosen": found.source, "seconds_per_point": seconds,
            "predicted_seconds": seconds * missing, "tried": found.tried, **devices.facts(self._device),
        }  # fmt: skip
        write_text(self.folder / ENGINE, json.dumps(engine, indent=2) + "\n")
        return found.plan, seconds


def check_plan(folder: Path, asked: str | None) -> None:
    """Raise BadInput where another plan is asked for than that of a result."""
    plan = _plan_of(folder)
    if asked and plan and asked != plan.name:
        raise BadInput(
            f"--plan {asked}: the result was begun with the plan {plan.name}, and one result has one plan; leave "
            "--plan out to go on with it, or give --overwrite to begin anew"
        )


def _plan_of(folder: Path) -> Plan | None:
    plan = read_json(folder / ENGINE).get("plan")
    return Plan(**{"channels_last": False} | plan) if plan else None


def predicted_seconds(work: Work, points: int, execution: Execution) -> float:
    """What some points of a work should take, by the plan that would be chosen for them."""
    with stop_on_signals() as stop:
        found = calibrate(
            work.objectives, work.subspace, points, plan=execution.plan, done=lambda _: raise_if_stopped(stop)
        )
    seconds = points * found.seconds * work.cost(()) / work.samples
    return seconds / (execution.workers or 1)

"""The fastest exact plan for a piece of work on this machine, found by timing a few on the first samples.

Timing may take 5 % of what the work will take, so short work gets a plan by rule. What was found is kept for the next
result of a net of the same shape on the same machine.
"""

import hashlib
import importlib.util
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lossscape import devices, facts, onednn
from lossscape.batches import tensors_of
from lossscape.errors import BadInput, one_of
from lossscape.evaluate import graphed
from lossscape.evaluate.engine import Work
from lossscape.evaluate.graph import first_of
from lossscape.evaluate.plans import reasons_against
from lossscape.evaluate.rewriting import lowers
from lossscape.evaluate.rows import Done
from lossscape.evaluate.subspace import Coordinates, Subspace
from lossscape.files import cache_folder, read_json, write_text
from lossscape.modules import has_convolutions
from lossscape.objective import CACHE_BYTES, Objective, Plan, PlanName

TURNS = 3
"""Times that each of two plans is timed."""
BLOCK_SECONDS = 0.5
"""Longest that a block of points may take: what a kill loses, and how late a point is written."""
POINTS_BYTES = 2**28
"""Memory for the parameters of the points of a block."""
TIMINGS = 2 * TURNS + 3
"""That a race of two plans takes, those that make their products among them."""
SAMPLES_CHECKED = 16
LARGER = 4
"""Times the samples of a chunk that weights which are not packed may want: they are laid out anew for each."""
PACKED_CHUNKS = 4
"""Chunks of a point from which on packed weights are the rule: to pack them takes what a chunk or two of them save."""
STACKS = (8, 32, 128)
NAMES: tuple[PlanName, ...] = ("dense", "folded", "factored", "stacked")
POOLED: tuple[PlanName, ...] = ("folded", "factored")
"""That threads of Python can share: their nets are graphs of our own, of which each thread has one."""
TOLERANCE = {"fp64": 1e-9, "fp32": 1e-4, "tf32": 5e-2, "bf16": 1e-1}
"""For the comparison of a plan with plain forward passes on a few samples, relative to the loss."""


@dataclass(frozen=True)
class Budget:
    """What timing plans may take, and what it must show; times are in seconds."""

    share: float = 0.05
    """Of the predicted work, the most that timing may take."""
    shortest: float = 4.0
    """Predicted work up to which nothing is timed."""
    moment: float = 0.1
    """That one timing should take at least, to mean something."""
    compiling: float = 20.0
    """That torch.compile may need."""
    block: float = BLOCK_SECONDS
    """Longest that a block of points of the plan may take."""
    better: float = 0.97
    """Share of the best plan's time, below which another is the better one: timings differ by a few per cent."""


@dataclass(frozen=True)
class Calibration:
    """A plan and what is known of its speed."""

    plan: Plan
    seconds: float
    """Predicted for a point, all objectives together, without its statistics."""
    source: str
    """timed, cached, rule (the work is too short to time plans), or asked for."""
    tried: list[dict[str, Any]] = field(default_factory=list)
    """Plans that were timed, with their seconds a point."""


def calibrate(
    objectives: Mapping[str, Objective],
    subspace: Subspace,
    points: int,
    *,
    plan: str | None = None,
    done: Done | None = None,
    budget: Budget = Budget(),
) -> Calibration:
    """Choose the plan for `points` points of a subspace.

    objectives: by split; plan: a name of NAMES to force; done: called with 0 now and then, so that an interruption
    is noticed; budget: what timing may take. Raises BadInput where the forced plan does not fit the net.
    """
    work = Work(objectives, replace(subspace, frozen=True))  # which statistics there are does not matter to speed
    if plan is not None and plan not in NAMES:
        raise BadInput(one_of("--plan", plan, NAMES))
    objective = _largest(work)
    against = reasons_against(objective, work.subspace)
    if plan in against:
        raise BadInput(f"--plan {plan}: {against[plan]}; leave it out to let the fastest be chosen")
    names = [name for name in NAMES if name not in against and plan in (None, name)]
    path = cache_folder() / "plans" / f"{_key(work, names)}.json"
    known = _read(path)
    if known is not None and agrees(work, known.plan):
        source = "asked for" if plan else "cached"
        return replace(known, seconds=known.seconds * work.samples, source=source)
    best = by_rule(work, names)
    if why := disagreement(work, best):  # what a view of a convolution's output takes may be torch's layout alone
        best = replace(best, packed=False, lowered=False)
        why = disagreement(work, best)
    if why:
        if plan is not None:
            raise BadInput(f"{why}; leave it out, or take dense")
        best, names = replace(objective.plan, name="dense", points=1), ["dense"]
    race = _Race(work, best, points, budget, done)
    if points * race.seconds <= budget.shortest:
        source = "asked for" if plan else "rule"
        return Calibration(in_blocks(best, race.seconds, budget.block), race.seconds, source, race.tried)
    _search(race, names)
    best = in_blocks(race.plan, race.seconds, budget.block)
    if len(race.tried) == 1:  # there was time for none but the first
        return Calibration(best, race.seconds, "asked for" if plan else "rule", race.tried)
    kept = {"plan": asdict(best), "seconds": race.seconds / work.samples, "tried": race.tried}
    with suppress(OSError):  # a cache that cannot be written is none: the next result times its plans again
        write_text(path, json.dumps(kept, indent=2) + "\n")
    return Calibration(best, race.seconds, "timed", race.tried)


def by_rule(work: Work, names: Sequence[PlanName]) -> Plan:
    """The plan that usually is the fastest of `names`, without timing."""
    objective = _largest(work)
    first = first_of(objective)
    matrix = first is not None and isinstance(first.layer, nn.Linear)
    convolutions = has_convolutions(objective.model)
    order: list[PlanName] = ["factored", "folded", "dense", "stacked"]
    if not (matrix and work.keeps_products()):
        order = ["folded", "dense", "factored", "stacked"]
    name = next(name for name in order if name in names)
    chunk = objective.plan.chunk
    if name in ("factored", "stacked") and matrix and objective.device.type == "cpu":
        widest = max([1, *(m.out_features for m in objective.model.modules() if isinstance(m, nn.Linear))])
        chunk = _power(CACHE_BYTES // 2 // (4 * widest), 64, 2**14)
    if name == "stacked":
        chunk = _power(chunk // STACKS[0], 8, chunk)
    pool = name in POOLED and objective.device.type == "cpu"
    points = STACKS[0] * (torch.get_num_threads() if pool else 1) if name == "stacked" or not convolutions else 1
    last = objective.habits.channels_last and name != "stacked"  # some operations have no stacked form in this layout
    by_onednn = name in POOLED and onednn.pays(objective.device)
    return Plan(
        chunk, last, name, _fitting(work, points), pool=pool, onednn=by_onednn and may_onednn(objective),
        packed=by_onednn and last and may_pack(objective) and len(objective) >= PACKED_CHUNKS * chunk,
        lowered=name in POOLED and last and may_lower(objective), by_class=may_by_class(objective),
    )  # fmt: skip


def agrees(work: Work, plan: Plan) -> bool:
    """Whether a plan gives the losses of plain forward passes on a few samples, somewhere off the origin."""
    return not disagreement(work, plan)


def disagreement(work: Work, plan: Plan) -> str:
    """Why a plan does not give these losses; empty where it does."""
    if plan.name == "dense" and not plan.compiled and plan.channels_last <= _largest(work).habits.channels_last:
        return ""
    few = work.few(SAMPLES_CHECKED)
    (objective,) = few.objectives.values()
    if plan.graphed:  # which only whole chunks are
        plan = replace(plan, chunk=len(objective))
    somewhere = tuple(0.37 - 0.58 * index for index in range(len(few.subspace.directions)))
    try:
        (found,) = few.rows([somewhere], plan)
    except BadInput as error:
        return str(error)
    except (RuntimeError, NotImplementedError) as error:  # an operation that the layout or the rewritten net has not
        return f"--plan {plan.name}: cannot evaluate this net ({str(error).split('. ')[0]})"
    value = next(iter(found.values()))
    expected = objective.metrics(*few.subspace.at(somewhere))["loss"]
    close = math.isclose(value, expected, rel_tol=TOLERANCE[objective.precision], abs_tol=1e-9)
    if close or (math.isnan(value) and math.isnan(expected)):
        return ""
    return f"--plan {plan.name}: gives other losses than plain forward passes on {SAMPLES_CHECKED} samples"


class _Trial:
    """One plan on the first samples of the largest split, to be timed."""

    def __init__(
        self, work: Work, plan: Plan, moment: float, done: Done | None, enough: Callable[[float], bool] | None = None
    ) -> None:
        """moment: seconds that a timing should take at least; enough: whether a rough time of a point will do."""
        self.work, self.plan, self.done = work, plan, done
        self.longest = len(_largest(work))
        self.least = self.beside = math.inf
        self._take(shortest := min(_least(plan), self.longest))
        if (took := self._block()) < moment and shortest < self.longest:  # too short to mean something
            if enough and enough(took / plan.points * work.samples / self.samples):
                return
            self._take(min(math.ceil(min(moment / took, 64)) * shortest, self.longest))

    def seconds(self) -> float:
        """Seconds that a point of the whole work takes, as short as it was seen so far.

        What a point takes beside its samples is told apart: it is a large part of the first chunk of a large net.
        """
        self.least = min(self.least, self._block())
        if self.samples == self.work.samples:
            return self.least / self.plan.points
        self.beside = min(self.beside, self._preparation())
        fixed = min(self.beside, self.least)
        return (fixed + (self.least - fixed) * self.work.samples / self.samples) / self.plan.points

    def forget(self) -> None:
        """Begin anew with times as short as they were seen."""
        self.least = self.beside = math.inf

    def _take(self, samples: int) -> None:
        self.samples = samples
        self.few = replace(self.work.few(samples), keep=self.work.keeps_products())
        self._block()  # the first time makes products and buffers, and compiles

    def _block(self) -> float:
        if self.done is not None:
            self.done(0)
        before = time.perf_counter()
        (found,) = self.few.per_sample(self._points(), self.plan)[-1].values()
        found["loss"][-1].item()  # waits for a device that works on its own
        return time.perf_counter() - before

    def _preparation(self) -> float:
        if _largest(self.work).device.type != "cpu":
            return 0.0  # of a device that works on its own this would time nothing
        before = time.perf_counter()
        self.few.prepare(self._points(), self.plan)
        return time.perf_counter() - before

    def _points(self) -> list[Coordinates]:
        height = self.plan.points
        return [tuple(0.1 + 0.01 * index for _ in self.few.subspace.directions) for index in range(height)]


class _Race:
    """The best plan so far and those that it was held against, one at a time and in turns.

    In turns, because other work on the machine slows both alike then.
    """

    def __init__(self, work: Work, best: Plan, points: int, budget: Budget, done: Done | None) -> None:
        self.begin = time.perf_counter()
        self.work, self.budget, self.done = work, budget, done
        self.points = points
        self.best = _Trial(
            work, best, budget.moment, done, lambda seconds: not self._room(seconds, TIMINGS * budget.moment)
        )
        self.seconds = self.best.seconds()
        self.tried: list[dict[str, Any]] = [asdict(best) | {"seconds": self.seconds}]

    @property
    def plan(self) -> Plan:
        """The best so far."""
        return self.best.plan

    def against(self, plan: Plan, extra: float = 0.0) -> bool:
        """Whether a plan beats the best, which it then is; False too where the budget has no room for the race.

        extra: seconds that it needs before it can run.
        """
        share = min(_least(plan), self.best.longest) / self.work.samples
        cost = TIMINGS * max(self.budget.moment, self.seconds * plan.points * share) + extra
        if not self._room(self.seconds, cost) or not agrees(self.work, plan):
            return False
        other, best = _Trial(self.work, plan, self.budget.moment, self.done), self.best
        best.forget()
        for _ in range(TURNS):
            found, self.seconds = other.seconds(), best.seconds()
        self.tried.append(asdict(plan) | {"seconds": found, "best_seconds": self.seconds})
        if found < self.budget.better * self.seconds:
            self.best, self.seconds = other, found
            return True
        return False

    def _room(self, seconds: float, cost: float) -> bool:
        """Whether a race that takes `cost` seconds fits into what timing may take, where a point takes `seconds`."""
        return cost <= self.budget.share * self.points * seconds - (time.perf_counter() - self.begin)


def _search(race: _Race, names: Sequence[PlanName]) -> None:
    """Vary one thing after the other, from the best plan so far, until the budget is used."""
    objective = _largest(race.work)
    if objective.habits.channels_last:
        race.against(_laid_out(race.plan, not race.plan.channels_last))
    for factor in (2.0, 0.5):
        while 4 <= (chunk := int(race.plan.chunk * factor)) <= max(4, 2 * len(objective)):
            if not race.against(replace(race.plan, chunk=chunk)):
                break
    for points in STACKS if "stacked" in names and _stackable(objective) else ():
        chunk = _power(race.plan.chunk * race.plan.points // points, 8, race.plan.chunk)
        height = _fitting(race.work, points)
        if not race.against(replace(_by_torch(race.plan), name="stacked", chunk=chunk, points=height)):
            break
    for name in names:
        if name not in (race.plan.name, "stacked"):
            race.against(_laid_out(by_rule(race.work, [name]), race.plan.channels_last))
    if race.plan.pool and torch.get_num_threads() > 1:
        race.against(replace(race.plan, pool=False))
    if race.plan.name in POOLED and may_onednn(objective):
        race.against(replace(race.plan, onednn=not race.plan.onednn))
    if race.plan.name in POOLED and race.plan.channels_last and may_lower(objective):
        race.against(replace(race.plan, lowered=not race.plan.lowered))
    if (packed := race.plan).packed:
        for factor, last in ((1, True), (LARGER, True), (LARGER, False)):
            if factor * packed.chunk <= len(objective):
                race.against(_laid_out(replace(packed, packed=False, chunk=factor * packed.chunk), last))
    elif race.plan.name in POOLED and race.plan.channels_last and may_pack(objective):
        race.against(replace(race.plan, packed=True))
    if graphed.recorder_of(objective.device) and race.plan.name != "dense":
        race.against(replace(race.plan, graphed=True, pool=False))
    if compiler(objective.device):
        race.against(replace(_by_torch(race.plan), compiled=True, graphed=False), extra=race.budget.compiling)


def _laid_out(plan: Plan, last: bool) -> Plan:
    """The plan in a memory layout, with what needs that."""
    return replace(plan, channels_last=last, packed=plan.packed and last, lowered=plan.lowered and last)


def _by_torch(plan: Plan) -> Plan:
    """The plan with layers as torch has them, for what calls those."""
    return replace(plan, pool=False, onednn=False, packed=False, lowered=False)


def in_blocks(plan: Plan, seconds: float, longest: float = BLOCK_SECONDS) -> Plan:
    """The plan with no more points in a block than are evaluated in `longest` seconds, `seconds` each."""
    points = max(1, min(plan.points, int(longest / max(seconds, 1e-9))))
    threads = torch.get_num_threads() if plan.pool else 1
    return replace(plan, points=points - points % threads if points > threads else points)


def _least(plan: Plan) -> int:
    """Samples of which every thread has a chunk."""
    return plan.chunk * (torch.get_num_threads() if plan.pool and plan.points < torch.get_num_threads() else 1)


def compiler(device: torch.device) -> bool:
    """Whether torch.compile has what it needs: a C++ compiler for the CPU, Triton for CUDA."""
    if device.type == "cuda":
        return importlib.util.find_spec("triton") is not None
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def may_onednn(objective: Objective) -> bool:
    """Whether oneDNN's products of linear layers may be faster than torch's: there they are the rule."""
    linear = any(type(module) is nn.Linear for module in objective.model.modules()) or may_lower(objective)
    return linear and objective.precision == "fp32" and onednn.pays(objective.device)


def may_by_class(objective: Objective) -> bool:
    """Whether losses may be taken class by class, which is faster on CPUs."""
    return objective.device.type == "cpu" and objective.scoring.may_by_class


def may_pack(objective: Objective) -> bool:
    """Whether there are convolutions whose weights may be packed for oneDNN: the rule where its products pay too."""
    here = objective.device.type == "cpu" and objective.precision == "fp32"
    return here and has_convolutions(objective.model) and onednn.has_packing()


def may_lower(objective: Objective) -> bool:
    """Whether there are convolutions that may be made as products of matrices, which is the rule."""
    return objective.device.type == "cpu" and objective.precision == "fp32" and lowers(objective)


def _stackable(objective: Objective) -> bool:
    """Whether stacking may pay: stacks of convolutions are grouped ones, which CPUs are slow at."""
    return objective.device.type == "cuda" or not has_convolutions(objective.model)


def _largest(work: Work) -> Objective:
    return max(work.objectives.values(), key=len)


def _fitting(work: Work, points: int) -> int:
    size = sum(value.numel() * value.element_size() for value in work.subspace.origin.values())
    return max(1, min(points, POINTS_BYTES // max(size, 1)))


def _power(wanted: int, low: int, high: int) -> int:
    """The power of two at or below a number, within bounds."""
    return max(low, min(2 ** (max(wanted, 1).bit_length() - 1), high))


def _key(work: Work, names: Sequence[str]) -> str:
    """A hash of what the choice depends on: the net's shape, the work's kind, the machine."""
    objective = _largest(work)
    machine = devices.facts(objective.device)
    parts = [
        str(objective.model), [(name, tuple(value.shape)) for name, value in objective.parameters().items()],
        [(name, tuple(each.shape[1:]), str(each.dtype)) for name, each in tensors_of(objective.inputs).items()],
        objective.precision,
        len(work.subspace.directions), work.keeps_products(), len(objective).bit_length(), list(names),
        machine["device"], machine["threads"], machine["versions"], *(["onednn"] if may_onednn(objective) else []),
        *(["by class"] if may_by_class(objective) else []),
        *(["packed"] if may_pack(objective) else []), *(["lowered"] if may_lower(objective) else []),
    ]  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _read(path: Path) -> Calibration | None:
    """A plan that was kept, with its seconds a sample; None where there is none that can be read."""
    try:
        kept = read_json(path)
        facts.check(path, kept, facts.Timed)
    except BadInput:
        return None
    return Calibration(Plan(**kept["plan"]), kept["seconds"], "cached", kept["tried"]) if kept else None

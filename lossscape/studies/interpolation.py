"""The study of linear interpolation: runs of several nets and seeds, lines to their last checkpoints, and what holds.

Goodfellow, Vinyals and Saxe (ICLR 2015, arXiv:1412.6544): from the initial values the loss falls along the line. Its
replication on MNIST draws the lines from the checkpoint after epoch 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lossscape.analyses.interpolate import compute as interpolate
from lossscape.analyses.interpolate.measures import convexity_defect
from lossscape.execution import Execution
from lossscape.measured import Measured
from lossscape.results import Curve, evaluated, read_csv, read_curve
from lossscape.results.resolution import UNRESOLVED
from lossscape.runs import Run, point_of
from lossscape.studies.config import InterpolationStudy, Opened
from lossscape.studies.statements import FAILS, HOLDS, OPEN, PARTLY, Say, Statement, judged, rough_words, spread
from lossscape.studies.training import trained

ORIGINAL, REPLICATION = "Goodfellow et al.", "replication on MNIST"
DROPOUT_SEED = 0
RISE = 1e-3
"""Share of the fall from α = 0 to 1 that a rise, or a height above a convex curve, must exceed to be one."""
CLEAN = 0.05
"""Share by which the last training loss may lie above the least of all epochs."""
EARLY = 0.3
"""The end of the part of the line about which the replication speaks."""


@dataclass(frozen=True)
class Line:
    """A line from a checkpoint to the last one, evaluated."""

    net: str
    seed: int
    start: str
    kept: bool
    curve: Curve

    @property
    def loss(self) -> np.ndarray:
        """Of the training data."""
        return self.curve.table["train_loss"].to_numpy()

    @property
    def fall(self) -> float:
        """From α = 0 to 1."""
        return float(self.loss[0] - self.loss[-1])

    @property
    def rise(self) -> float:
        """Greatest rise, as a share of the fall."""
        return self._share(float(self.curve.measures["train"]["bump_height"]))

    @property
    def barrier(self) -> float:
        """Above the chord, as a share of the fall."""
        return self._share(float(self.curve.measures["train"]["barrier_chord"]))

    @property
    def unresolved(self) -> Sequence[str]:
        """The measures that its points do not resolve."""
        return self.curve.measures["train"].get(UNRESOLVED, ())

    @property
    def early_defect(self) -> float:
        """Greatest height above the convex hull on [0, EARLY], as a share of the fall."""
        early = self.curve.positions <= EARLY
        return self._share(convexity_defect(self.curve.positions[early], self.loss[early]))

    def _share(self, height: float) -> float:
        """Of the fall; NaN where there is none."""
        return height / abs(self.fall) if self.fall else float("nan")


def run_interpolation(
    opened: Opened, study: InterpolationStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Train what is missing, evaluate the lines; returns the statements, judged, and a row of measures a line."""
    wanted = [(net, seed) for seed in study.seeds for net in study.nets]
    experiments = [
        opened.begun(net, {"name": f"{net}-seed-{seed}", "seed": seed}, home, device) for net, seed in wanted
    ]
    say(f"training {', '.join(each.name for each in experiments)}")
    runs = dict(zip(wanted, trained(opened, experiments, home, quiet), strict=True))
    lines = list(_lines(study, runs, device, say, quiet))
    return [*_clean(study, runs), *_judge(study, lines)], list(map(_row, lines))


def _lines(
    study: InterpolationStudy, runs: dict[tuple[str, int], Run], device: str, say: Say, quiet: bool
) -> Iterator[Line]:
    wanted = [(kept, start) for kept in (False, True)[: 1 + study.keep_dropout] for start in study.starts]
    total, count = len(wanted) * len(runs), 0
    for kept, start in wanted:
        for (net, seed), run in runs.items():
            count += 1
            say(f"line {count} of {total}: {run.name} from {start}, dropout {'on' if kept else 'off'}")
            measured = Measured("both", dropout="keep" if kept else "off", mask_seed=DROPOUT_SEED if kept else None)
            request = interpolate.Request(
                point_of(f"{run.path}@{start}"), point_of(f"{run.path}@last"), study.points, measured=measured
            )
            folder = interpolate.compute(request, Execution(device, quiet=quiet))
            yield Line(net, seed, start, kept, read_curve(folder))


def _row(line: Line) -> dict[str, Any]:
    measures = line.curve.measures
    train = measures["train"]
    return {
        "net": line.net, "seed": line.seed, "start": line.start, "dropout": "on" if line.kept else "off",
        "folder": f"{line.curve.folder.parents[1].name}/interpolate/{line.curve.folder.name}",
        "loss_at_0": float(line.loss[0]), "loss_at_1": float(line.loss[-1]),
        **{key: train[key] for key in ("monotone", "bump_height", "bump_start", "bump_peak", "bump_width",
                                       "convex_fraction", "barrier_chord", "barrier_mean")},
        "early_convexity_defect": line.early_defect * abs(line.fall),
        "distance_moved": measures["distance_moved"],
        "gauss_length": measures["gauss_length"] if measures["gauss_length"] is not None else float("nan"),
        UNRESOLVED: " ".join(line.unresolved),
    }  # fmt: skip


def _clean(study: InterpolationStudy, runs: dict[tuple[str, int], Run]) -> list[Statement]:
    found = []
    for net in study.nets:
        tables = [evaluated(read_csv(runs[net, seed].metrics_file)) for seed in study.seeds]
        losses = [table["train_loss"].to_numpy() for table in tables]
        ends = [float(loss[-1]) for loss in losses]
        accuracies = [100 * float(table["test_accuracy"].iloc[-1]) for table in tables]
        verdict = judged([bool(loss[-1] <= (1 + CLEAN) * loss.min() and loss[-1] < loss[0]) for loss in losses])
        evidence = (
            f"training loss after {tables[0]['epoch'].iloc[-1]:g} epochs {spread(ends)}, test accuracy "
            f"{spread(accuracies, '.2f')} %; holds where the last loss is within {100 * CLEAN:g} % of the least"
        )
        found.append(Statement(REPLICATION, f"{net} trains cleanly", verdict, evidence))
    return found


def _judge(study: InterpolationStudy, lines: Sequence[Line]) -> list[Statement]:
    nets = list(study.nets)
    found = []
    for kept in dict.fromkeys(line.kept for line in lines):
        where = f"dropout {'on' if kept else 'off'} along the line"

        def of(net: str, start: str, kept: bool = kept) -> list[Line]:
            return [line for line in lines if (line.net, line.start, line.kept) == (net, start, kept)]

        if "1" in study.starts:
            found.append(
                falls(of(nets[0], "1"), REPLICATION, f"{nets[0]} falls from epoch 1 without a barrier, {where}")
            )
            if len(nets) > 1:
                found.append(bends(of(nets[1], "1"), nets[1], where))
        if "first" in study.starts:
            for net in nets:
                claim = f"{net} falls all the way from its initial values, {where}"
                found.append(falls(of(net, "first"), ORIGINAL, claim))
    return [*found, *likeness(study, lines)]


def falls(lines: Sequence[Line], source: str, claim: str) -> Statement:
    """That the loss never rises."""
    outcomes = [line.rise <= RISE for line in lines]
    evidence = f"greatest rise {spread([100 * line.rise for line in lines])} % of the fall"
    evidence += f"; holds up to {100 * RISE:g} %"
    evidence += f"; barrier against the chord {spread([100 * line.barrier for line in lines])} % of the fall"
    evidence += f"; convex fraction {spread(_convex(lines))}"
    rough = [any(key in line.unresolved for key in ("bump_height", "barrier_chord")) for line in lines]
    evidence += rough_words(rough, "the rise or the barrier", "line")
    return Statement(source, claim, judged(outcomes), evidence)


def bends(lines: Sequence[Line], net: str, where: str) -> Statement:
    """That a curve is not convex on [0, EARLY]."""
    outcomes = [line.early_defect > RISE for line in lines]
    heights = spread([100 * line.early_defect for line in lines])
    evidence = f"height above the convex hull on [0, {EARLY:g}] {heights} % of the fall; holds above {100 * RISE:g} %"
    evidence += f"; convex fraction of the whole line {spread(_convex(lines))}"
    claim = f"{net} is no straight slope from epoch 1 but non-convex about α in [0, {EARLY:g}], {where}"
    return Statement(REPLICATION, claim, judged(outcomes), evidence)


def _convex(lines: Sequence[Line]) -> list[float]:
    return [float(line.curve.measures["train"]["convex_fraction"]) for line in lines]


def likeness(study: InterpolationStudy, lines: Sequence[Line]) -> list[Statement]:
    """Which of the two ways to evaluate looks like the replication's figure: one that falls, and one that bends."""
    nets = list(study.nets)
    if not study.keep_dropout or "1" not in study.starts or len(nets) < 2:
        return []
    share = {}
    for kept in (False, True):
        own = [line for line in lines if line.start == "1" and line.kept == kept]
        outcomes = [line.rise <= RISE for line in own if line.net == nets[0]]
        outcomes += [line.early_defect > RISE for line in own if line.net == nets[1]]
        share[kept] = sum(outcomes) / len(outcomes)
    evidence = f"{100 * share[True]:.0f} % of the lines are as published with dropout on"
    evidence += f", {100 * share[False]:.0f} % with it off"
    if share[True] == share[False]:
        verdict = OPEN
        evidence += ": the figure does not tell them apart"
    else:
        more = max(share.values())
        verdict = FAILS if share[False] == more else HOLDS if more == 1 else PARTLY
    evidence += f" ({nets[0]} without a barrier, {nets[1]} non-convex early)"
    return [Statement(REPLICATION, "its figure was computed with dropout on", verdict, evidence)]

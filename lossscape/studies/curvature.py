"""The study of curvature: where the largest eigenvalue of the Hessian goes under gradient descent, and critical points.

Cohen, Kaur, Li, Kolter and Talwalkar (ICLR 2021, arXiv:2103.00065): it rises to 2/η, above which steps on a quadratic
would grow, and hovers there, while the loss still falls over time, if not at every step. Dauphin et al. (NeurIPS 2014,
arXiv:1406.2572): of critical points the index, the part of eigenvalues that are negative, grows with the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lossscape.analyses.curvature import compute as curvature
from lossscape.analyses.curvature.request import Request
from lossscape.analyses.curvature.result import Curvature, read
from lossscape.analyses.saddles import compute as saddles
from lossscape.analyses.saddles.result import Saddles
from lossscape.analyses.saddles.result import read as read_saddles
from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.results import evaluated, read_csv
from lossscape.runs import Run, point_of
from lossscape.studies.config import Critical, CurvatureStudy, Opened
from lossscape.studies.stability import ratios
from lossscape.studies.statements import Say, Statement, judged, spread
from lossscape.studies.training import trained
from lossscape.text import counted

COHEN, DAUPHIN = "Cohen et al.", "Dauphin et al."


@dataclass(frozen=True)
class Descent:
    """A run of gradient descent with the eigenvalues at its checkpoints."""

    net: str
    rate: float
    seed: int
    run: Run
    result: Curvature

    @property
    def limit(self) -> float:
        """2/η."""
        return float(self.result.settings["stability"]["limit"])

    @cached_property
    def epochs(self) -> np.ndarray:
        """Of the checkpoints [T]."""
        return ratios(self.result)[0]

    @cached_property
    def ratio(self) -> np.ndarray:
        """λmax / (2/η) at each checkpoint [T]."""
        return ratios(self.result)[1]

    @cached_property
    def losses(self) -> np.ndarray:
        """The training loss after each epoch, the first before training."""
        return evaluated(read_csv(self.run.metrics_file))["train_loss"].to_numpy()

    def late(self, part: float) -> np.ndarray:
        """λmax / (2/η) at the checkpoints of the last part of training."""
        return self.ratio[self.epochs >= (1 - part) * self.epochs[-1]]

    def reached(self, band: float) -> float:
        """The first epoch of a checkpoint with λmax / (2/η) ≥ 1 − band; NaN where there is none."""
        there = self.epochs[self.ratio >= 1 - band]
        return float(there[0]) if len(there) else float("nan")

    def share(self, study: CurvatureStudy) -> float:
        """Of the late checkpoints, how many have λmax within the band about 2/η."""
        return float((np.abs(self.late(study.late) - 1) <= study.band).mean())

    def late_losses(self, part: float) -> np.ndarray:
        """The training loss after each epoch of the last part."""
        return self.losses[int((1 - part) * (len(self.losses) - 1)) :]


def run_curvature(
    opened: Opened, study: CurvatureStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Train what is missing, compute eigenvalues; returns the statements, judged, and a row of measures a run."""
    wanted = [(net, rate, seed) for net in study.descended for rate in study.learning_rates for seed in study.seeds]
    experiments = [
        opened.begun(
            net, {"name": f"{net}-lr-{rate:g}-seed-{seed}", "seed": seed, "optimizer": {"lr": rate}}, home, device
        )
        for net, rate, seed in wanted
    ]
    say(f"training {counted(len(experiments), 'run')}")
    found: list[Descent] = []
    runs = trained(opened, experiments, home, quiet)
    for count, ((net, rate, seed), run) in enumerate(zip(wanted, runs, strict=True), 1):
        say(f"eigenvalues {count} of {len(wanted)}: {run.name}")
        request = Request(
            (point_of(str(run.path)),), every=True, largest=study.largest, smallest=0, vectors=0,
            trace_vectors=study.trace_vectors, tolerance=study.tolerance,
        )  # fmt: skip
        result = read(curvature.compute(request, Execution(device, quiet=quiet)))
        if "stability" not in result.settings:
            raise BadInput(f"{run.path}: theory has no limit of stability for it: no plain full-batch gradient descent")
        found.append(Descent(net, rate, seed, run, result))
    statements = [
        statement
        for net in study.descended
        for rate in study.learning_rates
        for statement in judge_descents([each for each in found if (each.net, each.rate) == (net, rate)], study)
    ]
    rows = [_row(each, study) for each in found]
    if study.critical is not None:
        points = find_points(opened, study, study.critical, home, device, say, quiet)
        statements.append(grows(points, study.critical))
        rows += [_points_row(each) for each in points]
    columns = dict.fromkeys(name for row in rows for name in row)
    return statements, [{name: row.get(name, float("nan")) for name in columns} for row in rows]


@dataclass(frozen=True)
class Points:
    """Critical points near the checkpoints of a run."""

    net: str
    seed: int
    run: Run
    result: Saddles


def find_points(
    opened: Opened, study: CurvatureStudy, critical: Critical, home: Path, device: str, say: Say, quiet: bool
) -> list[Points]:
    """Train a run for each seed and search from its checkpoints."""
    experiments = [
        opened.begun(critical.net, {"name": f"{critical.net}-seed-{seed}", "seed": seed}, home, device)
        for seed in study.seeds
    ]
    found = []
    runs = trained(opened, experiments, home, quiet)
    for count, (seed, run) in enumerate(zip(study.seeds, runs, strict=True), 1):
        say(f"critical points {count} of {len(study.seeds)}: {run.name}")
        request = saddles.Request(
            (str(run.path),), displacements=critical.displacements, sizes=tuple(critical.sizes),
            weight_decay=critical.weight_decay,
        )  # fmt: skip
        result = read_saddles(saddles.compute(request, Execution(device, quiet=quiet)))
        found.append(Points(critical.net, seed, run, result))
    return found


def grows(points: Sequence[Points], critical: Critical) -> Statement:
    """That index and loss of critical points go together."""
    known = [each for each in points if len(each.result.distinct) >= critical.least]
    found = [each.result.correlation for each in known]
    outcomes = [each is not None and each.rho > 0 and each.p_value <= critical.p_value for each in found]
    evidence = (
        f"{spread([len(each.result.distinct) for each in points])} distinct critical points a seed from "
        f"{spread([len(each.result.table) for each in points])} starts"
    )
    if known:
        rho = spread([each.rho if each else float("nan") for each in found])
        least = max(each.p_value if each else 1.0 for each in found)
        evidence += f"; Spearman's ρ of index fraction and loss {rho}, p at most {least:.2g}"
    evidence += (
        f"; a seed with {critical.least} points or more counts where ρ > 0 and p ≤ {critical.p_value:g}: "
        f"{_counted(outcomes)}"
    )
    claim = f"the index of critical points grows with their loss ({points[0].net})"
    return Statement(DAUPHIN, claim, judged(outcomes), evidence)


def judge_descents(descents: Sequence[Descent], study: CurvatureStudy) -> list[Statement]:
    """What holds of the runs of one net and rate, a seed each."""
    first = descents[0]
    where = f"{first.net}, η = {first.rate:g}, 2/η = {first.limit:.3g}"
    return [rises(descents, study, where), hovers(descents, study, where), falls(descents, study, where)]


def rises(descents: Sequence[Descent], study: CurvatureStudy, where: str) -> Statement:
    """That λmax comes from below and reaches 2/η."""
    low = 1 - study.band
    outcomes = [bool(each.ratio.min() < low <= each.ratio[each.ratio.argmin() :].max()) for each in descents]
    reached = [each.reached(study.band) for each in descents]
    evidence = (
        f"λmax/(2/η) at the initial values {spread([each.ratio[0] for each in descents])}, at most "
        f"{spread([each.ratio.max() for each in descents])}; first at {low:g} or above at epoch {spread(reached)}; "
        f"a seed counts where λmax/(2/η) is first below {low:g} and later {low:g} or above: {_counted(outcomes)}"
    )
    return Statement(COHEN, f"λmax rises to 2/η ({where})", judged(outcomes), evidence)


def hovers(descents: Sequence[Descent], study: CurvatureStudy, where: str) -> Statement:
    """That λmax stays at 2/η once training is half over, or what else is late."""
    shares = [each.share(study) for each in descents]
    outcomes = [share >= study.share for share in shares]
    late = [each.late(study.late) for each in descents]
    every = np.concatenate(late)
    evidence = (
        f"over the last {100 * study.late:g} % of the epochs λmax/(2/η) is {spread(every.tolist())}, "
        f"{every.min():.3g} to {every.max():.3g}; within {1 - study.band:g} to {1 + study.band:g} at "
        f"{spread([100 * share for share in shares])} % of the {len(late[0])} checkpoints there; a seed counts from "
        f"{100 * study.share:g} %: {_counted(outcomes)}"
    )
    return Statement(COHEN, f"λmax then hovers at 2/η ({where})", judged(outcomes), evidence)


def falls(descents: Sequence[Descent], study: CurvatureStudy, where: str) -> Statement:
    """That the loss falls over time while λmax is there, though not at every step."""
    late = [each.late_losses(study.late) for each in descents]
    rising = [float((np.diff(losses) > 0).mean()) for losses in late]
    falls = [float(1 - losses[-1] / losses[0]) for losses in late]
    outcomes = [rise > 0 and fall > 0 for rise, fall in zip(rising, falls, strict=True)]
    evidence = (
        f"over the last {100 * study.late:g} % of the epochs the training loss falls by "
        f"{spread([100 * fall for fall in falls])} %, and rises at {spread([100 * rise for rise in rising])} % of the "
        f"steps; a seed counts where it does both: {_counted(outcomes)}"
    )
    return Statement(
        COHEN, f"the loss then falls over time, but not at every step ({where})", judged(outcomes), evidence
    )


def _counted(outcomes: Sequence[bool]) -> str:
    return f"{sum(outcomes)} of {counted(len(outcomes), 'seed')}"


def _row(each: Descent, study: CurvatureStudy) -> dict[str, Any]:
    late, losses = each.late(study.late), each.late_losses(study.late)
    return {
        "net": each.net, "learning_rate": each.rate, "seed": each.seed,
        "folder": f"{each.run.name}/curvature/{each.result.folder.name}", "limit": each.limit,
        "ratio_first": float(each.ratio[0]), "ratio_max": float(each.ratio.max()),
        "epoch_reached": each.reached(study.band), "late_mean": float(late.mean()), "late_min": float(late.min()),
        "late_max": float(late.max()), "late_share": each.share(study), "late_loss_first": float(losses[0]),
        "late_loss_last": float(losses[-1]), "late_rises": float((np.diff(losses) > 0).mean()),
    }  # fmt: skip


def _points_row(each: Points) -> dict[str, Any]:
    distinct, correlation = each.result.distinct, each.result.correlation
    return {
        "net": each.net, "seed": each.seed, "folder": f"{each.run.name}/saddles/{each.result.folder.name}",
        "starts": len(each.result.table), "critical": len(each.result.converged), "distinct": len(distinct),
        "loss_least": float(distinct["loss"].min()), "loss_most": float(distinct["loss"].max()),
        "index_least": float(distinct["index_fraction"].min()),
        "index_most": float(distinct["index_fraction"].max()),
        "rho": float("nan") if correlation is None else correlation.rho,
        "p_value": float("nan") if correlation is None else correlation.p_value,
    }  # fmt: skip

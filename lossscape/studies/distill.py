"""The study of distillation: a small net that learns from a large one, against the same small net alone.

Hinton, Vinyals and Dean (arXiv:1503.02531), section 3: on MNIST a net of two hidden layers makes fewer test errors
where it also matches the soft targets of a larger one with dropout. Runs of one seed have the same initial values and
batches, so they are compared in pairs; every seed has a large net of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from lossscape.config import Experiment
from lossscape.errors import BadInput
from lossscape.results import read_csv
from lossscape.runs import Run
from lossscape.studies.config import LARGE, DistillStudy, Opened
from lossscape.studies.statements import FAILS, HOLDS, OPEN, Say, Statement, spread
from lossscape.studies.training import trained
from lossscape.text import counted, number

SOURCE = "Hinton et al."
ALONE = "alone"


@dataclass(frozen=True)
class Trained:
    """A run at its end."""

    net: str
    temperature: float | None
    """At which it learned from the large net of its seed; None: from the labels alone."""
    seed: int
    run: Run
    errors: float
    """Share of the test samples, after the last epoch."""
    loss: float
    """Of the test samples' labels."""

    @property
    def way(self) -> str:
        """How it learned."""
        return ALONE if self.temperature is None else f"T = {number(self.temperature)}"


def run_distill(
    opened: Opened, study: DistillStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Train what is missing, the large nets first; returns the statements, judged, and a row for each run."""
    found: list[Trained] = []
    for net in (LARGE, *study.small):
        ways = [None] if net == LARGE else [None, *study.temperatures]
        plan = [(way, seed, _experiment(opened, study, home, device, (net, way, seed)))
                for way in ways for seed in study.seeds]  # fmt: skip
        say(f"training {counted(len(plan), 'net')} {net}")
        runs = trained(opened, [experiment for _, _, experiment in plan], home, quiet)
        found += [_at_its_end(net, way, seed, run) for (way, seed, _), run in zip(plan, runs, strict=True)]
    return judge_distillation(found, study), [_row(each) for each in found]


def _experiment(
    opened: Opened, study: DistillStudy, home: Path, device: str, which: tuple[str, float | None, int]
) -> Experiment:
    """Of a net, the temperature at which it learns from the large one (None: alone), and a seed."""
    net, temperature, seed = which
    way = ALONE if temperature is None else f"distilled-{number(temperature)}"
    more: dict[str, Any] = {"name": f"{net}-seed-{seed}" if net == LARGE else f"{net}-{way}-seed-{seed}", "seed": seed}
    if temperature is not None:
        teacher = str(home / f"{LARGE}-seed-{seed}")
        more["teacher"] = {"run": teacher, "temperature": float(temperature), "weight": study.weight}
    return opened.begun(net, more, home, device)


def _at_its_end(net: str, temperature: float | None, seed: int, run: Run) -> Trained:
    last = read_csv(run.metrics_file).iloc[-1]
    if "test_accuracy" not in last:
        raise BadInput(f"{run.path}: has no test_accuracy, by which nets are compared: leave metrics out")
    return Trained(net, temperature, seed, run, 1 - float(last["test_accuracy"]), float(last["test_loss"]))


def judge_distillation(found: Sequence[Trained], study: DistillStudy) -> list[Statement]:
    """Of each small net: whether the large one beats it alone, and it itself does, distilled at each temperature."""
    large = _of(found, LARGE, None)
    said = []
    for net in study.small:
        alone = _of(found, net, None)
        said.append(_judge(f"the large net beats the net {net} alone", large, alone, study.level))
        for temperature in study.temperatures:
            claim = f"the distilled net {net} beats the same net alone (T = {number(temperature)})"
            said.append(_judge(claim, _of(found, net, temperature), alone, study.level))
    return said


def _of(found: Sequence[Trained], net: str, temperature: float | None) -> list[Trained]:
    return [each for each in found if (each.net, each.temperature) == (net, temperature)]


def _judge(claim: str, own: Sequence[Trained], alone: Sequence[Trained], level: float) -> Statement:
    """Fewer test errors, seed by seed: whether the interval of the mean difference lies on one side of 0."""
    gains = [100 * (b.errors - a.errors) for a, b in zip(own, alone, strict=True)]
    mean, low, high = paired(gains, level)
    verdict = OPEN if not np.isfinite([low, high]).all() or low <= 0 < high else HOLDS if low > 0 else FAILS
    better = sum(gain > 0 for gain in gains)
    evidence = (
        f"test errors {spread([100 * each.errors for each in own])} % against "
        f"{spread([100 * each.errors for each in alone])} %; {mean:.2f} points fewer, {100 * level:g} % interval "
        f"{low:.2f} to {high:.2f} (paired t over {counted(len(gains), 'seed')}); fewer with {better}"
    )
    return Statement(SOURCE, claim, verdict, evidence)


def paired(differences: Sequence[float], level: float) -> tuple[float, float, float]:
    """Mean of paired differences and its interval by Student's t, NaN of fewer than two."""
    values = np.asarray(differences, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean, mean - half, mean + half


def _row(each: Trained) -> dict[str, Any]:
    return {
        "seed": each.seed, "net": each.net, "way": each.way, "run": each.run.name, "test_errors": each.errors,
        "test_loss": each.loss,
    }  # fmt: skip

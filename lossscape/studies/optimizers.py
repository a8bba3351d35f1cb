"""The study of optimizers: methods side by side over learning rates and seeds, and nets that reach a known accuracy.

A course on optimization for deep learning has methods, learning rates and momenta varied and the steps to convergence
tabulated; a programmer's series on layers has nets checked by MNIST at 95 to 97 %.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossscape.analyses.compare import compute as compare
from lossscape.analyses.compare.figure import draw
from lossscape.analyses.compare.request import Drawing, Request
from lossscape.analyses.compare.result import read
from lossscape.config import Experiment
from lossscape.execution import Execution
from lossscape.results import read_csv
from lossscape.studies.config import Opened, OptimizersStudy
from lossscape.studies.statements import Say, Statement, judged, spread
from lossscape.text import counted
from lossscape.train.several import FINISHED, Outcome, train_all

SOURCE = "a series on layers"


def run_optimizers(
    opened: Opened, study: OptimizersStudy, home: Path, device: str, say: Say, quiet: bool
) -> tuple[list[Statement], list[dict[str, Any]]]:
    """Train what is missing, compare the methods; returns the statements, judged, and a row for each run."""
    wanted = {
        each["name"]: (each, opened.begun(each["net"], each["more"] | {"name": each["name"]}, home, device))
        for each in [*_judged_runs(study), *_compared_runs(study)]
    }
    say(f"training {counted(len(wanted), 'run')}")
    execution = Execution(workers=opened.workers, quiet=quiet)
    experiments: list[Experiment] = [experiment for _, experiment in wanted.values()]
    outcomes = train_all(experiments, home, execution, title=opened.name)
    rows = [_row(wanted[each.run.name][0], each) for each in outcomes]
    compared = [each.run for each, row in zip(outcomes, rows, strict=True) if row["net"] == study.compared]
    say(f"comparing {counted(len(compared), 'run')}")
    begun = tuple(run for run in compared if run.metrics_file.exists())
    draw(read(compare.compute(Request(begun, tuple(study.until)), Execution(quiet=True))), Drawing(), True)
    return [reaches(net, [row for row in rows if row["net"] == net], study) for net in study.judged], rows


def _judged_runs(study: OptimizersStudy) -> list[dict[str, Any]]:
    return [
        {"net": net, "name": f"{net}-seed-{seed}", "seed": seed, "more": {"seed": seed}}
        for net in study.judged
        for seed in study.judged_seeds
    ]


def _compared_runs(study: OptimizersStudy) -> list[dict[str, Any]]:
    """The runs of every method, rate and seed."""
    found = []
    for name, method in study.methods.items():
        rates: list[float | None] = [*method.learning_rates]
        for rate in rates or [None]:
            for seed in study.seeds:
                words = [name, *([] if rate is None else [f"lr-{rate:g}"]), f"seed-{seed}"]
                optimizer = method.optimizer | ({} if rate is None else {"lr": rate})
                more = {"seed": seed, "optimizer": optimizer, "training": method.training}
                own = {"net": study.compared, "name": "-".join(words), "method": name, "rate": rate, "seed": seed}
                found.append(own | {"more": more})
    return found


def _row(wanted: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    nan = float("nan")
    row = {
        "run": outcome.run.name, "net": wanted["net"], "method": wanted.get("method", ""),
        "learning_rate": nan if (rate := wanted.get("rate")) is None else rate, "seed": wanted["seed"],
        "state": outcome.state, "test_accuracy": nan, "best_test_accuracy": nan,
    }  # fmt: skip
    if outcome.state == FINISHED:
        values = read_csv(outcome.run.metrics_file)["test_accuracy"]
        row |= {"test_accuracy": float(values.iloc[-1]), "best_test_accuracy": float(values.max())}
    return row


def reaches(net: str, rows: Sequence[dict[str, Any]], study: OptimizersStudy) -> Statement:
    """That a net gets as far as others of its kind were seen to."""
    low, high = study.accuracy
    values = [float(row["test_accuracy"]) for row in rows]
    outcomes = [value >= low for value in values]
    evidence = (
        f"test accuracy after the last epoch {spread([100 * value for value in values], '.2f')} % over "
        f"{counted(len(values), 'seed')}, {100 * min(values):.2f} to {100 * max(values):.2f} %; "
        f"{sum(value > high for value in values)} of them "
        f"above {100 * high:g} %; a seed counts from {100 * low:g} %: {sum(outcomes)} of "
        f"{counted(len(outcomes), 'seed')}"
    )
    claim = f"a small net reaches {100 * low:g} to {100 * high:g} % on MNIST ({net})"
    return Statement(SOURCE, claim, judged(outcomes), evidence)

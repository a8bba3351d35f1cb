"""Runs over their seeds: read from their metrics.csv, whatever state they are in, and written as tables."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape.analyses.compare.request import Request, Until
from lossscape.analyses.compare.result import COSTS, FEW, FILES, RUNS
from lossscape.analyses.groups import OF_A_SEED, RATE, plain_config, shared_names, without_seed
from lossscape.errors import BadInput, one_of
from lossscape.execution import Execution
from lossscape.files import check_writable, relative_path, write_text
from lossscape.listing import standing
from lossscape.metrics import MAXIMISED
from lossscape.options import settings_of, words_of
from lossscape.results import evaluated, metrics_of, read_csv, write_csv
from lossscape.results.folder import joined, label, open_folder
from lossscape.runfiles import check_once, is_sweep, names_apart, with_cells
from lossscape.runs import Run

DONE = ("finished", "adopted")
FAILED = "failed"


@dataclass(frozen=True)
class Compared:
    """A run."""

    name: str
    group: str
    method: str
    rate: float
    """NaN of an optimizer without one."""
    seed: int
    state: str
    table: pd.DataFrame
    """metrics.csv where the splits were evaluated, with the cost up to there."""

    @property
    def whole(self) -> bool:
        """Whether its last row is that of a finished run."""
        return self.state in DONE

    def final(self, metric: str) -> float:
        """The value after the last epoch; NaN of a run that is not finished."""
        return float(self.table[metric].iloc[-1]) if self.whole and metric in self.table else math.nan

    def best(self, metric: str) -> float:
        """The best value after an epoch; NaN of a run that is not finished."""
        if not self.whole or metric not in self.table:
            return math.nan
        values = self.table[metric]
        return float(values.max() if maximised(metric) else values.min())

    def reached(self, until: Until) -> dict[str, float] | None:
        """What it had cost by the first epoch after which a value was reached; None where it was not."""
        if until.metric not in self.table:
            return None
        values = self.table[until.metric].to_numpy()
        there = np.flatnonzero(values >= until.value if maximised(until.metric) else values <= until.value)
        return {cost: float(self.table[cost].iloc[there[0]]) for cost in COSTS} if len(there) else None


def maximised(metric: str) -> bool:
    """Whether larger values of a column of metrics.csv are better."""
    return metric.partition("_")[2] in MAXIMISED


def compute(request: Request, execution: Execution) -> Path:
    """Write the tables of a comparison; returns the result's folder.

    The same runs and options give the same folder, written anew from the metrics as they stand. Raises BadInput where a
    run has no metrics, or a metric or baseline is not known.
    """
    given = [run.path if isinstance(run, Run) else Path(run) for run in dict.fromkeys(request.runs)]
    runs = [Run.open(path) for path in with_cells(given)]
    if not runs:
        raise BadInput(f"{given[0]}: no run of this sweep has begun")
    check_once([run.path for run in runs], [run.path for run in runs], "run")
    found = _read(runs)
    metrics = [f"{split}_{name}" for name in ("loss", *metrics_of(_columns(found))) for split in ("train", "test")]
    metric = request.metric or ("test_accuracy" if "test_accuracy" in metrics else "test_loss")
    for flag, name in [("--metric", metric), *(("--until", until.metric) for until in request.values)]:
        if name not in metrics:
            raise BadInput(one_of(flag, name, metrics))
    groups = _grouped(found, lambda each: each.group)
    baseline = request.baseline or _best(groups, metric)
    if baseline not in groups:
        raise BadInput(one_of("--baseline", baseline, groups))
    sweeps = [path for path in given if is_sweep(path)]
    home = sweeps[0] if len(given) == 1 and sweeps else runs[0].path.parent
    names = [path.resolve().name for path in given]
    settings = {
        "analysis": "compare",
        **settings_of(request, runs=names, metric=metric),
        "maximised": [each for each in metrics if maximised(each)],
    }  # fmt: skip
    words = ([] if sweeps and len(given) == 1 else [joined(names)]) + words_of(request)
    folder = home / "compare" / label(settings, words or ["all"])
    check_writable(folder)
    with open_folder(folder, settings, overwrite=False):
        write_csv(folder / FILES["runs"], *_table(_run_rows(found, metrics, request.values)))
        write_csv(folder / FILES["groups"], *_table(_group_rows(groups, metrics, request.values)))
        write_csv(folder / FILES["curves"], *_table(_curve_rows(groups, ["train_loss", metric])))
        write_csv(folder / FILES["differences"], *_table(_difference_rows(groups, metric, baseline, request)))
        ways = {each.name: relative_path(run.path, home) for run, each in zip(runs, found, strict=True)}
        write_text(folder / RUNS, json.dumps(ways, indent=2, ensure_ascii=False) + "\n")
    return folder


def _read(runs: Sequence[Run]) -> list[Compared]:
    names = names_apart([run.name for run in runs], runs)
    configs = [plain_config(run) for run in runs]
    groups = shared_names(names, configs)
    methods = shared_names([without_seed(group) for group in groups], configs, (*OF_A_SEED, RATE))
    found = []
    for run, name, config, group, method in zip(runs, names, configs, groups, methods, strict=True):
        if not run.metrics_file.exists():
            raise BadInput(f"{run.metrics_file}: no such file; train the run first: lossscape train {run.config_file}")
        table = read_csv(run.metrics_file, live=True)
        if not len(table):
            raise BadInput(f"{run.metrics_file}: no epoch yet; train the run first")
        if lacking := [column for column in ("epoch", "step", "seconds", "train_loss") if column not in table]:
            raise BadInput(f"{run.metrics_file}: lacks the column {lacking[0]}")
        rate = (config.get("optimizer") or {}).get("lr")
        rate = float(rate) if isinstance(rate, int | float) else math.nan
        table = _costed(evaluated(table))
        found.append(Compared(name, group, method, rate, config.get("seed", 0), standing(run), table))
    return found


def _costed(table: pd.DataFrame) -> pd.DataFrame:
    """With the cost of every epoch: one pass over the training data is one evaluation of the whole gradient.

    Full-batch methods count their own evaluations, and products with the Hessian beside them.
    """
    if "gradient_evaluations" not in table:
        table["gradient_evaluations"] = table["epoch"]
    if "hessian_products" not in table:
        table["hessian_products"] = 0.0
    return table


def _columns(found: Iterable[Compared]) -> list[str]:
    return list(dict.fromkeys(str(column) for each in found for column in each.table))


def _grouped(found: Sequence[Compared], key: Callable[[Compared], str]) -> dict[str, list[Compared]]:
    groups: dict[str, list[Compared]] = {}
    for each in found:
        groups.setdefault(key(each), []).append(each)
    return groups


def _best(groups: Mapping[str, Sequence[Compared]], metric: str) -> str:
    """The group with the best mean final value, of those of which no run failed, where there are such."""
    sign = 1 if maximised(metric) else -1

    def rank(name: str) -> tuple[bool, float]:
        values = [each.final(metric) for each in groups[name]]
        known = [value for value in values if math.isfinite(value)]
        return len(known) == len(values), sign * float(np.mean(known)) if known else -math.inf

    return max(groups, key=rank)


def spread(values: Iterable[float]) -> tuple[int, float, float]:
    """Number, mean and sample standard deviation of the values that are finite; NaN where there is none."""
    known = np.array([value for value in values if math.isfinite(value)])
    mean = float(known.mean()) if len(known) else math.nan
    return len(known), mean, float(known.std(ddof=1)) if len(known) > 1 else math.nan


def _run_rows(found: Sequence[Compared], metrics: Sequence[str], untils: Sequence[Until]) -> list[dict[str, Any]]:
    rows = []
    for each in found:
        row: dict[str, Any] = {
            "run": each.name, "group": each.group, "method": each.method, "lr": each.rate, "seed": each.seed,
            "state": each.state, "epochs": float(each.table["epoch"].iloc[-1]),
            "seconds": float(each.table["seconds"].iloc[-1]),
        }  # fmt: skip
        row |= {f"final_{metric}": each.final(metric) for metric in metrics}
        row |= {f"best_{metric}": each.best(metric) for metric in metrics}
        for until in untils:
            reached = each.reached(until)
            row |= {f"{until} {cost}": math.nan if reached is None else reached[cost] for cost in COSTS}
        rows.append(row)
    return rows


def _group_rows(
    groups: Mapping[str, Sequence[Compared]], metrics: Sequence[str], untils: Sequence[Until]
) -> list[dict[str, Any]]:
    """A row for each group; of what is to be reached means over the runs that reached it, with how many these are."""
    rows = []
    for name, runs in groups.items():
        row: dict[str, Any] = {
            "group": name, "method": runs[0].method, "lr": runs[0].rate, "runs": len(runs),
            "finished": sum(each.whole for each in runs), "failed": sum(each.state == FAILED for each in runs),
        }  # fmt: skip
        for metric in metrics:
            for what in ("final", "best"):
                values = [each.final(metric) if what == "final" else each.best(metric) for each in runs]
                row |= dict(zip((f"{what}_{metric}_{s}" for s in ("n", "mean", "std")), spread(values), strict=True))
        for cost in ("seconds", "gradient_evaluations", "hessian_products"):
            values = [float(each.table[cost].iloc[-1]) for each in runs if each.whole]
            row |= dict(zip((f"{cost}_mean", f"{cost}_std"), spread(values)[1:], strict=True))
        for until in untils:
            reached = [there for each in runs if (there := each.reached(until)) is not None]
            row[f"{until} reached"] = len(reached)
            for cost in COSTS:
                _, mean, std = spread(there[cost] for there in reached)
                row |= {f"{until} {cost}_mean": mean, f"{until} {cost}_std": std}
        rows.append(row)
    return rows


def _at(table: pd.DataFrame, epoch: float, column: str) -> float:
    return float(np.asarray(table.at[epoch, column], dtype=float))


def _curve_rows(groups: Mapping[str, Sequence[Compared]], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Mean and spread over the seeds by epoch, after those that all runs of the group that did not fail have."""
    rows = []
    for name, runs in groups.items():
        kept = [each.table.set_index("epoch") for each in runs if each.state != FAILED]
        for epoch in sorted(set.intersection(*(set(table.index) for table in kept))) if kept else []:
            row: dict[str, Any] = {"group": name, "epoch": float(epoch), "runs": len(kept)}
            row["gradient_evaluations"] = float(np.mean([_at(table, epoch, "gradient_evaluations") for table in kept]))
            for metric in dict.fromkeys(metrics):
                values = [_at(table, epoch, metric) for table in kept if metric in table]
                row |= dict(zip((f"{metric}_mean", f"{metric}_std"), spread(values)[1:], strict=True))
            rows.append(row)
    return rows


def _difference_rows(
    groups: Mapping[str, Sequence[Compared]], metric: str, baseline: str, request: Request
) -> list[dict[str, Any]]:
    rows = []
    for name, runs in groups.items():
        if name == baseline:
            continue
        pairs = _paired(runs, groups[baseline], metric)
        low, high = math.nan, math.nan
        if len(pairs) >= FEW:
            low, high = bootstrap_interval(pairs, request.resamples, request.confidence, request.seed)
        mean = float(pairs.mean()) if len(pairs) else math.nan
        rows.append(
            {"group": name, "baseline": baseline, "pairs": len(pairs), "difference": mean, "low": low, "high": high}
        )
    return rows


def _paired(runs: Sequence[Compared], others: Sequence[Compared], metric: str) -> np.ndarray:
    """Differences of the final values of runs of the same seed [n], of the seeds for which both have finished."""
    ours, theirs = (
        {seed: spread(each.final(metric) for each in group if each.seed == seed)[1] for seed in {e.seed for e in group}}
        for group in (runs, others)
    )
    differences = np.array([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
    kept: np.ndarray = differences[np.isfinite(differences)] if len(differences) else differences
    return kept


def bootstrap_interval(values: np.ndarray, resamples: int, confidence: float, seed: int) -> tuple[float, float]:
    """The percentile bootstrap's interval of the mean of values [n] (Efron and Tibshirani 1993, chapter 13).

    resamples: how many draws of n values with replacement, by NumPy's default generator from `seed`.
    """
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _table(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows for a CSV, with empty cells for what is not known."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return columns, [[None if (v := row.get(c)) is None or v != v else v for c in columns] for row in rows]

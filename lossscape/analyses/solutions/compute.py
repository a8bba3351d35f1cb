"""Kinds of solution of one run, or of several and how many epochs they take to each.

Everything is read from the runs' metrics.csv, whatever state a run is in, and written as tables.
"""

import json
import math
from collections.abc import Sequence
from itertools import permutations, product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from lossscape.analyses.groups import plain_config, shared_names
from lossscape.analyses.solutions.kinds import KINDS, LOSSES, OPEN, Solved, kinds, relative_changes
from lossscape.analyses.solutions.request import Request, Rule
from lossscape.analyses.solutions.result import RUNS
from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.files import check_writable, relative_path, write_text
from lossscape.options import settings_of, words_of
from lossscape.results import evaluated, read_csv, write_csv
from lossscape.results.folder import joined, label, open_folder
from lossscape.runfiles import check_once, names_apart
from lossscape.runs import Run


def compute(request: Request, execution: Execution) -> Path:
    """Write the kinds of solution of one run, or of several and how they compare; returns the result's folder.

    The same runs and rule give the same folder, written anew from the metrics as they stand. Raises BadInput where a
    run has no metrics, no epochs or a broken metrics.csv.
    """
    runs = [Run.open(each) for each in dict.fromkeys(request.runs)]
    if not runs:
        raise BadInput("no run to look at")
    paths = [run.path for run in runs]
    check_once(paths, paths, "run")
    names = names_apart([run.name for run in runs], runs)
    solved = _solve(runs, names, request.rule)
    home = runs[0].path if len(runs) == 1 else runs[0].path.parent
    settings = {"analysis": "solutions", **settings_of(request.rule), "runs": names}
    words = [joined(names)] if len(runs) > 1 else []
    folder = home / "solutions" / label(settings, words + words_of(request))
    check_writable(folder)
    with open_folder(folder, settings, overwrite=False):
        write_csv(folder / "epochs.csv", EPOCHS, (row for each in solved for row in _epoch_rows(each)))
        write_csv(folder / "summary.csv", SUMMARY, map(_summary_row, solved))
        if len(runs) > 1:
            groups = _by_config(solved)
            write_csv(folder / "configs.csv", CONFIGS, map(_config_row, groups))
            pairs = product(KINDS[1:], permutations(groups, 2))
            ways = {name: relative_path(run.path, home) for run, name in zip(runs, names, strict=True)}
            write_text(folder / RUNS, json.dumps(ways, indent=2, ensure_ascii=False) + "\n")
            write_csv(folder / "ratios.csv", RATIOS, (_ratio_row(kind, a, b) for kind, (a, b) in pairs))
    return folder


def _solve(runs: Sequence[Run], names: Sequence[str], rule: Rule) -> list[Solved]:
    configs = [plain_config(run) for run in runs]
    found = []
    for run, name, config, shared in zip(runs, names, configs, shared_names(names, configs), strict=True):
        epochs, losses = read_losses(run)
        of_run = kinds(losses["train_loss"], losses["test_loss"], rule)
        found.append(Solved(name, shared, int(config.get("seed", 0)), epochs, losses, of_run))
    return found


def read_losses(run: Run) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Epochs [N] and losses [N] of metrics.csv up to its last whole line, so also while the run trains.

    Raises BadInput where there is no epoch after the initial values, or where the file is not one of a run.
    """
    path = run.metrics_file
    if not path.exists():
        raise BadInput(f"{path}: no such file; train the run first: lossscape train {run.config_file}")
    table = read_csv(path, live=True)
    if lacking := [column for column in ("epoch", *LOSSES) if len(table) and column not in table]:
        raise BadInput(f"{path}: lacks the column {lacking[0]}")
    if len(table) < 2:
        raise BadInput(f"{path}: no epoch yet after the initial values; train the run first")
    if len(evaluated(table)) < len(table):
        raise BadInput(
            f"{path}: has no losses of some epochs (training.evaluate_every), and kinds of solutions are about every "
            "one and the next; train with evaluate_every 1"
        )
    epochs = table["epoch"].to_numpy()
    begins = epochs[0] >= 0 and epochs[0] == np.floor(epochs[0])
    if not begins or (np.diff(epochs) != 1).any():
        raise BadInput(f"{path}: its epochs are not whole numbers one after the other")
    return epochs.astype(int), {column: table[column].to_numpy() for column in LOSSES}


EPOCHS = ("run", "epoch", *LOSSES, "relative_change", "kind")
SUMMARY = (
    "run", "config", "seed", "epochs", *(f"{kind.lower()}_epoch" for kind in KINDS[1:]),
    *(f"{kind.lower()}_{loss}" for kind in KINDS[1:] for loss in LOSSES),
    *(f"{which}_{loss}" for which in ("least", "last") for loss in LOSSES),
)  # fmt: skip
CONFIGS = ("config", "runs", *(f"{kind.lower()}_{what}" for kind in KINDS[1:] for what in ("reached", "mean", "std")))
RATIOS = ("kind", "config", "other", "ratio", "ratio_std", "relation")


def _epoch_rows(solved: Solved) -> list[list[Any]]:
    """The change is the one to the next epoch; it is empty at the last."""
    changes = [*map(float, relative_changes(solved.losses["train_loss"])), None]
    losses = [map(float, solved.losses[column]) for column in LOSSES]
    names = ["" if kind == OPEN else KINDS[kind] for kind in solved.kinds]
    columns = zip(solved.epochs, *losses, changes, names, strict=True)
    return [[solved.run, *row] for row in columns]


def _summary_row(solved: Solved) -> list[Any]:
    firsts = [solved.first(kind) for kind in KINDS[1:]]
    at = [None if first is None else first - int(solved.epochs[0]) for first in firsts]
    losses = [None if i is None else float(solved.losses[column][i]) for i in at for column in LOSSES]
    finite = [solved.losses[column][np.isfinite(solved.losses[column])] for column in LOSSES]
    least = [float(values.min()) if len(values) else None for values in finite]
    last = [float(solved.losses[column][-1]) for column in LOSSES]
    done = int(solved.epochs[-1])
    return [solved.run, solved.config, solved.seed, done, *firsts, *losses, *least, *last]


def _by_config(solved: Sequence[Solved]) -> list[list[Solved]]:
    groups: dict[str, list[Solved]] = {}
    for each in solved:
        groups.setdefault(each.config, []).append(each)
    return list(groups.values())


def _config_row(group: Sequence[Solved]) -> list[Any]:
    """Mean and sample standard deviation of the first epochs, of the runs that reached the kind."""
    row: list[Any] = [group[0].config, len(group)]
    for kind in KINDS[1:]:
        reached = [first for each in group if (first := each.first(kind)) is not None]
        row += [len(reached), mean(map(float, reached)) if reached else None]
        row += [stdev(map(float, reached)) if len(reached) > 1 else None]
    return row


def _ratio_row(kind: str, group: Sequence[Solved], other: Sequence[Solved]) -> list[Any]:
    """How many times the epochs of `other` a config takes to a kind: mean first epoch by mean first epoch.

    A run that has not reached the kind counts with the first epoch at which it still could, and the ratio then is a
    bound: `at least`, or `at most` where it is a run of `other`; nothing where both have such runs. The standard
    deviation of an `equal` ratio r = a/b is r·√((s_a/a)² + (s_b/b)²), where both have several runs.
    """
    firsts = [[each.first(kind) for each in runs] for runs in (group, other)]
    open_ = [None in of_runs for of_runs in firsts]
    above, below = (
        [float(each.open_from if first is None else first) for each, first in zip(runs, of_runs, strict=True)]
        for runs, of_runs in zip((group, other), firsts, strict=True)
    )
    row = [kind, group[0].config, other[0].config]
    if all(open_) or mean(below) == 0:
        return [*row, None, None, ""]
    ratio, spread = mean(above) / mean(below), None
    if not any(open_) and ratio > 0 and min(len(above), len(below)) > 1:
        spread = ratio * math.hypot(*(stdev(values) / mean(values) for values in (above, below)))
    return [*row, ratio, spread, "at least" if open_[0] else "at most" if open_[1] else "equal"]

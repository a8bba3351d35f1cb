"""A sweep's folder: a run for each cell, and one table, which is a function of the runs."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lossscape import manifest, yamlfile
from lossscape.errors import BadInput
from lossscape.execution import Execution
from lossscape.files import check_writable, held, write_text
from lossscape.listing import standing
from lossscape.metrics import MAXIMISED
from lossscape.results import evaluated, read_csv, write_csv
from lossscape.runfiles import SWEEP, SWEEP_TABLE, cells_of, is_sweep
from lossscape.runs import Run
from lossscape.sweeps.config import Cell, Opened
from lossscape.train.several import FINISHED, Outcome, train_all, unfinished

SECONDS = "seconds.csv"
"""How long each run took: not in the table, whose bytes do not depend on the machine's load."""
LEFT_OUT = ("lr", "batch_loss", "grad_norm", "seconds")
"""Columns of metrics.csv that say nothing of the end of a run."""
COUNTS = ("epoch", "step", "function_evaluations", "gradient_evaluations", "hessian_products")
BEGUN = "not finished"


def run_sweep(opened: Opened, home: Path, execution: Execution) -> list[Outcome]:
    """Train what is missing of a sweep in `home` and write its table; returns what became of each run, in order.

    A second call goes on; a changed file adds runs, and is refused where a run of before has another config. Runs that
    the file no longer names stay where they are, and out of the table.

    Raises BadInput where the folder is something else, or another process works on it; RunFailed; Interrupted, when the
    table of what there is has been written.
    """
    experiments = [cell.experiment for cell in opened.cells]
    check_home(home)
    new = not is_sweep(home)
    with held(home, "a sweep"):
        unfinished(experiments, home, execution.overwrite)
        cells = {cell.name: dict(cell.values) for cell in opened.cells}
        if new or cells_of(home) != cells:
            content = {"sweep": opened.sweep.name, "threads": opened.sweep.threads, "cells": cells}
            write_text(home / SWEEP, yamlfile.dump(content))
        outcomes: list[Outcome] = []
        try:
            outcomes = train_all(
                experiments, home, execution, threads=opened.sweep.threads, title=f"sweep {opened.sweep.name}"
            )
        except BadInput:
            if new:
                shutil.rmtree(home)
            raise
        finally:
            if is_sweep(home):
                write_table(home, opened.cells, outcomes)
    return outcomes


def check_home(home: Path) -> None:
    """Raise BadInput where a folder can be no sweep's."""
    check_writable(home)
    left = (".lock", ".part", manifest.NAME)  # of a process that was killed at once
    if not is_sweep(home) and home.exists() and any(not each.name.endswith(left) for each in home.iterdir()):
        raise BadInput(f"{home} exists and is no sweep: choose another --name")


def write_table(home: Path, cells: Sequence[Cell], outcomes: Sequence[Outcome]) -> None:
    """Write sweep.csv, a row for each cell with its values, how it ended and its metrics, and seconds.csv."""
    known = {each.run.name: each for each in outcomes}
    rows = [_row(Run(home / cell.name), cell, known.get(cell.name)) for cell in cells]
    seconds = [[row["run"], row.pop("seconds", None)] for row in rows]
    varied = [key for cell in cells for key in cell.values]
    columns = list(dict.fromkeys(["run", *varied, *(key for row in rows for key in row)]))
    write_csv(home / SWEEP_TABLE, columns, [[row.get(column) for column in columns] for row in rows])
    write_csv(home / SECONDS, ["run", "seconds"], seconds)


def _varied(cell: Cell) -> dict[str, Any]:
    return {
        key: value if isinstance(value, int | float | str) else json.dumps(value) for key, value in cell.values.items()
    }


def _row(run: Run, cell: Cell, outcome: Outcome | None) -> dict[str, Any]:
    """A cell: last values of its metrics, and the best of those that are measured on a split."""
    state = (standing(run) if run.config_file.exists() else BEGUN) if outcome is None else outcome.state
    row: dict[str, Any] = {"run": cell.name, **_varied(cell), "state": state}
    row["reason"] = outcome.why if outcome else ""
    table = read_csv(run.metrics_file, live=True) if run.metrics_file.exists() else None
    if table is None or table.empty:
        if state == FINISHED:
            row["reason"] = "its metrics.csv is missing"
        return row
    known = evaluated(table)
    for key in map(str, table):
        if key in COUNTS:
            row[key] = int(table[key].iloc[-1])
        elif key not in LEFT_OUT:
            row[key] = float(known[key].iloc[-1]) if len(known) else math.nan
    for split, metric in [key.split("_", 1) for key in row if key.startswith(("train_", "test_"))]:
        values = table[f"{split}_{metric}"]
        row[f"best_{split}_{metric}"] = float(values.max() if metric in MAXIMISED else values.min())
    return row | {"seconds": float(table["seconds"].iloc[-1])}

"""Run directories written by hand, with results whose losses are known functions."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lossscape import yamlfile
from lossscape.analyses.pair.measures import measure_surface
from lossscape.analyses.pair.result import Pairs, read
from lossscape.results import read_surface, write_csv
from lossscape.runfiles import SWEEP, SWEEP_TABLE
from lossscape.runs import Run

Function = Callable[..., Any]


def table(columns: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    """A CSV as lossscape writes it."""
    lines = [",".join(columns), *(",".join("" if v is None else repr(float(v)) for v in row) for row in rows)]
    return "\n".join(lines) + "\n"


def write_run(
    folder: Path,
    name: str = "a",
    epochs: int = 3,
    state: str = "finished",
    note: str = "",
    others: Sequence[str] = ("accuracy",),
) -> Run:
    """A run of `epochs` epochs with a loss of 2/(1 + epoch) on train and 3/(1 + epoch) on test.

    others: its metrics beside the loss, all of them epoch/10 on train and epoch/20 on test.
    """
    run = Run(folder / name)
    run.path.mkdir(parents=True)
    config = {
        "name": name,
        "dataset": {"name": "mnist", "label_noise": 0.0},
        "model": {"name": "mlp", "hidden": [100, 100], "dropout": 0.5},
        "loss": {"name": "cross_entropy"},
        "optimizer": {"name": "momentum", "lr": 0.1},
        "schedule": {"name": "constant"},
        "training": {"epochs": 10, "batch_size": 100},
    }
    run.config_file.write_text(yamlfile.dump(config))
    facts = {"data": {"train_size": 60000, "test_size": 10000, "note": note}, "model": {"parameters": 89610}}
    run.environment_file.write_text(json.dumps({"seed": 0, "versions": {"torch": "2.9"}, **facts}))
    run.state_file.write_text(json.dumps({"state": state, "message": ""}))
    splits = [[f"{split}_{metric}" for metric in ("loss", *others)] for split in ("train", "test")]
    columns = ["epoch", "step", "lr", *splits[0], *splits[1], "batch_loss", "grad_norm", "seconds"]
    rows = [
        [e, 600 * e, 0.1, 2 / (1 + e), *[e / 10] * len(others), 3 / (1 + e), *[e / 20] * len(others),
         1.0 if e else None, 0.5 if e else None, e]
        for e in range(epochs + 1)
    ]  # fmt: skip
    run.metrics_file.write_text(table(columns, rows))
    return run


def common_settings(splits: Sequence[str], note: str) -> dict[str, Any]:
    """What the settings of every result hold."""
    return {
        "dataset": {"name": "mnist", "label_noise": 0.0},
        "data_note": note,
        "samples": {split: {"train": 60000, "test": 10000}[split] for split in splits},
        "split": "both" if len(splits) == 2 else splits[0],
        "targets": "labels",
        "model": "mlp",
        "loss": "cross_entropy",
        "batch_norm": None,
        "precision": "fp32",
    }


SAMPLED = {"population": {"train": 60000, "test": 10000}, "samples": {"train": 2000, "test": 2000}, "subset_seed": 0}
"""What the settings of a result on a subset hold in addition."""
ERRORS = ("loss_stderr", "accuracy_stderr", "loss_difference_stderr", "accuracy_difference_stderr")


def with_errors(row: Sequence[float], distance: float, error: float, splits: int) -> list[float]:
    """A row with standard errors behind each split's metrics: `error`, and a tenth of it per unit of distance."""
    place, values = row[: len(row) - 2 * splits], row[len(row) - 2 * splits :]
    errors = [error, error / 10, error * distance / 10, error * distance / 100]
    return [*place, *(v for i in range(splits) for v in (*values[2 * i : 2 * i + 2], *errors))]


def columns_of(
    axes: Sequence[str], splits: Sequence[str], sampled: bool, others: Sequence[str] = ("accuracy",)
) -> list[str]:
    """The header of a result's CSV."""
    metrics = ["loss", *others, *(ERRORS if sampled else ())]
    return [*axes, *(f"{split}_{metric}" for split in splits for metric in metrics)]


def write_curve(
    run: Run,
    loss: Function = lambda a: 2 - 1.5 * a,
    *,
    points: int = 11,
    low: float = 0.0,
    high: float = 1.0,
    splits: Sequence[str] = ("train", "test"),
    ends: tuple[str, str] = ("epoch-0001", "epoch-0003"),
    label: str = "line",
    note: str = "",
    error: float = 0.0,
    others: Sequence[str] = ("accuracy",),
    **changes: Any,
) -> Path:
    """An interpolation with loss(α) on train and loss(α) + 0.1 on test, other metrics (accuracy) α and α/2.

    error: where it is not 0, the standard error of a subset's losses.
    """
    folder = run.path / "interpolate" / label
    folder.mkdir(parents=True)
    start, end = ({"run": run.name, "checkpoint": name, "sha256": "0" * 64} for name in ends)
    settings = {"analysis": "interpolate", "start": start, "end": end, "points": points, "range": [low, high]}
    settings |= common_settings(splits, note) | (SAMPLED if error else {}) | changes
    (folder / "settings.yaml").write_text(yamlfile.dump(settings))
    alpha = np.linspace(low, high, points)
    with np.errstate(all="ignore"):
        rows = [
            [a, *(v for i in range(len(splits)) for v in (loss(a) + 0.1 * i, *[a / (1 + i)] * len(others)))]
            for a in alpha
        ]
    if error:
        rows = [with_errors(row, abs(row[0]), error, len(splits)) for row in rows]
    (folder / "curve.csv").write_text(table(columns_of(["alpha"], splits, bool(error), others), rows))
    found = {"monotone": True, "bump_height": 0.0, "convex_fraction": 1.0, "barrier_chord": 0.25, "barrier_mean": 0.75}
    measures = {"distance": 7.5, "distance_moved": 2.0, "gauss_length": None, "train": found, "test": found}
    (folder / "measures.json").write_text(json.dumps(measures))
    check = {"name": f"train loss at {run.name}@{ends[0]}", "value": 1.0, "reference": 1.0, "passed": True}
    certificate = {"passed": True, "checks": [check], "model_unchanged": True}
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder


def write_landscape(
    run: Run,
    loss: Function = lambda x, y: 0.1 + x * x + y * y,
    *,
    grid: Sequence[int] = (9, 7),
    x_range: tuple[float, float] = (-1.0, 1.0),
    y_range: tuple[float, float] = (-1.0, 1.0),
    splits: Sequence[str] = ("train",),
    label: str = "plane",
    added: Sequence[tuple[float, ...]] = (),
    error: float = 0.0,
    others: Sequence[str] = ("accuracy",),
    **changes: Any,
) -> Path:
    """A landscape with loss(x, y), or with loss(x, 0) along a line where the grid has one number.

    added: points of a refined result beyond the grid; error: as for write_curve.
    """
    folder = run.path / "landscape" / label
    folder.mkdir(parents=True)
    made = {"kind": "random", "seed": 0, "normalize": "filter", "ignore": ["bias", "norm"]}
    settings = {
        "analysis": "landscape",
        "centre": {"run": run.name, "checkpoint": "epoch-0003", "sha256": "0" * 64},
        "grid": list(grid),
        "x_range": list(x_range),
        **({"y_range": list(y_range)} if len(grid) == 2 else {}),
        "directions": made,
        **({"refine": len(added)} if added else {}),
    }
    settings |= common_settings(splits, "") | (SAMPLED if error else {}) | changes
    (folder / "settings.yaml").write_text(yamlfile.dump(settings))
    axes = [np.linspace(*x_range, grid[0])] + ([np.linspace(*y_range, grid[1])] if len(grid) == 2 else [])
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    with np.errstate(all="ignore"):
        rows = [
            [*place, *(v for _ in splits for v in (loss(*place, *[0.0] * (2 - len(place))), *[0.5] * len(others)))]
            for place in sorted([*map(tuple, places), *added])
        ]
    if error:
        rows = [with_errors(row, float(np.linalg.norm(row[: len(axes)])), error, len(splits)) for row in rows]
    columns = columns_of(["x", "y"][: len(grid)], splits, bool(error), others)
    (folder / ("surface.csv" if len(grid) == 2 else "line.csv")).write_text(table(columns, rows))
    facts = {"centre_norm": 9.0, "direction_norms": [9.0, 9.0], "cosine": 1e-11}
    certificate = {"passed": True, "checks": [], "model_unchanged": True, **facts}
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder


BOWL = (lambda x, y: 0.2 + x * x + y * y, lambda x, y: x * x + 0.9 * y * y)
STEEP = (lambda x, y: 0.2 + 40 * (x * x + y * y), lambda x, y: 35 * (x * x + y * y))
"""Losses of a pair: against labels, and relabelled."""


def write_pairs(
    folder: Path, losses: dict[str, tuple[Function, Function]], targets: str = "soft", *, own: bool = False
) -> Pairs:
    """A study of one plane with known losses of each net, whose runs are written where they are not there.

    own: in the folder of the first net's run, as studies of a single net are.
    """
    place = (folder / next(iter(losses)) if own else folder) / "pairs" / "study"
    measures, summary, nets = [], [], []
    for name, functions in losses.items():
        run, net = Run(folder / name), f"{name}@epoch-0003"
        if not run.path.exists():
            write_run(folder, name)
        nets.append({"name": net, "run": name, "checkpoint": "epoch-0003", "sha256": "0" * 64})
        for kind, loss in zip(("labels", targets), functions, strict=True):
            made = run.results("landscape") / kind
            if not made.exists():
                write_landscape(run, loss, grid=(9, 9), label=kind, targets=kind)
            surface = read_surface(made)
            found = measure_surface(surface.x, surface.y, surface.values("train_loss"), ["+0.1"])
            row, rough = found.row(), found.unresolved
            measures.append([net, kind, 0, os.path.relpath(made, place), *row.values(), " ".join(rough)])
            for key, value in row.items():
                known = int(np.isfinite(value))
                summary.append([net, kind, key, value, None, known, known * (key not in rough)])
    place.mkdir(parents=True)
    made_by = {"kind": "random", "normalize": "filter", "ignore": ["bias", "norm"]}
    settings = {"analysis": "pair", "targets": targets, "nets": nets, "grid": [9, 9], "x_range": [-1.0, 1.0],
                "y_range": [-1.0, 1.0], "directions": made_by, "repeats": 1, "levels": ["+0.1"]}  # fmt: skip
    (place / "settings.yaml").write_text(yamlfile.dump(settings))
    columns = ["net", "targets", "seed", "surface", *row, "unresolved"]
    pd.DataFrame(measures, columns=columns).to_csv(place / "measures.csv", index=False)
    columns = ["net", "targets", "measure", "mean", "std", "planes", "resolved"]
    pd.DataFrame(summary, columns=columns).to_csv(place / "summary.csv", index=False)
    return read(place)


def write_paths(folder: Path, names: Sequence[str]) -> None:
    """Paths of runs over a landscape that `write_landscape` made, three checkpoints each."""
    columns = ["run", "checkpoint", "epoch", "step", "x", "y", "off_plane", "in_plane", "moved", "train_loss"]
    rows = [
        [name, f"epoch-{e:04}", e, 10 * e, 0.1 * e - 0.2 * i, 0.1 * i, 0.01 * e, 0.1 * e, 0.1, 1 / (1 + e), 1 / (1 + e)]
        for i, name in enumerate(names)
        for e in range(3)
    ]
    pd.DataFrame(rows, columns=[*columns, "plane_train_loss"]).to_csv(folder / "path.csv", index=False)
    facts = [{"run": name, "share_of_length": 0.5, "share_of_squares": 0.5, "extent": 0.3} for name in names]
    (folder / "path.json").write_text(json.dumps({"runs": facts}))


def write_sweep(folder: Path, cells: dict[str, dict[str, Any]], states: dict[str, str] | None = None) -> Path:
    """A sweep whose nth run ends with a test accuracy of n in 100, and a train loss of n, after a first epoch at 0."""
    states = states or {}
    rows = []
    for n, (name, values) in enumerate(cells.items()):
        state = states.get(name, "finished")
        shutil.rmtree(folder / name, ignore_errors=True)
        run = write_run(folder, name, epochs=1, state=state)
        head = "epoch,step,lr,train_loss,train_accuracy,test_loss,test_accuracy,batch_loss,grad_norm,seconds"
        run.metrics_file.write_text(f"{head}\n0,0,,2,0,2,0,,,0\n1,5,0.1,{n},0.5,1,{n / 100},1,1,1\n")
        rows.append([name, *map(str, values.values()), state, "", 1, n, n / 100, n / 100])
    columns = ["run", *next(iter(cells.values())), "state", "reason", "epoch", "train_loss", "test_accuracy"]
    write_csv(folder / SWEEP_TABLE, [*columns, "best_test_accuracy"], rows)
    (folder / SWEEP).write_text(yamlfile.dump({"sweep": folder.name, "cells": cells}))
    return folder


def varied(rates: int, seeds: int) -> dict[str, dict[str, Any]]:
    """The cells of a sweep over learning rates, descending, and seeds."""
    return {f"r{k}-s{s}": {"optimizer.lr": 10.0 * (rates - k), "seed": s} for k in range(rates) for s in range(seeds)}

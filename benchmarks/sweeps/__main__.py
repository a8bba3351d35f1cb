"""Seconds of 64 small runs with two workers against the same runs one after the other in one process.

`python -m benchmarks.sweeps` prints both, their ratio and whether all runs have the same numbers; docs/benchmarks.md
says how it is measured. Exit code 1 where the ratio is missed or numbers disagree.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.numbers import positive, spread

ROOT = Path(__file__).parents[2]
RUNS, AT_MOST = 64, 0.6
TOLERANCE = 5e-3
"""Largest difference of a loss: another number of threads adds up in another order, over all of training."""
CONFIG: dict[str, Any] = {
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [64, 32]},
    "optimizer": {"name": "sgd"},
    "training": {"epochs": 60, "batch_size": 50, "checkpoint_every": 0},
    "device": "cpu",
}
FREED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Taken out of the environment, so that torch has its default."""
SIDES = {"serial": "one after the other", "workers": "--workers 2"}
SERIAL = """
import sys
from pathlib import Path
from lossscape.sweeps import Opened
from lossscape.train import train
for cell in Opened(Path(sys.argv[1])).cells:
    train(cell.experiment, sys.argv[2])
"""


def main(words: list[str] | None = None) -> int:
    """Measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description=__doc__)
    parser.add_argument("--rounds", type=positive(int), default=3, help="measurements of each side (3)")
    parser.add_argument("--epochs", type=positive(int), default=60, help="of each run (60)")
    parser.add_argument("--runs", type=positive(int), default=RUNS, help=f"({RUNS})")
    given = parser.parse_args(words)
    cores = len(os.sched_getaffinity(0))
    note = "" if cores == 2 else " (the ratio asked for is for 2: taskset -c 0,1)"
    print(f"{given.runs} runs of {given.epochs} epochs, digits, MLP 64-64-32-10; {cores} cores{note}")
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    apart = 0.0
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            file = write(Path(folder), given.runs, given.epochs)
            for side in SIDES:
                seconds[side].append(measured(side, file, Path(folder) / side))
            apart = max(apart, differences(Path(folder)))
    for side, values in seconds.items():
        print(f"  {SIDES[side]:22s} {spread(values, '.1f')} s")
    ratio = [ours / theirs for ours, theirs in zip(seconds["workers"], seconds["serial"], strict=True)]
    reached = statistics.median(ratio) <= AT_MOST
    print(f"  ratio: {spread(ratio, '.2f')}, at most {AT_MOST:g}: {'ok' if reached else 'missed'}")
    print(
        f"  losses differ by at most {apart:.0e}, allowed {TOLERANCE:.0e}: {'ok' if apart <= TOLERANCE else 'missed'}"
    )
    return 0 if reached and apart <= TOLERANCE else 1


def write(folder: Path, runs: int, epochs: int) -> Path:
    """A sweep file of so many seeds."""
    base = CONFIG | {"training": CONFIG["training"] | {"epochs": epochs}}
    sweep = {"name": "workers", "base": base, "set": {"optimizer.lr": 0.05}, "product": {"seed": list(range(runs))}}
    (folder / "workers.yaml").write_text(json.dumps(sweep))
    return folder / "workers.yaml"


def measured(side: str, file: Path, home: Path) -> float:
    """Seconds of one side, a process of its own from its start to its end; torch has its own number of threads."""
    if side == "serial":
        words = ["-c", SERIAL, str(file), str(home / "workers")]
    else:
        words = ["-m", "lossscape", "sweep", str(file), "--runs", str(home), "--workers", "2", "--quiet"]
    free = {key: value for key, value in os.environ.items() if key not in FREED}
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=free, stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{side} failed with exit code {done.returncode}")
    return time.perf_counter() - begun


def differences(folder: Path) -> float:
    """The largest difference of a loss of the same run on both sides."""
    largest = 0.0
    for file in sorted((folder / "serial" / "workers").glob("*/metrics.csv")):
        other = folder / "workers" / "workers" / file.parent.name / "metrics.csv"
        for one, two in zip(rows_of(file), rows_of(other), strict=True):
            largest = max(largest, *(abs(float(one[key]) - float(two[key])) for key in ("train_loss", "test_loss")))
    return largest


def rows_of(file: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics."""
    with file.open() as lines:
        return list(csv.DictReader(lines))


if __name__ == "__main__":
    sys.exit(main())

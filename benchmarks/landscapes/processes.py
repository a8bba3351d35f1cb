"""The digits net's plane of 301 × 301 points by the command line: two workers against one process, on two cores."""

import csv
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.landscapes.judge import verdict
from benchmarks.landscapes.load import on_cores
from benchmarks.landscapes.measure import Effort, largest_difference
from benchmarks.landscapes.outcome import Line, Outcome
from benchmarks.numbers import spread
from benchmarks.workers import ROOT

NAME = "digits-workers"
TITLE = "two workers against one process"
GRID = 301
CORES = 2
AT_MOST = 0.6
ROUNDS = 2
"""At most, since both sides take minutes."""
TOLERANCE = 1e-5
"""Relative difference of losses: the sides may add up in another order."""
SIDES: dict[str, list[str]] = {"one process": [], "--workers 2": ["--workers", "2"]}
ALONE = "one process of one thread"
"""What both sides are also to be seen beside: its own threads let one process use both cores."""
FREED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Taken out of the environment, so that torch has its default."""


def measure(effort: Effort, cache: Path, grid: int = GRID) -> Outcome:
    """Train the net, and let both sides make its plane in turns; each is a command from its start to its end.

    The process of one thread makes it once.
    """
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    plane = ["landscape", "runs/digits_mlp", "--grid", str(grid), "--overwrite"]
    apart = 0.0
    with on_cores(CORES) as bound:
        seconds_of(["train", str(ROOT / "configs" / "digits_mlp.yaml"), "--set", "training.epochs=3"], cache, "net")
        for _ in range(min(effort.rounds, ROUNDS)):
            losses = []
            for side, words in SIDES.items():
                seconds[side].append(seconds_of([*plane, *words], cache, side))
                losses.append(losses_of(cache))
            apart = max(apart, largest_difference(*losses))
        alone = seconds_of(plane, cache, ALONE, {"OMP_NUM_THREADS": "1"})
    return outcome(seconds, alone, apart, bound=bound, grid=grid)


def seconds_of(words: list[str], folder: Path, side: str, changed: Mapping[str, str] | None = None) -> float:
    """Seconds of a command in a folder; each side keeps its own plans. changed: in the environment."""
    free = {key: value for key, value in os.environ.items() if key not in FREED}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {"LOSSSCAPE_CACHE": str(folder / side), "PYTHONPATH": path, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-m", "lossscape", *words, "--device", "cpu", "--quiet"]
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=free | own | dict(changed or {}), stdout=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{NAME}: {' '.join(words)} failed with exit code {done.returncode}")
    return time.perf_counter() - begin


def losses_of(folder: Path) -> list[float]:
    """Of the plane that is there."""
    (file,) = folder.glob("runs/digits_mlp/landscape/*/surface.csv")
    with file.open(encoding="utf-8") as lines:
        return [float(row["train_loss"]) for row in csv.DictReader(lines)]


def outcome(seconds: dict[str, list[float]], alone: float, apart: float, *, bound: bool, grid: int = GRID) -> Outcome:
    """What both sides' seconds say.

    alone: of one process of one thread; apart: largest relative difference; bound: whether they had two cores alone.
    """
    one, two = seconds.values()
    # the judge knows ratios that are to be large
    judged = verdict([a / b for a, b in zip(one, two, strict=True)], 1 / AT_MOST, None, judged=bound, own=False)
    word = ("missed" if judged.missed else "ok") if bound else "not judged"
    line: Line = {"row": NAME} | {f"{side}, s": spread(found, ".3g") for side, found in seconds.items()}
    line |= {
        "ratio": spread([b / a for a, b in zip(one, two, strict=True)], ".2f"),
        "at most": f"{AT_MOST:g}: {word}",
        f"{ALONE}, s": f"{alone:.3g}",
        "ratio to it": f"{statistics.median(two) / alone:.2f}",
        "differs by": f"{apart:.0e}",
    }
    missed = [f"{NAME}: a ratio of at most {AT_MOST:g}"] if judged.missed else []
    if not apart <= TOLERANCE:
        missed.append(f"{NAME}: losses within {TOLERANCE:.0e} of each other")
    where = f"on {CORES} cores" if bound else f"not on {CORES} cores alone, which this machine cannot be told"
    note = f"{NAME}: digits, MLP 64-64-32-10, plane of {grid} x {grid} points, whole commands {where}"
    measured: dict[str, Any] = {"seconds": seconds, "alone": alone, "differs": apart, "bound": bound}
    return Outcome(NAME, {TITLE: [line]}, [note], missed, measured)

"""What `--tolerance` costs and keeps, on whole exact surfaces of small nets.

`python -m benchmarks.tolerance` makes the exact surfaces in a folder (a second call goes on with what is there), lets
the tolerance predict most of each, and prints true errors beside estimated ones, the points used and the time saved;
docs/engine.md has the table. Exit code 1 where a 99th percentile of true errors is over the tolerance.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.numbers import positive, table
from benchmarks.tolerance.offline import Outcome, predicted, read
from benchmarks.tolerance.surfaces import CASES, Case, Place, exact, samples_of, whole_command
from lossscape.analyses.tolerance import EXACT

HEAD = [
    "surface", "points", "evaluated", "true error: 99th", "worst", "estimated: 99th", "worst", "accuracy: 99th",
    "worst", "held out over", "exact (s)", "predicted (s)",
]  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """Make, predict, print; returns the exit code."""
    given = options(words)
    torch.set_num_threads(given.threads)
    place = Place(given.folder, given.mnist, given.cifar, given.quick)
    lines, missed = [], []
    for case in (case for case in CASES if case.name in given.surfaces):
        print(case.name, file=sys.stderr, flush=True)
        outcome = predicted(read(exact(place, case)), given.tolerance, samples_of(place, case))
        ways = (EXACT, given.tolerance) if given.timed else ()
        lines.append(cells(case, outcome, [whole_command(place, case, way) for way in ways]))
        if percentile(outcome.true, 99) > given.tolerance:
            missed.append(f"missed by {case.name}: the 99th percentile of true errors is over the tolerance")
    shown = f"tolerance {100 * given.tolerance:g} %, {given.threads} threads; errors of predicted points"
    print(f"{shown}, of the loss in parts of it, of the accuracy as they are\n")
    print(table(HEAD, lines))
    print("\n" + "\n".join(missed or ["all as asked"]))
    return 1 if missed else 0


def options(words: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tolerance", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where exact surfaces are kept (runs/bench-tolerance[-quick])")
    parser.add_argument("--surfaces", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--tolerance", type=positive(float), default=0.01, help="(0.01)")
    parser.add_argument("--mnist", type=Path, help="folder that holds MNIST/raw; default: $LOSSSCAPE_DATA")
    parser.add_argument("--cifar", type=Path, help="pictures in train/CLASS and test/CLASS in place of CIFAR-10")
    parser.add_argument("--threads", type=positive(int), default=min(2, os.cpu_count() or 1), help="of torch (2)")
    parser.add_argument("--timed", action="store_true", help="run the whole commands, without and with it")
    parser.add_argument("--quick", action="store_true", help="small grids of hardly trained nets: does it all work?")
    given = parser.parse_args(words)
    given.folder = given.folder or Path("runs", "bench-tolerance" + "-quick" * given.quick)
    return given


def cells(case: Case, outcome: Outcome, seconds: Sequence[float]) -> list[str]:
    """A row of the table; seconds: of the exact command and of that with the tolerance, where both were run."""
    errors = (outcome.true, outcome.estimated, outcome.accuracy)
    return [
        case.name,
        f"{outcome.points:,}",
        f"{outcome.evaluated:,} ({100 * outcome.share:.1f} %)",
        *(f"{100 * percentile(each, part):.2f} %" for each in errors for part in (99, 100)),
        f"{outcome.over} of {outcome.held_out}",
        *([f"{each:.3g}" for each in seconds] or ["–", "–"]),
    ]


def percentile(values: np.ndarray, part: float) -> float:
    """0 where all points were evaluated."""
    return float(np.percentile(values, part)) if len(values) else 0.0


if __name__ == "__main__":
    sys.exit(main())

"""Eigenvalues and products of Hessians: PyHessian 0.1 and curvlinops 3.0 with eigsh against lossscape, in one run.

`python -m benchmarks.curvature` prints tables; docs/benchmarks.md says how it is measured. Exit code 1 where a ratio is
missed or values differ.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.curvature.measure import Effort, Place, Result, RowRun
from benchmarks.curvature.rows import ROWS
from benchmarks.curvature.table import misses, shown
from benchmarks.numbers import positive

ROUNDS, QUICK = 5, 2


def main(words: list[str] | None = None) -> int:
    """Measure the rows asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curvature", description=__doc__)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--threads", type=positive(int), default=2, help="that torch computes with (2)")
    parser.add_argument("--data", type=Path, help="folder that holds MNIST/raw; default: $LOSSSCAPE_DATA")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds")
    parser.add_argument("--rounds", type=positive(int), help=f"measurements of each side ({ROUNDS})")
    given = parser.parse_args(words)
    effort = Effort(given.rounds or (QUICK if given.quick else ROUNDS))
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as files:
        place = Place(given.threads, given.data, Path(files))
        for row in (ROWS[name] for name in given.rows):
            with ExitStack() as stack:
                results.append(RowRun(row, place, stack).run(effort, say))
    for result in results:
        print("\n" + shown(result))
    missed = [f"missed by {result.row.name}: {what}" for result in results for what in misses(result)]
    print("\n" + "\n".join(missed or ["all as asked"]))
    return 1 if missed else 0


def say(what: str) -> None:
    """Tell on stderr what is going on."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Seconds per point of a landscape: loss-landscapes 3.0.6 against lossscape, in one run.

`python -m benchmarks.landscapes` prints a table; docs/benchmarks.md says how it is measured. Exit code 1 where a
ratio is missed, values differ, or memory is exceeded.
"""

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.landscapes import full
from benchmarks.landscapes.measure import Effort, Result, RowRun, Scaling
from benchmarks.landscapes.process import Place, Worker
from benchmarks.landscapes.rows import FULL, ROWS, USUAL
from benchmarks.landscapes.table import HEAD, cells, misses, notes, scaling_tables, usual_line
from benchmarks.numbers import positive, table

STANDARD = Effort(rounds=5, seconds=3.0, limit=60.0, tables=True)
QUICK = Effort(rounds=2, seconds=0.5, limit=10.0, tables=False)
QUICK_PASS = 2_000
"""Samples of the pass through a DataLoader where it is scaled up."""


def main(words: list[str] | None = None) -> int:
    """Measure the rows asked for; returns the exit code."""
    given = read(words)
    with tempfile.TemporaryDirectory() as cache:
        place = Place(given.device, given.threads, given.samples, Path(cache))
        with Worker("machine", "mlp-plane", "fp32", place) as worker:
            machine = worker.ask("facts")
        print(introduction(given, machine))
        precisions = [name for name in given.precisions if name == "fp32" or machine["fast_bf16"]]
        if precisions != given.precisions:
            print("bf16 is emulated on this machine and left out")
        good = measure_rows(given, place, machine, precisions) if given.rows else True
        if given.full:
            print("\n" + full.measure([FULL[name] for name in given.full], precisions[-1], place, given.effort))
    return 0 if good else 1


def read(words: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landscapes", description=__doc__)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument(
        "--full", nargs="*", choices=FULL, metavar="ROW",
        help=f"whole planes over 50,000 pictures: {', '.join(FULL)}; default: all with --device cuda, else none",
    )  # fmt: skip
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    threads = min(2, os.cpu_count() or 1)
    parser.add_argument("--threads", type=positive(int), default=threads, help="that torch computes with (2)")
    parser.add_argument("--samples", type=positive(int), help="in place of each row's own; no ratio is judged then")
    parser.add_argument("--quick", action="store_true", help="2 short rounds, and no small tables")
    parser.add_argument("--rounds", type=positive(int), help=f"measurements of each side ({STANDARD.rounds})")
    parser.add_argument(
        "--seconds", type=positive(float), help=f"of each, at least; the peer: its points ({STANDARD.seconds:g})"
    )
    parser.add_argument(
        "--limit",
        type=positive(float),
        help=f"seconds that a whole work may take to be measured and not predicted ({STANDARD.limit:g})",
    )
    given = parser.parse_args(words)
    changed = {name: value for name in ("rounds", "seconds", "limit") if (value := getattr(given, name))}
    given.effort = dataclasses.replace(QUICK if given.quick else STANDARD, **changed)
    if given.full is None:
        given.full = list(FULL) if given.device.startswith("cuda") else []
    return given


def introduction(given: argparse.Namespace, machine: dict[str, Any]) -> str:
    """What was measured, and where."""
    effort = given.effort
    threads = f"{given.threads} threads" + ("" if given.threads == 2 else " (the ratios asked for are for 2)")
    return (
        f"{machine['name']}, torch {machine['torch']}, {threads}; rounds in which sides take turns: {effort.rounds}; "
        "medians (least–most); pictures of noise, seeded initial weights, filter-normalised directions; "
        f"whole works over {effort.limit:g} s are predicted (~)"
    )


def measure_rows(given: argparse.Namespace, place: Place, machine: dict[str, Any], precisions: Sequence[str]) -> bool:
    """Measure and print; returns whether all is as asked."""
    results: list[Result] = []
    scaling: list[Scaling] = []
    usual: list[str] = []
    for row in (ROWS[name] for name in given.rows):
        with ExitStack() as stack:
            run = RowRun(row, precisions, place, stack)
            found = run.run(given.effort, say)
            results += found
            if "fp32" in precisions and given.effort.tables:
                say(f"{row.name}: small tables")
                scaling.append(run.scaling(min(found[0].ours), given.effort))
            if row.name == USUAL and "fp32" in precisions:
                say(f"{row.name}: a DataLoader with transforms per sample")
                samples = run.samples if given.effort.tables else min(QUICK_PASS, run.samples)
                usual.append(usual_line(found[0], run.usual(samples)))
    asked = [judged(given, machine, result) for result in results]
    print("\n" + table(HEAD, [cells(result, judge) for result, judge in zip(results, asked, strict=True)]))
    print("\n" + "\n".join([*map(notes, results), *usual]))
    if scaling:
        print("\n" + scaling_tables(scaling))
    missed = [
        f"missed by {result.row.name} {result.precision}: {what}"
        for result, judge in zip(results, asked, strict=True)
        for what in misses(result, judge)
    ]
    print("\n" + "\n".join(missed or ["all as asked"]))
    return not missed


def judged(given: argparse.Namespace, machine: dict[str, Any], result: Result) -> bool:
    """Whether a ratio is held against the one asked for, which is for a CPU, of bf16 for one with AMX."""
    on_cpu = given.device == "cpu" and given.samples is None
    return on_cpu and (result.precision == "fp32" or machine["tiles"])


def say(what: str) -> None:
    """Tell on stderr what is going on."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

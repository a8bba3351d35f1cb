"""Seconds per point of a landscape: loss-landscapes 3.0.6 against lossscape, in one run.

`python -m benchmarks.landscapes` prints each row as it ends and all of them in the end; docs/benchmarks.md says how
they are measured. Exit code 1 where a ratio is missed, values differ, or memory is exceeded.
"""

import argparse
import dataclasses
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.landscapes import full, picture, processes, table
from benchmarks.landscapes.judge import decides_itself
from benchmarks.landscapes.load import busy, cores
from benchmarks.landscapes.measure import Effort, Result, RowRun
from benchmarks.landscapes.outcome import Line, Outcome, Report
from benchmarks.landscapes.process import Place, Worker
from benchmarks.landscapes.rows import FULL, ROWS, USUAL, Row
from benchmarks.landscapes.table import POINTS, cells, misses, scaling_tables, usual_line
from benchmarks.numbers import positive

STANDARD = Effort(rounds=5, seconds=3.0, limit=60.0, tables=True)
QUICK = Effort(rounds=2, seconds=0.5, limit=10.0, tables=False)
NAMES = [*ROWS, *picture.PICTURES, processes.NAME]
QUICK_PASS = 2_000
"""Samples of the pass through a DataLoader where it is scaled up."""


def main(words: list[str] | None = None) -> int:
    """Measure the rows asked for; returns the exit code."""
    given = read(words)
    with tempfile.TemporaryDirectory() as cache:
        place = Place(given.device, given.threads, given.samples, Path(cache))
        with Worker("machine", "mlp-plane", "fp32", place) as worker:
            machine = worker.ask("facts")
        introduction = introduced(given, machine)
        print(introduction)
        precisions = [name for name in given.precisions if name == "fp32" or machine["fast_bf16"]]
        if precisions != given.precisions:
            print("bf16 is emulated on this machine and left out")
        report = Report(introduction, machine, sys.argv[1:] if words is None else words, given.json)
        for name in given.rows:
            report.add(measured(name, given, place, machine, precisions))
        for name in given.full:
            say(f"{name}: whole planes")
            judged = given.device.startswith("cuda") and given.samples is None
            report.add(full.measure(name, precisions[-1], place, given.effort, judged=judged))
    return 0 if report.end() else 1


def read(words: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.landscapes", description=__doc__)
    parser.add_argument("--rows", nargs="*", choices=NAMES, default=NAMES, metavar="ROW", help=", ".join(NAMES))
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="all that is printed, written anew as each row ends")
    given = parser.parse_args(words)
    if given.json and not given.json.absolute().parent.is_dir():
        parser.error(f"--json {given.json}: there is no such folder; make it first")
    changed = {name: value for name in ("rounds", "seconds", "limit") if (value := getattr(given, name))}
    given.effort = dataclasses.replace(QUICK if given.quick else STANDARD, **changed)
    if given.full is None:
        given.full = list(FULL) if given.device.startswith("cuda") else []
    return given


def introduced(given: argparse.Namespace, machine: dict[str, Any]) -> str:
    """What was measured, and where."""
    effort = given.effort
    threads = f"{given.threads} threads" + ("" if given.threads == 2 else " (the ratios asked for are for 2)")
    return (
        f"{machine['name']}, torch {machine['torch']}, {threads}; rounds in which sides take turns: {effort.rounds}; "
        "medians (least–most); pictures of noise, seeded initial weights, filter-normalised directions; "
        f"whole works over {effort.limit:g} s are predicted (~)"
    )


def measured(
    name: str, given: argparse.Namespace, place: Place, machine: dict[str, Any], precisions: Sequence[str]
) -> Outcome:
    """Measure what is called so."""
    if name == processes.NAME:
        say(f"{name}: {min(given.effort.rounds, processes.ROUNDS)} rounds of whole commands")
        return processes.measure(given.effort, place.cache)
    if name in picture.PICTURES:
        say(f"{name}: to {picture.TOLERANCE:.0%}, and exact")
        return picture.measure(name, place, given.effort)
    return measured_row(ROWS[name], given, place, machine, precisions)


def measured_row(
    row: Row, given: argparse.Namespace, place: Place, machine: dict[str, Any], precisions: Sequence[str]
) -> Outcome:
    """Measure seconds a point of a row, and what goes with them."""
    chosen = [name for name in precisions if name in row.at_least] or ["fp32"]
    tables: dict[str, list[Line]] = {POINTS: []}
    notes: list[str] = []
    with ExitStack() as stack:
        others = stack.enter_context(busy(cores() - 1 if row.loaded else 0))
        run = RowRun(row, chosen, place, stack)
        results = run.run(given.effort, say)
        for result in results:
            result.busy = len(others)
        if "fp32" in chosen and given.effort.tables and not row.single:
            say(f"{row.name}: small tables")
            tables |= scaling_tables(run.scaling(statistics.median(results[0].ours), given.effort))
        if row.name == USUAL and "fp32" in chosen:
            say(f"{row.name}: a DataLoader with transforms per sample")
            samples = run.samples if given.effort.tables else min(QUICK_PASS, run.samples)
            notes.append(usual_line(results[0], run.usual(samples)))
    missed = []
    own = decides_itself(given.device, machine["capability"])
    for result in results:
        held = {"judged": judged(given, machine, result), "own": own}
        tables[POINTS].append(cells(result, **held))
        missed += [f"{row.name} {result.precision}: {what}" for what in misses(result, **held)]
    notes = [line for result in results for line in table.notes(result)] + notes
    return Outcome(row.name, tables, notes, missed, [dataclasses.asdict(result) for result in results])


def judged(given: argparse.Namespace, machine: dict[str, Any], result: Result) -> bool:
    """Whether a ratio is held against the one asked for, which is for a CPU, of bf16 for one with AMX."""
    on_cpu = given.device == "cpu" and given.samples is None
    return on_cpu and (result.precision == "fp32" or machine["tiles"])


def say(what: str) -> None:
    """Tell on stderr what is going on."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Samples per second of training: the loop of the usual PyTorch example against lossscape's, in one run.

`python -m benchmarks.training` prints both, their ratio and peak memory; docs/benchmarks.md says how it is measured.
Exit code 1 where a ratio is missed or the two sides do not compute the same.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.numbers import positive, ratios, spread
from benchmarks.training.rows import BATCH, EVALUATION, EVERY, ROWS, SIDES, Row

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5
"""Relative difference of the sides' loss and of each parameter's gradient in float64."""
ROUNDING = 2
"""How much farther than the usual loop's lossscape's gradient may be from float64's."""
Ask = Callable[[str, str], dict[str, Any]]
"""(task, row) -> what a process of its own measured."""


def main(words: list[str] | None = None) -> int:
    """Measure the rows asked for; returns the exit code."""
    given = read(words)

    def ask(task: str, row: str) -> dict[str, Any]:
        return in_a_process(task, row, given.threads, given.seconds, given.data)

    print(f"{given.rounds} rounds of {given.seconds:g} s a side; {given.threads} threads", end="")
    print("" if given.threads == 2 else " (the ratios asked for are for 2)")
    good = [run_row(ROWS[name], ask, given.rounds) for name in given.rows]
    return 0 if all(good) else 1


def read(words: list[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--seconds", type=positive(float), default=4.0, help="of each measurement (4)")
    parser.add_argument("--rounds", type=positive(int), default=5, help="measurements of each side (5)")
    threads = min(2, os.cpu_count() or 1)
    parser.add_argument("--threads", type=positive(int), default=threads, help="that torch computes with (2)")
    parser.add_argument("--data", type=Path, help="folder that holds MNIST/raw; default: $LOSSSCAPE_DATA")
    return parser.parse_args(words)


def in_a_process(task: str, row: str, threads: int, seconds: float, data: Path | None) -> dict[str, Any]:
    """One measurement in a process of its own, whose peak memory is nobody else's.

    This process imports no torch: a child's peak counts from what its parent held when it was started.
    """
    words = [task, row, f"--threads={threads}", f"--seconds={seconds}"]
    if data is not None:
        words.append(f"--data={data.absolute()}")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training.measure", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{task} of {row} failed with exit code {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def run_row(row: Row, ask: Ask, rounds: int) -> bool:
    """Check and measure one row and print it; returns whether it is as asked."""
    if row.sides == ("lossscape",):
        print(f"\n{row.name}: {row.what}, batch {BATCH}, {row.precision}; random pictures of that size")
        rates = [ask("lossscape", row.name)["rate"] for _ in range(rounds)]
        print(f"  {SIDES['lossscape']} {spread(rates, ',.1f')} samples/s")
        return report_evaluation(ask("evaluation", row.name), statistics.median(rates))
    checked = ask("check", row.name)
    print(f"\n{row.name}: {row.what}, batch {BATCH}, {row.precision}; {checked['data']}")
    print(f"  {checked['cpu']}, torch {checked['torch']}")
    same = agree(row, checked)
    if checked["emulated"]:
        print(f"  ratio, at least {row.at_least:g}: not judged: bf16 is emulated on this CPU")
        return same
    measured: dict[str, list[dict[str, Any]]] = {side: [] for side in row.sides}
    for _ in range(rounds):
        for side in row.sides:
            measured[side].append(ask(side, row.name))
    reached = report(row, measured, checked)
    rate = statistics.median(answer["rate"] for answer in measured["lossscape"])
    return report_evaluation(ask("evaluation", row.name), rate) and reached and same


def agree(row: Row, checked: dict[str, Any]) -> bool:
    """Print how far the two sides are from each other on one batch; returns whether they compute the same."""
    loss, gradient, rounding = checked["loss_differs"], checked["gradient_differs"], checked["rounding"]
    same = max(loss, gradient) <= TOLERANCE
    print(
        f"  same weights, same batch, in float64: loss differs by {loss:.0e}, gradient by {gradient:.0e}, "
        f"at most {TOLERANCE:.0e}: {'ok' if same else 'missed'}"
    )
    close = rounding["lossscape"] <= ROUNDING * rounding["peer"]
    print(
        f"  gradient in {row.precision} against float64: {SIDES['peer']} {rounding['peer']:.1e}, lossscape "
        f"{rounding['lossscape']:.1e}, at most {ROUNDING} times as far: {'ok' if close else 'missed'}"
    )
    return same and close


def report(row: Row, measured: dict[str, list[dict[str, Any]]], checked: dict[str, Any]) -> bool:
    """Print what was measured; returns whether the ratio is reached."""
    rates = {side: [answer["rate"] for answer in answers] for side, answers in measured.items()}
    for side, answers in measured.items():
        memory = statistics.median(answer["memory"] for answer in answers) / 1e6
        print(
            f"  {SIDES[side]:22s} {spread(rates[side], ',.0f')} samples/s, "
            f"peak memory {memory:,.0f} MB above torch's{' (workers aside)' * (side == 'peer-workers')}"
        )
    ours = rates["lossscape"]
    for side in row.sides:
        if side not in ("peer", "lossscape", "products"):
            print(f"  ratio to {SIDES[side]}: {spread(ratios(ours, rates[side]), '.2f')}")
    most = 1 / checked["products"]
    usual = statistics.median(rates["peer"]) / most
    print(
        f"  roof: the products of these shapes alone are {most:,.0f} samples/s, so no ratio to the {SIDES['peer']} is "
        f"above {1 / usual:.3g}; lossscape's rate is {statistics.median(ours) / most:.0%} of that, "
        f"{statistics.median(ours) * checked['flop'] / 1e9:,.0f} GFLOP/s"
    )
    steps = {side: BATCH / statistics.median(each) for side, each in rates.items()}
    report_floor(row, BATCH * checked["products"], steps)
    asked = min(row.at_least, row.of_roof / usual)
    ratio = ratios(ours, rates["peer"])
    reached = statistics.median(ratio) >= asked
    print(
        f"  ratio to {SIDES['peer']}: {spread(ratio, '.2f')}, at least {asked:.3g} ({row.at_least:g}, or "
        f"{row.of_roof:.0%} of the roof): {'ok' if reached else 'missed'}"
    )
    return reached


def report_floor(row: Row, floor: float, steps: dict[str, float]) -> None:
    """Print how far a step is above its products, and what the ratio asked for would leave it.

    floor: the sum of the products' least times, in seconds; steps: seconds of a step, by side.
    """
    together = f" (one after the other {1e3 * steps['products']:.3g} ms)" if "products" in steps else ""
    print(
        f"  floor: a step's products take {1e3 * floor:.3g} ms at least{together}, a step of lossscape "
        f"{1e3 * steps['lossscape']:.3g} ms, {1e3 * (steps['lossscape'] - floor):.3g} ms more; {row.at_least:g} times "
        f"the {SIDES['peer']} would be a step of {1e3 * steps['peer'] / row.at_least:.3g} ms"
    )


def report_evaluation(found: dict[str, Any], rate: float) -> bool:
    """Print what evaluating takes beside an epoch's steps; returns whether it is little.

    found: seconds of one evaluation, and samples of an epoch; rate: samples/s of its steps.
    """
    steps = found["samples"] / rate
    share = found["seconds"] / (EVERY * steps)
    good = share <= EVALUATION
    print(
        f"  evaluation of both splits: {found['seconds']:.3g} s, {found['seconds'] / steps:.0%} of the {steps:.3g} s "
        f"of an epoch's steps; with training.evaluate_every: {EVERY} it is {share:.1%}, at most {EVALUATION:.0%}: "
        f"{'ok' if good else 'missed'}"
    )
    return good


if __name__ == "__main__":
    sys.exit(main())

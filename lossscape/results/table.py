"""The folder of a result: named by its settings, filled as points finish, finished by one sorted CSV."""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lossscape import devices, yamlfile
from lossscape.errors import BadInput
from lossscape.evaluate import Work, calibrate
from lossscape.evaluate.calibration import compiler
from lossscape.evaluate.engine import Values, blocks_of
from lossscape.evaluate.subspace import Coordinates
from lossscape.files import CsvLog, held, read_json, whole_lines, write_text
from lossscape.objective import Plan
from lossscape.progress import Progress, duration
from lossscape.results.folder import ENGINE, POINTS, SETTINGS
from lossscape.results.tables import write_csv
from lossscape.signals import Interrupted, StopRequest, stop_on_signals

More = Callable[[dict[Coordinates, Values]], list[Coordinates]]


def label(settings: Mapping[str, Any], words: Sequence[str]) -> str:
    """A folder name: readable words and a short hash of everything that was computed."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    slug = "-".join(re.sub(r"[^\w.+]+", "-", word).strip("-") for word in words)
    return f"{slug[:100]}-{digest}"


@contextmanager
def open_folder(folder: Path, settings: Mapping[str, Any], *, overwrite: bool) -> Iterator[None]:
    """Hold a result's folder and write its settings. Raises BadInput where another process holds it."""
    with held(folder, "evaluating"):
        if overwrite:
            # points first: without them, what a kill leaves of the rest is begun anew
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.suffix != ".csv"):
                if entry.name != ".lock":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        write_settings(folder, settings)
        yield


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write what a result is."""
    write_text(folder / SETTINGS, yamlfile.dump(dict(settings)))


@dataclass(frozen=True)
class How:
    """How a result is computed; beyond rounding nothing of it changes what comes out."""

    plan: str | None = None
    """A plan to force, or None for the fastest."""
    workers: int | None = None
    """Processes on this machine, or None for this one alone."""
    scheduler: str | None = None
    """The file or address of a Dask scheduler."""
    quiet: bool = True


def engine_plan(folder: Path) -> Plan | None:
    """The plan that a result was begun with, so that it goes on with the same bits."""
    try:
        return Plan(**read_json(folder / ENGINE)["plan"])
    except (KeyError, TypeError):
        return None


def fill(
    folder: Path,
    file: str,
    axes: Sequence[str],
    work: Work,
    more: More,
    total: int,
    *,
    how: How,
) -> tuple[dict[Coordinates, Values], Plan]:
    """Evaluate the points that a result lacks, then write its CSV; returns the metrics of all points, and the plan.

    more: gives the points of the next round from the metrics of those before, none when it is done; total: points of
    all rounds. Every block of points is appended to points.csv as it finishes, so nothing more is lost when the process
    is killed. Raises BadInput where another plan is asked for than the result was begun with, Interrupted on SIGINT or
    SIGTERM, within a chunk of samples.
    """
    columns = [*axes, *work.columns]
    known = _read(folder / file, columns, len(axes))
    plan = engine_plan(folder)
    more = _remembered(more)
    if _missing(known, more) is None:
        (folder / POINTS).unlink(missing_ok=True)  # a process that was killed may have left it
        _same_plan(how, plan)
        return known, plan or next(iter(work.objectives.values())).plan
    log = CsvLog(folder / POINTS, columns)
    try:
        known |= _values(log.rows, columns, len(axes))
        samples = work.cost(())
        if known:
            _same_plan(how, plan)
        elif how.plan and plan and how.plan != plan.name:
            plan = None  # nothing was computed with it
        plan, seconds = _chosen_plan(folder, work, total - len(known), samples, plan, how)
        with (
            watched(
                folder.parent.name,
                total,
                samples,
                begun=len(known),
                seconds=seconds,
                plan=plan,
                quiet=how.quiet,
            ) as done,
            _evaluator(folder, work, plan, samples, how, done) as evaluate,
        ):
            while (round_ := _missing(known, more)) is not None:
                blocks = _blocks(round_, known, plan)
                for index, found in evaluate(blocks):
                    for point, values in zip(blocks[index], found, strict=True):
                        if point not in known:
                            log.append(dict(zip(columns, [*point, *values.values()], strict=True)))
                            known[point] = values
    finally:
        log.close()
    points = _all(known, more)
    write_csv(folder / file, columns, [[*point, *known[point].values()] for point in sorted(points)])
    (folder / POINTS).unlink()
    return {point: known[point] for point in points}, plan


def _remembered(more: More) -> More:
    """The same rounds, each found once: what is known when one is asked for follows from those before it."""
    rounds: dict[int, list[Coordinates]] = {}

    def again(known: dict[Coordinates, Values]) -> list[Coordinates]:
        if len(known) not in rounds:
            rounds[len(known)] = more(known)
        return rounds[len(known)]

    return again


def _rounds(known: Mapping[Coordinates, Values], more: More) -> Iterator[list[Coordinates]]:
    """The rounds of points, up to the first that is not known whole."""
    before: dict[Coordinates, Values] = {}
    while points := more(before):
        yield points
        if not all(point in known for point in points):
            return
        before |= {point: known[point] for point in points}


def _missing(known: Mapping[Coordinates, Values], more: More) -> list[Coordinates] | None:
    """The points of the first round that is not known whole, all of them; None where all are known."""
    *_, last = _rounds(known, more)
    return None if all(point in known for point in last) else last


def _all(known: Mapping[Coordinates, Values], more: More) -> list[Coordinates]:
    return [point for points in _rounds(known, more) for point in points]


def _blocks(
    points: Sequence[Coordinates], known: Mapping[Coordinates, Values], plan: Plan
) -> list[list[Coordinates]]:
    """The blocks with a point that is missing: of stacks all points, whose bits depend on their block."""
    blocks = [block for block in blocks_of(points, plan) if not all(point in known for point in block)]
    if plan.name == "stacked":
        return blocks
    return [[point for point in block if point not in known] for block in blocks]


def _same_plan(how: How, plan: Plan | None) -> None:
    if how.plan and plan and how.plan != plan.name:
        raise BadInput(
            f"--plan {how.plan}: the result was begun with the plan {plan.name}, and one result has one plan; leave "
            "--plan out to go on with it, or give --overwrite to begin anew"
        )


def _chosen_plan(
    folder: Path, work: Work, points: int, samples: int, plan: Plan | None, how: How
) -> tuple[Plan, float | None]:
    """The plan of a result and what it is expected to take: that of engine.json, or one that is chosen and written."""
    if plan is not None:
        if plan.compiled and not compiler(next(iter(work.objectives.values())).device):
            plan = replace(plan, compiled=False)  # begun on another machine: the same to rounding
        seconds = read_json(folder / ENGINE).get("seconds_per_point")
        return plan, seconds if isinstance(seconds, float) else None
    with stop_on_signals() as stop:
        found = calibrate(
            work.objectives, work.subspace, points, plan=how.plan, done=lambda _: _raise_if_stopped(stop)
        )
    device = next(iter(work.objectives.values())).device
    seconds = found.seconds * samples / work.samples
    engine = {
        "plan": asdict(found.plan), "chosen": found.source, "seconds_per_point": seconds,
        "predicted_seconds": seconds * points, "tried": found.tried, **devices.facts(device),
    }  # fmt: skip
    write_text(folder / ENGINE, json.dumps(engine, indent=2) + "\n")
    return found.plan, seconds


Evaluate = Callable[[list[list[Coordinates]]], Iterator[tuple[int, list[Values]]]]


@contextmanager
def _evaluator(
    folder: Path, work: Work, plan: Plan, samples: int, how: How, done: Callable[[int], None]
) -> Iterator[Evaluate]:
    """What evaluates blocks of points of `samples` samples and gives the values of each with its index.

    This process, or workers.
    """
    if how.workers is None and how.scheduler is None:
        yield lambda blocks: ((index, work.rows(block, plan, done)) for index, block in enumerate(blocks))
        return
    from lossscape.evaluate.cluster import open_workers

    with open_workers(workers=how.workers, scheduler=how.scheduler, stop=lambda: done(0)) as cluster:
        engine = read_json(folder / ENGINE)  # the bits depend on the threads of those that compute
        engine |= {"threads": cluster.threads, "workers": how.workers or how.scheduler}
        write_text(folder / ENGINE, json.dumps(engine, indent=2) + "\n")

        def evaluate(blocks: list[list[Coordinates]]) -> Iterator[tuple[int, list[Values]]]:
            for index, values in cluster.evaluate(work, plan, blocks):
                done(len(blocks[index]) * samples)
                yield index, values

        yield evaluate


@contextmanager
def watched(
    title: str,
    points: int,
    samples: int,
    *,
    quiet: bool,
    begun: int = 0,
    seconds: float | None = None,
    plan: Plan | None = None,
) -> Iterator[Callable[[int], None]]:
    """Show the progress of `points` points of `samples` samples each; gives the function to call after each chunk.

    begun: points that are done; seconds: expected for a point; plan: announced with what is to do. The function
    raises Interrupted once SIGINT or SIGTERM has come.
    """
    rate = samples / seconds if seconds else None
    with (
        stop_on_signals() as stop,
        Progress(
            title, points * samples, "samples", done=begun * samples, rate=rate, quiet=quiet
        ) as progress,
    ):
        if plan is not None:
            about = f", about {duration((points - begun) * seconds)}" if seconds else ""
            progress.announce(
                f"{points - begun:,} of {points:,} points x {samples:,} samples to evaluate{about} ({plan.words})"
            )

        def done(amount: int) -> None:
            _raise_if_stopped(stop)
            progress.say(
                f"point {min(progress.done // samples + 1, points)}/{points}, {progress.rate / samples:.3g} points/s"
            )
            progress.advance(amount)

        yield done
        _raise_if_stopped(stop)  # of a signal since the last chunk


def _raise_if_stopped(stop: StopRequest) -> None:
    if stop.number is not None:
        raise Interrupted(stop.number, "the same command once more (the finished points are kept)")


def _values(
    rows: Sequence[Mapping[str, str]], columns: Sequence[str], axes: int
) -> dict[Coordinates, Values]:
    """Rows by their point, which the first columns are."""
    return {
        tuple(float(row[name]) for name in columns[:axes]): {
            name: float(row[name]) for name in columns[axes:]
        }
        for row in rows
    }


def _read(path: Path, columns: Sequence[str], axes: int) -> dict[Coordinates, Values]:
    lines = whole_lines(path)
    if not lines or lines[0].strip() != ",".join(columns):
        return {}
    return _values(list(csv.DictReader(lines)), columns, axes)

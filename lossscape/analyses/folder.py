"""The folder of a result: named by its settings, filled as points finish, finished by one sorted CSV."""

import csv
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lossscape import devices, yamlfile
from lossscape.evaluate import Subspace, evaluate
from lossscape.evaluate.engine import Statistics
from lossscape.evaluate.subspace import Coordinates
from lossscape.files import CsvLog, csv_text, held, whole_lines, write_text
from lossscape.objective import Metrics, Objective, Plan
from lossscape.progress import Progress
from lossscape.results import ENGINE, POINTS, SETTINGS
from lossscape.signals import Interrupted, stop_on_signals

Values = dict[str, Metrics]


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
            for entry in folder.iterdir():
                if entry.name != ".lock":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        write_text(folder / SETTINGS, yamlfile.dump(dict(settings)))
        yield


def engine_plan(folder: Path) -> Plan | None:
    """The plan that a result was begun with, so that it goes on with the same bits."""
    try:
        plan = json.loads((folder / ENGINE).read_text(encoding="utf-8"))["plan"]
        return Plan(int(plan["chunk"]), bool(plan["channels_last"]), plan["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fill(
    folder: Path,
    file: str,
    axes: Sequence[str],
    objectives: Mapping[str, Objective],
    subspace: Subspace,
    points: Sequence[Coordinates],
    *,
    statistics: Statistics | None = None,
    statistics_samples: int = 0,
    quiet: bool,
) -> dict[Coordinates, Values]:
    """Evaluate the points that a result lacks, then write its CSV; returns the metrics of all points.

    statistics: gives the buffers at a point, from `statistics_samples` samples.
    Every finished point is appended to points.csv at once, so nothing is lost when the process is killed.
    Raises Interrupted on SIGINT or SIGTERM, within a chunk of samples.
    """
    columns = [*axes, *(f"{split}_{metric}" for split in objectives for metric in Metrics._fields)]
    known = _read(folder / file, columns, axes, objectives)
    if set(points) <= set(known):
        (folder / POINTS).unlink(missing_ok=True)  # a process that was killed may have left it
        return known
    plan = next(iter(objectives.values())).plan
    engine = {
        "plan": asdict(plan),
        **devices.facts(next(iter(objectives.values())).device),
    }
    write_text(folder / ENGINE, json.dumps(engine, indent=2) + "\n")
    log = CsvLog(folder / POINTS, columns)
    try:
        known |= _values(log.rows, axes, objectives)
        missing = [point for point in points if point not in known]
        samples = statistics_samples + sum(len(objective) for objective in objectives.values())
        with watched(
            folder.parent.name, len(points), samples, quiet=quiet, begun=len(known), announce=True
        ) as done:
            for point, values in evaluate(objectives, subspace, missing, statistics, done):
                log.append(dict(zip(columns, [*point, *_flat(values)], strict=True)))
                known[point] = values
    finally:
        log.close()
    rows = [[*point, *_flat(known[point])] for point in sorted(points)]
    write_text(folder / file, csv_text(columns, rows))
    (folder / POINTS).unlink()
    return known


@contextmanager
def watched(
    title: str, points: int, samples: int, *, quiet: bool, begun: int = 0, announce: bool = False
) -> Iterator[Callable[[int], None]]:
    """Show the progress of `points` points of `samples` samples each; gives the function to call after each chunk.

    That function raises Interrupted once SIGINT or SIGTERM has come.
    """
    with (
        stop_on_signals() as stop,
        Progress(title, points * samples, "samples", done=begun * samples, quiet=quiet) as progress,
    ):
        if announce:
            progress.announce(f"{points - begun:,} of {points:,} points x {samples:,} samples to evaluate")

        def done(amount: int) -> None:
            if stop.number is not None:
                raise Interrupted(stop.number, "the same command once more (the finished points are kept)")
            progress.say(f"point {min(progress.done // samples + 1, points)}/{points}")
            progress.advance(amount)

        yield done


def _flat(values: Values) -> list[float]:
    return [number for metrics in values.values() for number in metrics]


def _values(
    rows: Sequence[Mapping[str, str]], axes: Sequence[str], splits: Mapping[str, Any]
) -> dict[Coordinates, Values]:
    return {
        tuple(float(row[name]) for name in axes): {
            split: Metrics(*(float(row[f"{split}_{metric}"]) for metric in Metrics._fields))
            for split in splits
        }
        for row in rows
    }


def _read(
    path: Path, columns: Sequence[str], axes: Sequence[str], splits: Mapping[str, Any]
) -> dict[Coordinates, Values]:
    lines = whole_lines(path)
    if not lines or lines[0].strip() != ",".join(columns):
        return {}
    return _values(list(csv.DictReader(lines)), axes, splits)

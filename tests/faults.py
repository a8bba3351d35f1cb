"""SIGKILL at fifty seeded moments of the work of landscapes and interpolations: what is lost? `make faults` tells.

Moments are shares of the time that the undisturbed work takes, one drawn from each of as many equal parts of it; a
process that was done before its moment is a moment drawn anew. One result is killed up to three times in a row, then
completed, and compared with an undisturbed one of the same plan and threads. Exit code 1 where anything was lost.
"""

import argparse
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Ended, Processes

CONFIG = """\
name: faulty
dataset: {name: digits}
model: {name: mlp, hidden: [64, 32], batch_norm: true}
optimizer: {name: momentum, lr: 0.05}
training: {epochs: 2, batch_size: 64}
"""
RUN = "runs/faulty"
IN_A_ROW = (1, 2, 3)
"""Times that one result is killed before it is completed, one after the other."""
TICK = 0.02
"""Seconds after which a process is looked at again."""
TRIES = 20
"""Moments drawn for one kill."""
SAME = ("settings.yaml", "range.json", "directions.pt", "measures.json", "certificate.json")


@dataclass(frozen=True)
class Work:
    """A command, and the table that it makes."""

    words: tuple[str, ...]
    file: str = "surface.csv"
    axes: int = 2


WORKS = {
    "landscape": Work(("landscape", RUN, "--grid", "21x19", "--refine", "100", "--auto-range", "5", "--split", "both")),
    "stacked": Work(("landscape", RUN, "--grid", "19x17", "--refine", "70", "--auto-range", "5", "--plan", "stacked")),
    "interpolation": Work(("interpolate", RUN, "--points", "301"), "curve.csv", 1),
    "samples": Work(("landscape", RUN, "--grid", "25", "--refine", "80", "--samples", "500")),
}


@dataclass
class Kill:
    """A moment, as the share of the undisturbed time, and what the killed process left."""

    share: float
    in_a_row: int
    during: str
    rows: list[str]
    lost: int = 0


@dataclass
class Victim:
    """One piece of work: undisturbed once for every plan, and killed again and again."""

    processes: Processes
    base: Path
    """A folder of its own, with a finished run in `trained`."""
    name: str
    work: Work
    seconds: float = 0.0
    """Of the undisturbed work, as the machine was of late."""
    idle: float = 0.0
    """Of a process that finds everything done."""
    whole: dict[str, Path] = field(default_factory=dict)
    """Undisturbed results by what their bits depend on."""
    wrong: list[str] = field(default_factory=list)
    drawn_anew: int = 0
    """Moments that came after the end."""

    @property
    def place(self) -> Path:
        """Where the work is killed."""
        return self.base / "killed"

    def measure(self) -> None:
        """Do the work undisturbed, and find it done."""
        place = self._fresh("whole")
        _, self.seconds = self._finish(place)
        _, self.idle = self._finish(place)
        folder = self._result(place)
        assert folder is not None
        self.whole[bits(folder)] = folder

    def kill(self, shares: Sequence[float]) -> Iterator[Kill]:
        """Begin anew, kill at each share of the time that is not done by then, complete, compare."""
        place = self._fresh("killed")
        kills: list[Kill] = []
        done = 0.0
        for number, share in enumerate(sorted(shares), 1):
            moment = share * self.seconds
            if done * self.seconds > self.idle:  # what was done is found again
                moment += self.idle - done * self.seconds
            begin = time.perf_counter()
            process = self.processes.start(*self.work.words, cwd=place)
            while (took := time.perf_counter() - begin) < moment and not self.processes.has_ended(process):
                time.sleep(min(moment - took, TICK))
            if took >= moment:
                os.kill(process, signal.SIGKILL)
            ended = self.processes.wait(process)
            if ended.code != -signal.SIGKILL:
                self._expect(ended.code == 0, f"exit code {ended.code}: {ended.err}")
                self.seconds = share * self.seconds - max(moment - took, 0.0)  # the machine has become faster
                break
            kills.append(self._look(place, share, number, kills))
            done = share
        self.complete(place, kills)
        yield from kills

    def _look(self, place: Path, share: float, number: int, before: Sequence[Kill]) -> Kill:
        """What a killed process left, with all that was there before it."""
        folder = self._result(place)
        rows, during = [], "loading"
        if folder is not None:
            final = (folder / self.work.file).exists()
            rows = whole_rows(folder / (self.work.file if final else "points.csv"))
            during = phase(folder, self.work)
            self._expect(readable(folder), f"{during}: a file was left torn")
            self._expect(not self._twice(rows), f"{during}: a point was there twice")
        if before:
            self._expect(set(before[-1].rows) <= set(rows), f"{during}: the process dropped points of before")
        return Kill(share, number, during, rows)

    def complete(self, place: Path, kills: Sequence[Kill]) -> None:
        """Run to the end, compare with the undisturbed result, and count what was lost."""
        ended, _ = self._finish(place)
        folder = self._result(place)
        assert folder is not None
        rows = whole_rows(folder / self.work.file)
        for kill in kills:
            kill.lost = len(set(kill.rows) - set(rows))
        told = re.search(r"^([\d,]+) of ([\d,]+) points", ended.err, re.MULTILINE)
        if kills and told:
            missing, total = (int(number.replace(",", "")) for number in told.groups())
            self._expect(missing == total - len(kills[-1].rows), "finished points were evaluated again")
        self._expect(not self._twice(rows), "a point is there twice")
        self._expect(not [*folder.glob(".*.part"), *folder.glob("points.csv")], "something was left behind")
        whole = self._undisturbed(folder)
        for name in (self.work.file, *SAME):
            same = content(folder / name) == content(whole / name)
            self._expect(same, f"{name} differs from the undisturbed one")

    def _undisturbed(self, folder: Path) -> Path:
        """A result of the same plan that was never killed."""
        key = bits(folder)
        if key not in self.whole:
            place = self._fresh(f"whole-{len(self.whole)}")
            again = place / folder.relative_to(self.place)
            again.mkdir(parents=True)
            shutil.copy(folder / "engine.json", again)
            self._finish(place)
            self.whole[key] = again
        return self.whole[key]

    def _finish(self, place: Path) -> tuple[Ended, float]:
        begin = time.perf_counter()
        ended = self.processes.run(*self.work.words, cwd=place)
        self._expect(ended.code == 0, f"exit code {ended.code}: {ended.err}")
        return ended, time.perf_counter() - begin

    def _fresh(self, name: str) -> Path:
        shutil.rmtree(self.base / name, ignore_errors=True)
        shutil.copytree(self.base / "trained", self.base / name)
        return self.base / name

    def _result(self, place: Path) -> Path | None:
        return next((place / RUN / self.work.words[0]).glob("*"), None)

    def _twice(self, rows: Sequence[str]) -> bool:
        return len({tuple(row.split(",")[: self.work.axes]) for row in rows}) < len(rows)

    def _expect(self, good: bool, otherwise: str) -> None:
        if not good:
            self.wrong.append(f"{self.name}: {otherwise}")


def whole_rows(file: Path) -> list[str]:
    """The rows of a CSV up to the last newline, without its header."""
    return file.read_text().rpartition("\n")[0].splitlines()[1:] if file.exists() else []


def content(file: Path) -> bytes | None:
    """The bytes of a file; None where there is none."""
    return file.read_bytes() if file.exists() else None


def bits(folder: Path) -> str:
    """What the bits of a result depend on, of its plan: the height of stacks, but of no other blocks."""
    plan: dict[str, Any] = json.loads((folder / "engine.json").read_text())["plan"]
    return json.dumps(plan if plan["name"] == "stacked" else plan | {"points": 1})


def phase(folder: Path, work: Work) -> str:
    """What a process was doing, by the files that it left."""
    left = {path.name for path in folder.iterdir()}
    if "certificate.json" in left:
        return "drawing"
    if work.file in left:
        return "certificate"
    if "engine.json" in left:
        return "points"
    return "range" if "--auto-range" in work.words and "range.json" not in left else "plan"


def readable(folder: Path) -> bool:
    """Whether every file but the appended one is whole."""
    from lossscape import yamlfile

    try:
        for file in folder.glob("*.json"):
            json.loads(file.read_text())
        for file in folder.glob("*.yaml"):
            yamlfile.read(file)
    except Exception as error:  # whatever it is, the file cannot be read
        print(error, file=sys.stderr)
        return False
    return True


def kill_all(victims: Sequence[Victim], number: int, seed: int) -> Iterator[tuple[Victim, Kill]]:
    """`number` kills, as many of each victim and in each part of its work; yields them as they are done."""
    draw = random.Random(seed)
    for place, victim in enumerate(victims):
        parts = number * (place + 1) // len(victims) - number * place // len(victims)
        moments = [(part + draw.random()) / parts for part in range(parts)]
        draw.shuffle(moments)
        lengths, tries = itertools.cycle(IN_A_ROW), 0
        while moments:
            shares = [moments.pop() for _ in range(min(next(lengths), len(moments)))]
            kills = list(victim.kill(shares))
            yield from ((victim, kill) for kill in kills)
            missed = sorted(shares)[len(kills) :]
            victim.drawn_anew += len(missed)
            moments += [(int(share * parts) + draw.random()) / parts for share in missed]
            tries = 0 if kills else tries + 1
            if tries == TRIES:
                victim.wrong.append(f"{victim.name}: no kill landed mid-way in {TRIES} tries")
                return


def main(words: list[str] | None = None) -> int:
    """Kill, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="moments (50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    given = parser.parse_args(words)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        base = Path(name)
        processes = Processes(base / "cache")
        try:
            victims = [Victim(processes, base / work, work, WORKS[work]) for work in WORKS]
            prepare(victims)
            landed = report(victims, given.kills, given.seed)
        finally:
            processes.close()
    wrong = [line for victim in victims for line in victim.wrong]
    lost = "; ".join(dict.fromkeys(wrong)) or "nothing"
    during = ", ".join(f"{what} {number}" for what, number in Counter(landed).most_common())
    anew = sum(victim.drawn_anew for victim in victims)
    print(f"\nduring: {during}; moments drawn anew: {anew}; {time.perf_counter() - begin:.0f} s")
    print(f"{len(landed)} kills landed mid-way; lost: {lost}")
    return 1 if wrong or len(landed) != given.kills else 0


def prepare(victims: Sequence[Victim]) -> None:
    """Train the net, and do all work once undisturbed."""
    first = victims[0].base / "trained"
    first.mkdir(parents=True)
    (first / "faulty.yaml").write_text(CONFIG)
    ended = victims[0].processes.run("train", "faulty.yaml", "--quiet", cwd=first)
    if ended.code:
        sys.exit(ended.err)
    for victim in victims:
        if victim is not victims[0]:
            shutil.copytree(first, victim.base / "trained")
        victim.measure()
        print(f"{victim.name:13s}  {victim.seconds:.1f} s  lossscape {' '.join(victim.work.words)}")


def report(victims: Sequence[Victim], number: int, seed: int) -> list[str]:
    """Print every kill that landed; returns what each process was doing."""
    print(f"\n{'kill':>4}  {'work':13s}  {'at':>5}  {'in a row':>8}  {'during':11s}  {'points kept':>11}  lost")
    landed = []
    for victim, kill in kill_all(victims, number, seed):
        landed.append(kill.during)
        total = len(whole_rows(next(iter(victim.whole.values())) / victim.work.file))
        kept = f"{len(kill.rows)} of {total}"
        line = f"{len(landed):4}  {victim.name:13s}  {kill.share:5.0%}  {kill.in_a_row:>8}  {kill.during:11s}"
        print(f"{line}  {kept:>11}  {kill.lost:4}", flush=True)
        if kill.lost:
            victim.wrong.append(f"{victim.name}: {kill.lost} points")
    return landed


if __name__ == "__main__":
    sys.exit(main())

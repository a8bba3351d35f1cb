"""Kills, signals and faults of the disk over all commands: what is lost? `make faults` tells.

Every case begins a command, has it struck one to three times in a row (at a seeded moment, or at a seeded one of its
own file operations), runs it to the end, and compares every byte of every file with an undisturbed run; `trees` says
what belongs to the machine or the call and is left out of it. Exit code 1 where anything was lost, differs, or was said
badly.
"""

import argparse
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.reliability.outcome import WORD, Outcomes, Verdict, complaint
from benchmarks.reliability.trees import Tree, differences, tree
from benchmarks.reliability.works import WORKS, Work, missed, prepare
from tests.processes import Ended, Processes

COLUMNS = ("missed", "refused", "told", "healed", "wrong")
"""missed: it ended before it was struck; refused: it ended with a clear message; told: and said how to go on; healed:
it was killed; in the three latter cases the rerun then gave the undisturbed bytes."""
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "EACCES")
SECONDS, TIMES = 60.0, 20
"""After which a process hangs; times those that the undisturbed work took, where that is more."""
LONGEST = 600.0
"""That undisturbed work may take."""
PORTS = (20_000, 32_000)
"""Below those that systems give to connections."""
TICK = 0.005
ARM = "benchmarks.reliability.disk:arm"
STAND = "benchmarks.reliability.disk:stand"
MEASURED = "benchmarks.reliability.clock:arm"
UNTIMED = "benchmarks.reliability.clock:leave_untimed"


@dataclass(frozen=True)
class Fault:
    """What befalls a process."""

    kind: str
    """A signal or an errno by its name, or stdout closed, full, pipe; no home; second process; worker killed."""
    operation: int = 0
    """The file operation at which it comes; 0: at a moment."""
    share: float = 0.0
    """That moment, as a share of the time of the undisturbed work."""
    lasting: bool = False
    """Of an errno: for all operations from then on."""
    rank: int = 0
    """Of processes that train together, the one that it befalls."""

    @property
    def row(self) -> str:
        """Of the table."""
        if self.kind not in (*SIGNALS, *ERRORS):
            return self.kind
        return f"{self.kind} at {'an operation' if self.operation else 'a moment'}"


@dataclass
class Victim:
    """A piece of work, undisturbed once and disturbed again and again."""

    processes: Processes
    name: str
    work: Work
    base: Path
    """The folder that the work begins in."""
    place: Path
    """Where it is disturbed."""
    whole: Tree = field(default_factory=dict)
    seconds: float = 0.0
    operations: int = 0

    def measure(self) -> None:
        """Do the work undisturbed, by another clock, and count and time it."""
        self._fresh()
        begin = time.perf_counter()
        ended = self._wait(self._start((MEASURED, {"below": str(self.place)})))
        told = re.search(r"^operations (\d+)$", ended.err, re.MULTILINE)
        if ended.code or not told:
            raise RuntimeError(f"lossscape {self.work.words} ended with exit code {ended.code}: {ended.err}")
        self.seconds = time.perf_counter() - begin
        self.operations = int(told[1])
        self.whole = tree(self.place)

    @property
    def patience(self) -> float:
        """Seconds after which a process of this work hangs: on a machine that is slow or busy all takes longer."""
        return max(SECONDS, TIMES * self.seconds) if self.seconds else LONGEST

    def case(self, seed: int, index: int) -> list[tuple[Fault, Verdict]]:
        """Strike the work as the numbers say, complete it, and compare."""
        self._fresh()
        found = [(fault, self._struck(fault)) for fault in self._faults(random.Random(f"{seed}/{self.name}/{index}"))]
        kept = self._kept()
        ended = self._wait(self._start())
        if why := complaint(ended.code, ended.err, (0,)):
            return [*found[:-1], (found[-1][0], Verdict("wrong", f"the rerun of {self.work.command}: {why}"))]
        said = differences(tree(self.place), self.whole)
        told = re.search(r"^([\d,]+) of ([\d,]+) points", ended.err, re.MULTILINE)
        if self.work.table and told and kept is not None:
            missing, total = (int(number.replace(",", "")) for number in told.groups())
            if missing != total - kept:
                said.append(f"{kept} of {total} points were kept, {missing} evaluated")
        if said:
            return [*found[:-1], (found[-1][0], Verdict("wrong", f"after the rerun of {self.work.command}, {said[0]}"))]
        return found

    def _faults(self, draw: random.Random) -> Iterator[Fault]:
        """One to three faults in a row."""
        share = 0.0
        for _ in range(draw.choice((1, 2, 3))):
            lucky = draw.random()
            rank = draw.randrange(self.work.ranks)
            if lucky < 0.8:
                kind = draw.choice(("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT"))
                if self.operations and draw.random() < 0.6:
                    yield Fault(kind, operation=draw.randint(1, self.operations), rank=rank)
                else:
                    share = draw.uniform(share, 1.0)
                    yield Fault(kind, share=share, rank=rank)
            elif lucky < 0.92 and self.operations:
                operation = draw.choice((1, draw.randint(1, self.operations)))
                yield Fault(draw.choice(ERRORS), operation, lasting=draw.random() < 0.7, rank=rank)
            else:
                kinds = ["stdout closed", "stdout full", "stdout pipe", "no home", "second process"]
                yield Fault(draw.choice([*kinds, *["worker killed"] * (6 * self.work.workers)]), share=draw.random())

    def _struck(self, fault: Fault) -> Verdict:
        """Start the work and have a fault befall it; what it made of that."""
        if fault.kind in SIGNALS and not fault.operation:
            return self._signalled(fault)
        if fault.kind == "second process":
            return self._doubled(fault)
        if fault.kind == "worker killed":
            return self._bereft(fault)
        if fault.kind in SIGNALS or fault.kind in ERRORS:
            number = SIGNALS.get(fault.kind, 0)
            first: tuple[str, dict[str, Any]] = (ARM, {
                "below": str(self.place), "number": fault.operation, "signal": int(number),
                "error": "" if number else fault.kind, "lasting": fault.lasting,
            })  # fmt: skip
        else:
            first = (STAND, {"stdout": fault.kind.partition("stdout ")[2], "home": fault.kind != "no home"})
        ended = self._wait(self._start(first, fault.rank), fault.rank)
        if fault.kind in SIGNALS:
            return self._verdict(ended, fault)
        return self._answered(ended, fault.kind)

    def _signalled(self, fault: Fault) -> Verdict:
        begin, processes = time.perf_counter(), self._start()
        process = processes[fault.rank]
        while (left := begin + fault.share * self.seconds - time.perf_counter()) > 0:
            if self.processes.has_ended(process):
                break
            time.sleep(min(left, TICK))
        else:
            os.kill(process, SIGNALS[fault.kind])
        return self._verdict(self._wait(processes, fault.rank), fault)

    def _doubled(self, fault: Fault) -> Verdict:
        """The same command twice at a time: one does the work, the other is refused or finds it done."""
        first = self._start()
        time.sleep(fault.share * self.seconds)
        both = [self._wait(self._start()), self._wait(first)]
        for ended in both:
            if why := complaint(ended.code, ended.err, (0, 2)):
                return Verdict("wrong", f"of two processes: {why}")
        refused = [ended for ended in both if ended.code == 2]
        if len(refused) == 2 or any("is in use by process" not in ended.err for ended in refused):
            return Verdict("wrong", f"of two processes: {both[0].err.strip()}; {both[1].err.strip()}")
        return Verdict("refused" if refused else "healed")

    def _bereft(self, fault: Fault) -> Verdict:
        """A worker process is killed; the command goes on."""
        processes = self._start()
        deadline = time.perf_counter() + self.patience
        while not (children := children_of(processes[0])) and time.perf_counter() < deadline:
            if self.processes.has_ended(processes[0]):
                break
            time.sleep(TICK)
        time.sleep(fault.share * self.seconds / 2)
        for child in children[:1]:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                children = []
        ended = self._wait(processes)
        if why := complaint(ended.code, ended.err, (0,)):
            return Verdict("wrong", f"a worker was killed: {why}")
        return Verdict("healed" if children else "missed")

    def _verdict(self, ended: Ended, fault: Fault) -> Verdict:
        """What a process made of a signal."""
        number = SIGNALS[fault.kind]
        if ended.code == -number and fault.kind == "SIGKILL":
            return Verdict("healed")
        if ended.code == 0:
            return Verdict("missed")
        if ended.code == -number:
            return Verdict("wrong", f"{fault.kind} ended {self.work.command} without a word")
        allowed = (128 + number,) if fault.kind != "SIGKILL" and self.work.ranks == 1 else (128 + number, 1, -9)
        if why := complaint(ended.code, ended.err, allowed):
            return Verdict("wrong", f"{fault.kind}: {why}")
        if "continue with" not in ended.err and self.work.ranks == 1:
            return Verdict("wrong", f"{fault.kind} ended {self.work.command}, and it did not say how to go on")
        return Verdict("told")

    def _answered(self, ended: Ended, kind: str) -> Verdict:
        """What a process made of an error of the disk, or of where it stood."""
        allowed = (0, 2) if kind == "no home" else (0, 1, 2) if self.work.ranks == 1 else (0, 1, 2, -9, -6)
        if kind == "stdout pipe" and ended.code == 1 and not WORD.search(ended.err):
            return Verdict("refused")  # as of all programs whose reader has gone, silently
        if why := complaint(ended.code, ended.err, allowed):
            return Verdict("wrong", f"{kind}: {why}")
        return Verdict("refused" if ended.code else "missed" if kind in ERRORS else "healed")

    def _start(self, first: tuple[str, dict[str, Any]] | None = None, rank: int = 0) -> list[int]:
        """Start the work; returns the ids of its processes."""
        ranks = self.work.ranks
        ports = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(ranks)}
        ports |= {"MASTER_PORT": str(free_port())} if ranks > 1 else {}
        return [
            self.processes.start(
                *self.work.in_words(), cwd=self.place, first=first if number == rank else None,
                env=ports | {"RANK": str(number), "LOCAL_RANK": str(number)} if ranks > 1 else {},
            )
            for number in range(ranks)
        ]  # fmt: skip

    def _wait(self, processes: Sequence[int], rank: int = 0) -> Ended:
        """How the process of a rank ended; one that does not is killed, and so are the others, as torchrun does."""
        deadline = time.perf_counter() + self.patience
        while not self.processes.has_ended(processes[rank]):
            if time.perf_counter() > deadline:
                os.kill(processes[rank], signal.SIGKILL)
                self.processes.wait(processes[rank])
                return Ended(1, "", f"Traceback: it hung for {self.patience:.0f} s")
            time.sleep(TICK)
        ended = self.processes.wait(processes[rank])
        for number, process in enumerate(processes):
            if number != rank:
                if ended.code and not self.processes.has_ended(process):
                    os.kill(process, signal.SIGKILL)
                other = self.processes.wait(process)
                ended = Ended(ended.code or other.code, ended.out + other.out, ended.err + other.err)
        return ended

    def _fresh(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.base, self.place)

    def _kept(self) -> int | None:
        """Whole rows of the one table under way; None where there is none, or where it is whole."""
        tables = [*self.place.glob("runs/*/*/*/points.csv")]
        return max(tables[0].read_bytes().count(b"\n") - 1, 0) if len(tables) == 1 else None


def free_port() -> int:
    """A port of this machine that nothing listens at."""
    while True:
        port = random.randrange(*PORTS)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


def children_of(process: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent == process:
                found.append(int(entry.name))
    return found


def schedule(names: Sequence[str], seed: int) -> Iterator[str]:
    """The works in turn, each as often as its share says, in a seeded order; which come first is drawn, too."""
    draw = random.Random(seed)
    debts = {name: draw.random() for name in names}
    while True:
        turn = list(names)
        draw.shuffle(turn)
        for name in turn:
            debts[name] += WORKS[name].share
            while debts[name] >= 1:
                debts[name] -= 1
                yield name


def read(words: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="kills, signals and errors that land (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), metavar="WORK", help="which (all)")
    parser.add_argument("--only", metavar="WORK:NUMBER", help="play one case again, under the same seed")
    parser.add_argument("--drawn", action="store_true", help="draw the figures, too, which takes several times as long")
    parser.add_argument("--verbose", action="store_true", help="say what every case did")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Strike, print the table, and return the exit code."""
    given = read(words)
    if lacking := missed():
        print(f"no work of benchmarks/reliability/works.py calls {', '.join(sorted(lacking))}: add one")
        return 1
    outcomes = Outcomes(COLUMNS, f'make faults ARGS="--seed {given.seed}"')
    if given.only:
        given.works = [given.only.rpartition(":")[0]]
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        processes = Processes(Path(folder) / "cache", drawn=given.drawn, ready=UNTIMED)
        try:
            with suppress(KeyboardInterrupt):  # the table of what was tried comes all the same
                strike_all(Path(folder), processes, given, outcomes)
        finally:
            processes.close()
    print("\n".join(outcomes.lines()))
    landed = outcomes.total() - outcomes.total("missed")
    took = time.perf_counter() - begin
    print(f"\n{landed:,} landed on {len(given.works)} pieces of work; seed {given.seed}; {took:.0f} s")
    return 1 if outcomes.wrong else 0


def strike_all(folder: Path, processes: Processes, given: argparse.Namespace, outcomes: Outcomes) -> None:
    """Make the folders, then case after case until enough have landed."""
    bases = prepare(folder, processes)
    victims: dict[str, Victim] = {}
    numbers = dict.fromkeys(given.works, 0)
    order = [given.works[0]] if given.only else schedule(given.works, given.seed)
    for name in order:
        if name not in victims:
            victims[name] = Victim(processes, name, WORKS[name], bases[WORKS[name].base], folder / "place")
            victims[name].measure()
        number = int(given.only.rpartition(":")[2]) if given.only else numbers[name]
        numbers[name] += 1
        for fault, verdict in victims[name].case(given.seed, number):
            outcomes.add(fault.row, f"{name}:{number}", verdict)
            if given.verbose or given.only:
                print(f"{name}:{number}  {fault}  {verdict.column}  {verdict.why}", flush=True)
        if outcomes.total() - outcomes.total("missed") >= given.cases:
            return


if __name__ == "__main__":
    sys.exit(main())

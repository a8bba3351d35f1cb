"""Bad input and damaged files: is each refused clearly, healed, or named? `make fuzz` tells.

Cases run in a process that has imported everything, one after the other in the same folder, which is then put back as
it was; that process has 2 GiB more than it began with, and 10 s for each case. What is accepted is stopped after a
moment, as by Ctrl-C. Exit code 1 for any traceback, "unexpected", warning, hang, or file changed that must not be.
"""

import argparse
import functools
import json
import os
import pickle
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.reliability import clock, inputs
from benchmarks.reliability.damage import damage, same_meaning
from benchmarks.reliability.outcome import Outcomes, Verdict, complaint
from benchmarks.reliability.trees import normal
from benchmarks.reliability.works import ANALYSED, CONFIGS, WORKS, missed, prepare
from tests.processes import At, Processes

COLUMNS = ("refused", "accepted", "healed", "named", "unread", "wrong")
"""accepted: on purpose; of damaged files healed: the right bytes are back; named: the command goes on and says which
file was changed; unread: the command does not read it, or reads the same in it, and
`verify` names it."""
MEMORY = 2 * 2**30
SECONDS = 10.0
"""Of CPU for one case; of the clock, six times as many. Both are longer where `Place.slow` is."""
MOMENT, LONGER = 0.12, 2.0
"""Seconds of CPU after which what was accepted is stopped; one case in twenty goes on for longer."""
FEW = 400
"""Cases of one process, before a new one takes over."""
WARRANTED = re.compile(
    r"not finite|the loss is (nan|inf)|certificate fails|FAILED|No space left|diverge", re.IGNORECASE
)
"""What exit code 1 says of work that was rightly begun."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
LONGEST = 4000
"""Signs of a line of stderr."""
DAMAGED = "damaged"


class CutShort(BaseException):
    """What was accepted has gone on for long enough."""


@dataclass
class Place:
    """The folder that cases run in, and what it holds before each."""

    folder: Path
    contents: dict[str, bytes] = field(default_factory=dict)
    stats: dict[str, tuple[int, ...]] = field(default_factory=dict)
    slow: float = 1.0
    """Times as long that cases may take: the seconds of CPU of the longest command that nothing disturbs, from 1 on."""

    def keep(self) -> None:
        """Take what is there as what belongs there."""
        self.stats = self._look()
        found = {name: content_of(self.folder / name) for name in self.stats}
        self.contents = {name: content for name, content in found.items() if content is not None}

    def changed(self) -> list[str]:
        """Files and folders that are not as they were, locks aside."""
        now = self._look()
        odd = [name for name in {**self.stats, **now} if self.stats.get(name) != now.get(name)]
        odd = [name for name in odd if not name.endswith(".lock") or os.path.dirname(name) not in self.stats]
        return [name for name in odd if name not in now or name not in self.stats or not self._same(name)]

    def put_back(self, names: Sequence[str]) -> None:
        """Make files and folders what they were."""
        for name in sorted(names, reverse=True):
            path = self.folder / name
            if name not in self.stats:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        for name in sorted(names):
            if name in self.contents:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / name).write_bytes(self.contents[name])
        self.stats = self._look()

    def _same(self, name: str) -> bool:
        if name.endswith(".lock") or name not in self.contents:
            return True
        return (self.folder / name).read_bytes() == self.contents[name]

    def _look(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        stack = [self.folder]
        begin = len(str(self.folder)) + 1
        while stack:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(Path(entry.path))
                        found[entry.path[begin:]] = ()
                    else:
                        stat = entry.stat(follow_symlinks=False)
                        found[entry.path[begin:]] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        return found


@dataclass(frozen=True)
class Answer:
    """How a command ended in this process."""

    code: int
    out: str
    err: str
    cut: bool


def call(words: Sequence[str], moment: float) -> Answer:
    """Run a command in this process, and stop it after so many seconds of CPU as SIGTERM would."""
    from lossscape.cli import main

    cut = False

    def stop(number: int, frame: Any) -> None:
        nonlocal cut
        cut = True
        if signal.getsignal(signal.SIGTERM) is end:
            raise CutShort
        os.kill(os.getpid(), signal.SIGTERM)

    def end(number: int, frame: Any) -> None:
        raise CutShort

    files = [tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") for _ in range(2)]  # noqa: SIM115
    kept = [os.dup(number) for number in (1, 2)]
    before = sys.stdout, sys.stderr, sys.argv
    sys.stdout, sys.stderr = files
    for number, file in enumerate(files, 1):
        os.dup2(file.fileno(), number)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, moment, 0.05)
    code = 0
    try:
        sys.argv = ["lossscape", *words]
        main()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except CutShort:
        pass
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        while signal.getsignal(signal.SIGPROF) is stop or signal.getsignal(signal.SIGTERM) is end:
            with suppress(CutShort):
                signal.signal(signal.SIGPROF, lambda number, frame: None)
                signal.signal(signal.SIGTERM, lambda number, frame: None)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if cut:
            time.sleep(0.06)  # for a signal that came in a callback, which lossscape then sends itself again
        for number, old in enumerate(kept, 1):
            files[number - 1].flush()
            os.dup2(old, number)
            os.close(old)
        sys.stdout, sys.stderr, sys.argv = before
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read())
        file.close()
    return Answer(code, *texts, cut)


def ended_badly(answer: Answer) -> str | None:
    """What is wrong with how a command ended and what it said."""
    if answer.cut and ("CutShort" in answer.err or answer.code in (0, 1, 130, 143)) and "unexpected;" not in answer.err:
        return None
    allowed = (0, 1, 2) if WARRANTED.search(answer.err + answer.out) else (0, 2)
    if why := complaint(answer.code, answer.err, allowed):
        return why
    if re.search(r"\w*Warning\b", answer.err):
        return f"a warning shows through: {answer.err.strip().splitlines()[-1][:300]}"
    if found := CONTROL.search(answer.err):
        return f"stderr holds the control character U+{ord(found[0]):04X} | {answer.err.strip()[:200]!r}"
    if any(len(line) > LONGEST for line in answer.err.splitlines()):
        return f"a line of {max(map(len, answer.err.splitlines()))} signs | {answer.err[:200]}"
    if answer.code == 2 and answer.out:
        return f"it was refused and wrote to stdout: {answer.out[:200]}"
    return None


def bad_input(place: Place, kind: str, seed: int, number: int) -> Verdict:
    """One case of bad input."""
    case = inputs.drawn(kind, seed, number)
    for name, content in case.files.items():
        (place.folder / name).write_bytes(content)
    answer = call(case.words, LONGER if number % 20 == 0 else MOMENT)
    changed = [name for name in place.changed() if name not in case.files]
    place.put_back([*changed, *case.files])
    shown = f"lossscape {' '.join(case.words)[:300]!r}"
    if "sprung" in changed:
        return Verdict("wrong", f"code of the input was run: {shown}")
    if why := ended_badly(answer):
        return Verdict("wrong", f"{why} | {shown}")
    if answer.code == 2 and changed:
        return Verdict("wrong", f"it was refused, and changed {', '.join(sorted(changed)[:3])} | {shown}")
    return Verdict("refused" if answer.code == 2 else "accepted")


# --- damaged files ------------------------------------------------------------------------------------------


_watched, _opened = "", False
"""The path of the damaged file, and whether it was opened since it was damaged."""


def _hear(event: str, given: tuple[Any, ...]) -> None:
    global _opened
    if event == "open" and _watched and isinstance(given[0], str | bytes) and not _opened:
        _opened = os.path.abspath(os.fsdecode(given[0])) == _watched


OF_SEVERAL = {"solutions": "solutions of runs", "compare": "compare"}
"""Folders beside the runs that hold results of several, and the work that makes them."""


def readers(name: str) -> list[list[str]]:
    """The commands that may read a file; the same one several times where it is the one to try."""
    return [[*words, *(["--quiet"] if words[0] not in ("runs", "report") else [])] for words in _readers(name)]


def _readers(name: str) -> list[list[str]]:
    top, _, rest = name.partition("/")
    if top != "runs":
        return [["landscape", "runs/a", "--grid", "3"]] if top == "cache" else []
    run, _, inside = rest.partition("/")
    room = inside.partition("/")[0]
    pages = [["report", "runs/a"], ["report", "runs/a", "runs/b"]]
    if run in (*OF_SEVERAL, "reports"):
        return [WORKS[OF_SEVERAL.get(run, "solutions of runs")].in_words(), pages[1]]
    command = "pair" if room == "pairs" else room
    if command in ANALYSED:
        own = [WORKS[command].in_words()]
        inner = {"landscape": ["pair", "minimum", "film"]}.get(room, [])
        return [*own, *own, *(WORKS[each].in_words() for each in inner), *pages]
    if room == "report":
        return pages[:1]
    new = [
        ["landscape", f"runs/{run}", "--grid", "2x3", "--seed", "7"],
        ["interpolate", f"runs/{run}", "--points", "5"],
    ]
    train = ["train", f"{run}.yaml"]
    if inside.startswith("checkpoints/"):
        return [*new, *new, ["minimum", f"runs/{run}", "--grid", "3"], ["film", f"runs/{run}", "--grid", "3"], train,
                ["landscape", f"runs/{run}@{Path(inside).stem}", "--grid", "2"]]  # fmt: skip
    if inside == "resume.pt":
        return [train]
    return [train, *new, ["runs"], ["solutions", f"runs/{run}"], *pages]


def _verified(place: Place, name: str, hurt: bytes) -> Verdict:
    """Whether `verify` names a damaged file that a command did not read."""
    parts = name.split("/")
    (place.folder / name).write_bytes(hurt)
    answer = call(["verify", "/".join(parts[: 3 if parts[1] in OF_SEVERAL else 2]), "--quiet"], LONGER)
    place.put_back([name])
    if answer.code == 1 and re.search(rf"^changed\s+{re.escape(name)}$", answer.out, re.MULTILINE):
        return Verdict("unread")
    return Verdict("wrong", f"verify does not name a {Path(name).name}, which was changed | {name}: {answer}"[:400])


Made = dict[tuple[str, ...], dict[str, bytes | None]]
"""The files that commands change in the folder as it is, and what they make of them, by the commands' words."""


def made_undamaged(place: Place) -> Made:
    """What every reader of a file makes of the folder, found in a process of its own: none may compute in this one."""
    file = place.folder.parent / "made"
    child = os.fork()
    if not child:
        try:
            file.write_bytes(pickle.dumps((_made(place), place.slow)))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    found: Made
    found, place.slow = pickle.loads(file.read_bytes())
    place.put_back(place.changed())
    return found


def _made(place: Place) -> Made:
    os.chdir(place.folder)
    found: Made = {}
    for name in files_of_runs(place.folder):
        for words in readers(name):
            if tuple(words) not in found:
                begin = time.process_time()
                answer = call(words, LONGER * 50)
                place.slow = max(place.slow, time.process_time() - begin)
                if answer.code:
                    raise RuntimeError(f"lossscape {' '.join(words)} ended with exit code {answer.code}: {answer.err}")
                changed = place.changed()
                found[tuple(words)] = {name: content_of(place.folder / name) for name in changed}
                place.put_back(changed)
    return found


def content_of(path: Path) -> bytes | None:
    """The bytes of a file; None of a folder, and where there is none."""
    return path.read_bytes() if path.is_file() and path.name != ".lock" else None


def damaged_file(place: Place, names: Sequence[str], seed: int, number: int, made: Made) -> Verdict:
    """One case of a damaged file."""
    global _watched, _opened
    draw = random.Random(f"{seed}/{DAMAGED}/{number}")
    name = draw.choice(names)
    path = place.folder / name
    words = draw.choice(readers(name))
    wanted = made[tuple(words)]
    done = damage(draw, path, [place.folder / each for each in names])
    hurt = path.read_bytes()
    _watched, _opened = str(path), False
    answer = call(words, LONGER * 4 * place.slow)
    opened, _watched = _opened, ""
    changed = {each: content_of(place.folder / each) for each in place.changed()}
    now = content_of(path)
    place.put_back([*changed, name])
    shown = f"{done} {name} | lossscape {' '.join(words)}"
    said = answer.err + answer.out
    named = any(each in said for each in (name, Path(name).name, Path(name).stem))
    if "sprung" in changed:
        return Verdict("wrong", f"code of the file was run: {shown}")
    if answer.cut:
        return Verdict("wrong", f"it goes on and on: {shown}")
    if why := ended_badly(answer):
        return Verdict("wrong", f"{why} | {shown}")
    others = sorted({**changed, **wanted}.keys() - {name})
    if answer.code:
        # what it had finished before it met the file stays
        written = [each for each in others if each in changed and each not in wanted and "points.csv" not in each]
        if answer.code == 2 and written:
            return Verdict("wrong", f"it was refused, and changed {', '.join(written[:3])} | {shown}")
        if not named and "certificate fails" not in said:
            return Verdict("wrong", f"the refusal names no file | {answer.err.strip()[:200]} | {shown}")
        return Verdict("refused")
    if named and re.search(r"chang|damag|corrupt|torn|cannot be read", said):
        return Verdict("named")

    def is_right(each: str, found: bytes | None) -> bool:
        return bool(normal(each, found) == normal(each, wanted.get(each, place.contents.get(each))))

    odd = [each for each in others if not is_right(each, changed.get(each, place.contents.get(each)))]
    if not odd and is_right(name, now):
        return Verdict("healed")
    if not odd and (not opened or same_meaning(name, hurt, place.contents[name])):
        return _verified(place, name, hurt)
    where = f", into a {Path(odd[0]).name}" if odd else ""
    return Verdict("wrong", f"a {Path(name).name} went through {words[0]} in silence{where} | {shown}")


def prepared(folder: Path) -> Place:
    """The folder that cases run in, with every command's results in it."""
    processes = Processes(folder / "first-cache", ready="benchmarks.reliability.clock:leave_untimed")
    try:
        bases = prepare(folder / "bases", processes)
        place = folder / "place"
        shutil.copytree(bases["analysed"], place)
        (place / "loop").symlink_to("loop")
        (place / "dangling").symlink_to("nothing")
        (place / "half.yaml").write_text(CONFIGS["a"].replace("name: a", "name: half"))
        processes.run("train", "half.yaml", cwd=place, at=At("step", 7, signal.SIGTERM))
    finally:
        processes.close()
    return Place(place)


def files_of_runs(folder: Path) -> list[str]:
    """Files that lossscape wrote and reads, by their paths from the folder."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    kinds = (".pt", ".json", ".csv", ".yaml")
    names = [str(path.relative_to(folder)) for path in found if path.suffix in kinds and path.stat().st_size]
    return [name for name in names if name.startswith("runs/") and "/report" not in name]


# --- processes ----------------------------------------------------------------------------------------------

Case = tuple[str, int]


def run_cases(cases: Iterator[Case], place: Place, made: Made, seed: int) -> Iterator[tuple[Case, Verdict]]:
    """Run cases in a process after the other; yields what came of each."""
    for first in cases:
        todo = [first, *(case for case, _ in zip(cases, range(FEW - 1), strict=False))]
        while todo:
            done = 0
            for case, verdict in _in_a_process(todo, place, made, seed):
                yield case, verdict
                done += 1
            del todo[:done]
            place.put_back(place.changed())  # of a process that was killed


def _in_a_process(cases: Sequence[Case], place: Place, made: Made, seed: int) -> Iterator[tuple[Case, Verdict]]:
    """Cases in a child, up to the first that hangs or dies."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reader)
            _serve(cases, place, made, seed, writer)
        except BaseException:  # the folder is the parent's, to delete it
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    done, begin, text = 0, time.monotonic(), b""
    used = _cpu_seconds(child)
    while done < len(cases):
        ready, _, _ = select.select([reader], [], [], 0.5)
        if ready:
            got = os.read(reader, 1 << 16)
            text += got
            *lines, text = text.split(b"\n")
            for line in lines:
                yield cases[done], Verdict(*json.loads(line))
                done += 1
                begin, used = time.monotonic(), _cpu_seconds(child)
            if not got:
                break
        elif max(_cpu_seconds(child) - used, (time.monotonic() - begin) / 6) > SECONDS * place.slow:
            os.kill(child, signal.SIGKILL)
            break
    os.close(reader)
    _, status = os.waitpid(child, 0)
    if done < len(cases):
        code = os.waitstatus_to_exitcode(status)
        why = (
            f"it hung for {SECONDS * place.slow:.0f} s" if code == -signal.SIGKILL else f"its process ended with {code}"
        )
        yield cases[done], Verdict("wrong", f"{why}: {_told(cases[done], seed)}")


def _told(case: Case, seed: int) -> str:
    kind, number = case
    return DAMAGED if kind == DAMAGED else f"lossscape {' '.join(inputs.drawn(kind, seed, number).words)[:300]!r}"


def _cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(cases: Sequence[Case], place: Place, made: Made, seed: int, writer: int) -> None:
    """Run cases in this process, with a limit on its memory, and tell what came of each."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.chdir(place.folder)
    sys.addaudithook(_hear)
    names = files_of_runs(place.folder)
    for kind, number in cases:
        if kind == DAMAGED:
            verdict = damaged_file(place, names, seed, number, made)
        else:
            verdict = bad_input(place, kind, seed, number)
        os.write(writer, json.dumps([verdict.column, verdict.why]).encode() + b"\n")


def ready(place: Path) -> None:
    """Import everything, draw no figures, and know no network and no GPU."""
    import torch
    import typer
    from hypothesis.configuration import set_hypothesis_home_dir

    from lossscape.data import download
    from tests.processes import import_all

    os.environ |= {"LOSSSCAPE_CACHE": str(place / "cache"), "LOSSSCAPE_DATA": str(place / "data")}
    sys.dont_write_bytecode = True
    torch.set_num_threads(1)
    typer.main.get_command = functools.cache(typer.main.get_command)  # made once, not for each case
    torch.cuda.is_available = lambda: False  # type: ignore[assignment]
    download.unreachable = lambda *given, **options: "no network"  # type: ignore[assignment]
    import_all(drawn=False)
    clock.leave_untimed()
    import torch._dynamo  # what is cut short while it is imported would leave half a package to the cases after it

    with suppress(ImportError):
        import distributed  # noqa: F401
    set_hypothesis_home_dir(place.parent / "hypothesis")
    inputs.make_strange()


def cases_of(given: argparse.Namespace) -> Iterator[Case]:
    """What is asked for, kinds in turn."""
    if given.only:
        kind, _, number = given.only.rpartition(":")
        yield kind, int(number)
        return
    draw, numbers = random.Random(given.seed), dict.fromkeys([*inputs.KINDS, DAMAGED], 0)
    kinds = list(inputs.KINDS)
    weights = [inputs.KINDS[kind][0] for kind in kinds]
    left = {"bad": given.inputs, DAMAGED: given.damaged}
    while any(left.values()):
        one = draw.choices(list(left), list(left.values()))[0]
        left[one] -= 1
        kind = DAMAGED if one == DAMAGED else draw.choices(kinds, weights)[0]
        yield kind, numbers[kind]
        numbers[kind] += 1


def read(words: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000, help="bad configs, --set texts, options and points (2000)")
    parser.add_argument("--damaged", type=int, help="damaged files (a tenth of that)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no further case begins")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (0)")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="play one case again, under the same seed")
    given = parser.parse_args(words)
    if given.damaged is None:
        given.damaged = given.inputs // 10
    return given


def main(words: list[str] | None = None) -> int:
    """Make bad input and damage, print the table, and return the exit code."""
    given = read(words)
    if lacking := missed():
        print(f"no work of benchmarks/reliability/works.py calls {', '.join(sorted(lacking))}: add one")
        return 1
    outcomes = Outcomes(COLUMNS, f'make fuzz ARGS="--seed {given.seed}"')
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        place = prepared(Path(folder))
        ready(place.folder)
        place.keep()
        made = made_undamaged(place) if given.damaged else {}
        with suppress(KeyboardInterrupt):  # the table of what was tried comes all the same
            for (kind, number), verdict in run_cases(cases_of(given), place, made, given.seed):
                outcomes.add(kind, f"{kind}:{number}", verdict)
                if given.only:
                    print(verdict.column, verdict.why, sep="\n")
                if outcomes.total() % 500 == 0:
                    print(f"{outcomes.total():,} cases, {outcomes.total('wrong'):,} wrong", file=sys.stderr, flush=True)
                if time.monotonic() - begin > given.seconds:
                    break
    print("\n".join(outcomes.lines()))
    print(f"\n{outcomes.total():,} cases; seed {given.seed}; {time.monotonic() - begin:.0f} s;")
    return 1 if outcomes.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

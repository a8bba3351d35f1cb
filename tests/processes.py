"""Commands as processes of their own, to be killed, stopped, and starved of disk.

Each is forked from one process that has imported everything and computed nothing, so it starts in milliseconds.
"""

import fcntl
import gc
import importlib
import io
import itertools
import json
import math
import os
import resource
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class At(NamedTuple):
    """A signal that a process sends itself: after its `number`th `what`.

    what: "step", an optimizer step; "row", a row appended to a CSV; "chunk", a chunk of samples at a point; "trial",
    a plan timed in a calibration, which here tries all; or "write": just before and after a file is moved to its
    place, and before, in the middle of, and after a line is appended to a CSV.
    number 0: never, but their count is told on stderr.
    """

    what: str
    number: int
    signal: int


class Room(NamedTuple):
    """The most bytes that any file may have: from the start on, or from when the file of a name is begun."""

    size: int
    begun: str | None = None


class Ended(NamedTuple):
    """How a process ended: its exit code, or minus the signal that ended (or stopped) it."""

    code: int
    out: str
    err: str


class Processes:
    """Runs the command line in forked processes."""

    def __init__(self, cache: Path, root: Path = REPOSITORY, drawn: bool = False, ready: str = "") -> None:
        """cache: the folder that lossscape keeps plans in; root: where the package lies; drawn: whether figures are.

        ready: a function, as in "module:function", that is called before any command.
        """
        paths = os.pathsep.join(map(str, dict.fromkeys([root, REPOSITORY])))
        own = {"PYTHONPATH": paths, "LOSSSCAPE_CACHE": str(cache), "LOSSSCAPE_WORKERS": "always"}  # works are short
        self._server = subprocess.Popen(
            [sys.executable, __file__, "drawn" if drawn else "undrawn", *filter(None, [ready])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD | own,
        )  # fmt: skip

    def start(
        self,
        *words: object,
        cwd: Path,
        room: Room | None = None,
        at: At | None = None,
        env: Mapping[str, str] | None = None,
        first: tuple[str, Mapping[str, Any]] | None = None,
    ) -> int:
        """Start a command, or a script where the first word ends with .py; returns its process id.

        room: of the disk; at: when to signal itself; env: variables that it has beside those of the server; first: a
        function, as in "module:function", that it calls before the command, with what options.
        """
        return int(self._ask("start", list(map(str, words)), str(cwd), room, at, dict(env or {}), first))

    def has_ended(self, process: int) -> bool:
        """Whether a process is done, however it ended; then its id is free, and it is to be waited for."""
        return bool(self._ask("look", process))

    def wait(self, process: int) -> Ended:
        """Wait until a process ends or is stopped; what it said comes with its end."""
        return Ended(*self._ask("wait", process))

    def run(self, *words: object, **options: Any) -> Ended:
        """Start a command as `start` does and wait for it."""
        return self.wait(self.start(*words, **options))

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait(30)

    def _ask(self, *request: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


def import_all(drawn: bool) -> None:
    """Import what commands import, so that a child of this process need not; drawn: whether figures are drawn."""
    import scipy.spatial  # noqa: F401

    import lossscape.cli.app
    import lossscape.report
    import lossscape.results
    import lossscape.train  # noqa: F401
    from lossscape.analyses import ANALYSES

    for analysis in ANALYSES.values():
        for part in ("compute", "result", "figure"):
            importlib.import_module(f"lossscape.analyses.{analysis.name}.{part}")
    if not drawn:
        from tests.undrawn import leave_undrawn

        leave_undrawn()


def serve(drawn: bool, ready: str = "") -> None:
    """Answer the requests of a Processes on stdin."""
    import_all(drawn)
    if ready:
        _call(ready)
    gc.freeze()  # else the first collection in a child copies all the memory that it shares
    pipes: dict[int, tuple[int, int]] = {}
    ended: dict[int, int] = {}
    for line in sys.stdin:
        what, *request = json.loads(line)
        answer: Any
        if what == "start":
            (out, child_out), (err, child_err) = _pipe(), _pipe()
            # A signal to the child has no command yet that could take it, from before its first moment on.
            before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
            answer = os.fork()
            if not answer:
                os.dup2(child_out, 1)
                os.dup2(child_err, 2)
                os.closerange(3, 100)
                _be(*request)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(child_out)
            os.close(child_err)
            pipes[answer] = (out, err)
        elif what == "look":
            found, status = (0, 0) if request[0] in ended else os.waitpid(request[0], os.WNOHANG)
            if found:
                ended[found] = status
            answer = request[0] in ended
        else:
            (process,) = request
            status = ended.pop(process) if process in ended else os.waitpid(process, os.WUNTRACED)[1]
            if os.WIFSTOPPED(status):
                answer = (-os.WSTOPSIG(status), "", "")
            else:
                answer = (os.waitstatus_to_exitcode(status), *map(_read, pipes.pop(process)))
        print(json.dumps(answer), flush=True)


def _pipe() -> tuple[int, int]:
    """A pipe with room for all that a command says, since it is read only when the command has ended."""
    ends = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):  # on Linux; elsewhere 64 kB have to do
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, 1 << 20)
    return ends


def _read(pipe: int) -> str:
    with os.fdopen(pipe, encoding="utf-8") as file:
        return file.read()


def _be(
    words: list[str], cwd: str, room: list[Any] | None, at: list[Any] | None, environment: dict[str, str],
    first: tuple[str, dict[str, Any]] | None,
) -> None:  # fmt: skip
    """Run a command or a script in this process and end it."""
    from lossscape.cli import main

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")
    os.chdir(cwd)
    os.environ.update(environment)
    if room is not None:
        _limit(Room(*room))
    if first is not None:
        _call(first[0], **first[1])
    moment = None if at is None else At(*at)
    ticks = _arm(moment) if moment else None
    code = 0
    try:
        if words[0].endswith(".py"):  # a command takes signals by itself, as soon as it has begun
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
        else:
            sys.argv = ["lossscape", *words]
            main()
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    if moment and ticks and not moment.number:
        print("ticks", next(ticks) - 1, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # what the command could not write, it has said
            stream.flush()
    os._exit(code)


def _call(name: str, **options: Any) -> None:
    module, _, function = name.partition(":")
    getattr(importlib.import_module(module), function)(**options)


def _limit(room: Room) -> None:
    """Have the disk of this process be full."""
    from lossscape import files

    write_bytes, begin_log = files.write_bytes, files.CsvLog.__init__

    def fill_up(begun: str | None) -> None:
        if begun == room.begun:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room.size, resource.RLIM_INFINITY))

    def write(path: Path, content: bytes) -> None:
        fill_up(path.name)
        write_bytes(path, content)

    def begin(log: files.CsvLog, path: Path, columns: Any, words: Any = ()) -> None:
        fill_up(path.name)
        begin_log(log, path, columns, words)

    fill_up(None)
    files.write_bytes = write
    files.CsvLog.__init__ = begin  # type: ignore[method-assign, assignment]


def _arm(at: At) -> "itertools.count[int]":
    """Have this process send itself a signal; returns what counts the moments."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from lossscape.evaluate import Budget, calibrate
    from lossscape.files import CsvLog
    from lossscape.progress import Progress
    from lossscape.results import engine

    ticks = itertools.count(1)
    replace, open_file, extend, advance = os.replace, Path.open, CsvLog.extend, Progress.advance

    def tick() -> None:
        if next(ticks) == at.number:
            os.kill(os.getpid(), at.signal)

    def move(source: Any, target: Any) -> None:
        tick()
        replace(source, target)
        tick()

    class Halved(io.FileIO):
        """A file that takes what it is given in two halves."""

        def write(self, content: Any) -> int:
            tick()
            half = super().write(content[: len(content) // 2])
            tick()
            rest = super().write(content[half:])
            tick()
            return half + rest

    def open_halved(path: Path, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        if path.suffix == ".csv" and buffering == 0:  # a CSV that is appended to
            return Halved(path, mode.replace("b", ""))
        return open_file(path, mode, buffering, *rest, **named)

    def append_rows(log: CsvLog, rows: Any) -> None:
        for row in rows:
            extend(log, [row])
            tick()

    def advance_progress(progress: Progress, amount: int) -> None:
        advance(progress, amount)
        tick()

    def time_all(*given: Any, done: Any, **named: Any) -> Any:
        def timed(amount: int) -> None:
            tick()
            done(amount)

        every = Budget(share=1e9, shortest=0.0, compiling=math.inf)
        return calibrate(*given, **named | {"done": timed, "budget": every})

    if at.what == "step":
        register_optimizer_step_post_hook(lambda *_: tick())
    elif at.what == "row":
        CsvLog.extend = append_rows  # type: ignore[method-assign, assignment]
    elif at.what == "chunk":
        Progress.advance = advance_progress  # type: ignore[method-assign, assignment]
    elif at.what == "trial":
        engine.calibrate = time_all
    else:
        os.replace = move  # type: ignore[assignment]
        Path.open = open_halved  # type: ignore[method-assign, assignment]
    return ticks


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    serve(sys.argv[1] == "drawn", *sys.argv[2:])

"""Worker processes of this machine: started again when they die, gone when this process goes."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from lossscape.errors import RunFailed

SERVE = "from lossscape.evaluate.cluster.worker import serve; serve()"
MOST_FAILED_STARTS = 3


class Processes:
    """Worker processes, each in a session of its own, so that the terminal's Ctrl-C reaches the driver alone."""

    def __init__(self, count: int, address: str, threads: int, folder: Path, secret: str) -> None:
        """folder: theirs alone, for their files and what they say; secret: what each is told on its stdin, a line."""
        self._address, self.folder, self._secret = address, folder, secret
        numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        path = os.pathsep.join(path or os.getcwd() for path in sys.path)  # of a script's own modules too
        self._environment = os.environ | numbers | {"PYTHONPATH": path}
        self._failed_starts = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._processes += [self._start(number) for number in range(count)]

    def mend(self) -> list[str]:
        """Start again those that ended; says how they did. Raises RunFailed where they do not come up."""
        ends = []
        for number, process in enumerate(self._processes):
            code = process.poll()
            if code is None:
                continue
            _let_go(process)
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            if (self.folder / f"{process.pid}.up").exists():
                self._failed_starts = 0
                ends.append(f"worker {number} {how}")
            else:
                self._failed_starts += 1
                if self._failed_starts == MOST_FAILED_STARTS:
                    raise RunFailed(f"worker processes do not start: one {how}: {self._last_word(number)}")
            self._processes[number] = self._start(number)
        return ends

    def kill(self) -> None:
        """End all at once: they hold nothing that is not done again."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            _let_go(process)

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        with self._log(number).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", SERVE, self._address, str(number), str(self.folder)],
                stdin=subprocess.PIPE, stdout=log, stderr=log, env=self._environment, start_new_session=True,
            )  # fmt: skip
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once, and is mended
            process.stdin.write(self._secret.encode() + b"\n")
            process.stdin.flush()
        return process

    def _log(self, number: int) -> Path:
        return self.folder / f"worker-{number}.log"

    def _last_word(self, number: int) -> str:
        lines = self._log(number).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def _let_go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()

"""Workers, as the process that asks sees them. It imports no torch: a child's peak memory counts from its parent's."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Place:
    """Where workers run, and on how many samples."""

    device: str
    threads: int
    samples: int | None
    """In place of the row's own."""
    cache: Path
    """An empty folder for what lossscape and torch.compile keep, so that a cold start is cold."""


class Worker:
    """One side of a row in a process of its own, which waits until it is asked."""

    def __init__(self, side: str, row: str, precision: str, place: Place) -> None:
        self.name = f"{side} of {row} in {precision}"
        words = [side, row, precision, f"--threads={place.threads}", f"--device={place.device}"]
        if place.samples is not None:
            words.append(f"--samples={place.samples}")
        threads = str(place.threads)
        settings = {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "LOSSSCAPE_CACHE": str(place.cache / "lossscape"),
            "TORCHINDUCTOR_CACHE_DIR": str(place.cache / "inductor"),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.landscapes.worker", *words],
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, what: str, **arguments: Any) -> Any:
        """The answer to a question; the program ends where there is none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps([what, arguments]), file=self.process.stdin, flush=True)
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, ValueError):
            sys.exit(f"{self.name}: {what} failed with exit code {self.process.wait()}")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        if kind is not None:
            self.process.kill()
        self.process.communicate()

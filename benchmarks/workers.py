"""Processes of their own that answer questions, seen from both sides.

It imports no torch: a child's peak memory counts from its parent's, and from what it has imported.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

ROOT = Path(__file__).parents[1]


class Worker:
    """A process of its own, which waits until it is asked."""

    def __init__(self, name: str, words: Sequence[str], threads: int, settings: Mapping[str, str]) -> None:
        """words: a module and what it is given; threads: that torch computes with; settings: of its environment."""
        self.name = name
        own = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=os.environ | own,
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        if kind is not None:
            self.process.kill()
        self.process.communicate()


class Answers(Protocol):
    """What can be asked."""

    def answer(self, what: str, arguments: dict[str, Any]) -> Any:
        """The answer to a question."""


@contextmanager
def answers() -> Iterator[IO[str]]:
    """Where answers go: standard output, while what libraries print goes to standard error, since it is no answer."""
    with os.fdopen(os.dup(1), "w") as found:
        os.dup2(2, 1)
        yield found


def answer_all(side: Answers, questions: IO[str], found: IO[str]) -> None:
    """One line of JSON for each line of JSON, [what, {arguments}]."""
    for line in questions:
        what, arguments = json.loads(line)
        print(json.dumps(side.answer(what, arguments)), file=found, flush=True)

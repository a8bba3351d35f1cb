"""The program: one file per command, torch imported inside commands only."""

import errno
import io
import os
import re
import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from lossscape.analyses import ANALYSES
from lossscape.cli import adopt, doctor, gradcheck, new, report, runs, schema, study, sweep, train, verify
from lossscape.cli.analysis import command_of, examples_of
from lossscape.cli.common import Command
from lossscape.errors import LONGEST, BadInput, RunFailed
from lossscape.signals import Interrupted, stop_behind
from lossscape.text import printable, shortened
from lossscape.trust import granted

_INPUT_ERRNOS = {
    errno.EACCES,
    errno.EEXIST,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENOENT,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
_MEMORY = ("out of memory", "can't allocate memory")
"""Torch says so in a RuntimeError, of CUDA and of the CPU."""
_LONGEST_WORD, _LONGEST_LINE = 10_000, 4_000
"""Characters of an argument, longer than any path or setting; and of a line of a message."""
_LONG_WORD = re.compile(r"\S{500,}")


class Program(TyperGroup):
    """All commands. What typer says of a wrong option or argument is shown as every other message is."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the words name."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if isinstance(message := getattr(error, "message", None), str):  # typer's errors hold what was typed
                error.message = _shown(message)  # type: ignore[attr-defined]
            raise


app = typer.Typer(
    name="lossscape",
    cls=Program,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, adopt):
    app.command(command.__name__.rpartition(".")[2], cls=Command, epilog=command.EXAMPLES)(command.command)
for analysis in ANALYSES.values():
    app.command(analysis.command, cls=Command, epilog=examples_of(analysis))(command_of(analysis))
for command in (gradcheck, sweep, study, report, runs, verify, doctor, new, schema):
    app.command(command.__name__.rpartition(".")[2], cls=Command, epilog=command.EXAMPLES)(command.command)


@app.callback()
def common(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    trust_code: bool = typer.Option(
        False, "--trust-code", help="Import the code that a run from somewhere else names."
    ),
) -> None:
    """Show how a neural network's loss behaves: train, interpolate, draw landscapes, report.

    A point is RUN[@CHECKPOINT]: runs/a, runs/a@first, runs/a@best, runs/a@ema, runs/a@12 (epoch), runs/a@step-1200.
    """


def run() -> None:
    """Run the command line; the exit code is that of `lossscape.cli.main`."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # of a terminal that knows few characters
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv or bool(os.environ.get("LOSSSCAPE_DEBUG"))
    trusting = "--trust-code" in sys.argv
    sys.argv = [sys.argv[0], *(word for word in sys.argv[1:] if word not in ("--debug", "--trust-code"))]
    try:
        if long := [word for word in sys.argv if len(word) > _LONGEST_WORD]:
            raise BadInput(f"{shortened(long[0], 80)}: {len(long[0]):,} characters are more than an argument has")
        with granted(trusting):
            try:
                app()
            finally:
                _flush()
    except Exception as error:  # the last stop: every error becomes a message and an exit code
        if stop := stop_behind(error):
            raise stop from None
        if debug:
            traceback.print_exc()
        code, message = outcome_of(error)
        print(f"lossscape: {message}", file=sys.stderr, flush=True)
        sys.exit(code)


def _flush() -> None:
    """Write out what stdout holds: where Python does it, an error comes after the exit code. No reader, no words."""
    if sys.stdout is None:  # it was closed when the program began
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        raise


def outcome_of(error: Exception) -> tuple[int, str]:
    """The exit code and the message of an error, as a terminal may show it.

    Further lines of what the user gave, or of another program's words, are indented: they are no lines of the message.
    """
    code, words = _outcome_of(error)
    lines = error.args if isinstance(error, BadInput) else (words,)
    return code, "\n".join("\n    ".join(map(_shown, str(line).splitlines())) for line in lines)


def _shown(line: str) -> str:
    cut = _LONG_WORD.sub(lambda word: shortened(word[0], LONGEST), printable(line))
    return shortened(cut, _LONGEST_LINE)


def _outcome_of(error: Exception) -> tuple[int, str]:
    if isinstance(error, BadInput):
        return 2, str(error)
    if isinstance(error, Interrupted):
        return error.exit_code, f"interrupted; continue with: {error}"
    if isinstance(error, RunFailed):
        return 1, str(error)
    if isinstance(error, OSError) and error.errno is not None:
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in _INPUT_ERRNOS:
            return 2, f"{where}{error.strerror}"
        return (
            1,
            f"{where}{error.strerror}; what was written before stays readable, run the command again to continue",
        )
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # pathlib's resolve
        return 2, str(error)
    if isinstance(error, MemoryError) or any(words in str(error) for words in _MEMORY):
        return 1, f"not enough memory: {error}"
    return 1, f"{type(error).__name__}: {error} (unexpected; --debug shows where)"

"""The command line. All that takes time to import is imported in `main`, so that a signal finds who answers it."""

import shlex
import sys

from lossscape.signals import Stopped, stopped_by_signals


def main() -> None:
    """Run the command line; exit 0 done, 1 failed while running, 2 bad input, 130 and 143 interrupted."""
    words = sys.argv[1:]
    try:
        with stopped_by_signals():
            from lossscape.cli.app import run

            run()
    except Stopped as stop:
        from lossscape.text import printable

        again = " (without --overwrite to keep what that has begun)" if "--overwrite" in words else ""
        print(
            "lossscape: interrupted; what was written is kept, continue with: "
            f"{printable(shlex.join(['lossscape', *words]))}{again}",
            file=sys.stderr,
            flush=True,
        )
        sys.exit(stop.exit_code)

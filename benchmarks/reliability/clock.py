"""Clocks of the processes of a campaign, whose files are compared byte by byte.

Nothing in them is decided by how long it took, so that a machine that is slow, or busy beside, decides as any other.
And the undisturbed work is done by a clock and a calendar of its own: a time that gets into a file which is compared
is seen with the first case, not once in a thousand on another machine.
"""

import importlib
import itertools
import time
from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace

from benchmarks.reliability import disk

DECIDING = ("lossscape.evaluate.calibration", "lossscape.analyses.convexity.compute")
"""Modules that choose by the time of something: a plan, the points of a block, whether points are predicted."""
TICK = 1e-6
"""Seconds that all takes there."""
TIMES, DAYS = 1000.0, 40
"""Times that seconds are told by the other clock, and days that its calendar is ahead."""


def leave_untimed() -> None:
    """Let this process take all that it would choose by a race for short: it takes the plan of the rule."""
    for name in DECIDING:
        ticks = itertools.count()
        clock = SimpleNamespace(perf_counter=lambda ticks=ticks: TICK * next(ticks))
        importlib.import_module(name).time = clock  # type: ignore[attr-defined]


def run_otherwise(times: float = TIMES) -> None:
    """Let seconds and dates that this process writes down be others than they are."""
    from lossscape.train import environment

    seconds = time.perf_counter

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Later":
            return super().now(tz) + timedelta(DAYS)

    time.perf_counter = lambda: times * seconds()
    environment.datetime = Later  # type: ignore[misc]


def arm(below: str) -> None:
    """Count this process's operations on files below a folder, and have it run by the other clock."""
    run_otherwise()
    disk.arm(below=below)

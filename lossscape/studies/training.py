"""The runs of a study that do not depend on one another, so many at a time."""

from collections.abc import Sequence
from pathlib import Path

from lossscape.config import Experiment
from lossscape.execution import Execution
from lossscape.runs import Run
from lossscape.studies.config import Opened
from lossscape.train.several import train_all


def trained(opened: Opened, experiments: Sequence[Experiment], home: Path, quiet: bool) -> list[Run]:
    """Train what is missing, with the threads that torch has; returns the runs in their order. Raises RunFailed."""
    execution = Execution(workers=opened.workers, quiet=quiet)
    outcomes = train_all(experiments, home, execution, threads=None, title=opened.name)
    return [each.checked() for each in outcomes]

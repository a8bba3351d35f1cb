"""Any study, by its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lossscape.files import held
from lossscape.studies.config import (
    CurvatureStudy,
    DistillStudy,
    InitialStudy,
    InterpolationStudy,
    MinimumStudy,
    Opened,
    OptimizersStudy,
    RaceStudy,
    Study,
)
from lossscape.studies.curvature import run_curvature
from lossscape.studies.distill import run_distill
from lossscape.studies.initial import run_initial
from lossscape.studies.interpolation import run_interpolation
from lossscape.studies.minimum import run_minimum
from lossscape.studies.optimizers import run_optimizers
from lossscape.studies.race import run_race
from lossscape.studies.statements import STUDY, Say, Statement, begin_study, end_study

RUNNERS: dict[type[Study], Callable[..., tuple[list[Statement], list[dict[str, Any]]]]] = {
    InterpolationStudy: run_interpolation,
    MinimumStudy: run_minimum,
    CurvatureStudy: run_curvature,
    DistillStudy: run_distill,
    OptimizersStudy: run_optimizers,
    InitialStudy: run_initial,
    RaceStudy: run_race,
}


def run_study(
    opened: Opened, home: Path, *, device: str = "auto", say: Say = lambda words: None, quiet: bool = True
) -> list[Statement]:
    """Do a study, or what is left of it, and write home/study; returns what was judged.

    say: is given each part before it begins. Raises BadInput, RunFailed or Interrupted; a second call goes on.
    """
    with held(home / STUDY, "a study"):
        begin_study(home, opened.described())
        statements, rows = RUNNERS[type(opened.study)](opened, opened.study, home, device, say, quiet)
        end_study(home, statements, rows)
    return statements
